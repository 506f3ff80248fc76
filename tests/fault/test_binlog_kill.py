"""GIVEN changes being written, in row images and compressions that change meanwhile, WHEN the process is killed again
and again, THEN the replayed topic is the table. By GTID and by file and position, on MySQL and MariaDB."""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fault.pipeline import Event, Pipeline, Reader, binlog_options
from tests.servers.kafka import KafkaServer
from tests.servers.mysql import BinlogServer, MySqlServer
from tests.servers.process import wait_until
from tests.servers.registry import RegistryServer

SEED = 20_263
LAST = 99_999_999
_numbers = itertools.count(1)
UNKNOWN = (None, "__debezium_unavailable_value")
_TABLE = ("CREATE TABLE items (id int PRIMARY KEY, name varchar(200) NOT NULL, price decimal(12,2) NOT NULL, "
          "version int NOT NULL DEFAULT 0, note text NOT NULL)")


@dataclass(frozen=True)
class Case:
    """*by* is what the stream is resumed by, `gtid` or `file`; *images* the row images that sessions choose from."""

    flavor: str
    by: str
    images: tuple[str, ...]
    changes: int
    kills: int

    def __str__(self) -> str:
        return f"{self.flavor}-{self.by}"


CASES = (
    Case("mysql", "gtid", ("FULL", "MINIMAL", "NOBLOB"), 200_000, 20),
    Case("mariadb", "gtid", ("FULL",), 200_000, 20),
    Case("mysql", "file", ("MINIMAL",), 60_000, 8),
    Case("mariadb", "file", ("MINIMAL", "FULL"), 60_000, 8),
)


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def server(case: Case, request: pytest.FixtureRequest) -> Iterator[BinlogServer]:
    """Without GTIDs a MySQL of its own; MariaDB always has them, and is told to be resumed without."""
    if case.flavor == "mysql" and case.by == "file":
        with MySqlServer(gtid=False, binlog_row_image="MINIMAL", row_metadata="MINIMAL") as own:
            yield own
    else:
        yield request.getfixturevalue(case.flavor)


@pytest.fixture
def database(server: BinlogServer) -> Iterator[str]:
    name = server.create_database(f"kill_{os.getpid()}_{next(_numbers)}")
    server.execute(_TABLE, name)
    yield name
    server.drop_database(name)


class Workload:
    """Inserts, updates, deletes, key changes, transactions of many statements, rollbacks, savepoints, and what XA
    prepares; the same for one seed."""

    def __init__(self, server: BinlogServer, database: str, case: Case) -> None:
        self._server = server
        self._database = database
        self._case = case
        self._random = random.Random(SEED)
        self._top = 1
        self.written = 0
        self.limit = 0
        self._changed = threading.Condition()
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            with self._server.connect(self._database) as conn, conn.cursor() as cursor:
                while self.written < self._case.changes:
                    with self._changed:
                        self._changed.wait_for(lambda: self.written < self.limit)
                    self._settings(cursor)
                    for _ in range(20):
                        self._transaction(cursor)
        except BaseException as exc:
            self.failure = exc

    def go_on_to(self, changes: int) -> None:
        """Write so many, and wait then."""
        with self._changed:
            self.limit = changes
            self._changed.notify_all()

    def _settings(self, cursor: Any) -> None:
        """As clients and administrators may switch them at any time."""
        pick = self._random
        cursor.execute(f"SET SESSION binlog_row_image = {pick.choice(self._case.images)}")
        if self._case.flavor == "mysql":
            cursor.execute(f"SET SESSION binlog_transaction_compression = {pick.choice(('ON', 'OFF'))}")
        else:
            cursor.execute(f"SET GLOBAL log_bin_compress = {pick.choice(('ON', 'OFF'))}")
        if pick.random() < 0.1:
            cursor.execute("FLUSH BINARY LOGS")

    def _transaction(self, cursor: Any) -> None:
        pick = self._random
        kind = pick.random()
        xid = f"'x{self.written}'"
        begin, commit, rollback = ["BEGIN"], ["COMMIT"], ["ROLLBACK"]
        if kind < 0.05:
            end = [f"XA END {xid}", f"XA PREPARE {xid}"]
            begin, commit, rollback = [f"XA START {xid}"], [*end, f"XA COMMIT {xid}"], [*end, f"XA ROLLBACK {xid}"]
        rolled_back = pick.random() < 0.1
        count = 0
        for statement in begin:
            cursor.execute(statement)
        for _ in range(pick.choice((1, 1, 2, 5))):
            count += cursor.execute(self._statement())
        for statement in rollback if rolled_back else commit:
            cursor.execute(statement)
        if not rolled_back:
            self.written += count

    def _statement(self) -> str:
        pick = self._random
        size = pick.choice((1, 10, 100, 500))
        low = pick.randrange(1, self._top + 1)
        kind = pick.random()
        if kind < 0.5 or self._top < 1000:
            rows = ", ".join(f"({n}, 'row {n}', {n}.25, '{'a note ' * (n % 5)}')"
                             for n in range(self._top, self._top + size))
            self._top += size
            return f"INSERT INTO items (id, name, price, note) VALUES {rows}"
        if kind < 0.8:
            return (f"UPDATE items SET name = concat(left(name, 100), '.'), version = version + 1 "
                    f"WHERE id BETWEEN {low} AND {low + size}")
        if kind < 0.95 or self._case.images != ("FULL",):
            return f"DELETE FROM items WHERE id BETWEEN {low} AND {low + size // 5}"
        return f"UPDATE items SET id = id + 10000000 WHERE id BETWEEN {low} AND {low + 2} AND id < 9000000"


def test_killed_anywhere_loses_nothing(case: Case, server: BinlogServer, database: str, kafka: KafkaServer,
                                       registry: RegistryServer, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}.{database}.items"
    reader = Reader(kafka.bootstrap, registry.url)
    workload = Workload(server, database, case)
    pick = random.Random(SEED)
    moments = sorted(pick.randrange(500, case.changes) for _ in range(case.kills))
    committed: list[dict[str, Any]] = []
    with Pipeline(tmp_path, kafka.bootstrap, registry.url, {
        **binlog_options(server), "topic.prefix": topic_prefix, "database.include.list": database,
        "include.schema.changes": "false", "gtid.ignore.on.recovery": str(case.by == "file").lower(),
    }) as pipeline:
        pipeline.start()
        pipeline.await_state("streaming")
        workload.thread.start()
        for moment in moments:
            workload.go_on_to(moment + 10_000)
            wait_until(lambda moment=moment: reader.count(topic) >= moment,  # type: ignore[misc]
                       120, "the topic to grow", 0.01)
            pipeline.kill()
            committed.append(json.loads(pipeline.committed() or "{}"))
            pipeline.start()
        workload.go_on_to(case.changes)
        workload.thread.join(240)
        assert workload.failure is None
        server.execute(f"INSERT INTO items VALUES ({LAST}, 'the end', 0, 0, '')", database)
        wait_until(lambda: any(event.key == {"id": LAST} for event in reader.events(topic, 5)), 180,
                   "the last change to arrive", 1.0)
        assert pipeline.stop() == 0
    events = list(reader.events(topic))
    equals_table(server, database, events)
    repeats_only_what_was_not_committed(events, committed)
    assert all(bool(offset.get("gtids")) == (case != CASES[2]) for offset in committed if offset)


def equals_table(server: BinlogServer, database: str, events: list[Event]) -> None:
    """What an update's image lacked stays as it was."""
    rows: dict[Any, dict[str, Any]] = {}
    for event in events:
        assert event.key is not None
        number = event.key["id"]
        if event.row is None:
            rows.pop(number, None)
        elif event.op == "u":
            known = rows.get(number, {})
            rows[number] = {name: known.get(name) if value in UNKNOWN else value for name, value in event.row.items()}
        else:
            rows[number] = event.row
    found = server.execute("SELECT id, name, price, version, note FROM items", database)
    assert {key: tuple(row[name] for name in ("name", "price", "version", "note")) for key, row in rows.items()} == {
        row[0]: row[1:] for row in found}


def repeats_only_what_was_not_committed(events: list[Event], committed: list[dict[str, Any]]) -> None:
    """Without its repeats the topic is in the order of the log, and each repeat begins behind a committed position."""
    place: dict[Any, int] = {}
    last = -1
    jumps = []
    for event in events:
        if event.value is None:
            continue
        number = place.setdefault(event.identity, len(place))
        assert number <= last + 1 or number == len(place) - 1
        if number <= last:
            jumps.append(event)
        elif number != last + 1:
            raise AssertionError("a repeat went on somewhere else than where it began")
        last = number
    assert len(jumps) <= len(committed)
    for event in jumps:
        assert any(event.place[:2] >= _place(offset) for offset in committed), "what was committed was sent again"


def _place(offset: dict[str, Any]) -> tuple[int, int]:
    return (int(offset["file"].rpartition(".")[2]), int(offset["pos"])) if offset else (0, 0)
