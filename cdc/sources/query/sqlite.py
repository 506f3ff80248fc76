"""SQLite. A file on this machine, which has no types but those that its tables declare.

A reader that waits would keep writers waiting. So a SELECT fills a table of our own temporary database, whose pages are
on disk, and its rows are read from there.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from cdc.codecs.postgres.time import parse_micros
from cdc.core.errors import DecodeError, SourceConnectionError, SourceError, SourceRefusedError
from cdc.core.late_regex import late_regex

from .columns import ColumnInfo
from .database import Login, TableName
from .zones import local_of

_TYPE: Final = late_regex(r"\s*([A-Za-z][\w ]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*")
_KINDS: Final = {
    "boolean": "boolean", "bool": "boolean", "tinyint": "int8", "smallint": "int16", "int2": "int16",
    "float": "float64", "real": "float64", "double": "float64", "double precision": "float64", "date": "date",
    "time": "time",
    "datetime": "timestamp", "timestamp": "timestamp", "decimal": "decimal", "numeric": "decimal",
}
_TEXT_TIME: Final = late_regex(
    r"\s*(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-]\d\d:?\d\d)?\s*")
_BUSY_S: Final = 10.0
_NO_TIME: Final = "no time"
"""Stands for what is no time; whoever reads it says which column it is."""


def time_of(raw: Any) -> int | str | None:
    """A time as SQLite's programs store it: µs since 1970 of a number (ms since 1970, as the JDBC driver writes) or of
    a text with an offset; a local time as text, as PostgreSQL writes it. Raises ValueError for anything else."""
    if raw is None:
        return None
    if isinstance(raw, int | float):
        return round(raw * 1000)
    found = _TEXT_TIME.fullmatch(raw) if isinstance(raw, str) else None
    if found is None:
        raise ValueError("no time")
    hour, minute, second = (int(found[place] or 0) for place in (4, 5, 6))
    fraction = (found[7] or "").ljust(6, "0")[:6]
    text = f"{found[1]}-{found[2]}-{found[3]} {hour:02}:{minute:02}:{second:02}.{fraction}"
    offset = found[8]
    if not offset:
        parse_micros(text.encode())
        return text
    shift = 0 if offset == "Z" else int(offset[1:3]) * 3600 + int(offset[-2:]) * 60
    return parse_micros(text.encode()) - (-shift if offset[0] == "-" else shift) * 1_000_000


def local_us(raw: Any, zone: tzinfo) -> int | None:
    """The local time of such a value, in µs."""
    found = time_of(raw)
    if found is None:
        return None
    return local_of(found, zone) if isinstance(found, int) else parse_micros(found.encode())


def column_of(name: str, declared: str, required: bool, automatic: bool) -> ColumnInfo:
    """A column by its declared type (SQLite documentation, "Datatypes In SQLite", 3.1)."""
    found = _TYPE.fullmatch(declared)
    word = found[1].lower() if found else ""
    kind = _KINDS.get(word, "")
    precision, scale = (int(found[2] or 0), int(found[3] or 0)) if found else (0, 0)
    if kind == "decimal" and not precision:
        kind = "float64"  # no digits are declared, and SQLite stores a double
    if not kind:
        kind = ("int64" if "int" in word else "string" if any(part in word for part in ("char", "clob", "text")) else
                "bytes" if "blob" in word or "binary" in word else
                "float64" if any(part in word for part in ("real", "floa", "doub")) else "string")
    return ColumnInfo(name, kind, not required, precision, scale, automatic, word == "numeric", declared)


class _Pass:
    def __init__(self, conn: sqlite3.Connection, columns: Sequence[ColumnInfo], zone: tzinfo) -> None:
        self.columns = columns
        self._conn = conn
        self._cursor: sqlite3.Cursor | None = conn.execute("SELECT * FROM temp.cdc_rows ORDER BY rowid")
        self._readers = [_normal(column, zone) for column in columns]

    def fetch(self, rows: int) -> Sequence[Sequence[Any]]:
        if self._cursor is None:
            return ()
        try:
            found = self._cursor.fetchmany(rows)
        except sqlite3.Error as exc:
            raise map_error(exc) from exc
        return [tuple([None if raw is None else read(raw) for raw, read in zip(row, self._readers, strict=True)])
                for row in found]

    def close(self) -> None:
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.close()
            try:
                self._conn.execute("DROP TABLE IF EXISTS temp.cdc_rows")
            except sqlite3.Error:
                pass  # the next one drops it


def _normal(column: ColumnInfo, zone: tzinfo) -> Any:
    """What makes of SQLite's value one that `columns` reads."""
    if column.kind == "timestamp":
        return _time_or_text
    if column.kind == "date":
        return lambda raw: _date_or_text(raw, zone)
    if column.kind == "bytes":
        return lambda raw: raw.encode() if isinstance(raw, str) else raw
    if column.kind == "decimal":
        return lambda raw: format(Decimal(repr(raw)), "f") if isinstance(raw, float) else str(raw)
    return lambda raw: raw


def _time_or_text(raw: Any) -> Any:
    try:
        return time_of(raw)
    except (ValueError, DecodeError):
        return _NO_TIME


def _date_or_text(raw: Any, zone: tzinfo) -> Any:
    try:
        return local_us(raw, zone)
    except (ValueError, DecodeError):
        return _NO_TIME


class Database:
    """Implements `database.Database`."""

    quotes = '"'

    def __init__(self, login: Login) -> None:
        self._login = login
        self._conn: sqlite3.Connection | None = None
        self._cancelled = False
        self._lock = threading.Lock()

    def connect(self) -> None:
        path = self._login.database
        if path != ":memory:" and not path.startswith("file:") and not Path(path).exists():
            raise SourceRefusedError(f"There is no file {path}.", hint="Check connection.url.")
        try:
            conn = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False,
                                   uri=path.startswith("file:"))
            conn.text_factory = lambda data: data.decode("utf-8")
            conn.create_function("cdc_us", 1, lambda raw: local_us(raw, self._login.zone), deterministic=True)
            conn.execute("PRAGMA temp_store = FILE")
            conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as exc:
            raise map_error(exc) from exc
        with self._lock:
            self._conn = conn

    def _execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        conn = self._conn
        if self._cancelled:
            raise SourceConnectionError("The connector was stopped.")
        if conn is None:
            raise SourceConnectionError("The connection to the file is closed.")
        try:
            return conn.execute(sql, values)
        except sqlite3.Warning as exc:
            raise SourceRefusedError(f"SQLite says: {exc}.",
                                     hint="Configure one statement without a semicolon.") from exc
        except sqlite3.Error as exc:
            raise map_error(exc) from exc

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def clock_note(self, zone: Any) -> str:
        if zone is UTC or datetime.now(zone).utcoffset() == timedelta(0):
            return ""
        return "SQLite's CURRENT_TIMESTAMP is UTC, and db.timezone is not."

    def tables(self, catalog: str | None, schema: str | None) -> Sequence[TableName]:
        found = self._execute("SELECT name, upper(type) FROM sqlite_master WHERE type IN ('table', 'view')"
                              " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")
        return [TableName("", "", name, kind) for name, kind in found]

    def select(self, sql: str) -> _Pass:
        self._execute("DROP TABLE IF EXISTS temp.cdc_rows")
        self._execute("DROP VIEW IF EXISTS temp.cdc_shape")
        self._execute(f"CREATE TEMP VIEW cdc_shape AS {sql}")
        shape = [(str(row[1]), str(row[2])) for row in self._execute("PRAGMA temp.table_info(cdc_shape)")]
        self._execute("DROP VIEW temp.cdc_shape")
        self._execute(f"CREATE TEMP TABLE cdc_rows AS {sql}")
        required = self._facts(sql)
        columns = [column_of(name, declared, *required.get(name, (False, False))) for name, declared in shape]
        assert self._conn is not None
        return _Pass(self._conn, columns, self._login.zone)

    def _facts(self, sql: str) -> dict[str, tuple[bool, bool]]:
        """For the columns of `SELECT * FROM "table" …`, as `criteria` writes it: whether each is required, and whether
        it is counted up. Nothing for another SELECT."""
        found = re.match(r'SELECT \* FROM ("(?:[^"]|"")*"|[\w.]+)(?: |$)', sql)
        if found is None:
            return {}
        rows = list(self._execute(f"PRAGMA table_info({found[1]})"))
        keys = [row for row in rows if row[5]]
        counted = {row[1] for row in keys if len(keys) == 1 and row[2].upper() == "INTEGER"}
        return {str(row[1]): (bool(row[3]) or row[1] in counted, row[1] in counted) for row in rows}

    def moment(self, micros: int, kind: str) -> str:
        return str(micros)

    def moment_kind(self, column: ColumnInfo) -> str:
        return "timestamp" if column.kind in ("timestamp", "date", "int64", "float64", "string") else ""

    def domain_us(self, raw: Any, column: ColumnInfo) -> int | None:
        zone = self._login.zone
        try:
            if column.kind in ("timestamp", "date") and isinstance(raw, int):
                return raw if column.kind == "date" else local_of(raw, zone)
            return local_us(raw, zone)
        except ValueError as exc:
            raise DecodeError("a timestamp column has a value that is no time") from exc

    def comparable(self, sql: str) -> str:
        return f"cdc_us({sql})"

    def cancel(self) -> None:
        self._cancelled = True
        with self._lock:
            if self._conn is not None:
                self._conn.interrupt()

    def close(self) -> None:
        with self._lock:
            conn, self._conn = self._conn, None
        if conn is not None:
            try:
                conn.close()
            except sqlite3.Error:
                pass


def map_error(exc: sqlite3.Error) -> SourceError:
    """Our error for *exc*. A file that another process locks, or that is busy, may be free later."""
    text = str(exc)
    if "user-defined function raised exception" in text:
        return SourceRefusedError("A timestamp column has a value that is no time: neither a text such as 2024-05-01"
                                  " 10:00:00, nor a number of ms since 1970.", hint="Correct the value, or use a query"
                                                                                    " that leaves such rows out.")
    if isinstance(exc, sqlite3.OperationalError) and re.search("locked|busy|interrupted|unable to open|disk I/O", text):
        return SourceConnectionError(f"SQLite says: {text}.")
    return SourceRefusedError(f"SQLite says: {text}.")
