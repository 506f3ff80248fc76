"""PostgreSQL's texts, one by one: the value, the same from both ways to Avro, and no harm from any other bytes."""

from __future__ import annotations

import hashlib
import math
import os
import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from cdc.codecs.decimals import unscaled_bytes
from cdc.codecs.java import java_hash_order
from cdc.codecs.postgres import text as pgtext
from cdc.codecs.postgres import values as pgvalues
from cdc.codecs.postgres.array import ArrayCodec, split_array
from cdc.codecs.text import DecimalCodec, TextCodec
from cdc.codecs.time import MICROS, MILLIS, NANOS, date_of, days_of
from cdc.core.avro import Writer, write_value
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError
from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT16,
    INT32,
    INT64,
    MAP,
    STRING,
    Schema,
    semantic,
)
from cdc.core.schema import struct as struct_schema

SEED = 20240229
STRINGS = Schema(STRING)
LONGS = Schema(INT64)
MONEY = semantic(BYTES, DECIMAL, scale="2")
INT4 = pgtext.IntCodec(Schema(INT32), -(1 << 31), (1 << 31) - 1)
INT8 = pgtext.IntCodec(LONGS, -(1 << 63), (1 << 63) - 1)
TEXT = TextCodec(STRINGS)
SRID = ("srid", Schema(INT32, optional=True))
EPOCH_4_BC = -63_517_820_277_000_000
GEO_POINT = "0101000020E6100000000000000000F03F0000000000000040"


def array(element: Codec, delimiter: bytes = b",") -> ArrayCodec:
    return ArrayCodec(Schema(ARRAY, items=element.schema.as_optional()), element, delimiter)


def dec(number: int) -> bytes:
    return unscaled_bytes(number)


CASES: list[tuple[str, Codec, list[tuple[str, Any]]]] = [
    ("int2", pgtext.IntCodec(Schema(INT16), -32768, 32767), [("0", 0), ("-32768", -32768), ("32767", 32767)]),
    ("int4", INT4, [("-2147483648", -(1 << 31)), ("2147483647", (1 << 31) - 1)]),
    (
        "int8",
        INT8,
        [("-9223372036854775808", -(1 << 63)), ("9223372036854775807", (1 << 63) - 1), ("-1", -1), ("42", 42)],
    ),
    ("oid", pgtext.IntCodec(LONGS, 0, (1 << 32) - 1), [("4294967295", 4294967295)]),
    ("bool", pgtext.BoolCodec(Schema(BOOLEAN)), [("t", True), ("f", False)]),
    ("bit1", pgtext.BoolCodec(Schema(BOOLEAN), b"1", b"0"), [("1", True), ("0", False)]),
    (
        "text",
        TEXT,
        [("", ""), ("abc", "abc"), ("日本 😀", "日本 😀"), ("0123456é", "0123456é"), ("x" * 300, "x" * 300)],
    ),
    ("float4", pgtext.FloatCodec(Schema(FLOAT32), True), [("1.25", 1.25), ("-3.4e+38", -3.4e38), ("1e-45", 1e-45)]),
    (
        "float8",
        pgtext.FloatCodec(Schema(FLOAT64), False),
        [
            ("1.7976931348623157e+308", 1.7976931348623157e308),
            ("5e-324", 5e-324),
            ("-0", -0.0),
            ("Infinity", math.inf),
            ("-Infinity", -math.inf),
            ("0.1", 0.1),
        ],
    ),
    (
        "numeric",
        DecimalCodec(MONEY, 2),
        [
            ("1.50", dec(150)),
            ("-0.01", dec(-1)),
            ("1.27", dec(127)),
            ("1.28", dec(128)),
            ("-1.28", dec(-128)),
            ("0.00", dec(0)),
            ("-1.29", dec(-129)),
            ("9999999999999999.99", dec(10**18 - 1)),
            ("-9999999999999999.99", dec(1 - 10**18)),
            ("99999999999999999.99", dec(10**19 - 1)),
            ("12345678901234567890123456789.01", dec(1234567890123456789012345678901)),
            ("5", dec(500)),
            ("1234567890123456", dec(123456789012345600)),
            ("12345678901234567", dec(1234567890123456700)),
            ("1.000", dec(100)),
            ("1" * 5000 + ".25", dec(int("1" * 4000) * 10**1002 + int("1" * 1000) * 100 + 25)),
        ],
    ),
    ("numeric0", DecimalCodec(semantic(BYTES, DECIMAL, scale="0"), 0), [("100", dec(100)), ("-5", dec(-5))]),
    ("numeric-2", DecimalCodec(semantic(BYTES, DECIMAL, scale="-2"), -2), [("12300", dec(123)), ("0", dec(0))]),
    (
        "bytea",
        pgtext.ByteaCodec(Schema(BYTES)),
        [
            ("\\x00ff10", b"\x00\xff\x10"),
            ("\\x", b""),
            ("\\xDEADbeef", b"\xde\xad\xbe\xef"),
            ("a\\\\b\\000\\377c", b"a\\b\x00\xffc"),
            ("", b""),
        ],
    ),
    (
        "date",
        pgtext.DateCodec(Schema(INT32)),
        [
            ("1970-01-01", 0),
            ("2024-02-29", 19782),
            ("1969-12-31", -1),
            ("0001-01-01", -719162),
            ("9999-12-31", 2932896),
            ("10000-01-01", 2932897),
            ("5874897-12-31", 2145042905),
            ("0001-12-31 BC", -719163),
            ("4713-01-01 BC", -2440550),
            ("infinity", -2147472692),
            ("-infinity", -2147472691),
        ],
    ),
    (
        "time",
        pgtext.TimeCodec(LONGS, MICROS),
        [
            ("12:34:56.789012", 45296789012),
            ("24:00:00", 86400000000),
            ("00:00:00.1", 100000),
            ("23:59:59.999999", 86399999999),
        ],
    ),
    ("time(3)", pgtext.TimeCodec(Schema(INT32), MILLIS), [("12:34:56.789", 45296789), ("24:00:00", 86400000)]),
    ("time ns", pgtext.TimeCodec(LONGS, NANOS), [("00:00:01.5", 1500000000)]),
    (
        "timestamp",
        pgtext.TimestampCodec(LONGS, MICROS),
        [
            ("2024-02-29 12:34:56.789012", 1709210096789012),
            ("1969-12-31 23:59:59.999999", -1),
            ("0044-03-15 01:02:03 BC", EPOCH_4_BC),
            ("infinity", 9223372036825200000),
            ("-infinity", -9223372036832400000),
            ("0001-01-01 00:00:00", -62135596800000000),
            ("294247-01-10 04:00:54.775807", 9223372036854775807),
        ],
    ),
    (
        "timestamp(3)",
        pgtext.TimestampCodec(LONGS, MILLIS),
        [
            ("1969-12-31 23:59:59.999", -1),
            ("1969-12-31 23:59:59.9995", -1),
            ("infinity", 9223372036825200),
            ("-infinity", -9223372036832400),
            ("294276-12-31 23:59:59.999", 9224318015999999),
        ],
    ),
    (
        "timestamp ns",
        pgtext.TimestampCodec(LONGS, NANOS),
        [("2024-02-29 00:00:00.000001", 1709164800000001000), ("infinity", (1 << 63) - 1), ("-infinity", -(1 << 63))],
    ),
    (
        "timestamptz",
        pgtext.ZonedTimestampCodec(STRINGS, 6),
        [
            ("2024-02-29 12:34:56.789012+00", "2024-02-29T12:34:56.789012Z"),
            ("2024-02-29 12:34:56+00", "2024-02-29T12:34:56.000000Z"),
            ("2024-02-29 12:34:56.7+00", "2024-02-29T12:34:56.700000Z"),
            ("2024-02-29 23:34:56+05:30", "2024-02-29T18:04:56.000000Z"),
            ("2024-02-29 23:34:56-08", "2024-03-01T07:34:56.000000Z"),
            ("0044-03-15 01:02:03+00 BC", "-0043-03-15T01:02:03.000000Z"),
            ("0001-01-01 00:00:00+00 BC", "0000-01-01T00:00:00.000000Z"),
            ("21016-11-04 06:51:30+00", "+21016-11-04T06:51:30.000000Z"),
            ("1890-01-01 00:00:00+00:19:32", "1889-12-31T23:40:28.000000Z"),
            ("infinity", "infinity"),
            ("-infinity", "-infinity"),
        ],
    ),
    ("timestamptz(0)", pgtext.ZonedTimestampCodec(STRINGS, 0), [("2024-02-29 12:34:56+00", "2024-02-29T12:34:56Z")]),
    (
        "timestamptz(3)",
        pgtext.ZonedTimestampCodec(STRINGS, 3),
        [("2024-02-29 12:34:56.78+00", "2024-02-29T12:34:56.780Z")],
    ),
    (
        "numeric any",
        pgvalues.VariableDecimalCodec(struct_schema("V", [("scale", Schema(INT32)), ("value", Schema(BYTES))])),
        [
            ("4.56", (2, dec(456))),
            ("100", (0, dec(100))),
            ("1.500", (1, dec(15))),
            ("0.000", (0, dec(0))),
            ("-0.10", (1, dec(-1))),
        ],
    ),
    (
        "numeric text",
        pgvalues.NumericTextCodec(STRINGS),
        [("1.50", "1.50"), ("NaN", "NAN"), ("Infinity", "POSITIVE_INFINITY"), ("-Infinity", "NEGATIVE_INFINITY")],
    ),
    (
        "numeric double",
        pgvalues.NumericDoubleCodec(Schema(FLOAT64)),
        [("1.50", 1.5), ("Infinity", math.inf), ("9" * 400, math.inf)],
    ),
    (
        "money",
        pgvalues.MoneyCodec(MONEY, 2),
        [
            ("$1,234.56", dec(123456)),
            ("-$0.50", dec(-50)),
            ("($1,000.00)", dec(-100000)),
            ("1.234,56 €", dec(123456)),
            ("￥1,234", dec(123400)),
            ("-$92,233,720,368,547,758.08", dec(-(1 << 63))),
            ("1'234.50 CHF", dec(123450)),
            ("0.125", dec(13)),
            ("1,234.567", dec(123457)),
            ("$12", dec(1200)),
        ],
    ),
    ("money(3)", pgvalues.MoneyCodec(MONEY, 3), [("1.234", dec(1234)), ("$5.00", dec(5000))]),
    ("money text", pgvalues.MoneyTextCodec(STRINGS, 2), [("$1,234.50", "1234.50"), ("-$0.01", "-0.01")]),
    ("money double", pgvalues.MoneyDoubleCodec(Schema(FLOAT64), 2), [("$1,234.50", 1234.5)]),
    (
        "timetz",
        pgvalues.ZonedTimeCodec(STRINGS),
        [
            ("12:34:56.789012+02:30", "10:04:56.789012Z"),
            ("12:00:00.1+14", "22:00:00.1Z"),
            ("23:59:59-12", "11:59:59Z"),
            ("24:00:00+00", "00:00:00Z"),
            ("24:00:00-01", "01:00:00Z"),
        ],
    ),
    (
        "iso date",
        pgvalues.IsoDateCodec(STRINGS),
        [
            ("2020-01-02", "2020-01-02Z"),
            ("0001-01-01 BC", "0000-01-01Z"),
            ("10000-01-01", "+10000-01-01Z"),
            ("infinity", "-5877611-06-21Z"),
        ],
    ),
    ("iso time", pgvalues.IsoTimeCodec(STRINGS), [("10:00:00", "10:00:00Z"), ("10:00:00.5", "10:00:00.5Z")]),
    (
        "iso timestamp",
        pgvalues.IsoTimestampCodec(STRINGS),
        [
            ("2020-01-02 10:00:00", "2020-01-02T10:00:00Z"),
            ("infinity", "+294247-01-10T04:00:25.2Z"),
            ("-infinity", "-290308-12-21T19:59:27.6Z"),
        ],
    ),
    (
        "interval",
        pgvalues.DurationCodec(LONGS),
        [
            ("1 year 2 mons 3 days 04:05:06", 37091106000000),
            ("00:00:00", 0),
            ("-1 days -00:00:01.5", -86401500000),
            ("178000000 years", (1 << 63) - 1),
            ("-178000000 years", -(1 << 63)),
            ("1 mon", 2629800000000),
        ],
    ),
    (
        "interval text",
        pgvalues.IntervalCodec(STRINGS),
        [
            ("1 year 2 mons 3 days 04:05:06.78", "P1Y2M3DT4H5M6.78S"),
            ("00:00:00", "P0Y0M0DT0H0M0S"),
            ("-1 years -2 mons +3 days -04:05:06", "P-1Y-2M3DT-4H-5M-6S"),
            ("-00:00:00.5", "P0Y0M0DT0H0M-0.5S"),
            ("100:00:00", "P0Y0M0DT100H0M0S"),
            ("infinity", "infinity"),
            ("-infinity", "-infinity"),
        ],
    ),
    (
        "bits",
        pgvalues.BitsCodec(semantic(BYTES, "io.debezium.data.Bits", length="12")),
        [("000000001", b"\x01"), ("00000000", b""), ("", b""), ("10101010", b"\xaa"), ("111111111111", b"\xff\x0f")],
    ),
    ("bytea base64", pgvalues.BinaryTextCodec(STRINGS, "base64"), [("\\xfbff", "+/8=")]),
    ("bytea url", pgvalues.BinaryTextCodec(STRINGS, "base64-url-safe"), [("\\xfbff", "-_8=")]),
    ("bytea hex", pgvalues.BinaryTextCodec(STRINGS, "hex"), [("\\xFBff", "fbff")]),
    ("raw", pgvalues.RawCodec(Schema(BYTES)), [("(1,2)", b"(1,2)")]),
    ("raw hex", pgvalues.BinaryTextCodec(STRINGS, "hex", raw=True), [("(1)", "283129")]),
    (
        "hstore json",
        pgvalues.HstoreJsonCodec(STRINGS),
        [
            ('"a"=>"1", "b c"=>NULL', '{"a":"1","b c":null}'),
            ("", "{}"),
            ('"q\\"q"=>"x\\\\y"', '{"q\\"q":"x\\\\y"}'),
            ('"k"=>"a\tb\x01"', '{"k":"a\\tb\\u0001"}'),
            ('"é"=>"=>, "', '{"é":"=>, "}'),
        ],
    ),
    (
        "hstore map",
        pgvalues.HstoreMapCodec(Schema(MAP, keys=STRINGS, items=Schema(STRING, optional=True))),
        [('"a"=>"1", "b"=>NULL', {"a": "1", "b": None})],
    ),
    (
        "point",
        pgvalues.PointCodec(
            struct_schema(
                "P", [("x", Schema(FLOAT64)), ("y", Schema(FLOAT64)), ("wkb", Schema(BYTES, optional=True)), SRID]
            )
        ),
        [
            ("(1.5,-2.25)", (1.5, -2.25, b"\x01\x01\0\0\0" + struct.pack("<dd", 1.5, -2.25), None)),
            ("(1e+300,Infinity)", (1e300, math.inf, b"\x01\x01\0\0\0" + struct.pack("<dd", 1e300, math.inf), None)),
        ],
    ),
    (
        "geometry",
        pgvalues.GeometryCodec(struct_schema("G", [("wkb", Schema(BYTES)), SRID])),
        [
            (GEO_POINT, (bytes.fromhex(GEO_POINT), 4326)),
            ("010700000000000000", (bytes.fromhex("010700000000000000"), None)),
            ("0020000001000010E60000000000000000", (bytes.fromhex("0020000001000010E60000000000000000"), 4326)),
        ],
    ),
    ("vector", pgvalues.VectorCodec(Schema(ARRAY, items=Schema(FLOAT64))), [("[1,2.5,-3e-05]", [1.0, 2.5, -3e-05])]),
    (
        "sparsevec",
        pgvalues.SparseVectorCodec(
            struct_schema(
                "S", [("dimensions", Schema(INT16)), ("vector", Schema(MAP, keys=Schema(INT16), items=Schema(FLOAT64)))]
            )
        ),
        [("{1:1.5,3:2}/5", (5, {1: 1.5, 3: 2.0})), ("{}/3", (3, {}))],
    ),
    (
        "int4[]",
        array(INT4),
        [("{1,NULL,3}", [1, None, 3]), ("{}", []), ("[2:4]={1,2,3}", [1, 2, 3]), ("[-1:-1]={7}", [7])],
    ),
    (
        "text[]",
        array(TEXT),
        [
            (
                '{a,"b c",NULL,"q\\"q","","NULL","{}",",","\\\\"}',
                ["a", "b c", None, 'q"q', "", "NULL", "{}", ",", "\\"],
            ),
            ('{"é\n"}', ["é\n"]),
        ],
    ),
    ("box[]", array(TEXT, b";"), [("{(1,1),(0,0);(2,2),(1,1)}", ["(1,1),(0,0)", "(2,2),(1,1)"])]),
]

BY_NAME = {name: codec for name, codec, _ in CASES}
TEXTS = [(name, codec, text.encode(), value) for name, codec, pairs in CASES for text, value in pairs]


def avro(codec: Codec, data: bytes, start: int, end: int) -> bytes:
    out = Writer()
    codec.encode(out, data, start, end)
    return out.take()


def avro_by_value(codec: Codec, value: Any) -> bytes:
    out = Writer()
    write_value(out, codec.schema, value)
    return out.take()


def outcome(codec: Codec, text: bytes) -> tuple[str, bytes]:
    """What becomes of *text*, in the middle of other bytes: Avro, or the error; the same both ways."""
    data = b"12-+" + text + b"34:}"
    start, end = 4, 4 + len(text)
    try:
        value = codec.value(data, start, end)
    except DecodeError:
        with pytest.raises(DecodeError):
            avro(codec, data, start, end)
        return "refused", b""
    straight = avro(codec, data, start, end)
    assert straight == avro_by_value(codec, value), text
    return "read", straight


@pytest.mark.parametrize(("name", "codec", "text", "value"), TEXTS, ids=lambda item: str(item)[:24])
def test_text_gives_value(name: str, codec: Codec, text: bytes, value: Any) -> None:
    assert codec.value(b"<<" + text + b">>", 2, 2 + len(text)) == value
    assert outcome(codec, text) == ("read", avro_by_value(codec, value))


def test_not_a_number_is_a_float() -> None:
    assert math.isnan(BY_NAME["float8"].value(b"NaN", 0, 3))
    assert math.isnan(BY_NAME["numeric double"].value(b"NaN", 0, 3))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("int2", "32768"),
        ("int4", "2147483648"),
        ("int8", "9223372036854775808"),
        ("int8", "-9223372036854775809"),
        ("int8", "99999999999999999999"),
        ("int8", "1_0"),
        ("int8", "+1"),
        ("int8", " 1"),
        ("int8", "-"),
        ("int8", ""),
        ("oid", "-1"),
        ("bool", "true"),
        ("bool", ""),
        ("bit1", ""),
        ("float8", "1_0"),
        ("float8", " 1"),
        ("float8", "nan"),
        ("float8", "0x1p3"),
        ("float8", ""),
        ("float8", "1" * 64),
        ("numeric", "NaN"),
        ("numeric", "Infinity"),
        ("numeric", "1.005"),
        ("numeric", "."),
        ("numeric", "1e5"),
        ("numeric", ""),
        ("numeric-2", "12345"),
        ("bytea", "\\x0"),
        ("bytea", "\\x0g"),
        ("bytea", "\\x00 f"),
        ("bytea", "a\\b"),
        ("date", "2023-02-29"),
        ("date", "0000-01-01"),
        ("date", "1900-02-29"),
        ("date", "2024-13-01"),
        ("date", "2024-1-01"),
        ("date", ""),
        ("time", "24:00:00.1"),
        ("time", "25:00:00"),
        ("time", "12:60:00"),
        ("time", "12:00:00."),
        ("time", "12:00:00.1234567"),
        ("timestamp", "2024-02-30 00:00:00"),
        ("timestamp", "2024-02-29T00:00:00"),
        ("timestamp", "2024-02-29 00:00:00+00"),
        ("timestamp ns", "2300-01-01 00:00:00"),
        ("timestamp", "294247-01-10 04:00:54.775808"),
        ("timestamp ns", "20000-01-01 00:00:00"),
        ("timestamptz", "2024-02-29 00:00:00"),
        ("numeric any", "NaN"),
        ("money", "$"),
        ("money", "abc"),
        ("timetz", "12:00:00"),
        ("interval", "infinity"),
        ("interval", ""),
        ("bits", "012"),
        ("hstore json", '"a"=>1'),
        ("hstore json", '"a"=>"1", '),
        ("hstore json", '"a"=>"1'),
        ("point", "1,2"),
        ("geometry", "00"),
        ("geometry", "zz"),
        ("geometry", "0101000020E6"),
        ("vector", "1,2"),
        ("vector", "[1,]"),
        ("sparsevec", "{1:1}/40000"),
        ("sparsevec", "{1:1"),
        ("int4[]", "{1,}"),
        ("int4[]", "{,1}"),
        ("int4[]", "{1"),
        ("int4[]", "1}"),
        ("int4[]", ""),
        ("int4[]", "{1,x}"),
        ("text[]", '{"a}'),
        ("text[]", '{"a"b}'),
        ("text[]", '{"a",}'),
    ],
)
def test_what_the_server_does_not_print_is_refused(name: str, text: str) -> None:
    assert outcome(BY_NAME[name], text.encode())[0] == "refused"


def test_refusal_tells_length_but_not_content() -> None:
    with pytest.raises(DecodeError) as caught:
        INT4.value(b"secret", 0, 6)
    assert "secret" not in str(caught.value)
    assert caught.value.context == {"length": 6}


def test_null_among_required_elements_is_refused() -> None:
    codec = ArrayCodec(Schema(ARRAY, items=STRINGS), TEXT)
    with pytest.raises(DecodeError):
        codec.value(b"{NULL}", 0, 6)


def test_broken_utf8_is_replaced_in_both_ways() -> None:
    for text in (b"ab\xff", b"\xc3", b"\xed\xa0\x80", b"12345678\x80"):
        assert "\ufffd" in TEXT.value(text, 0, len(text))
        assert outcome(TEXT, text)[0] == "read"


def test_hstore_has_the_order_of_a_java_map() -> None:
    assert java_hash_order(["apple", "banana", "cherry"]) == ["banana", "apple", "cherry"]
    keys = [f"{number}" for number in range(40)]
    assert sorted(java_hash_order(keys)) == sorted(keys)


def test_days_and_dates_are_inverse_over_all_of_postgresql() -> None:
    rng = random.Random(SEED)
    for days in [rng.randrange(-2440588 - 1000, 2145031949) for _ in range(5000)] + list(range(-800000, -799000)):
        assert days_of(*date_of(days)) == days


ALPHABET = b'0123456789-+.: eExNaIinfBCtTy,;{}[]()"\\/=>\x00\xff\xc3\xa9'


def mutants(text: bytes, rng: random.Random) -> Iterator[bytes]:
    """Every truncation, and random damage."""
    short = text[:64]
    yield from (short[:at] for at in range(len(short)))
    yield from (short[at:] for at in range(1, len(short)))
    for _ in range(60):
        damaged = bytearray(short)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(damaged) + 1)
            damaged[at : at + rng.randrange(2)] = bytes(rng.choices(ALPHABET, k=rng.randrange(3)))
        yield bytes(damaged)
    yield bytes(rng.choices(ALPHABET, k=rng.randrange(40)))


def digest(name: str) -> str:
    """Of the outcomes of all mutants of one codec's texts."""
    rng = random.Random(SEED)
    found = hashlib.sha256()
    for text in [text for case, _, text, _ in TEXTS if case == name]:
        for mutant in mutants(text, rng):
            said, data = outcome(BY_NAME[name], mutant)
            found.update(said.encode() + data)
    return found.hexdigest()


@pytest.fixture(scope="module")
def pure_digests() -> dict[str, str]:
    """The same from the plain Python modules."""
    run = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "CDC_PURE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return {name: digest for name, _, digest in (line.rpartition(" ") for line in run.stdout.splitlines())}


@pytest.mark.parametrize("name", BY_NAME)
def test_damage_is_refused_or_read_alike_compiled_and_plain(name: str, pure_digests: dict[str, str]) -> None:
    assert digest(name) == pure_digests[name]


def test_generated_values_are_read_back() -> None:
    rng = random.Random(SEED)
    for _ in range(3000):
        number = rng.randrange(-(1 << 63), 1 << 63) >> rng.randrange(64)
        assert outcome(INT8, str(number).encode()) == ("read", avro_by_value(INT8, number))
        unscaled = rng.randrange(-(10 ** rng.randrange(1, 40)), 10 ** rng.randrange(1, 40))
        whole, fraction = divmod(abs(unscaled), 100)
        text = f"{'-' if unscaled < 0 else ''}{whole}.{fraction:02d}"
        assert outcome(BY_NAME["numeric"], text.encode()) == ("read", avro_by_value(BY_NAME["numeric"], dec(unscaled)))
        double = struct.unpack("<d", rng.randbytes(8))[0]
        if math.isfinite(double):
            assert outcome(BY_NAME["float8"], repr(double).encode()) == ("read", b"" + struct.pack("<d", double))


def test_elements_survive_quoting() -> None:
    rng = random.Random(SEED)
    for _ in range(500):
        items = [
            None if rng.random() < 0.1 else bytes(rng.choices(ALPHABET, k=rng.randrange(6)))
            for _ in range(rng.randrange(9))
        ]
        quoted = [
            b"NULL" if item is None else b'"' + item.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
            for item in items
        ]
        assert split_array(b"{" + b",".join(quoted) + b"}") == items


if __name__ == "__main__":
    assert str(pgtext.__file__).endswith(".py")
    for each in BY_NAME:
        print(each, digest(each))


@pytest.mark.parametrize(("text", "wanted"), [
    (b"{{1,2},{3,4}}", [None, None]),
    (b"[0:1][1:2]={{1,2},{3,4}}", [None, None]),
    (b"{{{1},{2}},{{3},{4}},{{5},{6}}}", [None, None, None]),
    (b'{"{{",b}', ["{{", "b"]),
    (b'{{"}{",b},{c,d}}', [None, None]),
])
def test_of_more_dimensions_only_the_outer_one_shows(text: bytes, wanted: list[Any]) -> None:
    codec = ArrayCodec(Schema(ARRAY, items=Schema(STRING, optional=True)), TEXT)
    assert codec.value(text, 0, len(text)) == wanted


@pytest.mark.parametrize(("shift", "precise", "as_text"), [(0, 123450, "1234.50"), (2, 12345000, "123450"),
                                                           (-1, 12345, "123.450")])
def test_money_of_a_currency_with_other_units_is_moved(shift: int, precise: int, as_text: str) -> None:
    """The session prints cents; a yen is its own smallest unit."""
    text = b"$1,234.50"
    codec, as_string = pgvalues.MoneyCodec(MONEY, 2), pgvalues.MoneyTextCodec(Schema(STRING), 2)
    codec.shift = as_string.shift = shift
    assert int.from_bytes(codec.value(text, 0, len(text)), signed=True) == precise
    assert as_string.value(text, 0, len(text)) == as_text
