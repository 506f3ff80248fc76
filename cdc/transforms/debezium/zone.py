"""Times in a time zone by Java's rules: in an hour that a zone has twice, or not at all, the offset before it counts
(`java.time.zone.ZoneRules.getOffset`)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from cdc.codecs.time import date_text, days_of
from cdc.core.errors import TransformError
from cdc.core.late_regex import late_regex

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 (a wall clock)
_FIRST_S: Final = -62_135_596_800 + 86_400
"""Python knows no date before the year 1."""
_CYCLE_S: Final = 146_097 * 86_400
"""400 years, after which the calendar and the zones' last rules repeat."""
_LAST_S: Final = 253_402_300_800 - 86_400
_DAY_S: Final = 86_400
_TEXT: Final = late_regex(
    r"(?:(?P<year>[+-]?[0-9]{4,9})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})T)?"
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?(?:\.(?P<fraction>[0-9]{1,9}))?"
    r"(?:Z|(?P<sign>[+-])(?P<oh>[0-9]{2}):(?P<om>[0-9]{2})(?::(?P<os>[0-9]{2}))?)")


class Zone:
    """A time zone. Times are whole seconds, or numbers of a unit, since 1970."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def local_offset(self, wall_s: int) -> int:
        """The offset in seconds at the wall clock time *wall_s*."""
        return _seconds(self._zone.utcoffset(_EPOCH + timedelta(seconds=_within(wall_s))))

    def instant_offset(self, instant_s: int) -> int:
        """The offset in seconds at an instant."""
        at = (_EPOCH + timedelta(seconds=_within(instant_s))).replace(tzinfo=UTC)
        return _seconds(at.astimezone(self._zone).utcoffset())

    def local(self, value: int, per_second: int) -> int:
        """The instant at which the zone's wall clock shows what UTC's shows at *value*."""
        return value - self.local_offset(value // per_second) * per_second

    def moved(self, value: int, per_second: int) -> int:
        """*value* and the zone's offset at that instant."""
        return value + self.instant_offset(value // per_second) * per_second

    def timestamp_text(self, text: str) -> str:
        """A date and time with offset, in this zone. As in Debezium, the offset is that for the wall clock of *text*.
        Raises TransformError."""
        wall, offset, fraction = _parse(text, True)
        to = self.local_offset(wall)
        days, second = divmod(wall - offset + to, _DAY_S)
        return f"{date_text(days)}T{_clock(second)}{fraction}{_offset_text(to)}"

    def clock_text(self, text: str) -> str:
        """A time of day with offset, in the offset that this zone has now. Raises TransformError."""
        wall, offset, fraction = _parse(text, False)
        to = self.instant_offset(int(datetime.now(UTC).timestamp()))
        return f"{_clock((wall - offset + to) % _DAY_S)}{fraction}{_offset_text(to)}"


def _within(seconds: int) -> int:
    """A time with the same offset that Python can represent."""
    if seconds > _LAST_S:
        return _LAST_S - _CYCLE_S + 1 + (seconds - _LAST_S - 1) % _CYCLE_S
    return max(seconds, _FIRST_S)


def _seconds(offset: timedelta | None) -> int:
    assert offset is not None, "every zone has an offset"
    return offset.days * _DAY_S + offset.seconds


def _parse(text: str, dated: bool) -> tuple[int, int, str]:
    """Wall clock seconds (since 1970 if *dated*, else since midnight), the offset, and the fraction with its dot,
    shortest form."""
    found = _TEXT.fullmatch(text)
    if found is None or (found["year"] is not None) is not dated:
        raise TransformError(f"a text of {len(text)} characters is no time with an offset",
                             exception="java.time.format.DateTimeParseException")
    try:
        days = days_of(int(found["year"]), int(found["month"]), int(found["day"])) if dated else 0
    except ValueError:
        raise TransformError("a text has a day that no calendar has",
                             exception="java.time.format.DateTimeParseException") from None
    wall = days * _DAY_S + _span(found["hour"], found["minute"], found["second"])
    offset = _span(found["oh"], found["om"], found["os"])
    fraction = (found["fraction"] or "").rstrip("0")
    return wall, -offset if found["sign"] == "-" else offset, f".{fraction}" if fraction else ""


def _span(hours: str | None, minutes: str | None, seconds: str | None) -> int:
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)


def _clock(second: int) -> str:
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


def _offset_text(offset: int) -> str:
    """As `ZoneOffset.getId`."""
    if offset == 0:
        return "Z"
    text = _clock(abs(offset))
    return ("-" if offset < 0 else "+") + (text if abs(offset) % 60 else text[:5])
