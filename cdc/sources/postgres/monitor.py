"""Watches the publication, the slot and the user's rights while the stream runs; see `sources.shared.monitor`."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import psycopg

from cdc.sources.shared.monitor import FIRST_LOOK_S, LOOK_EVERY_S, Monitor
from cdc.sources.shared.warnings import Warnings

from . import checks, connection, errors, slots
from .options import PostgresConfig
from .runway import Runway
from .source_block import SourceBlock
from .unseen_rows import UnseenRows
from .watch import Watch

WAL_STATUSES: Final = ("reserved", "extended", "unreserved", "lost")
"""PostgreSQL docs, "pg_replication_slots", from well to lost."""

Connection: TypeAlias = "psycopg.Connection[Any]"


class PostgresMonitor(Monitor[Connection]):
    """`numbers` are for the metrics. With `xmin.fetch.interval.ms` it also keeps `xmin` of *events* up to date."""

    def __init__(self, config: PostgresConfig, events: SourceBlock, watch: Watch, rows: UnseenRows,
                 warnings: Warnings) -> None:
        xmin_every = config.xmin_fetch_interval_ms / 1000
        super().__init__(config.heartbeat_action_query, min(LOOK_EVERY_S, xmin_every) if xmin_every else LOOK_EVERY_S,
                         warnings, first_look_s=0.0 if xmin_every else FIRST_LOOK_S)
        self.numbers: dict[str, float] = {}
        self._config = config
        self._events = events
        self._watch = watch
        self._rows = rows
        self._warnings = warnings
        self._runway = Runway()

    def _connect(self) -> Connection:
        return connection.connect(self._config)

    def _usable(self, conn: Connection) -> bool:
        return not (conn.closed or conn.broken)

    def _execute(self, conn: Connection, query: str) -> None:
        try:
            with connection.users_search_path(conn):
                conn.execute(query.encode())
        except psycopg.Error as exc:
            raise errors.map_error(exc) from exc

    def _close(self, conn: Connection) -> None:
        conn.close()

    def _look(self) -> None:
        lag = slots.slot_lag(self._connection(), self._config.slot_name)
        if lag is not None:
            self._count(lag)
        if self._config.xmin_fetch_interval_ms:
            slot = slots.find_slot(self._connection(), self._config.slot_name)
            self._events.xmin = slot.catalog_xmin if slot is not None else None
        self._look_at_slot(lag)
        may = checks.may_replicate(self._connection())
        self._warnings.show("replication_not_permitted", {} if may else {self._config.database_user: (
            "The user may not replicate any more: the stream ends for good with its connection.",
            "Run ALTER ROLE … REPLICATION (on RDS: GRANT rds_replication TO …).")})
        error = self._watch.look(self._connection())
        if error is not None:
            self.fail(error)
        look_at_rows(self._connection(), self._watch, self._rows)

    def _look_at_slot(self, lag: slots.SlotLag | None) -> None:
        """Whether the server keeps the WAL that the slot needs. If it does not, the stream itself ends with the error.
        """
        name, status = self._config.slot_name, lag.wal_status if lag is not None else None
        self._warnings.show("slot_wal_not_kept", {} if status not in ("unreserved", "lost") else {name: (
            f"Its wal_status is {status}: the server may remove WAL that it needs at the next checkpoint.",
            "Raise max_slot_wal_keep_size, and see what holds up the connector.")})

    def _count(self, lag: slots.SlotLag) -> None:
        self.numbers["cdc_wal_written_bytes_total"] = lag.server_lsn
        if lag.retained_wal_bytes is not None:
            self.numbers["cdc_retained_wal_bytes"] = lag.retained_wal_bytes
        if lag.wal_status in WAL_STATUSES:
            self.numbers["cdc_slot_wal_status"] = WAL_STATUSES.index(lag.wal_status)
        runway_s = self._runway.seconds(lag.server_lsn, lag.safe_wal_bytes)
        for name, value in (("cdc_wal_safe_bytes", lag.safe_wal_bytes), ("cdc_wal_runway_seconds", runway_s)):
            if value is None:
                self.numbers.pop(name, None)
            else:
                self.numbers[name] = value


def look_at_rows(conn: Connection, watch: Watch, rows: UnseenRows) -> None:
    """Whether captured tables have other rows without events. A standby may lag behind what was seen last."""
    kept = watch.kept
    if kept is not None and not watch.in_recovery:
        rows.look(conn, kept.tables, via_root=kept.via_root, truncates_published="t" in kept.operations)
