"""What a psycopg error means: each becomes one of our errors, with a hint.

PostgreSQL docs, appendix "PostgreSQL Error Codes".
"""

from __future__ import annotations

import re
from typing import Final

import psycopg

from cdc.config.secrets import HIDDEN
from cdc.core.errors import (
    PositionLostError,
    SourceBusyError,
    SourceConnectionError,
    SourceError,
    SourceRefusedError,
)

_RETRIABLE_STATES: Final = frozenset({
    "57P01", "57P02", "57P03", "57P05",  # shutdown, crash, starting up, idle session
    "25P03", "25P04",  # idle in a transaction, or in one for too long: the server has ended the connection
    "53000", "53100", "53200", "53300",  # disk, memory, connections, walsenders
    "55P03",  # lock not available
    "40001", "40P01", "57014",  # conflict with recovery, deadlock, statement timeout
})

_HINTS_BY_STATE: Final = {
    "28P01": "Check database.user and database.password.",
    "28000": "Check database.user, its password and pg_hba.conf.",
    "3D000": "Check database.dbname.",
    "42501": "Grant the missing privilege to database.user.",
    "42704": "Check publication.name and slot.name.",
    "53300": "Raise max_connections or max_wal_senders, or close other connections.",
    "53400": "Raise max_replication_slots or drop slots that are not used.",
    "22021": "A name in this database is no UTF-8. Rename what has it (pg_class, pg_attribute, pg_namespace).",
    "22P05": "A text has a character that UTF-8 lacks. Change the value, or leave its table out of the publication; if "
             "the log has it already, drop the slot and take a new snapshot.",
    "25006": "This server is a standby or read-only.",
    "57014": "A statement took too long; see database.query.timeout.ms and statement_timeout.",
}

# Two kinds of errors have a text but no SQLSTATE: libpq's when a connection fails, and psycopg's within COPY. The
# expressions are compiled when there is an error.
_LOST_TEXT: Final = (
    r"requested WAL segment \S+ has already been removed|can no longer (get changes from|access) replication slot"
    r"|replication slot \S+ has been invalidated|slot has been invalidated")
_RETRIABLE_TEXT: Final = (
    r"is starting up|shutting down|recovery mode|not yet accepting connections|too many clients|connection slots are"
    r"|standby connections exceeds|terminating connection|conflict with recovery")
_BUSY_STATE: Final = "55006"
_BUSY_TEXT: Final = r"is active for PID"
_UNREACHED_TEXT: Final = r"connection failed|attempts failed|failed to resolve|timeout expired"
_REFUSED_TEXT: Final = (
    (r"password authentication failed|authentication failed for user", "Check database.user and database.password."),
    (r"no password supplied|password.*required", "Set database.password."),
    (r"role \S+ does not exist|not permitted to log in", "Check database.user."),
    (r"database \S+ does not exist|permission denied for database", "Check database.dbname and the CONNECT privilege."),
    (r"no pg_hba.conf entry|pg_hba.conf rejects", "Allow this host, user and database in the server's pg_hba.conf."),
    (r"replication role|start WAL sender", "Run ALTER ROLE … REPLICATION for database.user (rds_replication on RDS)."),
    (r"does not support SSL|certificate|private key|tlsv1|sslmode", "Check database.sslmode and its certificates."),
    (r"invalid (connection|URI)|invalid port|wal_level", ""),
    (r"(?-i:\bERROR:)", ""),
)


def map_error(exc: psycopg.Error) -> SourceError:
    """Our error for *exc*, chosen by its SQLSTATE if it has one. Leaves out the server's DETAIL, which shows values."""
    text = first_line(exc.diag.message_primary or str(exc) or type(exc).__name__, exc.sqlstate)
    state = exc.sqlstate
    if _says(_LOST_TEXT, text):
        return PositionLostError(text, hint=LOST_HINT, sqlstate=state)
    if state == _BUSY_STATE or (state is None and _says(_BUSY_TEXT, text)):
        return SourceBusyError(text, hint=BUSY_HINT, sqlstate=state)
    if state is not None:
        hint = _HINTS_BY_STATE.get(state, "")
        if state.startswith("08") or state in _RETRIABLE_STATES:
            return SourceConnectionError(text, hint=hint, sqlstate=state)
        if state == "58P01":
            return PositionLostError(text, hint=LOST_HINT, sqlstate=state)
        return SourceRefusedError(text, hint=hint, sqlstate=state)
    if isinstance(exc, psycopg.ProgrammingError):
        return SourceRefusedError(text, hint="Check the database.* and driver.* settings.")
    if not _says(_RETRIABLE_TEXT, text):
        for pattern, hint in _REFUSED_TEXT:
            if _says(pattern, text):
                return SourceRefusedError(text, hint=hint)
    hint = "Check database.hostname and database.port." if _says(_UNREACHED_TEXT, text) else ""
    return SourceConnectionError(text, hint=hint)


def _says(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None


_VALUE: Final = r': ".*"'
"""Where the text of a data exception quotes a value: invalid input syntax for type integer: "…"."""

BUSY_HINT: Final = ("If that is another connector, give each its own slot.name; if it is a remnant of a crash, it goes"
                    " away within wal_sender_timeout.")
LOST_HINT: Final = "The WAL from there on is gone: drop the slot and take a new snapshot."


def first_line(told: str | None, sqlstate: str | None) -> str:
    """The server's primary message, or libpq's text, in one line, without the value that it may quote."""
    text = " ".join((told or "It tells nothing.").split())
    if (sqlstate or "").startswith("22"):
        text = re.sub(_VALUE, f": {HIDDEN}", text)
    return f"PostgreSQL: {text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "?")) else ".")
