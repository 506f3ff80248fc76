"""Looks tables up in the catalog while rows stream, once per Relation message, for what the log leaves out.

It has an ordinary connection of its own: the replication connection is busy with the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import TypeVar

from cdc.core.errors import SourceConnectionError, SourceRefusedError
from cdc.core.row import BINARY, Row
from cdc.core.table import TableId, TableSchema
from cdc.log import get_logger

from .catalog import CatalogSnapshot, RelationCatalog, read_catalog, read_types_named, relation_of
from .connection import Connection, connect
from .enums import enum_columns
from .lost_types import lost_types
from .merge import Doubt, MergedRelation, Moment, as_catalog_has_it, merge
from .options import PostgresConfig
from .protocol import Relation, Type
from .relations import RelationState
from .remembered import Remembered
from .tables import TableBuilder

log = get_logger(__name__)

T = TypeVar("T")


class Lookup:
    """Gives the ChangeReader a table's schema.

    `conn`: the connection, None before its first use; `connection` opens it.
    `binary`: whether the stream sends values in binary format (`cdc.binary`).
    `remembered`: what the offset has, and what was learned since.
    *watches*: which tables are watched (`EmittedTable.watched`).
    """

    def __init__(self, config: PostgresConfig, builder: TableBuilder,
                 watches: Callable[[TableId], bool] = lambda id: False) -> None:
        self.conn: Connection | None = None
        self.binary = False
        self.remembered = Remembered()
        self._named: dict[int, Type] = {}
        self._described: dict[int, tuple[Relation, MergedRelation]] = {}
        self._keys_seen: dict[int, tuple[tuple[str, ...], int]] = {}
        self._config = config
        self._builder = builder
        self._watches = watches

    def connection(self) -> Connection:
        """The open connection; a lost one is replaced."""
        if self.conn is None or self.conn.closed or self.conn.broken:
            self.conn = connect(self._config)
        return self.conn

    def close(self) -> None:
        if self.conn is not None:
            self.conn.close()

    def resolve(self, relation: Relation, xid: int, final_lsn: int) -> RelationState:
        """How to read the rows of *relation*, which the log describes in transaction *xid*. Raises SourceRefusedError
        if `binary` cannot be used for its columns, or its key or a type is not known."""
        if not self._builder.captured(relation):
            return RelationState(relation, None)
        catalog = self._catalog_of(relation)
        found = self._builder.relation_in(catalog, relation.oid)
        seen_lsn = self._keys_seen[relation.oid][1] if relation.oid in self._keys_seen else 0
        before = self._described.get(relation.oid)
        moment = Moment(xid, final_lsn, seen_lsn, before is not None and before[0] == relation)
        merged = merge(relation, found, self.remembered.tables.get(relation.oid, ()), moment)
        self._described[relation.oid] = (relation, merged)
        self.remembered.learn_table(relation.oid, merged)
        doubt = Doubt(seen_lsn, found.key_xid) if merged.doubtful and found is not None else None
        state = self._state(relation, catalog, merged, doubt)
        log.debug("relation_described", table=state.collection, columns=state.column_count)
        return state

    def _state(self, relation: Relation, catalog: CatalogSnapshot, merged: MergedRelation,
               doubt: Doubt | None) -> RelationState:
        table = self._builder.build(relation, catalog, merged)
        if self.binary:
            check_binary(table)
        return self._reads(relation, table, catalog, doubt)

    def _reads(self, relation: Relation, table: TableSchema, catalog: CatalogSnapshot, doubt: Doubt | None,
               ) -> RelationState:
        return RelationState(relation, table, enum_columns(relation, table, catalog.types), doubt,
                             watched=self._watches(table.id))

    def relax(self, state: RelationState, indexes: list[int]) -> RelationState:
        """*state* with columns that may be null: those at *indexes*, although the catalog calls them NOT NULL."""
        relation: Relation = state.relation
        names = [relation.columns[index].name for index in indexes]
        catalog = self._catalog_of(relation)
        table = self._builder.relax(relation.oid, names, catalog)
        return self._reads(relation, table, catalog, state.doubt)

    def relabel(self, state: RelationState, row: Row) -> RelationState:
        """*state*, or one whose schema names the labels in *row* that it does not name. Labels that the catalog does
        not have either (they were renamed since, or the type was dropped) come after the others."""
        unknown: dict[int, list[str]] = {}
        for index, known, each in state.enums:
            raw = row.raw(index)
            if raw is not None and raw not in known:
                labels = each.unknown_labels(raw, binary=row.kind(index) == BINARY)
                if labels:
                    unknown.setdefault(each.oid, []).extend(labels)
                each.accept(raw)
        if not unknown:
            return state
        relation: Relation = state.relation
        catalog = self._catalog_of(relation)
        for oid, labels in unknown.items():
            missing = [label for label in labels if label not in catalog.types[oid].labels]
            if missing:
                self.remembered.learn_labels(oid, missing)
        catalog = replace(catalog, types=self.remembered.completed(catalog.types))
        described, merged = self._described[relation.oid]
        if described != relation:  # of a transaction that was prepared before the table was altered
            merged = merge(relation, self._builder.relation_in(catalog, relation.oid),
                           self.remembered.tables.get(relation.oid, ()))
        return self._state(relation, catalog, merged, state.doubt)

    def learn(self, tables: Collection[RelationCatalog], catalog: CatalogSnapshot) -> None:
        """Remember the captured *tables* of *catalog*, and their types. What is known of older rows stays."""
        self.remembered.learn_types((column.type_oid for table in tables for column in table.columns), catalog.types)
        for table in tables:
            if table.oid not in self.remembered.tables:
                self.remembered.learn_table(table.oid, as_catalog_has_it(self._builder.as_configured(table)))
        self.remembered.forget(catalog.relations.keys(), catalog.types.keys())
        self._see_keys(tables, catalog.lsn)

    def _see_keys(self, tables: Iterable[RelationCatalog], lsn: int) -> None:
        for table in tables:
            key = self._builder.as_configured(table).key
            if table.oid not in self._keys_seen or self._keys_seen[table.oid][0] != key:
                self._keys_seen[table.oid] = (key, lsn)

    def name_type(self, said: Type) -> None:
        """The log's name for a type, before the first relation that has it."""
        self._named[said.oid] = said

    def _catalog_of(self, relation: Relation) -> CatalogSnapshot:
        """The catalog's part about *relation*, with types that it does not have any more."""
        oids = {column.type_oid for column in relation.columns}
        catalog = self._twice(lambda conn: read_catalog(conn, [relation.oid], type_oids=oids))
        self.remembered.learn_types(oids, catalog.types)
        self._see_keys(catalog.relations.values(), catalog.lsn)
        lost = {oid: said for oid in oids - catalog.types.keys() - self.remembered.types.keys()
                if (said := self._named.get(oid)) is not None}
        if lost:
            names = {(said.namespace, said.name) for said in lost.values()}
            named = self._twice(lambda conn: read_types_named(conn, names))
            found = lost_types(lost, {(info.namespace, info.name): info for info in named.values()})
            self.remembered.learn_types(found, {**named, **found})
            log.info("dropped_types_known_by_name", table=f"{relation.namespace}.{relation.name}",
                     types=sorted(lost[oid].name for oid in lost.keys() & found.keys()))
        return replace(catalog, types=self.remembered.completed(catalog.types))

    def _twice(self, read: Callable[[Connection], T]) -> T:
        """What *read* gives, the second time if the connection was lost."""
        try:
            return read(self.connection())
        except SourceConnectionError as exc:
            log.warning("lookup_repeated", error=exc.message)
            self.close()
            return read(self.connection())


def can_be_binary(catalog: CatalogSnapshot, captured: Iterable[RelationCatalog], builder: TableBuilder) -> bool:
    """Whether binary format can be used: every column of the *captured* tables must be readable in it."""
    for each in captured:
        names = text_only(builder.build(relation_of(each), catalog))
        if names:
            log.warning("binary_format_not_used", table=f"{each.namespace}.{each.name}", columns=names)
            return False
    return True


def check_binary(table: TableSchema) -> None:
    names = text_only(table)
    if names:
        raise SourceRefusedError(
            f"Table {table.id} has columns whose type this service reads in text format only.",
            columns=", ".join(names), hint="Set cdc.binary=false.")


def text_only(table: TableSchema) -> list[str]:
    """The captured columns whose type cannot be read in binary format."""
    return [column.name for column in (*table.columns, *table.key)
            if column.binary_codec is None or column.key_binary_codec is None]
