"""Java's SimpleDateFormat. The texts are those of Java 17, in UTC and the locale en_US."""

from __future__ import annotations

import pytest

from cdc.transforms.date_format import DateFormat

MS = 1_709_370_245_078
"""2024-03-02T09:04:05.078Z, a Saturday."""


@pytest.mark.parametrize(("pattern", "text"), [
    ("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "2024-03-02T09:04:05.078Z"), ("EEE dd/MM/yy", "Sat 02/03/24"),
    ("EEEE d MMMM y", "Saturday 2 March 2024"), ("MMM", "Mar"), ("yyyyMMdd", "20240302"), ("h:mm a", "9:04 AM"),
    ("K k H", "9 9 9"), ("S", "78"), ("SSSSSS", "000078"), ("D", "62"), ("u", "6"), ("w W F", "9 1 1"),
    ("YYYY", "2024"), ("z Z X G", "UTC +0000 Z AD"), ("yyyy''MM", "2024'03"), ("'o''clock'", "o'clock"),
    ("yyyyy", "02024"), ("zzzz XX", "Coordinated Universal Time Z"), ("LLLL L", "March 3"),
])
def test_a_moment_becomes_text(pattern: str, text: str) -> None:
    assert DateFormat(pattern).format(MS) == text


@pytest.mark.parametrize(("ms", "pattern", "text"), [
    (0, "hh KK kk", "12 00 24"), (-1, "yyyy-MM-dd HH:mm:ss.SSS", "1969-12-31 23:59:59.999"),
    (1_735_516_800_000, "yyyy YYYY ww", "2024 2025 01"),
])
def test_edges_of_days_and_years(ms: int, pattern: str, text: str) -> None:
    assert DateFormat(pattern).format(ms) == text


@pytest.mark.parametrize(("pattern", "text", "ms"), [
    ("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "2024-03-02T09:04:05.078Z", MS),
    ("yyyy-MM-dd", "2024-03-02 and more", 1_709_337_600_000), ("yyyy-MM-dd", " 2024- 3- 2", 1_709_337_600_000),
    ("yyyyMMddHHmm", "202403020904", 1_709_370_240_000), ("yyyy-MM-dd", "2023-13-32", 1_706_745_600_000),
    ("yy", "24", 1_704_067_200_000), ("EEE, d MMM yyyy", "sat, 2 march 2024", 1_709_337_600_000),
    ("yyyy-MM-dd HH:mm Z", "1970-01-01 00:00 +0200", -7_200_000), ("HH:mm X", "00:00 -01", 3_600_000),
    ("HH z", "01 GMT+1", None), ("HH z", "01 GMT+1:00", 0), ("hh a", "12 PM", 43_200_000), ("kk", "24", 0),
    ("yyyy DDD", "2024 062", 1_709_337_600_000), ("yyMMdd", "240302", 1_709_337_600_000), ("SSS", "5", 5),
    ("ss.SSS", "1.123456", 124_456),
    ("yyyy-MM-dd", "x", None), ("yyyy-MM", "2024/03", None), ("EEE", "Xyz", None), ("yyyy", "", None),
    ("HH z", "01 Mars", None),
])
def test_text_becomes_a_moment(pattern: str, text: str, ms: int | None) -> None:
    assert DateFormat(pattern).parse(text) == ms


@pytest.mark.parametrize(("pattern", "text"), [("ww", "01"), ("yyyy", "99999"), ("HH z", "01 CET")])
def test_what_is_not_supported_here_is_not_read_as_something_else(pattern: str, text: str) -> None:
    assert DateFormat(pattern).parse(text) is None


@pytest.mark.parametrize("pattern", ["b", "yyyy-n", "'open", "yyyy'"])
def test_a_pattern_that_java_refuses_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"Illegal pattern character|Unterminated quote"):
        DateFormat(pattern)


def test_a_moment_outside_of_the_calendar_overflows() -> None:
    with pytest.raises(OverflowError):
        DateFormat("yyyy").format(2**62)
