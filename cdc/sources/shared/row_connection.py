"""The connection on which a source reads rows again (`core.interfaces.ReadsRows`): opened for the first row, kept for
the next ones, replaced when it was lost, and ended by a stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from cdc.core.errors import SourceConnectionError, SourceError, SourceStoppedError

_STOPPED: Final = "The connector was stopped."

C = TypeVar("C")
T = TypeVar("T")


class RowConnection(Generic[C]):
    """Only for the task's thread, except `interrupt`.

    *connect* opens one and prepares it. *is_lost* says whether a connection ended with an error, *interrupt* ends what
    a connection waits for, *close* raises nothing. A connection that was idle for *idle_s* seconds is not used again.
    """

    def __init__(self, connect: Callable[[], C], *, is_lost: Callable[[C, SourceConnectionError], bool],
                 interrupt: Callable[[C], None], close: Callable[[C], None], idle_s: float = float("inf")) -> None:
        self._connect = connect
        self._is_lost = is_lost
        self._interrupt = interrupt
        self._close = close
        self._idle_s = idle_s
        self._used_at = 0.0
        self.conn: C | None = None
        self.stopped = False
        """Whether `interrupt` was called."""

    def run(self, ask: Callable[[C], T]) -> T:
        """The result of *ask* on the connection.

        A connection that was there before, and is lost now, was most probably lost while nobody used it, so *ask* is
        tried once more on a new one. Every other SourceConnectionError is raised: a connection that was only just
        opened, a lock, or a query that takes too long would fail again, and the events of all tables wait meanwhile.
        Raises SourceStoppedError instead of any SourceError once `interrupt` was called.
        """
        try:
            before = self.conn
            try:
                return self._ask(ask)
            except SourceConnectionError as exc:
                if self.conn is None or self.conn is not before or not self._is_lost(self.conn, exc):
                    raise
            self.close()
            return self._ask(ask)
        except SourceError as exc:
            if self.stopped:
                raise SourceStoppedError(_STOPPED) from exc
            raise

    def _ask(self, ask: Callable[[C], T]) -> T:
        conn = self._open()
        try:
            return ask(conn)
        finally:
            self._used_at = time.monotonic()

    def _open(self) -> C:
        if self.stopped:
            raise SourceStoppedError(_STOPPED)
        if self.conn is not None and time.monotonic() - self._used_at > self._idle_s:
            self.close()
        if self.conn is None:
            self.conn = self._connect()
            if self.stopped:  # it came too late for `interrupt`
                raise SourceStoppedError(_STOPPED)
        return self.conn

    def interrupt(self) -> None:
        """End what the server is doing for us; final. From any thread."""
        self.stopped = True
        conn = self.conn
        if conn is not None:
            self._interrupt(conn)

    def close(self) -> None:
        conn, self.conn = self.conn, None
        if conn is not None:
            self._close(conn)
