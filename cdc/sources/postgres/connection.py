"""Connections to the server.

Ordinary connections run queries. Replication connections take replication commands and plain queries, but no
parameters, so their text is composed. PostgreSQL docs, "Streaming Replication Protocol", "Database Connection Control
Functions".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.adapt import Buffer, Loader
from psycopg.pq import TransactionStatus

from cdc.core.errors import SourceRefusedError
from cdc.log import get_logger
from cdc.sources.shared.selection import condition_refused

from .errors import map_error
from .notices import Notices
from .options import PostgresConfig

Connection = psycopg.Connection[Any]

log = get_logger(__name__)

_CANCEL_S: Final = 2.0
"""So long a cancel may take to reach the server where somebody waits for us to stop."""

_TIMEOUTS: Final = {"lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}

_SETTINGS: Final = {
    # The text form of values. The codecs rely on it.
    "DateStyle": "ISO", "IntervalStyle": "postgres", "TimeZone": "UTC", "extra_float_digits": "3",
    "bytea_output": "hex", "lc_monetary": "C",
    # The text form of names and expressions.
    "quote_all_identifiers": "off", "standard_conforming_strings": "on",
    # Where a row security policy hides rows, the server raises an error instead of leaving them out.
    "row_security": "off", "gin_fuzzy_search_limit": "0",
    "default_transaction_isolation": "read committed", "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    # The server tells in warnings what it cannot do.
    "client_min_messages": "notice",
}
_SETTINGS_SINCE: Final = ((140000, "idle_session_timeout", "0"), (170000, "transaction_timeout", "0"))
"""More settings, with the server's version that has them first."""

_USERS_PATH: Final = "cdc.search_path"
"""A setting of ours, in which the session keeps the user's search_path. PostgreSQL docs, "Customized Options"."""
_OWN_PATH: Final = "pg_catalog, pg_temp"

_PATIENCE: Final = {
    # A dead server is noticed within about a minute. The user's driver.* options override this.
    "connect_timeout": "10", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}


def connect(config: PostgresConfig, *, application_name: str = "cdc", query_timeout: bool = True) -> Connection:
    """An ordinary connection, in autocommit. *query_timeout* False: a statement may take any time, as in a snapshot."""
    timeout_ms = config.database_query_timeout_ms if query_timeout else 0
    return _open(config, {"application_name": application_name}, timeout_ms)


def connect_replication(config: PostgresConfig, *, application_name: str = "cdc") -> Connection:
    """A replication connection to the configured database. Statements have no timeout."""
    return _open(config, {"application_name": application_name, "replication": "database"}, 0)


def _open(config: PostgresConfig, parameters: Mapping[str, str], timeout_ms: int) -> Connection:
    try:
        conn = psycopg.connect(_conninfo(config, parameters, {"statement_timeout": str(timeout_ms), **_TIMEOUTS}),
                               autocommit=True, prepare_threshold=None)
        conn.add_notice_handler(Notices())
        try:
            for statement in config.database_initial_statements:
                conn.execute(statement.encode())
            if conn.info.parameter_status("client_encoding") != "UTF8":
                conn.execute("SET client_encoding = 'UTF8'")
            conn.execute(_pinned(conn.info.server_version).encode())
        except BaseException:
            conn.close()
            raise
    except psycopg.Error as exc:
        raise map_error(exc) from exc
    except UnicodeEncodeError:
        raise SourceRefusedError(  # without its cause, which holds the connection string
            "A connection setting holds half of a surrogate pair, which is no character.",
            hint="Check the \\u escapes in database.password and the other database.* settings.") from None
    return conn


def _pinned(version: int) -> str:
    """The statement that sets what results depend on, after the user's own statements: defaults of the role, the
    database, the server or libpq's environment (PGTZ, PGDATESTYLE) must not change a result.

    The search_path leaves our own queries only what the server itself defines, and names in the server's answers come
    with their schema. PostgreSQL docs, "Writing SECURITY DEFINER Functions Safely".
    """
    settings = {**_SETTINGS, **{name: value for since, name, value in _SETTINGS_SINCE if version >= since}}
    texts = [f"'{_USERS_PATH}', pg_catalog.current_setting('search_path')", f"'search_path', '{_OWN_PATH}'",
             *(f"'{name}', '{value}'" for name, value in settings.items())]
    return "SELECT " + ", ".join(f"pg_catalog.set_config({text}, false)" for text in texts)


@contextmanager
def users_search_path(conn: Connection) -> Iterator[None]:
    """For SQL of the user, and for statements that run the user's event triggers: names without a schema mean what they
    mean in the user's other sessions. Raises SourceError."""
    query(conn, f"SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('{_USERS_PATH}'), false)")
    try:
        yield
    finally:  # a transaction that failed puts the path back itself, when it is rolled back
        if conn.info.transaction_status in (TransactionStatus.IDLE, TransactionStatus.INTRANS):
            query(conn, f"SELECT pg_catalog.set_config('search_path', '{_OWN_PATH}', false)")


def _conninfo(config: PostgresConfig, parameters: Mapping[str, str], settings: Mapping[str, str]) -> str:
    """The configured connection string with *settings*. The user's libpq `options` come first, so *settings* win."""
    given = config.parameters()
    patience = {key: value for key, value in _PATIENCE.items() if key not in given}
    ours = (f"-c {key}={value}" for key, value in settings.items())
    options = " ".join([str(given.get("options", "")), *ours]).strip()
    return config.conninfo(**patience, **parameters, options=options, client_encoding="UTF8")


def unchecked(conn: Connection) -> bool:
    """Whether the database has the encoding SQL_ASCII: then its texts are bytes of any kind. The server refuses to send
    those that are no UTF-8 to a client that wants UTF-8. PostgreSQL docs, "Character Set Support"."""
    return conn.info.parameter_status("server_encoding") == "SQL_ASCII"


def send_unchecked(conn: Connection) -> None:
    """Have the server send the texts of such a database as they are, for as long as *conn* lives. psycopg then gives
    texts as bytes. Raises SourceError."""
    if unchecked(conn):
        execute(conn, "SET client_encoding = 'SQL_ASCII'")


class _AnyText(Loader):
    """Text in which each sequence that is no UTF-8 becomes U+FFFD, as in values (`TextCodec`)."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "replace")


_ANY_OTHER: Final = 0
"""The types that psycopg does not know, by oid."""


@contextmanager
def any_text(conn: Connection) -> Iterator[None]:
    """In this block queries read the texts of such a database, too. In other databases it changes nothing."""
    if not unchecked(conn):
        yield
        return
    for type_name in ("text", "varchar", "bpchar", "name", '"char"', _ANY_OTHER):
        conn.adapters.register_loader(type_name, _AnyText)
    conn.execute("SET client_encoding = 'SQL_ASCII'")
    try:
        yield
    finally:  # a transaction that failed puts it back itself, when it is rolled back
        if conn.info.transaction_status in (TransactionStatus.IDLE, TransactionStatus.INTRANS):
            conn.execute("SET client_encoding = 'UTF8'")


def query(conn: Connection, text: LiteralString | sql.SQL | sql.Composed, *parameters: Any) -> list[tuple[Any, ...]]:
    """All rows of the query *text*. Only ordinary connections take *parameters*. Raises SourceError."""
    try:
        with any_text(conn):
            cursor = conn.execute(text, parameters or None)
            return cursor.fetchall() if cursor.description else []
    except psycopg.Error as exc:
        raise map_error(exc) from exc


def check_condition(conn: Connection, table: str, select: sql.Composed) -> None:
    """Raises SourceRefusedError if the server does not take *select*, which has a condition of the user for the rows of
    *table*. It goes by the extended protocol, where the server takes no second statement."""
    with users_search_path(conn):
        try:
            conn.execute(select + sql.SQL(" LIMIT 0"), binary=True)
        except psycopg.Error as exc:
            error = map_error(exc)
            raise condition_refused(table, error) if isinstance(error, SourceRefusedError) else error from exc


def execute(conn: Connection, text: LiteralString) -> None:
    """Run *text*, which gives no rows. Raises SourceError."""
    try:
        conn.execute(text)
    except psycopg.Error as exc:
        raise map_error(exc) from exc


def interrupt(conn: Connection | None, timeout_s: float = _CANCEL_S) -> None:
    """End what the server is doing for *conn*, if that is open. From any thread. Logs a warning if the server cannot be
    told within *timeout_s*."""
    if conn is not None and not conn.closed:
        try:
            conn.cancel_safe(timeout=timeout_s)
        except psycopg.Error as exc:
            if not conn.closed:  # else it has ended meanwhile
                log.warning("cancel_failed", error=type(exc).__name__)


def quoted(name: str) -> str:
    """*name* as an SQL identifier, for text that psycopg does not compose."""
    return sql.Identifier(name).as_string(None)
