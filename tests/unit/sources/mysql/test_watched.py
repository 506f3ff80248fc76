"""Warnings about the server's settings, and about logs that it removes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc.sources.mysql.flavor import MYSQL
from cdc.sources.mysql.options import MySqlConfig, parse_mysql
from cdc.sources.mysql.server import MySqlFacts
from cdc.sources.mysql.watched import lag_bytes, show_logs, show_settings
from cdc.sources.shared.warnings import Warnings

FACTS = MySqlFacts(MYSQL, "9.7.4", 90704, "'cdc'@'%'", 1, "a", True, "ROW", "FULL", "FULL", "ON", "CRC32", "", 2592000,
                   False, "utf8mb4", "utf8mb4_bin", "", 1 << 26)
DAY_S = 86400
NOW_S = 1_700_000_000.0


def config(**more: str) -> MySqlConfig:
    return parse_mysql({"name": "test", "topic.prefix": "test", "database.hostname": "none", "database.user": "none",
                        "database.server.id": "1", **{key.replace("_", "."): text for key, text in more.items()}})[0]


def kinds(warnings: Warnings) -> set[str]:
    return {each.kind for each in warnings.active()}


@pytest.mark.parametrize(("change", "wanted"), [
    ({}, set()),
    ({"binlog_format": "MIXED"}, {"binlog_format_not_row"}),
    ({"row_image": "MINIMAL"}, {"binlog_row_image_not_full"}),
    ({"expire_s": 60}, {"binlog_kept_briefly"}),
    ({"expire_s": 0}, set()),
    ({"expire_s": None}, set()),
    ({"gtid_mode": "OFF_PERMISSIVE"}, {"gtid_mode_changed", "gtid_mode_in_transition"}),
    ({"gtid_mode": "OFF"}, {"gtid_mode_changed"}),
    ({"logs_statements": True}, set()),
])
def test_settings_that_went_wrong_and_right_again(change: dict[str, object], wanted: set[str]) -> None:
    warnings = Warnings()
    show_settings(warnings, replace(FACTS, **change), config(), FACTS)  # type: ignore[arg-type]
    assert kinds(warnings) == wanted
    show_settings(warnings, FACTS, config(), FACTS)
    assert kinds(warnings) == set()


def test_statements_that_are_wanted_and_not_logged() -> None:
    warnings = Warnings()
    show_settings(warnings, FACTS, config(include_query="true"), FACTS)
    assert kinds(warnings) == {"statements_not_logged"}


@pytest.mark.parametrize(("file", "read_until_s", "expire_s", "wanted"), [
    ("b.2", NOW_S - 6 * DAY_S, 10 * DAY_S, True),
    ("b.2", NOW_S - 4 * DAY_S, 10 * DAY_S, False),
    ("b.2", 0, 10 * DAY_S, False),  # the time is not known
    ("b.2", NOW_S - 6 * DAY_S, 0, False),  # kept for ever
    ("b.2", NOW_S - 6 * DAY_S, None, False),
    ("b.3", NOW_S - 60 * DAY_S, 10 * DAY_S, False),  # an idle server: the file in use is not removed
    ("b.1", NOW_S, 10 * DAY_S, True),  # removed
])
def test_logs_that_expire_before_they_are_read(file: str, read_until_s: float, expire_s: int | None,
                                               wanted: bool) -> None:
    warnings = Warnings()
    facts = replace(FACTS, expire_s=expire_s)
    show_logs(warnings, ["b.2", "b.3"], (file, 4), int(read_until_s), facts, NOW_S)
    assert kinds(warnings) == ({"log_expires"} if wanted else set())
    show_logs(warnings, ["b.2", "b.3"], ("b.3", 4), int(NOW_S), facts, NOW_S)
    assert kinds(warnings) == set()


def test_how_much_log_there_is_ahead() -> None:
    sizes = {"b.2": 100, "b.3": 50}
    assert [lag_bytes(sizes, place) for place in (("b.2", 40), ("b.3", 50), ("b.3", 60), ("b.1", 4))] == [
        110, 0, 0, None]
