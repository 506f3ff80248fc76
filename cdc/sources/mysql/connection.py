"""Connections to the server, and statements over them; every failure becomes an error of ours.

MySQL Reference Manual, "Server System Variables"; tcp(7) for the keep-alive options.
"""

from __future__ import annotations

import functools
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final, TypeAlias, cast

import pymysql
from pymysql.constants import COMMAND

from cdc.core.errors import SourceError, SourceRefusedError
from cdc.log import get_logger
from cdc.sources.shared.hangup import hang_up
from cdc.sources.shared.login import LimitedLogin
from cdc.sources.shared.selection import condition_refused

from .errors import map_error
from .flavor import Flavor, flavor_of
from .options import MySqlConfig

log = get_logger(__name__)

Connection: TypeAlias = "pymysql.Connection[Any]"

TEXTS_AS_STORED: Final = "SET SESSION character_set_results = NULL"
"""Texts of results come in their columns' character sets, as in row events; else in UTF-8, as this sets again:"""
TEXTS_AS_UTF8: Final = "SET SESSION character_set_results = utf8mb4"
_KILL_S: Final = 1.0
_CONNECT_S: Final = 5
"""Of a connection that only ends the statement of another one."""
_COMPARED: Final = 1000
"""Characters of a statement that tell it from others: behind a proxy, a session's number may be another one's."""
_WEEK_S: Final = 604_800
_YEAR_S: Final = 31_536_000


def connect(config: MySqlConfig, *, application_name: str = "cdc", query_timeout: bool = True) -> Connection:
    """An ordinary connection in autocommit: texts in UTF-8, times in UTC, whatever the server's defaults are. Without
    *query_timeout* its statements may take any time. Raises a SourceError."""
    arguments = connection_arguments(config, application_name)
    timeout_ms = config.database_query_timeout_ms if query_timeout else 0
    if timeout_ms:
        arguments["read_timeout"] = timeout_ms // 1000 + 60  # the server's own limit comes first
    conn = open_connection(arguments)
    try:
        for statement in session_statements(flavor_of(server_info(conn)), timeout_ms,
                                            config.database_initial_statements):
            query(conn, statement)
    except BaseException:
        close(conn)
        raise
    return conn


def connection_arguments(config: MySqlConfig, application_name: str = "cdc") -> dict[str, Any]:
    """The arguments for PyMySQL, TLS included. Raises SourceRefusedError if a certificate file cannot be read, or if
    the password is no text."""
    host = config.database_hostname
    place = {"unix_socket": host} if host.startswith("/") else {"host": host, "port": config.database_port}
    return {
        **place, "user": config.database_user,
        "password": _password(config.database_password or ""), "charset": "utf8mb4", "autocommit": True,
        "connect_timeout": max(1, min(31_536_000, (config.connect_timeout_ms + 999) // 1000)),
        "program_name": application_name, **_tls(config),
    }


def _password(text: str) -> bytes:
    """The bytes that the server's own clients would send: UTF-8. PyMySQL itself would take Latin-1. Bytes of an
    environment variable or a file that are no UTF-8 arrive as Python's surrogate escapes, and become themselves again.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise SourceRefusedError(  # without its cause, which holds the password
            "The password holds half of a surrogate pair, which is no character.",
            option="database.password", hint="Check the \\u escapes in database.password.") from None


class _Opened(LimitedLogin, pymysql.Connection):
    """PyMySQL's connection. Where it may use TLS and verifies nothing, PyMySQL would load all certificates that the
    system trusts, for each connection again: 40 ms of CPU time, and half a megabyte that stays with it.

    `arguments`: those of `open_connection`. `asked`: a statement whose result may not be over."""

    arguments: Mapping[str, Any] = {}
    asked: str | bytes = b""

    def _execute_command(self, command: int, sql: str | bytes) -> None:
        self.asked = sql if command == COMMAND.COM_QUERY else b""
        super()._execute_command(command, sql)  # type: ignore[misc]

    def query(self, sql: str | bytes, unbuffered: bool = False) -> int:
        found: int = super().query(sql, unbuffered)
        if not unbuffered:
            self.asked = b""
        return found

    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        return super()._create_ssl_ctx(sslp) if sslp else _unverified()  # type: ignore[misc]


@functools.cache
def _unverified() -> ssl.SSLContext:
    """Trusts any certificate. Several connections may share it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def open_connection(arguments: Mapping[str, Any]) -> Connection:
    """Connect and log in. Raises SourceConnectionError or SourceRefusedError."""
    try:
        conn = _Opened(**arguments)
        conn.arguments = arguments
        _watch(conn)
        return conn
    except pymysql.MySQLError as exc:
        raise map_error(exc) from exc
    except RuntimeError as exc:  # PyMySQL, without the package for RSA or Ed25519 keys
        raise SourceRefusedError(f"The server asks for a login method that is not installed: {exc}.",
                                 hint="Use TLS, or install PyMySQL[rsa,ed25519].") from exc


def _watch(conn: Connection) -> None:
    """Let the kernel probe an idle connection (tcp(7)). So we notice within minutes that the server is gone, even in a
    long statement."""
    sock: Any = conn._sock  # type: ignore[attr-defined]
    if sock.family != socket.AF_UNIX:
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6)):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def close(conn: Connection) -> None:
    """Raises nothing."""
    try:
        conn.close()
    except pymysql.MySQLError:
        pass


def interrupt(conn: Connection) -> None:
    """End what *conn* waits for, with a lost connection; also with TLS. From another thread.

    The server would notice that only when it has something to send, and a SELECT that sorts may be long before that. So
    it is told as well; it has `_KILL_S` for it.
    """
    sock: Any = conn._sock  # type: ignore[attr-defined]
    asked = conn.asked if isinstance(conn, _Opened) else b""
    try:
        with socket.socket(fileno=os.dup(sock.fileno())) as below:
            hang_up(below)
    except (AttributeError, OSError):  # it was closed meanwhile
        return
    if asked:
        arguments = {**cast(_Opened, conn).arguments, "connect_timeout": _CONNECT_S, "read_timeout": _CONNECT_S}
        number = conn.thread_id()  # type: ignore[no-untyped-call]
        thread = threading.Thread(target=_kill_query, args=(arguments, number, asked), name="kill-query", daemon=True)
        thread.start()
        thread.join(_KILL_S)


def _kill_query(arguments: Mapping[str, Any], number: int, asked: str | bytes) -> None:
    """End statement *asked* of session *number*, if the server that a new connection reaches has it."""
    text = asked if isinstance(asked, str) else asked.decode("utf-8", "replace")
    try:
        with closing(open_connection(arguments)) as conn:
            running = query(conn, "SELECT INFO FROM information_schema.PROCESSLIST WHERE ID = %s", number)
            if running and str(running[0][0])[:_COMPARED] == text.strip()[:_COMPARED]:
                query(conn, f"KILL QUERY {int(number)}")
    except (SourceError, pymysql.MySQLError) as exc:  # it ends when it has something to send
        log.info("statement_not_ended", session=number, reason=type(exc).__name__)


def query(conn: Connection, text: str, *parameters: Any) -> tuple[tuple[Any, ...], ...]:
    """All rows of *text*. Raises a SourceError."""
    try:
        with conn.cursor() as cursor:
            cursor.execute(text, parameters or None)
            return tuple(cursor.fetchall())
    except pymysql.MySQLError as exc:
        raise map_error(exc) from exc


def check_condition(conn: Connection, table: str, select: str) -> None:
    """Raises SourceRefusedError if the server does not take *select*, which has a condition of the user for the rows of
    *table*. The server only prepares it: MariaDB would compute what is constant in it even for LIMIT 0, however long
    that takes. MySQL Reference Manual, "PREPARE Statement"."""
    try:
        query(conn, "PREPARE cdc_check FROM %s", select)
        query(conn, "DEALLOCATE PREPARE cdc_check")
    except SourceRefusedError as exc:
        raise condition_refused(table, exc) from exc


def query_named(conn: Connection, text: str) -> list[dict[str, Any]]:
    """All rows of *text*, with the columns' names. Raises a SourceError."""
    try:
        with conn.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(text)
            return list(cursor.fetchall())
    except pymysql.MySQLError as exc:
        raise map_error(exc) from exc


def query_bytes(conn: Connection, text: str) -> tuple[tuple[bytes | None, ...], ...]:
    """As `query`, but values are bytes: a statement that the server prints may contain bytes that are no text."""
    conn.use_unicode = False
    try:
        return query(conn, text)
    finally:
        conn.use_unicode = True


def ask(conn: Any, text: str) -> None:
    """Run *text*, and read its result up to where the rows begin. Raises PyMySQL's errors."""
    conn._execute_command(COMMAND.COM_QUERY, text)
    columns = int(conn._read_packet().read_length_encoded_integer())
    for _ in range(columns + 1):  # the definitions, and the EOF after them
        conn._read_packet()


def packets(conn: Any, text: str) -> Iterator[bytes]:
    """The rows of *text*, as they come, each with the bytes of its packet. Raises PyMySQL's errors."""
    ask(conn, text)
    yield from rows(conn)


def rows(conn: Any) -> Iterator[bytes]:
    """Those of the result that comes now, as `packets`."""
    while True:
        packet = conn._read_packet()
        if packet.is_eof_packet():
            break
        yield packet.get_all_data()


def server_info(conn: Connection) -> str:
    """The version the server introduces itself with."""
    return str(conn.get_server_info())  # type: ignore[no-untyped-call]


def session_statements(flavor: Flavor, timeout_ms: int, initial: Sequence[str]) -> list[str]:
    """What a new session runs. The user's *initial* statements can change timeouts, but not what results depend on."""
    waits = {"net_write_timeout": "3600", "net_read_timeout": "3600", "wait_timeout": str(_WEEK_S),
             "lock_wait_timeout": str(max(1, timeout_ms // 1000) if timeout_ms else _YEAR_S),
             **flavor.session_timeouts(timeout_ms)}
    return [_set(waits), *initial, _set({**_RESULTS, **flavor.session_settings}) + ", NAMES utf8mb4",
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE"]


_NO_LIMIT: Final = "18446744073709551615"
_RESULTS: Final = {
    "time_zone": "'+00:00'", "sql_mode": "''", "sql_quote_show_create": "1", "sql_auto_is_null": "0",
    # An idle connection holds no lock and no old view of the rows.
    "autocommit": "1", "completion_type": "0",
    # Nothing is cut, and no SELECT is refused for its size. max_join_size comes first, because it resets the other.
    "sql_select_limit": _NO_LIMIT, "max_join_size": _NO_LIMIT, "sql_big_selects": "1",
    "group_concat_max_len": "1073741824",
}
"""The server's defaults for new sessions, and its init_connect, must not change a result."""


def _set(settings: Mapping[str, str]) -> str:
    return "SET SESSION " + ", ".join(f"{name} = {value}" for name, value in settings.items())


_VERIFIES: Final = ("verify_ca", "verify_identity", "verify-ca", "verify-full")
_CHECKS_NAME: Final = ("verify_identity", "verify-full")


def _tls(config: MySqlConfig) -> dict[str, Any]:
    """`ssl` or `ssl_disabled` for PyMySQL. `preferred` uses TLS if the server offers it, without verifying it."""
    mode = config.database_ssl_mode
    if mode in ("disabled", "disable"):
        return {"ssl_disabled": True}
    if mode == "preferred" and not config.database_ssl_keystore:
        return {}
    try:
        context = ssl.create_default_context(cafile=config.database_ssl_truststore)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # certificates that a server makes itself lack extensions
        context.check_hostname = mode in _CHECKS_NAME
        context.verify_mode = ssl.CERT_REQUIRED if mode in _VERIFIES else ssl.CERT_NONE
        if config.database_ssl_keystore:
            password = config.database_ssl_keystore_password
            context.load_cert_chain(config.database_ssl_keystore, password=password or (lambda: ""))
    except (OSError, ssl.SSLError) as exc:
        raise SourceRefusedError(
            f"The certificates for TLS cannot be read: {exc.strerror or type(exc).__name__}.",
            hint="database.ssl.truststore and database.ssl.keystore must name readable PEM files; the keystore contains"
                 " certificate and key.") from exc
    return {"ssl": context}
