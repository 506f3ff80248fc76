"""Whether the log will have the changes of captured tables: what servers print, and what follows from it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cdc.core.table import TableId
from cdc.sources.mysql.unlogged import Channel, Filter, filtered, not_relogged, read_channel

TABLES = [TableId("down", "", "a"), TableId("down", "", "b"), TableId("other", "", "c")]
MYSQL: dict[str, Any] = {"Source_Host": "primary", "Source_Port": 3306, "Replicate_Do_DB": "",
                         "Replicate_Ignore_DB": "", "Replicate_Do_Table": "", "Replicate_Ignore_Table": "",
                         "Replicate_Wild_Do_Table": "", "Replicate_Wild_Ignore_Table": "", "Channel_Name": ""}
MARIADB: dict[str, Any] = {"Connection_name": "", "Master_Host": "primary", "Master_Port": 3306,
                           **{name: text for name, text in MYSQL.items() if name.startswith("Replicate")}}


@pytest.mark.parametrize(("only", "never", "names"), [
    ("", "", ()), ("down", "", ("other",)), ("down,other", "", ()), ("x", "", ("down", "other")),
    ("", "down", ("down",)), ("", "x", ()), ("down", "down", ("other",)), (b"down", b"", ("other",)),
])
def test_databases_that_the_server_does_not_log(only: object, never: object, names: tuple[str, ...]) -> None:
    found = filtered(TABLES, Filter.of(only, never))
    assert (() if found is None else found.names) == names


@pytest.mark.parametrize("row", [MYSQL, MARIADB])
@pytest.mark.parametrize(("filters", "names"), [
    ({}, ("down.a", "down.b", "other.c")),
    ({"Replicate_Do_DB": "down"}, ("down.a", "down.b")),
    ({"Replicate_Do_DB": "elsewhere"}, None),
    ({"Replicate_Ignore_DB": "down,other"}, None),
    ({"Replicate_Ignore_DB": "down"}, ("other.c",)),
    ({"Replicate_Do_Table": "down.b,x.y"}, ("down.b",)),
    ({"Replicate_Do_Table": "x.y", "Replicate_Wild_Do_Table": "d%.%"}, ("down.a", "down.b", "other.c")),
    ({"Replicate_Ignore_Table": "down.a"}, ("down.b", "other.c")),
])
def test_tables_that_a_replica_gets_and_does_not_log(row: dict[str, Any], filters: dict[str, str],
                                                     names: tuple[str, ...] | None) -> None:
    found = not_relogged(TABLES, [read_channel({**row, **filters})])
    assert (None if found is None else found.names) == names
    assert found is None or "a replica of primary:3306" in found.reason


def test_the_channels_are_added_up() -> None:
    first, second = Channel("one:1", Filter(frozenset({"other"}))), Channel("two:2", Filter(frozenset({"x"})))
    found = not_relogged(TABLES, [first, second])
    assert found is not None
    assert found.names == ("other.c",)


def test_a_server_that_is_no_replica_may_have_it_off() -> None:
    assert not_relogged(TABLES, []) is None


def test_a_replica_that_does_not_show_its_filters() -> None:
    found = not_relogged(TABLES, None)
    assert found is not None
    assert found.names == ("down.a", "down.b", "other.c")


def test_a_replica_whose_captured_tables_are_still_to_come() -> None:
    assert not_relogged([], [Channel("primary:3306")]) is not None


def test_the_error_names_tables_setting_and_way_out() -> None:
    found = not_relogged([TableId("d", "", f"t{number:02}") for number in range(12)], [Channel("primary:3306")])
    assert found is not None
    error = found.error()
    assert re.search(r"d\.t00, .* and 2 more\.", error.message)
    assert "log_slave_updates" in error.message
    assert "cdc.unlogged.changes=warn" in str(error.hint)
