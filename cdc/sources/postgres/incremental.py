"""PostgreSQL's side of snapshots beside the stream (`sources.snapshot.incremental`): chunks by COPY.

Each chunk has a transaction of its own, whose first statement locks the table (ACCESS SHARE), so that what follows sees
the table as it is: not altered, rewritten or emptied in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from cdc.core.dataclass import dataclass
from cdc.core.errors import SourceConnectionError, SourceError, SourceRefusedError
from cdc.core.record import Record, SourceContext
from cdc.core.row import Row
from cdc.core.table import TableId, TableSchema
from cdc.debezium.filters import Filters
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

from .catalog import read_catalog, relation_of
from .changes import ChangeReader
from .chunk_marks import Marks, Shows, look
from .chunk_query import ChunkQuery
from .comparisons import own_comparisons
from .connection import Connection, check_condition, connect, interrupt, query, users_search_path
from .copy_lines import copy_lines
from .copytext import copy_row
from .errors import map_error
from .lookup import Lookup
from .native_copy import ChunkLines, key_of
from .options import PostgresConfig
from .publication import published_parts
from .relations import RelationState
from .source_block import LSN, SEQUENCE, XID, SourceBlock
from .tables import TableBuilder

_CLOSE_S: Final = 5.0
_CHANGED: Final = frozenset({"42703", "42P01", "3F000"})
"""SQLSTATEs of an undefined column, table and schema."""


@dataclass(frozen=True)
class TablePlan:
    """How a table is read. *indexes*: the places of the SELECT's columns in a row of *column_count*; *key_indexes*:
    those of the columns to go by. *shape*: what differs after the structure was changed. *state*: what the stream knew
    of the table."""

    table: TableSchema
    unique: bool
    identity: tuple[str, ...]
    oid: int
    chunk: ChunkQuery
    indexes: tuple[int, ...]
    key_indexes: tuple[int, ...]
    column_count: int
    shape: str
    state: RelationState | None
    made: str
    row_estimate: int


class PostgresChunks:
    """`incremental.ChunkReader` of one source. *position*: `end_lsn` of what went out so far. *watch* is told a table's
    oid when it begins or ends to be watched. `native`: whether C reads the rows of chunks (`NativeChanges`)."""

    def __init__(self, config: PostgresConfig, lookup: Lookup, builder: TableBuilder, filters: Filters,
                 changes: ChangeReader, events: SourceBlock, *, position: Callable[[], int],
                 watch: Callable[[int, bool], None]) -> None:
        self._config = config
        self._lookup = lookup
        self._builder = builder
        self._filters = filters
        self._changes = changes
        self._events = events
        self._position = position
        self._watch = watch
        self.native = False
        self._conn: Connection | None = None
        self._begins = True
        self._window: WindowRows | None = None
        self._closing: Record | None = None
        self._background: Background[Chunk] = Background("cdc-chunks")
        self._marks = Marks(signal_table=signal_table(config), read_only=config.read_only,
                            deletes=config.incremental_snapshot_watermarking_strategy == "INSERT_DELETE")

    # -- the task's thread ----------------------------------------------------------------------------------------

    def captured(self) -> list[TableId]:
        rows = query(self._lookup.connection(), _NAMES)
        ids = [TableId(self._config.database_dbname, str(schema), str(name)) for schema, name in rows]
        return [id for id in captured_tables(ids, self._filters) if not self._filters.is_signal_table(id)]

    def names(self, patterns: Sequence[str]) -> list[str]:
        return expand(patterns, [str(id) for id in self.captured()])

    def plan(self, copy: Copy) -> TablePlan | str:
        conn = self._lookup.connection()
        found = [(int(oid), TableId(self._config.database_dbname, str(schema), str(name)))
                 for oid, schema, name in query(conn, _NAMED, copy.name)]
        found = [each for each in found if self._filters.table(each[1])]
        if not found:
            return UNKNOWN_SCHEMA
        oid, _ = found[0]
        shape = _shape(conn, oid)
        catalog = read_catalog(conn, [oid])
        relation = self._builder.relation_in(catalog, oid)
        if relation is None:
            return UNKNOWN_SCHEMA
        part = published_parts(conn, self._config.publication_name, [oid]).get(oid)
        described = relation_of(relation)
        table = self._builder.build(described, catalog)
        state = self._changes.relations.states.get(oid)
        if state is not None and state.table is not None and state.table.value_schema == table.value_schema and [
                each.name for each in state.relation.columns] == [each.name for each in described.columns]:
            table = state.table
        names = (copy.surrogate,) if copy.surrogate else tuple(each.name for each in table.key)
        columns = [each.name for each in relation.columns]
        if not names:
            return NO_PRIMARY_KEY
        for name in names:
            if name not in columns:
                raise SourceRefusedError(f"Table {copy.name} has no column {name} for surrogate-key.",
                                         hint="Name one of its columns.")
        if not table.key and not any(each.name in names for each in table.columns):
            return NO_PRIMARY_KEY
        published = set(part.columns) if part is not None and part.columns else set(columns)
        needed = {column.name for column in (*table.columns, *table.key)} & published | set(names)
        indexes = tuple(index for index, name in enumerate(columns) if name in needed)
        select = sql.SQL("SELECT ") + sql.SQL(", ").join(sql.Identifier(columns[index]) for index in indexes)
        inherits = relation.kind == "p" or self._config.cdc_debezium_faults
        source = sql.SQL(" FROM {}" if inherits else " FROM ONLY {}").format(
            sql.Identifier(relation.namespace, relation.name))
        where = part.where if part is not None else None
        if where is not None:
            source += sql.SQL(" WHERE (") + sql.SQL(where) + sql.SQL(")")
        nullable = {each.name: each.nullable for each in relation.columns}
        own = relation.primary_key or relation.unique_key
        unique = bool(own) and set(own) <= set(names) and not any(nullable[each] for each in own)
        chunk = ChunkQuery(select, source, where is not None, tuple((name, nullable[name]) for name in names),
                           copy.condition, own_comparisons(conn, oid, names))
        if copy.condition is not None:
            check_condition(conn, copy.name, chunk.check(copy.condition))
        return TablePlan(table, unique, tuple(each.name for each in table.columns), oid, chunk, indexes,
                         tuple(columns.index(name) for name in names), len(columns), shape, state,
                         f"{oid} {_order(conn, oid, names)}", relation.row_estimate)

    def release(self, plan: Plan) -> None:
        assert isinstance(plan, TablePlan)
        self._watch(plan.oid, False)

    def begins(self, plan: Plan) -> None:
        assert isinstance(plan, TablePlan)
        self._watch(plan.oid, True)
        self._begins = True

    def ask(self, plan: Plan, copy: Copy, rows: int, size_bytes: int) -> None:
        assert isinstance(plan, TablePlan)
        begins, self._begins = self._begins, False
        self._background.ask(lambda: self._read(plan, copy, rows, size_bytes, begins=begins))

    def answer(self, wait_s: float) -> Chunk | None:
        found = self._background.take(wait_s)
        if found is not None:
            self._window, self._closing = found.shows.window, None
        return found

    def forget(self) -> None:
        self._background.forget()
        self._begins = True

    def changed(self, plan: Plan) -> bool:
        """The log describes a table before its next change. What it describes then may be what we have read."""
        assert isinstance(plan, TablePlan)
        state = self._changes.relations.states.get(plan.oid)
        if state is plan.state or state is None or state.table is None:
            return False
        return bool(state.table.value_schema != plan.table.value_schema
                    or [each.name for each in state.table.key] != [each.name for each in plan.table.key])

    def joins(self, chunk: Chunk) -> bool:
        shows: Shows = chunk.shows
        return shows.joined

    def by(self, record: Record) -> int | None:
        found: int | None = record.source.values[XID]
        return found

    def sees(self, chunk: Chunk, by: int | None) -> bool:
        shows: Shows = chunk.shows
        return by is not None and shows.seen.sees(by)

    def reached(self, chunk: Chunk) -> bool:
        shows: Shows = chunk.shows
        return self._position() >= shows.high_lsn

    def patience_s(self, chunk: Chunk) -> float:
        """Without a mark of ours, the server may not say how far an idle log is."""
        shows: Shows = chunk.shows
        return MARKED_PATIENCE_S if shows.window is not None else PATIENCE_S if self._marks.writes else 0.1

    def closes(self, record: Record) -> bool:
        if self._window is None or not self._filters.is_signal_table(record.table.id):
            return False
        if not self._window.closed_by(record):
            return False
        self._closing = record
        return True

    def finish(self) -> None:
        """Debezium writes one more window, without rows."""
        if signal_table(self._config) is not None and not self._config.read_only:
            self._background.ask(self._empty_window)

    def context(self, plan: Plan) -> SourceContext:
        stream = self._changes.stream
        id = plan.table.id
        values = list(self._events.source_values(time.time_ns() // 1000, schema=id.schema, table=id.table,
                                                 snapshot="incremental"))
        if self._closing is not None:
            values[SEQUENCE] = self._closing.source.merged(self._closing.source_values)[SEQUENCE]
        else:
            head = f'"{stream.commit_lsn}"' if stream.commit_lsn else "null"
            values[SEQUENCE] = f'[{head},"{stream.last_lsn}"]'
        values[LSN] = None
        return SourceContext(self._events.source_schema, tuple(values), ())

    def close(self) -> None:
        self._background.forget()
        interrupt(self._conn)
        self._background.ask(self._closed)
        self._background.close(_CLOSE_S)

    # -- the helper's thread --------------------------------------------------------------------------------------

    def _connection(self) -> Connection:
        if self._conn is None or self._conn.closed or self._conn.broken:
            self._conn = connect(self._config, application_name="cdc-snapshot", query_timeout=False)
        return self._conn

    def _closed(self) -> Chunk:
        if self._conn is not None:
            self._conn.close()
        raise SourceConnectionError("The connector was stopped.")

    def _empty_window(self) -> Chunk:
        conn = self._connection()
        self._marks.close(conn, self._marks.open(conn))
        raise SourceConnectionError("There is no chunk.")

    def _read(self, plan: TablePlan, copy: Copy, rows: int, size_bytes: int, *, begins: bool) -> Chunk:
        try:
            return self._chunk(self._connection(), plan, copy, rows, size_bytes, begins=begins)
        except BaseException as exc:
            if self._conn is not None:
                self._conn.close()
            if isinstance(exc, psycopg.Error):
                exc = map_error(exc)
            if isinstance(exc, UnicodeError):
                exc = SourceRefusedError("A key is no UTF-8, so a chunk cannot begin after it.", table=copy.name)
            if isinstance(exc, SourceError) and exc.context.get("sqlstate") in _CHANGED and (
                    _shape(self._connection(), plan.oid) != plan.shape):  # else the condition names what is not there
                raise StructureChangedError from exc
            raise exc

    def _chunk(self, conn: Connection, plan: TablePlan, copy: Copy, rows: int, size_bytes: int, *,
               begins: bool) -> Chunk:
        if begins:
            self._marks.begins()
        self._marks.settle(conn)
        upto = copy.upto or self._greatest(conn, plan)
        if upto is None:
            return Chunk((), None, True, 0, Shows(look(conn), True, 0, None))
        window = self._marks.open(conn)
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        id = plan.table.id
        conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.Identifier(id.schema, id.table)))
        seen = look(conn)
        if _shape(conn, plan.oid) != plan.shape:
            conn.execute("ROLLBACK")
            raise StructureChangedError
        found, size, whole = self._copy(conn, plan, copy, plan.chunk.rows(copy.after, upto, rows), size_bytes)
        ended = whole and len(found) < rows
        before_last = -1
        if not plan.unique and not ended and found:
            (count,), = self._asked(conn, plan, plan.chunk.count_before(copy.after, found[len(found) - 1][0]))
            before_last = int(count)
        conn = self._connection()  # the other one was closed if the rest of the rows was not wanted
        if whole or not plan.unique:
            conn.execute("COMMIT")
        high_lsn = self._marks.close(conn, window)
        joined = self._marks.joined(seen, copy.name)
        return Chunk(found, upto, ended, size, Shows(seen, joined, high_lsn, window), before_last)

    def _greatest(self, conn: Connection, plan: TablePlan) -> Key | None:
        found = self._asked(conn, plan, plan.chunk.greatest())
        return tuple(None if each is None else str(each) for each in found[0]) if found else None

    def _asked(self, conn: Connection, plan: TablePlan, text: sql.Composed) -> list[tuple[Any, ...]]:
        if plan.chunk.condition is None:
            return query(conn, text)
        with users_search_path(conn):
            return query(conn, text)

    def _copy(self, conn: Connection, plan: TablePlan, copy: Copy, select: sql.Composed,
              size_bytes: int) -> tuple[ChunkRows, int, bool]:
        """The rows, their bytes, and whether these are all. If not, *conn* is closed, but not where the key is not
        unique: there something else is asked for."""
        if copy.condition is None:
            return self._copied(conn, plan, select, size_bytes)
        with users_search_path(conn):
            return self._copied(conn, plan, select, size_bytes)

    def _copied(self, conn: Connection, plan: TablePlan, select: sql.Composed,
                size_bytes: int) -> tuple[ChunkRows, int, bool]:
        lines: list[bytes] = []
        rows: list[tuple[Key, Row]] = []
        size, whole = 0, True
        for line in copy_lines(conn, select):
            if not whole:
                continue
            if self.native:
                lines.append(line)
            else:
                row = copy_row(line, plan.indexes, plan.column_count)
                rows.append((key_of(plan, row), row))
            size += len(line)
            whole = size <= size_bytes
            if not whole and plan.unique:
                conn.close()
                break
        return ChunkLines(lines, plan) if self.native else rows, size, whole


def signal_table(config: PostgresConfig) -> tuple[str, str] | None:
    """The schema and name of the table that marks are written to; None if they are not."""
    return None if config.read_only else signal_table_of(config.signal_data_collection)


def _shape(conn: Connection, oid: int) -> str:
    """What differs after the structure or the name of table *oid* was changed; empty if it does not exist."""
    rows = query(conn, _SHAPE, oid)
    return str(rows[0][0]) if rows else ""


def _order(conn: Connection, oid: int, names: Sequence[str]) -> str:
    """What the order by columns *names* of table *oid* depends on, in short."""
    found = {str(name): (int(type), int(collation)) for name, type, collation in query(conn, _ORDER, oid)}
    return digest([(name, found.get(name)) for name in names])


_NAMES: Final = """\
SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 1, 2"""

_NAMED: Final = """\
SELECT c.oid::int8, n.nspname::text, c.relname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname || '.' || c.relname = %s"""

_SHAPE: Final = """\
SELECT n.nspname || '.' || c.relname || pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat_ws(
    ',', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull, a.attisdropped), ';'
    ORDER BY a.attnum)) || coalesce((
        SELECT pg_catalog.string_agg(i.indkey::text, ';' ORDER BY i.indexrelid) FROM pg_catalog.pg_index i
        WHERE i.indrelid = c.oid AND i.indisunique), '')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.oid = %s::int8::oid GROUP BY c.oid, n.nspname, c.relname"""

_ORDER: Final = """\
SELECT attname::text, atttypid::int8, attcollation::int8 FROM pg_catalog.pg_attribute
WHERE attrelid = %s::int8::oid AND attnum > 0 AND NOT attisdropped"""
