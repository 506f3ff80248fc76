"""What a source asks of its server now and then, on a connection and thread of its own: the heartbeat's action query,
and whatever else a source looks at. Nothing here holds up the stream or ends it."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from cdc.core.errors import CdcError
from cdc.log import carry, get_logger

log = get_logger(__name__)

LOOK_EVERY_S = 10.0

C = TypeVar("C")


class Monitor(ABC, Generic[C]):
    """Of connections of type C. A failure is told once, and the next round tries on a new connection."""

    def __init__(self, action_query: str | None, look_every_s: float = LOOK_EVERY_S) -> None:
        self._action_query = action_query
        self._every = look_every_s
        self._conn: C | None = None
        self._due = threading.Event()
        self._stopping = False
        self._troubled = False
        self._thread = threading.Thread(target=carry(self._run), name="monitor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """A heartbeat was sent: run the action query."""
        self._due.set()

    def stop(self) -> None:
        """Without waiting for long. Idempotent."""
        self._stopping = True
        self._due.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    @abstractmethod
    def _connect(self) -> C:
        """A new connection. Raises a SourceError."""

    @abstractmethod
    def _usable(self, conn: C) -> bool:
        """Whether *conn* is still open, as far as is known."""

    @abstractmethod
    def _execute(self, conn: C, query: str) -> Any:
        """Run *query*, which comes from the configuration. Raises a SourceError."""

    @abstractmethod
    def _close(self, conn: C) -> None:
        """Without fail."""

    def _look(self) -> None:
        """What a source wants to know; every so often. Raises a SourceError."""

    def _connection(self) -> C:
        if self._conn is None or not self._usable(self._conn):
            self._conn = self._connect()
        return self._conn

    def _run(self) -> None:
        next_look = 0.0
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
            except CdcError as exc:
                self._lost(exc)
            if not self._stopping:
                self._due.wait(max(0.1, min(self._every, next_look - time.monotonic())))
        self._forget()

    def _lost(self, exc: CdcError) -> None:
        if not self._troubled and not self._stopping:
            log.warning("monitor_failed", error=exc.message)
        self._troubled = True
        self._forget()

    def _forget(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            self._close(conn)
