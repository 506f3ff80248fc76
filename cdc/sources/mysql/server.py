"""Connections to the server and what can be known of it before streaming; every failure becomes an error of ours.

MySQL Reference Manual, "Privileges Provided by MySQL", "Binary Logging Options and Variables"; "Server Error Message
Reference", "Client Error Message Reference"; MariaDB docs, "Error Codes", "GRANT". The texts of error 1236 are in
sql/rpl_binlog_sender.cc (MySQL) and sql/sql_repl.cc (MariaDB).
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pymysql
from pymysql.constants import CR, ER

from cdc.core.errors import PositionLostError, SourceConnectionError, SourceError, SourceRefusedError
from cdc.core.schema import TableId
from cdc.log import get_logger

from .options import MARIADB, MySqlConfig

log = get_logger(__name__)

Connection: TypeAlias = "pymysql.Connection[Any]"

MINIMUM_MYSQL: Final = 80000
MINIMUM_MARIADB: Final = 100600
DAY_S: Final = 86_400


# -- connections -----------------------------------------------------------------------------------------------------


def connect(config: MySqlConfig, *, application_name: str = "cdc", query_timeout: bool = True) -> Connection:
    """An ordinary connection in autocommit: texts in UTF-8, times in UTC. *query_timeout* False is for work whose
    length nobody can know. Raises a SourceError."""
    arguments = connection_arguments(config, application_name)
    timeout_ms = config.database_query_timeout_ms if query_timeout else 0
    if timeout_ms:
        arguments["read_timeout"] = timeout_ms // 1000 + 60  # the server's own limit comes first
    conn = open_connection(arguments)
    try:
        mariadb = is_mariadb(conn)
        for statement in (*_session(mariadb, timeout_ms), *config.database_initial_statements):
            query(conn, statement)
    except BaseException:
        close(conn)
        raise
    return conn


def connection_arguments(config: MySqlConfig, application_name: str = "cdc") -> dict[str, Any]:
    """What PyMySQL is told, TLS included. Raises SourceRefusedError when a certificate file cannot be read."""
    host = config.database_hostname
    place = {"unix_socket": host} if host.startswith("/") else {"host": host, "port": config.database_port}
    return {
        **place, "user": config.database_user,
        "password": config.database_password or "", "charset": "utf8mb4", "autocommit": True,
        "connect_timeout": max(1, min(31_536_000, (config.connect_timeout_ms + 999) // 1000)),
        "program_name": application_name, **_tls(config),
    }


def open_connection(arguments: Mapping[str, Any]) -> Connection:
    """Connect and log in. Raises SourceConnectionError or SourceRefusedError."""
    try:
        conn = pymysql.connect(**arguments)
        _watch(conn)
        return conn
    except pymysql.MySQLError as exc:
        raise map_error(exc) from exc
    except RuntimeError as exc:  # PyMySQL, without the package for RSA or Ed25519 keys
        raise SourceRefusedError(f"The server wants a way to log in that is not installed: {exc}.",
                                 hint="Use TLS, or install PyMySQL[rsa,ed25519].") from exc


def _watch(conn: Connection) -> None:
    """Notice within minutes that the server is gone without a word, however long a statement may take: tcp(7)."""
    sock: Any = conn._sock  # type: ignore[attr-defined]
    if sock.family != socket.AF_UNIX:
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6)):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def close(conn: Connection) -> None:
    """Without fail."""
    try:
        conn.close()
    except pymysql.MySQLError:
        pass


def interrupt(conn: Connection) -> None:
    """From another thread: what *conn* waits for ends in a lost connection, with TLS too."""
    sock: Any = conn._sock  # type: ignore[attr-defined]
    try:
        with socket.socket(fileno=os.dup(sock.fileno())) as below:
            below.shutdown(socket.SHUT_RDWR)
    except (AttributeError, OSError):  # it was closed meanwhile
        pass


def query(conn: Connection, text: str, *parameters: Any) -> tuple[tuple[Any, ...], ...]:
    """All rows of *text*. Raises a SourceError."""
    try:
        with conn.cursor() as cursor:
            cursor.execute(text, parameters or None)
            return tuple(cursor.fetchall())
    except pymysql.MySQLError as exc:
        raise map_error(exc) from exc


def query_bytes(conn: Connection, text: str) -> tuple[tuple[bytes | None, ...], ...]:
    """As `query`, values as they come: a statement that the server prints may hold bytes that are no text."""
    conn.use_unicode = False
    try:
        return query(conn, text)
    finally:
        conn.use_unicode = True


def log_status(conn: Connection) -> tuple[Any, ...]:
    """The server's own words on the end of its log: file, position and more. Raises a SourceError."""
    try:
        rows = query(conn, "SHOW BINARY LOG STATUS")
    except SourceRefusedError:
        rows = query(conn, "SHOW MASTER STATUS")  # MariaDB; MySQL before 8.2
    if not rows:
        raise SourceRefusedError("The binary log is switched off.", hint="Start the server with log_bin.")
    return rows[0]


def is_mariadb(conn: Connection) -> bool:
    """By the version the server introduces itself with."""
    return "mariadb" in str(conn.get_server_info()).lower()  # type: ignore[no-untyped-call]


def _session(mariadb: bool, timeout_ms: int) -> list[str]:
    """What results print as must not depend on the server's defaults; a slow consumer must not lose the connection."""
    settings = {"time_zone": "'+00:00'", "sql_mode": "''", "sql_quote_show_create": "1", "net_write_timeout": "3600",
                "net_read_timeout": "3600", "wait_timeout": str(7 * DAY_S)}
    if mariadb:
        settings["max_statement_time"] = f"{timeout_ms / 1000:g}"
    else:
        settings |= {"max_execution_time": str(timeout_ms), "information_schema_stats_expiry": "0"}
    return ["SET SESSION " + ", ".join(f"{name} = {value}" for name, value in settings.items())]


_VERIFIES: Final = ("verify_ca", "verify_identity", "verify-ca", "verify-full")
_CHECKS_NAME: Final = ("verify_identity", "verify-full")


def _tls(config: MySqlConfig) -> dict[str, Any]:
    """`ssl` or `ssl_disabled` for PyMySQL. `preferred` uses TLS where the server has it, unverified."""
    mode = config.database_ssl_mode
    if mode in ("disabled", "disable"):
        return {"ssl_disabled": True}
    if mode == "preferred" and not config.database_ssl_keystore:
        return {}
    try:
        context = ssl.create_default_context(cafile=config.database_ssl_truststore)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # certificates the server makes for itself lack extensions
        context.check_hostname = mode in _CHECKS_NAME
        context.verify_mode = ssl.CERT_REQUIRED if mode in _VERIFIES else ssl.CERT_NONE
        if config.database_ssl_keystore:
            password = config.database_ssl_keystore_password
            context.load_cert_chain(config.database_ssl_keystore, password=password or (lambda: ""))
    except (OSError, ssl.SSLError) as exc:
        raise SourceRefusedError(
            f"The certificates for TLS cannot be read: {exc.strerror or type(exc).__name__}.",
            hint="database.ssl.truststore and database.ssl.keystore name readable files in PEM; the latter has"
                 " certificate and key.") from exc
    return {"ssl": context}


# -- errors ----------------------------------------------------------------------------------------------------------

_RETRIABLE: Final = frozenset({
    CR.CR_CONNECTION_ERROR, CR.CR_CONN_HOST_ERROR, CR.CR_UNKNOWN_HOST, CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST,
    CR.CR_SERVER_HANDSHAKE_ERR, CR.CR_SERVER_LOST_EXTENDED, CR.CR_MALFORMED_PACKET,
    ER.CON_COUNT_ERROR, ER.TOO_MANY_USER_CONNECTIONS, ER.USER_LIMIT_REACHED, ER.SERVER_SHUTDOWN, ER.NORMAL_SHUTDOWN,
    ER.SHUTDOWN_COMPLETE, ER.FORCING_CLOSE, ER.ABORTING_CONNECTION, ER.NEW_ABORTING_CONNECTION, ER.NET_READ_ERROR,
    ER.NET_READ_INTERRUPTED, ER.NET_ERROR_ON_WRITE, ER.NET_WRITE_INTERRUPTED, ER.LOCK_WAIT_TIMEOUT, ER.LOCK_DEADLOCK,
    ER.QUERY_INTERRUPTED, ER.QUERY_TIMEOUT, ER.TABLE_DEF_CHANGED,
    ER.OUTOFMEMORY, ER.OUT_OF_RESOURCES, ER.CANT_CREATE_THREAD,
    1047,  # ER_UNKNOWN_COM_ERROR: a Galera node that is not ready
    1927,  # MariaDB ER_CONNECTION_KILLED
    1969,  # MariaDB ER_STATEMENT_TIMEOUT
    3168,  # ER_SERVER_ISNT_AVAILABLE
    3032,  # ER_SERVER_OFFLINE_MODE
    3169,  # ER_SESSION_WAS_KILLED
    4031,  # ER_CLIENT_INTERACTION_TIMEOUT
})
_LOST: Final = frozenset({
    1789,  # ER_SOURCE_HAS_PURGED_REQUIRED_GTIDS
    1945, 1955,  # MariaDB ER_GTID_POSITION_NOT_FOUND_IN_BINLOG, …2
})
_HINTS: Final[Mapping[int, str]] = {
    ER.ACCESS_DENIED_ERROR: "Check database.user and database.password, and that an account for this host exists;"
                            " on MariaDB an anonymous account may take precedence.",
    1698: "Check database.user and database.password.",  # ER_ACCESS_DENIED_NO_PASSWORD_ERROR
    ER.DBACCESS_DENIED_ERROR: "Grant the user access to that database.",
    ER.TABLEACCESS_DENIED_ERROR: "Run GRANT SELECT ON that table for the user, or leave it out.",
    ER.COLUMNACCESS_DENIED_ERROR: "Run GRANT SELECT ON that table for the user, or leave it out.",
    ER.SPECIFIC_ACCESS_DENIED_ERROR: "Grant the user the privilege the server names.",
    ER.HOST_NOT_PRIVILEGED: "Create an account for this host.",
    ER.HOST_IS_BLOCKED: "Run FLUSH HOSTS (TRUNCATE performance_schema.host_cache) on the server.",
    ER.NOT_SUPPORTED_AUTH_MODE: "Use an account with caching_sha2_password, mysql_native_password or ed25519.",
    CR.CR_AUTH_PLUGIN_CANNOT_LOAD: "Use an account with caching_sha2_password, mysql_native_password or ed25519.",
    CR.CR_SSL_CONNECTION_ERROR: "Switch TLS on in the server, or lower database.ssl.mode.",
    1820: "Log in once and set a new password.",  # ER_MUST_CHANGE_PASSWORD
    1862: "Log in once and set a new password.",  # ER_MUST_CHANGE_PASSWORD_LOGIN
    3118: "Run ALTER USER … ACCOUNT UNLOCK.",  # ER_ACCOUNT_HAS_BEEN_LOCKED
    4151: "Run ALTER USER … ACCOUNT UNLOCK.",  # MariaDB ER_ACCOUNT_HAS_BEEN_LOCKED
    ER.NO_BINARY_LOGGING: "Start the server with log_bin.",
}

PURGED_HINT: Final = (
    "Take a new snapshot: reset the connector's offsets. To keep this from happening, keep logs longer"
    " (binlog_expire_logs_seconds)."
)
_OTHER_HISTORY: Final = (
    "The server was reset or restored, or is another one. Point the connector at the right server, or reset its"
    " offsets and take a new snapshot."
)
_CLASH: Final = "Give each client and replica of this topology its own database.server.id."
_READ_AGAIN: Final = "If the logs were reset or deleted, the next try says so; else see the server's error log."

_DUMP_ERRORS: Final[tuple[tuple[str, type[SourceError], str], ...]] = (
    # Server_id clashes first: their text also speaks of the position. The server ends the older stream, and its own
    # words ask for no reconnect: two clients that did would throw each other out for ever.
    (r"same server[_ ]?(uuid|id)", SourceRefusedError, _CLASH),
    (r"could not find next log|i/o error reading", SourceConnectionError, _READ_AGAIN),
    (r"anonymous transaction", SourceRefusedError,
     "Transactions without GTIDs follow the stored position: start once with gtid.ignore.on.recovery=true, which"
     " resumes by file and position."),
    (r"gtid-transaction when", SourceRefusedError,
     "Set gtid_mode=OFF_PERMISSIVE until the connector has read what has GTIDs, or take a new snapshot: reset its"
     " offsets."),
    (r"purged required|purged .*gtid|files have been purged|could not find first log|could not open log file"
     r"|gtid .* not in the .*binlog$",
     PositionLostError, PURGED_HINT),
    (r"more gtids than|diverged|position > file size|impossible position|not in the (master|source)'s binlog"
     r"|start position .*is bigger|alternate history|errant", PositionLostError, _OTHER_HISTORY),
    (r"binary log is not open|log-bin|binlog is not", SourceRefusedError, "Start the server with log_bin."),
    (r"max_allowed_packet|exceeded", SourceRefusedError, "Raise max_allowed_packet on the server to 1G."),
    (r"server[_ ]id was not set|misconfigured", SourceRefusedError, "Set server_id on the server."),
    (r"checksum", SourceRefusedError, "Report this with the server's version."),
)
"""Error 1236 (ER_SOURCE_FATAL_ERROR_READING_BINLOG) stands for all that can go wrong with a dump: only its text says
what. The server writes it in English whatever lc_messages is."""


def map_error(exc: BaseException) -> SourceError:
    """Our error for one of PyMySQL's, or of the socket below it. Other exceptions count as a lost connection only if
    they are of the operating system's."""
    if not isinstance(exc, pymysql.MySQLError):
        assert isinstance(exc, OSError | EOFError), exc
        return SourceConnectionError(f"The connection to the server is lost: {type(exc).__name__}.")
    code, text = _parts(exc)
    below = getattr(exc, "original_exception", None)
    if isinstance(below, ssl.SSLError):
        return _tls_error(below)
    said = f"The server says: {text}" if code >= 1000 and not 2000 <= code < 3000 else text
    if code in (ER.MASTER_FATAL_ERROR_READING_BINLOG, 4052):  # MariaDB ER_SLAVE_SAME_ID
        return _dump_error(said, text)
    if code in _LOST:
        return PositionLostError(said, hint=PURGED_HINT, errno=code)
    if code in _RETRIABLE or isinstance(exc, pymysql.InterfaceError):
        hint = "Check database.hostname and database.port." if code in (2002, 2003, 2005) else ""
        return SourceConnectionError(said, hint=hint, errno=code or None)
    return SourceRefusedError(said, hint=_HINTS.get(code, ""), errno=code or None)


def _parts(exc: BaseException) -> tuple[int, str]:
    """Number and text of one of PyMySQL's errors; the text as a sentence on one line."""
    code = exc.args[0] if exc.args and isinstance(exc.args[0], int) else 0
    words = " ".join(str(exc.args[1] if len(exc.args) > 1 and code else exc).split())
    words = re.sub(r" \(using password: (YES|NO)\)", "", words)
    if code in (0, CR.CR_SERVER_GONE_ERROR) and not words.strip("(0, ')"):
        words = "The connection to the server is lost"
    return code, words if words.endswith((".", "?", "!")) else f"{words}."


def _tls_error(below: ssl.SSLError) -> SourceError:
    if isinstance(below, ssl.SSLCertVerificationError):
        return SourceRefusedError(f"The server's certificate is not accepted: {below.verify_message.rstrip('.')}.",
                                  hint="Check database.ssl.truststore and database.hostname, or lower"
                                       " database.ssl.mode.")
    return SourceConnectionError(f"TLS with the server failed: {below.reason or type(below).__name__}.")


def _dump_error(said: str, text: str) -> SourceError:
    if re.search(_DUMP_ERRORS[0][0], text, re.IGNORECASE):
        said = "Another client or replica with this connector's server id connected, so the server ended the stream."
    for pattern, kind, hint in _DUMP_ERRORS:
        if re.search(pattern, text.rstrip("."), re.IGNORECASE):
            return kind(said, hint=hint, errno=ER.MASTER_FATAL_ERROR_READING_BINLOG)
    return SourceRefusedError(said, hint="The server cannot read its log there; see its own error log.",
                              errno=ER.MASTER_FATAL_ERROR_READING_BINLOG)


# -- the server ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MySqlFacts:
    """`version_id` as versioned comments count it (90704, 101119). `gtid_mode` is MySQL's; MariaDB always has GTIDs.
    Texts are as the server prints them, in upper case where they are words."""

    mariadb: bool
    version: str
    version_id: int
    user: str
    """The account in use, `'user'@'host'`."""
    server_id: int
    server_uuid: str
    """Tells servers apart: MySQL's server_uuid, MariaDB's server_uid, or where it has none its server_id."""
    log_bin: bool
    binlog_format: str
    row_image: str
    row_metadata: str
    gtid_mode: str | None
    checksum: str
    row_value_options: str
    expire_s: int | None
    """How long logs are kept; 0 for ever, None unknown."""
    folds_names: bool
    """lower_case_table_names is 1 or 2: names of tables are compared without case."""
    charset: str
    collation: str
    sql_mode: str
    max_allowed_packet: int

    @property
    def has_gtids(self) -> bool:
        return self.mariadb or self.gtid_mode == "ON"


_VARIABLES: Final = (
    "server_id", "server_uuid", "server_uid", "log_bin", "binlog_format", "binlog_row_image", "binlog_row_metadata",
    "gtid_mode", "binlog_checksum", "binlog_row_value_options", "binlog_expire_logs_seconds", "expire_logs_days",
    "lower_case_table_names", "character_set_server", "collation_server", "sql_mode", "max_allowed_packet",
)


def read_facts(conn: Connection) -> MySqlFacts:
    """Raises a SourceError."""
    names = ", ".join(f"'{name}'" for name in _VARIABLES)
    found = {str(name).lower(): str(value)
             for name, value in query(conn, f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")}
    (version, account), = query(conn, "SELECT VERSION(), CURRENT_USER()")
    mariadb = is_mariadb(conn) or "mariadb" in str(version).lower()
    return MySqlFacts(
        mariadb, str(version), version_id(str(version)), _account(str(account)), int(found.get("server_id", "0")),
        found.get("server_uuid") or found.get("server_uid") or f"server_id={found.get('server_id', '0')}",
        found.get("log_bin", "").upper() in ("ON", "1"),
        found.get("binlog_format", "ROW").upper(), found.get("binlog_row_image", "FULL").upper(),
        found.get("binlog_row_metadata", "").upper() or "NO_LOG", found.get("gtid_mode", "").upper() or None,
        found.get("binlog_checksum", "").upper(), found.get("binlog_row_value_options", "").upper(), _expire_s(found),
        found.get("lower_case_table_names", "0") != "0", found.get("character_set_server", "utf8mb4"),
        found.get("collation_server", ""), found.get("sql_mode", ""), int(found.get("max_allowed_packet", "0")),
    )


def version_id(text: str) -> int:
    """`9.7.4` is 90704, `10.11.19-MariaDB-log` and `5.5.5-10.11.19-MariaDB` are 101119."""
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", text.removeprefix("5.5.5-"))
    return int(match[1]) * 10000 + int(match[2]) * 100 + int(match[3]) if match else 0


def _account(text: str) -> str:
    user, _, host = text.rpartition("@")
    return "@".join("'" + part.replace("'", "''") + "'" for part in (user, host))


def _expire_s(found: Mapping[str, str]) -> int | None:
    seconds, days = found.get("binlog_expire_logs_seconds"), found.get("expire_logs_days")
    if seconds is None and days is None:
        return None
    return int(float(seconds or 0)) or int(float(days or 0) * DAY_S)


def check_server(conn: Connection, facts: MySqlFacts, config: MySqlConfig, *, snapshot: bool = False) -> None:
    """Whether this server and user can stream at all, and with *snapshot* be copied. Raises SourceRefusedError with
    what to change; what merely calls for attention is logged."""
    _check_flavor(facts, config)
    _check_log(facts)
    if facts.server_id == config.database_server_id:
        raise SourceRefusedError(f"The server itself has server_id {facts.server_id}.", hint=_CLASH)
    check_grants(conn, facts, _needed(facts, config, snapshot))
    _warn(conn, facts, config)


def _check_flavor(facts: MySqlFacts, config: MySqlConfig) -> None:
    if facts.mariadb != (config.flavor == MARIADB):
        right = "io.debezium.connector.mariadb.MariaDbConnector" if facts.mariadb \
            else "io.debezium.connector.mysql.MySqlConnector"
        raise SourceRefusedError(f"The server is {'MariaDB' if facts.mariadb else 'MySQL'} {facts.version}.",
                                 hint=f"Set connector.class to {right}.")
    if facts.version_id < (MINIMUM_MARIADB if facts.mariadb else MINIMUM_MYSQL):
        raise SourceRefusedError(f"Version {facts.version} of the server is too old.",
                                 hint=f"{'MariaDB 10.6' if facts.mariadb else 'MySQL 8.0'} or later is needed.")


def _check_log(facts: MySqlFacts) -> None:
    if not facts.log_bin:
        raise SourceRefusedError("The server writes no binary log.",
                                 hint="Start it with log_bin (on RDS and Cloud SQL: switch backups on).")
    if facts.binlog_format != "ROW":
        raise SourceRefusedError(f"binlog_format is {facts.binlog_format}, changes of rows need ROW.",
                                 hint="Run SET GLOBAL binlog_format = 'ROW', make it permanent in the server's"
                                      " configuration, and let clients connect anew.")


def _warn(conn: Connection, facts: MySqlFacts, config: MySqlConfig) -> None:
    if facts.row_image != "FULL":
        log.warning("binlog_row_image_not_full", value=facts.row_image, effect="rows lack unchanged columns")
    if facts.row_metadata != "FULL":
        log.info("binlog_row_metadata_not_full", value=facts.row_metadata,
                 effect="structures come from statements and the catalog")
    if facts.expire_s is not None and 0 < facts.expire_s < DAY_S:
        log.warning("binlog_kept_briefly", seconds=facts.expire_s,
                    effect="a longer stop of the connector needs a new snapshot")
    if config.include_query and not _logs_queries(conn, facts):
        log.warning("statements_not_logged", setting=_query_setting(facts), effect="source.query is null")
    if facts.gtid_mode not in (None, "ON", "OFF"):
        log.warning("gtid_mode_in_transition", value=facts.gtid_mode)


def _query_setting(facts: MySqlFacts) -> str:
    return "binlog_annotate_row_events" if facts.mariadb else "binlog_rows_query_log_events"


def _logs_queries(conn: Connection, facts: MySqlFacts) -> bool:
    rows = query(conn, f"SHOW GLOBAL VARIABLES LIKE '{_query_setting(facts)}'")
    return bool(rows) and str(rows[0][1]).upper() == "ON"


# -- grants ----------------------------------------------------------------------------------------------------------

_EQUAL: Final[Mapping[str, frozenset[str]]] = {
    "REPLICATION CLIENT": frozenset({"BINLOG MONITOR", "SUPER"}),
    "REPLICATION SLAVE": frozenset({"REPLICATION REPLICA"}),
    "RELOAD": frozenset({"FLUSH_TABLES", "LOCK TABLES"}),
}
"""Other privileges that do as well: MariaDB 10.5's new names, MySQL 8.0.23's narrower one, locks of tables."""


def _needed(facts: MySqlFacts, config: MySqlConfig, snapshot: bool) -> list[str]:
    needed = ["REPLICATION SLAVE", "REPLICATION CLIENT"]
    if snapshot and config.snapshot_locking_mode != "none" and not (
            facts.mariadb and config.snapshot_locking_mode == "minimal"):
        needed.append("RELOAD")
    return needed


def check_grants(conn: Connection, facts: MySqlFacts, needed: Iterable[str]) -> None:
    """Whether the user has the global privileges *needed*. Raises SourceRefusedError naming those it lacks and the
    GRANT that gives them. A server that does not tell is believed to have granted all."""
    lines = _grant_lines(conn, facts)
    had = global_privileges(lines)
    if any("LOCK TABLES" in line.upper().partition(" ON ")[0] for line in lines):  # of some databases is enough
        had |= {"LOCK TABLES"}
    if not lines or "ALL PRIVILEGES" in had:
        return
    missing = [name for name in needed if name not in had and not _EQUAL.get(name, frozenset()) & had]
    if missing:
        wanted = ", ".join(missing)
        raise SourceRefusedError(f"User {facts.user} lacks {wanted}.",
                                 hint=f"Run GRANT {wanted} ON *.* TO {facts.user};")


def _grant_lines(conn: Connection, facts: MySqlFacts) -> list[str]:
    """Roles in use included: MySQL lists their privileges when asked to, MariaDB by itself."""
    try:
        lines = [str(row[0]) for row in query(conn, "SHOW GRANTS")]
        if not facts.mariadb:
            (roles,), = query(conn, "SELECT CURRENT_ROLE()")
            if roles and str(roles).upper() != "NONE":
                lines += [str(row[0]) for row in query(conn, f"SHOW GRANTS FOR CURRENT_USER() USING {roles}")]
    except SourceRefusedError as exc:
        log.warning("grants_not_readable", reason=exc.message)
        return []
    return lines


def global_privileges(lines: Iterable[str]) -> frozenset[str]:
    """The privileges on `*.*` in what SHOW GRANTS prints."""
    found: set[str] = set()
    for line in lines:
        match = re.match(r"GRANT (.+?) ON \*\.\* TO ", line, re.IGNORECASE)
        if match:
            found |= {name.strip().upper() for name in match[1].split(",")}
    return frozenset(found)


def check_select(conn: Connection, facts: MySqlFacts, ids: Iterable[TableId]) -> None:
    """Whether the user may read these tables. Raises SourceRefusedError naming those it may not."""
    denied = []
    for id in ids:
        try:
            query(conn, f"SELECT 1 FROM {_quoted(id.catalog)}.{_quoted(id.table)} LIMIT 0")
        except SourceRefusedError as exc:
            if exc.context.get("errno") == ER.NO_SUCH_TABLE:
                raise SourceConnectionError("A table was dropped or renamed while the snapshot began.",
                                            table=str(id)) from exc
            if exc.context.get("errno") not in (ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR,
                                                ER.DBACCESS_DENIED_ERROR):
                raise
            denied.append(id)
    if denied:
        databases = sorted({id.catalog for id in denied})
        grants = " ".join(f"GRANT SELECT ON {_quoted(name)}.* TO {facts.user};" for name in databases[:5])
        names = ", ".join(str(id) for id in denied[:20]) + (f" and {len(denied) - 20} more" if len(denied) > 20 else "")
        raise SourceRefusedError(f"User {facts.user} may not read {names}.", hint=f"Run {grants}")


def check_sees_tables(conn: Connection, facts: MySqlFacts) -> None:
    """Whether the user may read any table at all: else the server shows none, as if there were none to capture.
    Raises SourceRefusedError."""
    lines = _grant_lines(conn, facts)
    if lines and not any(re.match(r"GRANT (.*, )?(SELECT|ALL PRIVILEGES)\b.* ON ", line, re.IGNORECASE)
                         for line in lines):
        raise SourceRefusedError(f"User {facts.user} may not read any table.",
                                 hint=f"Run GRANT SELECT ON *.* TO {facts.user}; or on the databases to capture only.")


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
