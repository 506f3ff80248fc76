# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Dates and times in row events, also those of the formats before MySQL 5.6.

Layouts: MySQL server source, sql-common/my_time.cc (`my_*_from_binary`); MariaDB, sql/compat56.cc. Zero and partial
dates raise NoValue.
"""

from __future__ import annotations

from typing import Any

import cython

from cdc.codecs.numbers import LongCodec
from cdc.codecs.time import DAY_US, clock_text, date_text, days_of, instant_text
from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError, NoValue
from cdc.core.schema import Schema

from .binary_numbers import bad_bytes

if not cython.compiled:  # when compiled, the .pxd imports these as C
    from cdc.codecs.numbers import in_unit

    from .binary_numbers import big_endian, little_endian

# When compiled these are C integers, because every value is compared with them.
_DAY_US = DAY_US
NO_TIME = -1 << 62
"""Returned instead of days or µs for a zero or partial date, which counts as no value."""
BAD_TIME = NO_TIME + 1
"""Returned instead of days or µs for bytes that are not a date or time."""


def no_date() -> NoValue:
    return NoValue("a zero or partial date")


def civil_days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01; NO_TIME if a part is zero, BAD_TIME if there is no such day."""
    if year == 0 or month == 0 or day == 0:
        return NO_TIME
    if not cython.compiled:
        try:
            return days_of(year, month, day)
        except ValueError:
            return BAD_TIME
    if month > 12 or day > 31 or (day > 28 and day > month_days(year, month)):
        return BAD_TIME
    return day_number(year, month, day)


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


class YearCodec(Codec):
    """YEAR: INT32, from one byte since 1900. *zero*: the value for the year 0000, which is stored as 0."""

    def __init__(self, schema: Schema, zero: int) -> None:
        Codec.__init__(self, schema)
        self.zero = zero

    def value(self, data: bytes, start: int, end: int) -> int:
        if end - start != 1:
            raise bad_bytes("year", end - start)
        return data[start] + 1900 if data[start] else self.zero


def iso_date(days: int) -> str:
    """`io.debezium.time.IsoDate`."""
    return date_text(days) + "Z"


def iso_time(micros: int) -> str:
    """`io.debezium.time.IsoTime` of µs since midnight."""
    return clock_text(micros) + "Z"
