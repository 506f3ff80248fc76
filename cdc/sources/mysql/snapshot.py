"""The tables' rows for the first copy: one transaction, one point of the log. See `sources.snapshot.initial`.

MariaDB tells the binlog position of a consistent snapshot, so nothing is locked there. MySQL does not: there we hold a
read lock while we open the transaction and read the position (`snapshot.locking.mode=minimal`), or during the whole
snapshot (`extended`), or not at all (`none`). Rows come in the text protocol, one packet each.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import pymysql
from pymysql.constants import COMMAND, ER

from cdc.core.dataclass import dataclass
from cdc.core.errors import SourceConnectionError, SourceError, SourceRefusedError
from cdc.core.record import Message, SourceContext
from cdc.core.row import Row
from cdc.core.table import TableId, TableSchema
from cdc.log import get_logger
from cdc.sources.mysql.ddl.structure import Structures
from cdc.sources.shared.selection import SnapshotSelection
from cdc.sources.snapshot.initial import Lines
from cdc.sources.snapshot.progress import CHUNK_BYTES, CHUNK_ROWS, Place

from . import key_ranges, row_probe
from .connection import TEXTS_AS_STORED, Connection, check_condition, close, interrupt, query
from .errors import map_error
from .flavor import Flavor
from .key_order import KeyOrder, Order
from .key_ranges import KeyRange
from .locks import LockWaits, is_locked
from .native_text import NativeText
from .position import MySqlPosition
from .quoting import quoted, quoted_table
from .server import log_status
from .source_block import SNAPSHOT, SourceBlock
from .tables import TableBuilder
from .textrow import text_row

log = get_logger(__name__)

_AGREEMENTS: Final = 20
_JOINS: Final = 3
_CASCADES: Final = """\
SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS
WHERE CONSTRAINT_SCHEMA = %s AND TABLE_NAME = %s AND UPDATE_RULE = 'CASCADE'"""
T = TypeVar("T")
_CHANGED: Final = frozenset({ER.BAD_DB_ERROR, ER.BAD_FIELD_ERROR, ER.NO_SUCH_TABLE})


@dataclass(frozen=True)
class TableRead:
    """A table and the SELECT that gives its rows. The fields are the row image's columns *indexes*."""

    table: TableSchema
    select: str
    indexes: tuple[int, ...]
    column_count: int
    overridden: bool = False
    """Whether a part of the SELECT was configured (`snapshot.select.statement.overrides`)."""
    condition: str | None = None
    """What the rows must fulfil besides; the SELECT does not have it yet."""

    def in_order(self, order: Order, range: KeyRange) -> TableRead:
        """The rows of *range* of it, in the order of the primary key."""
        conditions = [*([] if self.condition is None else [self.condition]), *range.conditions(order)]
        return replace(self, select=self.select + order.clause(range.after, conditions))

    def whole(self) -> TableRead:
        """All rows of it, in any order."""
        return self if self.condition is None else replace(self, select=f"{self.select} WHERE {self.condition}")


class ReadPlan:
    """The read of each table."""

    def __init__(self, structures: Structures, builder: TableBuilder, selection: SnapshotSelection) -> None:
        self._structures = structures
        self._builder = builder
        self._selection = selection

    def override(self, id: TableId) -> str | None:
        """The SELECT that is configured for the table's rows."""
        return self._selection.override(id)

    def read(self, id: TableId) -> TableRead:
        structure, override = self._structures.get(id), self.override(id)
        assert structure is not None
        table = self._builder.build(structure)
        needed = {column.index for column in (*table.columns, *table.key)} or {0}  # a SELECT list is never empty
        selects = self._builder.selects(structure)
        indexes = tuple(index for index in range(len(structure.columns)) if index in needed)
        names = [quoted(structure.columns[index].name) for index in indexes]
        fields = ", ".join(selects[index].format(name) for index, name in zip(indexes, names, strict=True))
        return TableRead(table, f"SELECT {fields} FROM {self._source(id)}", indexes, len(structure.columns),
                         bool(override), self._selection.condition(id))

    def check_conditions(self, conn: Connection, ids: Sequence[TableId]) -> None:
        """Now, before any row is sent. Raises SourceRefusedError."""
        for id in ids:
            for condition in self._selection.checks(id):
                check_condition(conn, str(id), f"SELECT 1 FROM {self._source(id)} WHERE {condition}")

    def _source(self, id: TableId) -> str:
        override = self.override(id)
        return f"({override}\n) AS q" if override else quoted_table(id)  # it may end in a comment


@dataclass(frozen=True)
class Point:
    """The point of the log that an open transaction sees."""

    position: MySqlPosition
    locker: Connection | None
    """The connection that holds locks until the snapshot ends; None without locks."""


def begin(conn: Connection, *, flavor: Flavor, locking_mode: str, lock_timeout_ms: int, tables: Sequence[TableId],
          connect: Callable[[], Connection], helpers: Sequence[Connection] = ()) -> Point:
    """Open the transaction on *conn*, and find out which point of the log it sees. The transactions of *helpers* see
    the same point, or without a lock perhaps a later one.

    *tables* are locked if the user may not lock all tables; *connect* opens the connection that takes the locks.
    Raises SourceRefusedError if the user may take neither kind of lock.
    """
    for each in (conn, *helpers):
        query(each, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    if flavor.snapshot_has_position and locking_mode == "minimal":
        position = _agreed(conn, flavor, helpers)
        if position is not None:
            return Point(position, None)
    elif locking_mode == "none":
        return Point(_open(conn, flavor, helpers), None)
    locker = connect()
    try:
        _lock(locker, lock_timeout_ms, tables)
        position = _open(conn, flavor, helpers)
    except BaseException:
        close(locker)
        raise
    if locking_mode == "extended":
        return Point(position, locker)
    close(locker)
    return Point(position, None)


def _open(conn: Connection, flavor: Flavor, helpers: Sequence[Connection]) -> MySqlPosition:
    """Open the transactions, and return the position of the first. Without a lock, others can commit in between. We
    read MySQL's position first, and open the others' later, so such a change is both in the snapshot and after the
    position: twice, but never lost."""
    position = None if flavor.snapshot_has_position else log_position(conn)
    for each in (conn, *helpers):
        query(each, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
    return position or snapshot_position(conn)


def _agreed(conn: Connection, flavor: Flavor, helpers: Sequence[Connection]) -> MySqlPosition | None:
    """The position that all transactions see, without a lock; None if others commit in between again and again."""
    for _ in range(_AGREEMENTS):
        position = _open(conn, flavor, helpers)
        if all(snapshot_position(each) == position for each in helpers):
            return position
        for each in (conn, *helpers):
            query(each, "ROLLBACK")
    log.info("snapshots_differ", attempts=_AGREEMENTS, instead="a read lock, for a moment")
    return None


def joins(conn: Connection, position: MySqlPosition) -> bool:
    """Open a transaction on *conn*, and return whether it sees the rows at *position*. Only where a snapshot knows its
    place in the log."""
    query(conn, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    for _ in range(_JOINS):
        query(conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
        if snapshot_position(conn) == position:
            return True
        query(conn, "ROLLBACK")
    return False


def open_later(conn: Connection) -> MySqlPosition:
    """Open a transaction on *conn* that sees the rows at present, at the position that is returned or later."""
    query(conn, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    position = log_position(conn)
    query(conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
    return position


def _lock(conn: Connection, timeout_ms: int, tables: Sequence[TableId]) -> None:
    """Lock all tables of the server; or *tables* if the user may not lock all, as on most managed servers, or if a long
    statement of another session, such as ALTER TABLE, is in the way. The server first lets running transactions commit;
    new ones wait. MySQL Reference Manual, "FLUSH Statement", "LOCK TABLES"."""
    query(conn, f"SET SESSION lock_wait_timeout = {max(1, timeout_ms // 1000)}")
    try:
        query(conn, "FLUSH TABLES WITH READ LOCK")
        return
    except SourceError as exc:
        if not (is_locked(exc) or isinstance(exc, SourceRefusedError)):
            raise
        log.info("global_lock_not_given", reason=exc.message, tables=len(tables), instead="locks of captured tables")
    if not tables:
        return
    names = ", ".join(f"{quoted_table(id)} READ" for id in tables)
    try:
        query(conn, f"LOCK TABLES {names}")
    except SourceRefusedError as exc:
        raise SourceRefusedError(
            "The user may take neither the global read lock nor locks of the tables. A snapshot needs one of them to"
            " know its point of the log.", reason=exc.message,
            hint="GRANT RELOAD (or FLUSH_TABLES on MySQL 8) or LOCK TABLES ON *.* to the user. Or, if nothing writes"
                 " during the snapshot, set snapshot.locking.mode=none.") from exc
    except SourceConnectionError as exc:
        if not is_locked(exc):
            raise
        raise SourceConnectionError(
            f"Other sessions kept the snapshot from its read lock for {timeout_ms} ms.",
            tables=", ".join(map(str, tables))[:300], hint="Find the session that runs DDL, or has locked one of the"
            " tables: SHOW PROCESSLIST; or raise snapshot.lock.timeout.ms.") from exc


def log_position(conn: Connection) -> MySqlPosition:
    row = log_status(conn)
    gtids = "".join(str(row[4] or "").split()) if len(row) > 4 else ""
    return MySqlPosition(str(row[0]), int(row[1]), gtids or None)


def snapshot_place(conn: Connection) -> tuple[str, int]:
    """MariaDB's status variables tell where in the log the snapshot is that this session opened. MariaDB docs, "START
    TRANSACTION WITH CONSISTENT SNAPSHOT"."""
    found = {str(name).lower(): value for name, value in query(conn, "SHOW STATUS LIKE 'binlog_snapshot_%'")}
    file, pos = found.get("binlog_snapshot_file"), found.get("binlog_snapshot_position")
    if not file or not pos:
        raise SourceRefusedError("The binary log is switched off.", hint="Start the server with log_bin.")
    return str(file), int(pos)


def snapshot_position(conn: Connection) -> MySqlPosition:
    """The position of the snapshot that this session opened."""
    file, pos = snapshot_place(conn)
    (gtids,), = query(conn, "SELECT BINLOG_GTID_POS(%s, %s)", file, pos)
    return MySqlPosition(file, pos, None if gtids is None else str(gtids))


def as_last(message: Message) -> Message:
    """The schema change *message* with the marker `last`, for a snapshot without rows."""
    source, *rest = message.value
    return replace(message, value=((*source[:SNAPSHOT], "last", *source[SNAPSHOT + 1:]), *rest))


class TextReader:
    """Reads tables by the text protocol (`initial.TableReader`). The open transaction of *conn* sees them at
    *position*. *locker* holds its locks until `close`."""

    def __init__(self, conn: Connection, locker: Connection | None, plan: ReadPlan, block: SourceBlock,
                 position: MySqlPosition, waits: LockWaits, keys: KeyOrder, native: NativeText | None = None, *,
                 check_same: Callable[[TableId], None], fewest: Callable[[TableId], int] = lambda id: 1,
                 gtid: str | None = None, has_rows: Mapping[TableId, bool] | None = None) -> None:
        """*native*: reads rows of *conn* together. *check_same*: `SnapshotPlan.check_same_table`. *fewest*: how many
        ranges a table has at least, if there are several readers. *gtid*: what the source blocks have. *has_rows*: as
        of `SnapshotPlan`."""
        self._conn = conn
        self._has_rows = has_rows or {}
        self._check_same = check_same
        self._keys = keys
        self._native = native
        self._plan = plan
        self._waits = waits
        self._locker = locker
        self._block = block
        self._position = position
        self._fewest = fewest
        self._gtid = gtid
        self._checked: TableId | None = None
        self._time_us = 0

    def begin(self) -> None:
        """Read the server's time, for the source blocks. Then switch conversion off, so that strings come in their
        columns' own character sets, as in row events."""
        (seconds,), = query(self._conn, "SELECT UNIX_TIMESTAMP(CURRENT_TIMESTAMP)")
        self._time_us = int(seconds) * 1_000_000
        query(self._conn, TEXTS_AS_STORED)

    def context(self, read: TableRead, marker: str) -> SourceContext:
        id = read.table.id
        values = self._block.source_values(self._time_us, database=id.catalog, table=id.table, snapshot=marker,
                                           file=self._position.file, pos=self._position.pos,
                                           gtid=self._gtid)
        return SourceContext(self._block.source_schema, values, ())

    @property
    def native(self) -> NativeText | None:
        return self._native

    def close(self) -> None:
        close(self._conn)
        if self._locker is not None:
            close(self._locker)

    def alive(self) -> bool:
        return bool(self._conn.open)

    def interrupt(self) -> None:
        interrupt(self._conn)

    def reads(self, tables: Sequence[TableId], *, several: bool) -> Iterator[TableRead | int | None]:
        """Of many tables it is known which have rows, or one question tells."""
        empty: set[TableId] = set()
        if several:
            plain = [id for id in tables if not self._plan.override(id)]
            empty = {id for id in plain if self._has_rows.get(id) is False}
            empty |= self._empty([id for id in plain if id not in self._has_rows])
        for id in tables:
            yield 1 if id in empty else self._plan.read(id)

    def ranges(self, read: TableRead, after: Place | None) -> Generator[None, None, Sequence[KeyRange]]:
        yield from ()
        order, id = self._order(read), read.table.id
        if order is None:
            return [KeyRange()]
        if after is not None and self._keys_follow(id):
            after = None
        fewest = self._fewest(id)
        if fewest == 1:
            return [KeyRange(after)]
        return [self._waits.patiently(
            id, lambda: self._asked(read, lambda: key_ranges.whole(self._conn, id, order, after, fewest)),
            limited=False)]

    def divided(self, read: TableRead, range: KeyRange) -> Generator[None, None, Sequence[KeyRange]]:
        yield from ()
        order = self._order(read)
        if order is None or not range.rows:
            return []
        return self._asked(read, lambda: key_ranges.divided(self._conn, read.table.id, order, range))

    def _order(self, read: TableRead) -> Order | None:
        return None if read.overridden else self._keys.order(read.table, read.indexes)

    def _empty(self, tables: Sequence[TableId]) -> set[TableId]:
        """Those of *tables* that have no rows. None of them is locked afterwards."""
        if not tables:
            return set()
        try:
            query(self._conn, row_probe.BEGIN)
            found = query(self._conn, row_probe.question(tables))
            query(self._conn, row_probe.END)
        except SourceError as exc:
            if is_locked(exc):  # of these tables each is waited for by itself
                query(self._conn, row_probe.END)
                return set()
            raise _changed("one of " + ", ".join(map(str, tables)), exc) from exc
        return {tables[int(number)] for number, in found}

    def rows(self, read: TableRead, range: KeyRange) -> Iterator[Row | Lines | Place]:
        """In the order of the primary key, if that is one to go on by."""
        order = self._order(read)
        count, size = 0, 0
        last: Row | None = None
        for row in self._rows(read.whole() if order is None else read.in_order(order, range)):
            if isinstance(row, Lines):
                if order is None:
                    yield row
                else:
                    count, size = yield from _with_places(row, read, order, count, size)
                continue
            yield row
            count += 1
            size += len(row.data)
            last = row
            if order is not None and (count >= CHUNK_ROWS or size >= CHUNK_BYTES):
                yield order.place(row)
                count = size = 0
        if order is not None and last is not None and count and range.high is not None:
            yield order.place(last)  # the last row is never among the Lines

    def _keys_follow(self, id: TableId) -> bool:
        """Whether the server changes keys of the table with those of another one, which its log does not have."""
        (count,), = query(self._conn, _CASCADES, id.catalog, id.table)
        return int(count) > 0

    def _rows(self, read: TableRead) -> Iterator[Row | Lines]:
        """The rows, each with the bytes of its packet. PyMySQL's cursors would decode every value, so we read its
        packets instead. MySQL Source Code Documentation, "Text Resultset"."""
        conn: Any = self._conn
        columns = self._waits.patiently(read.table.id, lambda: self._ask(read), limited=False)
        if self._checked != read.table.id:
            self._check_same(read.table.id)  # now, as no attempt reads it again; the lock of our SELECT keeps its name
            self._checked = read.table.id
        try:
            for _ in range(columns + 1):  # the definitions, and the EOF after them
                conn._read_packet()
            if self._native is not None:
                yield from self._native.rows(read)
                return
            while True:
                packet = conn._read_packet()
                if packet.is_eof_packet():
                    break
                yield text_row(packet.get_all_data(), read.indexes, read.column_count)
        except pymysql.MySQLError as exc:
            raise _read_error(read, map_error(exc)) from exc

    def _asked(self, read: TableRead, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except SourceError as exc:
            raise _read_error(read, exc) from exc

    def _ask(self, read: TableRead) -> int:
        """The number of columns; the rows follow."""
        conn: Any = self._conn
        try:
            conn._execute_command(COMMAND.COM_QUERY, read.select)
            return int(conn._read_packet().read_length_encoded_integer())
        except pymysql.MySQLError as exc:
            raise _read_error(read, map_error(exc)) from exc


def _with_places(lines: Lines, read: TableRead, order: Order, count: int,
                 size: int) -> Generator[Row | Lines | Place, None, tuple[int, int]]:
    """*lines*, with a Place where a chunk ends, whose last row comes by itself. The chunk had *count* rows of *size*
    bytes before; returns those of the one that goes on behind *lines*."""
    rest: Lines | None = lines
    while rest is not None:
        room = CHUNK_ROWS - count
        if len(rest.rows) < room and size + rest.size_bytes < CHUNK_BYTES:
            yield rest
            return count + len(rest.rows), size + rest.size_bytes
        part, rest = rest.split(room) if room < len(rest.rows) else (rest, None)
        if len(part.rows) > 1:
            many, part = part.split(len(part.rows) - 1)
            yield many
        last = text_row(part.rows.packet(), read.indexes, read.column_count)
        yield last
        yield order.place(last)
        count = size = 0
    return count, size


def _read_error(read: TableRead, error: SourceError) -> SourceError:
    return error if read.overridden else _changed(str(read.table.id), error)


def _changed(table: str, error: SourceError) -> SourceError:
    """The error to raise for *error*. If the table was altered, renamed or dropped before it was read, the snapshot
    must begin again, so that is a retriable error."""
    if error.context.get("errno") not in _CHANGED:
        return error
    return SourceConnectionError("A table was changed while the snapshot was taken, so the snapshot begins again.",
                                 table=table[:300], reason=error.message)
