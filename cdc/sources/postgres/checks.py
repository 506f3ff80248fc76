"""Whether the server, the user and the slot allow what the connector needs; if not, an error says what to change."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from psycopg import sql

from cdc.core.errors import PositionLostError, SourceBusyError, SourceConnectionError, SourceRefusedError

from .connection import Connection, query
from .errors import BUSY_HINT, LOST_HINT
from .server import ServerFacts
from .slots import OPEN_TRANSACTIONS, Slot

MINIMUM_VERSION: Final = 140000


def check_server(conn: Connection, facts: ServerFacts, *, new_slot: bool) -> None:
    """Checks that this server and user can stream. Raises SourceRefusedError.

    *conn* is an ordinary connection. *new_slot*: a slot will be created.
    """
    for problem in server_problems(conn, facts, new_slot=new_slot):
        raise problem


def server_problems(conn: Connection, facts: ServerFacts, *, new_slot: bool) -> Iterator[SourceRefusedError]:
    """All that `check_server` would raise, one after the other."""
    if facts.version < MINIMUM_VERSION:
        yield SourceRefusedError(f"PostgreSQL {facts.version // 10000} is too old.",
                                 hint="Version 14 or later is needed.")
    if facts.wal_level != "logical":
        yield SourceRefusedError(
            f"wal_level is {facts.wal_level}, logical decoding needs logical.",
            hint="Run ALTER SYSTEM SET wal_level = logical and restart the server"
                 " (on RDS set rds.logical_replication = 1, on Cloud SQL cloudsql.logical_decoding = on).")
    if not may_replicate(conn):
        yield SourceRefusedError(
            f"User {facts.user} may not replicate.",
            hint=sql.SQL("Run ALTER ROLE {} REPLICATION (on RDS: GRANT rds_replication TO {}).").format(
                sql.Identifier(facts.user), sql.Identifier(facts.user)).as_string(conn))
    if new_slot:
        yield from _slot_limit(conn)


def may_replicate(conn: Connection) -> bool:
    """Managed services do not grant the REPLICATION attribute, but membership in a role of theirs."""
    rows = query(conn, """\
SELECT r.rolsuper OR r.rolreplication OR EXISTS (
    SELECT FROM pg_catalog.pg_roles m
    WHERE m.rolname IN ('rds_replication', 'rdsadmin', 'cloudsqlsuperuser', 'azure_pg_admin', 'alloydbsuperuser')
      AND pg_catalog.pg_has_role(m.oid, 'member'))
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user""")
    return not rows or bool(rows[0][0])


def _slot_limit(conn: Connection) -> Iterator[SourceRefusedError]:
    (used, limit), = query(conn, """\
SELECT (SELECT count(*) FROM pg_catalog.pg_replication_slots),
       pg_catalog.current_setting('max_replication_slots')::int""")
    if used >= limit:
        yield SourceRefusedError(
            f"All {limit} replication slots of the server are in use.",
            hint="Drop one that is not used (pg_replication_slots), or raise max_replication_slots and restart.")


def not_readable_whole(conn: Connection, oids: Collection[int]) -> set[int]:
    """The tables of which the user may not read all columns."""
    return {row[0] for row in query(conn, """\
SELECT c.oid::int8 FROM pg_catalog.pg_class c
WHERE c.oid = ANY (%s::oid[]) AND NOT (pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
                                       AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))""", list(oids))}


def check_select(conn: Connection, columns: Mapping[int, tuple[str, ...]]) -> None:
    """Checks that the user may read *columns*, which are by table oid. Raises SourceRefusedError naming the tables."""
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


def check_slot(slot: Slot, database: str) -> None:
    """Checks that we can stream from *slot* now. Raises SourceRefusedError if it is another kind of slot,
    PositionLostError if it is invalidated, SourceConnectionError while it is in use or still being created."""
    if slot.kind != "logical" or slot.plugin != "pgoutput" or slot.database != database:
        what = slot.kind if slot.kind != "logical" else f"{slot.plugin} in database {slot.database}"
        raise SourceRefusedError(f"Replication slot {slot.name} exists, but for {what}.",
                                 hint="Choose another slot.name, or drop that slot if it is not used.")
    if slot.lost is not None:
        raise PositionLostError(f"Replication slot {slot.name} is invalidated.", hint=LOST_HINT, reason=slot.lost)
    if slot.active_pid is not None:
        raise in_use(slot)
    if slot.confirmed_flush_lsn is None:
        raise SourceConnectionError(f"Replication slot {slot.name} is still being created.", hint=OPEN_TRANSACTIONS)


def in_use(slot: Slot) -> SourceBusyError:
    """The error for a slot in use. Retriable: after a crash of ours, the server releases the slot some time later."""
    return SourceBusyError(
        f"Replication slot {slot.name} is in use by process {slot.active_pid} of the server.",
        hint=BUSY_HINT, pid=slot.active_pid)


def listed(names: list[str], most: int = 20) -> str:
    """At most *most* names, and how many are left out."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
