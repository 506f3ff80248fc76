"""Row events' bytes: both ways of a codec agree, bounds hold, and wrong bytes are errors."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest

from cdc.codecs.mysql.binary import (
    BitFlagCodec,
    BitsCodec,
    CharsetCodec,
    FloatVectorCodec,
    GeometryCodec,
    LabelCodec,
    LabelSetCodec,
    PaddedBytesCodec,
    PointCodec,
)
from cdc.codecs.mysql.binary_numbers import (
    _DIGIT_BYTES,
    BinDecimalCodec,
    LeFloatCodec,
    LeIntCodec,
)
from cdc.codecs.mysql.binary_times import (
    Datetime2Codec,
    LeDateCodec,
    Time2Codec,
    Timestamp2Codec,
    YearCodec,
)
from cdc.codecs.mysql.charsets import charset
from cdc.codecs.mysql.text import (
    TextDateCodec,
    TextDatetimeCodec,
    TextFloatCodec,
    TextIntCodec,
    TextLabelCodec,
    TextLabelSetCodec,
    TextTimeCodec,
    TextTimestampCodec,
    TextUnsignedDecimalCodec,
    TextYearCodec,
)
from cdc.codecs.time import MICROS, MILLIS, NANOS
from cdc.core.avro import Writer, write_value
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError, NoValue
from cdc.core.schema import ARRAY, BOOLEAN, BYTES, FLOAT32, FLOAT64, INT16, INT32, INT64, STRING, Schema

_LONG, _TEXT, _BYTES = Schema(INT64), Schema(STRING), Schema(BYTES)


def read(codec: Codec, raw: bytes | str) -> Any:
    """The value, having seen that `encode` writes the same, with other bytes around."""
    data = bytes.fromhex(raw) if isinstance(raw, str) else raw
    around = b"9\xff" + data + b"\xff9"
    value = codec.value(around, 2, 2 + len(data))
    written, expected = Writer(), Writer()
    codec.encode(written, around, 2, 2 + len(data))
    write_value(expected, codec.schema, value)
    assert written.take() == expected.take()
    return value


def refused(codec: Codec, raw: bytes | str, error: type[DecodeError] = DecodeError) -> None:
    """Both ways raise *error*, and say nothing of the bytes."""
    data = bytes.fromhex(raw) if isinstance(raw, str) else raw
    for way in (lambda: codec.value(data, 0, len(data)), lambda: codec.encode(Writer(), data, 0, len(data))):
        with pytest.raises(DecodeError) as caught:
            way()
        assert isinstance(caught.value, error)
        assert len(data) < 3 or data.hex() not in str(caught.value)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("unsigned", [False, True])
def test_integers_at_their_limits(size: int, unsigned: bool) -> None:
    codec = LeIntCodec(_LONG, size, unsigned)
    for raw in (b"\0" * size, b"\xff" * size, b"\xff" * (size - 1) + b"\x7f", b"\0" * (size - 1) + b"\x80"):
        assert read(codec, raw) == int.from_bytes(raw, "little", signed=not unsigned or size == 8)
    refused(codec, b"\0" * (size + 1))
    refused(codec, b"")


def test_floats_have_the_value_of_their_shortest_text() -> None:
    assert read(LeFloatCodec(Schema(FLOAT32), True), struct.pack("<f", 0.1)) == 0.1
    assert read(LeFloatCodec(Schema(FLOAT64), False), struct.pack("<f", 0.1)) == 0.10000000149011612
    assert read(LeFloatCodec(Schema(FLOAT64), False), struct.pack("<d", -1e308)) == -1e308
    assert read(LeFloatCodec(Schema(FLOAT32), True), struct.pack("<d", 1e308)) == float("inf")
    refused(LeFloatCodec(Schema(FLOAT32), True), "000000")


def decimal_bytes(number: int, precision: int, scale: int) -> bytes:
    """As the server packs it (strings/decimal.cc, `decimal2bin`)."""
    sizes = _DIGIT_BYTES
    digits = str(abs(number)).rjust(precision, "0")
    whole, fraction = digits[:precision - scale], digits[precision - scale:]
    head = len(whole) % 9
    groups = [whole[:head], *(whole[at:at + 9] for at in range(head, len(whole), 9)),
              *(fraction[at:at + 9] for at in range(0, len(fraction), 9))]
    raw = bytearray(b"".join(int(group).to_bytes(sizes[len(group)], "big") for group in groups if group))
    raw[0] ^= 0x80
    return bytes(byte ^ 0xFF for byte in raw) if number < 0 else bytes(raw)


@pytest.mark.parametrize(("precision", "scale"), [
    (1, 0), (1, 1), (9, 0), (9, 9), (10, 0), (10, 5), (18, 0), (18, 9), (18, 18), (19, 9), (27, 3), (65, 30), (65, 0),
])
def test_decimals_of_every_size(precision: int, scale: int) -> None:
    codec = BinDecimalCodec(_BYTES, precision, scale)
    pick = random.Random(precision * 100 + scale)
    numbers = [0, 1, 10 ** precision - 1, *(pick.randrange(10 ** pick.randint(1, precision)) for _ in range(50))]
    for number in [*numbers, *(-number for number in numbers if number)]:
        value = read(codec, decimal_bytes(number, precision, scale))
        assert int.from_bytes(value, "big", signed=True) == number
        assert len(value) == (number if number >= 0 else ~number).bit_length() // 8 + 1
    refused(codec, b"\x80" * (codec.size + 1))


def test_decimal_groups_beyond_their_digits_are_refused() -> None:
    refused(BinDecimalCodec(_BYTES, 9, 0), "ffffffff")
    refused(BinDecimalCodec(_BYTES, 27, 0), "80000000" "ffffffff" "00000000")


@pytest.mark.parametrize(("raw", "micros"), [
    ("800000", 0), ("80c8b8", 45296000000), ("b46efb", 3020399000000), ("4b9105", -3020399000000),
    ("7ffffff6", -100000), ("7fffff", -1000000), ("80c8b81ed2", 45296789000), ("80c8b80c0a14", 45296789012),
    ("7fffffffffff", -1), ("7ffffffff0bdc1", None),
])
def test_times(raw: str, micros: int | None) -> None:
    codec = Time2Codec(_LONG, MICROS)
    if micros is None:
        refused(codec, raw)
    else:
        assert read(codec, raw) == micros
        assert read(Time2Codec(_LONG, NANOS), raw) == micros * 1000


def test_times_of_day_only_where_asked() -> None:
    codec = Time2Codec(Schema(INT32), MILLIS, bounded=True)
    assert read(codec, "80c8b8") == 45296000
    refused(codec, "4b9105")
    refused(codec, "b46efb")


def test_old_temporal_formats() -> None:
    assert read(Time2Codec(_LONG, MICROS, old=True), (8385959).to_bytes(3, "little")) == 3020399000000
    assert read(Time2Codec(_LONG, MICROS, old=True), (-8385959).to_bytes(3, "little", signed=True)) == -3020399000000
    refused(Time2Codec(_LONG, MICROS, old=True), (9999).to_bytes(3, "little"))
    moment = (20240229123456).to_bytes(8, "little")
    assert read(Datetime2Codec(_LONG, MILLIS, True, old=True), moment) == 1709210096000
    refused(Datetime2Codec(_LONG, MILLIS, True, old=True), (20241301000000).to_bytes(8, "little"))
    refused(Datetime2Codec(_LONG, MILLIS, True, old=True), bytes(8), NoValue)
    assert read(Timestamp2Codec(_TEXT, 0, old=True), (1).to_bytes(4, "little")) == "1970-01-01T00:00:01Z"


@pytest.mark.parametrize(("raw", "expected"), [
    ("99b2bac8b8", 1709210096000000), ("99b2bac8b8" "1ed2", 1709210096789000), ("8cb2420000", -30610224000000000),
    ("fef3ffffff" "0f423f", None), ("fef3f7efbb" "0f423f", None), ("0000000000", None),
])
def test_datetimes(raw: str, expected: int | None) -> None:
    codec = Datetime2Codec(_LONG, MICROS, True)
    if expected is None:
        with pytest.raises(DecodeError):
            read(codec, raw)
    else:
        assert read(codec, raw) == expected
        assert read(Datetime2Codec(_LONG, MILLIS, True), raw) == expected // 1000


def test_datetimes_beyond_nanoseconds_are_refused() -> None:
    refused(Datetime2Codec(_LONG, NANOS, True), datetime_bytes(1000, 1, 1))


def datetime_bytes(year: int, month: int, day: int) -> bytes:
    return ((((year * 13 + month) << 5 | day) << 17) + (1 << 39)).to_bytes(5, "big")


@pytest.mark.parametrize("date", [(0, 0, 0), (2024, 0, 0), (2024, 2, 0), (0, 2, 3)])
def test_zero_and_partial_dates_are_no_value(date: tuple[int, int, int]) -> None:
    year, month, day = date
    refused(Datetime2Codec(_LONG, MICROS, True), datetime_bytes(*date), NoValue)
    refused(LeDateCodec(Schema(INT32), True), (year << 9 | month << 5 | day).to_bytes(3, "little"), NoValue)
    text = f"{year:04d}-{month:02d}-{day:02d}".encode()
    refused(TextDateCodec(Schema(INT32), True), text, NoValue)
    refused(TextDatetimeCodec(_LONG, MICROS, True), text + b" 00:00:00", NoValue)


@pytest.mark.parametrize("date", [(2023, 2, 29), (2024, 4, 31)])
def test_impossible_dates_are_errors_and_not_null(date: tuple[int, int, int]) -> None:
    with pytest.raises(DecodeError) as caught:
        read(Datetime2Codec(_LONG, MICROS, True), datetime_bytes(*date))
    assert not isinstance(caught.value, NoValue)


@pytest.mark.parametrize(("raw", "digits", "expected"), [
    ("65e07b70", 0, "2024-02-29T12:41:20Z"), ("65e07b701ed2", 3, "2024-02-29T12:41:20.789Z"),
    ("65e07b700a", 2, "2024-02-29T12:41:20.10Z"), ("65e07b700c0a14", 6, "2024-02-29T12:41:20.789012Z"),
    ("ffffffff", 0, "2106-02-07T06:28:15Z"), ("00000000000001", 6, "1970-01-01T00:00:00.000001Z"),
])
def test_timestamps_have_their_columns_digits(raw: str, digits: int, expected: str) -> None:
    assert read(Timestamp2Codec(_TEXT, digits), raw) == expected


def test_zero_timestamp_is_no_value() -> None:
    refused(Timestamp2Codec(_TEXT, 0), "00000000", NoValue)
    refused(Timestamp2Codec(_TEXT, 6), "00000000000000", NoValue)
    refused(TextTimestampCodec(_TEXT, 0), b"0000-00-00 00:00:00", NoValue)


def test_every_day_of_four_centuries() -> None:
    codec, text = LeDateCodec(Schema(INT32), False), TextDateCodec(Schema(INT32), False)
    days = -719162
    for year in (*range(1, 5), *range(1899, 2105), *range(9990, 10000)):
        found = [read(codec, (year << 9 | month << 5 | 1).to_bytes(3, "little")) for month in range(1, 13)]
        assert found == [read(text, f"{year:04d}-{month:02d}-01".encode()) for month in range(1, 13)]
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        assert found[11] - found[0] == 334 + leap
        days = found[0]
    assert days == 2932532


@pytest.mark.parametrize("codec", [
    LeIntCodec(_LONG, 4, False), BinDecimalCodec(_BYTES, 18, 4), Time2Codec(_LONG, MICROS),
    Datetime2Codec(_LONG, MICROS, True), Timestamp2Codec(_TEXT, 6), LeDateCodec(Schema(INT32), True),
    LeFloatCodec(Schema(FLOAT64), False), LabelCodec(_TEXT, ("a",)), LabelSetCodec(_TEXT, ("a",)),
    BitFlagCodec(Schema(BOOLEAN)), YearCodec(Schema(INT32), 0), PointCodec(_TEXT), GeometryCodec(_TEXT),
    TextIntCodec(_LONG, 8, False), TextDatetimeCodec(_LONG, MICROS, True), TextTimeCodec(_LONG, MICROS),
    TextTimestampCodec(_TEXT, 3), TextFloatCodec(Schema(FLOAT64), False, False), TextYearCodec(Schema(INT32), 0),
])
def test_any_bytes_are_a_value_or_an_error(codec: Codec) -> None:
    pick = random.Random(7)
    for size in range(30):
        for _ in range(20):
            data = pick.randbytes(size) if pick.random() < 0.5 else bytes(pick.choices(b"0123456789-: .", k=size))
            try:
                codec.value(data, 0, size)
            except DecodeError:
                with pytest.raises(DecodeError):
                    codec.encode(Writer(), data, 0, size)


def test_binary_gets_its_padding_back() -> None:
    assert read(PaddedBytesCodec(_BYTES, 4), b"\1\2") == b"\1\2\0\0"
    assert read(PaddedBytesCodec(_BYTES, 2), b"\1\2") == b"\1\2"
    assert read(PaddedBytesCodec(_BYTES, 3), b"") == b"\0\0\0"


def test_bits_come_last_byte_first() -> None:
    assert read(BitsCodec(_BYTES), "0102") == b"\2\1"
    assert read(BitFlagCodec(Schema(BOOLEAN)), "01") is True


def test_labels_by_index_and_by_bits() -> None:
    many = tuple(f"l{number}" for number in range(300))
    assert read(LabelCodec(_TEXT, many), (300).to_bytes(2, "little")) == "l299"
    assert read(LabelCodec(_TEXT, many), b"\0\0") == ""
    refused(LabelCodec(_TEXT, many), (301).to_bytes(2, "little"))
    assert read(LabelSetCodec(_TEXT, many[:64]), b"\1" + bytes(6) + b"\x80") == "l0,l63"
    refused(LabelSetCodec(_TEXT, ("a",)), "02")
    assert read(TextLabelCodec(_TEXT, many), b"300") == "l299"
    refused(TextLabelCodec(_TEXT, many), b"301")
    assert read(TextLabelSetCodec(_TEXT, many[:64]), b"9223372036854775809") == "l0,l63"


def test_years() -> None:
    assert [read(YearCodec(Schema(INT32), 1900), raw) for raw in ("00", "01", "ff")] == [1900, 1901, 2155]
    assert [read(TextYearCodec(Schema(INT32), 2000), raw) for raw in (b"0000", b"1901")] == [2000, 1901]


def test_vectors_are_copied() -> None:
    codec = FloatVectorCodec(Schema(ARRAY, items=Schema(FLOAT32)))
    assert read(codec, struct.pack("<3f", 1, -2.5, 0)) == [1, -2.5, 0]
    assert read(codec, b"") == []
    refused(codec, "000000")


def test_geometries() -> None:
    wkb = struct.pack("<BIdd", 1, 1, 1.5, -2.5)
    assert GeometryCodec(_TEXT).value(b"\0\0\0\0" + wkb, 0, 25) == (wkb, None)
    assert PointCodec(_TEXT).value(b"\xe6\x10\0\0" + wkb, 0, 25) == (1.5, -2.5, wkb, 4326)
    with pytest.raises(DecodeError):
        PointCodec(_TEXT).value(b"\0\0\0\0\1\2" + wkb[2:], 0, 25)


@pytest.mark.parametrize(("name", "raw", "text"), [
    ("latin1", "e9e0" "80", "éà€"), ("latin1", "81", "\x81"), ("ucs2", "004165e5", "A日"), ("utf16", "d83dde00", "😀"),
    ("utf32", "0001f600", "😀"), ("utf16le", "4100", "A"), ("sjis", "93fa967b41", "日本A"), ("gbk", "c4e3bac3", "你好"),
    ("big5", "a741" "f9d6", "你碁"), ("ujis", "c6fc" "f5a1", "日\ue000"), ("eucjpms", "ada1" "c6fc", "①日"),
    ("swe7", "5b5c5d", "ÄÖÅ"), ("geostd8", "c041", "აA"), ("armscii8", "b2", "Ա"), ("dec8", "d7", "Œ"),
    ("keybcs2", "80", "Č"), ("cp866", "fc", "ⁿ"), ("hebrew", "e0", "א"), ("cp1251", "98", "\ufffd"),
])
def test_charsets_are_read_as_the_server_does(name: str, raw: str, text: str) -> None:
    known = charset(name)
    assert known is not None
    assert read(CharsetCodec(_TEXT, known.decode, known.ascii), raw) == text


def test_ascii_is_itself_in_sets_that_say_so() -> None:
    low = bytes(range(128))
    for name in ("latin1", "sjis", "gbk", "big5", "ujis", "eucjpms", "cp1251", "armscii8", "euckr", "tis620"):
        known = charset(name)
        assert known is not None
        assert known.ascii
        assert read(CharsetCodec(_TEXT, known.decode, True), low) == low.decode()


def test_unknown_charset_is_none() -> None:
    assert charset("klingon") is None


@pytest.mark.parametrize(("size", "unsigned", "text", "expected"), [
    (8, True, b"18446744073709551615", -1), (8, True, b"00000000000000000000000042", 42), (1, False, b"-128", -128),
    (8, False, b"-9223372036854775808", -(1 << 63)), (4, True, b"4294967295", 4294967295),
])
def test_integer_texts(size: int, unsigned: bool, text: bytes, expected: int) -> None:
    assert read(TextIntCodec(_LONG, size, unsigned), text) == expected


@pytest.mark.parametrize(("size", "unsigned", "text"), [
    (8, True, b"18446744073709551616"), (8, True, b"99999999999999999999"), (8, False, b"9223372036854775808"),
    (1, False, b"128"), (1, False, b"-129"), (1, True, b"-1"), (4, False, b""), (4, False, b"-"), (4, False, b"1.0"),
    (4, False, b"+1"),
])
def test_texts_that_are_no_such_integer(size: int, unsigned: bool, text: bytes) -> None:
    refused(TextIntCodec(_LONG, size, unsigned), text)


@pytest.mark.parametrize(("text", "micros"), [
    (b"00:00:00", 0), (b"-838:59:59.000000", -3020399000000), (b"838:59:59", 3020399000000),
    (b"-00:00:00.001", -1000), (b"12:34:56.7", 45296700000),
])
def test_time_texts(text: bytes, micros: int) -> None:
    assert read(TextTimeCodec(_LONG, MICROS), text) == micros


@pytest.mark.parametrize("text", [b"", b"-", b"12:34", b"12:60:00", b"12:34:56.", b"12:34:56.1234567", b"1234:00:00"])
def test_texts_that_are_no_time(text: bytes) -> None:
    refused(TextTimeCodec(_LONG, MICROS), text)


@pytest.mark.parametrize(("text", "digits", "expected"), [
    (b"2024-02-29 12:34:56.100", 0, "2024-02-29T12:34:56.1Z"),
    (b"2024-02-29 12:34:56.100", 3, "2024-02-29T12:34:56.100Z"),
    (b"2024-02-29 12:34:56", 0, "2024-02-29T12:34:56Z"), (b"2024-02-29 12:34:56.000000", 0, "2024-02-29T12:34:56Z"),
])
def test_timestamp_texts(text: bytes, digits: int, expected: str) -> None:
    assert read(TextTimestampCodec(_TEXT, digits), text) == expected


def test_float_texts() -> None:
    assert read(TextFloatCodec(Schema(FLOAT32), True, True), b"0.10000000149011612") == 0.1
    assert read(TextFloatCodec(Schema(FLOAT64), False, False), b"1.7976931348623157e308") == 1.7976931348623157e308
    refused(TextFloatCodec(Schema(FLOAT64), False, False), b"nan")


def test_unsigned_decimal_texts() -> None:
    assert read(TextUnsignedDecimalCodec(_BYTES), b"18446744073709551615") == b"\0" + b"\xff" * 8
    refused(TextUnsignedDecimalCodec(_BYTES), b"18446744073709551616")


def test_small_schemas_take_small_numbers() -> None:
    assert read(LeIntCodec(Schema(INT16), 1, True), "ff") == 255
