# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Reads column bytes of MySQL's and MariaDB's row events, to Connect values and to Avro bytes, in C where it is faster.

The bytes of strings and blobs come without the length before them. Layouts: MySQL Source Code Documentation,
"Table_map_event: column types"; server sources sql-common/my_time.cc (`my_*_from_binary`), strings/decimal.cc
(`bin2decimal`), MariaDB sql/compat56.cc. `value` and `encode` give the same content. Zero and partial dates raise
NoValue. Bytes that are not a value of the type raise DecodeError.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import cython

from cdc.codecs.decimals import unscaled_bytes
from cdc.codecs.numbers import LongCodec, RealCodec
from cdc.codecs.time import DAY_US, clock_text, date_text, instant_text
from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError, NoValue
from cdc.core.schema import Schema

if not cython.compiled:  # when compiled, the .pxd imports this as C
    from cdc.codecs.numbers import in_unit

# When compiled these are C integers, because every value is compared with them.
_DAY_US = DAY_US
NO_TIME = -1 << 62
"""Returned instead of days or µs for a zero or partial date, which counts as no value."""
BAD_TIME = NO_TIME + 1
"""Returned instead of days or µs for bytes that are not a date or time."""

_DIGIT_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""How many bytes 0 to 9 decimal digits take (strings/decimal.cc, `dig2bytes`)."""


def bad_bytes(what: str, length: int) -> DecodeError:
    """The error for *length* bytes that are not a value of type *what*. It never shows them."""
    return DecodeError(f"invalid value of type {what} in a row event", length=length)


def no_date() -> NoValue:
    return NoValue("a zero or partial date")


def little_endian(p: bytes, at: int, end: int) -> int:
    """The unsigned integer of at most 8 bytes, low byte first. The caller has checked the range."""
    number = 0
    while end > at:
        end -= 1
        number = (number << 8) | p[end]
    return number


def big_endian(p: bytes, at: int, end: int) -> int:
    """As little_endian, with the high byte first."""
    number = 0
    while at < end:
        number = (number << 8) | p[at]
        at += 1
    return number


def civil_days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01, as `cdc.codecs.time.days_of`; NO_TIME if a part is zero, BAD_TIME if there is no such day.
    """
    if year == 0 or month == 0 or day == 0:
        return NO_TIME
    if month > 12 or day > 31 or (day > 28 and day > last_day(year, month)):
        return BAD_TIME
    if month <= 2:
        year -= 1
        month += 12
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month - 3) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def last_day(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


def full_year(year: int, adjust: bool) -> int:
    """`enable.time.adjuster`: the years 1 to 69 mean 2001 to 2069, and 70 to 99 mean 1970 to 1999."""
    if not adjust or year > 99 or year == 0:
        return year
    return year + 2000 if year < 70 else year + 1900


def clock_us(hour: int, minute: int, second: int) -> int:
    """µs of hours, minutes and seconds; BAD_TIME if minutes or seconds are more than 59."""
    if minute > 59 or second > 59:
        return BAD_TIME
    return (hour * 3600 + minute * 60 + second) * 1000000


def fraction_us(number: int, size: int) -> int:
    """µs of a fraction in *size* bytes: hundredths, ten-thousandths or millionths of a second."""
    if size == 1:
        return number * 10000
    return number * 100 if size == 2 else number


class LeIntCodec(LongCodec):
    """Integers of 1 to 8 bytes, little-endian. BIGINT UNSIGNED as INT64 wraps, as a Java long does."""

    def __init__(self, schema: Schema, size: int, unsigned: bool) -> None:
        Codec.__init__(self, schema)
        self.size = size
        self.unsigned = unsigned

    def number(self, data: bytes, start: int, end: int) -> int:
        if end - start != self.size:
            raise bad_bytes("integer", end - start)
        if cython.compiled:
            p = data
            bits = little_endian(p, start, end)
            if not self.unsigned and self.size < 8 and p[end - 1] > 127:
                return sign_extended(bits, 8 * self.size)  # noqa: F821
            return as_signed(bits)  # noqa: F821
        return int.from_bytes(data[start:end], "little", signed=not self.unsigned or self.size == 8)


class UnsignedDecimalCodec(Codec):
    """BIGINT UNSIGNED in bigint.unsigned.handling.mode precise: Decimal of scale 0."""

    def value(self, data: bytes, start: int, end: int) -> bytes:
        if end - start != 8:
            raise bad_bytes("integer", end - start)
        return unscaled_bytes(int.from_bytes(data[start:end], "little"))


class LeFloatCodec(RealCodec):
    """FLOAT (4 bytes) and DOUBLE (8 bytes) as FLOAT32 (*single*) or FLOAT64.

    A FLOAT as FLOAT32 is the number in its shortest text; as FLOAT64 it is widened, as Debezium does for FLOAT(m,d).
    """

    def number(self, data: bytes, start: int, end: int) -> float:
        if end - start != 4 and end - start != 8:
            raise bad_bytes("floating-point number", end - start)
        number: float
        if cython.compiled:
            p = data
            number = float_at(p, start) if end - start == 4 else double_at(p, start)  # noqa: F821
        else:
            number = struct.unpack_from("<f" if end - start == 4 else "<d", data, start)[0]
        return number

    def value(self, data: bytes, start: int, end: int) -> float:
        number = self.number(data, start, end)
        return shortest(number) if self.single else number


def shortest(number: float) -> float:
    """The number with the fewest digits that rounds to the same FLOAT; an infinity outside a FLOAT's range."""
    try:
        packed = struct.pack("<f", number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    single = struct.unpack("<f", packed)[0]
    for digits in (6, 7, 8, 9):
        text = f"{single:.{digits}g}"
        try:
            if struct.pack("<f", float(text)) == packed:
                return float(text)
        except OverflowError:
            continue
    return float(single)


class BinDecimalCodec(Codec):
    """DECIMAL(precision, scale) as Decimal. strings/decimal.cc, `bin2decimal`.

    The bytes are groups of 9 digits in 4 bytes, big-endian; the first group of the whole part and the last group of the
    fraction may be shorter. The first bit is set from zero on. In negative numbers all bits are inverted.
    """

    def __init__(self, schema: Schema, precision: int, scale: int) -> None:
        Codec.__init__(self, schema)
        self.precision = precision
        self.scale = scale
        head, tail = (precision - scale) % 9, scale % 9
        groups = (precision - scale) // 9 + scale // 9
        size = _DIGIT_BYTES[head] + 4 * groups + _DIGIT_BYTES[tail]
        self.groups = groups
        self.head_size = _DIGIT_BYTES[head]
        self.size = size
        self.head_limit = 10 ** head
        self.tail_limit = 10 ** tail
        self.sign_bit: int = 1 << 8 * size - 1
        self.all_bits: int = (1 << 8 * size) - 1
        self.short = precision <= 18

    def unscaled(self, data: bytes, start: int, end: int) -> int:
        """The number times 10**scale. Raises DecodeError."""
        if end - start != self.size:
            raise bad_bytes("decimal", end - start)
        raw = data[start:end]
        negative = raw[0] < 128
        bits = int.from_bytes(raw, "big") ^ self.sign_bit
        if negative:
            bits ^= self.all_bits
        raw = bits.to_bytes(self.size, "big")
        at = self.head_size
        number = int.from_bytes(raw[:at], "big")
        valid = number < self.head_limit
        for _ in range(self.groups):
            group = int.from_bytes(raw[at:at + 4], "big")
            valid = valid and group < 1000000000
            number = number * 1000000000 + group
            at += 4
        group = int.from_bytes(raw[at:], "big")
        if not valid or group >= self.tail_limit:
            raise bad_bytes("decimal", end - start)
        number = number * self.tail_limit + group
        return -number if negative else number

    def value(self, data: bytes, start: int, end: int) -> Any:
        return unscaled_bytes(self.unscaled(data, start, end))

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if not cython.compiled or not self.encode_short(out, data, start, end):
            out.put_bytes(unscaled_bytes(self.unscaled(data, start, end)))

    def encode_short(self, out: Writer, data: bytes, start: int, end: int) -> bool:
        """Write a number of at most 18 digits, in C only. For others write nothing and return False."""
        if not self.short or end - start != self.size:
            return False
        p = data
        mask = 0 if p[start] > 127 else 255
        number = 0
        at = start
        stop = start + self.head_size
        while at < stop:
            byte = p[at] ^ mask
            if at == start:
                byte ^= 128
            number = (number << 8) | byte
            at += 1
        if number >= self.head_limit:
            return False
        groups = self.groups
        while groups > 0:
            group = 0
            stop = at + 4
            while at < stop:
                byte = p[at] ^ mask
                if at == start:
                    byte ^= 128
                group = (group << 8) | byte
                at += 1
            if group > 999999999:
                return False
            number = number * 1000000000 + group
            groups -= 1
        group = 0
        while at < end:
            byte = p[at] ^ mask
            if at == start:
                byte ^= 128
            group = (group << 8) | byte
            at += 1
        if group >= self.tail_limit:
            return False
        number = number * self.tail_limit + group
        if mask:
            number = 0 - number
        out.put_integer(number)
        return True


class BytesCodec(Codec):
    """VARBINARY and BLOBs as BYTES, unchanged."""

    def value(self, data: bytes, start: int, end: int) -> bytes:
        return data[start:end]

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        out.put_slice(data, start, end)


class PaddedBytesCodec(Codec):
    """BINARY(*length*) as BYTES. The log leaves out trailing zero bytes; we add them."""

    def __init__(self, schema: Schema, length: int) -> None:
        Codec.__init__(self, schema)
        self.length = length

    def value(self, data: bytes, start: int, end: int) -> bytes:
        return data[start:end].ljust(self.length, b"\0")

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        missing = self.length - (end - start)
        if missing <= 0:
            out.put_slice(data, start, end)
        else:
            out.put_long(self.length)
            out.put_range(data, start, end)
            while missing > 0:
                out.put_byte(0)
                missing -= 1


class BitFlagCodec(Codec):
    """BIT(1) as BOOLEAN."""

    def truth(self, data: bytes, start: int, end: int) -> bool:
        if end - start != 1:
            raise bad_bytes("bit", end - start)
        p = data
        return p[start] != 0

    def value(self, data: bytes, start: int, end: int) -> bool:
        return bool(self.truth(data, start, end))

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        out.put_byte(1 if self.truth(data, start, end) else 0)


class BitsCodec(Codec):
    """BIT(n): `io.debezium.data.Bits`, all its BYTES, the last bits first."""

    def value(self, data: bytes, start: int, end: int) -> bytes:
        return data[start:end][::-1]


class LeDateCodec(LongCodec):
    """DATE: INT32 days since 1970-01-01. From the low end it has 5 bits of day, 4 of month, 15 of year."""

    def __init__(self, schema: Schema, adjust: bool) -> None:
        Codec.__init__(self, schema)
        self.adjust = adjust

    def number(self, data: bytes, start: int, end: int) -> int:
        if end - start != 3:
            raise bad_bytes("date", end - start)
        p = data
        bits = p[start] | p[start + 1] << 8 | p[start + 2] << 16
        days = civil_days(full_year(bits >> 9, self.adjust), bits >> 5 & 15, bits & 31)
        if days == NO_TIME:
            raise no_date()
        if days == BAD_TIME:
            raise bad_bytes("date", end - start)
        return days


class Time2Codec(LongCodec):
    """TIME: a span of up to 838:59:59, in *unit*. sql-common/my_time.cc, `my_time_packed_from_binary`.

    It is a big-endian number, offset by half its range. From the high end it has 2 unused bits, 10 of hours, 6 of
    minutes, 6 of seconds, then the fraction in 0 to 3 bytes.
    *old*: the format before MySQL 5.6, HHMMSS as a signed number of 3 bytes.
    *bounded*: a span that is not a time of day raises DecodeError (modes connect and isostring).
    """

    def __init__(self, schema: Schema, unit: int, bounded: bool = False, old: bool = False) -> None:
        Codec.__init__(self, schema)
        self.unit = unit
        self.bounded = bounded
        self.old = old

    def micros(self, data: bytes, start: int, end: int) -> int:
        size = end - start
        if size < 3 or size > 6 or (self.old and size != 3):
            raise bad_bytes("time", size)
        p = data
        if self.old:
            packed = little_endian(p, start, end)
            if packed > 8388607:
                packed -= 16777216
            span = packed if packed >= 0 else 0 - packed
            micros = clock_us(span // 10000, span // 100 % 100, span % 100)
        else:
            packed = 128
            packed = big_endian(p, start, end) - (packed << 8 * (size - 1))
            span = packed if packed >= 0 else 0 - packed
            clock = span >> 8 * (size - 3)
            micros = clock_us(clock >> 12 & 1023, clock >> 6 & 63, clock & 63)
            if micros != BAD_TIME:
                micros += fraction_us(span - (clock << 8 * (size - 3)), size - 3)
        if micros == BAD_TIME:
            raise bad_bytes("time", size)
        if packed < 0:
            micros = 0 - micros
        if self.bounded and (micros < 0 or micros > _DAY_US):
            raise DecodeError("the time is not a time of day")
        return micros

    def number(self, data: bytes, start: int, end: int) -> int:
        micros = self.micros(data, start, end)
        return in_unit(micros, self.unit)


class Datetime2Codec(LongCodec):
    """DATETIME: INT64 since 1970-01-01 00:00:00 on the same wall clock, in *unit*, rounded down to it.
    sql-common/my_time.cc, `my_datetime_packed_from_binary`.

    It is a big-endian number, offset by half its range. From the high end it has 17 bits of year * 13 + month, 5 of
    day, 5 of hours, 6 of minutes, 6 of seconds, then the fraction in 0 to 3 bytes.
    *old*: YYYYMMDDhhmmss as a number of 8 bytes, little-endian.
    """

    def __init__(self, schema: Schema, unit: int, adjust: bool, old: bool = False) -> None:
        Codec.__init__(self, schema)
        self.unit = unit
        self.adjust = adjust
        self.old = old

    def micros(self, data: bytes, start: int, end: int) -> int:
        size = end - start
        p = data
        fraction = 0
        if self.old:
            if size != 8:
                raise bad_bytes("datetime", size)
            bits = little_endian(p, start, end)
            if bits > 99991231235959:
                raise bad_bytes("datetime", size)
            date = bits // 1000000
            clock = bits - date * 1000000
            days = civil_days(full_year(date // 10000, self.adjust), date // 100 % 100, date % 100)
            hour = clock // 10000
            micros = clock_us(hour, clock // 100 % 100, clock % 100)
        else:
            if size < 5 or size > 8 or p[start] < 128:
                raise bad_bytes("datetime", size)
            bits = big_endian(p, start, start + 5) - 549755813888
            fraction = fraction_us(big_endian(p, start + 5, end), size - 5)
            date = bits >> 22
            days = civil_days(full_year(date // 13, self.adjust), date % 13, bits >> 17 & 31)
            hour = bits >> 12 & 31
            micros = clock_us(hour, bits >> 6 & 63, bits & 63)
        if days == NO_TIME:
            raise no_date()
        if days == BAD_TIME or micros == BAD_TIME or hour > 23 or fraction > 999999:
            raise bad_bytes("datetime", size)
        return days * _DAY_US + micros + fraction

    def number(self, data: bytes, start: int, end: int) -> int:
        micros = self.micros(data, start, end)
        return in_unit(micros, self.unit)


class Timestamp2Codec(Codec):
    """TIMESTAMP: STRING `YYYY-MM-DDTHH:MM:SS[.f]Z` with exactly *digits* fraction digits. sql-common/my_time.cc,
    `my_timestamp_from_binary`.

    It is seconds since 1970 in 4 bytes, big-endian and unsigned (MariaDB 11.5 goes to 2106), then the fraction in 0 to
    3 bytes. All zero is the zero date.
    *old*: 4 bytes, little-endian, without a fraction.
    """

    def __init__(self, schema: Schema, digits: int, old: bool = False) -> None:
        Codec.__init__(self, schema)
        self.digits = digits
        self.old = old

    def micros(self, data: bytes, start: int, end: int) -> int:
        size = end - start
        if size < 4 or size > 7 or (self.old and size != 4):
            raise bad_bytes("timestamp", size)
        p = data
        seconds = little_endian(p, start, end) if self.old else big_endian(p, start, start + 4)
        fraction = fraction_us(big_endian(p, start + 4, end), size - 4)
        if fraction > 999999:
            raise bad_bytes("timestamp", size)
        if seconds == 0 and fraction == 0:
            raise no_date()
        return seconds * 1000000 + fraction

    def value(self, data: bytes, start: int, end: int) -> Any:
        return fixed_instant(self.micros(data, start, end), self.digits)

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if cython.compiled:
            put_instant(out, self.micros(data, start, end), self.digits)
        else:
            out.put_text(fixed_instant(self.micros(data, start, end), self.digits))


def fixed_instant(micros: int, digits: int) -> str:
    """A time in UTC with *digits* fraction digits; further digits are cut."""
    cut = 10 ** (6 - digits)
    return instant_text(micros // cut * cut, digits)


def put_instant(out: Writer, micros: int, digits: int) -> None:
    """Append µs since 1970 as an Avro string with *digits* fraction digits; in C only."""
    days = micros // _DAY_US
    rest = micros - days * _DAY_US
    seconds = rest // 1000000
    fraction = rest - seconds * 1000000
    width = 6
    while width > digits:
        fraction //= 10
        width -= 1
    out.need(29)
    q = out.buf
    to = out.used
    q[to] = 2 * (21 + digits if digits else 20)
    put_date(q, to + 1, days + 719468)
    q[to + 11] = 84
    put_digits(q, to + 14, seconds // 3600, 2)
    q[to + 14] = 58
    put_digits(q, to + 17, seconds // 60 % 60, 2)
    q[to + 17] = 58
    put_digits(q, to + 20, seconds % 60, 2)
    to += 20
    if digits:
        q[to] = 46
        to += 1 + digits
        put_digits(q, to, fraction, digits)
    q[to] = 90
    out.used = to + 1


class YearCodec(Codec):
    """YEAR: INT32, from one byte since 1900. *zero*: the value for the year 0000, which is stored as 0."""

    def __init__(self, schema: Schema, zero: int) -> None:
        Codec.__init__(self, schema)
        self.zero = zero

    def value(self, data: bytes, start: int, end: int) -> int:
        if end - start != 1:
            raise bad_bytes("year", end - start)
        return data[start] + 1900 if data[start] else self.zero


class LabelCodec(Codec):
    """ENUM: STRING, the label of an index of 1 or 2 bytes, little-endian. Index 0 is the empty text."""

    def __init__(self, schema: Schema, labels: tuple[str, ...]) -> None:
        Codec.__init__(self, schema)
        self.labels = ("", *labels)
        self.texts = [label.encode() for label in self.labels]

    def index(self, data: bytes, start: int, end: int) -> int:
        if end - start != 1 and end - start != 2:
            raise bad_bytes("enum", end - start)
        p = data
        index = little_endian(p, start, end)
        if index >= len(self.texts):
            raise DecodeError("the ENUM has no label for this index", labels=len(self.texts) - 1)
        return index

    def value(self, data: bytes, start: int, end: int) -> str:
        return self.labels[self.index(data, start, end)]

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        out.put_bytes(self.texts[self.index(data, start, end)])


class LabelSetCodec(Codec):
    """SET: STRING, the labels of all bits that are set in 1 to 8 bytes, little-endian, joined by commas."""

    def __init__(self, schema: Schema, labels: tuple[str, ...]) -> None:
        Codec.__init__(self, schema)
        self.labels = labels
        self.known: dict[int, str] = {}

    def value(self, data: bytes, start: int, end: int) -> str:
        if not 1 <= end - start <= 8:
            raise bad_bytes("set", end - start)
        return self.of(int.from_bytes(data[start:end], "little"))

    def of(self, bits: int) -> str:
        found = self.known.get(bits)
        if found is None:
            if bits >> len(self.labels):
                raise DecodeError("the SET has no label for this bit", labels=len(self.labels))
            found = ",".join(label for place, label in enumerate(self.labels) if bits >> place & 1)
            if len(self.known) < 1000:
                self.known[bits] = found
        return found


class CharsetCodec(Codec):
    """STRING from a character set other than UTF-8. *decode* gives the text.

    *ascii*: bytes below 128 are ASCII characters, if there are no others.
    """

    def __init__(self, schema: Schema, decode: Callable[[bytes], str], ascii: bool) -> None:
        Codec.__init__(self, schema)
        self.decode = decode
        self.ascii = ascii

    def value(self, data: bytes, start: int, end: int) -> str:
        return self.decode(data[start:end])

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if cython.compiled and self.ascii:
            p = data
            if ascii_only(p, start, end):  # noqa: F821
                out.put_slice(data, start, end)
            else:
                out.put_text(self.decode(data[start:end]))
        else:
            out.put_text(self.decode(data[start:end]))


class GeometryCodec(Codec):
    """Geometries: `io.debezium.data.geometry.Geometry`: WKB, and the SRID from the 4 bytes before it; 0 means none."""

    def value(self, data: bytes, start: int, end: int) -> Any:
        if end - start < 9:
            raise bad_bytes("geometry", end - start)
        return data[start + 4:end], int.from_bytes(data[start:start + 4], "little", signed=True) or None


class PointCodec(Codec):
    """POINT: `io.debezium.data.geometry.Point`: x, y, WKB, SRID."""

    def value(self, data: bytes, start: int, end: int) -> Any:
        if end - start != 25 or data[start + 4] > 1:
            raise bad_bytes("point", end - start)
        order = "<" if data[start + 4] else ">"
        kind, x, y = struct.unpack_from(order + "Idd", data, start + 5)
        if kind != 1:
            raise bad_bytes("point", end - start)
        return x, y, data[start + 4:end], int.from_bytes(data[start:start + 4], "little", signed=True) or None


class FloatVectorCodec(Codec):
    """VECTOR: `io.debezium.data.FloatVector`, from numbers of four bytes, little-endian."""

    def value(self, data: bytes, start: int, end: int) -> list[float]:
        if (end - start) % 4:
            raise bad_bytes("vector", end - start)
        return list(struct.unpack(f"<{(end - start) // 4}f", data[start:end]))

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if (end - start) % 4:
            raise bad_bytes("vector", end - start)
        if end > start:
            out.put_long((end - start) // 4)
            out.put_range(data, start, end)
        out.put_byte(0)


class ReadAsCodec(Codec):
    """The result of *read*; for rare types and modes."""

    def __init__(self, schema: Schema, read: Callable[[bytes], Any]) -> None:
        Codec.__init__(self, schema)
        self.read = read

    def value(self, data: bytes, start: int, end: int) -> Any:
        return self.read(data[start:end])


class ShownCodec(Codec):
    """The value that *codec* reads, converted by *show* to another schema."""

    def __init__(self, schema: Schema, codec: Codec, show: Callable[[Any], Any]) -> None:
        Codec.__init__(self, schema)
        self.codec = codec
        self.show = show

    def value(self, data: bytes, start: int, end: int) -> Any:
        return self.show(self.codec.value(data, start, end))


def iso_date(days: int) -> str:
    """`io.debezium.time.IsoDate`."""
    return date_text(days) + "Z"


def iso_time(micros: int) -> str:
    """`io.debezium.time.IsoTime` of µs since midnight."""
    return clock_text(micros) + "Z"


def decimal_text(number: int, scale: int) -> str:
    """The digits of the unscaled *number*, with *scale* of them after the point."""
    digits = str(abs(number)).rjust(scale + 1, "0")
    sign = "-" if number < 0 else ""
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else sign + digits


class DecimalTextCodec(Codec):
    """DECIMAL in decimal.handling.mode string: STRING."""

    def __init__(self, schema: Schema, precision: int, scale: int) -> None:
        Codec.__init__(self, schema)
        self.decimals = BinDecimalCodec(schema, precision, scale)

    def value(self, data: bytes, start: int, end: int) -> str:
        return decimal_text(self.decimals.unscaled(data, start, end), self.decimals.scale)


class DecimalDoubleCodec(Codec):
    """DECIMAL in decimal.handling.mode double: the nearest FLOAT64."""

    def __init__(self, schema: Schema, precision: int, scale: int) -> None:
        Codec.__init__(self, schema)
        self.decimals = BinDecimalCodec(schema, precision, scale)

    def value(self, data: bytes, start: int, end: int) -> float:
        return float(decimal_text(self.decimals.unscaled(data, start, end), self.decimals.scale))
