"""What goes on while parts fail: somebody writes, somebody looks at the pipeline, and a replay judges at the end."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import psycopg

from tests.conftest import Database
from tests.fault.pipeline import Event, Process, Reader, Replay
from tests.servers.process import wait_until

TABLE = "CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, version int NOT NULL DEFAULT 0)"
LAST = 99_999_999
_PAUSE_S = 0.01


class Writer:
    """Small transactions of inserts, updates and deletes, one after the other, over every loss of the server."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._random = random.Random(20_262)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._top = 0
        self.transactions = 0
        self.failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(30)
        if kind is None:
            assert self.failure is None
            assert self.transactions > 0

    def goes_on(self, transactions: int, timeout_s: float = 60) -> None:
        """Returns when so many more were committed."""
        goal = self.transactions + transactions
        wait_until(lambda: self.transactions >= goal or self.failure, timeout_s, "the writer to go on")

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    with self._database.connect() as conn:
                        self._write(conn)
                except psycopg.OperationalError:
                    self._stop.wait(0.05)
        except BaseException as exc:
            self.failure = exc

    def _write(self, conn: psycopg.Connection[Any]) -> None:
        while not self._stop.wait(_PAUSE_S):
            first, self._top = self._top + 1, self._top + 5
            low = self._random.randrange(1, self._top)
            with conn.transaction():
                conn.execute("INSERT INTO items SELECT g, 'row ' || g FROM generate_series(%s::int, %s::int) g",
                             (first, self._top))
                conn.execute("UPDATE items SET version = version + 1 WHERE id BETWEEN %s AND %s", (low, low + 5))
                conn.execute("DELETE FROM items WHERE id = %s", (low + 1,))
            self.transactions += 1


@dataclass
class Watch:
    """Looks at a pipeline again and again: does it answer, does its walsender live, does it report."""

    process: Process
    database: Database
    slot: str
    rounds: int = 0
    walsenders: set[int] = field(default_factory=set)
    replies: set[str] = field(default_factory=set)

    def look(self) -> None:
        """One round. Raises OSError when there is no answer."""
        for path in ("/healthz", "/metrics", "/connectors/shop/status"):
            self.process.get(path)
        if self.database.server.running:
            for pid, reply in self.database.server.execute(
                    "SELECT r.pid, r.reply_time::text FROM pg_stat_replication r JOIN pg_replication_slots s "
                    f"ON s.active_pid = r.pid WHERE s.slot_name = '{self.slot}'"):
                self.walsenders.add(pid)
                self.replies.add(reply)
        self.rounds += 1

    def during(self, seconds: float, rounds: int = 5) -> None:
        """Looks for so long, and so often at least."""
        until, goal = time.monotonic() + seconds, self.rounds + rounds

        def enough() -> bool:
            self.look()
            return time.monotonic() >= until and self.rounds >= goal

        wait_until(enough, seconds + 60, f"{rounds} looks at the pipeline", 0.2)

    def always_answered(self) -> None:
        """Each look raises when it has no answer; there were some."""
        assert self.rounds > 0

    def kept_its_walsender(self) -> None:
        """One connection throughout, and it was not silent."""
        assert len(self.walsenders) == 1
        assert len(self.replies) > 2


def await_end(database: Database, reader: Reader, topic: str, timeout_s: float = 120) -> float:
    """Until a last change, made now, is in the topic; how many seconds that took."""
    database.execute(f"INSERT INTO items VALUES ({LAST}, 'the end') ON CONFLICT (id) DO UPDATE SET version = 1")
    began = time.monotonic()
    wait_until(lambda: any(event.key == {"id": LAST} for event in reader.events(topic, 3)), timeout_s,
               "the last change to arrive", 0.2)
    return time.monotonic() - began


def is_whole(database: Database, events: Iterable[Event]) -> int:
    """The replayed *events* are the table, and those of each key are in order but for repeats; how many repeats."""
    replay = Replay("id")
    seen: set[Any] = set()
    newest: dict[str, int] = {}
    repeats = 0
    for event in events:
        replay.apply(event)
        if event.value is None:
            continue
        key, lsn = json.dumps(event.key), int(event.value["source"]["lsn"])
        if event.identity in seen:
            repeats += 1
            continue
        seen.add(event.identity)
        assert lsn > newest.get(key, 0), "a change came after a later one of its key"
        newest[key] = lsn
    with database.connect() as conn:
        rows = conn.execute("SELECT id, name, version FROM items").fetchall()
    assert {key: (row["name"], row["version"]) for key, row in replay.rows.items()} == {
        row[0]: (row[1], row[2]) for row in rows}
    return repeats
