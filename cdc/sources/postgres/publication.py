"""The publication that changes come through, and the replica identities of the tables in it.

Debezium docs, "PostgreSQL connector": `publication.autocreate.mode`, `publish.via.partition.root`,
`replica.identity.autoset.values`. PostgreSQL docs, "CREATE PUBLICATION", "ALTER TABLE".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from cdc.core.errors import ConfigError, SourceRefusedError
from cdc.core.filters import Filters
from cdc.core.regex import compile_items
from cdc.core.schema import TableId
from cdc.log import get_logger

from .catalog import RelationCatalog
from .options import PostgresConfig, ReplicaIdentity
from .server import Connection, ServerFacts, listed, map_error, query

log = get_logger(__name__)

_OPERATIONS: Final = {"c": "insert", "u": "update", "d": "delete", "t": "truncate"}
_IDENTITY_LETTERS: Final = {"DEFAULT": "d", "FULL": "f", "NOTHING": "n", "INDEX": "i"}


@dataclass(frozen=True, slots=True)
class Publication:
    """A row of pg_publication. `operations` are those of c, u, d, t that it publishes; `tables` what comes out of it,
    `schema.table`, partitions as it publishes them."""

    name: str
    all_tables: bool
    operations: frozenset[str]
    via_root: bool
    tables: frozenset[tuple[str, str]]


def find_publication(conn: Connection, name: str) -> Publication | None:
    rows = query(conn, """\
SELECT puballtables, pubviaroot, pubinsert, pubupdate, pubdelete, pubtruncate
FROM pg_catalog.pg_publication WHERE pubname = %s""", name)
    if not rows:
        return None
    all_tables, via_root, *published = rows[0]
    tables = query(conn, "SELECT schemaname, tablename FROM pg_catalog.pg_publication_tables WHERE pubname = %s", name)
    operations = frozenset(op for op, on in zip(_OPERATIONS, published, strict=True) if on)
    return Publication(name, all_tables, operations, via_root, frozenset((row[0], row[1]) for row in tables))


def ensure_publication(conn: Connection, config: PostgresConfig, filters: Filters, facts: ServerFacts) -> Publication:
    """Find, make or adjust the publication as `publication.autocreate.mode` says; *conn* is an ordinary connection.

    Made before the slot: a slot decodes with the catalogs of its time, and would not find a later publication.
    Raises SourceRefusedError, with the statement that an owner or superuser can run instead, and ConfigError when
    mode `filtered` finds no table.
    """
    mode, name = config.publication_autocreate_mode, config.publication_name
    found = find_publication(conn, name)
    captured = captured_tables(conn, filters, facts.database)
    if found is None:
        _create(conn, config, facts, captured)
    elif mode == "filtered":
        _adjust(conn, config, facts, found, captured)
    found = find_publication(conn, name)
    if found is None:
        raise SourceRefusedError(f"Publication {name} disappeared while it was looked at.", hint="Start again.")
    _remark(config, found, captured)
    return found


def captured_tables(conn: Connection, filters: Filters, database: str) -> list[tuple[str, str]]:
    """All tables of the database that the filters let through and a publication can hold, sorted; partitioned tables
    and their partitions alike."""
    rows = query(conn, """\
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= 16384
ORDER BY 1, 2""")
    return [(row[0], row[1]) for row in rows if filters.table(TableId(database, row[0], row[1]))]


def _create(conn: Connection, config: PostgresConfig, facts: ServerFacts, captured: list[tuple[str, str]]) -> None:
    name, mode = config.publication_name, config.publication_autocreate_mode
    statement = _create_statement(config, captured)
    if mode == "disabled":
        raise SourceRefusedError(f"Publication {name} does not exist, and publication.autocreate.mode is disabled.",
                                 hint=f"Run {_short(conn, statement)}, or choose another mode.")
    if facts.in_recovery:
        raise SourceRefusedError(f"Publication {name} does not exist, and none can be made on a standby.",
                                 hint=f"Run {_short(conn, statement)} on the primary.")
    if mode == "filtered" and not captured:
        raise _nothing_captured()
    _run(conn, statement)
    log.info("publication_created", publication=name, mode=mode, tables=len(captured) if mode == "filtered" else None)


def _adjust(conn: Connection, config: PostgresConfig, facts: ServerFacts, found: Publication,
            captured: list[tuple[str, str]]) -> None:
    """Mode `filtered` on a publication that exists: its tables become the captured ones."""
    if found.all_tables:
        raise SourceRefusedError(
            f"Publication {found.name} is for all tables and cannot be filtered.",
            hint="Drop it, choose another publication.name, or set publication.autocreate.mode to all_tables.")
    if not captured:
        raise _nothing_captured()
    if set(captured) in (found.tables, _members(conn, found.name)):
        return
    if facts.in_recovery:
        log.warning("publication_not_adjusted", publication=found.name, why="this server is a standby")
        return
    _run(conn, sql.SQL("ALTER PUBLICATION {} SET TABLE {}").format(sql.Identifier(found.name), _tables(captured)))
    log.info("publication_adjusted", publication=found.name, tables=len(captured))


def _members(conn: Connection, name: str) -> set[tuple[str, str]]:
    """The tables the publication was given, partitioned ones unexpanded."""
    rows = query(conn, """\
SELECT n.nspname, c.relname
FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE p.pubname = %s""", name)
    return {(row[0], row[1]) for row in rows}


def _create_statement(config: PostgresConfig, captured: list[tuple[str, str]]) -> sql.Composed:
    parts: list[sql.Composable] = [sql.SQL("CREATE PUBLICATION {}").format(sql.Identifier(config.publication_name))]
    if config.publication_autocreate_mode == "filtered":
        parts.append(sql.SQL("FOR TABLE {}").format(_tables(captured)))
    elif config.publication_autocreate_mode != "no_tables":
        parts.append(sql.SQL("FOR ALL TABLES"))
    parameters: list[sql.Composable] = []
    if "skipped.operations" in config.given:
        published = ", ".join(word for op, word in _OPERATIONS.items() if op not in config.skipped_operations)
        parameters.append(sql.SQL("publish = {}").format(sql.Literal(published)))
    if config.publish_via_partition_root:
        parameters.append(sql.SQL("publish_via_partition_root = true"))
    if parameters:
        parts.append(sql.SQL("WITH ({})").format(sql.SQL(", ").join(parameters)))
    return sql.SQL(" ").join(parts)


def _tables(names: Iterable[tuple[str, str]]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(*name) for name in names)


def _nothing_captured() -> ConfigError:
    return ConfigError("No table passes the schema and table lists, so there is nothing to publish.",
                       option="table.include.list", hint="Lists hold regular expressions on schema.table.")


def _run(conn: Connection, statement: sql.Composed) -> None:
    try:
        conn.execute(statement)
    except psycopg.errors.InsufficientPrivilege as exc:
        raise SourceRefusedError(
            "The user may not make or change the publication (FOR ALL TABLES takes a superuser, other tables their"
            " owner, and CREATE on the database).",
            hint=f"Let one who may run {_short(conn, statement)}, or see publication.autocreate.mode.",
            sqlstate=exc.sqlstate) from exc
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):  # the latter within the same instant
        log.info("publication_made_by_another")
    except psycopg.Error as exc:
        raise map_error(exc) from exc


def _short(conn: Connection, statement: sql.Composed) -> str:
    text = statement.as_string(conn)
    return text if len(text) <= 300 else f"{text[:300]}…"


def _remark(config: PostgresConfig, found: Publication, captured: Collection[tuple[str, str]]) -> None:
    """Say what would otherwise be missing in silence."""
    unpublished = sorted(".".join(name) for name in captured if name not in found.tables)
    if not captured:
        log.warning("no_table_captured", why="no table passes the schema and table lists")
    elif len(unpublished) == len(captured) and not found.tables:
        log.warning("publication_is_empty", publication=found.name)
    elif unpublished and not found.all_tables:
        log.warning("tables_not_published", publication=found.name, tables=listed(unpublished))
    skipped = {op for op in _OPERATIONS if op not in found.operations} - set(config.skipped_operations)
    if skipped:
        log.warning("operations_not_published", publication=found.name,
                    operations=[_OPERATIONS[op] for op in _OPERATIONS if op in skipped])
    if config.publish_via_partition_root and not found.via_root:
        log.warning("publication_not_via_partition_root", publication=found.name)


# -- replica identities ----------------------------------------------------------------------------------------------


def set_replica_identities(conn: Connection, entries: Collection[ReplicaIdentity], relations: Iterable[RelationCatalog],
                           facts: ServerFacts) -> bool:
    """`replica.identity.autoset.values` for the captured *relations*; True when something was changed, so that the
    catalog is to be read again. Raises ConfigError when two entries match one table."""
    patterns = [(compile_items((entry.table,), "replica.identity.autoset.values")[0], entry) for entry in entries]
    changed = False
    for relation in relations:
        name = f"{relation.namespace}.{relation.name}"
        matching = [entry for pattern, entry in patterns if pattern.fullmatch(name)]
        if len(matching) > 1:
            raise ConfigError(f"More than one entry matches table {name}.", option="replica.identity.autoset.values")
        if matching and _differs(relation, matching[0]):
            changed = _set_replica_identity(conn, relation, matching[0], facts) or changed
    return changed


def _differs(relation: RelationCatalog, wanted: ReplicaIdentity) -> bool:
    """An index is set again each time, which changes nothing if it is the same."""
    return wanted.identity == "INDEX" or relation.replica_identity != _IDENTITY_LETTERS[wanted.identity]


def _set_replica_identity(conn: Connection, relation: RelationCatalog, wanted: ReplicaIdentity,
                          facts: ServerFacts) -> bool:
    name = f"{relation.namespace}.{relation.name}"
    if facts.in_recovery:
        log.warning("replica_identity_not_set", table=name, why="this server is a standby")
        return False
    _, kind, index = wanted
    identity: sql.Composable = sql.SQL("FULL")
    if kind == "INDEX":
        identity = sql.SQL("USING INDEX {}").format(sql.Identifier(index or ""))
    elif kind != "FULL":
        identity = sql.SQL("DEFAULT" if kind == "DEFAULT" else "NOTHING")
    table = sql.Identifier(relation.namespace, relation.name)
    try:
        conn.execute(sql.SQL("ALTER TABLE {} REPLICA IDENTITY {}").format(table, identity))
    except psycopg.errors.InsufficientPrivilege as exc:
        raise SourceRefusedError(f"The user may not set the replica identity of {name}.",
                                 hint="Only the owner may: set it once as the owner, or remove the entry.") from exc
    except psycopg.Error as exc:
        raise map_error(exc) from exc
    log.info("replica_identity_set", table=name, identity=kind.lower(), index=index)
    return True


def warn_of_missing_identities(relations: Iterable[RelationCatalog], publication: Publication) -> list[str]:
    """Names, and logs once for all, the tables whose UPDATE and DELETE the server refuses because they are published
    and have nothing to identify an old row by. PostgreSQL docs, "Logical Replication": "Replica Identity"."""
    if not publication.operations & {"u", "d"}:
        return []
    missing = sorted(f"{relation.namespace}.{relation.name}" for relation in relations
                     if relation.kind == "r" and not relation.identity_key)
    if missing:
        log.warning("tables_without_replica_identity", tables=listed(missing),
                    hint="The server refuses UPDATE and DELETE on them; a primary key or REPLICA IDENTITY FULL helps.")
    return missing

