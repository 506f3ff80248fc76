"""Statements that change rows without row events: which tables, and how."""

from __future__ import annotations

import pytest

from cdc.core.table import TableId
from cdc.sources.mysql.ddl.grammar import MARIADB
from cdc.sources.mysql.ddl.statements import apply
from cdc.sources.mysql.ddl.structure import ColumnDef, Structures, TableStructure
from cdc.sources.mysql.ddl.tokens import Dialect

DIALECT = Dialect(MARIADB)


def known(*names: str, versioned: bool = False) -> Structures:
    made = Structures()
    for name in names:
        made.put(TableStructure(TableId("d", "", name), (ColumnDef("id", "INT"), ColumnDef("v", "INT")), ("id",),
                                versioned=versioned))
    return made


def unseen(statement: str, structures: Structures) -> set[tuple[str, str]]:
    return {(str(each.id), each.effect) for each in apply(statement, "d", structures, DIALECT).unseen}


@pytest.mark.parametrize(("statement", "wanted"), [
    ("ALTER TABLE t TRUNCATE PARTITION p0, p1", "d.t lost"),
    ("ALTER TABLE t DROP PARTITION IF EXISTS p0", "d.t lost"),
    ("ALTER TABLE t DISCARD PARTITION ALL TABLESPACE", "d.t lost"),
    ("ALTER TABLE t IMPORT PARTITION p0 TABLESPACE", "d.t got"),
    ("ALTER TABLE t DISCARD TABLESPACE", "d.t lost"),
    ("alter table t import tablespace", "d.t got"),
    ("ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE e.x WITHOUT VALIDATION", "d.t exchanged, e.x exchanged"),
    ("ALTER TABLE t CONVERT PARTITION p0 TO TABLE `e`.x", "d.t lost, e.x got"),
    ("ALTER TABLE t CONVERT TABLE x TO PARTITION p0 VALUES LESS THAN (3)", "d.x lost, d.t got"),
    ("ALTER TABLE t REORGANIZE PARTITION a, b INTO (PARTITION c VALUES IN (1, 2))", "d.t may have lost"),
    ("ALTER TABLE t REORGANIZE PARTITION a INTO (PARTITION a VALUES LESS THAN (3), PARTITION b VALUES LESS THAN (9))",
     ""),
    ("ALTER TABLE t REORGANIZE PARTITION", ""),
    ("ALTER TABLE t COALESCE PARTITION 2", ""),
    ("ALTER TABLE t ADD PARTITION (PARTITION p9 VALUES IN (9))", ""),
    ("ALTER TABLE t REBUILD PARTITION p0, p1", ""),
    ("ALTER TABLE t REMOVE PARTITIONING", ""),
    ("ALTER TABLE t PARTITION BY HASH (id) PARTITIONS 4", ""),
    ("ALTER IGNORE TABLE t ADD UNIQUE (v)", "d.t may have lost"),
    ("ALTER TABLE t ENGINE = BLACKHOLE", "d.t lost"),
    ("ALTER TABLE t ADD w INT, ENGINE=`blackhole`", "d.t lost"),
    ("ALTER TABLE t ENGINE=InnoDB, COMMENT 'DROP PARTITION p'", ""),
    ("ALTER TABLE t ADD `drop` INT, DROP COLUMN v", ""),
    ("ALTER TABLE t RENAME TO e.u", "d.t lost, e.u got"),
    ("ALTER TABLE t RENAME COLUMN v TO w", ""),
    ("RENAME TABLE t TO old, x TO t", "d.t exchanged, d.old got, d.x lost"),
    ("RENAME TABLE t TO a, x TO t, a TO x", "d.t exchanged, d.x exchanged"),
    ("RENAME TABLE t TO a, a TO t", ""),
    ("DROP TABLE t, x", "d.t lost, d.x lost"),
    ("DROP TABLE IF EXISTS t, never", "d.t lost"),
    ("DROP TABLE elsewhere", "d.elsewhere lost"),
    ("DROP TEMPORARY TABLE t", ""),
    ("DROP DATABASE d", "d.t lost, d.x lost"),
    ("DROP DATABASE e", ""),
    ("CREATE OR REPLACE DATABASE d", "d.t lost, d.x lost"),
    ("CREATE OR REPLACE TABLE t (id INT)", "d.t lost"),
    ("CREATE OR REPLACE TABLE n (id INT)", ""),
    ("CREATE TABLE IF NOT EXISTS t (id INT)", ""),
    ("TRUNCATE TABLE t", ""),  # it is `truncated`
    ("OPTIMIZE TABLE t", ""),
])
def test_which_tables_lost_or_got_rows(statement: str, wanted: str) -> None:
    told = {tuple(each.split(" ", 1)) for each in wanted.split(", ") if each}
    assert unseen(statement, known("t", "x")) == told
    if statement.startswith("ALTER TABLE"):
        assert unseen(statement, known()) == told, "of a table that is not known"


def test_partitions_of_a_versioned_table_may_hold_former_versions_only() -> None:
    assert unseen("ALTER TABLE t DROP PARTITION p0", known("t", versioned=True)) == {("d.t", "may have lost")}


@pytest.mark.parametrize("length", range(1, 12))
def test_a_cut_statement_raises_nothing(length: int) -> None:
    for statement in ("ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE e . x",
                      "ALTER TABLE t CONVERT PARTITION p TO TABLE x", "ALTER TABLE t CONVERT TABLE x TO PARTITION p"):
        apply(" ".join(statement.split(" ")[:length]), "d", known("t"), DIALECT)


@pytest.mark.parametrize(("statement", "wanted"), [
    ("RENAME TABLE t TO old, x TO t", {"d.t", "d.old", "d.x"}),
    ("ALTER TABLE t RENAME TO old", {"d.t", "d.old"}),
    ("DROP TABLE t", {"d.t"}),
    ("CREATE TABLE new (id INT)", {"d.new"}),
    ("CREATE OR REPLACE TABLE t (id INT)", {"d.t"}),
    ("CREATE TABLE IF NOT EXISTS t (id INT)", set()),
    ("ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE x", {"d.t", "d.x"}),
    ("ALTER TABLE t ADD COLUMN w INT", set()),
    ("CREATE INDEX i ON t (v)", set()),
])
def test_which_names_lead_to_other_rows_after_a_statement(statement: str, wanted: set[str]) -> None:
    assert {str(id) for id in apply(statement, "d", known("t", "x"), DIALECT).succeeded()} == wanted


def test_successors_are_counted_by_name_since_the_structures_were_loaded() -> None:
    structures = known("t")
    structures.folds = True
    structures.succeeded(TableId("D", "", "T"))
    structures.succeeded(TableId("d", "", "t"))
    assert structures.successors(TableId("d", "", "t")) == 2
    assert structures.successors(TableId("d", "", "x")) == 0
    assert structures == structures.copy()
