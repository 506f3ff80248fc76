"""Which relations of the catalog are captured, and in what order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cdc.core.errors import ConfigError
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.log import get_logger
from cdc.sources.shared.selection import SnapshotSelection, captured_tables, unmatched_entries, warn_of_missing

from .catalog import CatalogSnapshot, RelationCatalog, Unlogged
from .checks import listed
from .options import PostgresConfig

log = get_logger(__name__)


def captured_relations(catalog: CatalogSnapshot, filters: Filters, database: str) -> list[RelationCatalog]:
    """The captured relations, in Debezium's order."""
    relations = _by_id(catalog.relations.values(), database)
    return [relations[id] for id in captured_tables(relations, filters)]


def relations_to_copy(captured: Iterable[RelationCatalog], selection: SnapshotSelection,
                      database: str) -> list[RelationCatalog]:
    """The relations that a snapshot copies, in order.

    A partitioned table and its partitions are tables like others: all that are captured are copied, as Debezium does,
    because the stream names either, as its publication says.
    """
    relations = _by_id(captured, database)
    estimates = {id: relation.row_estimate for id, relation in relations.items()}
    return [relations[id] for id in selection.tables(relations, estimates)]


def check_captured(captured: Iterable[RelationCatalog], unlogged: Iterable[Unlogged], config: PostgresConfig,
                   filters: Filters) -> None:
    """Raises ConfigError when the include lists match no table at all; warns of each entry that matches none, and of
    what the events of the tables will not have.

    *unlogged*: what cannot be captured, though a list may name it.
    """
    captured = list(captured)
    for each in captured:
        _remark(each, config, filters)
    ids = [TableId(config.database_dbname, each.namespace, each.name) for each in captured]
    warn_of_missing(filters.missing_signal_tables(ids))
    names = [str(id) for id in ids if filters.listed(id)]
    others = {name: each.why for each in unlogged if (name := _named(each, config.database_dbname, filters))}
    if not names and (config.table_include_list or config.schema_include_list):
        raise _nothing(config, others)
    pairs = list(zip(config.table_include_list, filters.tables.include, strict=True))
    lonely = [pair for pair in pairs if unmatched_entries(pair[:1], pair[1:], names)]
    told: set[str] = set()
    for entry, pattern in lonely:
        matched = {name for name in others if pattern.fullmatch(name)}
        told |= matched
        if not matched:
            log.warning("include_list_entry_matches_nothing", option="table.include.list", entry=entry)
    for name, why in others.items():
        if name in told or why == "unlogged":
            log.warning("table_cannot_be_captured", table=name, why=f"it is {why}: the log has no changes of it")


def _named(found: Unlogged, database: str, filters: Filters) -> str:
    """The name under which the lists take *found*; empty if they do not. Temporary tables are in schemas of sessions,
    and lists mostly name them as tables of public."""
    schemas = (found.namespace, "public") if found.namespace.startswith("pg_temp") else (found.namespace,)
    return next((f"{schema}.{found.name}" for schema in schemas
                 if filters.table(TableId(database, schema, found.name))), "")


def _nothing(config: PostgresConfig, others: Mapping[str, str]) -> ConfigError:
    lists = "table.include.list" if config.table_include_list else "schema.include.list"
    if others:
        described = listed([f"{name} is {why}" for name, why in sorted(others.items())])
        return ConfigError(
            f"{lists} names nothing that can be captured: {described}, and the log has no changes of it.", option=lists,
            hint="Name ordinary tables. ALTER TABLE … SET LOGGED makes an unlogged table one; instead of a view, name"
                 " the tables that it reads.")
    return ConfigError(
        f"{lists} matches no table of database {config.database_dbname}.", option=lists,
        hint="Its entries are regular expressions for whole names, schema.table (or schema); check spelling, case and"
             " the database, and create the tables first.")


def _remark(relation: RelationCatalog, config: PostgresConfig, filters: Filters) -> None:
    table = f"{relation.namespace}.{relation.name}"
    if relation.virtual:
        log.warning("virtual_columns_left_out", table=table, columns=list(relation.virtual),
                    why="the log does not have virtual generated columns")
    own_key = relation.key or filters.keys.find(
        TableId(config.database_dbname, relation.namespace, relation.name), [each.name for each in relation.columns])
    if relation.loose_key and not own_key and not config.cdc_debezium_faults:
        log.warning("unique_index_is_no_key", table=table, columns=list(relation.loose_key),
                    why="it is partial or deferrable, or has nulls, so several rows can have the same values",
                    hint="Events of the table have no key. Name key columns in message.key.columns.")


def _by_id(relations: Iterable[RelationCatalog], database: str) -> dict[TableId, RelationCatalog]:
    return {TableId(database, each.namespace, each.name): each for each in relations}
