"""Binary codecs agree with the text codecs they stand beside, value and Avro bytes. Pairs printed by PostgreSQL 15."""

from __future__ import annotations

import random
import struct

import pytest

from cdc.codecs.postgres import binary as pgbinary
from cdc.codecs.postgres import text as pgtext
from cdc.codecs.postgres.array import ArrayCodec
from cdc.codecs.text import DecimalCodec, TextCodec
from cdc.codecs.time import MICROS, MILLIS, NANOS
from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError
from cdc.core.schema import ARRAY, BOOLEAN, BYTES, FLOAT32, FLOAT64, INT16, INT32, INT64, STRING, Schema, optional

INT2 = pgtext.IntCodec(Schema(INT16), -(2**15), 2**15 - 1)
INT4 = pgtext.IntCodec(Schema(INT32), -(2**31), 2**31 - 1)
INT8 = pgtext.IntCodec(Schema(INT64), -(2**63), 2**63 - 1)
OID = pgtext.IntCodec(Schema(INT64), 0, 2**32 - 1)
BOOL = pgtext.BoolCodec(Schema(BOOLEAN))
FLOAT4 = pgtext.FloatCodec(Schema(FLOAT32), True)
FLOAT8 = pgtext.FloatCodec(Schema(FLOAT64), False)
TEXT = TextCodec(Schema(STRING))
BYTEA = pgtext.ByteaCodec(Schema(BYTES))
DATE = pgtext.DateCodec(Schema(INT32))
INT_ARRAY = ArrayCodec(Schema(ARRAY, items=optional(INT32)), INT4)


def decimal(scale: int) -> DecimalCodec:
    return DecimalCodec(Schema(BYTES), scale)


def time(unit: int) -> Codec:
    return pgtext.TimeCodec(Schema(INT64), unit)


def timestamp(unit: int) -> Codec:
    return pgtext.TimestampCodec(Schema(INT64), unit)


def zoned(digits: int) -> Codec:
    return pgtext.ZonedTimestampCodec(Schema(STRING), digits)


PAIRS = [
    ("bool", BOOL, "t", "01"), ("bool", BOOL, "f", "00"),
    ("int2", INT2, "-2", "fffe"), ("int4", INT4, "2147483647", "7fffffff"), ("int4", INT4, "-1", "ffffffff"),
    ("int8", INT8, "-9223372036854775808", "8000000000000000"), ("oid", OID, "4294967295", "ffffffff"),
    ("float4", FLOAT4, "1.1", "3f8ccccd"), ("float4", FLOAT4, "-Infinity", "ff800000"),
    ("float8", FLOAT8, "-1.5e+300", "fe41eb2d66005835"), ("float8", FLOAT8, "-0", "8000000000000000"),
    ("float8", FLOAT8, "5e-324", "0000000000000001"),
    ("numeric", decimal(3), "-12345.678", "0003000140000003000109291a7c"),
    ("numeric", decimal(8), "0.00000100", "0001fffe000000080064"),
    ("numeric", decimal(0), "100000000000000000000", "00010005000000000001"),
    ("numeric", decimal(2), "0.00", "0000000000000002"),
    ("uuid", TEXT, "0d2b9c8e-3f4a-4b5c-8d6e-7f8091a2b3c4", "0d2b9c8e3f4a4b5c8d6e7f8091a2b3c4"),
    ("bytea", BYTEA, "\\x00ff10", "00ff10"), ("bytea", BYTEA, "\\x", ""),
    ("jsonb", TEXT, '{"a": 1}', "017b2261223a20317d"), ("ltree", TEXT, "a.b", "01612e62"),
    ("date", DATE, "1969-12-31", "ffffd532"), ("date", DATE, "infinity", "7fffffff"),
    ("date", DATE, "-infinity", "80000000"), ("date", DATE, "0044-03-15 BC", "fff49d7b"),
    ("timestamptz", zoned(6), "2024-02-29 07:04:56.789012+00", "0002b57ea5468014"),
    ("timestamptz", zoned(3), "2000-01-01 00:00:00+00", "0000000000000000"),
    ("timestamptz", zoned(0), "1999-12-31 23:59:59.9+00", "fffffffffffe7960"),
    ("timestamptz", zoned(6), "infinity", "7fffffffffffffff"),
    ("timestamptz", zoned(3), "0044-03-15 00:00:00+00 BC", "ff1af9deec5b2000"),
    ("timestamptz", zoned(6), "294276-12-31 23:59:59.999999+00", "7fffff5bb3b29fff"),
    ("int4", INT_ARRAY, "{1,NULL,3}", "000000010000000100000017000000030000000100000004"
                                      "00000001ffffffff0000000400000003"),
    *[("time", time(unit), shown, binary) for unit in (MILLIS, MICROS, NANOS) for shown, binary in [
        ("24:00:00", "000000141dd76000"), ("12:34:56.789", "0000000a8be62608"),
        ("00:00:00.000001", "0000000000000001")]],
    *[("timestamp", timestamp(unit), shown, binary) for unit in (MILLIS, MICROS, NANOS) for shown, binary in [
        ("1969-12-31 23:59:59.999999", "fffca2fec4c81fff"), ("-infinity", "8000000000000000"),
        ("infinity", "7fffffffffffffff")]],
    ("timestamp", timestamp(MICROS), "0044-03-15 00:00:00 BC", "ff1af9deec5b2000"),
    ("timestamp", timestamp(MILLIS), "294276-12-31 23:59:59.999999", "7fffff5bb3b29fff"),
]
ANY_LENGTH = {"bytea", "jsonb", "ltree"}


def binary_of(name: str, codec: Codec) -> Codec:
    binary = pgbinary.binary_codec(name, codec, is_array=isinstance(codec, ArrayCodec))
    assert binary is not None
    return binary


def encoded(codec: Codec, data: bytes) -> bytes:
    out = Writer()
    codec.encode(out, b"<<<" + data + b">", 3, 3 + len(data))
    return out.take()


@pytest.mark.parametrize(("name", "codec", "text", "binary"), PAIRS)
def test_binary_reads_as_text_does(name: str, codec: Codec, text: str, binary: str) -> None:
    both, sent = binary_of(name, codec), bytes.fromhex(binary)
    assert both.value(b"<" + sent + b">", 1, 1 + len(sent)) == codec.value(text.encode(), 0, len(text))
    assert encoded(both, sent) == encoded(codec, text.encode())
    assert both.schema == codec.schema


@pytest.mark.parametrize(("name", "codec", "text", "binary"), [pair for pair in PAIRS if pair[0] not in ANY_LENGTH])
def test_any_other_length_is_refused(name: str, codec: Codec, text: str, binary: str) -> None:
    both, sent = binary_of(name, codec), bytes.fromhex(binary)
    for wrong in [sent[:size] for size in range(len(sent))] + [sent + b"\0"]:
        with pytest.raises(DecodeError):
            both.value(wrong, 0, len(wrong))
        with pytest.raises(DecodeError):
            encoded(both, wrong)


@pytest.mark.parametrize("bits", ["7ff8000000000000", "fff8000000000000", "7ff0000000000001"])
def test_every_nan_is_the_same(bits: str) -> None:
    assert encoded(binary_of("float8", FLOAT8), bytes.fromhex(bits)) == encoded(FLOAT8, b"NaN")
    short = struct.pack(">I", 0xFFC00001)
    assert encoded(binary_of("float4", FLOAT4), short) == encoded(FLOAT4, b"NaN")


@pytest.mark.parametrize(("name", "codec", "binary"), [
    ("numeric", decimal(2), "00000000c0000000"), ("numeric", decimal(2), "00000000d0000020"),
    ("numeric", decimal(1), "0002000000000002000103e7"), ("numeric", decimal(2), "00010000000000002710"),
    ("numeric", decimal(2), "000000000000fa00"), ("numeric", decimal(0), "0000000000004000"),
    ("bool", BOOL, "02"), ("jsonb", TEXT, ""), ("jsonb", TEXT, "027b7d"),
    ("time", time(MICROS), "000000141dd76001"), ("time", time(MICROS), "ffffffffffffffff"),
    ("timestamp", timestamp(MICROS), "7fffff5bb3b29fff"), ("timestamp", timestamp(NANOS), "7fffff5bb3b29fff"),
    ("timestamp", timestamp(NANOS), "ff1af9deec5b2000"),
])
def test_what_its_schema_cannot_hold_is_refused(name: str, codec: Codec, binary: str) -> None:
    both, sent = binary_of(name, codec), bytes.fromhex(binary)
    with pytest.raises(DecodeError):
        both.value(sent, 0, len(sent))
    with pytest.raises(DecodeError):
        encoded(both, sent)


def test_decimals_of_every_size_agree_with_their_values() -> None:
    rng = random.Random(5)
    for _ in range(3000):
        scale, count = rng.randint(0, 12), rng.randint(0, 7)
        groups = [rng.choice([0, 1, 9999, 10, 100, 5000, rng.randint(0, 9999)]) for _ in range(count)]
        weight = rng.randint(-3, 6)
        sent = struct.pack(f">HhHH{count}H", count, weight, rng.choice([0, 0x4000]), scale, *groups)
        both = binary_of("numeric", decimal(scale))
        try:
            value = both.value(sent, 0, len(sent))
        except DecodeError:
            continue
        if 4 * (count - weight - 1) <= scale:
            out = Writer()
            out.put_bytes(value)
            assert encoded(both, sent) == out.take()


def test_decimals_that_show_another_number_of_decimals_agree_with_their_values() -> None:
    for shown in (0, 1, 2, 3, 4, 0x3FFF):
        sent = struct.pack(">HhHH2H", 2, 0, 0, shown, 1, 900)
        both = binary_of("numeric", decimal(2))
        out = Writer()
        out.put_bytes(both.value(sent, 0, len(sent)))
        assert encoded(both, sent) == out.take()


def test_moments_agree_with_their_values() -> None:
    rng = random.Random(6)
    for digits in (0, 3, 6):
        both = binary_of("timestamptz", zoned(digits))
        for _ in range(2000):
            micros = rng.choice([rng.randint(-(2**57), 2**57), rng.randint(-(10**12), 10**12) * 1000])
            sent = struct.pack(">q", micros)
            out = Writer()
            out.put_text(both.value(sent, 0, 8))
            assert encoded(both, sent) == out.take()


def test_text_codecs_serve_types_whose_binary_form_is_text() -> None:
    assert binary_of("text", TEXT) is TEXT
    assert pgbinary.binary_codec("mood", TEXT, is_enum=True) is TEXT


def test_types_without_a_reader_have_none() -> None:
    assert pgbinary.binary_codec("box", TEXT) is None
    assert pgbinary.binary_codec("int4multirange", TEXT) is None
    assert pgbinary.binary_codec("box", INT_ARRAY, is_array=True) is None
