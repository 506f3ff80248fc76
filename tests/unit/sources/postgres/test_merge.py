"""A Relation message and the catalog: which of them is believed about what."""

from __future__ import annotations

from typing import Any

from cdc.sources.postgres.catalog import ColumnCatalog, RelationCatalog, merge
from cdc.sources.postgres.protocol import Relation, RelationColumn

INT, TEXT = 23, 25


def catalog(*columns: tuple[str, int], key: tuple[str, ...] = (), unique: tuple[str, ...] = (),
            **more: Any) -> RelationCatalog:
    made = tuple(ColumnCatalog(name, number, type_oid, -1, False, "0", "", more.get(name, ""))
                 for number, (name, type_oid) in enumerate(columns, 1))
    return RelationCatalog(1, "s", "t", "r", "d", made, key, unique, key, None, -1)


def message(*columns: str, identity: str = "d", flags: str = "") -> Relation:
    return Relation(1, "s", "t", identity, tuple(RelationColumn(name, INT, 7, name in flags) for name in columns))


def test_order_and_typmod_are_the_logs() -> None:
    merged = merge(message("b", "a"), catalog(("a", INT), ("b", INT)))
    assert [(column.name, column.typmod) for column in merged.columns] == [("b", 7), ("a", 7)]


def test_same_name_of_another_type_is_another_column() -> None:
    (column,) = merge(message("a"), catalog(("a", TEXT))).columns
    assert (column.nullable, column.default, column.known) == (True, None, False)


def test_generated_column_has_no_default() -> None:
    (column,) = merge(message("a"), catalog(("a", INT), a="s")).columns
    assert (column.nullable, column.default) == (False, None)


def test_without_a_catalog_any_value_fits() -> None:
    merged = merge(message("a", "b", flags="a"), None)
    assert all(column.nullable and column.default is None for column in merged.columns)
    assert merged.key == ("a",)


def test_key_order_is_the_catalogs_when_both_agree() -> None:
    assert merge(message("a", "b", flags="ab"), catalog(("a", INT), ("b", INT), key=("b", "a"))).key == ("b", "a")


def test_another_primary_key_in_the_catalog_is_not_the_logs() -> None:
    both = catalog(("a", INT), ("b", INT), key=("b",))
    assert merge(message("a", "b", flags="a"), both).key == ("a",)


def test_key_the_log_does_not_flag_is_taken_when_all_of_it_is_there() -> None:
    assert merge(message("a", "b"), catalog(("a", INT), ("b", INT), unique=("b",))).key == ("b",)
    assert merge(message("a", "b", identity="f", flags="ab"), catalog(("a", INT), key=("a",))).key == ("a",)
    assert merge(message("a", "b", identity="i", flags="b"), catalog(("a", INT), ("b", INT), key=("a",))).key == ("a",)


def test_key_that_is_gone_leaves_what_the_log_flags() -> None:
    gone = catalog(("x", INT), key=("x",))
    assert merge(message("a", "b", identity="i", flags="b"), gone).key == ("b",)
    assert merge(message("a", "b", identity="f", flags="ab"), gone).key == ()
