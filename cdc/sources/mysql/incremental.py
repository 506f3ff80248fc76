"""MySQL's and MariaDB's side of snapshots beside the stream (`sources.snapshot.incremental`): chunks in the order of
their keys, by the text protocol.

Each chunk has a consistent snapshot of its own. The server refuses to read a table in it that was altered or emptied
since, and what the table is then, is asked for while the read still keeps it from being altered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import pymysql
from pymysql.constants import ER

from cdc.core.dataclass import dataclass
from cdc.core.errors import SourceConnectionError, SourceError, SourceRefusedError
from cdc.core.late_regex import late_regex
from cdc.core.record import Record, SourceContext
from cdc.core.row import Row
from cdc.core.table import TableId, TableSchema
from cdc.debezium.filters import Filters
from cdc.sources.mysql.ddl.structure import ColumnDef, Structures, TableStructure
from cdc.sources.shared.selection import captured_tables
from cdc.sources.shared.window_rows import WindowRows, signal_table_of
from cdc.sources.snapshot.background import Background
from cdc.sources.snapshot.chunk import (
    MARKED_PATIENCE_S,
    NO_PRIMARY_KEY,
    PATIENCE_S,
    UNKNOWN_SCHEMA,
    Chunk,
    ChunkRows,
    Plan,
    StructureChangedError,
    digest,
)
from cdc.sources.snapshot.copies import Copy, Key
from cdc.sources.snapshot.requests import expand

from . import catalog, connection
from .changes import ChangeReader
from .chunk_marks import Began, By, Marks, Shows, began, by
from .chunk_query import ChunkQuery, key_column
from .chunk_rows import ChunkParts, Fields
from .connection import Connection
from .errors import map_error
from .lookup import Lookup
from .native_text import NativeText, native_text
from .options import MySqlConfig
from .position import MySqlPosition
from .quoting import quoted, quoted_table
from .source_block import GTID, POS, ROW, TABLE, SourceBlock
from .tables import TableBuilder

_CLOSE_S: Final = 5.0
_CHANGED: Final = frozenset({ER.BAD_DB_ERROR, ER.BAD_FIELD_ERROR, ER.NO_SUCH_TABLE, 1412})
"""1412: ER_TABLE_DEF_CHANGED."""
_EVERYTHING: Final = (1 << 62, 0)
"""A place behind every log."""
_WHOLE_KEYS: Final = "SET SESSION max_sort_length = 262144, sort_buffer_size = 16777216"
"""A sort by a column without an index looks at whole texts, not at their first 1024 bytes. The buffer must hold some
15 of them."""
_COUNTER: Final = late_regex(r" AUTO_INCREMENT=\d+")


@dataclass(frozen=True)
class TablePlan:
    """How a table is read. *indexes*: the places of the fields in a row of *column_count*; the key's texts follow.
    *shape*: the CREATE statement. *known*: the structure by the stream. *successors*: as in `Structures`, when the plan
    was made. *made*: how often another table has taken the name since the copy began, and the order of rows; the
    creation time would differ after each ALTER TABLE, too."""

    table: TableSchema
    unique: bool
    identity: tuple[str, ...]
    chunk: ChunkQuery
    indexes: tuple[int, ...]
    column_count: int
    shape: str
    known: TableStructure | None
    successors: int
    made: str
    row_estimate: int


class MySqlChunks:
    """`incremental.ChunkReader` of one source. The callables give what a source has only once it streams: *changes* and
    *structures*; *position* is that of what went out so far. *watch* is told when a table begins or ends to be watched.
    `native`: whether C makes records of the rows of chunks (`NativeRows`)."""

    def __init__(self, config: MySqlConfig, lookup: Lookup, builder: TableBuilder, filters: Filters,
                 events: SourceBlock, *, changes: Callable[[], ChangeReader], structures: Callable[[], Structures],
                 position: Callable[[], MySqlPosition | None], watch: Callable[[TableId, bool], None]) -> None:
        self._config = config
        self._lookup = lookup
        self._builder = builder
        self._filters = filters
        self._events = events
        self._changes = changes
        self._structures = structures
        self._position = position
        self._watch = watch
        self._began: Began | None = None
        self._window: WindowRows | None = None
        self._closing: Record | None = None
        self._successors: dict[tuple[str, str], int] = {}
        self._conn: Connection | None = None
        self._text: NativeText | None = None
        self.native = False
        self._background: Background[Chunk] = Background("cdc-chunks")
        self._marks = Marks(signal_table=signal_table(config),
                            deletes=config.incremental_snapshot_watermarking_strategy == "INSERT_DELETE")

    # -- the task's thread ----------------------------------------------------------------------------------------

    def captured(self) -> list[TableId]:
        found = catalog.list_tables(self._lookup.connection(), self._filters.table)
        return [id for id in captured_tables(found, self._filters) if not self._filters.is_signal_table(id)]

    def names(self, patterns: Sequence[str]) -> list[str]:
        return expand(patterns, [str(id) for id in self.captured()])

    def plan(self, copy: Copy) -> TablePlan | str:
        database, _, name = copy.name.partition(".")
        id = TableId(database, "", name)
        if not self._filters.table(id):
            return UNKNOWN_SCHEMA
        structures = self._structures()
        successors = structures.successors(id)
        shape = _shape_of(self._lookup.connection(), id)
        found = catalog.read_table(self._lookup.connection(), self._lookup.facts, id, structures)
        if found is None or found[0].sequence:
            return UNKNOWN_SCHEMA
        structure = found[0]
        table = self._builder.build(structure)
        names = (copy.surrogate,) if copy.surrogate else tuple(each.name for each in table.key)
        if not names or (not table.key and not any(each.name in names for each in table.columns)):
            return NO_PRIMARY_KEY
        columns = []
        for each in names:
            column = structure.column(each)
            if column is None:
                raise SourceRefusedError(f"Table {copy.name} has no column {each} for surrogate-key.",
                                         hint="Name one of its columns.")
            columns.append(column)
        needed = {column.index for column in (*table.columns, *table.key)} or {0}
        selects = self._builder.selects(structure)
        indexes = tuple(index for index in range(len(structure.columns)) if index in needed)
        fields = ", ".join(selects[index].format(quoted(structure.columns[index].name)) for index in indexes)
        unique = bool(structure.key) and set(structure.key) <= {column.name for column in columns}
        chunk = ChunkQuery(fields, quoted_table(structure.id), tuple(map(key_column, columns)), copy.condition)
        if copy.condition is not None:
            connection.check_condition(self._lookup.connection(), copy.name, chunk.check(copy.condition))
        return TablePlan(table, unique, tuple(column.name for column in table.columns), chunk, indexes,
                         len(structure.columns), shape, structures.get(structure.id), successors,
                         f"{self._made(copy, successors)} {_order(structure, columns)}", self._estimate(structure.id))

    def _estimate(self, id: TableId) -> int:
        try:
            return catalog.row_estimates(self._lookup.connection(), [id]).get(id, -1)
        except SourceError:  # nothing depends on it
            return -1

    def _made(self, copy: Copy, successors: int) -> int:
        """Which table of this name it is, by the statements that the stream has read. A copy that an offset knows began
        before all that this stream has read; any other begins now."""
        begun = 0 if copy.upto is not None else successors
        before = self._successors.get((copy.id, copy.name), begun)
        self._successors[copy.id, copy.name] = successors
        number, counted, _ = copy.made.partition(" ")
        return (int(number) if counted else 0) + successors - before

    def release(self, plan: Plan) -> None:
        self._watch(plan.table.id, False)

    def begins(self, plan: Plan) -> None:
        self._watch(plan.table.id, True)
        self._began = began(self._changes().stream)

    def ask(self, plan: Plan, copy: Copy, rows: int, size_bytes: int) -> None:
        assert isinstance(plan, TablePlan)
        self._background.ask(lambda: self._read(plan, copy, rows, size_bytes))

    def answer(self, wait_s: float) -> Chunk | None:
        found = self._background.take(wait_s)
        if found is not None:
            self._window, self._closing = found.shows.window, None
        return found

    def forget(self) -> None:
        self._background.forget()

    def changed(self, plan: Plan) -> bool:
        assert isinstance(plan, TablePlan)
        structures = self._structures()
        if structures.successors(plan.table.id) != plan.successors:
            return True
        now = structures.get(plan.table.id)
        if now is plan.known or now == plan.known:
            return False
        if now is None:
            return True
        table = self._builder.build(now)
        return table.value_schema != plan.table.value_schema or table.key_schema != plan.table.key_schema

    def joins(self, chunk: Chunk) -> bool:
        shows: Shows = chunk.shows
        return self._began is None or self._began.shown_by(shows)

    def by(self, record: Record) -> By:
        return by(record)

    def sees(self, chunk: Chunk, by: By) -> bool:
        shows: Shows = chunk.shows
        return shows.sees(by)

    def reached(self, chunk: Chunk) -> bool:
        shows: Shows = chunk.shows
        position = self._position()
        return position is not None and shows.reached(position)

    def patience_s(self, chunk: Chunk) -> float:
        shows: Shows = chunk.shows
        return PATIENCE_S if shows.window is None else MARKED_PATIENCE_S

    def closes(self, record: Record) -> bool:
        if self._window is None or not self._filters.is_signal_table(record.table.id):
            return False
        if not self._window.closed_by(record):
            return False
        self._closing = record
        return True

    def finish(self) -> None:
        """Debezium writes one more window, without rows."""
        self._successors.clear()
        if signal_table(self._config) is not None:
            self._background.ask(self._empty_window)

    def context(self, plan: Plan) -> SourceContext:
        """The place in the log: that of the second mark's row, or where the stream is."""
        id = plan.table.id
        values = list(self._events.source_values(time.time_ns() // 1000, database=id.catalog, table=id.table,
                                                 snapshot="incremental"))
        if self._closing is not None:
            closing = self._closing.source.merged(self._closing.source_values)
            values[TABLE + 1:] = closing[TABLE + 1:]
        else:
            position = self._position()
            if position is not None:
                values[GTID + 1], values[POS], values[ROW] = position.file, position.pos, 0
        return SourceContext(self._events.source_schema, tuple(values), ())

    def close(self) -> None:
        self._background.forget()
        conn = self._conn
        if conn is not None:
            connection.interrupt(conn)
        self._background.ask(self._closed)
        self._background.close(_CLOSE_S)

    # -- the helper's thread --------------------------------------------------------------------------------------

    def _connection(self) -> Connection:
        if self._conn is None or not self._conn.open:
            self._conn = self._lookup.connect(query_timeout=False)
            connection.query(self._conn, _WHOLE_KEYS)
            self._text = native_text(self._conn) if self.native else None
        return self._conn

    def _lose(self) -> None:
        if self._conn is not None:
            connection.close(self._conn)
        self._conn = None

    def _closed(self) -> Chunk:
        self._lose()
        raise SourceConnectionError("The connector was stopped.")

    def _empty_window(self) -> Chunk:
        conn = self._connection()
        window = self._marks.write_open(conn)
        if window is not None:
            self._marks.high(conn, Shows(place=(0, 0)), window)
        raise SourceConnectionError("There is no chunk.")

    def _read(self, plan: TablePlan, copy: Copy, rows: int, size_bytes: int) -> Chunk:
        try:
            return self._chunk(self._connection(), plan, copy, rows, size_bytes)
        except BaseException as exc:
            self._lose()
            if isinstance(exc, pymysql.MySQLError):
                exc = map_error(exc)
            if isinstance(exc, UnicodeError):
                exc = SourceRefusedError("A key is no text, so a chunk cannot begin after it.", table=copy.name)
            if isinstance(exc, SourceError) and exc.context.get("errno") in _CHANGED and (
                    _shape_of(self._connection(), plan.table.id) != plan.shape or exc.context["errno"] == 1412):
                raise StructureChangedError from exc
            raise exc

    def _chunk(self, conn: Connection, plan: TablePlan, copy: Copy, rows: int, size_bytes: int) -> Chunk:
        facts = self._lookup.facts
        upto = copy.upto or self._greatest(conn, plan)
        if upto is None:
            return Chunk((), None, True, 0, Shows(place=_EVERYTHING))
        low = self._marks.low(conn, facts, by_gtid=self._began is None or self._began.gtids is not None)
        window = self._marks.write_open(conn)
        shows = self._marks.open(conn, facts, low)
        found, size, whole = self._rows(conn, plan, plan.chunk.rows(copy.after, upto, rows), rows, size_bytes)
        ended = whole and len(found) < rows
        before_last = -1
        if not plan.unique and not ended and found:
            (count,), = connection.query(conn, plan.chunk.count_before(copy.after, found[len(found) - 1][0]))
            before_last = int(count)
        elif not whole:
            self._lose()  # the rest is not wanted
            conn = self._connection()
        if _shape_of(conn, plan.table.id) != plan.shape:
            raise StructureChangedError
        if whole or not plan.unique:
            connection.query(conn, "COMMIT")
        return Chunk(found, upto, ended, size, self._marks.high(conn, shows, window), before_last)

    def _rows(self, conn: Connection, plan: TablePlan, select: str, limit: int,
              size_bytes: int) -> tuple[ChunkRows, int, bool]:
        """At most *limit* rows, their bytes, and whether these are all. If not, *conn* still has rows to give, but not
        where the key is not unique: there something else is asked for. Texts are in their columns' character sets."""
        fields = Fields(plan.indexes, plan.column_count, len(plan.chunk.key))
        rows: list[tuple[Key, Row]] = []
        size = 0
        connection.query(conn, connection.TEXTS_AS_STORED)
        connection.ask(conn, select)
        whole = True
        if self._text is not None:
            parts = ChunkParts(self._text, fields, plan.table)
            for part in self._text.blocks(fields.indexes, fields.width):
                if whole:
                    size += parts.add(part, size_bytes - size)
                    whole = size <= size_bytes or len(parts) >= limit
                if not whole and plan.unique:
                    return parts, size, False
            connection.query(conn, connection.TEXTS_AS_UTF8)
            return parts, size, whole
        for packet in connection.rows(conn):
            if whole:
                row = fields.row(packet)
                rows.append((fields.key(row), row))
                size += len(packet)
                whole = size <= size_bytes or len(rows) >= limit
            if not whole and plan.unique:
                return rows, size, False
        connection.query(conn, connection.TEXTS_AS_UTF8)
        return rows, size, whole

    def _greatest(self, conn: Connection, plan: TablePlan) -> Key | None:
        fields = Fields((), 0, len(plan.chunk.key))
        connection.query(conn, connection.TEXTS_AS_STORED)
        rows = [fields.key(fields.row(packet)) for packet in connection.packets(conn, plan.chunk.greatest())]
        connection.query(conn, connection.TEXTS_AS_UTF8)
        return rows[0] if rows else None


def signal_table(config: MySqlConfig) -> tuple[str, str] | None:
    """The database and name of the table that marks are written to; None if they are not."""
    return None if config.read_only else signal_table_of(config.signal_data_collection)


def _shape_of(conn: Connection, id: TableId) -> str:
    """The CREATE statement, without the counter that every insert changes; empty if the table does not exist."""
    try:
        rows = connection.query_bytes(conn, f"SHOW CREATE TABLE {quoted_table(id)}")
    except SourceError as exc:
        if exc.context.get("errno") in _CHANGED:
            return ""
        raise
    return _COUNTER.sub("", (rows[0][1] or b"").decode("utf-8", "replace"))


def _order(structure: TableStructure, columns: Sequence[ColumnDef]) -> str:
    """What the order by *columns* depends on, in short."""
    charsets = " ".join(filter(None, [key_column(each).charset for each in columns]))  # of keys that are kept as bytes
    return digest([(each.name, each.type_name, each.length, each.scale, each.charset,
                    each.collation or (structure.collation if each.is_character else None), each.enum_values)
                   for each in columns]) + (charsets and f" {charsets}")

