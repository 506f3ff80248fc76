"""When a connection for rows that are read again is replaced, and what a stop does to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdc.core.errors import SourceConnectionError, SourceRefusedError, SourceStoppedError
from cdc.sources.shared.row_connection import RowConnection


class Conn:
    def __init__(self, number: int) -> None:
        self.number = number
        self.lost = False
        self.closed = False
        self.interrupted = False

    def close(self) -> None:
        self.closed = True

    def interrupt(self) -> None:
        self.interrupted = True


class World:
    """`made`: all connections. `on_connect` is called for each, before it is given out."""

    def __init__(self, idle_s: float = float("inf")) -> None:
        self.made: list[Conn] = []
        self.on_connect: Callable[[], None] = lambda: None
        self.own = RowConnection(self._connect, is_lost=lambda conn, _: conn.lost, interrupt=Conn.interrupt,
                                 close=Conn.close, idle_s=idle_s)

    def _connect(self) -> Conn:
        self.on_connect()
        self.made.append(Conn(len(self.made)))
        return self.made[-1]

    def ask(self) -> int:
        return self.own.run(self._answer)

    def _answer(self, conn: Conn) -> int:
        if conn.lost:
            raise SourceConnectionError("lost")
        return conn.number


def test_one_connection_serves_all_rows_and_is_replaced_once_when_it_was_lost() -> None:
    world = World()
    assert [world.ask(), world.ask()] == [0, 0]
    world.made[0].lost = True
    assert [world.ask(), world.ask()] == [1, 1]
    assert world.made[0].closed


def test_what_is_lost_as_soon_as_it_is_open_is_the_callers_error() -> None:
    world = World()

    def lose(conn: Conn) -> None:
        conn.lost = True
        raise SourceConnectionError("lost")

    with pytest.raises(SourceConnectionError, match="lost"):
        world.own.run(lose)
    assert len(world.made) == 1
    with pytest.raises(SourceConnectionError, match="lost"):
        world.own.run(lose)  # the old one is replaced, and the new one is lost as well
    assert len(world.made) == 2


@pytest.mark.parametrize("error", [SourceConnectionError("a lock"), SourceRefusedError("no such column")])
def test_a_connection_that_works_is_kept_and_its_failure_told(error: Exception) -> None:
    world = World()
    world.ask()

    def refuse(_conn: Conn) -> None:
        raise error

    with pytest.raises(type(error), match=str(error)[:6]):
        world.own.run(refuse)
    assert world.ask() == 0


def test_a_server_that_cannot_be_reached_is_the_callers_error() -> None:
    world = World()
    world.ask()
    world.made[0].lost = True

    def away() -> None:
        raise SourceConnectionError("away")

    world.on_connect = away
    with pytest.raises(SourceConnectionError, match="away"):
        world.ask()
    world.on_connect = lambda: None
    assert world.ask() == 1


def test_an_idle_connection_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("cdc.sources.shared.row_connection.time.monotonic", lambda: now[0])
    world = World(idle_s=30)
    world.ask()
    now[0] += 29
    assert world.ask() == 0
    now[0] += 29
    assert world.ask() == 0
    now[0] += 31
    assert world.ask() == 1
    assert world.made[0].closed


def test_a_stop_ends_what_runs_and_what_would_come() -> None:
    world = World()

    def stopped_meanwhile(_conn: Conn) -> None:
        world.own.interrupt()
        raise SourceConnectionError("lost")

    with pytest.raises(SourceStoppedError):
        world.own.run(stopped_meanwhile)
    assert world.made[0].interrupted
    with pytest.raises(SourceStoppedError):
        world.ask()
    assert len(world.made) == 1
    world.own.close()
    assert world.made[0].closed


def test_a_stop_during_the_login_is_noticed() -> None:
    world = World()
    world.on_connect = world.own.interrupt
    with pytest.raises(SourceStoppedError):
        world.ask()
    world.own.close()
    assert world.made[0].closed
