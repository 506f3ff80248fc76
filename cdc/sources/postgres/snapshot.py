"""The first consistent copy of the tables: one transaction, COPY, the stream's codecs.

All rows are as of one point of the log (`lsn`): everything that committed before it is in them, nothing that came
later, so a stream that starts there joins without gap or overlap. A snapshot cannot be resumed: until its last row is
delivered its offset says so, and a restart begins again.

What is read is a list of `Chunk`s, here one per table; a later version may cut tables into several and read them
in parallel, without anything else changing.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import pq, sql

from cdc.core.errors import SourceConnectionError, SourceRefusedError
from cdc.core.record import READ, Batch, Record, SourceContext
from cdc.core.row import Row
from cdc.core.schema import TableSchema
from cdc.log import get_logger
from cdc.sources.markers import marked

from .catalog import CatalogSnapshot, RelationCatalog
from .copytext import copy_row
from .events import Events
from .options import PostgresConfig
from .position import PostgresPosition
from .protocol import Relation, RelationColumn
from .server import connect, map_error
from .tables import TableBuilder

log = get_logger(__name__)

BATCH_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows to read: a table and the SELECT that gives them. Its fields are the row image's columns *indexes*."""

    table: TableSchema
    select: sql.Composable
    indexes: tuple[int, ...]
    column_count: int
    names: tuple[str, ...]
    """Of the columns that are read, for the check of privileges."""
    oid: int
    partitioned: bool


def snapshot_connection(config: PostgresConfig, snapshot: str | None) -> psycopg.Connection[Any]:
    """A connection with an open transaction that sees the database as of *snapshot* (None: as of now)."""
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
    """`snapshot.locking.mode=shared`: nobody may change a table's structure until its rows are read."""
    try:
        conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(timeout_ms)))
        for each in tables:
            table = sql.Identifier(each.namespace, each.name)
            conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(table))
    except psycopg.Error as exc:
        raise map_error(exc) from exc


def relation_of(catalog: RelationCatalog) -> Relation:
    """The Relation message that the table would have now, generated columns included."""
    return Relation(catalog.oid, catalog.namespace, catalog.name, catalog.replica_identity, tuple(
        RelationColumn(column.name, column.type_oid, column.typmod, column.name in catalog.identity_key)
        for column in catalog.columns))


def plan_chunks(catalog: CatalogSnapshot, builder: TableBuilder, tables: Sequence[RelationCatalog],
                overrides: dict[str, str], conn: psycopg.Connection[Any]) -> list[Chunk]:
    """One chunk for each table, in order."""
    chunks = []
    for each in tables:
        relation = relation_of(each)
        table = builder.build(relation, catalog)
        override = overrides.get(f"{each.namespace}.{each.name}") or overrides.get(
            f"{builder.database}.{each.namespace}.{each.name}")
        if override:
            chunks.append(_override_chunk(table, relation, each, override, conn))
        else:
            chunks.append(_table_chunk(table, each))
    return chunks


def _table_chunk(table: TableSchema, catalog: RelationCatalog) -> Chunk:
    needed = {column.index for column in (*table.columns, *table.key)}
    indexes = tuple(index for index in range(len(catalog.columns)) if index in needed)
    names = sql.SQL(", ").join(sql.Identifier(catalog.columns[index].name) for index in indexes)
    select = sql.SQL("SELECT {} FROM {}").format(names, sql.Identifier(catalog.namespace, catalog.name))
    return Chunk(table, select, indexes, len(catalog.columns), tuple(catalog.columns[index].name for index in indexes),
                 catalog.oid, catalog.kind == "p")


def _override_chunk(table: TableSchema, relation: Relation, catalog: RelationCatalog, override: str,
                    conn: psycopg.Connection[Any]) -> Chunk:
    """The user's SELECT; its columns are found by their names, those the table does not have are left out."""
    text = override.strip().rstrip(";")
    inner = sql.SQL("(") + sql.SQL(text) + sql.SQL(") AS q")
    try:
        cursor = conn.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(inner))
    except psycopg.Error as exc:
        raise map_error(exc) from exc
    places = {column.name: index for index, column in enumerate(relation.columns)}
    names = [each.name for each in cursor.description or () if each.name in places]
    select = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(map(sql.Identifier, names)), inner)
    return Chunk(table, select, tuple(places[name] for name in names), len(relation.columns), (),
                 catalog.oid, catalog.kind == "p")


class Snapshot:
    """Reads chunks on *conn*, whose open transaction sees the tables as of *lsn*. Not for several threads.

    `poll` gives batches until it returns None with `done` set; the last one carries *final*, the position to stream
    from. The marker of the last row is only known when no other follows, so one row is always held back.
    """

    def __init__(self, conn: psycopg.Connection[Any], chunks: Sequence[Chunk], events: Events, *, lsn: int,
                 final: PostgresPosition, max_records: int) -> None:
        self.conn = conn
        self.lsn = lsn
        self.final = final
        self.done = False
        self.table_count = len(chunks)
        self.remaining = len(chunks)
        self.row_count = 0
        self.started_at = time.time()
        self._events = events
        self._max_records = max_records
        self._during = PostgresPosition(end_lsn=lsn, snapshot="INITIAL", system_id=final.system_id,
                                        timeline=final.timeline)
        self._records = self._read(chunks)
        self._xid = self._current_xid()

    def poll(self, timeout: float) -> Batch | None:
        """The next rows; None when there were none within *timeout* seconds, or when it is `done`."""
        records: list[Any] = []
        counts: dict[tuple[str, str], int] = {}
        size = 0
        deadline = time.monotonic() + timeout
        while size < BATCH_BYTES and len(records) < self._max_records:
            item: Any = next(self._records, _END)
            if item is _END:
                self.done = True
                break
            if item is None:
                if time.monotonic() >= deadline:
                    break
                continue
            record, length = item
            records.append(record)
            size += length
            counter = (str(record.table.id), READ)
            counts[counter] = counts.get(counter, 0) + 1
        if not records and not self.done:
            return None
        return Batch(records, self.final if self.done else self._during, size, time.time_ns() // 1000, counts)

    def close(self) -> None:
        try:
            self.conn.close()
        except psycopg.Error:
            pass

    def _current_xid(self) -> int | None:
        try:
            return int(self.conn.execute("SELECT pg_catalog.txid_current_snapshot()::text").fetchall()[0][0]
                       .split(":")[1])
        except (psycopg.Error, ValueError, IndexError):
            return None

    def _read(self, chunks: Sequence[Chunk]) -> Iterator[Any]:
        """(record, size) in order, None where the server has nothing to give yet."""
        contexts: dict[tuple[int, str], SourceContext] = {}
        for item in marked(self._chunk_rows(chunks)):
            if item is None:
                yield None
                continue
            (chunk, time_us), row, marker = item
            context = contexts.get((id(chunk), marker))
            if context is None:
                table = chunk.table.id
                context = self._events.snapshot_context(table.schema, table.table, time_us, self._xid, marker, self.lsn)
                contexts[(id(chunk), marker)] = context
            yield Record(READ, chunk.table, None, row, row, context, ()), len(row.data)

    def _chunk_rows(self, chunks: Sequence[Chunk]) -> Iterator[tuple[tuple[Chunk, int], Row] | None]:
        """((chunk, the server's time when its reading began), row) in order, None as in `_read`."""
        for chunk in chunks:
            started = time.monotonic()
            rows = 0
            origin = (chunk, self._server_time_us())
            for row in self._rows(chunk):
                if row is None:
                    yield None
                    continue
                yield origin, row
                rows += 1
                self.row_count += 1
            if not rows or chunk.partitioned:
                self._check_kept(chunk)
            self.remaining -= 1
            log.info("snapshot_table_read", table=str(chunk.table.id), rows=rows,
                     seconds=round(time.monotonic() - started, 3))

    def _check_kept(self, chunk: Chunk) -> None:
        """A table that was rewritten since our point of the log looks empty to us, and the log does not tell its rows.

        The catalog as of our snapshot has its file of then, the function that of now; the lock of our COPY keeps it.
        A table stored anew by VACUUM FULL or CLUSTER still has its rows. Raises SourceConnectionError.
        PostgreSQL docs, "Concurrency Control", "Caveats".
        """
        query = sql.SQL("""\
SELECT 1 FROM pg_catalog.pg_class c
WHERE c.relkind = 'r' AND c.relfilenode <> pg_catalog.pg_relation_filenode(c.oid)
  AND (c.oid = {0} OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree({0}))) LIMIT 1""")
        try:
            found = self.conn.execute(query.format(sql.Literal(chunk.oid))).fetchall()
        except psycopg.Error as exc:
            raise map_error(exc) from exc
        if found:
            raise SourceConnectionError("A table was rewritten or emptied while the snapshot was read.",
                                        table=str(chunk.table.id), hint="The snapshot begins again.")

    def _server_time_us(self) -> int:
        query = "SELECT (extract(epoch FROM current_timestamp) * 1000000)::int8"
        try:
            return int(self.conn.execute(query).fetchall()[0][0])
        except psycopg.Error as exc:
            raise map_error(exc) from exc

    def _rows(self, chunk: Chunk) -> Iterator[Row | None]:
        """Rows of one chunk as COPY sends them. PGconn's blocking calls hold the interpreter lock; these do not."""
        pg = self.conn.pgconn
        command = sql.SQL("COPY ({}) TO STDOUT").format(chunk.select).as_bytes(self.conn)
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
            while True:
                count, data = pg.get_copy_data(1)
                if count > 0:
                    yield copy_row(bytes(data), chunk.indexes, chunk.column_count)
                elif count < 0:
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
                    return
                _expect(result, pq.ExecStatus.COMMAND_OK)
        except psycopg.Error as exc:
            raise map_error(exc) from exc
        except SourceRefusedError as exc:
            if exc.context.get("sqlstate") not in _UNDEFINED:
                raise
            raise SourceConnectionError("A table's structure changed while the snapshot was read.",
                                        table=str(chunk.table.id), hint="The snapshot begins again.") from exc


_END: Final = object()
_UNDEFINED: Final = frozenset({"42703", "42P01", "3F000"})
"""Column, table, schema: they were there when the snapshot was planned."""


def _expect(result: Any, status: pq.ExecStatus) -> None:
    if result is None:
        raise SourceConnectionError("the server ended the snapshot's COPY without a result")
    if result.status != status:
        raise map_error(psycopg.errors.error_from_result(result, encoding="utf-8"))
