"""Rows of a text result, many at a time, as C finds them in what the connection has received (`cdc.native.mysql`).

The packets there that are whole and rows of the result are taken together. All others are left to PyMySQL: the end of
the result, an error, a row that does not fit into the buffer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import pymysql
from pymysql.constants import CR

from cdc.core.record import SourceContext
from cdc.core.row import Row
from cdc.core.table import TableSchema
from cdc.native import module
from cdc.sources.snapshot.initial import Lines

from .connection import Connection
from .received import Received
from .textrow import text_row


class TextRead(Protocol):
    """A table and the result that its rows come in: the fields are the row image's columns *indexes*."""

    @property
    def table(self) -> TableSchema: ...
    @property
    def indexes(self) -> tuple[int, ...]: ...
    @property
    def column_count(self) -> int: ...


class TextLines(Lines):
    """Lines whose *rows* are a `native.mysql.TextRows`."""

    def split(self, count: int) -> tuple[Lines, Lines]:
        return lines(self.rows.split(count)), lines(self.rows)


def lines(rows: Any) -> TextLines:
    return TextLines(rows, rows.size_bytes)


class NativeText:
    """Reads results from *conn*, which waits for nothing now. Implements `sources.snapshot.initial.NativeRows`."""

    def __init__(self, conn: Connection, mysql: Any, records: Any) -> None:
        own: Any = conn
        self._conn = own
        self._mysql = mysql
        self._records = records
        self._table: tuple[SourceContext, Any] | None = None
        self._received = Received(conn)

    def rows(self, read: TextRead) -> Iterator[Row | Lines]:
        """The rows of the result that comes now, to its end: Lines, and the first and the last row by themselves.
        Raises pymysql.MySQLError, ProtocolError."""
        select = self._mysql.Select(read.indexes, read.column_count)
        first, held = True, None
        while True:
            many = self._take(select)
            if first and many is not None:
                first = False
                yield self._row(many.split(1).packet(), read)
                many = many if many.count else None
            elif many is None:
                packet = self._conn._read_packet()
                if packet.is_eof_packet():
                    break
                first = False
                if held is not None:
                    yield lines(held)
                held = None
                yield self._row(packet.get_all_data(), read)
            if many is not None:
                if held is not None:
                    yield lines(held)
                held = many
        if held is not None:
            if held.count > 1:
                yield lines(held.split(held.count - 1))
            yield self._row(held.packet(), read)

    def blocks(self, indexes: tuple[int, ...], column_count: int) -> Iterator[Any]:
        """The rows of the result that comes now, to its end: each a `native.mysql.TextRows`, or the bytes of the packet
        of one row that is left to PyMySQL. The fields are columns *indexes* of *column_count*. Raises as `rows`."""
        select = self._mysql.Select(indexes, column_count)
        while True:
            many = self._take(select)
            if many is not None:
                yield many
                continue
            packet = self._conn._read_packet()
            if packet.is_eof_packet():
                return
            yield packet.get_all_data()

    def reads(self, parts: list[Any], table: TableSchema, context: SourceContext) -> Any:
        """An item for `NativeRows`: *parts*, each a `native.mysql.TextRows` or a Record, as reads of *table*."""
        return self._mysql.Reads(parts, self._records.Table(table, context, (), None), context)

    def _row(self, packet: bytes, read: TextRead) -> Row:
        return text_row(packet, read.indexes, read.column_count)

    def _take(self, select: Any) -> Any:
        """The next rows, a `native.mysql.TextRows`; None if the next packet is for PyMySQL."""
        conn, received = self._conn, self._received
        while True:
            rows, size_bytes, conn._next_seq_id = self._mysql.text_rows(
                select, received.room, received.start, received.end, conn._next_seq_id)
            received.start += size_bytes
            if rows is not None or not received.lacks() or not self._receive():
                return rows

    def _receive(self) -> bool:
        """As `Received.receive`, with the errors of PyMySQL."""
        conn = self._conn
        if conn._current_timeout != conn._read_timeout:
            conn._sock.settimeout(conn._read_timeout)
            conn._current_timeout = conn._read_timeout
        try:
            return self._received.receive()
        except OSError as exc:
            conn._force_close()
            raise pymysql.OperationalError(
                CR.CR_SERVER_LOST, f"Lost connection to MySQL server during query ({exc})") from exc

    def batch(self) -> Any:
        return self._mysql.Batch([])

    def add(self, batch: Any, read: TextRead, lines: Lines, context: SourceContext) -> None:
        if self._table is None or self._table[0] is not context:
            self._table = context, self._records.Table(read.table, context, (), None)
        batch.add_text(lines.rows, self._table[1], context)


def native_text(conn: Connection) -> NativeText | None:
    """None if this installation has no native modules."""
    mysql, records = module("mysql"), module("records")
    return None if mysql is None or records is None else NativeText(conn, mysql, records)
