"""Java's `SimpleDateFormat` in UTC and English (Java SE API, "Date and Time Patterns"): milliseconds to text and back.

Parsing is lenient, as there: a 13th month is the next year's first, and text behind the pattern is ignored. Dates are
those of the Gregorian calendar at all times; Java goes over to the Julian one before 1582-10-15.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from cdc.core.late_regex import late_regex

_MONTHS: Final = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
                  "November", "December")
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LETTERS: Final = frozenset("GyYMLwWDdFEuaHkKhmsSzZX")
_PARSED: Final = frozenset("GyMLDdEuaHkKhmsSzZX")
_NUMERIC: Final = frozenset("yDdHkKhmsSu")
_OFFSET: Final = late_regex(r"([+-])([0-9]{1,2})(?::?([0-9]{2}))?")


class DateFormat:
    """One pattern. Raises ValueError for a pattern that Java refuses."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._parts = _parts(pattern)

    def format(self, ms: int) -> str:
        """The text for *ms*, milliseconds since 1970. Raises OverflowError outside of the years 1 to 9999."""
        moment = _EPOCH + timedelta(milliseconds=ms)
        return "".join(text if not letter else _formatted(letter, count, moment)
                       for letter, count, text in self._parts)

    def parse(self, text: str) -> int | None:
        """The milliseconds since 1970 that *text* stands for; None if it does not have the pattern's form."""
        fields: dict[str, Any] = {}
        at = 0
        for number, (letter, count, literal) in enumerate(self._parts):
            if not letter:
                if not text.startswith(literal, at):
                    return None
                at += len(literal)
                continue
            while text[at:at + 1] in (" ", "\t"):
                at += 1
            follows = self._parts[number + 1][0] if number + 1 < len(self._parts) else ""
            abuts = bool(follows) and _is_number(follows, self._parts[number + 1][1])
            end = _take(letter, count, text, at, abuts, fields)
            if end is None:
                return None
            at = end
        try:
            return _moment_ms(fields)
        except OverflowError:
            return None


def _parts(pattern: str) -> list[tuple[str, int, str]]:
    """Letter, how often it stands there, and text; the letter is empty for text."""
    found: list[tuple[str, int, str]] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "'":
            text, at = _quoted(pattern, at)
            found.append(("", 0, text))
        elif char.isascii() and char.isalpha():
            if char not in _LETTERS:
                raise ValueError(f"Illegal pattern character '{char}'")
            end = at
            while end < len(pattern) and pattern[end] == char:
                end += 1
            found.append((char, end - at, ""))
            at = end
        else:
            found.append(("", 0, char))
            at += 1
    return found


def _quoted(pattern: str, at: int) -> tuple[str, int]:
    """The text in quotes at *at*, where two quotes are one, and the place behind it."""
    if pattern.startswith("''", at):
        return "'", at + 2
    text, at = "", at + 1
    while at < len(pattern):
        if pattern.startswith("''", at):
            text, at = f"{text}'", at + 2
        elif pattern[at] == "'":
            return text, at + 1
        else:
            text, at = text + pattern[at], at + 1
    raise ValueError("Unterminated quote")


def _formatted(letter: str, count: int, moment: datetime) -> str:
    if letter in ("M", "L") and count >= 3:
        name = _MONTHS[moment.month - 1]
        return name if count >= 4 else name[:3]
    if letter == "E":
        name = _DAYS[moment.weekday()]
        return name if count >= 4 else name[:3]
    if letter in ("y", "Y"):
        year = moment.year if letter == "y" else _week_year(moment.date())[0]
        return f"{year % 100:02d}" if count == 2 else str(year).zfill(count)
    if letter in _WORDS:
        return str(_WORDS[letter](moment, count))
    return str(_NUMBERS[letter](moment)).zfill(count)


_WORDS: Final[dict[str, Any]] = {
    "G": lambda moment, count: "AD",
    "a": lambda moment, count: "AM" if moment.hour < 12 else "PM",
    "z": lambda moment, count: "UTC" if count < 4 else "Coordinated Universal Time",
    "Z": lambda moment, count: "+0000",
    "X": lambda moment, count: "Z",
}
_NUMBERS: Final[dict[str, Any]] = {
    "M": lambda moment: moment.month,
    "L": lambda moment: moment.month,
    "w": lambda moment: _week_year(moment.date())[1],
    "W": lambda moment: (moment.day + _weekday(moment.date().replace(day=1)) - 1) // 7 + 1,
    "D": lambda moment: moment.timetuple().tm_yday,
    "d": lambda moment: moment.day,
    "F": lambda moment: (moment.day - 1) // 7 + 1,
    "u": lambda moment: moment.isoweekday(),
    "H": lambda moment: moment.hour,
    "k": lambda moment: moment.hour or 24,
    "K": lambda moment: moment.hour % 12,
    "h": lambda moment: moment.hour % 12 or 12,
    "m": lambda moment: moment.minute,
    "s": lambda moment: moment.second,
    "S": lambda moment: moment.microsecond // 1000,
}


def _weekday(day: date) -> int:
    """0 for Sunday, the first day of a week in the USA."""
    return day.isoweekday() % 7


def _week_year(day: date) -> tuple[int, int]:
    """Year and number of the week; the week with January 1 is the first, and weeks begin on Sunday."""
    saturday = day + timedelta(days=6 - _weekday(day))
    first = saturday.replace(month=1, day=1)
    return saturday.year, (saturday - first).days // 7 + 1


def _is_number(letter: str, count: int) -> bool:
    return letter in _NUMERIC or (letter in ("M", "L") and count < 3)


def _take(letter: str, count: int, text: str, at: int, abuts: bool, fields: dict[str, Any]) -> int | None:
    """Read one field at *at*, and return the place behind it; None if it is not there. A number that another one
    follows at once has *count* digits."""
    if letter not in _PARSED:
        return None
    if _is_number(letter, count):
        found = re.compile(f"[0-9]{{{count}}}" if abuts else "[0-9]{1,18}").match(text, at)
        if found is None:
            return None
        value = int(found[0])
        fields[letter] = _full_year(value) if letter == "y" and count <= 2 and len(found[0]) == 2 else value
        return found.end()
    if letter in ("z", "Z", "X"):
        return _take_zone(text, at, letter == "X", fields)
    names = {"M": _MONTHS, "L": _MONTHS, "E": _DAYS, "a": ("AM", "PM"), "G": ("BC", "AD")}[letter]
    for index, name in enumerate(names):
        for form in (name, name[:3]):
            if text[at:at + len(form)].lower() == form.lower():
                fields[letter] = index + 1 if letter in ("M", "L") else index
                return at + len(form)
    return None


def _full_year(two_digits: int) -> int:
    """The year with these last digits that is less than 20 years after, and at most 80 years before today."""
    today = datetime.now(UTC).year
    return today - 80 + (two_digits - (today - 80)) % 100


def _take_zone(text: str, at: int, hours_suffice: bool, fields: dict[str, Any]) -> int | None:
    """An offset such as +01:00, or UTC or GMT, which one may follow; other names of zones are not known."""
    for name in ("UTC", "GMT", "Z"):
        if text[at:at + len(name)].upper() == name:
            at += len(name)
            fields.setdefault("zone_min", 0)
            break
    found = _OFFSET.match(text, at)
    if found is not None:
        if found[3] is None and not hours_suffice:
            return None
        minutes = int(found[2]) * 60 + int(found[3] or 0)
        fields["zone_min"] = -minutes if found[1] == "-" else minutes
        return found.end()
    return at if "zone_min" in fields else None


def _moment_ms(fields: dict[str, Any]) -> int:
    month = fields.get("M", fields.get("L", 1)) - 1
    year = fields.get("y", 1970)
    if "G" in fields and fields["G"] == 0:
        raise OverflowError("before the common era")
    if not 1 <= year + month // 12 <= 9999:
        raise OverflowError("outside of the calendar")
    day = date(year + month // 12, month % 12 + 1, 1).toordinal() - date(1970, 1, 1).toordinal()
    days = day + fields.get("d", 1) - 1
    if "D" in fields and "d" not in fields:
        days = date(year, 1, 1).toordinal() - date(1970, 1, 1).toordinal() + fields["D"] - 1
    hour = fields.get("H", fields["k"] % 24 if "k" in fields else None)
    if hour is None:
        hour = fields.get("K", fields.get("h", 0) % 12) + 12 * fields.get("a", 0)
    minutes = (days * 24 + hour) * 60 + fields.get("m", 0) - fields.get("zone_min", 0)
    return int((minutes * 60 + fields.get("s", 0)) * 1000 + fields.get("S", 0))
