"""The first snapshot sees one point of the log, with whatever lock the user may take, while others write."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cdc.core.errors import SourceConnectionError, SourceRefusedError
from cdc.core.record import Record
from cdc.sources.mysql import connection, server, snapshot
from cdc.sources.mysql.source import MySqlSource
from tests.conftest import BinlogDatabase
from tests.integration.mysql_source import change, make_source
from tests.servers.process import wait_until

USER = "snapper"
ACCOUNTS = 40
TOTAL = 1000 * ACCOUNTS


@pytest.fixture
def bank(binlog_database: BinlogDatabase) -> Iterator[BinlogDatabase]:
    """Two tables whose balances sum up to the same at all times."""
    for table in ("a", "b"):
        binlog_database.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, balance int NOT NULL)")
        rows = ", ".join(f"({number}, 500)" for number in range(ACCOUNTS))
        binlog_database.execute(f"INSERT INTO {table} VALUES {rows}")
    yield binlog_database
    binlog_database.server.drop_user(USER)


class Transfers:
    """From one table to the other, one transaction each, from several clients at once."""

    def __init__(self, database: BinlogDatabase) -> None:
        self._database = database
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(3)]

    def __enter__(self) -> Transfers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        pick = random.Random(seed)
        with self._database.connect() as conn, conn.cursor() as cursor:
            while not self._stop.is_set():
                low, amount = pick.randrange(seed, ACCOUNTS, 3), pick.randrange(1, 50)
                for statement in ("BEGIN", f"UPDATE a SET balance = balance - {amount} WHERE id = {low}",
                                  f"UPDATE b SET balance = balance + {amount} WHERE id = {low}", "COMMIT"):
                    cursor.execute(statement)


MODES = [("SELECT, RELOAD", "minimal"), ("SELECT, RELOAD", "extended"), ("SELECT, LOCK TABLES", "minimal"),
         ("SELECT, LOCK TABLES", "extended")]


@pytest.mark.parametrize(("grants", "mode"), MODES, ids=lambda value: str(value).rpartition(" ")[2].lower())
def test_snapshot_and_stream_join_without_a_gap(bank: BinlogDatabase, grants: str, mode: str) -> None:
    bank.server.create_user(USER, "secret", [f"{grants}, REPLICATION SLAVE, REPLICATION CLIENT ON *.*"])
    options = {"database.user": USER, "database.password": "secret", "snapshot.locking.mode": mode,
               "snapshot.mode": "initial", "database.include.list": bank.name}
    with Transfers(bank):
        for _ in range(4):
            check_one(bank, options)


def check_one(bank: BinlogDatabase, options: dict[str, str]) -> None:
    source = make_source(bank, options)
    tables: dict[str, dict[int, int]] = {"a": {}, "b": {}}
    try:
        source.start(None)
        while source.state() == "snapshotting":
            apply(tables, source.poll(1))
        assert [len(rows) for rows in tables.values()] == [ACCOUNTS, ACCOUNTS]
        assert sum(sum(rows.values()) for rows in tables.values()) == TOTAL
        seen = 0
        while seen < 200:  # of each update what was before is what we have
            seen += apply(tables, source.poll(1))
    finally:
        source.stop()


def apply(tables: dict[str, dict[int, int]], batch: Any) -> int:
    count = 0
    for record in batch.records if batch is not None else ():
        if isinstance(record, Record):
            op, before, after, _ = change(record)
            rows = tables[record.table.id.table]
            assert op == "r" or rows[after["id"]] == before["balance"]
            rows[after["id"]] = after["balance"]
            count += 1
    return count


def test_whoever_may_lock_nothing_is_told_what_to_grant(mysql_database: BinlogDatabase) -> None:
    mysql_database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    server = mysql_database.server
    server.create_user(USER, "secret", ["SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.*",
                                        f"LOCK TABLES ON `{mysql_database.name}_other`.*"])
    source = make_source(mysql_database, {"database.user": USER, "database.password": "secret",
                                          "snapshot.mode": "initial"})
    try:
        with pytest.raises(SourceRefusedError, match="neither the global read lock nor locks") as caught:
            source.start(None)
        assert "LOCK TABLES" in caught.value.hint
    finally:
        source.stop()
        server.drop_user(USER)


@pytest.fixture
def pair(binlog_database: BinlogDatabase) -> BinlogDatabase:
    """Tables whose snapshot takes several batches."""
    for table in ("a", "b"):
        binlog_database.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v char(10))")
        binlog_database.execute(f"INSERT INTO {table} VALUES " + ", ".join(f"({n}, '{table}')" for n in range(30)))
    return binlog_database


SLOWLY = {"snapshot.mode": "initial", "max.batch.size": "10", "max.queue.size": "20", "table.include.list": r".*\.[ab]"}


@contextlib.contextmanager
def begun(database: BinlogDatabase) -> Iterator[MySqlSource]:
    """A source that has read some rows of the first table."""
    source = make_source(database, SLOWLY)
    try:
        source.start(None)
        assert source.poll(1)
        yield source
    finally:
        source.stop()


def finish(source: MySqlSource) -> None:
    while source.state() == "snapshotting":
        source.poll(1)


@pytest.mark.parametrize("statement", [
    "DROP TABLE b", "ALTER TABLE b RENAME COLUMN v TO w", "ALTER TABLE b ADD c int", "RENAME TABLE b TO old, new TO b",
], ids=["drop", "rename column", "add column", "swap"])
def test_a_table_that_is_changed_before_its_turn_asks_for_another_snapshot(pair: BinlogDatabase,
                                                                           statement: str) -> None:
    (made,), = pair.execute("SELECT UNIX_TIMESTAMP()")
    wait_until(lambda: pair.execute("SELECT UNIX_TIMESTAMP()") > [(made,)], 5, "tables to be told apart by their time")
    pair.execute("CREATE TABLE new LIKE b")
    with begun(pair) as source:
        pair.execute(statement)
        with pytest.raises(SourceConnectionError):
            finish(source)


def test_a_lost_connection_asks_for_another_snapshot(pair: BinlogDatabase) -> None:
    source = make_source(pair, SLOWLY)
    try:
        source.start(None)
        for number, *_ in pair.execute("SELECT id FROM information_schema.processlist WHERE command = 'Sleep'"):
            pair.execute(f"KILL {number}")
        with pytest.raises(SourceConnectionError):
            source.poll(1)
    finally:
        source.stop()


def test_a_table_that_another_locks_does_not_hold_up_the_end(pair: BinlogDatabase) -> None:
    with begun(pair) as source, pair.connect() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLES b WRITE")
        ended = threading.Event()

        def copy() -> None:
            with contextlib.suppress(SourceConnectionError):
                finish(source)
            ended.set()

        threading.Thread(target=copy, daemon=True).start()
        waiting = "SELECT count(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'"
        wait_until(lambda: pair.server.execute(waiting) == [(1,)], 10, "the snapshot to wait for the lock")
        source.interrupt()
        assert ended.wait(10)


def test_nothing_falls_between_snapshot_and_stream_without_a_lock(mysql_database: BinlogDatabase,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    """Others commit right before and after the position is read."""
    mysql_database.execute("CREATE TABLE t (id int PRIMARY KEY)")

    def log_status(conn: connection.Connection) -> tuple[Any, ...]:
        mysql_database.execute("INSERT INTO t VALUES (1)")
        found = server.log_status(conn)
        mysql_database.execute("INSERT INTO t VALUES (2)")
        return found

    monkeypatch.setattr(snapshot, "log_status", log_status)
    source = make_source(mysql_database, {"snapshot.mode": "initial", "snapshot.locking.mode": "none"})
    keys: set[int] = set()
    try:
        source.start(None)
        while len(keys) < 2:
            batch = source.poll(5)
            assert batch, keys
            keys |= {change(each)[2]["id"] for each in batch.records if isinstance(each, Record)}
    finally:
        source.stop()


def test_an_idle_connection_that_was_dropped_does_not_cost_the_snapshot(pair: BinlogDatabase,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc.sources.mysql.lookup.IDLE_S", 0.0)
    with begun(pair) as source:
        looking = source._lookup._conn
        assert looking
        pair.execute(f"KILL {looking.thread_id()}")  # type: ignore[no-untyped-call]
        finish(source)
        assert source.state() == "streaming"


def test_a_table_is_divided_for_several_readers(binlog_database: BinlogDatabase,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """By the rows that the server expects in a range, which each version tells in its own way unless asked for one."""
    binlog_database.execute("CREATE TABLE large (id int AUTO_INCREMENT PRIMARY KEY, digit int NOT NULL)")
    digits = " UNION ALL ".join(f"SELECT {digit} AS digit" for digit in range(10))
    binlog_database.execute("INSERT INTO large (digit) SELECT a.digit FROM " + ", ".join(
        f"({digits}) AS {name}" for name in "abcd"))
    binlog_database.execute("ANALYZE TABLE large")
    read = []
    rows = snapshot.TextReader.rows

    def counted(reader: Any, table: Any, part: Any) -> Any:
        read.append(part)
        return rows(reader, table, part)

    monkeypatch.setattr(snapshot.TextReader, "rows", counted)
    source = make_source(binlog_database, {"snapshot.mode": "initial", "snapshot.max.threads": "2",
                                           "snapshot.max.threads.multiplier": "4"})
    count = 0
    try:
        source.start(None)
        while source.state() == "snapshotting":
            batch = source.poll(1)
            count += len(batch.records) if batch is not None else 0
    finally:
        source.stop()
    assert count == 10_000
    assert len(read) >= 8
