"""Asks the server something from time to time, on its own thread and connection: the heartbeat's action query, and what
else a source wants to know. It never delays the stream, and an error of its own, such as a lost connection, never ends
it. What it finds out may end it: see `fail`."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import Any, Final, Generic, TypeVar

from cdc.core.errors import CdcError
from cdc.log import carry, get_logger

from .warnings import Warnings

log = get_logger(__name__)

LOOK_EVERY_S = 10.0
FIRST_LOOK_S: Final = 1.0
"""So long the first look waits: the start has just looked itself, and the first events come meanwhile."""
_FAILED: Final = "monitor_failed"

C = TypeVar("C")


class Monitor(ABC, Generic[C]):
    """Uses connections of type C, a new one after each failure. While it fails, a warning lasts."""

    def __init__(self, action_query: str | None, look_every_s: float = LOOK_EVERY_S,
                 warnings: Warnings | None = None, *, first_look_s: float = FIRST_LOOK_S) -> None:
        self._action_query = action_query
        self._every = look_every_s
        self._first = min(first_look_s, look_every_s)
        self._conn: C | None = None
        self._due = threading.Event()
        self._stopping = False
        self._troubled = False
        self._told = warnings or Warnings()
        self.failure: CdcError | None = None
        """What the stream must end with."""
        self._thread = threading.Thread(target=carry(self._run), name="monitor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Run the action query soon: a heartbeat was sent. From any thread."""
        self._due.set()

    def stop(self) -> None:
        """End the thread; waits 2 seconds at most. Idempotent."""
        self._stopping = True
        self._due.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def fail(self, error: CdcError) -> None:
        """End the stream with *error*: what is wrong loses committed changes of captured tables. The first one counts.
        From any thread."""
        self.failure = self.failure or error

    @abstractmethod
    def _connect(self) -> C:
        """A new connection. Raises a SourceError."""

    @abstractmethod
    def _usable(self, conn: C) -> bool:
        """Whether *conn* seems to be open still. It does not ask the server."""

    @abstractmethod
    def _execute(self, conn: C, query: str) -> Any:
        """Run *query*, the SQL of the configuration. Raises a SourceError."""

    @abstractmethod
    def _close(self, conn: C) -> None:
        """Close *conn*. Raises nothing."""

    def _look(self) -> None:
        """Ask for what the source wants to know; runs every `look_every_s` seconds. Raises a SourceError."""

    def _connection(self) -> C:
        if self._conn is None or not self._usable(self._conn):
            self._conn = self._connect()
        return self._conn

    def _run(self) -> None:
        next_look = time.monotonic() + self._first
        while not self._stopping:
            try:
                beat = self._due.is_set()
                self._due.clear()
                if beat and self._action_query:
                    self._execute(self._connection(), self._action_query)
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + self._every
                    self._look()
                self._troubled = False
                self._told.end(_FAILED, _FAILED)
            except Exception as exc:  # whatever it is, heartbeats and checks must go on
                self._lost(exc)
            if not self._stopping:
                self._due.wait(max(0.1, min(self._every, next_look - time.monotonic())))
        self._forget()

    def _lost(self, exc: Exception) -> None:
        if not self._troubled and not self._stopping:
            # The text of an error that is not ours may have values.
            self._told.put(_FAILED, _FAILED, exc.message if isinstance(exc, CdcError) else type(exc).__name__,
                           "Until it works again, nobody watches what was checked at the start.")
        self._troubled = True
        self._forget()

    def _forget(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            try:
                self._close(conn)
            except Exception as exc:
                log.warning("monitor_failed", error=type(exc).__name__)
