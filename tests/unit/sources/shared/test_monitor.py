"""The thread that asks the server now and then: it never ends over an error, and lets go of broken connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cdc.core.errors import SourceConnectionError
from cdc.sources.shared.monitor import Monitor
from cdc.sources.shared.warnings import Warnings

SOON_S = 10.0


class Conn:
    def __init__(self) -> None:
        self.usable = True
        self.closed = False


class Watching(Monitor[Conn]):
    """Notes what it does; `failing` makes the next calls of a name fail."""

    def __init__(self, action_query: str | None = None, look_every_s: float = 0.01,
                 warnings: Warnings | None = None) -> None:
        super().__init__(action_query, look_every_s, warnings)
        self.connections: list[Conn] = []
        self.queries: list[str] = []
        self.looks = 0
        self.failing: dict[str, int] = {}
        self.error: Exception = SourceConnectionError("the connection is gone")
        self.progress = threading.Condition()

    def _fail(self, name: str) -> None:
        with self.progress:
            self.progress.notify_all()
            if self.failing.get(name, 0) > 0:
                self.failing[name] -= 1
                raise self.error

    def _connect(self) -> Conn:
        self._fail("connect")
        self.connections.append(Conn())
        return self.connections[-1]

    def _usable(self, conn: Conn) -> bool:
        return conn.usable

    def _execute(self, conn: Conn, query: str) -> None:
        self._fail("execute")
        self.queries.append(query)

    def _close(self, conn: Conn) -> None:
        conn.closed = True
        self._fail("close")

    def _look(self) -> None:
        self._connection()
        self._fail("look")
        self.looks += 1

    def until(self, done: Callable[[], Any]) -> None:
        with self.progress:
            assert self.progress.wait_for(done, SOON_S)


@pytest.fixture
def monitor() -> Iterator[Watching]:
    made = Watching("UPDATE beat SET ts = now()")
    yield made
    made.stop()


def test_it_looks_again_and_again_over_one_connection(monitor: Watching) -> None:
    monitor.start()
    monitor.until(lambda: monitor.looks >= 2)
    assert (len(monitor.connections), monitor.queries) == (1, [])


def test_a_heartbeat_runs_the_action_query_once(monitor: Watching) -> None:
    monitor.start()
    monitor.until(lambda: monitor.looks >= 1)
    monitor.wake()
    monitor.until(lambda: monitor.queries and monitor.looks >= 2)
    assert monitor.queries == ["UPDATE beat SET ts = now()"]


def test_without_an_action_query_a_heartbeat_asks_nothing() -> None:
    monitor = Watching(None)
    monitor.start()
    monitor.wake()
    monitor.until(lambda: monitor.looks >= 2)
    monitor.stop()
    assert monitor.queries == []


@pytest.mark.parametrize("error", [SourceConnectionError("gone"), KeyError("a"), TypeError("b"), UnicodeError("c")],
                         ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("what", ["connect", "look", "execute"])
def test_a_failure_never_ends_it(monitor: Watching, what: str, error: Exception) -> None:
    monitor.error = error
    monitor.failing = {what: 1 if what == "execute" else 2}
    monitor.wake()
    monitor.start()
    monitor.until(lambda: monitor.looks >= 2)
    assert monitor.failing == {what: 0}


def test_after_a_failure_the_connection_is_a_new_one(monitor: Watching) -> None:
    monitor.failing = {"look": 1}
    monitor.start()
    monitor.until(lambda: monitor.looks >= 1)
    first, *_, last = monitor.connections
    assert first.closed
    assert not last.closed


def test_a_connection_that_cannot_be_closed_does_not_end_it(monitor: Watching) -> None:
    monitor.error = ValueError("secret")
    monitor.failing = {"look": 1, "close": 1}
    monitor.start()
    monitor.until(lambda: monitor.looks >= 2)
    assert len(monitor.connections) == 2


def test_a_connection_that_is_closed_is_replaced_before_it_is_used(monitor: Watching) -> None:
    monitor.start()
    monitor.until(lambda: monitor.looks >= 1)
    monitor.connections[0].usable = False
    monitor.until(lambda: len(monitor.connections) == 2)


def test_stopping_closes_the_connection_and_may_be_repeated(monitor: Watching) -> None:
    monitor.start()
    monitor.until(lambda: monitor.looks >= 1)
    monitor.stop()
    monitor.stop()
    assert all(conn.closed for conn in monitor.connections)
    looks = monitor.looks
    monitor.wake()
    assert monitor.looks == looks


def test_stopping_what_never_started_is_fine() -> None:
    Watching().stop()


def test_of_what_must_end_the_stream_the_first_counts(monitor: Watching) -> None:
    first = SourceConnectionError("a table is not published any more")
    monitor.fail(first)
    monitor.fail(SourceConnectionError("another"))
    assert monitor.failure is first


def test_while_it_fails_a_warning_lasts() -> None:
    warnings = Warnings()
    monitor = Watching(warnings=warnings)
    monitor.failing = {"look": 3}
    monitor.start()
    monitor.until(lambda: monitor.looks >= 2)
    monitor.stop()
    assert (list(warnings.active()), warnings.begun()) == ([], {"monitor_failed": 1})
