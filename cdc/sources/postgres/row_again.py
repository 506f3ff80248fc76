"""Reads columns of a row again, for what the log left out (`core.interfaces.ReadsRows`), on a connection of its own.

Values go to the server as the log gave them, as parameters whose types the server takes from the columns beside them
(PostgreSQL docs, "Type Conversion", "Operators"), and come back as the text that a snapshot would have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

from cdc.core.errors import SourceRefusedError
from cdc.core.named_tuple import NamedTuple
from cdc.core.record import Record
from cdc.core.row import BINARY, NULL, TEXT, Row
from cdc.core.table import Column
from cdc.sources.shared.row_connection import RowConnection
from cdc.sources.shared.row_key import KeyValue, key_values, several
from cdc.sources.shared.visible import wait_until_visible

from . import chunk_marks
from .comparisons import Comparison, compared, own_comparisons
from .connection import Connection, connect, execute, interrupt, query, send_unchecked
from .errors import map_error
from .options import PostgresConfig
from .source_block import XID
from .tables import TableBuilder, Version

_WAIT: Final = "SET lock_timeout = '5s'"
"""For a table that another session has locked. The events of other tables wait meanwhile."""
_HINT: Final = "Do all synchronous standbys answer? See pg_stat_replication and synchronous_standby_names."


class RowAgain:
    """Only for the task's thread, except `interrupt`."""

    def __init__(self, config: PostgresConfig, builder: TableBuilder) -> None:
        self._config = config
        self._builder = builder
        self._own = RowConnection(self._connect, is_lost=lambda conn, _: conn.closed, interrupt=interrupt,
                                  close=lambda conn: conn.close())
        self._places: dict[int, _Place] = {}
        self._seen: chunk_marks.Seen | None = None

    def read(self, record: Record, columns: Sequence[Column], *, event_key: bool) -> Row | None:
        """As `ReadsRows.read_row`."""
        table = record.table
        version = self._builder.version_of(table)
        if version is None:
            raise SourceRefusedError("The table's structure is not known any more.", table=str(table.id))
        names = [column.name for column in table.key] if event_key else version.merged.key
        places = {column.name: index for index, column in enumerate(version.merged.columns)}
        key = key_values(names, places, record, event_key=event_key)
        xid = record.source.merged(record.source_values)[XID]
        return self._own.run(lambda conn: self._read(conn, version, columns, key, xid))

    def _read(self, conn: Connection, version: Version, columns: Sequence[Column], key: Sequence[KeyValue],
              xid: int | None) -> Row | None:
        self._wait_until_visible(conn, xid)
        oid = version.relation.oid
        known = self._places.get(oid)
        found = None if known is None else self._select(conn, known, columns, key, by_old_name=True)
        if found is None:  # under that name there is another table now, or none
            place = self._place(conn, oid, key)
            found = None if place is None else self._select(conn, place, columns, key)
        return _row(found, version, columns) if found is not None else None

    def _wait_until_visible(self, conn: Connection, xid: int | None) -> None:
        """Until others see transaction *xid*: before, its rows are as they were (`chunk_marks`)."""
        if xid is not None:
            wait_until_visible(lambda: self._seen is not None and self._seen.sees(xid), lambda: self._look(conn),
                               lambda: self._own.stopped, hint=_HINT)

    def _look(self, conn: Connection) -> None:
        self._seen = chunk_marks.look(conn)

    def _select(self, conn: Connection, place: _Place, columns: Sequence[Column], key: Sequence[KeyValue], *,
                by_old_name: bool = False) -> Any:
        """The result with the row; None if there is none. Raises SourceError."""
        text = sql.SQL("SELECT {} FROM ").format(
            sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)) + place.source
        values: list[_Value] = []
        for each in key:
            if each.data is None:
                text += sql.SQL(" AND {} IS NULL").format(sql.Identifier(each.name))
            else:
                values.append((_Binary if each.kind == BINARY else _Text)(each.data))
                text += sql.SQL(" AND ") + compared(place.own, each.name, "=", _parameter(len(values)))
        try:
            found = _ask(conn, text + sql.SQL(" LIMIT 2"), values)
        except SourceRefusedError:
            if by_old_name:
                return None
            raise
        if found.ntuples > 1:
            raise several([each.name for each in key])
        return found if found.ntuples else None

    def _place(self, conn: Connection, oid: int, key: Sequence[KeyValue]) -> _Place | None:
        """The table under its present name, and the condition that the row is in this very table; None if it does not
        exist any more."""
        rows = query(conn, _TABLE, oid)
        if not rows:
            return None
        kind, schema, name = (str(each) for each in rows[0])
        form = _PARTITIONED if kind == "p" else _PLAIN
        if len(self._places) >= 10_000:
            self._places.clear()
        source = sql.SQL(form).format(sql.Identifier(schema, name), sql.Literal(oid))
        place = self._places[oid] = _Place(source, own_comparisons(conn, oid, [each.name for each in key]))
        return place

    def _connect(self) -> Connection:
        conn = connect(self._config)
        try:
            execute(conn, _WAIT)
            send_unchecked(conn)
            conn.adapters.register_dumper(_Text, _TextDumper)
            conn.adapters.register_dumper(_Binary, _BinaryDumper)
        except BaseException:
            conn.close()
            raise
        self._seen = None
        self._places.clear()
        return conn

    def interrupt(self) -> None:
        """As `RowConnection.interrupt`."""
        self._own.interrupt()

    def close(self) -> None:
        self._own.close()


class _Place(NamedTuple):
    """A table: FROM, and the beginning of WHERE. *own*: how columns of its key are compared that need it."""

    source: sql.Composed
    own: Mapping[str, Comparison]


class _Value:
    """A value in the source's bytes."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class _Text(_Value):
    """In text format."""

    __slots__ = ()


class _Binary(_Value):
    """In binary format."""

    __slots__ = ()


class _TextDumper(Dumper):
    """Leaves the type to the server."""

    def dump(self, obj: _Value) -> Buffer:
        return obj.data


class _BinaryDumper(_TextDumper):
    format = Format.BINARY


def _parameter(number: int) -> sql.SQL:
    return sql.SQL(f"${int(number)}")


def _ask(conn: Connection, text: sql.Composed, values: Sequence[_Value]) -> Any:
    """The result of *text*, as libpq has it. Raises SourceError."""
    try:
        with psycopg.RawCursor(conn) as cursor:
            cursor.execute(text, values)
            return cursor.pgresult
    except psycopg.Error as exc:
        raise map_error(exc) from exc


def _row(found: Any, version: Version, columns: Sequence[Column]) -> Row:
    """The first row of *found*. Raises SourceRefusedError if a column has another type than in the log."""
    raw = [found.get_value(0, place) for place in range(len(columns))]
    row = Row(b"".join(value for value in raw if value is not None), 1 + max(column.index for column in columns))
    at = 0
    for place, (column, value) in enumerate(zip(columns, raw, strict=True)):
        info = version.types[column.index]
        if found.ftype(place) != version.merged.columns[column.index].type_oid and (info is None or info.kind != "d"):
            raise SourceRefusedError("The column has another type now.", column=column.name)
        size = 0 if value is None else len(value)
        row.put(column.index, NULL if value is None else TEXT, at, at + size)
        at += size
    return row


_TABLE: Final = """\
SELECT c.relkind::text, n.nspname::text, c.relname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s::int8::oid"""
_PLAIN: Final = "ONLY {} WHERE tableoid = {}"
_PARTITIONED: Final = "{} WHERE tableoid IN (SELECT relid FROM pg_catalog.pg_partition_tree({}))"
"""Available since PostgreSQL 12; before 13, rows are published under their partition's name."""
