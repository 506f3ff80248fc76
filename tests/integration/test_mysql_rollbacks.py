"""The log may have what was rolled back: with temporary tables or tables without transactions in it."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.conftest import BinlogDatabase
from tests.integration.mysql_source import running


def run(database: BinlogDatabase, *statements: str) -> None:
    with database.connect() as conn, conn.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.mark.parametrize("metadata", ["false", "true"])
def test_rows_that_were_rolled_back_do_not_come(mariadb_database: BinlogDatabase, metadata: str) -> None:
    mariadb_database.execute("CREATE TABLE t (id int PRIMARY KEY) ENGINE=InnoDB")
    mariadb_database.execute("CREATE TABLE m (id int PRIMARY KEY) ENGINE=MyISAM")
    with running(mariadb_database, {"provide.transaction.metadata": metadata}) as reading:
        run(mariadb_database, "BEGIN", "INSERT INTO t VALUES (1)", "CREATE TEMPORARY TABLE one (a int)",
            "INSERT INTO t VALUES (2)", "ROLLBACK")
        run(mariadb_database, "BEGIN", "INSERT INTO t VALUES (3)", "SAVEPOINT s", "INSERT INTO t VALUES (4)",
            "SAVEPOINT `other one`", "INSERT INTO m VALUES (5)", "INSERT INTO t VALUES (6)", "ROLLBACK TO `other one`",
            "ROLLBACK TO s", "INSERT INTO t VALUES (7)", "COMMIT")
        assert [each[3] for each in reading.changes(3)] == [(5,), (3,), (7,)]
        offset = reading.offset
    run(mariadb_database, "INSERT INTO t VALUES (8)")
    with running(mariadb_database, {"provide.transaction.metadata": metadata}, offset) as reading:
        assert [each[3] for each in reading.changes(1)] == [(8,)]


def test_a_transaction_too_large_to_wait_for_tells_of_its_rollback(mariadb_database: BinlogDatabase) -> None:
    mariadb_database.execute("CREATE TABLE t (id int PRIMARY KEY) ENGINE=InnoDB")
    with capture_logs() as lines, running(
            mariadb_database, {"max.batch.size": "10", "max.queue.size": "20"}) as reading:
        run(mariadb_database, "BEGIN", *(f"INSERT INTO t VALUES ({number})" for number in range(30)),
            "CREATE TEMPORARY TABLE one (a int)", "ROLLBACK")
        assert len(reading.changes(30)) == 30
    assert "rows_rolled_back_were_delivered" in [line["event"] for line in lines]
