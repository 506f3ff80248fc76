"""What is captured, by Debezium's rules for its lists."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cdc.config.regex import compile_java
from cdc.core.errors import ConfigError
from cdc.core.table import TableId
from cdc.debezium.filters import Filters, parse_key_columns

ORDERS = TableId("shop", "inv", "orders")
ITEMS = TableId("shop", "inv", "items")
MYSQL = TableId("inv", "", "orders")


def filters(**options: Any) -> Filters:
    return Filters.from_config(SimpleNamespace(**options))


def test_without_lists_every_table_and_column_is_captured() -> None:
    everything = filters()
    assert everything.table(ORDERS)
    assert everything.column(ORDERS, "id")
    assert everything.prefix("audit")


@pytest.mark.parametrize(("item", "captured"), [
    ("inv.orders", True), ("INV.ORDERS", True), ("inv.order", False), ("inv.*", True), (".*orders", True),
    ("orders", False), ("invxorders", False), ("shop.inv.orders", False),
])
def test_list_item_matches_the_whole_name_without_case(item: str, captured: bool) -> None:
    assert filters(table_include_list=(item,)).table(ORDERS) is captured
    assert filters(table_exclude_list=(item,)).table(ORDERS) is not captured


def test_dot_is_any_character() -> None:
    assert filters(table_include_list=("inv.orders",)).table(TableId("shop", "inv", "orders"))
    assert filters(schema_include_list=("i.v",)).table(ORDERS)


def test_schema_and_table_lists_both_apply() -> None:
    both = filters(schema_exclude_list=("inv",), table_include_list=("inv.orders",))
    assert not both.table(ORDERS)


def test_databases_are_asked_where_there_are_no_schemas() -> None:
    assert not filters(database_include_list=("shop",)).table(MYSQL)
    assert filters(database_include_list=("inv",), table_include_list=("inv.orders",)).table(MYSQL)


def test_compiled_patterns_are_taken_as_they_are() -> None:
    assert not filters(table_include_list=(compile_java("INV.ORDERS", 0),)).table(ORDERS)


def test_builtin_tables_are_ignored_unless_asked_for() -> None:
    """Whatever the lists say; which tables are builtin is the source's business."""
    config = SimpleNamespace(table_include_list=("inv.orders", "inv.items"))
    assert not Filters.from_config(config, ORDERS.__eq__).table(ORDERS)
    assert Filters.from_config(config, ORDERS.__eq__).table(ITEMS)
    config.table_ignore_builtin = False
    assert Filters.from_config(config, ORDERS.__eq__).table(ORDERS)


@pytest.mark.parametrize("name", ["inv.signals", "shop.inv.signals", '"inv"."signals"', " inv.signals "])
def test_signal_table_is_always_captured(name: str) -> None:
    chosen = filters(table_include_list=("inv.orders",), signal_data_collection=name)
    assert chosen.table(TableId("shop", "inv", "signals"))
    assert chosen.is_signal_table(TableId("shop", "inv", "signals"))
    assert not chosen.table(ITEMS)


@pytest.mark.parametrize("item", ["inv.orders.note", "shop.inv.orders.note", r".*\.note"])
def test_columns_go_by_their_name_with_and_without_database(item: str) -> None:
    assert not filters(column_exclude_list=(item,)).column(ORDERS, "note")
    assert filters(column_exclude_list=(item,)).column(ORDERS, "id")
    assert filters(column_include_list=(item,)).column(ORDERS, "note")
    assert not filters(column_include_list=(item,)).column(ORDERS, "id")


def test_message_prefixes() -> None:
    assert not filters(message_prefix_include_list=("audit.*",)).prefix("other")
    assert filters(message_prefix_include_list=("audit.*",)).prefix("audit2")
    assert not filters(message_prefix_exclude_list=("audit",)).prefix("audit")


def test_include_and_exclude_exclude_each_other() -> None:
    with pytest.raises(ConfigError) as caught:
        filters(table_include_list=("a.b",), table_exclude_list=("c.d",))
    assert caught.value.option == "table.exclude.list"


def test_key_columns_come_in_the_configured_order() -> None:
    keys = parse_key_columns(" inv.orders:b,a ; (.*).items : c ")
    assert keys.find(ORDERS, ("a", "b", "c")) == ("b", "a")
    assert keys.find(ITEMS, ("a", "b", "c")) == ("c",)
    assert keys.find(TableId("shop", "inv", "other"), ("a", "b")) == ()


def test_key_columns_match_with_database_and_only_once() -> None:
    assert parse_key_columns("shop.inv.orders:a;inv.orders:.*").find(ORDERS, ("a", "b")) == ("a", "b")
    assert parse_key_columns(None).find(ORDERS, ("a",)) == ()


def test_key_columns_may_come_taken_apart() -> None:
    entry = SimpleNamespace(table="inv.orders", columns=("b", "a"))
    assert filters(message_key_columns=(entry,)).keys.find(ORDERS, ("a", "b")) == ("b", "a")


@pytest.mark.parametrize("text", ["inv.orders", "inv.orders:", "a:b:c", ":a"])
def test_malformed_key_columns_name_the_option(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_key_columns(text)
    assert caught.value.option == "message.key.columns"
