"""Connections to the server and what can be known of it before streaming; every failure becomes an error of ours.

Ordinary connections run queries; replication connections take replication commands and plain queries, but no
parameters, so their text is composed. PostgreSQL docs, "Streaming Replication Protocol", "Database Connection Control
Functions", appendix "PostgreSQL Error Codes".
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from cdc.core.errors import PositionLostError, SourceConnectionError, SourceError, SourceRefusedError
from cdc.log import get_logger

from .lsn import Lsn
from .options import PostgresConfig

log = get_logger(__name__)

Connection = psycopg.Connection[Any]

MINIMUM_VERSION: Final = 140000

_SETTINGS: Final = {
    # What values print as; the codecs rely on it.
    "DateStyle": "ISO", "IntervalStyle": "postgres", "TimeZone": "UTC", "extra_float_digits": "3",
    "bytea_output": "hex", "lc_monetary": "C",
    # An error instead of rows that a policy hides.
    "row_security": "off",
}

_PATIENCE: Final = {
    # A dead peer is noticed within about a minute; the user's driver.* keys go over it.
    "connect_timeout": "10", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}


# -- connections -----------------------------------------------------------------------------------------------------


def connect(config: PostgresConfig, *, application_name: str = "cdc", query_timeout: bool = True) -> Connection:
    """An ordinary connection in autocommit. *query_timeout* False is for work whose length nobody can know."""
    parameters = {"application_name": application_name}
    if query_timeout:
        return _open(config, parameters, {"statement_timeout": str(config.database_query_timeout_ms)})
    conn = _open(config, parameters, {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"})
    if conn.info.server_version >= 170000:
        try:
            query(conn, "SET transaction_timeout = 0")
        except BaseException:
            conn.close()
            raise
    return conn


def connect_replication(config: PostgresConfig, *, application_name: str = "cdc") -> Connection:
    """A replication connection to the configured database."""
    parameters = {"application_name": application_name, "replication": "database"}
    return _open(config, parameters, {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"})


def _open(config: PostgresConfig, parameters: Mapping[str, str], settings: Mapping[str, str]) -> Connection:
    try:
        conn = psycopg.connect(_conninfo(config, parameters, settings), autocommit=True, prepare_threshold=None)
        try:
            for statement in config.database_initial_statements:
                conn.execute(statement.encode())
        except BaseException:
            conn.close()
            raise
    except psycopg.Error as exc:
        raise map_error(exc) from exc
    return conn


def _conninfo(config: PostgresConfig, parameters: Mapping[str, str], settings: Mapping[str, str]) -> str:
    """The configured string and ours. The user's libpq `options` come first, so our settings win."""
    given = conninfo_to_dict(config.conninfo())
    patience = {key: value for key, value in _PATIENCE.items() if key not in given}
    ours = (f"-c {key}={value}" for key, value in {**_SETTINGS, **settings}.items())
    options = " ".join([str(given.get("options", "")), *ours]).strip()
    return config.conninfo(**patience, **parameters, options=options, client_encoding="UTF8")


# -- errors ----------------------------------------------------------------------------------------------------------

_RETRIABLE_STATES: Final = frozenset({
    "57P01", "57P02", "57P03", "57P05",  # shutdown, crash, starting up, idle session
    "25P03", "25P04",  # idle in a transaction, or in one for too long: the server has ended the connection
    "53000", "53100", "53200", "53300",  # disk, memory, connections, walsenders
    "55006", "55P03",  # slot in use, lock not available
    "40001", "40P01", "57014",  # conflict with recovery, deadlock, statement timeout
})

_HINTS_BY_STATE: Final = {
    "28P01": "Check database.user and database.password.",
    "28000": "Check database.user, its password and pg_hba.conf.",
    "3D000": "Check database.dbname.",
    "42501": "Grant the missing privilege to database.user.",
    "42704": "Check publication.name and slot.name.",
    "53300": "Raise max_connections or max_wal_senders, or close other connections.",
    "53400": "Raise max_replication_slots or drop slots that nobody uses.",
    "25006": "This server is a standby or read-only.",
    "57014": "A statement took too long; see database.query.timeout.ms and statement_timeout.",
}

# libpq gives no SQLSTATE for a connection that fails, nor psycopg for an error that comes within COPY: only text.
_LOST_TEXT: Final = re.compile(
    r"requested WAL segment \S+ has already been removed|can no longer (get changes from|access) replication slot"
    r"|replication slot \S+ has been invalidated|slot has been invalidated", re.IGNORECASE)
_RETRIABLE_TEXT: Final = re.compile(
    r"is starting up|shutting down|recovery mode|not yet accepting connections|too many clients|connection slots are"
    r"|standby connections exceeds|is active for PID|terminating connection|conflict with recovery", re.IGNORECASE)
_UNREACHED_TEXT: Final = re.compile(
    r"connection failed|attempts failed|failed to resolve|timeout expired", re.IGNORECASE)
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
    """What *exc* means to us, by its SQLSTATE where there is one. Never holds the server's DETAIL, where values are."""
    text = _first_line(exc)
    state = exc.sqlstate
    if _LOST_TEXT.search(text):
        return PositionLostError(text, hint=_LOST_HINT, sqlstate=state)
    if state is not None:
        hint = _HINTS_BY_STATE.get(state, "")
        if state.startswith("08") or state in _RETRIABLE_STATES:
            return SourceConnectionError(text, hint=hint, sqlstate=state)
        if state == "58P01":
            return PositionLostError(text, hint=_LOST_HINT, sqlstate=state)
        return SourceRefusedError(text, hint=hint, sqlstate=state)
    if isinstance(exc, psycopg.ProgrammingError):
        return SourceRefusedError(text, hint="Check the database.* and driver.* settings.")
    if not _RETRIABLE_TEXT.search(text):
        for pattern, hint in _REFUSED_TEXT:
            if re.search(pattern, text, re.IGNORECASE):
                return SourceRefusedError(text, hint=hint)
    hint = "Check database.hostname and database.port." if _UNREACHED_TEXT.search(text) else ""
    return SourceConnectionError(text, hint=hint)


_LOST_HINT: Final = "The WAL from there on is gone: drop the slot and take a new snapshot."


def _first_line(exc: psycopg.Error) -> str:
    """The server's primary message, or libpq's text in one line."""
    primary = exc.diag.message_primary
    text = " ".join((primary or str(exc) or type(exc).__name__).split())
    return f"PostgreSQL: {text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "?")) else ".")


def query(conn: Connection, text: LiteralString | sql.SQL | sql.Composed, *parameters: Any) -> list[tuple[Any, ...]]:
    """All rows of *text*; *parameters* on ordinary connections only."""
    try:
        cursor = conn.execute(text, parameters or None)
        return cursor.fetchall() if cursor.description else []
    except psycopg.Error as exc:
        raise map_error(exc) from exc


# -- the server ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """`version` as the server counts it (150018); `system_id` identifies the cluster, `timeline` its history."""

    version: int
    in_recovery: bool
    system_id: str
    timeline: int
    wal_level: str
    user: str
    database: str
    flushed_lsn: Lsn
    """Up to where WAL is durable (on a standby: received) now."""


def read_facts(conn: Connection) -> ServerFacts:
    """From a replication connection. IDENTIFY_SYSTEM needs one."""
    system_id, timeline, lsn, database = query(conn, "IDENTIFY_SYSTEM")[0]
    (in_recovery, wal_level, user), = query(
        conn, "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('wal_level'), current_user::text")
    return ServerFacts(conn.info.server_version, in_recovery, system_id, int(timeline), wal_level, user, database,
                       Lsn.parse(lsn))


def check_server(conn: Connection, facts: ServerFacts, *, new_slot: bool) -> None:
    """Whether this server and user can stream at all; *conn* is an ordinary connection. *new_slot*: whether a slot
    is to be made. Raises SourceRefusedError with what to change."""
    if facts.version < MINIMUM_VERSION:
        raise SourceRefusedError(f"PostgreSQL {facts.version // 10000} is too old.",
                                 hint="Version 14 or later is needed.")
    if facts.wal_level != "logical":
        raise SourceRefusedError(
            f"wal_level is {facts.wal_level}, logical decoding needs logical.",
            hint="Run ALTER SYSTEM SET wal_level = logical and restart the server"
                 " (on RDS set rds.logical_replication = 1, on Cloud SQL cloudsql.logical_decoding = on).")
    if not _may_replicate(conn):
        raise SourceRefusedError(
            f"User {facts.user} may not replicate.",
            hint=sql.SQL("Run ALTER ROLE {} REPLICATION (on RDS: GRANT rds_replication TO {}).").format(
                sql.Identifier(facts.user), sql.Identifier(facts.user)).as_string(conn))
    if new_slot:
        _check_slot_limit(conn)


def _may_replicate(conn: Connection) -> bool:
    """Managed services grant it by membership in a role of theirs instead of the attribute."""
    rows = query(conn, """\
SELECT r.rolsuper OR r.rolreplication OR EXISTS (
    SELECT FROM pg_catalog.pg_roles m
    WHERE m.rolname IN ('rds_replication', 'rdsadmin', 'cloudsqlsuperuser', 'azure_pg_admin', 'alloydbsuperuser')
      AND pg_catalog.pg_has_role(m.oid, 'member'))
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user""")
    return not rows or bool(rows[0][0])


def _check_slot_limit(conn: Connection) -> None:
    (used, limit), = query(conn, """\
SELECT (SELECT count(*) FROM pg_catalog.pg_replication_slots),
       pg_catalog.current_setting('max_replication_slots')::int""")
    if used >= limit:
        raise SourceRefusedError(
            f"All {limit} replication slots of the server are in use.",
            hint="Drop one that nobody uses (pg_replication_slots), or raise max_replication_slots and restart.")


def check_select(conn: Connection, columns: Mapping[int, tuple[str, ...]]) -> None:
    """Whether the user may read these *columns* of the tables, by oid. Raises SourceRefusedError naming the tables."""
    missing = [row[0] for row in query(conn, """\
SELECT DISTINCT w.oid::regclass::text
FROM (SELECT pg_catalog.unnest(%s::oid[]) AS oid, pg_catalog.unnest(%s::text[]) AS name) w
JOIN pg_catalog.pg_class c ON c.oid = w.oid
WHERE NOT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
   OR NOT (pg_catalog.has_table_privilege(w.oid, 'SELECT')
           OR pg_catalog.has_column_privilege(w.oid, w.name, 'SELECT'))
ORDER BY 1""", [oid for oid, names in columns.items() for _ in names],
                                       [name for names in columns.values() for name in names])]
    if missing:
        raise SourceRefusedError(
            f"The user may not read {listed(missing)}.",
            hint="Run GRANT USAGE ON SCHEMA … and GRANT SELECT ON … for it, or leave the tables out.")


def timeline_history(conn: Connection, timeline: int) -> tuple[tuple[int, Lsn], ...]:
    """The timelines before *timeline*, each with the LSN where it was left, oldest first; from a replication
    connection. PostgreSQL docs, "Streaming Replication Protocol": TIMELINE_HISTORY."""
    if timeline <= 1:
        return ()  # the first has no history file
    try:
        cursor = conn.execute(sql.SQL("TIMELINE_HISTORY {}").format(sql.Literal(timeline)))
    except psycopg.Error as exc:
        raise map_error(exc) from exc
    content = cursor.pgresult.get_value(0, 1) if cursor.pgresult else None
    lines = (content or b"").decode("utf-8", "replace").splitlines()
    rows = [line.split("\t") for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return tuple((int(row[0]), Lsn.parse(row[1].strip())) for row in rows)


# -- slots -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Slot:
    """A row of pg_replication_slots. `lost` says why its WAL is not there any more; None while it is usable."""

    name: str
    plugin: str | None
    kind: str
    database: str | None
    temporary: bool
    active_pid: int | None
    restart_lsn: Lsn | None
    confirmed_flush_lsn: Lsn | None
    catalog_xmin: int | None
    wal_status: str | None
    two_phase: bool
    failover: bool
    lost: str | None


@dataclass(frozen=True, slots=True)
class CreatedSlot:
    """`snapshot` is valid until the next command on the connection that made the slot."""

    name: str
    consistent_point: Lsn
    snapshot: str | None


@dataclass(frozen=True, slots=True)
class SlotLag:
    """`retained_wal_bytes` is what the slot keeps the server from removing, `unconfirmed_bytes` what we have not
    confirmed; None where the server does not say."""

    retained_wal_bytes: int | None
    unconfirmed_bytes: int | None
    wal_status: str | None


def find_slot(conn: Connection, name: str) -> Slot | None:
    """From an ordinary connection. Columns differ by version, so the row is read by name."""
    rows = query(conn, """\
SELECT pg_catalog.to_jsonb(s) FROM pg_catalog.pg_replication_slots s WHERE slot_name = %s""", name)
    if not rows:
        return None
    row: dict[str, Any] = rows[0][0]
    xmin = row.get("catalog_xmin")
    return Slot(
        row["slot_name"], row.get("plugin"), row["slot_type"], row.get("database"), row.get("temporary") is True,
        row.get("active_pid"), _lsn(row.get("restart_lsn")), _lsn(row.get("confirmed_flush_lsn")),
        None if xmin is None else int(xmin), row.get("wal_status"), row.get("two_phase") is True,
        row.get("failover") is True, _why_lost(row),
    )


def _why_lost(row: Mapping[str, Any]) -> str | None:
    if row.get("invalidation_reason"):
        return str(row["invalidation_reason"])
    if row.get("wal_status") == "lost":
        return "wal_removed"
    return "conflict" if row.get("conflicting") is True and row.get("slot_type") == "logical" else None


def _lsn(text: str | None) -> Lsn | None:
    return None if text is None else Lsn.parse(text)


def check_slot(slot: Slot, database: str) -> None:
    """Whether a stream can be taken from it now. Raises SourceRefusedError when it is another kind of slot,
    PositionLostError when it is invalidated, SourceConnectionError while it is in use or still being made."""
    if slot.kind != "logical" or slot.plugin != "pgoutput" or slot.database != database:
        what = slot.kind if slot.kind != "logical" else f"{slot.plugin} in database {slot.database}"
        raise SourceRefusedError(f"Replication slot {slot.name} exists, but for {what}.",
                                 hint="Choose another slot.name, or drop that slot if nobody uses it.")
    if slot.lost is not None:
        raise PositionLostError(f"Replication slot {slot.name} is invalidated.", hint=_LOST_HINT, reason=slot.lost)
    if slot.active_pid is not None:
        raise in_use(slot)
    if slot.confirmed_flush_lsn is None:
        raise SourceConnectionError(f"Replication slot {slot.name} is still being made.", hint=_OPEN_TRANSACTIONS)


def in_use(slot: Slot) -> SourceConnectionError:
    """Retriable: after a crash of ours the server lets go of the slot once it notices."""
    return SourceConnectionError(
        f"Replication slot {slot.name} is in use by process {slot.active_pid} of the server.",
        hint="If that is another connector, give each its own slot.name; if it is a remnant of a crash, it goes away"
             " within wal_sender_timeout.", pid=slot.active_pid)


_OPEN_TRANSACTIONS: Final = "Transactions that were open before must end first; see pg_stat_activity.xact_start."


def create_slot(conn: Connection, name: str, *, export_snapshot: bool = False, failover: bool = False,
                two_phase: bool = False, temporary: bool = False, timeout_s: float = 90) -> CreatedSlot:
    """On a replication connection, with which a *temporary* one goes away. It waits for all transactions that are open
    now; after *timeout_s* it gives up with a SourceConnectionError. FAILOVER before version 17 and TWO_PHASE before
    15 are left out with a warning."""
    version = conn.info.server_version
    if failover and version < 170000:
        log.warning("slot_option_not_supported", option="failover", needs_version=17)
    if two_phase and version < 150000:
        log.warning("slot_option_not_supported", option="two_phase", needs_version=15)
    command = sql.SQL("CREATE_REPLICATION_SLOT {}{} LOGICAL pgoutput {}").format(
        sql.Identifier(name), sql.SQL(" TEMPORARY" if temporary else ""),
        _slot_options(version, export_snapshot, failover and version >= 170000, two_phase))
    with _Deadline(conn, timeout_s) as deadline:
        try:
            (made, point, snapshot, _), = conn.execute(command).fetchall()
        except psycopg.Error as exc:
            if deadline.passed:
                raise SourceConnectionError(f"Replication slot {name} could not be made within {timeout_s:g} s.",
                                            hint=_OPEN_TRANSACTIONS) from exc
            raise map_error(exc) from exc
    log.info("slot_created", slot=made, lsn=point, failover=failover, two_phase=two_phase)
    return CreatedSlot(made, Lsn.parse(point), snapshot)


def _slot_options(version: int, export_snapshot: bool, failover: bool, two_phase: bool) -> sql.Composable:
    if version < 150000:
        return sql.SQL("EXPORT_SNAPSHOT" if export_snapshot else "NOEXPORT_SNAPSHOT")
    words = [sql.SQL("SNAPSHOT 'export'" if export_snapshot else "SNAPSHOT 'nothing'")]
    words += [sql.SQL("TWO_PHASE")] if two_phase else []
    words += [sql.SQL("FAILOVER")] if failover else []
    return sql.SQL("({})").format(sql.SQL(", ").join(words))


class _Deadline:
    """Cancels what runs on *conn* after *timeout_s*: statement_timeout does not hold for replication commands."""

    def __init__(self, conn: Connection, timeout_s: float) -> None:
        self._conn = conn
        self._timer = threading.Timer(timeout_s, self._cancel)
        self._timer.daemon = True
        self.passed = False

    def _cancel(self) -> None:
        self.passed = True
        try:
            self._conn.cancel_safe(timeout=10)
        except psycopg.Error as exc:
            log.warning("cancel_failed", error=type(exc).__name__)

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._timer.cancel()


def drop_slot(conn: Connection, name: str) -> None:
    """On a replication connection; waits until whoever uses the slot lets go. A slot that is not there is fine."""
    try:
        conn.execute(sql.SQL("DROP_REPLICATION_SLOT {} WAIT").format(sql.Identifier(name)))
    except psycopg.errors.UndefinedObject:
        return
    except psycopg.Error as exc:
        raise map_error(exc) from exc
    log.info("slot_dropped", slot=name)


def advance_slot(conn: Connection, name: str, lsn: int) -> Lsn:
    """Confirm everything before *lsn* without reading it; returns where the slot is then. Ordinary connection."""
    rows = query(conn, "SELECT end_lsn::text FROM pg_catalog.pg_replication_slot_advance(%s, %s::pg_lsn)", name,
                    str(Lsn(lsn)))
    reached = Lsn.parse(rows[0][0])
    log.info("slot_advanced", slot=name, lsn=str(reached))
    return reached


def slot_lag(conn: Connection, name: str) -> SlotLag | None:
    """None when there is no such slot. Ordinary connection."""
    rows = query(conn, """\
SELECT (now_lsn - restart_lsn)::int8, (now_lsn - confirmed_flush_lsn)::int8, wal_status
FROM pg_catalog.pg_replication_slots,
     (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                  ELSE pg_catalog.pg_current_wal_lsn() END AS now_lsn) now
WHERE slot_name = %s""", name)
    return SlotLag(*rows[0]) if rows else None


def retained_wal_bytes(conn: Connection, name: str) -> int | None:
    """How much WAL the slot holds back."""
    lag = slot_lag(conn, name)
    return None if lag is None else lag.retained_wal_bytes


def listed(names: list[str], most: int = 20) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
