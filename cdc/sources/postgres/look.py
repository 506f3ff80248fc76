"""A look at a server before the connector runs there: one ordinary connection, and nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cdc.core.errors import CdcError, SourceRefusedError
from cdc.core.preview import Look, Preview, TableNames, TablePreview
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.debezium.naming import TopicNaming
from cdc.sources.shared.look import other_topics, raised
from cdc.sources.shared.modes import mode_of
from cdc.sources.shared.selection import SnapshotSelection

from . import checks, connection, publication, slots
from .builtin import is_builtin
from .captured import captured_relations, check_captured
from .catalog import CatalogSnapshot, RelationCatalog, read_catalog, read_unlogged, relation_of
from .connection import Connection, query
from .lsn import Lsn
from .options import PostgresConfig
from .server import ServerFacts
from .source_block import SourceBlock
from .tables import TableBuilder


def look(config: PostgresConfig) -> Preview:
    """What the connector would find. Raises SourceError if it cannot connect or may not read the catalog."""
    filters, naming = Filters.from_config(config, is_builtin), TopicNaming.from_config(config)
    block = SourceBlock(naming, config.database_dbname, config.binary_handling_mode, filters.prefix)
    builder = TableBuilder(config, naming, filters, config.column_mappers, config.database_dbname, block.source_schema)
    conn = connection.connect(config)
    try:
        catalog = read_catalog(conn)
        captured = captured_relations(catalog, filters, config.database_dbname)
        problems = list(_problems(conn, config, filters, captured))
        found = list(_previews(builder, catalog, captured, problems))
        problems += raised(lambda: builder.columns.topics.claim_all(
            (builder.table_id(relation_of(each)), each.oid) for each in captured))
        notes = tuple(_notes(conn, config, captured))
        version = conn.info.server_version
    finally:
        conn.close()
    return Preview(f"PostgreSQL {version // 10000}.{version % 10000}", tuple(problems), notes, tuple(found),
                   tuple(other_topics(config, naming)))


def tables(config: PostgresConfig) -> TableNames:
    """The tables that a publication can have. Raises SourceError."""
    filters = Filters.from_config(config, is_builtin)
    conn = connection.connect(config)
    try:
        found = [TableId(config.database_dbname, *name) for name in publication.ordinary_tables(conn)]
        estimates = query(conn, """\
SELECT n.nspname, c.relname, c.reltuples::int8
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.reltuples > 0""")
    finally:
        conn.close()
    captured = tuple(id for id in found if filters.table(id))
    known = {TableId(config.database_dbname, schema, name): count for schema, name, count in estimates}
    rows = {id: known[id] for id in captured if id in known}
    return TableNames(captured, tuple(id for id in found if not filters.table(id) and not is_builtin(id)), rows,
                      tuple(SnapshotSelection.from_config(config).tables(captured, rows)))


def reader(config: PostgresConfig) -> str | None:
    """Who has the slot. Raises SourceError."""
    conn = connection.connect(config)
    try:
        slot = slots.find_slot(conn, config.slot_name)
    finally:
        conn.close()
    if slot is None or slot.active_pid is None:
        return None
    return f"the replication slot {config.slot_name} is in use (server process {slot.active_pid})"


def _problems(conn: Connection, config: PostgresConfig, filters: Filters,
              captured: list[RelationCatalog]) -> Iterator[CdcError]:
    facts = _facts(conn)
    slot = slots.find_slot(conn, config.slot_name)
    if mode_of(config).streams:
        yield from checks.server_problems(conn, facts, new_slot=slot is None)
        if slot is not None:
            yield from raised(lambda: checks.check_slot(slot, facts.database))
        yield from _of_publication(conn, config, captured)
    yield from raised(lambda: check_captured(captured, read_unlogged(conn), config, filters))
    unreadable = checks.not_readable_whole(conn, [each.oid for each in captured])
    names = sorted(f"{each.namespace}.{each.name}" for each in captured if each.oid in unreadable)
    if names:
        yield SourceRefusedError(f"The user may not read all columns of {checks.listed(names)}.",
                                 hint="Run GRANT USAGE ON SCHEMA … and GRANT SELECT ON … for it, or leave the tables"
                                      " out.")


def _facts(conn: Connection) -> ServerFacts:
    """As `server.read_facts`, without what only a replication connection tells."""
    (in_recovery, wal_level, user, database), = query(conn, """\
SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('wal_level'), current_user::text,
       pg_catalog.current_database()::text""")
    return ServerFacts(conn.info.server_version, in_recovery, "", 0, wal_level, user, database, Lsn(0))


def _of_publication(conn: Connection, config: PostgresConfig,
                    captured: list[RelationCatalog]) -> Iterator[SourceRefusedError]:
    """Whether the publication is there, or the user may create it."""
    name, mode = config.publication_name, config.publication_autocreate_mode
    if publication.find_publication(conn, name) is not None:
        return
    if mode == "disabled":
        yield SourceRefusedError(f"Publication {name} does not exist, and publication.autocreate.mode is disabled.",
                                 hint="Create it, or choose another mode.")
        return
    (superuser, may_create), = query(conn, """\
SELECT r.rolsuper, pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user""")
    others = [] if superuser or mode == "no_tables" else [row[0] for row in query(conn, """\
SELECT c.oid::regclass::text FROM pg_catalog.pg_class c
WHERE c.oid = ANY (%s::oid[]) AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE') ORDER BY 1""",
                                                                      [each.oid for each in captured])]
    if not superuser and (not may_create or others or mode == "all_tables"):
        wanted = "FOR ALL TABLES" if mode == "all_tables" else "FOR TABLE …"
        yield SourceRefusedError(
            f"Publication {name} does not exist, and the user may not create it.",
            hint=f"Let a superuser or the tables' owner run CREATE PUBLICATION {connection.quoted(name)} {wanted};")


def _previews(builder: TableBuilder, catalog: CatalogSnapshot, captured: list[RelationCatalog],
            problems: list[CdcError]) -> Iterator[TablePreview]:
    for each in captured:
        try:
            schema = builder.build(relation_of(each), catalog)
        except CdcError as exc:
            problems.append(exc)
        else:
            yield TablePreview(schema, each.row_estimate if each.row_estimate >= 0 else None)


def _notes(conn: Connection, config: PostgresConfig, captured: list[RelationCatalog]) -> Iterator[str]:
    if not mode_of(config).streams:
        return
    if slots.find_slot(conn, config.slot_name) is None:
        yield f"The replication slot {config.slot_name} would be created; it keeps WAL until it is dropped."
    if publication.find_publication(conn, config.publication_name) is None:
        yield f"The publication {config.publication_name} would be created ({config.publication_autocreate_mode})."
    refused = sorted(f"{each.namespace}.{each.name}" for each in captured if not each.identity_key)
    if refused:
        yield (f"Without a primary key, once they are published, the server refuses UPDATE and DELETE on "
               f"{checks.listed(refused)}. Add a key, or run ALTER TABLE … REPLICA IDENTITY FULL.")


LOOK: Final = Look(look, tables, reader)
