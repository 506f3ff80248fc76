"""GIVEN 200 000 changes being written, WHEN the process is killed 20 times, THEN the replayed topic is the table."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Database
from tests.fault.pipeline import Event, Pipeline, Reader, Replay
from tests.servers.kafka import KafkaServer
from tests.servers.postgres import PostgresServer
from tests.servers.process import wait_until
from tests.servers.registry import RegistryServer

CHANGES = 200_000
KILLS = 20
SEED = 20_261


class Workload:
    """Inserts, updates, deletes, key changes, transactions of many statements, rollbacks; the same for one seed."""

    def __init__(self, server: PostgresServer, database: str, changes: int) -> None:
        self._server = server
        self._database = database
        self._changes = changes
        self._random = random.Random(SEED)
        self.written = 0
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            with self._server.connect(self._database) as conn:
                top = 1
                while self.written < self._changes:
                    top = self._transaction(conn, top)
        except BaseException as exc:
            self.failure = exc

    def _transaction(self, conn: Any, top: int) -> int:
        pick = self._random
        statements = pick.choice((1, 1, 2, 5))
        rolled_back = pick.random() < 0.1
        count = 0
        conn.execute("BEGIN")
        for _ in range(statements):
            size = pick.choice((1, 10, 100, 500))
            low = pick.randrange(1, top + 1)
            kind = pick.random()
            if kind < 0.5 or top < 1000:
                cursor = conn.execute("INSERT INTO items SELECT g, 'row ' || g, g * 1.25, now() "
                                      "FROM generate_series(%s::int, %s::int) g", (top, top + size - 1))
                top += size
            elif kind < 0.8:
                cursor = conn.execute("UPDATE items SET name = name || '.', changed = now() WHERE id BETWEEN %s AND %s",
                                      (low, low + size))
            elif kind < 0.95:
                cursor = conn.execute("DELETE FROM items WHERE id BETWEEN %s AND %s", (low, low + size // 5))
            else:
                cursor = conn.execute("UPDATE items SET id = id + 10000000 WHERE id BETWEEN %s AND %s AND id < 9000000",
                                      (low, low + 2))
            count += cursor.rowcount
        conn.execute("ROLLBACK" if rolled_back else "COMMIT")
        if not rolled_back:
            self.written += count
        return top


@pytest.fixture
def server(database: Database) -> PostgresServer:
    database.execute("CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, price numeric(12,2), "
                     "changed timestamptz)")
    return database.server


@pytest.mark.parametrize("postgres", ["postgres18"], indirect=True)
def test_killed_anywhere_loses_nothing(server: PostgresServer, database: Database, kafka: KafkaServer,
                                       registry: RegistryServer, topic_prefix: str, tmp_path: Path) -> None:
    table = database.name
    topic = f"{topic_prefix}.public.items"
    reader = Reader(kafka.bootstrap, registry.url)
    workload = Workload(server, table, CHANGES)
    pick = random.Random(SEED)
    moments = sorted(pick.randrange(500, CHANGES) for _ in range(KILLS))
    committed: list[dict[str, Any]] = []
    with Pipeline(tmp_path, kafka.bootstrap, registry.url, {
        "topic.prefix": topic_prefix, "slot.name": topic_prefix.replace("-", "_").replace(".", "_").lower(),
        "database.hostname": server.host, "database.port": str(server.port), "database.user": "postgres",
        "database.dbname": table, "slot.drop.on.stop": "true",
    }) as pipeline:
        pipeline.start()
        pipeline.await_state("streaming")
        workload.thread.start()
        sent = 0
        for moment in moments:
            progress = min(moment - sent, 10_000)
            sent = moment
            start = reader.count(topic)
            wait_until(lambda start=start, progress=progress: reader.count(topic) >= start + progress or (  # type: ignore[misc]
                not workload.thread.is_alive() and pipeline.metric("cdc_lag_bytes") == 0), 120,
                "the topic to grow", 0.01)
            pipeline.kill()
            committed.append(json.loads(pipeline.committed() or "{}"))
            pipeline.start()
        workload.thread.join(240)
        assert workload.failure is None
        wait_for_end(server, table, pipeline, reader, topic)
        assert pipeline.stop() == 0
    events = list(reader.events(topic))
    equals_table(server, table, events)
    repeats_only_what_was_not_committed(events, committed)


def wait_for_end(server: PostgresServer, database: str, pipeline: Pipeline, reader: Reader, topic: str) -> None:
    """Until a last change, made now, is in the topic."""
    server.execute("INSERT INTO items VALUES (99999999, 'the end', 0, now())", database)
    end = json.dumps({"id": 99999999})

    wait_until(lambda: any(json.dumps(event.key) == end for event in reader.events(topic, 5)), 180,
               "the last change to arrive", 0.5)


def equals_table(server: PostgresServer, database: str, events: list[Event]) -> None:
    replay = Replay("id")
    for event in events:
        replay.apply(event)
    with server.connect(database) as conn:
        rows = conn.execute("SELECT id, name, price FROM items").fetchall()
    assert {key: (row["name"], row["price"]) for key, row in replay.rows.items()} == {
        row[0]: (row[1], row[2]) for row in rows}


def repeats_only_what_was_not_committed(events: list[Event], committed: list[dict[str, Any]]) -> None:
    """Without its repeats the topic is in the order of the log, and each repeat begins behind a committed position."""
    place: dict[Any, int] = {}
    changes = [event for event in events if event.value is not None]
    last = -1
    jumps = []
    for event in changes:
        identity = event.identity
        number = place.setdefault(identity, len(place))
        assert number <= last + 1 or number == len(place) - 1
        if number <= last:
            jumps.append((event, last - number))
        elif number != last + 1:
            raise AssertionError("a repeat went on somewhere else than where it began")
        last = number
    assert len(jumps) <= len(committed)
    for event, _ in jumps:
        assert event.value is not None
        head = json.loads(event.value["source"]["sequence"])[0]
        assert any(_behind(event, int(head or 0), offset) for offset in committed), "what was committed was sent again"


def _behind(event: Event, head: int, offset: dict[str, Any]) -> bool:
    """Whether the change comes after the committed position: its transaction was not whole then, or it is later."""
    assert event.value is not None
    if not offset or head >= int(offset.get("lsn_commit", 0)):
        return True
    return int(event.value["source"]["lsn"]) >= int(offset.get("lsn", 0))
