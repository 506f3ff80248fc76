"""Relations to table schemas: the log's columns, completed from the catalog, with codecs and event schemas.

One `TableSchema` object stands for one version of a table's structure: a Relation message that changes nothing gives
the same object again, so that plans and registered schemas are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from cdc.codecs.mappers import ColumnSource, Rule, map_column, mapper_for
from cdc.codecs.wrappers import ConstantCodec
from cdc.core.codec import Codec
from cdc.core.envelope import make_table_schema
from cdc.core.fallback import fallback
from cdc.core.filters import Filters
from cdc.core.naming import TopicNaming
from cdc.core.schema import Column, Schema, TableId, TableSchema
from cdc.log import get_logger

from . import jdbc
from .catalog import CatalogSnapshot, MergedColumn, MergedRelation, merge
from .defaults import default_value
from .options import PostgresConfig
from .protocol import Relation
from .types import ColumnType, TypeInfo, WithheldCodec, resolve

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Version:
    """What a TableSchema was made from."""

    relation: Relation
    merged: MergedRelation
    types: tuple[TypeInfo | None, ...]
    relaxed: frozenset[str]
    streaming: bool


_WITHHELD: Final = "a streamed column of type name is null, as with Debezium; cdc.name.columns=value keeps it"


def _unread(column: Column) -> Column:
    """A key column that is filtered out of the row. Debezium's stream knows it from the log only, which says nothing
    of NOT NULL and defaults."""
    return replace(column, key_schema=replace(column.key_schema, optional=True, default=None))


def _without_value(schema: Schema, optional: bool) -> Codec:
    """What a streamed column of type name is read by: null, or where that is not allowed an empty text. Keys keep
    the value, as rows must not share one."""
    return WithheldCodec(schema, _WITHHELD) if optional else ConstantCodec(schema, fallback(schema))


class TableBuilder:
    """Makes and remembers the table schemas of one connector. `streaming` says whose rows they are for: Debezium
    reads columns of type `name` in a snapshot and writes null for them when streaming."""

    def __init__(self, config: PostgresConfig, naming: TopicNaming, filters: Filters, rules: tuple[Rule, ...],
                 database: str, source_schema: Schema) -> None:
        self.config = config
        self.naming = naming
        self.filters = filters
        self.rules = rules
        self.database = database
        self.source_schema = source_schema
        self.streaming = False
        self._shows_names = config.cdc_name_columns == "value" or config.include_unknown_datatypes
        self._made: dict[int, tuple[_Version, TableSchema]] = {}
        self._relaxed: dict[int, frozenset[str]] = {}
        self._warned: set[tuple[str, str, str]] = set()

    def table_id(self, relation: Relation) -> TableId:
        return TableId(self.database, relation.namespace, relation.name)

    def captured(self, relation: Relation) -> bool:
        return self.filters.table(self.table_id(relation))

    def build(self, relation: Relation, catalog: CatalogSnapshot) -> TableSchema:
        """The schema of *relation* as the log describes it, completed from *catalog*."""
        merged = merge(relation, catalog.relations.get(relation.oid))
        types = tuple(catalog.types.get(column.type_oid) for column in merged.columns)
        version = _Version(relation, merged, types, self._relaxed.get(relation.oid, frozenset()),
                           self.streaming)
        made = self._made.get(relation.oid)
        if made is not None and made[0] == version:
            return made[1]
        table = self._make(version, catalog.types)
        self._made[relation.oid] = (version, table)
        return table

    def relax(self, oid: int, names: Collection[str], catalog: CatalogSnapshot) -> TableSchema:
        """The schema again, with the columns *names* optional: rows of the log have nulls in them."""
        version, table = self._made[oid]
        self._relaxed[oid] = self._relaxed.get(oid, frozenset()) | frozenset(names)
        log.info("catalog_newer_than_log", table=str(table.id), columns=sorted(names))
        version = replace(version, relaxed=self._relaxed[oid])
        table = self._make(version, catalog.types)
        self._made[oid] = (version, table)
        return table

    def _make(self, version: _Version, types: Mapping[int, TypeInfo]) -> TableSchema:
        id = self.table_id(version.relation)
        topic = self.naming.data_topic(id)
        made = {
            column.name: built
            for index, (column, info) in enumerate(zip(version.merged.columns, version.types))
            if (built := self._column(id, index, column, info, types, column.name in version.relaxed)) is not None
        }
        names = self.filters.keys.find(id, made) or version.merged.key
        captured = [column for name, column in made.items() if self.filters.column(id, name)]
        key = [column if column in captured or not self.streaming else _unread(column)
               for column in (made[name] for name in names if name in made)]
        plain = self.naming.plain_topic(id)
        if topic != plain:
            self._warn(id, "", "topic_name_changed", topic=topic, name=plain)
        return make_table_schema(id, topic, captured, key, self.source_schema, self.naming)

    def _column(self, id: TableId, index: int, column: MergedColumn, info: TypeInfo | None,
                types: Mapping[int, TypeInfo], relaxed: bool) -> Column | None:
        found = resolve(info, column.typmod, config=self.config, types=types) if info is not None else None
        if found is None:
            self._warn(id, column.name, "column_type_not_supported", type=info.name if info else column.type_oid)
            return None
        schema = self._schema(id, column, info, found, relaxed)
        key_codecs = found.codec, found.binary_codec
        if found.type_name == "name" and self.streaming and not self._shows_names:
            shown = _without_value(found.schema, schema.optional)
            found = replace(found, codec=shown, binary_codec=shown)
        assert info is not None
        source = self._source(column, info, found)
        mapper = mapper_for(self.rules, id, source)
        field = self.naming.field_name(column.name)
        required = not schema.optional and schema.default is None
        if mapper is None:
            return Column(index, column.name, field, found.type_name, schema, found.codec, found.binary_codec, schema,
                          *key_codecs, found.unchanged, found.null_value if required else None)
        stand_in = fallback(schema) if found.null_value is None else found.null_value
        mapped = map_column(mapper, source, schema, found.codec, found.binary_codec, unchanged=found.unchanged,
                            fallback=None if schema.optional else stand_in)
        if mapped.ineffective:
            self._warn(id, column.name, "column_cannot_be_masked", type=found.type_name)
        null_value = found.null_value if mapped.null_value is None and required else mapped.null_value
        return Column(index, column.name, field, found.type_name, mapped.schema, mapped.codec, mapped.binary_codec,
                      schema, *key_codecs, mapped.unchanged, null_value)

    def _source(self, column: MergedColumn, info: TypeInfo, found: ColumnType) -> ColumnSource:
        """The column as Debezium's mappers know it: in a stream by pg_type, in a snapshot by the driver's metadata."""
        name, length, scale = found.type_name, found.length, found.scale
        if not self.streaming:
            name = jdbc.metadata_name(info.namespace, jdbc.serial_name(name, column.default))
            if info.name == "numeric" and column.typmod == -1:
                return ColumnSource(column.name, name, 0, None, found.is_character)
        return ColumnSource(column.name, name, length, scale, found.is_character)

    def _schema(self, id: TableId, column: MergedColumn, info: TypeInfo | None, found: ColumnType,
                relaxed: bool) -> Schema:
        optional = column.nullable or relaxed or found.always_optional
        assert info is not None
        default = default_value(column.default, info.name, found.codec, typmod=column.typmod,
                                is_enum=info.kind == "e")
        if not default.understood:
            self._warn(id, column.name, "column_default_not_understood")
        return replace(found.schema, optional=optional, default=default.value)

    def _warn(self, id: TableId, column: str, event: str, **names: Any) -> None:
        """Once for each column."""
        if (str(id), column, event) not in self._warned:
            self._warned.add((str(id), column, event))
            log.warning(event, table=str(id), **({"column": column} if column else {}), **names)
