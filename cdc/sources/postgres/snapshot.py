"""The tables' rows for the first copy: COPY, and the stream's codecs. See `sources.snapshot.initial`."""

from __future__ import annotations

import select
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, Final

import psycopg
from psycopg import pq, sql

from cdc.core.errors import SourceConnectionError, SourceRefusedError
from cdc.core.record import SourceContext
from cdc.core.row import Row
from cdc.core.table import TableId
from cdc.sources.snapshot.initial import Lines
from cdc.sources.snapshot.progress import Place

from .catalog import RelationCatalog
from .chunks import Blocks, Chunks
from .connection import unchecked, users_search_path
from .copytext import copy_row
from .errors import map_error
from .moved import renamed_among, rewritten, rewritten_among
from .snapshot_plan import Plan, TableRead, export_snapshot
from .source_block import SourceBlock

_MOST_LINES: Final = 500
_LINES_BYTES: Final = 1 << 18
_SAVEPOINT: Final = sql.SQL("SAVEPOINT read")
_NOTHING: Final = sql.SQL("false")
_BACK: Final = sql.SQL("ROLLBACK TO SAVEPOINT read; RELEASE SAVEPOINT read")


class CopyReader:
    """Reads ranges by COPY (`initial.TableReader`). The open transaction of *conn* sees the tables at *lsn*.

    While it reads a table it holds a lock of it, so that the table keeps its file.
    """

    def __init__(self, conn: psycopg.Connection[Any], plan: Plan, block: SourceBlock, lsn: int, chunks: Chunks, *,
                 gives_lines: bool = False, fewest: Callable[[TableId], int] = lambda id: 1) -> None:
        """*gives_lines*: whoever takes the rows has a `NativeRows`. *fewest*: how many ranges a table has at least, if
        there are several readers."""
        self._conn = conn
        self._plan = plan
        self._block = block
        self._lsn = lsn
        self._gives_lines = gives_lines
        self._chunks = chunks
        self._fewest = fewest
        self._time_us = 0
        self._xid: int | None = None
        self._inside: TableRead | None = None
        self._stopping = False

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

    def export(self) -> str:
        """As `export_snapshot`. Before anything is read."""
        return export_snapshot(self._conn)

    def alive(self) -> bool:
        try:
            self._conn.execute("SELECT")
        except psycopg.errors.InFailedSqlTransaction:
            return True
        except psycopg.Error:
            return False
        return True

    def interrupt(self) -> None:
        self._stopping = True  # no wait is longer than a moment

    def close(self) -> None:
        try:
            self._conn.close()
        except psycopg.Error:
            pass

    def reads(self, tables: Sequence[RelationCatalog], *, several: bool) -> Iterator[TableRead | int | None]:
        """One question tells which of *tables* have rows.

        The server has room for some 6,400 locks unless configured, and each table and index that we look at takes one
        until the transaction ends, or until it is rolled back to a savepoint.
        """
        empty: set[int] = set()
        if several:
            yield from self._leave()
            yield from self._ask(_SAVEPOINT)
            empty = yield from self._empty([each for each in tables
                                            if each.kind == "r" and not self._plan.override(each)])
            yield from self._ask(_BACK)
        for each in tables:
            yield 1 if each.oid in empty else self._plan.read(each)

    def ranges(self, read: TableRead, after: Place | None) -> Generator[None, None, Sequence[Blocks]]:
        yield from self._enter(read)
        if read.more is None:
            return [Blocks()]
        fewest = self._fewest(read.table.id)
        extent = self._chunks.extent((yield from self._ask(self._chunks.question(read.oid))), fewest)
        return extent.after(after, several=fewest > 1)

    def divided(self, read: TableRead, range: Blocks) -> Generator[None, None, Sequence[Blocks]]:
        yield from ()
        return []

    def _enter(self, read: TableRead, file: int = 0) -> Generator[None, None, None]:
        """Lock the table of *read*, and no other. Raises SourceConnectionError if its name leads to another table by
        now, or if its rows are not in *file* any more."""
        if self._inside is read:
            return
        yield from self._leave()
        self._inside = read
        if read.more is None:
            yield from self._ask(_SAVEPOINT)
            return
        id = read.table.id
        lock = read.select + read.more + _NOTHING
        renamed = renamed_among([(read.oid, id.schema, id.table)])
        if read.users_sql:  # the savepoint keeps our own path
            yield from self._ask(_SAVEPOINT)
            with users_search_path(self._conn):
                yield from self._ask(lock)
            found = yield from self._ask(renamed)
        else:
            found = yield from self._ask(sql.SQL("; ").join([_SAVEPOINT, lock, renamed]))
        if found:
            raise _renamed(str(id))
        if file and (yield from self._ask(self._chunks.question(read.oid)))[0][0] != str(file).encode():
            raise _rewritten(str(id))

    def _leave(self) -> Generator[None, None, None]:
        if self._inside is not None:
            yield from self._ask(_BACK)
            self._inside = None

    def _empty(self, tables: Sequence[RelationCatalog]) -> Generator[None, None, set[int]]:
        """The oids of those of *tables* that have no rows. Raises SourceConnectionError if one of them was rewritten
        since our point of the log."""
        if not tables:
            return set()
        one = sql.SQL("SELECT {} WHERE NOT EXISTS (SELECT{})")
        with users_search_path(self._conn) if self._plan.has_conditions() else nullcontext():
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
                    self._check_stop()
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

    def rows(self, read: TableRead, range: Blocks) -> Iterator[Row | Lines | Place | None]:
        """Raises SourceConnectionError when the table was rewritten or altered since our point of the log."""
        yield from self._enter(read, range.file)
        if read.more is None:
            select = read.select
        else:
            condition = range.condition()
            select = read.select if condition is None else read.select + read.more + condition
        with users_search_path(self._conn) if read.users_sql else nullcontext():
            found_rows = yield from self._copy(read, select)
        if not found_rows or read.partitioned:
            self._check_kept(read)
        id = read.table.id
        if read.more is None and read.names and (
                yield from self._ask(renamed_among([(read.oid, id.schema, id.table)]))):
            raise _renamed(str(id))
        if range.place is not None:
            yield range.place

    def _check_stop(self) -> None:
        if self._stopping:
            raise SourceConnectionError("The snapshot was stopped.")

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
                    line = bytes(data)
                    del data  # a line may be huge
                    if not found or not self._gives_lines or count > _LINES_BYTES:
                        if held.rows:
                            yield held.take_all()
                        row = copy_row(line, read.indexes, read.column_count)
                        del line
                        yield row
                    elif held.add(line):
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
                    self._check_stop()
                    pg.consume_input()
            while True:
                while pg.is_busy():
                    poller.poll(100)
                    self._check_stop()
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
    """Lines between the first and the last row of a table; the last line may be the last row, so it stays. A huge one
    is no line, but a row of its own."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self._size_bytes = 0

    def add(self, line: bytes) -> bool:
        """Whether so many are held that they should be taken."""
        self.rows.append(line)
        self._size_bytes += len(line)
        return len(self.rows) > _MOST_LINES or (self._size_bytes > _LINES_BYTES and len(self.rows) > 1)

    def take_all(self) -> Lines:
        """Another row follows."""
        taken = Lines(self.rows, self._size_bytes)
        self.rows, self._size_bytes = [], 0
        return taken

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
