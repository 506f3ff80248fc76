"""What is asked of the server now and then, on a connection and thread of its own: how much WAL our slot retains, the
slot's xmin, and the heartbeat's action query. Nothing here holds up the stream or ends it."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg

from cdc.core.errors import CdcError
from cdc.log import carry, get_logger

from . import server
from .events import Events
from .options import PostgresConfig

log = get_logger(__name__)

LOOK_EVERY_S = 10.0


class Monitor:
    """`numbers` are read by the metrics; `events.xmin` is filled when `xmin.fetch.interval.ms` asks for it."""

    def __init__(self, config: PostgresConfig, events: Events) -> None:
        self.numbers: dict[str, float] = {}
        self._config = config
        self._events = events
        self._conn: psycopg.Connection[Any] | None = None
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
        self._stopping = True
        self._due.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        xmin_every = self._config.xmin_fetch_interval_ms / 1000
        every = min(LOOK_EVERY_S, xmin_every) if xmin_every else LOOK_EVERY_S
        next_look = 0.0
        while not self._stopping:
            try:
                beat = self._due.is_set()
                self._due.clear()
                if beat and self._config.heartbeat_action_query:
                    self._connection().execute(self._config.heartbeat_action_query)
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + every
                    self._look()
                self._troubled = False
            except (psycopg.Error, CdcError) as exc:
                self._lost(exc)
            self._due.wait(max(0.1, min(every, next_look - time.monotonic())))
        if self._conn is not None:
            self._conn.close()

    def _look(self) -> None:
        lag = server.slot_lag(self._connection(), self._config.slot_name)
        if lag is not None and lag.retained_wal_bytes is not None:
            self.numbers["cdc_retained_wal_bytes"] = lag.retained_wal_bytes
        if self._config.xmin_fetch_interval_ms:
            slot = server.find_slot(self._connection(), self._config.slot_name)
            self._events.xmin = slot.catalog_xmin if slot is not None else None

    def _connection(self) -> psycopg.Connection[Any]:
        if self._conn is None or self._conn.closed or self._conn.broken:
            self._conn = server.connect(self._config)
        return self._conn

    def _lost(self, exc: Exception) -> None:
        if not self._troubled and not self._stopping:
            log.warning("monitor_failed", error=exc.message if isinstance(exc, CdcError) else type(exc).__name__)
        self._troubled = True
        if self._conn is not None:
            self._conn.close()
            self._conn = None
