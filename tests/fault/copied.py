"""A table that is copied while it is written to and while the process is killed: how it is made, changed and judged.

CDC_TEST_LONG=1 kills the process 20 times over 400,000 rows; else there are fewer of both. CDC_TEST_SEED chooses other
random moments and changes; a test prints the one that it had.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from tests.fault.pipeline import Event, Pipeline, Reader, Replay, binlog_options, source_options
from tests.servers.mysql import BinlogServer
from tests.servers.postgres import PostgresServer
from tests.servers.process import wait_until

LONG = os.environ.get("CDC_TEST_LONG") == "1"
SEED = int(os.environ.get("CDC_TEST_SEED", "20271"))
LAST = 99_999_999
_MOVED = 10_000_000
_TABLE = "CREATE TABLE items (id int PRIMARY KEY, name varchar(200) NOT NULL, version int NOT NULL)"
_NAME = "kill_{}_{}"
_STARTS_S = 2.0
"""About how long a start takes until rows come."""


class Table:
    """A table of so many rows; what differs between the servers is how they make them."""

    def __init__(self, server: PostgresServer | BinlogServer, name: str, rows: int) -> None:
        self.server = server
        self.name = name
        self.count = rows
        self.schema = "public" if isinstance(server, PostgresServer) else name
        server.execute(_TABLE, name)
        if isinstance(server, PostgresServer):
            server.execute("INSERT INTO items SELECT n, 'row ' || n || repeat('.', 60), 0"
                           f" FROM generate_series(1, {rows}) AS n", name)
        else:
            for first in range(1, rows + 1, 10_000):
                values = ", ".join(f"({n}, 'row {n}{'.' * 60}', 0)" for n in range(first, first + 10_000))
                server.execute(f"INSERT INTO items VALUES {values}", name)

    def options(self, topic_prefix: str) -> dict[str, str]:
        if isinstance(self.server, PostgresServer):
            return {**source_options(self.server, self.name, topic_prefix), "slot.drop.on.stop": "true"}
        return {**binlog_options(self.server), "topic.prefix": topic_prefix, "database.include.list": self.name,
                "include.schema.changes": "false"}

    def rows(self) -> dict[int, tuple[Any, ...]]:
        found = self.execute("SELECT id, name, version FROM items")
        return {row[0]: tuple(row[1:]) for row in found}

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return self.server.execute(statement, self.name)

    def connect(self) -> Any:
        return self.server.connect(self.name)


@contextmanager
def fresh_table(server: Any, kind: str, rows: int) -> Iterator[Table]:
    """The table in a database of its own on *server*, which is dropped in the end."""
    name = server.create_database(_NAME.format(os.getpid(), kind))
    yield Table(server, name, rows)
    server.drop_database(name)


class Writer:
    """Inserts, updates, deletes and changes of keys, one transaction after the other, until the block ends."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._random = random.Random(SEED)
        self._ending = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        self._ending.set()
        self._thread.join(60)
        if kind is None:
            assert self._failure is None

    def _run(self) -> None:
        try:
            with self._table.connect() as conn:
                cursor = conn.cursor()
                top = self._table.count + 1
                while not self._ending.wait(0.02):
                    top = self._transaction(cursor, top)
                    conn.commit()
        except BaseException as exc:
            self._failure = exc

    def _transaction(self, cursor: Any, top: int) -> int:
        pick = self._random
        for _ in range(5):
            low = pick.randrange(1, top)
            kind = pick.random()
            if kind < 0.3:
                cursor.execute(f"INSERT INTO items (id, name, version) VALUES ({top}, 'new', 0)")
                top += 1
            elif kind < 0.6:
                cursor.execute(f"UPDATE items SET version = version + 1 WHERE id BETWEEN {low} AND {low + 20}")
            elif kind < 0.8:
                cursor.execute(f"DELETE FROM items WHERE id BETWEEN {low} AND {low + 5}")
            else:
                new = pick.choice(("id + {0}", "{0} - id")).format(_MOVED)  # behind all others, or out of their order
                cursor.execute(f"UPDATE items SET id = {new} WHERE id = {low}")
        return top


class Kills:
    """Kills *pipeline* at random moments. `committed`: the offset at each kill. `ends`: where the attempts end in the
    topic."""

    def __init__(self, pipeline: Pipeline, reader: Reader, topic: str, pick: random.Random) -> None:
        self._pipeline = pipeline
        self._reader = reader
        self._topic = topic
        self._pick = pick
        self.committed: list[dict[str, Any]] = []
        self.ends: list[int] = []

    def wait(self, rows: int, over: Callable[[dict[str, Any]], bool]) -> None:
        """Until a random moment: within the start, or when up to *rows* more messages came, or the copy is *over*."""
        if self._pick.random() < 0.2:
            time.sleep(self._pick.uniform(0, _STARTS_S))
            return
        goal = self._reader.count(self._topic) + self._pick.randrange(1, rows)

        def reached() -> bool:
            return self._reader.count(self._topic) >= goal or over(self.offset())

        wait_until(reached, 120, "the topic to grow", 0.01)

    def kill(self) -> None:
        self._pipeline.kill()
        self.committed.append(self.offset())
        self.ends.append(self._reader.count(self._topic))
        self._pipeline.start()

    def offset(self) -> dict[str, Any]:
        return dict(json.loads(self._pipeline.committed() or "{}"))


def await_last(table: Table, reader: Reader, topic: str) -> None:
    """Until a last change, made now, is in the topic."""
    table.execute(f"INSERT INTO items (id, name, version) VALUES ({LAST}, 'the end', 0)")
    wait_until(lambda: any(event.key == {"id": LAST} for event in reader.events(topic, 5)), 240,
               "the last change to arrive", 0.5)


def is_the_table(table: Table, events: Iterable[Event]) -> None:
    """The replayed *events* are the rows of *table*."""
    replay = Replay("id")
    for event in events:
        replay.apply(event)
    found = {key: (row["name"], row["version"]) for key, row in replay.rows.items()}
    wanted = table.rows()
    wrong = [(key, found.get(key), wanted.get(key)) for key in found.keys() | wanted.keys()
             if found.get(key) != wanted.get(key)]
    assert not wrong, f"{len(wrong)} rows differ; key, in the topic, in the table: {wrong[:5]}"


def repeated(events: Iterable[Event], ends: Sequence[int]) -> list[int]:
    """How many rows each attempt copied that one before had copied, too; *ends* of the attempts as in `Kills`. Rows
    that changed meanwhile do not count: they may have moved to where was not read yet."""
    copied: dict[int, list[int]] = {}
    changed = set()
    attempt = 0
    for event in events:
        while attempt < len(ends) and event.kafka_offset >= ends[attempt]:
            attempt += 1
        assert event.key is not None
        if event.op == "r":
            copied.setdefault(event.key["id"], []).append(attempt)
        else:
            changed.add(event.key["id"])
    found = [0] * (len(ends) + 1)
    for key, attempts in copied.items():
        for later in attempts[1:] if key not in changed else ():
            found[later] += 1
    return found
