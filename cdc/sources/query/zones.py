"""Local times and moments: `db.timezone`, and what happens when clocks are set back.

A column without a zone holds local times. Between A and B of an autumn night they occur twice, so a row of the second
time can have a smaller value than one that was read already. `readable_until` therefore ends reading at A, until the
second time is over. Nothing is skipped, and rows come up to two hours later, once a year.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cdc.core.late_regex import late_regex

SECOND_US: Final = 1_000_000
_SPAN_US: Final = 4 * 3600 * SECOND_US
"""Clocks are set back by less than this."""
_EPOCH: Final = datetime(1970, 1, 1)
LEAST_US: Final = -62_135_000_000 * SECOND_US
_MOST_US: Final = 253_402_200_000 * SECOND_US
_FIXED: Final = late_regex(r"(?:UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d\d))?")


def zone_of(name: str) -> tzinfo:
    """The zone *name*: of the zone database, Z, or an offset such as +02:00 or UTC+2. Raises ValueError."""
    if name.strip().upper() in ("Z", "UTC", "GMT", "UT"):
        return UTC
    fixed = _FIXED.fullmatch(name.strip())
    if fixed:
        offset = timedelta(hours=int(fixed[2]), minutes=int(fixed[3] or 0))
        if offset > timedelta(hours=18):
            raise ValueError("an offset is 18 hours at most")
        return timezone(-offset if fixed[1] == "-" else offset)
    try:
        return ZoneInfo(name.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name}") from None


def _clamped(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=max(LEAST_US, min(_MOST_US, micros)))


def _offset_us(local: datetime, zone: tzinfo) -> int:
    found = local.replace(tzinfo=zone).utcoffset()
    assert found is not None
    return found // timedelta(microseconds=1)


def local_of(moment_us: int, zone: tzinfo) -> int:
    """The local time, in µs as if it were UTC, at *moment_us*, µs since 1970."""
    at = _clamped(moment_us).replace(tzinfo=UTC).astimezone(zone)
    return moment_us + _offset_us(at.replace(tzinfo=None), zone) if at.fold == 0 else moment_us + _offset_us(
        at.replace(tzinfo=None, fold=1), zone)


def moment_of(local_us: int, zone: tzinfo) -> int:
    """The moment of a local time, in winter time where it occurs twice or never, as Java's calendars choose."""
    local = _clamped(local_us)
    return local_us - min(_offset_us(local, zone), _offset_us(local.replace(fold=1), zone))


def stored_moment_of(local_us: int, zone: tzinfo) -> int:
    """A moment whose local time is *local_us*, or less where that local time never occurs: a later start from it
    repeats rows and skips none."""
    return local_us - _offset_us(_clamped(local_us).replace(fold=1), zone)


def readable_until(moment_us: int, zone: tzinfo) -> tuple[int, bool]:
    """Up to which local time rows may be read at *moment_us*, which is not included; and whether that is held back,
    because clocks are about to be set back or just were."""
    before = local_of(moment_us - _SPAN_US, zone) - (moment_us - _SPAN_US)
    after = local_of(moment_us + _SPAN_US, zone) - (moment_us + _SPAN_US)
    if before > after:
        low, high = (moment_us - _SPAN_US) // SECOND_US, (moment_us + _SPAN_US) // SECOND_US
        while high - low > 1:
            middle = (low + high) // 2
            if local_of(middle * SECOND_US, zone) - middle * SECOND_US == before:
                low = middle
            else:
                high = middle
        turn, back = high * SECOND_US, before - after
        if turn - back <= moment_us < turn + back:
            return turn + after, True
    return local_of(moment_us, zone), False
