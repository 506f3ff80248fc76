"""Rows that come or go by statements for which the log has no row events: the server is the oracle of what is there,
and whatever the events do not tell must have a warning that names the table."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

import pytest

from cdc.core.record import Record
from tests.conftest import BinlogDatabase
from tests.integration.mysql_source import Reading, change, running
from tests.servers.mariadb import MariaDbServer
from tests.servers.mysql import MySqlServer

RANGE = ("CREATE TABLE {} (id int PRIMARY KEY, v int) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10),"
         " PARTITION p1 VALUES LESS THAN (20), PARTITION p2 VALUES LESS THAN MAXVALUE)")
LIST = "CREATE TABLE {} (id int PRIMARY KEY, v int) PARTITION BY LIST (id) (PARTITION p0 VALUES IN (1, 11, 21))"
HASH = "CREATE TABLE {} (id int PRIMARY KEY, v int) PARTITION BY HASH (id) PARTITIONS 4"
PLAIN = "CREATE TABLE {} (id int PRIMARY KEY, v int)"
VERSIONED = ("CREATE TABLE {} (id int PRIMARY KEY, v int) WITH SYSTEM VERSIONING"
             " PARTITION BY SYSTEM_TIME INTERVAL 1 DAY (PARTITION h0 HISTORY, PARTITION h1 HISTORY,"
             " PARTITION p CURRENT)")
MARIADB_ONLY = ("CONVERT", "IGNORE", "OR REPLACE", "SYSTEM VERSIONING")

CASES = [
    (RANGE, "ALTER TABLE t TRUNCATE PARTITION p0"),
    (RANGE, "ALTER TABLE t DROP PARTITION p1"),
    (RANGE, "ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE other"),
    (RANGE, "ALTER TABLE t REORGANIZE PARTITION p0 INTO (PARTITION a VALUES LESS THAN (5), PARTITION b VALUES LESS"
            " THAN (10))"),
    (RANGE, "ALTER TABLE t CONVERT PARTITION p0 TO TABLE made"),
    (RANGE, "ALTER TABLE t REMOVE PARTITIONING"),
    (RANGE, "ALTER TABLE t REBUILD PARTITION p0, p1"),
    (LIST, "ALTER TABLE t REORGANIZE PARTITION p0 INTO (PARTITION p0 VALUES IN (1, 11))"),
    (LIST, "ALTER TABLE t ADD PARTITION (PARTITION p1 VALUES IN (5))"),
    (LIST, "ALTER IGNORE TABLE t PARTITION BY LIST (id) (PARTITION p0 VALUES IN (1))"),
    (HASH, "ALTER TABLE t COALESCE PARTITION 2"),
    (HASH, "ALTER TABLE t TRUNCATE PARTITION ALL"),
    (PLAIN, "ALTER IGNORE TABLE t ADD UNIQUE (v)"),
    (PLAIN, "ALTER TABLE t DISCARD TABLESPACE"),
    (PLAIN, "ALTER TABLE t ENGINE = InnoDB"),
    (PLAIN, "TRUNCATE TABLE t"),
    (PLAIN, "DROP TABLE t"),
    (PLAIN, "RENAME TABLE t TO gone"),
    (PLAIN, "RENAME TABLE t TO gone, other TO t"),
    (PLAIN, "CREATE OR REPLACE TABLE t (id int PRIMARY KEY, v int)"),
    (PLAIN, "CREATE TABLE made SELECT * FROM t"),
    (PLAIN, "CREATE TABLE made LIKE t"),
    (VERSIONED, "ALTER TABLE t DROP PARTITION h0"),
]
MAY = ("IGNORE", "REORGANIZE", "h0")
"""Such statements may leave out rows, and are told even where they did not."""


def replayed(rows: dict[str, dict[int, Any]], records: list[Any]) -> None:
    for record in records:
        if not isinstance(record, Record):
            continue
        table = rows.setdefault(record.table.id.table, {})
        op, before, after, _ = change(record) if record.op != "t" else ("t", None, None, None)
        if op == "t":
            table.clear()
        if before is not None:
            table.pop(before["id"], None)
        if after is not None:
            table[after["id"]] = after["v"]


def to_the_end(reading: Reading, database: BinlogDatabase) -> list[Any]:
    end, records = database.server.binlog_end(), []
    for _ in range(300):
        records += reading._batch(0.2)
        if reading._place() >= end:
            return records
    raise AssertionError("the stream does not come to the log's end")


def present(database: BinlogDatabase) -> dict[str, dict[int, Any]]:
    names = [str(row[0]) for row in database.execute("SHOW FULL TABLES WHERE Table_type <> 'VIEW'")]
    found = {}
    for name in names:
        try:
            found[name] = dict(database.execute(f"SELECT id, v FROM {name}"))
        except Exception:  # its tablespace was discarded
            found[name] = {}
    return found


def told(reading: Reading) -> dict[str, str]:
    return {each.about.partition(".")[2]: each.text for each in reading.source.warnings.active()
            if each.kind == "rows_without_events"}


@pytest.mark.parametrize(("table", "statement", "skipped"), [
    *((table, statement, "t") for table, statement in CASES), (PLAIN, "TRUNCATE TABLE t", "none"),
], ids=[*(statement[:60] for _, statement in CASES), "TRUNCATE with an event"])
def test_what_the_events_do_not_tell_has_a_warning(binlog_database: BinlogDatabase, table: str, statement: str,
                                                   skipped: str) -> None:
    database = binlog_database
    if database.server.flavor == "mysql" and any(word in table + statement for word in MARIADB_ONLY):
        pytest.skip("MariaDB's")
    database.execute(table.format("t"))
    database.execute(PLAIN.format("other"))
    rows: dict[str, dict[int, Any]] = {}
    with running(database, {"skipped.operations": skipped}) as reading:
        database.execute("INSERT INTO t VALUES (1, 1), (11, 1), (21, 2)")
        database.execute("INSERT INTO other VALUES (3, 3)")
        replayed(rows, to_the_end(reading, database))
        assert rows == present(database)
        assert told(reading) == {}
        database.execute(statement)
        replayed(rows, to_the_end(reading, database))
        there = present(database)
        different = {name for name in {*rows, *there} if rows.get(name, {}) != there.get(name, {})}
        named = told(reading)
        assert different <= set(named)
        assert set(named) <= different or any(word in statement for word in MAY)
        assert all("binlog" in text for text in named.values())


def test_an_imported_tablespace(binlog_database: BinlogDatabase) -> None:
    database = binlog_database
    folder = database.server.data / database.name
    for name in ("t", "source"):
        database.execute(PLAIN.format(name))
    database.execute("INSERT INTO source VALUES (1, 1)")
    with running(database, {"table.include.list": f"{database.name}.t"}) as reading:
        database.execute("ALTER TABLE t DISCARD TABLESPACE")
        with database.server.connect(database.name) as holder, holder.cursor() as cursor:
            cursor.execute("FLUSH TABLES source FOR EXPORT")
            for ending in ("ibd", "cfg"):
                shutil.copy(folder / f"source.{ending}", folder / f"t.{ending}")
            cursor.execute("UNLOCK TABLES")
        database.execute("ALTER TABLE t IMPORT TABLESPACE")
        assert not [each for each in to_the_end(reading, database) if isinstance(each, Record)]
        assert database.execute("SELECT id FROM t") == [(1,)]
        assert set(told(reading)) == {"t"}


def test_tables_that_are_not_captured_give_no_warning(binlog_database: BinlogDatabase) -> None:
    database = binlog_database
    database.execute(PLAIN.format("here"))
    with running(database, {"table.include.list": f"{database.name}.here"}) as reading:
        for statement in (RANGE.format("t"), "ALTER TABLE t DROP PARTITION p0", "TRUNCATE t", "RENAME TABLE t TO u",
                          "DROP TABLE u"):
            database.execute(statement)
        to_the_end(reading, database)
        assert told(reading) == {}


def test_a_memory_table_that_a_restart_emptied() -> None:
    """The server itself writes a TRUNCATE, when the table is first used."""
    for kind in (MySqlServer, MariaDbServer):
        with kind() as server:
            database = BinlogDatabase(server, server.create_database("memory"))
            database.execute("CREATE TABLE m (id int PRIMARY KEY, v int) ENGINE = MEMORY")
            options: Mapping[str, str] = {"skipped.operations": "none"}
            with running(database, options) as reading:
                database.execute("INSERT INTO m VALUES (1, 1)")
                to_the_end(reading, database)
                offset = reading.offset
            server.restart()
            with running(database, options, offset) as reading:
                assert database.execute("SELECT * FROM m") == []
                found = [each.op for each in to_the_end(reading, database) if isinstance(each, Record)]
            assert found == ["t"]
