"""Days and µs since 1970-01-01, Debezium's units of time, and texts in ISO 8601."""

from __future__ import annotations

DAY_US = 86_400_000_000

MILLIS = 0
MICROS = 1
NANOS = 2

_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def days_of(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar, for any year; 0 is 1 BC. ValueError if there is no
    such day."""
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


def clock_text(micros: int, digits: int = 0) -> str:
    """`HH:MM:SS` and the shortest fraction that has at least *digits* digits."""
    seconds, fraction = divmod(micros, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    shown = f"{fraction:06d}".rstrip("0").ljust(digits, "0")
    return f"{text}.{shown}" if shown else text


def date_text(days: int) -> str:
    """ISO 8601 as java.time prints it: years after 9999 and before 0 have a sign."""
    year, month, day = date_of(days)
    if year > 9999:
        return f"+{year}-{month:02d}-{day:02d}"
    return f"{'-' if year < 0 else ''}{abs(year):04d}-{month:02d}-{day:02d}"


def instant_text(micros: int, digits: int = 0) -> str:
    """µs since 1970 as a time in UTC: date, `T`, time of day, `Z`."""
    days, clock = divmod(micros, DAY_US)
    return f"{date_text(days)}T{clock_text(clock, digits)}Z"
