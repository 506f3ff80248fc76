"""The first consistent copy of the tables: one transaction, one point of the log, the stream's schemas.

MariaDB's consistent snapshot knows its own binlog position, so nothing is locked there. With MySQL a read lock is held
for as long as it takes to open the transaction and read the position (`snapshot.locking.mode=minimal`), or for the
whole snapshot (`extended`), or not at all (`none`). Rows come in the text protocol, one packet each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pymysql
from pymysql.constants import COMMAND, ER

from cdc.core.errors import SourceConnectionError, SourceError, SourceRefusedError
from cdc.core.record import READ, Batch, Message, Record, SourceContext
from cdc.core.row import Row
from cdc.core.schema import TableId, TableSchema
from cdc.log import get_logger
from cdc.sources.markers import marked

from .events import SNAPSHOT, Events
from .position import MySqlPosition
from .server import Connection, close, log_status, map_error, query
from .textrow import text_row

log = get_logger(__name__)

BATCH_BYTES: Final = 1 << 20
_CHANGED: Final = frozenset({ER.BAD_DB_ERROR, ER.BAD_FIELD_ERROR, ER.NO_SUCH_TABLE})


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows to read: a table and the SELECT that gives them, whose fields are columns *indexes* of its row images."""

    table: TableSchema
    select: str
    indexes: tuple[int, ...]
    column_count: int
    overridden: bool = False
    """The SELECT has a part that was configured (`snapshot.select.statement.overrides`)."""


def quoted(name: str) -> str:
    """An identifier, for a statement. MySQL Reference Manual, "Schema Object Names"."""
    return "`" + name.replace("`", "``") + "`"


@dataclass(frozen=True, slots=True)
class Point:
    """Where the log is for the transaction that was opened. `locker` is the connection that still holds locks."""

    position: MySqlPosition
    locker: Connection | None


def begin(conn: Connection, *, mariadb: bool, locking_mode: str, lock_timeout_ms: int, tables: Sequence[TableId],
          connect: Callable[[], Connection]) -> Point:
    """Open the transaction on *conn*. *tables* are those it is for; *connect* makes the connection that locks.

    Raises SourceRefusedError where the user may not lock.
    """
    query(conn, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    if locking_mode == "none" or (mariadb and locking_mode == "minimal"):
        return Point(_open(conn, mariadb), None)
    locker = connect()
    try:
        _lock(locker, lock_timeout_ms, tables)
        position = _open(conn, mariadb)
    except BaseException:
        close(locker)
        raise
    if locking_mode == "extended":
        return Point(position, locker)
    close(locker)
    return Point(position, None)


def _open(conn: Connection, mariadb: bool) -> MySqlPosition:
    """Without a lock others commit meanwhile: with MySQL what they do is then both in the snapshot and behind the
    position, which is read first, and so never in neither."""
    position = None if mariadb else _mysql_position(conn)
    query(conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
    return position or _mariadb_position(conn)


def _lock(conn: Connection, timeout_ms: int, tables: Sequence[TableId]) -> None:
    """All tables of the server, or where a user may not do that (as on most managed servers) *tables*: until their
    writers have committed, and while they wait. MySQL Reference Manual, "FLUSH Statement", "LOCK TABLES"."""
    query(conn, f"SET SESSION lock_wait_timeout = {max(1, timeout_ms // 1000)}")
    try:
        query(conn, "FLUSH TABLES WITH READ LOCK")
        return
    except SourceRefusedError as exc:
        log.info("global_lock_refused", reason=exc.message, tables=len(tables))
    if not tables:
        return
    names = ", ".join(f"{quoted(id.catalog)}.{quoted(id.table)} READ" for id in tables)
    try:
        query(conn, f"LOCK TABLES {names}")
    except SourceRefusedError as exc:
        raise SourceRefusedError(
            "The user may neither take the global read lock nor lock the tables; one of the two ties the snapshot to a"
            " point of the log.", reason=exc.message,
            hint="GRANT RELOAD (or FLUSH_TABLES on MySQL 8) or LOCK TABLES ON *.* to it; or, if nothing writes"
                 " meanwhile, set snapshot.locking.mode=none.") from exc


def _mysql_position(conn: Connection) -> MySqlPosition:
    row = log_status(conn)
    gtids = "".join(str(row[4] or "").split()) if len(row) > 4 else ""
    return MySqlPosition(str(row[0]), int(row[1]), gtids or None)


def _mariadb_position(conn: Connection) -> MySqlPosition:
    """MariaDB docs, "START TRANSACTION WITH CONSISTENT SNAPSHOT": the status variables are those of the snapshot."""
    found = {str(name).lower(): value for name, value in query(conn, "SHOW STATUS LIKE 'binlog_snapshot_%'")}
    file, pos = found.get("binlog_snapshot_file"), found.get("binlog_snapshot_position")
    if not file or not pos:
        raise SourceRefusedError("The binary log is switched off.", hint="Start the server with log_bin.")
    (gtids,), = query(conn, "SELECT BINLOG_GTID_POS(%s, %s)", file, int(pos))
    return MySqlPosition(str(file), int(pos), None if gtids is None else str(gtids))


def as_last(message: Message) -> Message:
    """A schema change as a snapshot's last record."""
    source, *rest = message.value
    return replace(message, value=((*source[:SNAPSHOT], "last", *source[SNAPSHOT + 1:]), *rest))


class Snapshot:
    """Reads chunks on *conn*, whose open transaction sees the tables as of *position*. Not for several threads.

    *schema_changes* go out first. `poll` gives batches until it returns with `done` set; the last one carries *final*,
    the position to stream from. *locker* holds locks for as long.
    """

    def __init__(self, conn: Connection, locker: Connection | None, schema_changes: Sequence[Message],
                 chunks: Sequence[Chunk], events: Events, *, final: MySqlPosition, during: MySqlPosition,
                 max_records: int) -> None:
        self.conn = conn
        self.locker = locker
        self.final = final
        self.done = False
        self.table_count = len(chunks)
        self.remaining = len(chunks)
        self.row_count = 0
        self.started_at = time.time()
        self._events = events
        self._during = during
        self._max_records = max_records
        self._records = self._read(schema_changes, chunks)

    def poll(self) -> Batch:
        records: list[Record | Message] = []
        counts: dict[tuple[str, str], int] = {}
        size = 0
        while size < BATCH_BYTES and len(records) < self._max_records:
            item = next(self._records, None)
            if item is None:
                self.done = True
                break
            record, length = item
            records.append(record)
            size += length
            if isinstance(record, Record):
                counter = (str(record.table.id), READ)
                counts[counter] = counts.get(counter, 0) + 1
        return Batch(records, self.final if self.done else self._during, size, time.time_ns() // 1000, counts)

    def close(self) -> None:
        close(self.conn)
        if self.locker is not None:
            close(self.locker)

    def _read(self, schema_changes: Sequence[Message],
              chunks: Sequence[Chunk]) -> Iterator[tuple[Record | Message, int]]:
        held = schema_changes[-1] if schema_changes else None
        for message in schema_changes[:-1]:
            yield message, 1000
        time_us = self._server_time_us()
        query(self.conn, "SET SESSION character_set_results = NULL")  # as row events have strings
        contexts: dict[tuple[int, str], SourceContext] = {}
        for item in marked((chunk, row) for chunk in chunks for row in self._rows(chunk)):
            assert item is not None
            if held is not None:
                yield held, 1000
                held = None
            chunk, row, marker = item
            context = contexts.get((id(chunk), marker))
            if context is None:
                context = contexts[id(chunk), marker] = self._context(chunk, marker, time_us)
            self.row_count += 1
            yield Record(READ, chunk.table, None, row, row, context, ()), len(row.data)
        if held is not None:  # no rows at all: it is the last record
            yield as_last(held), 1000

    def _context(self, chunk: Chunk, marker: str, time_us: int) -> SourceContext:
        id_ = chunk.table.id
        values = self._events.source_values(time_us, database=id_.catalog, table=id_.table, snapshot=marker,
                                            file=self.final.file, pos=self.final.pos)
        return SourceContext(self._events.source_schema, values, ())

    def _server_time_us(self) -> int:
        (seconds,), = query(self.conn, "SELECT UNIX_TIMESTAMP(CURRENT_TIMESTAMP)")
        return int(seconds) * 1_000_000

    def _rows(self, chunk: Chunk) -> Iterator[Row]:
        """Rows as the packets have them. PyMySQL's cursors would decode every value, so its packets are read below
        them: MySQL Source Code Documentation, "Text Resultset"."""
        conn: Any = self.conn
        started = time.monotonic()
        count = 0
        try:
            conn._execute_command(COMMAND.COM_QUERY, chunk.select)
            columns = conn._read_packet().read_length_encoded_integer()
            for _ in range(columns + 1):  # the definitions, and the EOF behind them
                conn._read_packet()
            while True:
                packet = conn._read_packet()
                if packet.is_eof_packet():
                    break
                count += 1
                yield text_row(packet.get_all_data(), chunk.indexes, chunk.column_count)
        except pymysql.MySQLError as exc:
            raise _read_error(chunk, map_error(exc)) from exc
        self.remaining -= 1
        log.info("snapshot_table_read", table=str(chunk.table.id), rows=count,
                 seconds=round(time.monotonic() - started, 3))


def _read_error(chunk: Chunk, error: SourceError) -> SourceError:
    """A table that was altered, renamed or dropped before its turn came is no longer what the snapshot is of: another
    snapshot is."""
    if chunk.overridden or error.context.get("errno") not in _CHANGED:
        return error
    return SourceConnectionError("A table was changed while the snapshot was taken, so it begins again.",
                                 table=str(chunk.table.id), reason=error.message)
