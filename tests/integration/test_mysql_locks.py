"""Tables that other sessions hold locked: what needs another table goes on, and what has to wait says for what."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cdc.core.record import Record
from cdc.core.table import TableId
from cdc.sources.mysql import grants
from cdc.sources.mysql.monitor import MySqlMonitor
from cdc.sources.mysql.source import MySqlSource
from tests.conftest import BinlogDatabase
from tests.integration.mysql_source import make_source, running
from tests.servers.process import wait_until

SECONDS = 60


@pytest.fixture
def database(binlog_database: BinlogDatabase) -> BinlogDatabase:
    for name in ("here", "other", "used"):
        binlog_database.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v int)")
        binlog_database.execute(f"INSERT INTO {name} VALUES (1, 1)")
    return binlog_database


@contextlib.contextmanager
def locked(database: BinlogDatabase, table: str) -> Iterator[Callable[[], None]]:
    """An exclusive lock, of a RENAME TABLE that waits for its second table, until the end or the call."""
    holder = database.connect(autocommit=False)
    with holder.cursor() as cursor:
        cursor.execute("SELECT * FROM used")

    def rename() -> None:
        with contextlib.suppress(Exception):
            database.execute(f"RENAME TABLE {table} TO {table}_x, used TO used_x, {table}_x TO {table}, used_x TO used")

    thread = threading.Thread(target=rename)
    thread.start()

    def waits() -> bool:
        return any("etadata lock" in str(state) and "RENAME" in str(text) for state, text in database.execute(
            "SELECT state, info FROM information_schema.processlist"))

    def release() -> None:
        if holder.open:
            holder.close()
        thread.join()

    try:
        wait_until(waits, SECONDS, "the lock")
        yield release
    finally:
        release()


def waited_for(source: MySqlSource) -> list[str]:
    return [each.about for each in source.warnings.active() if each.kind == "table_locked"]


def in_thread(run: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("mode", ["initial", "no_data"])
def test_a_start_does_not_wait_for_a_table_that_is_not_captured(database: BinlogDatabase, mode: str) -> None:
    options = {"table.include.list": f"{database.name}.here", "snapshot.mode": mode, "include.schema.changes": "true"}
    with locked(database, "other"), running(database, options) as reading:
        database.execute("INSERT INTO here VALUES (2, 2)")
        assert [each[2]["id"] for each in reading.changes(1)] == [2]


def test_a_start_waits_for_a_table_that_is_captured_and_says_so(database: BinlogDatabase) -> None:
    source = make_source(database, {"table.include.list": f"{database.name}.here", "snapshot.mode": "initial"})
    try:
        with locked(database, "here") as release:
            start = in_thread(lambda: source.start(None))
            wait_until(lambda: waited_for(source) == [f"{database.name}.here"], SECONDS, "the warning")
            release()
            start.join()
        assert waited_for(source) == []
        records: list[Any] = []
        while not any(isinstance(each, Record) for each in records):
            batch = source.poll(0.2)
            records += batch.records if batch is not None else []
    finally:
        source.stop()


def test_rows_of_a_locked_table_are_waited_for_and_the_snapshot_goes_on(database: BinlogDatabase) -> None:
    """LOCK TABLES … WRITE comes after the structures were read, and before the rows."""
    source = make_source(database, {"snapshot.mode": "initial"})
    records: list[Any] = []

    def read() -> None:
        while source.state() == "snapshotting":
            batch = source.poll(0.2)
            records.extend(batch.records if batch is not None else [])

    try:
        source.start(None)
        with database.connect() as holder, holder.cursor() as cursor:
            cursor.execute("LOCK TABLES here WRITE")
            reading = in_thread(read)
            wait_until(lambda: waited_for(source) == [f"{database.name}.here"], SECONDS, "the warning")
            cursor.execute("INSERT INTO here VALUES (2, 2)")
            cursor.execute("UNLOCK TABLES")
            reading.join()
        rows = [(each.table.id.table, each.op) for each in records if isinstance(each, Record)]
        assert sorted(rows) == [("here", "r"), ("other", "r"), ("used", "r")]
    finally:
        source.stop()


def test_grants_are_known_while_a_table_is_locked(database: BinlogDatabase) -> None:
    source = make_source(database, {"snapshot.mode": "initial"})
    try:
        facts = source._lookup.read_facts()
        with database.connect() as holder, holder.cursor() as cursor:
            cursor.execute("LOCK TABLES here WRITE")
            grants.check_select(source._lookup.connection(), facts, [TableId(database.name, "", "here")])
    finally:
        source.stop()


def test_a_stream_with_an_offset_begins_while_its_tables_are_locked(database: BinlogDatabase,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MySqlMonitor, "every_s", 0.1)
    with running(database) as reading:
        database.execute("INSERT INTO here VALUES (2, 2)")
        reading.changes(1)
        offset = reading.offset
    with locked(database, "here"), running(database, offset=offset) as reading:
        database.execute("INSERT INTO other VALUES (2, 2)")
        assert [each[2]["id"] for each in reading.changes(1)] == [2]


def test_a_structure_that_the_log_describes_is_not_waited_for(database: BinlogDatabase) -> None:
    """The servers of these tests log metadata of columns."""
    with running(database) as reading:
        assert reading.source._changes is not None
        database.execute("INSERT INTO here VALUES (2, 2)")
        for id in (TableId(database.name, "", "here"), TableId(database.name, "", "other")):
            reading.source._structures.drop(id)
        with locked(database, "here"):
            database.execute("INSERT INTO other VALUES (2, 2)")
            changes = reading.changes(2)
    assert [each[2] for each in changes] == [{"id": 2, "v": 2}] * 2
    assert changes[0][3] == (2,)


def test_a_question_that_has_to_wait_ends_with_the_lock(database: BinlogDatabase) -> None:
    with running(database) as reading, locked(database, "here") as release:
        id = TableId(database.name, "", "here")
        found: dict[TableId, Any] = {}
        assert reading.source._reread([id], patient=False) == {}
        ask = in_thread(lambda: found.update(reading.source._reread([id])))
        wait_until(lambda: waited_for(reading.source) == [str(id)], SECONDS, "the warning")
        release()
        ask.join()
        assert set(found) == {id}
        assert waited_for(reading.source) == []


def test_a_wait_ends_with_the_connector(database: BinlogDatabase) -> None:
    source = make_source(database, {"table.include.list": f"{database.name}.here", "snapshot.mode": "initial"})
    failed: list[BaseException] = []

    def start() -> None:
        try:
            source.start(None)
        except Exception as exc:
            failed.append(exc)

    with locked(database, "here"):
        thread = in_thread(start)
        wait_until(lambda: waited_for(source), SECONDS, "the warning")
        source.interrupt()
        thread.join(SECONDS)
        assert not thread.is_alive()
    source.stop()
    assert len(failed) == 1


