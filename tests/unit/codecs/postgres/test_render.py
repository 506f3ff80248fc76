"""Binary values back to the server's texts. The pairs were printed by PostgreSQL 15."""

from __future__ import annotations

import struct

import pytest

from cdc.codecs.postgres import render as pgrender
from cdc.core.errors import DecodeError

PAIRS = [
    ("bool", b't', "01"),
    ("int2", b'-2', "fffe"),
    ("int4", b'2147483647', "7fffffff"),
    ("int8", b'-9223372036854775808', "8000000000000000"),
    ("oid", b'4294967295', "ffffffff"),
    ("float4", b'1.1', "3f8ccccd"),
    ("float8", b'-1.5e+300', "fe41eb2d66005835"),
    ("float8", b'NaN', "7ff8000000000000"),
    ("numeric", b'-12345.678', "0003000140000003000109291a7c"),
    ("numeric", b'0.00000100', "0001fffe000000080064"),
    ("numeric", b'100000000000000000000', "00010005000000000001"),
    ("numeric", b'NaN', "00000000c0000000"),
    ("numeric", b'-Infinity', "00000000f0000020"),
    ("uuid", b'0d2b9c8e-3f4a-4b5c-8d6e-7f8091a2b3c4', "0d2b9c8e3f4a4b5c8d6e7f8091a2b3c4"),
    ("date", b'1969-12-31', "ffffd532"),
    ("date", b'infinity', "7fffffff"),
    ("date", b'0044-03-15 BC', "fff49d7b"),
    ("time", b'24:00:00', "000000141dd76000"),
    ("time", b'12:34:56.789', "0000000a8be62608"),
    ("timetz", b'12:00:00.1+05:30', "0000000a0eed36a0ffffb2a8"),
    ("timestamp", b'1969-12-31 23:59:59.999999', "fffca2fec4c81fff"),
    ("timestamp", b'-infinity', "8000000000000000"),
    ("timestamp", b'0044-03-15 00:00:00 BC', "ff1af9deec5b2000"),
    ("timestamp", b'294276-12-31 23:59:59.999999', "7fffff5bb3b29fff"),
    ("timestamptz", b'2024-02-29 07:04:56.789012+00', "0002b57ea5468014"),
    ("interval", b'-1 years -2 mons +3 days -04:05:06.5', "fffffffc936c9e6000000003fffffff2"),
    ("interval", b'00:00:00', "00000000000000000000000000000000"),
    ("point", b'(1.5,-2.25)', "3ff8000000000000c002000000000000"),
    ("inet", b'192.168.1.5/24', "02180004c0a80105"),
    ("inet", b'::ffff:1.2.3.4', "0380001000000000000000000000ffff01020304"),
    ("cidr", b'2001:db8::/32', "0320011020010db8000000000000000000000000"),
    ("cidr", b'10.0.0.1/32', "022001040a000001"),
    ("macaddr", b'08:00:2b:01:02:03', "08002b010203"),
    ("macaddr8", b'08:00:2b:01:02:03:04:05', "08002b0102030405"),
    ("bit", b'1', "0000000180"),
    ("bit", b'1010000001', "0000000aa040"),
    ("varbit", b'', "00000000"),
    ("money", b'-$1234.56', "fffffffffffe1dc0"),
    ("money", b'$0.05', "0000000000000005"),
    ("pg_lsn", b'16/B374D848', "00000016b374d848"),
    ("tsvector", b"'a''b':1A,3 'c'", "00000002612762000002c001000363000000"),
    ("hstore", b'"a"=>"1", "b \\" c"=>NULL', "0000000200000001610000000131000000056220222063ffffffff"),
    ("jsonb", b'{"a": 1}', "017b2261223a20317d"),
    ("ltree", b'a.b', "01612e62"),
    ("int4range", b'[1,10)', "020000000400000001000000040000000a"),
    ("int8range", b'empty', "01"),
    ("numrange", b'(,1.50]', "0c0000000c000200000000000200011388"),
    ("daterange", b'[2024-01-01,)', "12000000040000223e"),
    ("tsrange", b'["2024-01-01 00:00:00",infinity)', "02000000080002b0d5d4e94000000000087fffffffffffffff"),
    ("tstzrange", b'["2024-01-01 00:00:00+00","2024-02-01 00:00:00+00"]',
     "06000000080002b0d5d4e94000000000080002b34571fde000"),
    ("int4[]", b'{"1",NULL,"3"}', "00000001000000010000001700000003000000010000000400000001ffffffff0000000400000003"),
    ("text[]", b'{"a","b \\"c",NULL,"NULL",""}',
     "000000010000000100000019000000050000000100000001610000000462202263ffffffff000000044e554c4c00000000"),
    ("int4[]", b'{}', "000000000000000000000017"),
    ("int4[]", b'[2:3]={"1","2"}', "000000010000000000000017000000020000000200000004000000010000000400000002"),
    ("int4[]", b'{{"1","2"},{"3","4"}}',
     "00000002000000000000001700000002000000010000000200000001000"
     "0000400000001000000040000000200000004000000030000000400000004"),
    ("char", b'a', "61"),
    ("char", b'', "00"),
]
"""Type, text, binary. Array elements are all quoted here, and money has no thousands mark; both read the same."""

ANY_LENGTH = {"text", "varchar", "jsonb", "ltree", "bytea"}


def render_of(name: str) -> pgrender.Render:
    return pgrender.array_of(pgrender.RENDERS[name[:-2]]) if name.endswith("[]") else pgrender.RENDERS[name]


@pytest.mark.parametrize(("name", "text", "binary"), PAIRS)
def test_text_is_the_servers(name: str, text: bytes, binary: str) -> None:
    assert render_of(name)(bytes.fromhex(binary)) == text


@pytest.mark.parametrize(("name", "text", "binary"), [pair for pair in PAIRS if pair[0] not in ANY_LENGTH])
def test_any_other_length_is_refused(name: str, text: bytes, binary: str) -> None:
    data = bytes.fromhex(binary)
    for wrong in [data[:size] for size in range(len(data))] + [data + b"\0"]:
        with pytest.raises(DecodeError) as caught:
            render_of(name)(wrong)
        assert caught.value.context == {"length": len(wrong)}


@pytest.mark.parametrize(("name", "binary"), [
    ("bool", "02"), ("jsonb", "027b7d"), ("numeric", "00010000000000002710"), ("numeric", "0000000080000000"),
    ("time", "000000141dd76001"), ("time", "ffffffffffffffff"), ("inet", "04200004c0a80105"),
    ("inet", "02210004c0a80105"), ("int4[]", "000000010000000000000017ffffffff00000001"),
    ("int4[]", "00000007" + "00" * 64), ("int4[]", "0000000100000000000000177fffffff00000001"), ("varbit", "ffffffff"),
    ("hstore", "00000001ffffffff00000000"), ("tsvector", "ffffffff"), ("int4range", "02ffffffff"),
])
def test_what_no_server_sends_is_refused(name: str, binary: str) -> None:
    with pytest.raises(DecodeError):
        render_of(name)(bytes.fromhex(binary))


def test_char_beyond_ascii_is_octal() -> None:
    assert pgrender.char(b"\xe9") == b"\\351"


@pytest.mark.parametrize(("address", "shown"), [
    ("0:0:0:0:0:0:0:0", "::"), ("0:0:0:0:0:0:0:1", "::1"), ("0:0:0:0:0:0:0:ffff", "::ffff"), ("1:0:0:0:0:0:0:0", "1::"),
    ("0:0:0:0:0:0:102:304", "::1.2.3.4"), ("0:0:0:0:0:ffff:102:304", "::ffff:1.2.3.4"),
    ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:0:0:2:3:0:0:4", "1::2:3:0:0:4"), ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
    ("0:0:0:0:0:1:102:304", "::1:102:304"), ("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"),
])
def test_ipv6_is_compressed_as_the_server_does(address: str, shown: str) -> None:
    words = struct.pack(">8H", *[int(word, 16) for word in address.split(":")])
    assert pgrender.inet(b"\3\x80\0\x10" + words).decode() == shown


@pytest.mark.parametrize(("bits", "shown"), [
    (0x00000001, "1e-45"), (0x7F7FFFFF, "3.4028235e+38"), (0x0F800000, "1.2621775e-29"), (0x4F8EA74A, "4786656300.0"),
    (0x48953EEC, "305655.38"), (0x80000000, "-0.0"), (0, "0.0"), (0x7F800000, "Infinity"), (0xFFC00000, "NaN"),
])
def test_float4_has_the_digits_of_the_server(bits: int, shown: str) -> None:
    assert pgrender.float4(bits.to_bytes(4, "big")).decode() == shown


@pytest.mark.parametrize(("name", "binary", "text"), [
    ("vector", "000200003f80000040200000", "[1.0,2.5]"), ("halfvec", "000100003e00", "[1.5]"),
    ("sparsevec", "00000005000000020000000000000000000000023fc0000040000000", "{1:1.5,3:2.0}/5"),
    ("interval", "7fffffffffffffff7fffffff7fffffff", "infinity"), ("geometry", "0101ab", "0101AB"),
])
def test_types_of_extensions_and_newer_servers(name: str, binary: str, text: str) -> None:
    assert pgrender.RENDERS[name](bytes.fromhex(binary)).decode() == text
