"""The codecs in C write the bytes of the Python codecs, or refuse: over whole, cut and changed values."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from cdc import native
from cdc.codecs.mysql import binary, binary_numbers, binary_times, text
from cdc.codecs.mysql.charsets import charset
from cdc.codecs.native import native_op
from cdc.codecs.text import DecimalCodec, TextCodec
from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError, NoValue
from cdc.core.schema import ARRAY, BOOLEAN, BYTES, FLOAT32, FLOAT64, INT32, INT64, STRING, Schema
from tests.unit.codecs.mysql.test_binary import decimal_bytes

records = native.module("records")
pytestmark = pytest.mark.skipif(records is None, reason="no native modules were built")

LONG, INT, TEXT, RAW, BOOL = Schema(INT64), Schema(INT32), Schema(STRING), Schema(BYTES), Schema(BOOLEAN)
DOUBLE, SINGLE = Schema(FLOAT64), Schema(FLOAT32)
SIZES = (1, 2, 3, 4, 8)
LABELS = ("", "a", "größe", "x\\,y", "z" * 300)
Bytes = Callable[[random.Random], bytes]


def some(*sizes: int) -> Bytes:
    """Random bytes, many of them at a limit."""
    return lambda pick: bytes(pick.choice((0, 127, 128, 255, pick.randrange(256))) for _ in range(pick.choice(sizes)))


def texts(*known: str) -> Bytes:
    return lambda pick: pick.choice(known).encode()


def decimals(precision: int, scale: int) -> Bytes:
    return lambda pick: decimal_bytes(
        pick.choice((1, -1)) * pick.randrange(10 ** pick.randint(1, precision)), precision, scale)


def characters(pick: random.Random) -> bytes:
    ranges = ((0, 128), (0, 0x800), (0x800, 0xD800), (0xE000, 0x10000), (0x10000, 0x110000))
    return "".join(chr(pick.randrange(*pick.choice(ranges))) for _ in range(pick.randrange(12))).encode()


def datetimes(fraction: int) -> Bytes:
    def made(pick: random.Random) -> bytes:
        bits = (pick.randrange(10000) * 13 + pick.randrange(13)) << 22 | pick.randrange(1 << 22)
        return (bits | 1 << 39).to_bytes(5, "big") + pick.randrange(10 ** (2 * fraction)).to_bytes(fraction, "big")

    return made


NUMBERS = texts("0", "-1", "127", "-128", "128", "-129", "255", "256", "00042", "-0", "9223372036854775807",
                "-9223372036854775808", "9223372036854775808", "18446744073709551615", "18446744073709551616",
                "16777215")
DATES = texts("2024-02-29", "2023-02-29", "0000-00-00", "0001-01-01", "2024-00-10", "9999-12-31", "0070-01-01")
MOMENTS = texts("2024-05-01 10:20:30", "2024-05-01 10:20:30.123456", "2024-05-01 10:20:30.1", "0000-00-00 00:00:00",
                "1969-12-31 23:59:59", "1970-01-01 00:00:00", "9999-12-31 23:59:59.999999", "0069-01-01 00:00:00.5")
TIMES = texts("838:59:59", "-838:59:59.999999", "24:00:00", "24:00:00.000001", "10:11:12.5", "-00:00:01",
              "-00:00:00.0001")
FLOATS = texts("0", "-0", "0.1", "1.5e300", "-1e-7", "3.4028235e38", "3.5e38", "12345678901234567",
               "0.30000000000000004")


def cases() -> Iterator[tuple[Codec, Bytes]]:
    for size in SIZES:
        for unsigned in (False, True):
            yield binary_numbers.LeIntCodec(LONG, size, unsigned), some(size)
            yield text.TextIntCodec(LONG, size, unsigned), NUMBERS
    yield binary.ShownCodec(BOOL, binary_numbers.LeIntCodec(INT, 1, False), bool), some(1)
    yield binary.ShownCodec(BOOL, text.TextIntCodec(INT, 1, False), bool), NUMBERS
    yield binary_numbers.UnsignedDecimalCodec(RAW), some(8)
    for size in (4, 8):
        yield binary_numbers.LeFloatCodec(SINGLE, True), some(size)
        yield binary_numbers.LeFloatCodec(DOUBLE, False), some(size)
    for precision, scale in ((1, 0), (1, 1), (9, 9), (10, 2), (18, 0), (18, 9), (19, 9), (27, 3), (65, 30)):
        yield binary_numbers.BinDecimalCodec(RAW, precision, scale), decimals(precision, scale)
        yield binary_numbers.DecimalTextCodec(TEXT, precision, scale), decimals(precision, scale)
        yield binary_numbers.DecimalDoubleCodec(DOUBLE, precision, scale), decimals(precision, scale)
    yield binary.BytesCodec(RAW), some(0, 1, 300)
    yield binary.PaddedBytesCodec(RAW, 16), some(0, 15, 16, 17)
    yield binary.BitFlagCodec(BOOL), some(1)
    yield binary.BitsCodec(RAW), some(*range(9))
    yield from times()
    yield binary_times.YearCodec(INT, 1900), some(1)
    yield text.TextYearCodec(INT, 2000), texts("0000", "1901", "2155")
    for labels in (LABELS, tuple(map(str, range(64)))):
        yield binary.LabelCodec(TEXT, labels), some(1)
        yield binary.LabelSetCodec(TEXT, labels), some(1, 8)
        yield text.TextLabelCodec(TEXT, labels), texts("0", "1", "5", "6", "64", "65", "00001")
        yield text.TextLabelSetCodec(TEXT, labels), texts("0", "1", "3", "31", "32", "18446744073709551615")
    for name in ("latin1", "ascii", "cp1251", "koi8u", "greek", "swe7", "dec8", "gbk", "utf16", "big5"):
        known = charset(name)
        assert known is not None
        yield binary.CharsetCodec(TEXT, known.decode, known.ascii), some(0, 1, 9)
    yield binary.FloatVectorCodec(Schema(ARRAY, items=SINGLE)), some(0, 4, 8)
    yield TextCodec(TEXT), characters
    yield DecimalCodec(RAW, 2), texts("0.00", "-1.25", "99999999999999.99", "123456789012345678901.00", "1")
    for single, narrow in ((True, True), (True, False), (False, False), (False, True)):
        yield text.TextFloatCodec(SINGLE if single else DOUBLE, single, narrow), FLOATS


def times() -> Iterator[tuple[Codec, Bytes]]:
    for adjust in (False, True):
        yield binary_times.LeDateCodec(INT, adjust), some(3)
        yield text.TextDateCodec(INT, adjust), DATES
        for unit in (0, 1, 2):
            for fraction in range(4):
                yield binary_times.Datetime2Codec(LONG, unit, adjust), datetimes(fraction)
                yield binary_times.Time2Codec(LONG, unit, adjust), some(3 + fraction)
            yield text.TextDatetimeCodec(LONG, unit, adjust), MOMENTS
            yield text.TextTimeCodec(LONG, unit, adjust), TIMES
    for digits in range(7):
        yield binary_times.Timestamp2Codec(TEXT, digits), some(4 + (digits + 1) // 2)
        yield text.TextTimestampCodec(TEXT, digits), MOMENTS


def by_python(codec: Codec, data: bytes) -> bytes | str | None:
    out = Writer()
    try:
        codec.encode(out, data, 0, len(data))
    except NoValue:
        return ""
    except (DecodeError, ValueError, OverflowError, ArithmeticError, IndexError):
        return None
    return out.take()


def variants(data: bytes, pick: random.Random) -> Iterator[bytes]:
    yield data
    for end in range(min(len(data), 30)):
        yield data[:end]
    yield data + bytes((pick.randrange(256),))
    for at in range(min(len(data), 30)):
        for other in (0, 0x30, 0x39, 0x3A, 0x80, 0xFF, pick.randrange(256)):
            yield data[:at] + bytes((other,)) + data[at + 1:]


def test_each_codec_writes_the_same_bytes_or_refuses() -> None:
    pick = random.Random(11)
    written: dict[str, int] = {}
    for codec, make in cases():
        op = native_op(codec)
        if op is None:
            continue
        for _ in range(6):
            for data in variants(make(pick), pick):
                found = records.written(op, data)
                if found is not None:
                    assert found == by_python(codec, data), (op[:3], data)
                    written[op[0]] = written.get(op[0], 0) + 1
    missing = {name for name in records.OPS if name.startswith("mysql")} - set(written)
    assert missing == set()


@pytest.mark.parametrize(("codec", "data"), [
    (binary_numbers.LeIntCodec(LONG, 8, True), b"\xff" * 8),
    (binary_numbers.BinDecimalCodec(RAW, 30, 2), decimal_bytes(-123, 30, 2)),
    (binary_times.LeDateCodec(INT, False), b"\0\0\0"), (binary_times.Timestamp2Codec(TEXT, 6), b"\x65\0\0\0\x01\0\0"),
    (binary_times.Datetime2Codec(LONG, 2, False), bytes.fromhex("99b0c6a51e000001")),
    (text.TextDatetimeCodec(LONG, 1, False), b"0000-00-00 00:00:00"), (TextCodec(TEXT), "größe".encode()),
    (binary.CharsetCodec(TEXT, charset("latin1").decode, True), b"gr\xf6\xdfe"),  # type: ignore[union-attr]
])
def test_common_values_are_not_refused(codec: Codec, data: bytes) -> None:
    op = native_op(codec)
    assert op is not None
    assert records.written(op, data) == by_python(codec, data) is not None


def test_formats_before_mysql_5_6_and_multibyte_character_sets_stay_with_python() -> None:
    chinese = charset("gbk")
    assert chinese is not None
    for codec in (binary_times.Time2Codec(LONG, 1, False, True), binary_times.Datetime2Codec(LONG, 1, False, True),
                  binary_times.Timestamp2Codec(TEXT, 0, True),
                  binary.CharsetCodec(TEXT, chinese.decode, chinese.ascii)):
        assert native_op(codec) is None
