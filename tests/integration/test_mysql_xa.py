"""XA transactions: rows count from their commit on, wherever they were prepared, and never after a rollback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc.core.errors import PositionLostError
from tests.conftest import BinlogDatabase
from tests.integration.mysql_source import running


@pytest.fixture
def table(binlog_database: BinlogDatabase) -> Iterator[BinlogDatabase]:
    binlog_database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    yield binlog_database
    for _, length, _, data in binlog_database.execute("XA RECOVER"):
        xid = data.strip("'")[:length]  # MariaDB 10.11 may have put quotes around it
        binlog_database.execute(f"XA ROLLBACK '{xid}'")


def prepare(database: BinlogDatabase, xid: str, *statements: str) -> None:
    with database.connect() as conn, conn.cursor() as cursor:
        for statement in (f"XA START '{xid}'", *statements, f"XA END '{xid}'", f"XA PREPARE '{xid}'"):
            cursor.execute(statement)


def test_prepared_rows_come_with_their_commit(table: BinlogDatabase) -> None:
    with running(table) as reading:
        prepare(table, "a", "INSERT INTO t VALUES (1, 1), (2, 1)", "UPDATE t SET v = 2 WHERE id = 1")
        prepare(table, "b", "INSERT INTO t VALUES (3, 1)")
        table.execute("INSERT INTO t VALUES (4, 1)")
        assert [each[3] for each in reading.changes(1)] == [(4,)]
        table.execute("XA ROLLBACK 'b'")
        table.execute("XA COMMIT 'a'")
        assert [(each[0], each[2]) for each in reading.changes(3)] == [
            ("c", {"id": 1, "v": 1}), ("c", {"id": 2, "v": 1}), ("u", {"id": 1, "v": 2})]
        table.execute("INSERT INTO t VALUES (5, 1)")
        assert [each[3] for each in reading.changes(1)] == [(5,)]


@pytest.mark.parametrize("compressed", [False, True])
def test_one_phase_is_a_commit(table: BinlogDatabase, compressed: bool) -> None:
    with running(table) as reading:
        with table.connect() as conn, conn.cursor() as cursor:
            if table.server.flavor == "mysql":
                cursor.execute(f"SET binlog_transaction_compression = {compressed}")
            for statement in ("XA START 'o'", "INSERT INTO t VALUES (1, 1)", "XA END 'o'", "XA COMMIT 'o' ONE PHASE"):
                cursor.execute(statement)
        assert [each[3] for each in reading.changes(1)] == [(1,)]
        assert (reading.offset["file"], reading.offset["pos"]) == table.server.binlog_end()


def test_what_was_prepared_before_the_stream_began_is_found_in_the_log(table: BinlogDatabase) -> None:
    prepare(table, "old", "INSERT INTO t VALUES (9, 9)")
    table.execute("XA ROLLBACK 'old'")
    prepare(table, "old", "INSERT INTO t VALUES (1, 1)")
    prepare(table, "other", "INSERT INTO t VALUES (2, 1)")
    table.execute("FLUSH BINARY LOGS")
    table.execute("FLUSH BINARY LOGS")
    with running(table, {"snapshot.mode": "initial"}) as reading:
        table.execute("XA COMMIT 'old'")
        assert [each[2] for each in reading.changes(1)] == [{"id": 1, "v": 1}]
        offset = reading.offset
    table.execute("XA COMMIT 'other'")
    with running(table, offset=offset) as reading:
        assert [each[2] for each in reading.changes(1)] == [{"id": 2, "v": 1}]


def test_what_was_prepared_in_a_purged_log_stops_the_stream(table: BinlogDatabase) -> None:
    prepare(table, "gone", "INSERT INTO t VALUES (1, 1)")
    table.server.purge_binlogs()
    with running(table) as reading:
        table.execute("XA COMMIT 'gone'")
        with pytest.raises(PositionLostError, match="has been purged"):
            reading.changes(1)
