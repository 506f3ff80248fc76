"""Structures are kept with the offset, and are the same again afterwards."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cdc.core.table import TableId
from cdc.sources.mysql.ddl import statements as ddl
from cdc.sources.mysql.ddl.structure import ColumnDef, Structures, TableStructure, UniqueKey, dump, load

ORDERS = """CREATE TABLE orders (id bigint unsigned NOT NULL AUTO_INCREMENT, state enum('new','it''s') DEFAULT 'new',
 note text CHARACTER SET latin1 COMMENT 'x', made timestamp DEFAULT now() ON UPDATE now(), twice int AS (1) INVISIBLE,
 total decimal(10,2), PRIMARY KEY (id), UNIQUE (total), UNIQUE ((lower(note)))) COMMENT='all' COLLATE utf8mb4_bin"""


def some() -> Structures:
    known = Structures("latin2", {"d": "utf8mb4"}, folds=True)
    ddl.apply(ORDERS, "d", known)
    ddl.apply("CREATE TABLE other (a int)", "d", known)
    return known


def test_what_is_stored_is_what_is_loaded() -> None:
    known = some()
    assert load(dump(known)) == known
    known.as_of = ("binlog.000007", 1234)
    assert load(dump(known)) == known == known.copy()


def test_equal_structures_are_stored_as_equal_text() -> None:
    backwards = Structures("latin2", {"d": "utf8mb4"}, folds=True)
    for table in reversed(list(some())):
        backwards.put(table)
    assert dump(backwards) == dump(some())


def test_only_what_is_not_a_default_is_stored() -> None:
    table = next(table for table in some() if table.id.table == "other")
    assert table.to_json() == {"database": "d", "table": "other", "charset": "utf8mb4",
                               "columns": [{"name": "a", "type_name": "INT"}]}


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"format":2}', '{"format":1}',
                                  dump(Structures()).replace('"tables":[]', '"tables":[{}]'),
                                  dump(Structures()).replace('"tables":[]', '"tables":[7]')])
def test_damage_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"damaged|format|Expecting"):
        load(text)


def test_every_attribute_survives() -> None:
    column = ColumnDef("c", "SET", 3, 1, "x", "y", ("a", "b"), False, "d", True, True, True, "z", True)
    table = TableStructure(TableId("d", "", "t"), (column,), ("c",), (UniqueKey("u", ("c",)), UniqueKey("v", ())),
                           "x", "y", "z", True)
    assert TableStructure.from_json(json.loads(json.dumps(table.to_json()))) == table


def test_the_key_is_the_primary_key_or_a_unique_key_without_nulls() -> None:
    a, b = ColumnDef("a", "INT", nullable=False), ColumnDef("b", "INT")
    table = TableStructure(TableId("d", "", "t"), (a, b), (), (
        UniqueKey("expression", ()), UniqueKey("nullable", ("a", "b")), UniqueKey("good", ("a",))))
    assert table.key == ("a",)
    assert replace(table, primary_key=("b",)).key == ("b",)
    assert replace(table, unique_keys=()).key == ()


def test_columns_are_found_without_case() -> None:
    table = TableStructure(TableId("d", "", "t"), (ColumnDef("Näme", "INT"),))
    assert table.column("nÄME") is not None
    assert table.column("x") is None


def test_renaming_what_is_not_known_forgets_what_had_the_name() -> None:
    known = some()
    assert known.rename(TableId("d", "", "nobody"), TableId("d", "", "other")) is None
    assert known.get(TableId("d", "", "other")) is None


def test_a_dropped_database_takes_its_tables_along() -> None:
    known = some()
    assert {id.table for id in known.drop_database("d")} == {"orders", "other"}
    assert len(known) == 0
    assert known.charset_of("d") == "latin2"


def test_a_copy_changes_by_itself() -> None:
    known = some()
    copy = known.copy()
    copy.drop_database("d")
    assert len(known) == 2
