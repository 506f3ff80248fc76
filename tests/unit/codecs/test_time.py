"""Days, times of day and moments, and their texts in ISO 8601."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from cdc.codecs.time import DAY_US, clock_text, date_of, date_text, days_of, instant_text

SEED = 20240501
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_days_are_those_of_python_and_go_both_ways() -> None:
    rng = random.Random(SEED)
    first, last = date.min.toordinal(), date.max.toordinal()
    for ordinal in (first, last, *(rng.randrange(first, last) for _ in range(2000))):
        day = date.fromordinal(ordinal)
        days = (day - date(1970, 1, 1)).days
        assert days_of(day.year, day.month, day.day) == days
        assert date_of(days) == (day.year, day.month, day.day)
        assert date_text(days) == day.isoformat()


def test_years_outside_of_pythons_calendar_go_both_ways() -> None:
    rng = random.Random(SEED)
    for _ in range(2000):
        days = rng.randrange(-10**9, 10**9)
        assert days_of(*date_of(days)) == days
        assert date_of(days + 146097)[0] == date_of(days)[0] + 400


@pytest.mark.parametrize("day", [
    (2023, 2, 29), (1900, 2, 29), (2024, 2, 30), (2024, 4, 31), (2024, 0, 1), (2024, 13, 1), (2024, 1, 0),
    (2024, 1, 32)])
def test_what_is_no_day_is_refused(day: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no such day"):
        days_of(*day)


@pytest.mark.parametrize(("day", "text"), [
    ((9999, 12, 31), "9999-12-31"), ((10000, 1, 1), "+10000-01-01"), ((0, 1, 1), "0000-01-01"),
    ((-1, 12, 31), "-0001-12-31"), ((-12345, 1, 2), "-12345-01-02")])
def test_years_of_other_than_four_digits_have_a_sign(day: tuple[int, int, int], text: str) -> None:
    assert date_text(days_of(*day)) == text


@pytest.mark.parametrize(("micros", "digits", "text"), [
    (0, 0, "00:00:00"), (0, 3, "00:00:00.000"), (1, 0, "00:00:00.000001"), (500_000, 0, "00:00:00.5"),
    (500_000, 3, "00:00:00.500"), (123_456, 3, "00:00:00.123456"), (DAY_US - 1, 0, "23:59:59.999999"),
    (DAY_US, 0, "24:00:00")])
def test_fractions_are_the_shortest_of_at_least_so_many_digits(micros: int, digits: int, text: str) -> None:
    assert clock_text(micros, digits) == text


def test_moments_are_those_of_python() -> None:
    rng = random.Random(SEED)
    for _ in range(500):
        micros = rng.randrange(-62_135_596_800_000_000, 253_402_300_800_000_000)
        wanted = EPOCH + timedelta(microseconds=micros)
        assert instant_text(micros, 6) == wanted.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
