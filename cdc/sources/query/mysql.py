"""MySQL and MariaDB: rows as the server sends them, unbuffered, as text, outside of a transaction that lasts."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, Final

import pymysql
from pymysql.constants import CLIENT, FIELD_TYPE, FLAG

from cdc.codecs.postgres.time import parse_micros
from cdc.codecs.time import DAY_US, clock_text, date_of
from cdc.core.errors import SourceConnectionError, SourceError, SourceRefusedError
from cdc.sources.shared.hangup import hang_up
from cdc.sources.shared.login import LimitedLogin

from .columns import MOMENTS, ZERO_TIME, ColumnInfo, domain_us
from .database import Login, TableName
from .zones import local_of

_BINARY: Final = 63
_INTEGERS: Final = {FIELD_TYPE.TINY: 8, FIELD_TYPE.SHORT: 16, FIELD_TYPE.INT24: 32, FIELD_TYPE.LONG: 32,
                    FIELD_TYPE.LONGLONG: 64}
_TEXTS: Final = (FIELD_TYPE.VARCHAR, FIELD_TYPE.VAR_STRING, FIELD_TYPE.STRING, FIELD_TYPE.TINY_BLOB,
                 FIELD_TYPE.MEDIUM_BLOB, FIELD_TYPE.LONG_BLOB, FIELD_TYPE.BLOB)
_OTHERS: Final = {FIELD_TYPE.FLOAT: "float32", FIELD_TYPE.DOUBLE: "float64", FIELD_TYPE.DATE: "date",
                  FIELD_TYPE.NEWDATE: "date", FIELD_TYPE.YEAR: "date", FIELD_TYPE.TIME: "time",
                  FIELD_TYPE.DATETIME: "timestamp", FIELD_TYPE.TIMESTAMP: "timestamptz", FIELD_TYPE.JSON: "string",
                  FIELD_TYPE.ENUM: "string", FIELD_TYPE.SET: "string", FIELD_TYPE.GEOMETRY: "bytes"}
_SYSTEM: Final = "('mysql', 'information_schema', 'performance_schema', 'sys')"
_CLOCKS_DIFFER_US: Final = 60_000_000
_RETRIABLE: Final = frozenset((1040, 1053, 1152, 1158, 1159, 1160, 1161, 1205, 1213, 1290, 1317, 1836, 1927, 3024))
_TIMEOUT_S: Final = 3600
_CONNECT_S: Final = 30
"""For each of TCP and the answers of the login."""


def column_of(field: Any) -> ColumnInfo:
    """A column by what the server says of it (`FieldDescriptorPacket`)."""
    code, flags = field.type_code, field.flags
    unsigned, length = bool(flags & FLAG.UNSIGNED), field.length
    required, counted = bool(flags & FLAG.NOT_NULL), bool(flags & FLAG.AUTO_INCREMENT)
    kind, precision, scale = _OTHERS.get(code, ""), 0, 0
    if code in _INTEGERS:
        bits = _INTEGERS[code] * (2 if unsigned and _INTEGERS[code] < 64 else 1)
        kind = f"int{bits}"
    elif code in (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL):
        kind, scale = "decimal", field.scale
        precision = length - (1 if scale else 0) - (0 if unsigned else 1)
    elif code in _TEXTS:
        kind = "bytes" if field.charsetnr == _BINARY else "string"
    elif code == FIELD_TYPE.BIT:
        kind = "int8" if length < 8 else "bytes"
    return ColumnInfo(field.name, kind, not required, precision, scale, counted, False, f"type {code}")


class _Pass:
    def __init__(self, cursor: Any, columns: Sequence[ColumnInfo], fields: Sequence[Any], owner: Database) -> None:
        self.columns = columns
        self._cursor = cursor
        self._owner = owner
        self._readers = [_normal(field, column) for field, column in zip(fields, columns, strict=True)]

    def fetch(self, rows: int) -> Sequence[Sequence[Any]]:
        if self._cursor is None:
            return ()
        try:
            found = self._cursor.fetchmany(rows)
        except (pymysql.MySQLError, OSError, EOFError) as exc:
            raise map_error(exc) from exc
        if not found:
            self._cursor = None  # the server has sent all of it
        return [tuple([None if raw is None else read(raw) for raw, read in zip(row, self._readers, strict=True)])
                for row in found]

    def close(self) -> None:
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor._result.unbuffered_active = False  # else PyMySQL reads the rest of the rows first
            self._owner.reconnect_later()


def _normal(field: Any, column: ColumnInfo) -> Any:
    """What makes of the server's text one that `columns` reads."""
    if field.type_code == FIELD_TYPE.YEAR:
        return lambda raw: None if raw == "0000" else f"{raw}-01-01"
    if column.kind in ("date", "timestamp", "timestamptz"):
        zone = "+00" if column.kind == "timestamptz" else ""
        return lambda raw: ZERO_TIME if raw.startswith(ZERO_TIME) else raw + zone
    if field.type_code == FIELD_TYPE.BIT:
        return bytes if column.kind == "bytes" else lambda raw: int.from_bytes(raw, "big")
    return lambda raw: raw


class _Connection(LimitedLogin, pymysql.Connection):
    """PyMySQL's connection."""


class Database:
    """Implements `database.Database`."""

    quotes = "`"

    def __init__(self, login: Login) -> None:
        self._login = login
        self._conn: Any = None
        self._server_zone = ("", 0, 0)
        self._cancelled = False
        self._lock = threading.Lock()

    def connect(self) -> None:
        login = self._login
        try:
            conn: Any = _Connection(
                host=login.host, port=login.port, user=login.user or "", password=login.password or "",
                database=login.database or None, charset="utf8mb4", autocommit=True, conv={},
                connect_timeout=_CONNECT_S, read_timeout=_TIMEOUT_S, write_timeout=_TIMEOUT_S,
                client_flag=CLIENT.MULTI_RESULTS, **_tls(login.properties))
            with conn.cursor() as cursor:
                cursor.execute("SELECT @@session.time_zone, now(6), utc_timestamp(6)")
                name, local, moment = cursor.fetchone()
                cursor.execute(f"SET time_zone = '+00:00', net_write_timeout = {_TIMEOUT_S}")
                if login.isolation:
                    cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {login.isolation}")
        except (pymysql.MySQLError, OSError, EOFError) as exc:
            raise map_error(exc) from exc
        self._server_zone = str(name), _us(local), _us(moment)
        with self._lock:
            self._conn = conn

    def reconnect_later(self) -> None:
        """The next statement opens a new connection."""
        self.close()

    def _cursor(self, kind: Any) -> Any:
        if self._conn is None and not self._cancelled:
            self.connect()
        if self._cancelled:  # perhaps before there was a connection to cancel
            raise SourceConnectionError("The connector was stopped.")
        return self._conn.cursor(kind)

    def _rows(self, sql: str) -> Sequence[Sequence[Any]]:
        try:
            with self._cursor(pymysql.cursors.Cursor) as cursor:
                cursor.execute(sql)
                found: Sequence[Sequence[Any]] = cursor.fetchall()
                return found
        except (pymysql.MySQLError, OSError, EOFError) as exc:
            raise map_error(exc) from exc

    def now_us(self) -> int:
        return _us(self._rows("SELECT utc_timestamp(6)")[0][0])

    def clock_note(self, zone: tzinfo) -> str:
        name, local_us, moment_us = self._server_zone
        if abs(local_of(moment_us, zone) - local_us) < _CLOCKS_DIFFER_US:
            return ""
        return f"The server's time_zone is {name}, and db.timezone is {zone}."

    def tables(self, catalog: str | None, schema: str | None) -> Sequence[TableName]:
        wanted = f"table_schema LIKE {_quoted(catalog)}" if catalog is not None else (
            f"table_schema = {_quoted(self._login.database)}" if self._login.database else "true")
        found = self._rows("SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE "
                           f"table_schema NOT IN {_SYSTEM} AND {wanted} ORDER BY 1, 2")
        return [TableName(base, "", name, "TABLE" if kind == "BASE TABLE" else kind) for base, name, kind in found]

    def select(self, sql: str) -> _Pass:
        try:
            cursor = self._cursor(pymysql.cursors.SSCursor)
            cursor.execute(sql)
            fields = cursor._result.fields
        except (pymysql.MySQLError, OSError, EOFError) as exc:
            raise map_error(exc) from exc
        return _Pass(cursor, [column_of(field) for field in fields], fields, self)

    def moment(self, micros: int, kind: str) -> str:
        days, clock = divmod(max(micros, -62_167_132_800_000_000), DAY_US)
        year, month, day = date_of(days)
        return f"TIMESTAMP'{year:04d}-{month:02d}-{day:02d} {clock_text(clock)}'"

    def comparable(self, sql: str) -> str:
        return sql

    def domain_us(self, raw: Any, column: ColumnInfo) -> int | None:
        return domain_us(raw, column.kind)

    def moment_kind(self, column: ColumnInfo) -> str:
        return column.kind if column.kind in MOMENTS else ""

    def cancel(self) -> None:
        self._cancelled = True
        with self._lock:
            conn = self._conn
        sock: Any = getattr(conn, "_sock", None)
        try:
            with socket.socket(fileno=os.dup(sock.fileno())) as below:  # TLS is not for two threads
                hang_up(below)
        except (AttributeError, OSError):  # there is none, or it was closed meanwhile
            pass

    def close(self) -> None:
        with self._lock:
            conn, self._conn = self._conn, None
        if conn is not None:
            conn._force_close()


def _us(text: str) -> int:
    """µs of a DATETIME's text."""
    return parse_micros(text.encode())


def _quoted(text: str) -> str:
    """A literal that means the same in every sql_mode."""
    return f"CONVERT(0x{text.encode().hex()} USING utf8mb4)" if text else "''"


def _tls(properties: dict[str, str]) -> dict[str, Any]:
    """TLS by the properties of Connector/J and of MariaDB's driver. Preferred by default, as there."""
    mode = properties.get("sslmode", "").upper().replace("-", "_").replace("VERIFY_FULL", "VERIFY_IDENTITY")
    if not mode and properties.get("usessl", "").lower() == "false":
        mode = "DISABLED"
    if not mode and properties.get("verifyservercertificate", "").lower() == "true":
        mode = "VERIFY_CA"
    if not mode and "true" in (properties.get("requiressl", "").lower(), properties.get("usessl", "").lower()):
        mode = "REQUIRED"
    if mode in ("DISABLED", "DISABLE"):
        return {"ssl_disabled": True}
    ca = properties.get("sslca") or properties.get("servercertificate")
    if mode in ("REQUIRED", "TRUST"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return {"ssl": context}
    if mode in ("VERIFY_CA", "VERIFY_IDENTITY"):
        context = ssl.create_default_context(cafile=ca)
        context.check_hostname = mode == "VERIFY_IDENTITY"
        return {"ssl": context}
    return {}


def map_error(exc: BaseException) -> SourceError:
    """Our error for an error of PyMySQL. An OSError or EOFError of its socket is a lost connection."""
    if not isinstance(exc, pymysql.MySQLError):
        return SourceConnectionError(f"The connection to the server is lost: {type(exc).__name__}.")
    code = exc.args[0] if exc.args and isinstance(exc.args[0], int) else 0
    text = " ".join(str(exc.args[1] if len(exc.args) > 1 else exc).split()) or type(exc).__name__
    said = f"The server says: {text}" if 1000 <= code < 2000 or code >= 3000 else text
    said = said if said.endswith(".") else f"{said}."
    if code in _RETRIABLE or 2000 <= code < 3000 or isinstance(exc, pymysql.InterfaceError) or code == 0:
        return SourceConnectionError(said, errno=code or None)
    return SourceRefusedError(said, errno=code)
