"""PostgreSQL's date and time texts, every form of them (DateStyle ISO, IntervalStyle postgres).

The common form, years 1 to 9999 in UTC, has a fast path in `pgtext`; here is the rest: years before Christ and
beyond 9999, zone offsets, infinities, intervals. Server source src/backend/utils/adt/datetime.c: `EncodeDateOnly`,
`EncodeDateTime`, `EncodeInterval`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cdc.core.errors import DecodeError

DAY_US = 86_400_000_000

MILLIS = 0
MICROS = 1
NANOS = 2

_DATE = re.compile(rb"(\d{4,7})-(\d\d)-(\d\d)( BC)?")
_TIMESTAMP = re.compile(
    rb"(\d{4,7}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,6})?)([+-]\d\d(?::\d\d(?::\d\d)?)?)?( BC)?")
_CLOCK = re.compile(rb"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_OFFSET = re.compile(rb"([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?")
_ZONED_CLOCK = re.compile(rb"(\d\d:\d\d:\d\d(?:\.\d{1,6})?)([+-]\d\d(?::\d\d(?::\d\d)?)?)")
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def bad_text(what: str, length: int) -> DecodeError:
    """The error for *length* bytes that are no *what*; it never shows them."""
    return DecodeError(f"no {what} as PostgreSQL prints it", length=length)


def days_of(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar, for any year (0 is 1 BC). ValueError on no date."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or not 1 <= day <= _MONTH_DAYS[month - 1] + (leap and month == 2):
        raise ValueError("no such day")
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def date_of(days: int) -> tuple[int, int, int]:
    """The inverse of `days_of`: year, month, day."""
    era, of_era_days = divmod(days + 719468, 146097)
    of_era = (of_era_days - of_era_days // 1460 + of_era_days // 36524 - of_era_days // 146096) // 365
    of_year = of_era_days - (365 * of_era + of_era // 4 - of_era // 100)
    month_index = (5 * of_year + 2) // 153
    month = month_index + 3 if month_index < 10 else month_index - 9
    return era * 400 + of_era + (month <= 2), month, of_year - (153 * month_index + 2) // 5 + 1


def parse_days(text: bytes) -> int:
    """Days since the epoch of a finite date. DecodeError."""
    found = _DATE.fullmatch(text)
    if found is None:
        raise bad_text("date", len(text))
    year = int(found[1])
    try:
        if year == 0:
            raise ValueError("the server's years start at 1")
        return days_of(1 - year if found[4] else year, int(found[2]), int(found[3]))
    except ValueError:
        raise bad_text("date", len(text)) from None


def parse_clock(text: bytes) -> int:
    """µs since midnight, 24:00:00 included. DecodeError."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise bad_text("time", len(text))
    hour, minute, second = int(found[1]), int(found[2]), int(found[3])
    micros = ((hour * 60 + minute) * 60 + second) * 1_000_000 + _fraction_us(found[4])
    if minute > 59 or second > 59 or micros > DAY_US:
        raise bad_text("time", len(text))
    return micros


def parse_micros(text: bytes, zoned: bool = False) -> int:
    """µs since the epoch of a finite timestamp, in UTC when *zoned*. DecodeError."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None or (found[3] is not None) != zoned:
        raise bad_text("timestamp", len(text))
    micros = parse_days(found[1] + (found[4] or b"")) * DAY_US + parse_clock(found[2])
    return micros - _offset_us(found[3]) if zoned else micros


def parse_zoned_clock(text: bytes) -> int:
    """µs since midnight UTC of a timetz, wrapped into one day. DecodeError."""
    found = _ZONED_CLOCK.fullmatch(text)
    if found is None:
        raise bad_text("time with time zone", len(text))
    return (parse_clock(found[1]) - _offset_us(found[2])) % DAY_US


def clock_text(micros: int, digits: int = 0) -> str:
    """`HH:MM:SS` and a fraction of at least *digits* digits, otherwise the shortest."""
    seconds, fraction = divmod(micros, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    shown = f"{fraction:06d}".rstrip("0").ljust(digits, "0")
    return f"{text}.{shown}" if shown else text


def date_text(days: int) -> str:
    """ISO 8601 as java.time prints it: a sign before a year of more than four digits or before year 0."""
    year, month, day = date_of(days)
    if year > 9999:
        return f"+{year}-{month:02d}-{day:02d}"
    return f"{'-' if year < 0 else ''}{abs(year):04d}-{month:02d}-{day:02d}"


def instant_text(micros: int, digits: int = 0) -> str:
    """A moment in UTC, `…T…Z`."""
    days, clock = divmod(micros, DAY_US)
    return f"{date_text(days)}T{clock_text(clock, digits)}Z"


def _fraction_us(digits: bytes | None) -> int:
    return int(digits.ljust(6, b"0")) if digits else 0


def _offset_us(text: bytes) -> int:
    found = _OFFSET.fullmatch(text)
    assert found is not None
    seconds = int(found[2]) * 3600 + int(found[3] or 0) * 60 + int(found[4] or 0)
    return (-seconds if found[1] == b"-" else seconds) * 1_000_000


class Interval(NamedTuple):
    """The three parts PostgreSQL keeps, as years and months, days, and µs (of time of day, any sign)."""

    months: int
    days: int
    micros: int


_PART = re.compile(rb"([+-]?\d{1,10}) (year|mon|day)s?(?: |$)")
_SPAN = re.compile(rb"([+-]?)(\d{2,10}):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_MONTHS = {b"year": 12, b"mon": 1, b"day": 0}


def parse_interval(text: bytes) -> Interval:
    """IntervalStyle postgres: `1 year 2 mons -3 days +04:05:06.789`. Infinite ones (PostgreSQL 17) and bad text:
    DecodeError."""
    months = days = micros = at = 0
    while found := _PART.match(text, at):
        number, unit = int(found[1]), found[2]
        months += number * _MONTHS[unit]
        days += number if unit == b"day" else 0
        at = found.end()
    if at < len(text):
        span = _SPAN.fullmatch(text, at)
        if span is None:
            raise bad_text("interval", len(text))
        seconds = (int(span[2]) * 60 + int(span[3])) * 60 + int(span[4])
        micros = seconds * 1_000_000 + _fraction_us(span[5])
        micros = -micros if span[1] == b"-" else micros
    elif at == 0:
        raise bad_text("interval", len(text))
    return Interval(months, days, micros)
