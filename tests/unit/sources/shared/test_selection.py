"""Which tables are captured and copied, and in what order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc.core.errors import ConfigError, SourceRefusedError
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.sources.shared.selection import RangeCounts, SnapshotSelection, captured_tables, unmatched_entries
from cdc.sources.snapshot.requests import Request


def table(name: str) -> TableId:
    """`schema.table` of a PostgreSQL database named db."""
    return TableId("db", *name.split("."))


def mysql(name: str) -> TableId:
    """`database.table`."""
    catalog, name = name.split(".")
    return TableId(catalog, "", name)


def filters(**options: Any) -> Filters:
    return Filters.from_config(SimpleNamespace(**options))


def selection(**options: Any) -> SnapshotSelection:
    config: Any = SimpleNamespace(**{
        "snapshot_include_collection_list": (), "snapshot_tables_order_by_row_count": "disabled",
        "snapshot_select_statement_overrides": (), **options})
    return SnapshotSelection.from_config(config)


def names(ids: list[TableId]) -> list[str]:
    return [str(id) for id in ids]


def test_without_a_list_tables_come_by_name() -> None:
    ids = map(table, ("b.a", "a.z", "a.b", "B.c"))
    assert names(captured_tables(ids, filters())) == ["B.c", "a.b", "a.z", "b.a"]
    ids = map(mysql, ("shop.z", "shop.a", "bar.x"))
    assert names(captured_tables(ids, filters())) == ["bar.x", "shop.a", "shop.z"]


def test_the_include_list_gives_the_order_and_names_the_order_within_an_entry() -> None:
    ids = [table(name) for name in ("s.a", "s.b2", "s.b1", "s.c", "t.c")]
    found = captured_tables(ids, filters(table_include_list=("s.b.*", ".*c", "s.b1", "s.a")))
    assert names(found) == ["s.b1", "s.b2", "s.c", "t.c", "s.a"]


def test_what_is_not_captured_is_left_out() -> None:
    ids = [table(name) for name in ("s.a", "s.b", "t.a")]
    assert names(captured_tables(ids, filters(table_exclude_list=("s.a",)))) == ["s.b", "t.a"]
    assert names(captured_tables(ids, filters(schema_include_list=("t",)))) == ["t.a"]


def test_entries_that_match_nothing() -> None:
    entries = ("s.a", "s.b.*", "T.C", "s.no")
    patterns = filters(table_include_list=entries).tables.include
    assert unmatched_entries(entries, patterns, ["s.a", "s.b1", "t.c"]) == ["s.no"]
    assert unmatched_entries(entries, patterns, []) == list(entries)
    assert unmatched_entries((), (), ["s.a"]) == []


def test_all_captured_tables_are_copied_in_their_order() -> None:
    captured = [table("s.b"), table("s.a")]
    assert selection().tables(captured, {}) == captured


def test_a_list_says_which_tables_are_copied() -> None:
    captured = [table("s.b"), table("s.a"), table("t.a")]
    chosen = selection(snapshot_include_collection_list=("s.A", "db.t.a"))
    assert names(chosen.tables(captured, {})) == ["s.a", "t.a"]
    assert selection(snapshot_include_collection_list=("nothing",)).tables(captured, {}) == []
    assert names(selection(snapshot_include_collection_list=("shop.*",)).tables(
        [mysql("shop.a"), mysql("bar.a")], {})) == ["shop.a"]


@pytest.mark.parametrize(("order", "wanted"), [
    ("disabled", ["s.d", "s.c", "s.b", "s.a"]),
    ("ascending", ["s.c", "s.d", "s.a", "s.b"]),
    ("descending", ["s.b", "s.d", "s.a", "s.c"]),
])
def test_order_by_row_count(order: str, wanted: list[str]) -> None:
    """Tables of one size stay in their order; s.c has no estimate."""
    captured = [table(f"s.{name}") for name in "dcba"]
    counts = {table("s.a"): 10, table("s.b"): 11, table("s.d"): 10}
    assert names(selection(snapshot_tables_order_by_row_count=order).tables(captured, counts)) == wanted


def test_overrides_go_by_both_names_of_a_table() -> None:
    chosen = selection(snapshot_select_statement_overrides=(
        ("s.a", " SELECT 1; "), ("db.s.b", "SELECT 2"), ("shop.c", "SELECT 3;")))
    assert chosen.override(table("s.a")) == "SELECT 1"
    assert chosen.override(table("s.b")) == "SELECT 2"
    assert chosen.override(table("s.c")) is None
    assert chosen.override(mysql("shop.c")) == "SELECT 3"


def test_a_bad_regular_expression_names_the_option() -> None:
    with pytest.raises(ConfigError) as caught:
        selection(snapshot_include_collection_list=("a(",))
    assert caught.value.option == "snapshot.include.collection.list"


def test_a_table_has_at_least_as_many_ranges_as_threads_times_its_multiplier() -> None:
    counts = RangeCounts(4, 2, {"public.orders": 5})
    assert (counts.fewest(table("public.orders")), counts.fewest(table("public.items"))) == (20, 8)
    assert RangeCounts(1, 2, {"public.orders": 5}).fewest(table("public.orders")) == 1


def test_tables_that_are_asked_for_go_over_the_configured_ones() -> None:
    ids = [table(name) for name in ("s.a", "s.b", "s.signals")]
    configured = selection(snapshot_include_collection_list=("s.a",), signal_data_collection="s.signals")
    assert names(configured.asked_for({}).tables(ids, {})) == ["s.a"]
    asked = configured.asked_for({ids[1]: "id > 1 -- all", ids[0]: None})
    assert names(asked.tables(ids, {})) == ["s.a", "s.b"], "in the order of what is captured"
    assert asked.condition(ids[1]) == "(id > 1 -- all\n)", "the comment ends before the parenthesis"
    assert asked.condition(ids[0]) is None
    for missing in (ids[2], table("s.gone")):
        with pytest.raises(SourceRefusedError, match=f"{missing} cannot be copied"):
            configured.asked_for({missing: None}).tables(ids, {})


def test_a_request_chooses_tables_and_selects_whatever_is_configured_for_initial_snapshots() -> None:
    captured = [table("s.a"), table("s.b"), table("s.signals")]
    config: Any = SimpleNamespace(
        snapshot_include_collection_list=("s.b",), snapshot_tables_order_by_row_count="descending",
        snapshot_select_statement_overrides=(("s.a", "SELECT 1"),), signal_data_collection="s.signals")
    request = Request("r", ("S.A", "s[.]signals", "s.x", "s.b"), True, (("s.b", "SELECT 2;"),))
    with capture_logs() as lines:
        made = SnapshotSelection.of_request(request, captured, config)
    assert names(made.tables(captured, {table("s.b"): 9})) == ["s.b", "s.a"]
    assert (made.override(table("s.a")), made.override(table("s.b"))) == (None, "SELECT 2")
    assert [line["tables"] for line in lines] == [["s.x"]]
    nothing = SnapshotSelection.of_request(Request("r", ("s.x",), True), captured, config)
    assert nothing.tables(captured, {}) == []
