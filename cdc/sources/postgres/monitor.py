"""How much WAL our slot retains, and the slot's xmin; see `sources.monitor`."""

from __future__ import annotations

from typing import Any, TypeAlias

import psycopg

from cdc.sources.monitor import LOOK_EVERY_S, Monitor

from . import server
from .events import Events
from .options import PostgresConfig

Connection: TypeAlias = "psycopg.Connection[Any]"


class PostgresMonitor(Monitor[Connection]):
    """`numbers` are read by the metrics; `events.xmin` is filled when `xmin.fetch.interval.ms` asks for it."""

    def __init__(self, config: PostgresConfig, events: Events) -> None:
        xmin_every = config.xmin_fetch_interval_ms / 1000
        super().__init__(config.heartbeat_action_query, min(LOOK_EVERY_S, xmin_every) if xmin_every else LOOK_EVERY_S)
        self.numbers: dict[str, float] = {}
        self._config = config
        self._events = events

    def _connect(self) -> Connection:
        return server.connect(self._config)

    def _usable(self, conn: Connection) -> bool:
        return not (conn.closed or conn.broken)

    def _execute(self, conn: Connection, query: str) -> None:
        try:
            conn.execute(query.encode())
        except psycopg.Error as exc:
            raise server.map_error(exc) from exc

    def _close(self, conn: Connection) -> None:
        conn.close()

    def _look(self) -> None:
        lag = server.slot_lag(self._connection(), self._config.slot_name)
        if lag is not None and lag.retained_wal_bytes is not None:
            self.numbers["cdc_retained_wal_bytes"] = lag.retained_wal_bytes
        if self._config.xmin_fetch_interval_ms:
            slot = server.find_slot(self._connection(), self._config.slot_name)
            self._events.xmin = slot.catalog_xmin if slot is not None else None
