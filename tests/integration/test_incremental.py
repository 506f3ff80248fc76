"""Snapshots beside the stream of real servers: under writers and restarts, the topics end up like the tables."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from cdc.core import control
from cdc.core.control import Signal
from cdc.core.record import Record
from tests.conftest import BinlogDatabase, Database
from tests.integration import mysql_source, pg_source
from tests.integration.pg_source import cells

Rows = dict[tuple[Any, ...], dict[str, Any]]

_numbers = itertools.count()

KEYS = ("Zoë", "a", "B", "ab ", "ç", "z'x", "")


class Postgres:
    """One database, and how a source reads it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.schema = "public"

    def prepare(self) -> None:
        self.database.execute("CREATE TABLE t (id bigint PRIMARY KEY, v int, w text)")
        self.database.execute("CREATE TABLE c (a text, b int, id int, PRIMARY KEY (a, b))")

    def source(self, options: Mapping[str, str]) -> Any:
        return pg_source.make_source(self.database, options)

    def end(self) -> Callable[[Any, list[Any]], bool]:
        """Whether the stream is past what is committed now."""
        self.database.execute("SELECT pg_logical_emit_message(true, 'mark', '')")
        return lambda offset, records: any(map(pg_source.is_mark, records))


class Binlog:
    def __init__(self, database: BinlogDatabase) -> None:
        self.database = database
        self.schema = database.name

    def prepare(self) -> None:
        self.database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, v INT, w TEXT)")
        self.database.execute("CREATE TABLE c (a VARCHAR(20) COLLATE utf8mb4_general_ci, b INT, id INT,"
                              " PRIMARY KEY (a, b DESC))")

    def source(self, options: Mapping[str, str]) -> Any:
        return mysql_source.make_source(self.database, options)

    def end(self) -> Callable[[Any, list[Any]], bool]:
        end = self.database.server.binlog_end()
        return lambda offset, records: (str(offset.get("file", "")), int(offset.get("pos", 0))) >= end


@pytest.fixture(params=["postgres18", "mysql", "mariadb"])
def served(request: pytest.FixtureRequest) -> Iterator[Postgres | Binlog]:
    server = request.getfixturevalue(request.param)
    name = server.create_database(f"incremental_{os.getpid()}_{next(_numbers)}")
    found = Postgres(Database(server, name)) if request.param == "postgres18" else Binlog(BinlogDatabase(server, name))
    found.prepare()
    yield found
    server.drop_database(name)


@contextmanager
def writing(served: Postgres | Binlog, seed: int) -> Iterator[None]:
    """Two sessions change rows until the block ends."""
    over = threading.Event()
    failures: list[BaseException] = []

    def write(number: int) -> None:
        rand = random.Random(seed + number)
        with served.database.connect() as conn, conn.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'" if isinstance(served, Postgres)
                           else "SET innodb_lock_wait_timeout = 2")
            while not over.is_set():
                try:
                    cursor.execute("BEGIN")
                    for _ in range(rand.choice((1, 1, 3, 8))):
                        change(cursor, rand)
                        time.sleep(rand.choice((0, 0, 0.002)))
                    cursor.execute("ROLLBACK" if rand.random() < 0.1 else "COMMIT")
                except Exception as exc:  # deadlocks, keys that exist already
                    if "closed" in str(exc):
                        failures.append(exc)
                        return
                    cursor.execute("ROLLBACK")

    def change(cursor: Any, rand: random.Random) -> None:
        id, other = rand.randrange(600), rand.randrange(600)
        kind = rand.random()
        if kind < 0.35:
            cursor.execute("UPDATE t SET v = v + 1 WHERE id = %s", (id,))
        elif kind < 0.5:
            cursor.execute("DELETE FROM t WHERE id = %s", (id,))
        elif kind < 0.65:
            cursor.execute("UPDATE t SET id = %s, v = v + 1 WHERE id = %s", (other, id))
        elif kind < 0.8:
            cursor.execute("INSERT INTO t VALUES (%s, 0, 'new')", (id,))
        elif kind < 0.9:
            cursor.execute("UPDATE c SET b = %s WHERE a = %s AND b = %s", (other, rand.choice(KEYS), id))
        else:
            cursor.execute("DELETE FROM c WHERE a = %s AND b = %s", (rand.choice(KEYS), id))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in threads:
            each.join()
        assert not failures, failures


def fill(served: Postgres | Binlog) -> None:
    rand = random.Random(1)
    with served.database.connect() as conn, conn.cursor() as cursor:
        cursor.execute("BEGIN")
        for id in rand.sample(range(600), 400):
            cursor.execute("INSERT INTO t VALUES (%s, 0, %s)", (id, "x" * rand.randrange(20)))
        for key in KEYS:
            for number in rand.sample(range(600), 20):
                cursor.execute("INSERT INTO c VALUES (%s, %s, %s)", (key, number, number))
        cursor.execute("COMMIT")


class Replay:
    """What a consumer of all topics has in the end. `reads`: rows of the snapshot by table."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.reads: dict[str, int] = {}

    def take(self, records: list[Any]) -> None:
        for record in records:
            if not isinstance(record, Record) or not record.op:
                continue
            table = record.table.id.table
            image = cells(record, "before" if record.op == "d" else "after")
            assert image is not None
            key = (table, *(image[column.name] for column in record.table.key))
            if record.op == "d":
                self.rows.pop(key, None)
            else:
                self.rows[key] = image
            if record.op == "r":
                assert record.source.values[4] == "incremental"
                self.reads[table] = self.reads.get(table, 0) + 1


def in_tables(served: Postgres | Binlog) -> Rows:
    found: Rows = {}
    for table, names in (("t", ("id", "v", "w")), ("c", ("a", "b", "id"))):
        for row in served.database.execute(f"SELECT {', '.join(names)} FROM {table}"):
            found[table, *row[:1 if table == "t" else 2]] = dict(zip(names, row, strict=True))
    return found


def test_topics_are_like_the_tables_under_writers_and_restarts(served: Postgres | Binlog) -> None:
    rand = random.Random(7)
    fill(served)
    replay = Replay()
    source = served.source({"incremental.snapshot.chunk.size": "17"})
    source.start(None)
    taken: list[tuple[list[Any], dict[str, Any]]] = []

    def poll(timeout: float = 0.05) -> list[Any]:
        batch = source.poll(timeout)
        if batch is None:
            return []
        records = list(batch.records)
        replay.take(records)
        taken.append((records, dict(batch.position.offset())))
        return records

    deadline = time.monotonic() + 60
    while source.state() != "streaming":
        poll()
    with writing(served, 5):
        source.signal(Signal("s", control.EXECUTE_SNAPSHOT, {
            "data-collections": [f"{served.schema}.t", f"{served.schema}.c"]}, "file"))
        restarts = 0
        while True:
            assert time.monotonic() < deadline
            poll()
            if rand.random() < 0.1:
                source.signal(Signal("p", rand.choice((control.PAUSE_SNAPSHOT, control.RESUME_SNAPSHOT)), {}, "file"))
            if restarts < 4 and taken and taken[-1][1].get("incremental_snapshot_collections") and rand.random() < 0.15:
                restarts += 1
                source.stop()
                offset = rand.choice([each for _, each in taken[-3:]
                                      if each.get("incremental_snapshot_collections")])
                source = served.source({"incremental.snapshot.chunk.size": "17"})
                source.start(offset)
            done = [each for each in source.snapshots() if each.state == "completed"]
            if done:
                break
            if len(taken) % 20 == 19:
                source.signal(Signal("p", control.RESUME_SNAPSHOT, {}, "file"))
    try:
        over = served.end()
        while not over(taken[-1][1] if taken else {}, taken[-1][0] if taken else []):
            assert time.monotonic() < deadline
            poll()
    finally:
        source.stop()
    assert replay.rows == in_tables(served)
    assert replay.reads["t"] > 100
    assert replay.reads["t"] + replay.reads["c"] < 1100
