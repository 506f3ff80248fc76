"""What a chunk shows, and where it belongs in the log.

A chunk is read under one snapshot, which `pg_current_snapshot` tells. The log has a transaction before others see
it: the commit record is in the log first, and the session then waits for synchronous standbys. A standby is different:
there the log is sent only after it was applied.

PostgreSQL docs, "System Information Functions" (`pg_current_snapshot`), "Replication Management Functions"
(`pg_logical_emit_message`); src/backend/access/transam/xact.c, RecordTransactionCommit; src/backend/access/transam/
xlogrecovery.c, ApplyWalRecord.
"""

from __future__ import annotations

import threading
import time
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from cdc.core.dataclass import dataclass
from cdc.core.errors import SourceError
from cdc.log import get_logger
from cdc.sources.shared.window_rows import WindowRows

from .connection import Connection, query
from .errors import map_error
from .lsn import Lsn
from .source_block import MARK_PREFIX

log = get_logger(__name__)

_SETTLES_S: Final = 0.2
"""How long a commit takes from its record to being visible, at most, where no standby is waited for."""
_SEEN_S: Final = 5.0
_AGAIN_S: Final = 0.05
_WIDE: Final = 1 << 32
_READ_ONLY: Final = "25006"
"""SQLSTATE of a statement that a standby refuses."""


@dataclass(frozen=True)
class Seen:
    """A snapshot: transactions from *xmax* on are not visible, nor are *running*. *standby*: all that the log has told
    is visible."""

    xmax: int
    running: frozenset[int]
    standby: bool

    @classmethod
    def parse(cls, text: str, *, standby: bool) -> Seen:
        _, xmax, running = text.split(":")
        return cls(int(xmax), frozenset(int(each) for each in running.split(",") if each), standby)

    def sees(self, xid: int) -> bool:
        """Whether what transaction *xid*, of 32 bits, did is visible, if the log has it."""
        if self.standby:
            return True
        wide = (self.xmax & -_WIDE) | (xid & (_WIDE - 1))
        if wide > self.xmax + _WIDE // 2:
            wide -= _WIDE
        elif wide < self.xmax - _WIDE // 2:
            wide += _WIDE
        return wide < self.xmax and wide not in self.running


@dataclass(frozen=True)
class Shows:
    """What a chunk shows. *joined*: also all that the stream had told before it began to look at the table. *high_lsn*:
    the log before this place has told all that it shows. *window*: its rows in the signal table."""

    seen: Seen
    joined: bool
    high_lsn: int
    window: WindowRows | None


class Marks:
    """On one connection at a time, in one thread. *signal_table*: schema and name, where marks are rows of a table.
    *deletes*: the high mark is the deletion of the low one. *read_only*: nothing is written.

    `writes`: whether a mark of ours is in the log."""

    def __init__(self, *, signal_table: tuple[str, str] | None, deletes: bool, read_only: bool) -> None:
        self._table = signal_table
        self._deletes = deletes
        self.writes = not read_only
        self._suspects: frozenset[int] | None = None
        self._told_at = 0.0

    def begins(self) -> None:
        """What the stream told so far is not known to whoever compares."""
        self._suspects = None

    def settle(self, conn: Connection) -> None:
        """Before the first chunk: find out which transactions the stream may have told that are not visible yet."""
        if self._suspects is None:
            self._suspects = unsettled(conn)

    def joined(self, seen: Seen, table: str) -> bool:
        """Whether none of those is still not visible."""
        suspects = self._suspects or frozenset()
        self._suspects = frozenset(xid for xid in suspects if not seen.sees(xid))
        if self._suspects and time.monotonic() > self._told_at + 60:
            self._told_at = time.monotonic()
            log.warning("incremental_snapshot_waits", table=table, transactions=len(self._suspects),
                        reason="with synchronous standbys, a transaction may be in the log before it is visible, so the"
                               " snapshot waits for the end of those that were open when it began")
        return not self._suspects

    def open(self, conn: Connection) -> WindowRows | None:
        """The low mark, with a signal table."""
        if self._table is None:
            return None
        window = WindowRows.new()
        try:
            self._insert(conn, window.open())
        except SourceError as exc:
            if exc.context.get("sqlstate") != _READ_ONLY:
                raise
            log.info("snapshot_marks_not_written", reason=exc.message,
                     effect="chunks join the stream when it has come far enough by itself")
            self._table, self.writes = None, False
            return None
        return window

    def close(self, conn: Connection, window: WindowRows | None) -> int:
        """The high mark. Returns its place in the log."""
        if self._table is None or window is None:
            return self._message(conn)
        if self._deletes:
            try:
                conn.execute(sql.SQL("DELETE FROM {} WHERE {} = {}").format(
                    sql.Identifier(*self._table), sql.Identifier(self._columns(conn)[0]), sql.Literal(window.open_id)))
            except psycopg.Error as exc:
                raise map_error(exc) from exc
        else:
            self._insert(conn, window.close())
        return current_lsn(conn)

    def _columns(self, conn: Connection) -> list[str]:
        assert self._table is not None
        rows = query(conn, "SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attnum > 0"
                           " AND NOT a.attisdropped AND a.attrelid = pg_catalog.format('%%I.%%I', %s::text, %s::text)"
                           "::pg_catalog.regclass ORDER BY a.attnum", *self._table)
        return [str(name) for name, in rows]

    def _insert(self, conn: Connection, row: tuple[str, str, str]) -> None:
        assert self._table is not None
        try:
            conn.execute(sql.SQL("INSERT INTO {} VALUES ({})").format(
                sql.Identifier(*self._table), sql.SQL(", ").join(map(sql.Literal, row))))
        except psycopg.Error as exc:
            raise map_error(exc) from exc

    def _message(self, conn: Connection) -> int:
        """Has the log move on, so that the stream notices. The transaction id makes the server write it to disk at
        once, and no standby is waited for."""
        if self.writes:
            own: LiteralString = ("pg_catalog.pg_current_xact_id()" if conn.info.server_version >= 130000
                                  else "pg_catalog.txid_current()")
            try:
                query(conn, "SET synchronous_commit = local")
                rows = query(conn, sql.SQL("SELECT pg_catalog.pg_logical_emit_message(false, {}, '')::text, "
                                           + own + "::text").format(sql.Literal(MARK_PREFIX)))
                return int(Lsn.parse(rows[0][0]))
            except SourceError as exc:
                if exc.retriable:
                    raise
                log.info("snapshot_marks_not_written", reason=exc.message,
                         effect="chunks join the stream when it has come far enough by itself")
                self.writes = False
        return current_lsn(conn)


def current_lsn(conn: Connection) -> int:
    """The end of the log as it is now; on a standby, of what it has applied."""
    (text,), = query(conn, """\
SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
             ELSE pg_catalog.pg_current_wal_insert_lsn() END)::text""")
    return int(Lsn.parse(text))


def unsettled(conn: Connection) -> frozenset[int]:
    """The transactions that the log may have by now, but that a snapshot may not show yet. Waits for a moment where
    no standby is waited for; then there are none."""
    (names, standby), = query(conn, "SELECT pg_catalog.current_setting('synchronous_standby_names'),"
                                    " pg_catalog.pg_is_in_recovery()")
    if standby:
        return frozenset()
    # A transaction keeps this lock until it is visible. The newest ones are in no snapshot's list.
    rows = query(conn, "SELECT transactionid::text::int8 FROM pg_catalog.pg_locks"
                       " WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted")
    if names:
        return frozenset(int(xid) for xid, in rows)
    if rows:
        time.sleep(_SETTLES_S)
    return frozenset()


def wait_until_seen(conn: Connection, ended: threading.Event) -> frozenset[int]:
    """Those of the `unsettled` transactions that a snapshot may not show that is opened from now on. Waits for some
    seconds until there are none: on a busy server, there are others at each moment. Not after *ended*."""
    left, until = unsettled(conn), time.monotonic() + _SEEN_S
    while left:
        seen = look(conn)
        left = frozenset(xid for xid in left if not seen.sees(xid))
        if left and (time.monotonic() >= until or ended.wait(_AGAIN_S)):
            break
    return left


def look(conn: Connection) -> Seen:
    """The snapshot of the open transaction, or a new one."""
    function: LiteralString = ("pg_catalog.pg_current_snapshot()" if conn.info.server_version >= 130000
                               else "pg_catalog.txid_current_snapshot()")
    (text, standby), = query(conn, sql.SQL("SELECT " + function + "::text, pg_catalog.pg_is_in_recovery()"))
    return Seen.parse(str(text), standby=bool(standby))
