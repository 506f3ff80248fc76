"""PostgreSQL: rows by a cursor on the server, as text, in a transaction that ends with the SELECT."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.adapt import Loader

from cdc.codecs.time import DAY_US, clock_text, date_of
from cdc.core.errors import SourceConnectionError, SourceError, SourceRefusedError
from cdc.core.late_regex import late_regex

from .columns import MOMENTS, ColumnInfo, domain_us
from .database import Login, TableName
from .url import OF_POSTGRES
from .zones import local_of

_KINDS: Final = {
    16: "boolean", 17: "bytes", 18: "string", 19: "string", 20: "int64", 21: "int16", 23: "int32", 25: "string",
    26: "int64", 114: "string", 142: "string", 700: "float32", 701: "float64", 790: "", 1042: "string", 1043: "string",
    1082: "date", 1083: "time", 1114: "timestamp", 1184: "timestamptz", 1700: "decimal", 2950: "string", 3802: "string",
}
"""By the type's oid (src/include/catalog/pg_type.dat), as PostgreSQL's JDBC driver maps them."""
_RELKINDS: Final = {"r": "TABLE", "p": "PARTITIONED TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE"}
_RETRIABLE: Final = frozenset(("57P01", "57P02", "57P03", "57014", "53300", "40001", "40P01", "55P03", "25P03"))
_CLOCKS_DIFFER_US: Final = 60_000_000
_CANCEL_S: Final = 5.0
_PASS: Final = "cdc_rows"
_MAKES_NULLS: Final = late_regex(r"\b(?:left|right|full|rollup|cube|grouping)\b", re.IGNORECASE)
"""Words of a SELECT whose result has nulls also in columns that are NOT NULL in their table."""

_FACTS: Final = """
SELECT a.attrelid::int8::text, a.attnum::text, a.attnotnull::text,
  (a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid), '') LIKE 'nextval(%')::text
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY ('{{{relations}}}'::oid[]) AND a.attnum > 0"""
_TYPES: Final = """
SELECT t.oid::int8::text, t.typtype, t.typbasetype::int8::text, t.typtypmod::text, format_type(t.oid, NULL)
FROM pg_type t WHERE t.oid = ANY ('{{{oids}}}'::oid[])"""
_TABLES: Final = """
SELECT current_database()::text, n.nspname::text, c.relname::text, c.relkind::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
  AND n.nspname LIKE %s AND current_database() LIKE %s
ORDER BY 2, 3"""


class _Text(Loader):
    """Every value stays the text that the server sent."""

    def load(self, data: Any) -> str:
        return bytes(data).decode("utf-8")


class _Bytes(Loader):
    def load(self, data: Any) -> bytes:
        return bytes.fromhex(bytes(data).decode("ascii").removeprefix("\\x"))


class _Pass:
    def __init__(self, conn: psycopg.Connection[Any], cursor: psycopg.ServerCursor[Any],
                 columns: Sequence[ColumnInfo]) -> None:
        self.columns = columns
        self._conn = conn
        self._cursor: psycopg.ServerCursor[Any] | None = cursor

    def fetch(self, rows: int) -> Sequence[Sequence[Any]]:
        if self._cursor is None:
            return ()
        try:
            return self._cursor.fetchmany(rows)
        except psycopg.Error as exc:
            raise map_error(exc) from exc

    def close(self) -> None:
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            try:
                cursor.close()
                self._conn.rollback()
            except psycopg.Error:
                self._conn.close()


class Database:
    """Implements `database.Database`."""

    quotes = '"'

    def __init__(self, login: Login) -> None:
        self._login = login
        self._conn: psycopg.Connection[Any] | None = None
        self._server_zone = ("", 0, 0)
        self._cancelled = False
        self._lock = threading.Lock()

    def connect(self) -> None:
        login = self._login
        given: dict[str, Any] = {
            OF_POSTGRES[name]: text for name, text in login.properties.items() if name in OF_POSTGRES}
        if login.properties.get("ssl", "false").lower() in ("", "true"):
            given.setdefault("sslmode", "verify-full")  # as PostgreSQL's JDBC driver
        try:
            conn: psycopg.Connection[Any] = psycopg.connect(**{
                "host": login.host or None, "port": login.port, "dbname": login.database or None, "user": login.user,
                "password": login.password, "connect_timeout": 30, "application_name": "cdc",
                "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, **given,
                "client_encoding": "utf8"})
            row = conn.execute("SELECT current_setting('TimeZone'),"
                               " (extract(epoch FROM localtimestamp) * 1000000)::int8,"
                               " (extract(epoch FROM now()) * 1000000)::int8").fetchone()
            conn.execute("SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO, YMD', false),"
                         " set_config('bytea_output', 'hex', false), set_config('extra_float_digits', '1', false)")
            if login.properties.get("currentschema"):
                conn.execute("SELECT set_config('search_path', %s, false)", (login.properties["currentschema"],))
            conn.commit()
            if login.isolation:
                conn.execute("SELECT set_config('default_transaction_isolation', %s, false)",
                             (login.isolation.lower(),))
                conn.commit()
        except psycopg.Error as exc:
            raise map_error(exc) from exc
        assert row is not None
        self._server_zone = str(row[0]), int(row[1]), int(row[2])
        with self._lock:
            self._conn = conn

    def _connected(self) -> psycopg.Connection[Any]:
        conn = self._conn
        if self._cancelled:
            raise SourceConnectionError("The connector was stopped.")
        if conn is None or conn.closed:
            raise SourceConnectionError("The connection to the server is closed.")
        return conn

    def _rows(self, sql: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        conn = self._connected()
        try:
            return conn.execute(sql, values).fetchall()
        except psycopg.Error as exc:
            raise map_error(exc) from exc

    def now_us(self) -> int:
        found = self._rows("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8")
        self._end()
        return int(found[0][0])

    def _end(self) -> None:
        try:
            self._connected().rollback()
        except psycopg.Error as exc:
            raise map_error(exc) from exc

    def clock_note(self, zone: tzinfo) -> str:
        name, local_us, moment_us = self._server_zone
        if abs(local_of(moment_us, zone) - local_us) < _CLOCKS_DIFFER_US:
            return ""
        return f"The server's TimeZone is {name}, and db.timezone is {zone}."

    def tables(self, catalog: str | None, schema: str | None) -> Sequence[TableName]:
        found = self._rows(_TABLES, ("%" if schema is None else schema, "%" if catalog is None else catalog))
        self._end()
        return [TableName(base, space, name, _RELKINDS[kind]) for base, space, name, kind in found]

    def select(self, sql: str) -> _Pass:
        conn = self._connected()
        try:
            shape = self._described(conn, sql)
            columns = self._columns(shape)
            if _MAKES_NULLS.search(sql):
                columns = [replace(column, optional=True) for column in columns]
            cursor = conn.cursor(name=_PASS, scrollable=False)
            for oid in {kind for _, kind, _, _, _ in shape}:
                cursor.adapters.register_loader(oid, _Bytes if oid == 17 else _Text)
            cursor.itersize = self._login.fetch_rows
            cursor.execute(sql.encode())
        except psycopg.Error as exc:
            raise map_error(exc) from exc
        return _Pass(conn, cursor, columns)

    @staticmethod
    def _described(conn: psycopg.Connection[Any], sql: str) -> list[tuple[str, int, int, int, int]]:
        """Name, type, modifier, table and number of each column of *sql*."""
        conn.execute("SELECT 1")  # begins the transaction
        for made in (conn.pgconn.prepare(b"", sql.encode()), conn.pgconn.describe_prepared(b"")):
            if made.status != pq.ExecStatus.COMMAND_OK:
                raise psycopg.errors.lookup(
                    (made.error_field(pq.DiagnosticField.SQLSTATE) or b"XX000").decode())(
                        made.error_message.decode("utf-8", "replace"), info=made)
        return [((made.fname(at) or b"").decode(), made.ftype(at), made.fmod(at), made.ftable(at), made.ftablecol(at))
                for at in range(made.nfields)]

    def _columns(self, shape: Sequence[tuple[str, int, int, int, int]]) -> list[ColumnInfo]:
        relations = sorted({table for *_, table, _ in shape if table})
        facts = {(int(table), int(number)): (required == "true", counted == "true")
                 for table, number, required, counted in self._rows(_FACTS.format(relations=_joined(relations)))
                 } if relations else {}
        types = {int(oid): (kind, int(base), int(modifier), name) for oid, kind, base, modifier, name in self._rows(
            _TYPES.format(oids=_joined(sorted({kind for _, kind, _, _, _ in shape}))))}
        return [self._column(name, oid, modifier, types, *facts.get((table, number), (False, False)))
                for name, oid, modifier, table, number in shape]

    def _column(self, name: str, oid: int, modifier: int, types: dict[int, tuple[str, int, int, str]],
                required: bool, counted: bool) -> ColumnInfo:
        form, base, base_modifier, type_name = types.get(oid, ("b", 0, -1, str(oid)))
        if form == "d":  # a domain; its modifier is the domain's own
            oid, modifier = base, base_modifier
        kind = "string" if form == "e" or type_name == "citext" else _KINDS.get(oid, "")
        precision = scale = 0
        if kind == "decimal":
            if modifier < 4:
                kind = "string"  # without precision it has any number of digits
            else:
                packed = modifier - 4
                precision, scale = packed >> 16 & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024
        if kind == "decimal" and scale < 0:
            precision, scale = precision - scale, 0
        if oid == 1560:
            kind = "boolean" if modifier == 1 else ""
        return ColumnInfo(name, kind, not required, precision, scale, counted, kind == "decimal", type_name)

    def moment(self, micros: int, kind: str) -> str:
        days, clock = divmod(micros, DAY_US)
        year, month, day = date_of(days)
        era = "" if year > 0 else " BC"
        text = f"{year if year > 0 else 1 - year:04d}-{month:02d}-{day:02d} {clock_text(clock)}"
        return f"TIMESTAMPTZ '{text}+00{era}'" if kind == "timestamptz" else f"TIMESTAMP '{text}{era}'"

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
        if conn is not None:
            try:
                conn.cancel_safe(timeout=_CANCEL_S)
            except psycopg.Error:
                pass

    def close(self) -> None:
        with self._lock:
            conn, self._conn = self._conn, None
        if conn is not None:
            try:
                conn.close()
            except psycopg.Error:
                pass


def _joined(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def map_error(exc: psycopg.Error) -> SourceError:
    """Our error for *exc*. It leaves out the server's DETAIL, which shows values."""
    state = exc.sqlstate
    text = " ".join((exc.diag.message_primary or str(exc).partition("\n")[0] or type(exc).__name__).split())
    said = f"PostgreSQL says: {text}" if state else text
    said = said if said.endswith(".") else f"{said}."
    if state is None and not isinstance(exc, psycopg.OperationalError):
        return SourceRefusedError(said, hint="Check connection.url and its properties.")
    if state is None or state.startswith("08") or state in _RETRIABLE:
        refused = state is None and any(word in text for word in ("password", "does not exist", "certificate"))
        return SourceRefusedError(said) if refused else SourceConnectionError(said, sqlstate=state)
    return SourceRefusedError(said, sqlstate=state)
