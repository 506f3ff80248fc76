"""Reads columns of a row again, for what the log left out (`core.interfaces.ReadsRows`), on a connection of its own.

Values come as a snapshot would have them, by the text protocol. A value of the key goes to the server as a literal that
its column compares with exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pymysql

from cdc.core.dataclass import dataclass
from cdc.core.errors import DecodeError, NoValue, SourceConnectionError, SourceRefusedError
from cdc.core.late_regex import late_regex
from cdc.core.record import Record
from cdc.core.row import BINARY, Row
from cdc.core.table import Column
from cdc.sources.mysql.ddl.structure import ColumnDef, TableStructure
from cdc.sources.shared.row_connection import RowConnection
from cdc.sources.shared.row_key import KeyValue, key_values, several

from . import connection
from .collations import not_as_unicode
from .connection import Connection
from .errors import ends_connection, map_error
from .flavor import Flavor
from .lookup import IDLE_S, Lookup
from .options import MySqlConfig
from .quoting import quoted, quoted_table
from .tables import TableBuilder
from .textrow import text_row
from .types import resolve
from .visible import Visible


class RowAgain:
    """Only for the task's thread, except `interrupt`."""

    def __init__(self, config: MySqlConfig, lookup: Lookup, builder: TableBuilder) -> None:
        self._lookup = lookup
        self._builder = builder
        self._types = _KeyTypes(config.flavor)
        self._visible = Visible(lookup)
        self._own = RowConnection(self._connect, is_lost=_is_lost, interrupt=connection.interrupt,
                                  close=connection.close, idle_s=IDLE_S)

    def read(self, record: Record, columns: Sequence[Column], *, event_key: bool) -> Row | None:
        """As `ReadsRows.read_row`."""
        table = record.table
        version = self._builder.version_of(table)
        if version is None:
            raise SourceRefusedError("The table's structure is not known any more.", table=str(table.id))
        structure, old_temporal = version
        places = {column.name: index for index, column in enumerate(structure.columns)}
        names = [column.name for column in table.key] if event_key else structure.key
        conditions = [self._condition(structure.columns[each.place], each, old_temporal)
                      for each in key_values(names, places, record, event_key=event_key)]
        text = self._select(structure, columns, conditions)
        found = self._own.run(lambda conn: self._ask(conn, text, record))
        if len(found) > 1:
            raise several(names)
        indexes = tuple(column.index for column in columns)
        return _checked(text_row(found[0], indexes, 1 + max(indexes)), columns) if found else None

    def _select(self, structure: TableStructure, columns: Sequence[Column], conditions: Sequence[str]) -> str:
        selects = self._builder.selects(structure)
        fields = ", ".join(selects[column.index].format(quoted(column.name)) for column in columns)
        return f"SELECT {fields} FROM {quoted_table(structure.id)} WHERE {' AND '.join(conditions)} LIMIT 2"

    def _condition(self, column: ColumnDef, value: KeyValue, old_temporal: bool) -> str:
        if value.data is None:
            return f"{quoted(column.name)} IS NULL"
        return f"{quoted(column.name)} = {literal(column, value, self._types, old_temporal)}"

    def _ask(self, conn: Connection, text: str, record: Record) -> list[bytes]:
        """The packets of the rows, once *record* is visible. Raises SourceError."""
        self._visible.wait(conn, record, lambda: self._own.stopped)
        try:
            return list(connection.packets(conn, text))
        except (pymysql.MySQLError, OSError, EOFError) as exc:
            if not isinstance(exc, pymysql.MySQLError):
                connection.close(conn)
            raise map_error(exc) from exc

    def _connect(self) -> Connection:
        conn = self._lookup.connect()
        try:
            connection.query(conn, connection.TEXTS_AS_STORED)
        except BaseException:
            connection.close(conn)
            raise
        self._visible.forget()
        return conn

    def interrupt(self) -> None:
        """As `RowConnection.interrupt`."""
        self._own.interrupt()

    def close(self) -> None:
        self._own.close()


def _is_lost(conn: Connection, error: SourceConnectionError) -> bool:
    """PyMySQL closes a connection whose socket fails, but not one for which the server says that it ends it."""
    return not conn.open or ends_connection(error)


def _checked(row: Row, columns: Sequence[Column]) -> Row:
    """*row*. Raises SourceRefusedError if a value is none of its column's type, which ALTER TABLE may have changed."""
    for column in columns:
        data = row.raw(column.index)
        if data is not None and column.codec is not None:
            try:
                column.codec.value(data, 0, len(data))
            except NoValue:
                pass
            except (DecodeError, ValueError):
                raise SourceRefusedError("The value does not fit the type that the column has in the log.",
                                         column=column.name) from None
    return row


@dataclass(frozen=True)
class _KeyTypes:
    """The options with which a codec's value has all that a literal needs (`types.TypeConfig`)."""

    flavor: Flavor
    decimal_handling_mode: str = "string"
    time_precision_mode: str = "isostring"
    binary_handling_mode: str = "bytes"
    bigint_unsigned_handling_mode: str = "precise"
    enable_time_adjuster: bool = False
    cdc_uniform_values: bool = True


_SINGLE: Final = ("FLOAT", "FLOAT4")
_TIMES: Final = ("DATE", "DATETIME", "TIMESTAMP", "TIME")
_TIME: Final = late_regex(r"[-+0-9:. ]+")


def literal(column: ColumnDef, value: KeyValue, types: _KeyTypes, old_temporal: bool) -> str:
    """SQL that *column* equals in the row with *value*. Raises SourceRefusedError if no literal does."""
    data, charset = value.data, not_as_unicode(column)
    if data is not None and charset:
        return f"_{charset} X'{data.hex()}'"
    found = resolve(column, config=types, old_temporal=old_temporal)
    if data is not None and found is not None and column.base not in _SINGLE:
        codec = found.binary_codec if value.kind == BINARY else found.codec
        try:
            made = _literal(column.base, codec.value(data, 0, len(data)))
        except (DecodeError, ValueError):
            made = None
        if made is not None:
            return made
    raise SourceRefusedError("A row cannot be found by the value of this column.", column=column.name,
                             type=column.type_name, hint="Choose other columns in message.key.columns.")


def _literal(base: str, value: Any) -> str | None:
    """Of a codec's *value*."""
    if isinstance(value, bool | int):
        return str(int(value))
    if isinstance(value, float):
        return f"{value!r}e0" if "e" not in repr(value) else repr(value)
    if isinstance(value, bytes):
        form = _OF_BYTES.get(base)
        return form(value) if form is not None else f"X'{value.hex()}'"
    if isinstance(value, str) and base in _TIMES:
        text = value.removesuffix("Z").replace("T", " ")
        return f"'{text}'" if _TIME.fullmatch(text) else None
    if isinstance(value, str) and base in _DECIMALS:
        return value if _DECIMAL.fullmatch(value) else None
    return f"_utf8mb4 X'{value.encode().hex()}'" if isinstance(value, str) else None


_DECIMALS: Final = ("DECIMAL", "DEC", "NUMERIC", "FIXED")
_DECIMAL: Final = late_regex(r"-?\d+(\.\d+)?")


def _big(value: bytes) -> str:
    return str(int.from_bytes(value, "big", signed=True))


_OF_BYTES: Final[dict[str, Callable[[bytes], str]]] = {
    **dict.fromkeys(("BIGINT", "INT8", "SERIAL"), _big),
    "BIT": lambda value: str(int.from_bytes(value, "little")),
}
"""Types whose values are bytes that stand for a number."""
