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

from tests.fault.items import LOST, Items
from tests.fault.pipeline import Event, Process, Reader, Replay
from tests.servers.process import wait_until

LAST = 99_999_999
MOST_CHANGES = 12
"""Of one transaction: five inserts, six updates, a delete."""


class Writer:
    """Small transactions of inserts, updates and deletes, one after the other, over every loss of the server."""

    def __init__(self, items: Items, pause_s: float = 0.01) -> None:
        """*pause_s*: seconds between two transactions."""
        self._items = items
        self._pause_s = pause_s
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
                    with self._items.connect() as conn:
                        self._write(conn)
                except LOST:
                    self._stop.wait(0.05)
        except BaseException as exc:
            self.failure = exc

    def _write(self, conn: Any) -> None:
        while not self._stop.wait(self._pause_s):
            first, self._top = self._top + 1, self._top + 5
            low = self._random.randrange(1, self._top)
            rows = ", ".join(f"({number}, 'row {number}')" for number in range(first, self._top + 1))
            with conn.cursor() as cursor:
                for statement in (
                        "BEGIN", f"INSERT INTO items (id, name) VALUES {rows}",
                        f"UPDATE items SET version = version + 1 WHERE id BETWEEN {low} AND {low + 5}",
                        f"DELETE FROM items WHERE id = {low + 1}", "COMMIT"):
                    cursor.execute(statement)
            self.transactions += 1


@dataclass
class Watch:
    """Looks at a pipeline again and again: does it answer, does its stream live, does it report."""

    process: Process
    items: Items
    topic_prefix: str
    rounds: int = 0
    streams: set[int] = field(default_factory=set)
    replies: set[str] = field(default_factory=set)

    def look(self) -> None:
        """One round. Raises OSError when there is no answer."""
        for path in ("/healthz", "/metrics", "/connectors/shop/status"):
            self.process.get(path)
        if self.items.server.running:
            for number, reply in self.items.streams(self.topic_prefix):
                self.streams.add(number)
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

    def kept_its_stream(self) -> None:
        """One connection throughout, and it was not silent where the server wants answers."""
        assert len(self.streams) == 1
        assert self.replies == {""} or len(self.replies) > 2


def await_end(items: Items, reader: Reader, topic: str, timeout_s: float = 120) -> float:
    """Until a last change, made now, is in the topic; how many seconds that took."""
    items.execute(f"INSERT INTO items (id, name) VALUES ({LAST}, 'the end')")
    began = time.monotonic()
    wait_until(lambda: any(event.key == {"id": LAST} for event in reader.events(topic, 3)), timeout_s,
               "the last change to arrive", 0.2)
    return time.monotonic() - began


def is_whole(items: Items, events: Iterable[Event]) -> int:
    """The replayed *events* are the table, and those of each key are in order but for repeats; how many repeats."""
    replay = Replay("id")
    seen: set[Any] = set()
    newest: dict[str, tuple[int, ...]] = {}
    repeats = 0
    for event in events:
        replay.apply(event)
        if event.value is None:
            continue
        key = json.dumps(event.key)
        if event.identity in seen:
            repeats += 1
            continue
        seen.add(event.identity)
        assert event.place > newest.get(key, ()), "a change came after a later one of its key"
        newest[key] = event.place
    rows = items.execute("SELECT id, name, version FROM items")
    assert {key: (row["name"], row["version"]) for key, row in replay.rows.items()} == {
        row[0]: (row[1], row[2]) for row in rows}
    return repeats
