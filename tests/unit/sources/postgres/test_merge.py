"""A Relation message and the catalog: which of them is believed about what."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from cdc.sources.postgres.catalog import ColumnCatalog, RelationCatalog, relation_of
from cdc.sources.postgres.merge import (
    Doubt,
    MergedColumn,
    MergedRelation,
    Moment,
    as_catalog_has_it,
    merge,
)
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


# -- what is remembered ------------------------------------------------------------------------------------------------

MADE_BY, SEEN = 500, 9000
"""The transaction that made the catalog's key, and an LSN at which the catalog had it."""


def was(*names: str, key: tuple[str, ...], identity: str = "f", primary: bool = True) -> MergedRelation:
    return MergedRelation(tuple(MergedColumn(name, INT, 7, False, "1", True) for name in names), key, primary, identity)


def now(*names: str, key: tuple[str, ...] = (), identity: str = "f") -> RelationCatalog:
    return replace(catalog(*((name, INT) for name in names), key=key), replica_identity=identity,
                   key_xid=MADE_BY if key else 0)


def full(*names: str, identity: str = "f") -> Relation:
    return message(*names, identity=identity, flags="".join(names) if identity == "f" else "")


def test_columns_that_the_catalog_lost_are_what_they_were() -> None:
    merged = merge(full("a", "b"), now("x"), [was("b", key=()), was("a", key=())])
    assert [(column.nullable, column.default) for column in merged.columns] == [(False, "1")] * 2
    assert merge(full("a"), now("x"), [replace(was("a", key=()), columns=())]).columns[0].nullable


@pytest.mark.parametrize(("moment", "expected"), [
    (Moment(xid=499), ("a",)), (Moment(xid=500), ("a",)), (Moment(xid=501), ("b",)), (Moment(), ("a",)),
    (Moment(xid=500, again=True), ("b",)), (Moment(xid=499, again=True), ("a",)),
    (Moment(xid=499, final_lsn=9001, seen_lsn=SEEN), ("b",)), (Moment(xid=499, final_lsn=9000, seen_lsn=SEEN), ("a",)),
    (Moment(xid=499 + (1 << 31)), ("b",)), (Moment(xid=500 + (1 << 31)), ("a",)),  # ids wrap around
])
def test_a_key_that_was_changed_counts_from_the_transaction_that_changed_it(
        moment: Moment, expected: tuple[str, ...]) -> None:
    merged = merge(full("a", "b"), now("a", "b", key=("b",)), [was("a", "b", key=("a",))], moment)
    assert (merged.key, merged.doubtful) == (expected, expected == ("a",))


@pytest.mark.parametrize(("moment", "expected"), [
    (Moment(xid=900), ("a",)), (Moment(xid=900, again=True), ()), (Moment(final_lsn=9001, seen_lsn=SEEN), ()),
    (Moment(final_lsn=9000, seen_lsn=SEEN), ("a",))])
def test_a_key_that_was_dropped_counts_until_the_log_shows_a_change(
        moment: Moment, expected: tuple[str, ...]) -> None:
    merged = merge(full("a"), now("a"), [was("a", key=("a",))], moment)
    assert (merged.key, merged.doubtful) == (expected, expected == ("a",))


def test_a_key_that_was_dropped_with_another_identity_is_none_from_there_on() -> None:
    assert merge(full("a"), now("a"), [was("a", key=("a",), identity="d")]).key == ()
    assert merge(full("a"), now("a", identity="n"), [was("a", key=("a",), identity="d")]).key == ("a",)


def test_a_message_with_columns_that_are_gone_is_older_than_the_catalog() -> None:
    found = merge(full("a", "b"), now("b", key=("b",)), [was("a", "b", key=("a",))], Moment(xid=900, again=True))
    assert (found.key, found.doubtful) == (("a",), False)


def test_a_renamed_key_has_the_name_that_the_message_has() -> None:
    known = [was("a", key=("a",))]
    assert merge(full("a"), now("b", key=("b",)), known).key == ("a",)
    assert merge(full("b"), now("b", key=("b",)), known).key == ("b",)
    assert merge(full("a"), now("b", key=("b",)), [*known, was("b", key=("b",))]).key == ("a",)  # it comes again
    between = merge(full("x"), now("b", key=("b",)), known)
    assert (between.key, between.key_known) == ((), False)
    assert merge(full("x"), now("b"), known).key_known is False
    assert merge(full("x"), None, known).key_known is True  # nobody can name the columns of a dropped table


def test_no_half_of_a_key_is_taken() -> None:
    found = merge(full("a", "b"), now("a", "c", key=("a", "c")))
    assert (found.key, found.key_known) == ((), False)


def test_a_flag_less_message_had_no_primary_key() -> None:
    plain = message("a", "b")
    assert merge(plain, now("a", "b", key=("a",), identity="d"), [was("a", "b", key=())]).key == ()
    assert merge(plain, now("a", "b", key=("a",), identity="d")).key == ("a",)  # a table that is filled, then indexed
    assert merge(plain, None, [was("a", "b", key=("a",))]).key == ()
    unique = was("a", "b", key=("b",), primary=False)
    assert merge(plain, now("a", "b", key=("a",), identity="d"), [unique]).key == ("b",)


def test_a_deferrable_primary_key_has_no_flag() -> None:
    found = replace(now("a", "b", key=("a",), identity="d"), deferrable=True)
    merged = merge(message("a", "b"), found)
    assert (merged.key, merged.primary) == (("a",), False)


def test_the_order_of_a_key_is_remembered() -> None:
    flagged = message("a", "b", flags="ab")
    assert merge(flagged, None, [was("a", "b", key=("b", "a"))]).key == ("b", "a")
    assert merge(flagged, now("c", key=("c",)), [was("a", "b", key=("b", "a"))]).key == ("b", "a")


@pytest.mark.parametrize("table", [
    now("a", "b", key=("a",), identity="d"), now("a", "b", key=("b",)), now("a"), now("a", key=("a",), identity="n"),
    replace(now("a", "b", key=("a",), identity="d"), deferrable=True, replica_identity="n"),
    catalog(("a", INT), ("b", TEXT), unique=("b",), a="s")])
def test_a_table_of_the_catalog_is_as_its_message_would_be(table: RelationCatalog) -> None:
    assert as_catalog_has_it(table) == merge(relation_of(table), table)


def test_doubt_ends_with_a_later_commit_or_transaction() -> None:
    doubt = Doubt(SEEN, MADE_BY)
    assert [doubt.is_over(lsn, xid) for lsn, xid in ((SEEN, 500), (SEEN + 1, 1), (1, 501))] == [False, True, True]
    assert not Doubt(SEEN, 0).is_over(1, 501)


# -- histories ---------------------------------------------------------------------------------------------------------


def test_no_history_of_changes_makes_up_a_key() -> None:
    """Each row's key must be the one that the table had when it was written; or the one of before while it is doubtful;
    or a refusal."""
    for seed in range(2000):
        check_history(seed)


def check_history(seed: int) -> None:
    """Random changes of a table while the connector is down."""
    rng = random.Random(seed)
    names, identity = ["a", "b", "c"], rng.choice("dfi")
    key: tuple[str, ...] = ("a",)
    log: list[tuple[Relation, tuple[str, ...], Moment]] = []
    keys: list[tuple[tuple[str, ...], RelationCatalog]] = []
    made_by, lsn, xid, fresh = 0, 100, 10, 0
    for _ in range(rng.randint(1, 12)):
        xid, lsn = xid + 1, lsn + 10
        action = rng.choice(["row", "row", "rename", "rekey", "drop", "add"])
        if action == "rename":
            fresh += 1
            index = rng.randrange(len(names))
            key = tuple(f"n{fresh}" if name == names[index] else name for name in key)
            names[index] = f"n{fresh}"
        elif action == "rekey":
            key, made_by = tuple(rng.sample(names, rng.randint(1, 2))), xid
        elif action == "drop":
            key = ()
        elif action == "add":
            fresh += 1
            names.append(f"n{fresh}")
        flags = "" if identity == "i" else [name for name in names if name in key or identity == "f"]
        described = Relation(1, "s", "t", identity,
                             tuple(RelationColumn(name, INT, 7, name in flags) for name in names))
        found = replace(catalog(*((name, INT) for name in names), key=key), replica_identity=identity,
                        key_xid=made_by if key else 0)
        keys.append((key, found))
        if action == "row":
            log.append((described, key, Moment(xid, lsn, 0, False)))
    final = keys[-1][1]
    known = [merge(relation_of(keys[0][1]), keys[0][1])]
    for described, key, moment in log:
        merged = merge(described, final, known, replace(moment, seen_lsn=lsn))
        true = set(key) == set(merged.key) if identity == "d" else key == merged.key
        stale = not merged.key or merged.doubtful or any(merged.key == version.key for version in known)
        assert true or not merged.key_known or (identity != "d" and stale), (seed, described, key, merged, final)
        assert set(merged.key) <= {column.name for column in merged.columns}
        known = [*known, merged][-3:]
