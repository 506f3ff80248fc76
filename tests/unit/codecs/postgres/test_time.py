"""PostgreSQL's date and time texts in every form; anything else is an error that does not show it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from cdc.codecs.postgres.time import (
    Interval,
    parse_clock,
    parse_days,
    parse_interval,
    parse_micros,
    parse_zoned_clock,
)
from cdc.codecs.time import DAY_US, days_of
from cdc.core.errors import DecodeError

HOUR = 3_600_000_000


@pytest.mark.parametrize(("text", "wanted"), [
    (b"1970-01-01", 0), (b"2024-02-29", days_of(2024, 2, 29)), (b"0001-01-01", days_of(1, 1, 1)),
    (b"0001-12-31 BC", days_of(0, 12, 31)), (b"4713-01-01 BC", days_of(-4712, 1, 1)),
    (b"10000-01-01", days_of(10000, 1, 1)), (b"5874897-12-31", days_of(5874897, 12, 31))])
def test_dates(text: bytes, wanted: int) -> None:
    assert parse_days(text) == wanted


@pytest.mark.parametrize(("text", "wanted"), [
    (b"00:00:00", 0), (b"01:02:03.5", HOUR + 123_500_000), (b"23:59:59.999999", DAY_US - 1), (b"24:00:00", DAY_US)])
def test_times_of_day(text: bytes, wanted: int) -> None:
    assert parse_clock(text) == wanted


@pytest.mark.parametrize(("text", "wanted"), [
    (b"01:00:00+00", HOUR), (b"01:00:00+02", 23 * HOUR), (b"23:00:00-02", HOUR),
    (b"00:00:00+00:30", DAY_US - HOUR // 2), (b"00:00:00-00:00:01", 1_000_000), (b"24:00:00+00", 0)])
def test_times_of_day_with_a_zone_are_in_utc_and_wrap(text: bytes, wanted: int) -> None:
    assert parse_zoned_clock(text) == wanted


@pytest.mark.parametrize(("text", "zoned", "wanted"), [
    (b"1970-01-02 00:00:00.000001", False, DAY_US + 1), (b"1970-01-01 02:00:00+02", True, 0),
    (b"1969-12-31 23:00:00-01", True, 0), (b"0001-01-01 00:00:00 BC", False, days_of(0, 1, 1) * DAY_US),
    (b"0044-03-15 12:00:00+00 BC", True, days_of(-43, 3, 15) * DAY_US + 12 * HOUR),
    (b"294276-12-31 23:59:59.999999", False, days_of(294276, 12, 31) * DAY_US + DAY_US - 1)])
def test_timestamps(text: bytes, zoned: bool, wanted: int) -> None:
    assert parse_micros(text, zoned) == wanted


@pytest.mark.parametrize(("text", "wanted"), [
    (b"00:00:00", Interval(0, 0, 0)), (b"1 year 2 mons -3 days +04:05:06.789", Interval(14, -3, 14_706_789_000)),
    (b"-1 years -2 mons", Interval(-14, 0, 0)), (b"1 day", Interval(0, 1, 0)),
    (b"-00:00:00.000001", Interval(0, 0, -1)),
    (b"2562047788:00:54.775807", Interval(0, 0, (1 << 63) - 1))])
def test_intervals(text: bytes, wanted: Interval) -> None:
    assert parse_interval(text) == wanted


@pytest.mark.parametrize(("parse", "texts"), [
    (parse_days, [b"", b"infinity", b"2023-02-29", b"0000-01-01", b"2024-1-1", b"2024-01-01 AD", b"secret"]),
    (parse_clock, [b"", b"24:00:00.000001", b"25:00:00", b"12:60:00", b"12:00:60", b"12:00", b"12:00:00.", b"secret"]),
    (parse_zoned_clock, [b"", b"12:00:00", b"12:00:00+2", b"secret"]),
    (parse_micros, [b"", b"infinity", b"2024-01-01", b"2024-01-01 00:00:00+00", b"2024-01-01T00:00:00", b"secret"]),
    (partial(parse_micros, zoned=True), [b"2024-01-01 00:00:00", b"secret"]),
    (parse_interval, [b"", b"infinity", b"1 week", b"1 day 2", b"1 day secret", b"P1D", b"secret"]),
])
def test_anything_else_is_an_error_that_does_not_show_it(parse: Callable[[bytes], Any], texts: list[bytes]) -> None:
    for text in texts:
        with pytest.raises(DecodeError) as caught:
            parse(text)
        assert caught.value.context == {"length": len(text)}
        assert "secret" not in str(caught.value)
