"""MySQL's binary JSON: documents recorded from MySQL 9.7, with what the server prints for them."""

from __future__ import annotations

import random
import struct

import pytest

from cdc.codecs.mysql.json import COMPACT, SERVER, JsonCodec, json_text, plain_double, server_double
from cdc.core.errors import DecodeError, NoValue
from cdc.core.schema import STRING, Schema

DOCUMENTS = [
    ("0002003a001200010013000100001400022200616201000e000b0001000c0c00780179040018000501000b10000400000401000000000000"
     "000440", '{"a": {"x": "y"}, "b": [1, 2.5, null, true]}', '{"a":{"x":"y"},"b":[1,2.5,null,true]}'),
    ("0200000400", "[]", "[]"),
    ("0000000400", "{}", "{}"),
    ("0c067401222fc3a9", '"t\\u0001\\"/é"', '"t\\u0001\\"/é"'),
    ("0402", "false", "false"),
    ("020600320005ffff071600071a00071e000a22000a2a00409c00007011010090eefeff00f2052a01000000ffffffffffffffff",
     "[-1, 40000, 70000, -70000, 5000000000, 18446744073709551615]",
     "[-1,40000,70000,-70000,5000000000,18446744073709551615]"),
    ("0003003400190001001a0001001b0001000b1c000b24000b2c006566674cce61e3a79de43d92d54d06cff0804400000000d0126341",
     '{"e": 0.00000000015, "f": 1e22, "g": 10000000.0}',
     '{"e":0.00000000014999999999999999900248106175413252694195165304336114786565303802490234375,'
     '"f":10000000000000000000000,"g":10000000}'),
    ("0203002b000f0d000f17000f21000a080000000000bab2190b08e05ef84737ffffff0c08080a0cb8c8bab219",
     '["2024-02-29", "-12:34:56.500000", "2024-02-29 12:34:56.789000"]',
     '["2024-02-29","-12:34:56.5","2024-02-29 12:34:56.789"]'),
    ("0201000d000f0700f60403027ecd", "[-1.50]", "[-1.50]"),
    ("02020011000f0a000f0e000f02cafe0f0105", '["base64:type15:yv4=", "base64:type15:BQ=="]', '["yv4=","BQ=="]'),
]


@pytest.mark.parametrize(("raw", "server", "compact"), DOCUMENTS)
def test_documents_in_both_forms(raw: str, server: str, compact: str) -> None:
    data = bytes.fromhex(raw)
    assert json_text(data, SERVER) == server
    assert json_text(data, COMPACT) == compact


@pytest.mark.parametrize("raw", [raw for raw, _, _ in DOCUMENTS])
def test_every_truncation_is_an_error(raw: str) -> None:
    data = bytes.fromhex(raw)
    for size in range(1, len(data)):
        with pytest.raises(DecodeError):
            json_text(data[:size], COMPACT)


def test_damaged_documents_are_text_or_an_error() -> None:
    pick = random.Random(5)
    for raw, _, _ in DOCUMENTS * 100:
        data = bytearray.fromhex(raw)
        data[pick.randrange(len(data))] = pick.randrange(256)
        try:
            assert isinstance(json_text(bytes(data), SERVER), str)
        except DecodeError:
            pass


def test_depth_is_bounded() -> None:
    def nested(depth: int) -> bytes:
        data = struct.pack("<HHBH", 1, 7, 0x05, 1)
        for _ in range(depth - 1):
            data = struct.pack("<HHBH", 1, 7 + len(data), 0x02, 7) + data
        return b"\x02" + data

    assert json_text(nested(100), COMPACT) == "[" * 100 + "1" + "]" * 100
    with pytest.raises(DecodeError):
        json_text(nested(101), COMPACT)


def test_an_object_within_itself_ends() -> None:
    data = b"\x02" + struct.pack("<HHBH", 1, 7, 0x02, 0)
    with pytest.raises(DecodeError):
        json_text(data, COMPACT)


def test_no_bytes_are_no_value() -> None:
    with pytest.raises(NoValue):
        JsonCodec(Schema(STRING), COMPACT).value(b"", 0, 0)


@pytest.mark.parametrize(("number", "server", "compact"), [
    (0.0, "0.0", "0.0"), (-0.0, "-0.0", "-0.0"), (1.0, "1.0", "1.0"), (0.001, "0.001", "0.001"),
    (0.0001, "0.0001", None),
    (1e7, "10000000.0", "10000000"), (12345678.5, "12345678.5", "12345678.5"), (1e15, "1e15", "1000000000000000"),
    (123456789012345.0, "123456789012345.0", "123456789012345"), (1234567890123456.7, "1234567890123456.8", None),
    (-1.5e300, "-1.5e300", None), (5e-324, "5e-324", None),
])
def test_doubles_in_both_forms(number: float, server: str, compact: str | None) -> None:
    assert server_double(number) == server
    assert compact is None or plain_double(number) == compact
    assert float(plain_double(number)) == number


def test_texts_are_quoted_as_each_form_does() -> None:
    text = "\"\\/\b\t\n\f\r\x01\x1f\x7fé😀\\u001f".encode()
    data = b"\x0c" + bytes((len(text),)) + text
    common = '"\\"\\\\/\\b\\t\\n\\f\\r\\u0001%s\x7fé😀\\\\u001f"'
    assert json_text(data, SERVER) == common % "\\u001f"
    assert json_text(data, COMPACT) == common % "\\u001F"


def sharing(levels: int, width: int) -> bytes:
    """Arrays in arrays, in which all *width* entries of each claim the same place."""
    data = struct.pack("<HHBH", 1, 7, 0x05, 1)
    for _ in range(levels):
        head = 4 + 3 * width
        data = struct.pack("<HH", width, head + len(data)) + struct.pack("<BH", 0x02, head) * width + data
    return b"\x02" + data


def test_containers_that_share_their_places_are_refused() -> None:
    assert len(sharing(6, 17)) < 351
    for form in (COMPACT, SERVER):
        with pytest.raises(DecodeError, match="overlap"):
            json_text(sharing(6, 17), form)


def test_values_and_keys_that_share_their_places_are_refused() -> None:
    text = b"\x04four"
    head = 4 + 3 * 2
    twice = struct.pack("<HH", 2, head + len(text)) + struct.pack("<BH", 0x0C, head) * 2 + text
    with pytest.raises(DecodeError, match="overlap"):
        json_text(b"\x02" + twice, COMPACT)
    head = 4 + 7 * 2
    key = struct.pack("<HH", head, 4)
    keys = struct.pack("<HH", 2, head + 4) + key * 2 + struct.pack("<BH", 0x05, 1) * 2 + b"four"
    with pytest.raises(DecodeError, match="overlap"):
        json_text(b"\x00" + keys, COMPACT)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_does_not_have_are_refused(number: float) -> None:
    for form in (COMPACT, SERVER):
        with pytest.raises(DecodeError, match="does not have"):
            json_text(b"\x0b" + struct.pack("<d", number), form)
