"""What the rows of the system catalogs mean, without a server: keys and columns."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.sources.postgres.catalog import RelationCatalog, _relation

NULLABLE, REQUIRED = True, False


def column(name: str, attnum: int, nullable: bool = REQUIRED, generated: str = "") -> tuple[Any, ...]:
    return 1, name, attnum, 23, -1, nullable, None, "", generated


def index(*attnums: int, primary: bool = False, identity: bool = False, immediate: bool = True, whole: bool = True,
          one_null: bool = False, xid: int = 700) -> tuple[Any, ...]:
    """As the server has it; 0 stands for an expression."""
    return 1, primary, identity, immediate, whole, one_null, xid, list(attnums)


def described(*indexes: tuple[Any, ...], identity: str = "d", kind: str = "r") -> RelationCatalog:
    columns = [column("a", 1), column("b", 2), column("n", 3, NULLABLE)]
    return _relation((1, "public", "t", kind, identity, None, 0.0), columns, list(indexes))


@pytest.mark.parametrize(("indexes", "wanted"), [
    ([index(1)], ("a",)),
    ([index(1, whole=False)], ()),  # partial
    ([index(3)], ()),  # nulls differ from each other
    ([index(1, 3)], ()),
    ([index(3, one_null=True)], ("n",)),  # NULLS NOT DISTINCT
    ([index(3, one_null=True, whole=False)], ()),
    ([index(1, immediate=False)], ()),  # deferrable: two rows have the same values until the commit
    ([index(0)], ()),
    ([index(1, 0)], ()),
    ([index(1, whole=False), index(3), index(2)], ("b",)),  # the first that is a key
])
def test_only_a_unique_index_of_all_rows_replaces_a_primary_key(indexes: list[Any], wanted: tuple[str, ...]) -> None:
    found = described(*indexes)
    assert (found.unique_key, found.key) == (wanted, wanted)
    keyed = described(*indexes, index(2, primary=True))
    assert (keyed.unique_key, keyed.loose_key, keyed.key) == ((), (), ("b",))


@pytest.mark.parametrize(("indexes", "loose"), [
    ([index(1, whole=False), index(2)], ("a",)), ([index(3)], ("n",)), ([index(0), index(2)], ("b",)), ([], ())])
def test_the_index_that_debezium_takes_is_known(indexes: list[Any], loose: tuple[str, ...]) -> None:
    assert described(*indexes).loose_key == loose


def test_the_index_of_the_replica_identity_is_preferred_because_old_rows_have_it() -> None:
    found = described(index(1), index(2, identity=True), identity="i")
    assert (found.unique_key, found.identity_key, found.loose_key) == (("b",), ("b",), ("a",))
    assert described(index(1), index(2, identity=True), identity="f").unique_key == ("a",)  # it was the identity once


def test_virtual_columns_are_no_columns_of_the_log() -> None:
    rows = [column("a", 1), column("s", 2, generated="s"), column("v", 3, generated="v"), column("z", 4)]
    found = _relation((1, "public", "t", "r", "f", None, 0.0), rows, [index(4)])
    assert [each.name for each in found.columns] == ["a", "s", "z"]
    assert (found.virtual, found.identity_key, found.unique_key) == (("v",), ("a", "s", "z"), ("z",))
