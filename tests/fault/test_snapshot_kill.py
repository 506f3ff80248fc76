"""GIVEN a table that is copied while it is written to, WHEN the process is killed again and again, THEN the replayed
topic is the table, rows that were deleted meanwhile included, and each start goes on where the last one was."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.sources.snapshot.progress import CHUNK_ROWS
from tests.fault.pipeline import Pipeline, Reader, Replay, binlog_options, source_options
from tests.servers.kafka import KafkaServer
from tests.servers.mysql import BinlogServer
from tests.servers.postgres import PostgresServer
from tests.servers.process import wait_until
from tests.servers.registry import RegistryServer

SEED = 20_271
ROWS = 150_000
KILLS = 4
LAST = 99_999_999
MOVED = 10_000_000
_TABLE = "CREATE TABLE items (id int PRIMARY KEY, name varchar(200) NOT NULL, version int NOT NULL)"
_NAME = "kill_{}_{}"


class Table:
    """A table of so many rows, to be read by *threads* readers; what differs between the servers is how they make
    them."""

    def __init__(self, server: PostgresServer | BinlogServer, name: str, threads: int) -> None:
        self.server = server
        self.name = name
        self._threads = str(threads)
        server.execute(_TABLE, name)
        if isinstance(server, PostgresServer):
            server.execute("INSERT INTO items SELECT n, 'row ' || n || repeat('.', 60), 0"
                           f" FROM generate_series(1, {ROWS}) AS n", name)
        else:
            for first in range(1, ROWS + 1, 10_000):
                rows = ", ".join(f"({n}, 'row {n}{'.' * 60}', 0)" for n in range(first, first + 10_000))
                server.execute(f"INSERT INTO items VALUES {rows}", name)

    def options(self, topic_prefix: str) -> dict[str, str]:
        shared = {"snapshot.max.threads": self._threads}
        if isinstance(self.server, PostgresServer):
            return {**source_options(self.server, self.name, topic_prefix), **shared, "slot.drop.on.stop": "true"}
        return {**binlog_options(self.server), **shared, "database.include.list": self.name,
                "include.schema.changes": "false"}

    def rows(self) -> dict[int, tuple[Any, ...]]:
        found = self.server.execute("SELECT id, name, version FROM items", self.name)
        return {row[0]: tuple(row[1:]) for row in found}

    def connect(self) -> Any:
        return self.server.connect(self.name)


@pytest.fixture(params=[("postgres18", 4), ("mysql", 4), ("mariadb", 1)], ids=lambda each: f"{each[0]}-{each[1]}")
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    kind, threads = request.param
    server = request.getfixturevalue(kind)
    name = server.create_database(_NAME.format(os.getpid(), kind))
    yield Table(server, name, threads)
    server.drop_database(name)


class Writer:
    """Inserts, updates, deletes and changes of keys, one transaction after the other, until it is told to end."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._random = random.Random(SEED)
        self._ending = threading.Event()
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            with self._table.connect() as conn:
                cursor = conn.cursor()
                top = ROWS + 1
                while not self._ending.wait(0.02):
                    top = self._transaction(cursor, top)
                    conn.commit()
        except BaseException as exc:
            self.failure = exc

    def _transaction(self, cursor: Any, top: int) -> int:
        pick = self._random
        for _ in range(5):
            low = pick.randrange(1, top)
            kind = pick.random()
            if kind < 0.3:
                cursor.execute(f"INSERT INTO items VALUES ({top}, 'new', 0)")
                top += 1
            elif kind < 0.6:
                cursor.execute(f"UPDATE items SET version = version + 1 WHERE id BETWEEN {low} AND {low + 20}")
            elif kind < 0.8:
                cursor.execute(f"DELETE FROM items WHERE id BETWEEN {low} AND {low + 5}")
            else:
                new = pick.choice(("id + {0}", "{0} - id")).format(MOVED)  # behind all others, or out of their order
                cursor.execute(f"UPDATE items SET id = {new} WHERE id = {low}")
        return top

    def end(self) -> None:
        self._ending.set()
        self.thread.join(60)
        assert self.failure is None


def test_a_copy_killed_anywhere_is_completed(table: Table, kafka: KafkaServer, registry: RegistryServer,
                                             topic_prefix: str, tmp_path: Path) -> None:
    place = "public" if isinstance(table.server, PostgresServer) else table.name
    topic = f"{topic_prefix}.{place}.items"
    reader = Reader(kafka.bootstrap, registry.url)
    pick = random.Random(SEED)
    writer = Writer(table)
    done: list[str] = []
    with Pipeline(tmp_path, kafka.bootstrap, registry.url, {
        "topic.prefix": topic_prefix, **table.options(topic_prefix)}) as pipeline:
        pipeline.start()
        writer.thread.start()
        for _ in range(KILLS):
            more = pick.randrange(CHUNK_ROWS // 4, 2 * CHUNK_ROWS)
            wait_until(grown(reader, topic, reader.count(topic) + more, pipeline), 120, "the topic to grow", 0.01)
            pipeline.kill()
            done.append(pipeline.committed() or "")
            pipeline.start()
        pipeline.await_state("streaming", 120)
        writer.end()
        with table.connect() as conn:
            conn.cursor().execute(f"INSERT INTO items VALUES ({LAST}, 'the end', 0)")
            conn.commit()
        wait_until(lambda: any(event.key == {"id": LAST} for event in reader.events(topic, 5)), 120,
                   "the last change to arrive", 0.5)
        assert pipeline.stop() == 0
    events = list(reader.events(topic))
    replay = Replay("id")
    for event in events:
        replay.apply(event)
    assert {key: (row["name"], row["version"]) for key, row in replay.rows.items()} == table.rows()
    interrupted = sum("snapshot_progress" in each for each in done)
    assert interrupted >= 2, "the copy was interrupted where it had progressed"
    copied = sum(event.op == "r" for event in events)
    assert copied < 1.1 * ROWS + KILLS * 1.5 * CHUNK_ROWS, "each start repeats what was in flight"
    assert sum(event.op == "r" and event.source["snapshot"] == "first" for event in events) >= 1


def grown(reader: Reader, topic: str, size: int, pipeline: Pipeline) -> Callable[[], bool]:
    """Whether the topic has *size* messages, or the copy is complete."""
    def done() -> bool:
        committed = json.loads(pipeline.committed() or "{}")
        return reader.count(topic) >= size or (bool(committed) and "snapshot" not in committed)

    return done
