"""MariaDB's sequences: the log has them as tables, and their rows are no events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc.core.table import TableId
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.decoder import BinlogDecoder
from cdc.sources.mysql.binlog.events import TableMap
from cdc.sources.mysql.changes import ChangeReader
from cdc.sources.mysql.collations import Collations
from cdc.sources.mysql.ddl import statements as ddl
from cdc.sources.mysql.ddl.grammar import MARIADB
from cdc.sources.mysql.ddl.structure import Structures, TableStructure, dump, load
from cdc.sources.mysql.ddl.tokens import Dialect
from cdc.sources.mysql.structure_from_log import from_log
from tests.unit.sources.mysql.made_log import MadeLog
from tests.unit.sources.mysql.test_changes import fed, reader_of

BIG, FLAG, INT = (const.MYSQL_TYPE_LONGLONG, b""), (const.MYSQL_TYPE_TINY, b""), (const.MYSQL_TYPE_LONG, b"")
TYPES = (*(BIG,) * 6, FLAG, BIG)
SMALL = (*(INT,) * 4, BIG, BIG, FLAG, BIG)
SHOWN = """\
CREATE TABLE `t` (
  `next_not_cached_value` bigint(21) NOT NULL,
  `minimum_value` bigint(21) NOT NULL,
  `maximum_value` bigint(21) NOT NULL,
  `start_value` bigint(21) NOT NULL COMMENT 'start value when sequences is created or value if RESTART is used',
  `increment` bigint(21) NOT NULL COMMENT 'increment value',
  `cache_size` bigint(21) unsigned NOT NULL COMMENT 'number of sequence values allocated but not used',
  `cycle_option` tinyint(1) unsigned NOT NULL COMMENT '0 if no cycles are allowed, 1 if the sequence should begin',
  `cycle_count` bigint(21) NOT NULL COMMENT 'How many cycles have been done'
) ENGINE=InnoDB SEQUENCE=1"""
ID = TableId("shop", "", "t")


def values(made: MadeLog, types: tuple[tuple[int, bytes], ...] = TYPES, table: str = "t") -> None:
    sizes = {BIG: 8, INT: 4, FLAG: 1}
    made.rows(table, types, ("c", [[b"\1" * sizes[each] for each in types]]), nullable=0)


def known_to(reader: ChangeReader) -> TableStructure | None:
    found: TableStructure | None = reader.tables.structures.get(ID)
    return found


@pytest.mark.parametrize("types", [TYPES, SMALL], ids=["bigint", "int"])
@pytest.mark.parametrize("statement", [
    "CREATE SEQUENCE t START WITH 100 INCREMENT BY 10 CACHE 2", "CREATE OR REPLACE SEQUENCE shop.t",
    "CREATE SEQUENCE IF NOT EXISTS `t`", "SET STATEMENT max_statement_time=0 FOR CREATE SEQUENCE t",
    SHOWN, SHOWN.replace("CREATE TABLE", "CREATE OR REPLACE TABLE"),
    "CREATE SEQUENCE old; RENAME TABLE old TO t", "CREATE SEQUENCE old; CREATE TABLE t LIKE old",
    "CREATE SEQUENCE t; ALTER TABLE t ENGINE=Aria",
])
def test_rows_of_a_sequence_are_no_events(statement: str, types: tuple[tuple[int, bytes], ...]) -> None:
    reader, made = reader_of("mariadb"), MadeLog()
    for each in statement.split("; "):
        made.statement(each)
    values(made, types)
    assert fed(reader, made.take()) == []
    assert reader.emitter.filtered == 1


@pytest.mark.parametrize("ends", ["DROP SEQUENCE t", "DROP SEQUENCE IF EXISTS other, shop.t", "DROP TABLE t",
                                  "DROP DATABASE shop"])
def test_a_table_that_takes_a_sequences_name_is_a_table(ends: str) -> None:
    reader, made = reader_of("mariadb"), MadeLog()
    made.statement("CREATE SEQUENCE t")
    made.statement(ends)
    made.statement("CREATE TABLE t (" + ", ".join(
        f"c{number} {'tinyint' if each == FLAG else 'bigint'} NOT NULL" for number, each in enumerate(TYPES)) + ")")
    values(made)
    assert [op for op, *_ in fed(reader, made.take())] == ["c"]


def test_a_sequence_that_is_read_from_the_server() -> None:
    """It was made before the structures that are stored."""
    reader, made = reader_of("mariadb"), MadeLog()
    found = ddl.read_create(SHOWN, "shop", Structures(), Dialect(MARIADB))
    assert found.sequence
    reader.tables.reread = lambda ids, patient=True: {ID: found}
    values(made)
    assert fed(reader, made.take()) == []
    assert known_to(reader) == found


def test_a_sequence_that_the_log_names_and_that_is_gone() -> None:
    made = MadeLog()
    values(made)
    decoder = BinlogDecoder()
    described = next(message for message in (decoder.decode(each)[1] for each in made.take())
                     if isinstance(message, TableMap))
    names = ("next_not_cached_value", "minimum_value", "maximum_value", "start_value", "increment", "cache_size",
             "cycle_option", "cycle_count")
    assert from_log(replace(described, names=names), Collations({})).sequence
    others = from_log(replace(described, names=(*names[:-1], "cycles")), Collations({}))
    assert not others.sequence
    assert len(others.columns) == 8


def test_an_offset_keeps_sequences() -> None:
    known = Structures()
    known.put(TableStructure(ID, (), sequence=True))
    assert list(load(dump(known))) == list(known)
