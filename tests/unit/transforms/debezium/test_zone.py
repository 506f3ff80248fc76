"""Times in time zones, against those that OpenJDK 21 gives (`ZoneRules.getOffset`, `ISO_OFFSET_DATE_TIME`)."""

from __future__ import annotations

import pytest

from cdc.core.errors import ConfigError, TransformError
from cdc.transforms.debezium.timezone_options import read_rules, zone
from cdc.transforms.debezium.zone import Zone

NEW_YORK, INDIA, BERLIN, UTC = (Zone(zone(name)) for name in ("America/New_York", "+05:30", "Europe/Berlin", "UTC"))


@pytest.mark.parametrize(("wall_us", "new_york", "india", "berlin"), [
    (1710045000000000, 1710059400000000, 1710025200000000, 1710041400000000),
    (1710034200123000, 1710052200123000, 1710014400123000, 1710030600123000),
    (1730597400000000, 1730611800000000, 1730577600000000, 1730593800000000),
    (-62135596800000000, -62135579038000000, -62135616600000000, -62135600008000000),
    (-100000000000000000, -99999982238000000, -100000019800000000, -100000003208000000),
    (253402300799999999, 253402318799999999, 253402280999999999, 253402297199999999),
    (-1, 17999999999, -19800000001, -3600000001),
    (32503680000000000, 32503698000000000, 32503660200000000, 32503676400000000),
    (253418068800000000, 253418083200000000, 253418049000000000, 253418061600000000),
    (-62167219200000000, -62167201438000000, -62167239000000000, -62167222408000000),
], ids=["summer-gap", "winter", "double-hour", "year-1", "before-year-1", "year-9999", "before-1970", "year-3000",
        "summer-of-10000", "year-0"])
def test_a_time_without_zone_is_the_wall_clock_of_the_zone(wall_us: int, new_york: int, india: int,
                                                            berlin: int) -> None:
    assert [each.local(wall_us, 1_000_000) for each in (NEW_YORK, INDIA, BERLIN)] == [new_york, india, berlin]


@pytest.mark.parametrize(("text", "new_york", "india", "utc"), [
    ("2024-07-01T10:00:00.5Z", "2024-07-01T06:00:00.5-04:00", "2024-07-01T15:30:00.5+05:30", "2024-07-01T10:00:00.5Z"),
    ("2024-03-10T02:30:00Z", "2024-03-09T21:30:00-05:00", "2024-03-10T08:00:00+05:30", "2024-03-10T02:30:00Z"),
    ("2024-11-03T01:30:00.120Z", "2024-11-02T21:30:00.12-04:00", "2024-11-03T07:00:00.12+05:30",
     "2024-11-03T01:30:00.12Z"),
    ("1800-01-01T00:00:00Z", "1799-12-31T19:03:58-04:56:02", "1800-01-01T05:30:00+05:30", "1800-01-01T00:00:00Z"),
    ("2024-07-01T10:00:00.123456789+02:00", "2024-07-01T04:00:00.123456789-04:00",
     "2024-07-01T13:30:00.123456789+05:30", "2024-07-01T08:00:00.123456789Z"),
    ("+12024-07-01T10:00:00Z", "+12024-07-01T06:00:00-04:00", "+12024-07-01T15:30:00+05:30", "+12024-07-01T10:00:00Z"),
    ("-0001-07-01T10:00:00Z", "-0001-07-01T05:03:58-04:56:02", "-0001-07-01T15:30:00+05:30", "-0001-07-01T10:00:00Z"),
    ("2024-07-01T10:00Z", "2024-07-01T06:00:00-04:00", "2024-07-01T15:30:00+05:30", "2024-07-01T10:00:00Z"),
])
def test_a_time_with_zone_keeps_its_instant(text: str, new_york: str, india: str, utc: str) -> None:
    assert [each.timestamp_text(text) for each in (NEW_YORK, INDIA, UTC)] == [new_york, india, utc]


@pytest.mark.parametrize(("ms", "moved"), [
    (0, -18000000), (1710054000000, 1710039600000), (1730610000000, 1730595600000), (-1, -18000001)])
def test_an_epoch_of_the_source_block_moves_by_the_offset(ms: int, moved: int) -> None:
    assert NEW_YORK.moved(ms, 1_000) == moved


def test_a_time_of_day_gets_the_present_offset() -> None:
    assert INDIA.clock_text("22:00:00.50Z") == "03:30:00.5+05:30"


@pytest.mark.parametrize("text", [
    "", "2024-07-01", "2024-02-30T10:00:00Z", "10:00:00Z", "2024-07-01T10:00:00", "secret"])
def test_other_texts_are_errors_that_do_not_show_them(text: str) -> None:
    with pytest.raises(TransformError) as caught:
        NEW_YORK.timestamp_text(text)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("text", ["Mars/Olympus", "+19:00", "+5:30", "+05:75", ""])
def test_unknown_zones_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"offset|Invalid timezone"):
        zone(text)


@pytest.mark.parametrize(("items", "topics", "tables", "any_"), [
    (("source:a", "source:b"), {}, {"a": set(), "b": set()}, {}),
    (("topic:t:x", "y"), {"t": {"x"}, "y": set()}, {}, {}),
    (("orders:placed", "x:y"), {}, {}, {"orders": {"placed"}, "x": {"y"}}),
])
def test_an_item_without_prefix_continues_the_one_before(items: tuple[str, ...], topics: object, tables: object,
                                                         any_: object) -> None:
    rules = read_rules(items, "include")
    assert (rules.topics, rules.tables, rules.any) == (topics, tables, any_)


@pytest.mark.parametrize("items", [("source:a:x", "source:b:y"), ("a",), ("source:a:b:c",), ("so,urce:$",)])
def test_lists_that_debezium_refuses_are_refused(items: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="Invalid exclude list format"):
        read_rules(items, "exclude")
