"""The tables' rows for the first copy: one transaction, COPY, the stream's codecs. See `sources.snapshot.initial`."""

from __future__ import annotations

import select
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg
from psycopg import pq, sql

from cdc.core.errors import SourceConnectionError, SourceRefusedError
from cdc.core.record import SourceContext
from cdc.core.row import Row
from cdc.core.table import TableId, TableSchema
from cdc.log import get_logger
from cdc.sources.shared.selection import SnapshotSelection
from cdc.sources.snapshot.initial import Lines
from cdc.sources.snapshot.progress import Place

from .catalog import CatalogSnapshot, RelationCatalog, relation_of
from .chunks import Chunks
from .connection import connect, unchecked, users_search_path
from .copytext import copy_row
from .errors import map_error
from .moved import renamed_among, rewritten, rewritten_among
from .options import PostgresConfig
from .protocol import Relation
from .publication import Part
from .source_block import SourceBlock
from .tables import TableBuilder
from .waits import WaitWatch

log = get_logger(__name__)

_TOGETHER: Final = 100
_MOST_LINES: Final = 500
_LINES_BYTES: Final = 1 << 18
_SAVEPOINT: Final = sql.SQL("SAVEPOINT read")
_BACK: Final = sql.SQL("ROLLBACK TO SAVEPOINT read; RELEASE SAVEPOINT read")


@dataclass(frozen=True, slots=True)
class TableRead:
    """A table and the SELECT that gives its rows. The fields are the row image's columns *indexes*."""

    table: TableSchema
    select: sql.Composable
    indexes: tuple[int, ...]
    column_count: int
    names: tuple[str, ...]
    """The columns that are read, to check the user's privileges; empty for a configured SELECT."""
    oid: int
    partitioned: bool
    more: sql.SQL | None = None
    """What stands between the SELECT and a further condition; None if it must not have one."""


def snapshot_connection(config: PostgresConfig, snapshot: str | None) -> psycopg.Connection[Any]:
    """A connection with an open transaction that sees the database at *snapshot*, or at present if it is None."""
    conn = connect(config, query_timeout=False)
    try:
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if snapshot is not None:
            conn.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
    except psycopg.Error as exc:
        conn.close()
        raise map_error(exc) from exc
    return conn


def lock_tables(conn: psycopg.Connection[Any], tables: Sequence[RelationCatalog], timeout_ms: int) -> None:
    """`snapshot.locking.mode=shared`: lock *tables* so that nobody can alter them until their rows are read."""
    try:
        conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(timeout_ms)))
        for first in range(0, len(tables), _TOGETHER):
            names = sql.SQL(", ").join(sql.Identifier(each.namespace, each.name)
                                       for each in tables[first:first + _TOGETHER])
            conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))
    except psycopg.Error as exc:
        raise map_error(exc) from exc


class Plan:
    """The tables to copy, in their order, and the read of each. *parts*: what the publication has of some of them, by
    oid."""

    def __init__(self, catalog: CatalogSnapshot, builder: TableBuilder, tables: Sequence[RelationCatalog],
                 selection: SnapshotSelection, conn: psycopg.Connection[Any], parts: Mapping[int, Part]) -> None:
        self.tables = tables
        self._catalog = catalog
        self._builder = builder
        self._selection = selection
        self._conn = conn
        self._parts = parts
        for each in tables:
            _check_names(each)
            if self.override(each):
                self.read(each)  # a SELECT that the server does not understand is an error now, not in an hour
            part = parts.get(each.oid)
            if part is not None:
                log.info("snapshot_follows_publication", table=f"{each.namespace}.{each.name}",
                         columns=list(part.columns) or None, filtered=part.where is not None)

    def override(self, table: RelationCatalog) -> str | None:
        """The SELECT that is configured for the table's rows."""
        return self._selection.override(TableId(self._builder.database, table.namespace, table.name))

    def rows_of(self, table: RelationCatalog) -> sql.Composed:
        """FROM and WHERE of the rows to read. The rows of tables that inherit from it come in the stream under their
        own names, so they are only read with Debezium's faults."""
        inherited = self._builder.config.cdc_debezium_faults
        source = sql.SQL(" FROM {}" if table.kind == "p" or inherited else " FROM ONLY {}").format(
            sql.Identifier(table.namespace, table.name))
        where = self._parts.get(table.oid, _WHOLE).where
        return source if where is None else source + sql.SQL(" WHERE (") + sql.SQL(where) + sql.SQL(")")

    def read(self, table: RelationCatalog) -> TableRead:
        part = self._parts.get(table.oid, _WHOLE)
        each = table
        if part.columns:
            each = replace(each, columns=tuple(column for column in each.columns if column.name in part.columns))
        relation = relation_of(each)
        schema = self._builder.build(relation, self._catalog)
        override = self.override(table)
        if override:
            return _override_read(schema, relation, each, override, self._conn)
        needed = {column.index for column in (*schema.columns, *schema.key)}
        indexes = tuple(index for index in range(len(each.columns)) if index in needed)
        names = tuple(each.columns[index].name for index in indexes)
        select = sql.SQL("SELECT ") + sql.SQL(", ").join(map(sql.Identifier, names)) + self.rows_of(each)
        return TableRead(schema, select, indexes, len(each.columns), names, each.oid, each.kind == "p",
                         sql.SQL(" WHERE " if part.where is None else " AND ") if each.kind == "r" else None)


_WHOLE: Final = Part((), None)


def _check_names(table: RelationCatalog) -> None:
    """In a database of the encoding SQL_ASCII a name can be any bytes, but our statements are UTF-8."""
    for name in (table.namespace, table.name, *(column.name for column in table.columns)):
        if "\ufffd" in name:
            raise SourceRefusedError(
                f"A name of table {table.namespace}.{table.name} is no UTF-8, so a snapshot cannot read the table.",
                name=name, hint="Rename it, or take the table out of the lists.")


def _override_read(table: TableSchema, relation: Relation, catalog: RelationCatalog, override: str,
                    conn: psycopg.Connection[Any]) -> TableRead:
    """A read of the configured SELECT *override*. Its columns are matched by name with those of the table; others are
    left out."""
    inner = sql.SQL("(") + sql.SQL(override) + sql.SQL(") AS q")
    try:
        with users_search_path(conn):
            cursor = conn.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(inner))
    except psycopg.Error as exc:
        raise map_error(exc) from exc
    places = {column.name: index for index, column in enumerate(relation.columns)}
    names = [each.name for each in cursor.description or () if each.name in places]
    select = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(map(sql.Identifier, names)), inner)
    return TableRead(table, select, tuple(places[name] for name in names), len(relation.columns), (),
                 catalog.oid, catalog.kind == "p")


class CopyReader:
    """Reads tables by COPY (`initial.TableReader`). The open transaction of *conn* sees them at *lsn*."""

    def __init__(self, conn: psycopg.Connection[Any], plan: Plan, block: SourceBlock, lsn: int, waits: WaitWatch,
                 chunks: Chunks, *, gives_lines: bool = False) -> None:
        """*waits* watches *conn*, and is stopped with it. *gives_lines*: whoever takes the rows has a `NativeRows`."""
        self._conn = conn
        self._plan = plan
        self._block = block
        self._lsn = lsn
        self._waits = waits
        self._gives_lines = gives_lines
        self._chunks = chunks
        self._time_us = 0
        self._xid: int | None = None

    def begin(self) -> None:
        """Read what the source blocks need: the time when the transaction began, and the next transaction id."""
        query = "SELECT (extract(epoch FROM current_timestamp) * 1000000)::int8"
        try:
            self._time_us = int(self._conn.execute(query).fetchall()[0][0])
        except psycopg.Error as exc:
            raise map_error(exc) from exc
        self._xid = self._current_xid()

    def context(self, read: TableRead, marker: str) -> SourceContext:
        id = read.table.id
        return self._block.snapshot_context(id.schema, id.table, self._time_us, self._xid, marker, self._lsn)

    def close(self) -> None:
        self._waits.stop()
        try:
            self._conn.close()
        except psycopg.Error:
            pass

    def reads(self, tables: Sequence[RelationCatalog]) -> Iterator[TableRead | int | None]:
        """Of more than a hundred tables, one question tells which of the next hundred have rows.

        The server has room for some 6,400 locks unless configured, and each table and index that we look at takes one
        until the transaction ends, or until it is rolled back to a savepoint.
        """
        for first in range(0, len(tables), _TOGETHER):
            some = tables[first:first + _TOGETHER]
            empty: set[int] = set()
            if len(tables) > _TOGETHER:
                yield from self._ask(_SAVEPOINT)
                empty = yield from self._empty([each for each in some
                                                if each.kind == "r" and not self._plan.override(each)])
                yield from self._ask(_BACK)
                yield len(empty)
            for each in some:
                if each.oid not in empty:
                    yield from self._ask(_SAVEPOINT)
                    yield self._plan.read(each)
                    yield from self._ask(_BACK)

    def _empty(self, tables: Sequence[RelationCatalog]) -> Generator[None, None, set[int]]:
        """The oids of those of *tables* that have no rows. Raises SourceConnectionError if one of them was rewritten
        since our point of the log."""
        if not tables:
            return set()
        one = sql.SQL("SELECT {} WHERE NOT EXISTS (SELECT{})")
        rows = yield from self._ask(sql.SQL(" UNION ALL ").join(
            one.format(sql.Literal(each.oid), self._plan.rows_of(each)) for each in tables))
        empty = {int(oid) for oid, in rows}
        lost = yield from self._ask(rewritten_among(empty))
        if lost:
            raise _rewritten(next(f"{each.namespace}.{each.name}" for each in tables if each.oid == int(lost[0][0])))
        other = yield from self._ask(renamed_among((each.oid, each.namespace, each.name) for each in tables))
        if other:
            raise _renamed(other[0][0].decode())
        return empty

    def _ask(self, query: sql.Composable) -> Generator[None, None, list[tuple[bytes, ...]]]:
        """The rows of *query*; None while the server does not answer."""
        pg = self._conn.pgconn
        poller = select.poll()
        poller.register(pg.socket, select.POLLIN)
        rows: list[tuple[bytes, ...]] = []
        try:
            pg.send_query(query.as_bytes(self._conn))
            while pg.flush():
                poller.poll(50)
            while True:
                while pg.is_busy():
                    if not poller.poll(100):
                        yield None
                    pg.consume_input()
                result = pg.get_result()
                if result is None:
                    return rows
                if result.status != pq.ExecStatus.COMMAND_OK:
                    _expect(result, pq.ExecStatus.TUPLES_OK)
                rows += [tuple(result.get_value(row, column) or b"" for column in range(result.nfields))
                         for row in range(result.ntuples)]
        except psycopg.Error as exc:
            raise map_error(exc) from exc
        except SourceRefusedError as exc:
            if exc.context.get("sqlstate") not in _UNDEFINED:
                raise
            raise SourceConnectionError("A table's structure was changed while the snapshot was taken.",
                                        reason=exc.message, hint="The snapshot begins again.") from exc

    def rows(self, read: TableRead, after: Place | None) -> Iterator[Row | Lines | Place | None]:
        """Raises SourceConnectionError when the table was rewritten or altered since our point of the log."""
        found_rows = False
        if read.more is None:
            with nullcontext() if read.names else users_search_path(self._conn):
                found_rows = yield from self._copy(read, read.select)
        else:
            if after is not None:
                yield from self._ask(read.select + read.more + sql.SQL("false"))  # its lock keeps the file as it is
            extent = self._chunks.extent((yield from self._ask(self._chunks.question(read.oid))))
            for where, place in extent.after(after):
                found_rows |= yield from self._copy(read, read.select + read.more + where if where else read.select)
                if place is not None:
                    yield place
        if not found_rows or read.partitioned:
            self._check_kept(read)
        id = read.table.id
        if read.names and (yield from self._ask(renamed_among([(read.oid, id.schema, id.table)]))):
            raise _renamed(str(id))

    def _current_xid(self) -> int | None:
        try:
            return int(self._conn.execute("SELECT pg_catalog.txid_current_snapshot()::text").fetchall()[0][0]
                       .split(":")[1])
        except (psycopg.Error, ValueError, IndexError):
            return None

    def _check_kept(self, read: TableRead) -> None:
        """Check that the table was not rewritten since our point of the log. A rewritten table looks empty to our
        transaction, and the log does not have its rows. Raises SourceConnectionError.

        In our transaction pg_class shows the table's former file; pg_relation_filenode() shows the present one, which
        the lock of our COPY protects from further changes. After VACUUM FULL and CLUSTER the files differ too, but then
        the rows are visible. PostgreSQL docs, "Concurrency Control", "Caveats".
        """
        try:
            found = self._conn.execute(rewritten(read.oid, read.partitioned)).fetchall()
        except psycopg.Error as exc:
            raise map_error(exc) from exc
        if found:
            raise _rewritten(str(read.table.id))

    def _copy(self, read: TableRead, query: sql.Composable) -> Generator[Row | Lines | None, None, bool]:
        """Rows as COPY sends them; returns whether there were any.

        PGconn's blocking calls hold the interpreter lock, so only the others are used.
        """
        pg = self._conn.pgconn
        options = " (ENCODING 'SQL_ASCII')" if unchecked(self._conn) else ""
        command = (sql.SQL("COPY ({}) TO STDOUT").format(query) + sql.SQL(options)).as_bytes(self._conn)
        poller = select.poll()
        poller.register(pg.socket, select.POLLIN)
        try:
            pg.send_query(command)
            while pg.flush():
                poller.poll(50)
            while pg.is_busy():
                if not poller.poll(100):
                    yield None
                pg.consume_input()
            _expect(pg.get_result(), pq.ExecStatus.COPY_OUT)
            found = False
            held = _HeldLines()
            while True:
                count, data = pg.get_copy_data(1)
                if count > 0:
                    if not found or not self._gives_lines:
                        yield copy_row(bytes(data), read.indexes, read.column_count)
                    elif held.add(bytes(data)):
                        yield held.take()
                    found = True
                elif count < 0:
                    if len(held.rows) > 1:
                        yield held.take()
                    if held.rows:
                        yield copy_row(held.rows[0], read.indexes, read.column_count)
                    break
                else:
                    if not poller.poll(100):
                        yield None
                    pg.consume_input()
            while True:
                while pg.is_busy():
                    poller.poll(100)
                    pg.consume_input()
                result = pg.get_result()
                if result is None:
                    return found
                _expect(result, pq.ExecStatus.COMMAND_OK)
        except psycopg.Error as exc:
            raise map_error(exc) from exc
        except SourceRefusedError as exc:
            if exc.context.get("sqlstate") not in _UNDEFINED:
                raise
            raise SourceConnectionError("A table's structure was changed while the snapshot was taken.",
                                        table=str(read.table.id), hint="The snapshot begins again.") from exc


class _HeldLines:
    """Lines between the first and the last row of a table; the last line may be the last row, so it stays."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self._size_bytes = 0

    def add(self, line: bytes) -> bool:
        """Whether so many are held that they should be taken."""
        self.rows.append(line)
        self._size_bytes += len(line)
        return len(self.rows) > _MOST_LINES or (self._size_bytes > _LINES_BYTES and len(self.rows) > 1)

    def take(self) -> Lines:
        """All but the last."""
        last = self.rows.pop()
        taken = Lines(self.rows, self._size_bytes - len(last))
        self.rows, self._size_bytes = [last], len(last)
        return taken


def _rewritten(table: str) -> SourceConnectionError:
    return SourceConnectionError("A table was rewritten or emptied while the snapshot was taken.", table=table,
                                 hint="The snapshot begins again.")


def _renamed(table: str) -> SourceConnectionError:
    return SourceConnectionError("A table was renamed while the snapshot was taken, and another one took its name.",
                                 table=table, hint="The snapshot begins again.")


_UNDEFINED: Final = frozenset({"42703", "42P01", "3F000"})
"""SQLSTATEs of an undefined column, table and schema. All existed when the snapshot was planned."""


def _expect(result: Any, status: pq.ExecStatus) -> None:
    if result is None:
        raise SourceConnectionError("The server ended the snapshot's COPY without a result.")
    if result.status != status:
        raise map_error(psycopg.errors.error_from_result(result, encoding="utf-8"))
