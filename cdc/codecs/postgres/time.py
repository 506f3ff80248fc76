"""Reads every form of PostgreSQL's date and time texts (DateStyle ISO, IntervalStyle postgres).

`text.py` reads the common form, years 1 to 9999 in UTC, faster. This module also reads years before Christ and after
9999, zone offsets and intervals. Server source src/backend/utils/adt/datetime.c: `EncodeDateOnly`,
`EncodeDateTime`, `EncodeInterval`.
"""

from __future__ import annotations

from typing import NamedTuple

from cdc.codecs.time import DAY_US, days_of
from cdc.core.errors import DecodeError
from cdc.core.late_regex import late_regex

_DATE = late_regex(rb"(\d{4,7})-(\d\d)-(\d\d)( BC)?")
_TIMESTAMP = late_regex(
    rb"(\d{4,7}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,6})?)([+-]\d\d(?::\d\d(?::\d\d)?)?)?( BC)?")
_CLOCK = late_regex(rb"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_OFFSET = late_regex(rb"([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?")
_ZONED_CLOCK = late_regex(rb"(\d\d:\d\d:\d\d(?:\.\d{1,6})?)([+-]\d\d(?::\d\d(?::\d\d)?)?)")


def bad_text(what: str, length: int) -> DecodeError:
    """The error for *length* bytes that are not a text of type *what*. It never shows them."""
    return DecodeError(f"invalid text of type {what} from PostgreSQL", length=length)


def parse_days(text: bytes) -> int:
    """Days since 1970 of a finite date. Raises DecodeError."""
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
    """µs since midnight, up to 24:00:00. Raises DecodeError."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise bad_text("time", len(text))
    hour, minute, second = int(found[1]), int(found[2]), int(found[3])
    micros = ((hour * 60 + minute) * 60 + second) * 1_000_000 + _fraction_us(found[4])
    if minute > 59 or second > 59 or micros > DAY_US:
        raise bad_text("time", len(text))
    return micros


def parse_micros(text: bytes, zoned: bool = False) -> int:
    """µs since 1970 of a finite timestamp; if *zoned*, with an offset, in UTC. Raises DecodeError."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None or (found[3] is not None) != zoned:
        raise bad_text("timestamp", len(text))
    micros = parse_days(found[1] + (found[4] or b"")) * DAY_US + parse_clock(found[2])
    return micros - _offset_us(found[3]) if zoned else micros


def parse_zoned_clock(text: bytes) -> int:
    """µs since midnight UTC of a timetz, wrapped into one day. Raises DecodeError."""
    found = _ZONED_CLOCK.fullmatch(text)
    if found is None:
        raise bad_text("time with time zone", len(text))
    return (parse_clock(found[1]) - _offset_us(found[2])) % DAY_US


def _fraction_us(digits: bytes | None) -> int:
    return int(digits.ljust(6, b"0")) if digits else 0


def _offset_us(text: bytes) -> int:
    found = _OFFSET.fullmatch(text)
    assert found is not None
    seconds = int(found[2]) * 3600 + int(found[3] or 0) * 60 + int(found[4] or 0)
    return (-seconds if found[1] == b"-" else seconds) * 1_000_000


class Interval(NamedTuple):
    """The three parts that PostgreSQL stores, each with its own sign: months (years count 12), days, and µs."""

    months: int
    days: int
    micros: int


_PART = late_regex(rb"([+-]?\d{1,10}) (year|mon|day)s?(?: |$)")
_SPAN = late_regex(rb"([+-]?)(\d{2,10}):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_MONTHS = {b"year": 12, b"mon": 1, b"day": 0}


def parse_interval(text: bytes) -> Interval:
    """The interval in a text like `1 year 2 mons -3 days +04:05:06.789` (IntervalStyle postgres).

    Raises DecodeError for other texts, and for the infinite intervals of PostgreSQL 17.
    """
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
