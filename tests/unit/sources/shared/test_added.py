from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from cdc.core import control
from cdc.core.errors import PositionLostError
from cdc.core.table import TableId
from cdc.debezium.filters import NameFilter
from cdc.sources.shared.added import lists_of, request, tables_to_copy
from cdc.sources.shared.selection import SnapshotSelection

ORDERS, ITEMS, NOTES = (TableId("shop", "public", name) for name in ("orders", "items", "notes"))
ALL = SnapshotSelection(NameFilter(), "disabled", {})


def added(stored: Any, selection: SnapshotSelection = ALL) -> list[TableId]:
    return tables_to_copy([ORDERS, ITEMS, NOTES], json.dumps(stored), lambda id: False, selection)


def test_what_the_former_lists_did_not_choose_is_added() -> None:
    assert added({"table_include_list": ["public.orders"]}) == [ITEMS, NOTES]
    assert added({"table_exclude_list": ["public.items"]}) == [ITEMS]
    assert added({"schema_include_list": ["other"]}) == [ORDERS, ITEMS, NOTES]
    assert added({}) == []


def test_other_words_for_the_same_tables_add_nothing() -> None:
    assert added({"table_include_list": ["public[.](orders|items|notes)"]}) == []


def test_a_signal_table_was_captured_before() -> None:
    assert added({"table_include_list": ["public.orders"], "signal_data_collection": ["public.notes"]}) == [ITEMS]


def test_the_lists_are_kept_whole() -> None:
    config = SimpleNamespace(table_include_list=("public.orders",), table_exclude_list=(), schema_include_list=None,
                             table_ignore_builtin=False, database_password="geheim")
    assert json.loads(lists_of(config)) == {"table_include_list": ["public.orders"], "table_ignore_builtin": False}


def test_without_lists_nothing_is_kept() -> None:
    assert lists_of(SimpleNamespace(table_include_list=(), table_ignore_builtin=True)) == ""


def test_tables_that_no_snapshot_copies_whole_are_left_out() -> None:
    only = SnapshotSelection.from_config(SimpleNamespace(  # type: ignore[arg-type]
        snapshot_include_collection_list=("public.(items|notes)",), snapshot_tables_order_by_row_count="disabled",
        snapshot_select_statement_overrides=(("public.notes", "SELECT * FROM notes WHERE id > 5"),),
        signal_data_collection=()))
    assert added({"table_include_list": ["nothing"]}, only) == [ITEMS]


@pytest.mark.parametrize("stored", ["", "{", "[]", "7", '{"table_include_list": 3}'])
def test_damaged_lists_are_refused(stored: str) -> None:
    with pytest.raises(PositionLostError, match="cannot be read"):
        tables_to_copy([ORDERS], stored, lambda id: False, ALL)


def test_a_request_names_tables_and_not_patterns() -> None:
    signal = request([TableId("shop", "public", "a+b")])
    assert (signal.type, signal.data["data-collections"]) == (control.EXECUTE_SNAPSHOT, [r"(?-i:public\.a\+b)"])
