"""The server's and PyMySQL's errors as ours, with hints.

MySQL "Server Error Message Reference", "Client Error Message Reference"; MariaDB docs, "Error Codes". The texts of
error 1236 are in sql/rpl_binlog_sender.cc (MySQL) and sql/sql_repl.cc (MariaDB).
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import Final

import pymysql
from pymysql.constants import CR, ER

from cdc.config.secrets import HIDDEN
from cdc.core.errors import PositionLostError, SourceConnectionError, SourceError, SourceRefusedError
from cdc.core.late_regex import late_regex

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
_ENDED: Final = frozenset({
    ER.SERVER_SHUTDOWN, ER.NORMAL_SHUTDOWN, ER.SHUTDOWN_COMPLETE, ER.FORCING_CLOSE, ER.ABORTING_CONNECTION,
    ER.NEW_ABORTING_CONNECTION,
    1927,  # MariaDB ER_CONNECTION_KILLED
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
CLASH_HINT: Final = "Give each client and replica of this topology its own database.server.id."
_READ_AGAIN: Final = "If the logs were reset or deleted, the next try says so; else see the server's error log."

_DUMP_ERRORS: Final[tuple[tuple[str, type[SourceError], str], ...]] = (
    # Clashes of server_id come first, because their text also mentions the position. The server ends the older stream.
    # We do not reconnect: two clients that do so would disconnect each other forever.
    (r"same server[_ ]?(uuid|id)", SourceRefusedError, CLASH_HINT),
    (r"could not find next log|i/o error reading", SourceConnectionError, _READ_AGAIN),
    (r"anonymous transaction", SourceRefusedError,
     "After the stored position there are transactions without GTIDs: start once with"
     " gtid.ignore.on.recovery=true, which resumes by file and position."),
    (r"gtid-transaction when", SourceRefusedError,
     "Set gtid_mode=OFF_PERMISSIVE until the connector has read the transactions that have GTIDs, or take a new"
     " snapshot: reset its offsets."),
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
"""The server reports every failure of a dump as error 1236 (ER_SOURCE_FATAL_ERROR_READING_BINLOG). Only the text tells
which one it is; the server writes it in English, whatever lc_messages is."""


_VALUE: Final = late_regex(
    r"((?:entry|value:?|near) )(?:'.*'(?= for key '[^']*'\.?$)|'.*'(?= for column .* at row \d+\.?$)"
    r"|'.*'(?= at (?:row|line) \d+\.?$)|'.*'(?=\.?$))", re.IGNORECASE)
"""Where the server's text quotes a row's value, or a statement."""


def map_error(exc: BaseException) -> SourceError:
    """Our error for an error of PyMySQL. An OSError or EOFError of its socket is a lost connection. Any other exception
    is a bug."""
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


def ends_connection(error: SourceError) -> bool:
    """Whether the server said *error* and closed the connection."""
    return error.context.get("errno") in _ENDED


def _parts(exc: BaseException) -> tuple[int, str]:
    """Number and text of an error of PyMySQL; the text becomes one sentence on one line."""
    code = exc.args[0] if exc.args and isinstance(exc.args[0], int) else 0
    words = " ".join(str(exc.args[1] if len(exc.args) > 1 and code else exc).split())
    words = re.sub(r" \(using password: (YES|NO)\)", "", words)
    words = _VALUE.sub(rf"\1{HIDDEN}", words)
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
