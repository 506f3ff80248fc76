"""The publication that the stream reads, and the replica identities of its tables.

Debezium docs, "PostgreSQL connector": `publication.autocreate.mode`, `publish.via.partition.root`,
`replica.identity.autoset.values`. PostgreSQL docs, "CREATE PUBLICATION", "ALTER TABLE".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import psycopg
from psycopg import sql

from cdc.config.regex import compile_items
from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError, SourceRefusedError
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.log import get_logger

from .catalog import RelationCatalog
from .checks import listed
from .connection import Connection, query, users_search_path
from .errors import map_error
from .options import PostgresConfig, ReplicaIdentity
from .server import ServerFacts

log = get_logger(__name__)

_OPERATIONS: Final = {"c": "insert", "u": "update", "d": "delete", "t": "truncate"}
_AT_ONCE: Final = 1000
_IDENTITY_LETTERS: Final = {"DEFAULT": "d", "FULL": "f", "NOTHING": "n", "INDEX": "i"}


@dataclass(frozen=True)
class Publication:
    """A row of pg_publication.

    `operations`: those of c, u, d and t that it publishes.
    `tables`: the (schema, table) names under which it publishes changes. `via_root` decides for partitions whether that
    is the partition or its root.
    """

    name: str
    all_tables: bool
    operations: frozenset[str]
    via_root: bool
    tables: frozenset[tuple[str, str]]


def find_publication(conn: Connection, name: str) -> Publication | None:
    rows = query(conn, """\
SELECT oid::int8, puballtables, pubviaroot, pubinsert, pubupdate, pubdelete, pubtruncate
FROM pg_catalog.pg_publication WHERE pubname = %s""", name)
    if not rows:
        return None
    oid, all_tables, via_root, *published = rows[0]
    operations = frozenset(op for op, on in zip(_OPERATIONS, published, strict=True) if on)
    return Publication(name, all_tables, operations, via_root, _published(conn, oid, all_tables, via_root))


def _published(conn: Connection, oid: int, all_tables: bool, via_root: bool) -> frozenset[tuple[str, str]]:
    """The names in pg_publication_tables. From version 16 on, that view waits for locks of every published table: with
    FOR ALL TABLES, one ALTER TABLE in the database would hold up our start."""
    members = _ALL if all_tables else _LISTED if conn.info.server_version < 150000 else _LISTED_OR_IN_SCHEMAS
    rows = query(conn, sql.SQL("""\
WITH RECURSIVE member (oid) AS ({}), tree (top, oid) AS (
    SELECT oid, oid FROM member
    UNION SELECT t.top, i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
    JOIN pg_catalog.pg_class p ON p.oid = t.oid WHERE p.relkind = 'p')
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence = 'p' AND c.oid >= 16384 AND {}""").format(
        members.format(sql.Literal(oid)), _VIA_ROOT if via_root else _VIA_LEAVES))
    return frozenset((row[0], row[1]) for row in rows)


_ALL: Final = sql.SQL("SELECT oid FROM pg_catalog.pg_class")
_LISTED: Final = sql.SQL("SELECT prrelid FROM pg_catalog.pg_publication_rel WHERE prpubid = {0}")
_LISTED_OR_IN_SCHEMAS: Final = sql.SQL("""\
SELECT prrelid FROM pg_catalog.pg_publication_rel WHERE prpubid = {0}
UNION SELECT c.oid FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_publication_namespace s ON s.pnnspid = c.relnamespace WHERE s.pnpubid = {0}""")

_VIA_ROOT: Final = sql.SQL("""\
c.relkind IN ('r', 'p') AND c.oid IN (SELECT oid FROM member)
AND c.oid NOT IN (SELECT oid FROM tree WHERE top <> oid)""")
_VIA_LEAVES: Final = sql.SQL("c.relkind = 'r' AND c.oid IN (SELECT oid FROM tree)")


def ensure_publication(conn: Connection, config: PostgresConfig, filters: Filters, facts: ServerFacts,
                       relations: Iterable[RelationCatalog] = ()) -> Publication:
    """Finds, creates or adjusts the publication, as `publication.autocreate.mode` says, over an ordinary connection.
    *relations*: all tables of the database, to see which a publication for all tables would harm.

    Call it before the slot is created: a slot decodes with the catalogs of its time, and would not find a later
    publication. Raises SourceRefusedError, with the statement that an owner or superuser can run instead; and
    ConfigError if mode `filtered` finds no table.
    """
    mode, name = config.publication_autocreate_mode, config.publication_name
    found = find_publication(conn, name)
    captured = captured_tables(conn, filters, facts.database)
    changed = found is None
    if found is None:
        _create(conn, harmless(config, captured, relations), facts, captured)
    else:
        if found.all_tables and found.operations & {"u", "d"}:
            _warn_of_harm(name, _harmed(relations, captured))
        if mode == "filtered":
            changed = _adjust(conn, facts, found, captured)
    if changed:
        found = find_publication(conn, name)
    if found is None:
        raise SourceRefusedError(f"Publication {name} was dropped while the connector started.", hint="Start again.")
    _remark(config, found, captured)
    return found


def captured_tables(conn: Connection, filters: Filters, database: str) -> list[tuple[str, str]]:
    """Those of `ordinary_tables` that pass the filters. Partitioned tables and their partitions are among them."""
    return [name for name in ordinary_tables(conn) if filters.table(TableId(database, *name))]


def ordinary_tables(conn: Connection) -> list[tuple[str, str]]:
    """All tables of the database that a publication can have, sorted."""
    rows = query(conn, """\
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= 16384
ORDER BY 1, 2""")
    return [(row[0], row[1]) for row in rows]


def harmless(config: PostgresConfig, captured: Collection[tuple[str, str]],
              relations: Iterable[RelationCatalog]) -> PostgresConfig:
    """*config*, with a narrower mode if the default one, all_tables, would have the server refuse UPDATE and DELETE on
    tables that are not captured: those without a replica identity."""
    operations = config.published_operations
    if config.publication_autocreate_mode != "all_tables" or (
            operations is not None and not {"u", "d"} & set(operations)):
        return config
    harmed = _harmed(relations, captured)
    if not harmed:
        return config
    if config.publication_for_all:
        _warn_of_harm(config.publication_name, harmed)
        return config
    mode = "filtered" if captured else "no_tables"
    log.warning("publication_not_for_all_tables", mode=mode, tables=listed(harmed),
                why="these tables are not captured and have no replica identity: the server would refuse UPDATE and"
                    " DELETE on them",
                hint="Set publication.autocreate.mode to choose; with filtered, a restart adds tables that are new.")
    return replace(config, publication_autocreate_mode=mode)


def _harmed(relations: Iterable[RelationCatalog], captured: Collection[tuple[str, str]]) -> list[str]:
    """The tables that are not captured and have no replica identity."""
    wanted = set(captured)
    return sorted(f"{each.namespace}.{each.name}" for each in relations
                  if each.kind == "r" and not each.identity_key and (each.namespace, each.name) not in wanted)


def _warn_of_harm(name: str, harmed: list[str]) -> None:
    if harmed:
        log.warning("publication_harms_tables", tables=listed(harmed), publication=name,
                    why="they are not captured and have no replica identity, so the server refuses UPDATE and DELETE on"
                        " them",
                    hint="Give them a primary key or REPLICA IDENTITY FULL, or drop the publication and set"
                         " publication.autocreate.mode=filtered.")


def _create(conn: Connection, config: PostgresConfig, facts: ServerFacts, captured: list[tuple[str, str]]) -> None:
    name, mode = config.publication_name, config.publication_autocreate_mode
    statement = _create_statement(config, captured)
    if mode == "disabled":
        raise SourceRefusedError(f"Publication {name} does not exist, and publication.autocreate.mode is disabled.",
                                 hint=f"Run {_short(conn, statement)}, or choose another mode.")
    if facts.in_recovery:
        raise SourceRefusedError(f"Publication {name} does not exist, and a standby cannot create it.",
                                 hint=f"Run {_short(conn, statement)} on the primary.")
    if mode == "filtered" and not captured:
        raise _nothing_captured()
    if mode == "filtered":
        _run(conn, _create_statement(config, captured[:_AT_ONCE]))
        _alter(conn, name, "ADD", captured[_AT_ONCE:])
    else:
        _run(conn, statement)
    log.info("publication_created", publication=name, mode=mode, tables=len(captured) if mode == "filtered" else None)


def _adjust(conn: Connection, facts: ServerFacts, found: Publication, captured: list[tuple[str, str]]) -> bool:
    """Mode `filtered`, with a publication that exists: adds captured tables that it does not have, and drops members
    of which nothing is captured. All other members keep their row filters and column lists, and its schemas stay.
    Returns whether it changed anything."""
    if found.all_tables:
        raise SourceRefusedError(
            f"Publication {found.name} is for all tables and cannot be filtered.",
            hint="Drop it, choose another publication.name, or set publication.autocreate.mode to all_tables.")
    if not captured:
        raise _nothing_captured()
    added, dropped = differences(captured, found.tables, _members(conn, found.name), _schemas(conn, found.name))
    if not added and not dropped:
        return False
    if facts.in_recovery:
        log.warning("publication_not_adjusted", publication=found.name, why="this server is a standby")
        return False
    for verb, names in (("ADD", added), ("DROP", dropped)):
        _alter(conn, found.name, verb, names)
    log.info("publication_adjusted", publication=found.name, added=len(added),
             dropped=listed([".".join(name) for name in dropped]) or None)
    return True


def _alter(conn: Connection, name: str, verb: str, tables: Sequence[tuple[str, str]]) -> None:
    """ADD or DROP *tables*. A statement locks its tables, and the server has room for some 6,400 locks unless
    configured."""
    for first in range(0, len(tables), _AT_ONCE):
        _run(conn, sql.SQL("ALTER PUBLICATION {} {} TABLE {}").format(
            sql.Identifier(name), sql.SQL(verb), _tables(tables[first:first + _AT_ONCE])))


Name = tuple[str, str]


def differences(captured: Collection[Name], published: Collection[Name], members: Mapping[Name, Collection[Name]],
                schemas: Collection[str]) -> tuple[list[Name], list[Name]]:
    """The tables to add to a publication and those to drop from it, so that it has the *captured* tables.

    *published*: the names under which it publishes changes. *members*: the tables that were added to it, each with
    itself and the partitions that it stands for. *schemas*: it is for all their tables.
    """
    covered = {name for names in members.values() for name in names}
    added = [name for name in captured if name not in covered and name not in published and name[0] not in schemas]
    wanted = set(captured)
    return added, sorted(member for member, names in members.items() if wanted.isdisjoint(names))


def _members(conn: Connection, name: str) -> dict[Name, set[Name]]:
    """The tables that were added to the publication, each with itself and its partitions. pg_partition_tree would wait
    for locks of partitions."""
    found: dict[Name, set[Name]] = {}
    for row in query(conn, """\
SELECT n.nspname, c.relname, tn.nspname, t.relname
FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    WITH RECURSIVE tree (oid) AS (
        SELECT c.oid UNION SELECT i.inhrelid FROM tree
        JOIN pg_catalog.pg_class k ON k.oid = tree.oid AND k.relkind = 'p'
        JOIN pg_catalog.pg_inherits i ON i.inhparent = k.oid)
    SELECT oid FROM tree) s
JOIN pg_catalog.pg_class t ON t.oid = s.oid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE p.pubname = %s""", name):
        found.setdefault((row[0], row[1]), set()).add((row[2], row[3]))
    return found


def _schemas(conn: Connection, name: str) -> set[str]:
    """The schemas of FOR TABLES IN SCHEMA, which PostgreSQL 15 brought."""
    if conn.info.server_version < 150000:
        return set()
    return {row[0] for row in query(conn, """\
SELECT n.nspname
FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_namespace s ON s.pnpubid = p.oid
JOIN pg_catalog.pg_namespace n ON n.oid = s.pnnspid WHERE p.pubname = %s""", name)}


@dataclass(frozen=True)
class Part:
    """What a publication has of a table: `columns`, or all if it is empty; the rows of the condition `where`."""

    columns: tuple[str, ...]
    where: str | None


def published_parts(conn: Connection, name: str, oids: Collection[int]) -> dict[int, Part]:
    """The tables, of those with *oids*, of which publication *name* has only some columns or rows, which PostgreSQL 15
    brought. The text of a condition needs a lock of its table, as reading the table does.

    A partitioned table's lists apply only if changes are published under its name.
    """
    if conn.info.server_version < 150000:
        return {}
    return {row[0]: Part(tuple(row[1]), row[2]) for row in query(conn, """\
SELECT c.oid::int8,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs) ORDER BY a.attnum),
       pg_catalog.pg_get_expr(r.prqual, r.prrelid)
FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
JOIN pg_catalog.pg_class c ON c.oid = r.prrelid
WHERE p.pubname = %s AND (r.prattrs IS NOT NULL OR r.prqual IS NOT NULL) AND (c.relkind = 'r' OR p.pubviaroot)
  AND c.oid = ANY(%s::oid[])""", name, list(oids))}


def _create_statement(config: PostgresConfig, captured: list[tuple[str, str]]) -> sql.Composed:
    parts: list[sql.Composable] = [sql.SQL("CREATE PUBLICATION {}").format(sql.Identifier(config.publication_name))]
    if config.publication_autocreate_mode == "filtered":
        parts.append(sql.SQL("FOR TABLE {}").format(_tables(captured)))
    elif config.publication_autocreate_mode != "no_tables":
        parts.append(sql.SQL("FOR ALL TABLES"))
    parameters: list[sql.Composable] = []
    if config.published_operations is not None:
        published = ", ".join(_OPERATIONS[op] for op in config.published_operations)
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
        with users_search_path(conn):
            conn.execute(statement)
    except psycopg.errors.InsufficientPrivilege as exc:
        raise SourceRefusedError(
            "The user may not create or change the publication (FOR ALL TABLES needs a superuser, other tables need"
            " their owner and CREATE on the database).",
            hint=f"Let a user with these rights run {_short(conn, statement)}; or see publication.autocreate.mode.",
            sqlstate=exc.sqlstate) from exc
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):  # the second if both create it at once
        log.info("publication_made_by_another")
    except psycopg.Error as exc:
        raise map_error(exc) from exc


def _short(conn: Connection, statement: sql.Composed) -> str:
    text = statement.as_string(conn)
    return text if len(text) <= 300 else f"{text[:300]}…"


def _remark(config: PostgresConfig, found: Publication, captured: Collection[tuple[str, str]]) -> None:
    """Warns of a stream that will have nothing; `watch.py` warns of single tables."""
    if not captured:
        log.warning("no_table_captured", why="no table passes the schema and table lists")
    elif not found.tables:
        log.warning("publication_is_empty", publication=found.name)
    if config.publish_via_partition_root and not found.via_root:
        log.warning("publication_not_via_partition_root", publication=found.name)


# -- replica identities ----------------------------------------------------------------------------------------------


def set_replica_identities(conn: Connection, entries: Collection[ReplicaIdentity], relations: Iterable[RelationCatalog],
                           facts: ServerFacts, lock_timeout_ms: int = 10_000) -> bool:
    """Applies `replica.identity.autoset.values` to the captured *relations*. Returns True if it changed one: then read
    the catalog again. Raises ConfigError if two entries match one table."""
    patterns = [(compile_items((entry.table,), "replica.identity.autoset.values")[0], entry) for entry in entries]
    changed = False
    for relation in relations:
        name = f"{relation.namespace}.{relation.name}"
        matching = [entry for pattern, entry in patterns if pattern.fullmatch(name)]
        if len(matching) > 1:
            raise ConfigError(f"More than one entry matches table {name}.", option="replica.identity.autoset.values")
        if matching and _differs(relation, matching[0]):
            changed = _set_replica_identity(conn, relation, matching[0], facts, lock_timeout_ms) or changed
    return changed


def _differs(relation: RelationCatalog, wanted: ReplicaIdentity) -> bool:
    """Whether to set the replica identity. An index is set each time: setting the same index changes nothing."""
    return wanted.identity == "INDEX" or relation.replica_identity != _IDENTITY_LETTERS[wanted.identity]


def _set_replica_identity(conn: Connection, relation: RelationCatalog, wanted: ReplicaIdentity, facts: ServerFacts,
                          lock_timeout_ms: int) -> bool:
    """While it waits for the lock of the table, all others wait for us; so we do not wait long."""
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
        with users_search_path(conn), conn.transaction():
            conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(lock_timeout_ms)))
            conn.execute(sql.SQL("ALTER TABLE {} REPLICA IDENTITY {}").format(table, identity))
    except psycopg.errors.InsufficientPrivilege as exc:
        raise SourceRefusedError(f"The user may not set the replica identity of {name}.",
                                 hint="Only the owner may: set it once as the owner, or remove the entry.") from exc
    except psycopg.Error as exc:
        raise map_error(exc) from exc
    log.info("replica_identity_set", table=name, identity=kind.lower(), index=index)
    return True


def warn_of_keys_not_logged(relations: Iterable[RelationCatalog], publication: Publication, filters: Filters,
                            database: str) -> list[str]:
    """Returns the captured tables whose key has columns outside of the replica identity, with these columns, and warns
    of them in one line: old row images lack these columns."""
    if not publication.operations & {"u", "d"}:
        return []
    found = []
    for relation in relations:
        names = [column.name for column in relation.columns]
        key = filters.keys.find(TableId(database, relation.namespace, relation.name), names) or relation.key
        missing = [name for name in key if name not in relation.identity_key]
        if missing and relation.identity_key and relation.kind == "r":
            found.append(f"{relation.namespace}.{relation.name} ({', '.join(missing)})")
    if found:
        log.warning("keys_not_in_replica_identity", tables=listed(sorted(found)),
                    hint="The log does not have the key of a deleted row of these tables, so its event is an error; and"
                         " an UPDATE of the key cannot be seen. REPLICA IDENTITY FULL, or the primary key (DEFAULT),"
                         " helps.")
    return sorted(found)

