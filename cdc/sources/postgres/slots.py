"""Replication slots: found, created, moved and dropped.

PostgreSQL docs, "Logical Decoding Concepts", "pg_replication_slots", "Streaming Replication Protocol".
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import sql

from cdc.core.dataclass import dataclass
from cdc.core.errors import SourceConnectionError
from cdc.log import get_logger

from .connection import Connection, interrupt, query
from .errors import map_error
from .lsn import Lsn

log = get_logger(__name__)

OPEN_TRANSACTIONS: Final = "Transactions that were open before must end first; see pg_stat_activity.xact_start."
_CANCEL_S: Final = 10.0
"""So long the server may take to be told that we do not wait any longer: nothing else ends the command."""


@dataclass(frozen=True)
class Slot:
    """A row of pg_replication_slots. `lost`: why the server removed WAL that the slot needs; None if it did not."""

    name: str
    plugin: str | None
    kind: str
    database: str | None
    temporary: bool
    active_pid: int | None
    restart_lsn: Lsn | None
    confirmed_flush_lsn: Lsn | None
    catalog_xmin: int | None
    wal_status: str | None
    two_phase: bool
    failover: bool
    lost: str | None


@dataclass(frozen=True)
class CreatedSlot:
    """`snapshot` can be imported until the next command on the connection that created the slot."""

    name: str
    consistent_point: Lsn
    snapshot: str | None


@dataclass(frozen=True)
class SlotLag:
    """How far the slot is behind the server. Fields are None if the server does not tell.

    `retained_wal_bytes`: WAL that the server keeps because of the slot.
    `unconfirmed_bytes`: WAL that we have not confirmed.
    `safe_wal_bytes`: how much more WAL may be written before the slot is in danger of losing its own.
    `server_lsn`: the end of the server's WAL.
    """

    retained_wal_bytes: int | None
    unconfirmed_bytes: int | None
    wal_status: str | None
    safe_wal_bytes: int | None
    server_lsn: int


def find_slot(conn: Connection, name: str) -> Slot | None:
    """The slot *name*, or None. Asks over an ordinary connection. Columns differ by version, so they are read by name.
    """
    rows = query(conn, """\
SELECT pg_catalog.to_jsonb(s) FROM pg_catalog.pg_replication_slots s WHERE slot_name = %s""", name)
    if not rows:
        return None
    row: dict[str, Any] = rows[0][0]
    xmin = row.get("catalog_xmin")
    return Slot(
        row["slot_name"], row.get("plugin"), row["slot_type"], row.get("database"), row.get("temporary") is True,
        row.get("active_pid"), _lsn(row.get("restart_lsn")), _lsn(row.get("confirmed_flush_lsn")),
        None if xmin is None else int(xmin), row.get("wal_status"), row.get("two_phase") is True,
        row.get("failover") is True, _why_lost(row),
    )


def _why_lost(row: Mapping[str, Any]) -> str | None:
    if row.get("invalidation_reason"):
        return str(row["invalidation_reason"])
    if row.get("wal_status") == "lost":
        return "wal_removed"
    return "conflict" if row.get("conflicting") is True and row.get("slot_type") == "logical" else None


def _lsn(text: str | None) -> Lsn | None:
    return None if text is None else Lsn.parse(text)


def create_slot(conn: Connection, name: str, *, export_snapshot: bool = False, failover: bool = False,
                two_phase: bool = False, temporary: bool = False, timeout_s: float = 90) -> CreatedSlot:
    """Creates a slot over a replication connection; a *temporary* slot goes away with that connection.

    The server waits for all open transactions to end. Raises SourceConnectionError after *timeout_s*. Servers before
    version 17 do not know *failover*, and before 15 not *two_phase*: these are left out with a warning.
    """
    version = conn.info.server_version
    if failover and version < 170000:
        log.warning("slot_option_not_supported", option="failover", needs_version=17)
    if two_phase and version < 150000:
        log.warning("slot_option_not_supported", option="two_phase", needs_version=15)
    command = sql.SQL("CREATE_REPLICATION_SLOT {}{} LOGICAL pgoutput {}").format(
        sql.Identifier(name), sql.SQL(" TEMPORARY" if temporary else ""),
        _slot_options(version, export_snapshot, failover and version >= 170000, two_phase))
    with _Deadline(conn, timeout_s) as deadline:
        try:
            (made, point, snapshot, _), = conn.execute(command).fetchall()
        except psycopg.Error as exc:
            if deadline.passed:
                raise SourceConnectionError(f"Replication slot {name} could not be created within {timeout_s:g} s.",
                                            hint=OPEN_TRANSACTIONS) from exc
            raise map_error(exc) from exc
    log.info("slot_created", slot=made, lsn=point, failover=failover, two_phase=two_phase)
    return CreatedSlot(made, Lsn.parse(point), snapshot)


def _slot_options(version: int, export_snapshot: bool, failover: bool, two_phase: bool) -> sql.Composable:
    if version < 150000:
        return sql.SQL("EXPORT_SNAPSHOT" if export_snapshot else "NOEXPORT_SNAPSHOT")
    words = [sql.SQL("SNAPSHOT 'export'" if export_snapshot else "SNAPSHOT 'nothing'")]
    words += [sql.SQL("TWO_PHASE")] if two_phase else []
    words += [sql.SQL("FAILOVER")] if failover else []
    return sql.SQL("({})").format(sql.SQL(", ").join(words))


class _Deadline:
    """Cancels the command on *conn* after *timeout_s*: statement_timeout does not apply to replication commands."""

    def __init__(self, conn: Connection, timeout_s: float) -> None:
        self._conn = conn
        self._timer = threading.Timer(timeout_s, self._cancel)
        self._timer.daemon = True
        self.passed = False

    def _cancel(self) -> None:
        self.passed = True
        interrupt(self._conn, _CANCEL_S)

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._timer.cancel()


def drop_slot(conn: Connection, name: str) -> None:
    """Drops a slot over a replication connection, when its user has released it. Does nothing if there is no such slot.
    """
    try:
        conn.execute(sql.SQL("DROP_REPLICATION_SLOT {} WAIT").format(sql.Identifier(name)))
    except psycopg.errors.UndefinedObject:
        return
    except psycopg.Error as exc:
        raise map_error(exc) from exc
    log.info("slot_dropped", slot=name)


def advance_slot(conn: Connection, name: str, lsn: int) -> Lsn:
    """Confirms everything before *lsn* without reading it. Returns the LSN that the slot reached. Asks over an ordinary
    connection."""
    rows = query(conn, "SELECT end_lsn::text FROM pg_catalog.pg_replication_slot_advance(%s, %s::pg_lsn)", name,
                 str(Lsn(lsn)))
    reached = Lsn.parse(rows[0][0])
    log.info("slot_advanced", slot=name, lsn=str(reached))
    return reached


def slot_lag(conn: Connection, name: str) -> SlotLag | None:
    """None if there is no such slot. Asks over an ordinary connection."""
    rows = query(conn, """\
SELECT (now_lsn - restart_lsn)::int8, (now_lsn - confirmed_flush_lsn)::int8, wal_status, safe_wal_size,
       (now_lsn - '0/0'::pg_lsn)::int8
FROM pg_catalog.pg_replication_slots,
     (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                  ELSE pg_catalog.pg_current_wal_lsn() END AS now_lsn) now
WHERE slot_name = %s""", name)
    return SlotLag(*rows[0]) if rows else None


def retained_wal_bytes(conn: Connection, name: str) -> int | None:
    """How much WAL the server keeps because of the slot."""
    lag = slot_lag(conn, name)
    return None if lag is None else lag.retained_wal_bytes
