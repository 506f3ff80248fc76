"""Makes table schemas of Relation messages: the columns of the log, completed from the catalog, with codecs.

One `TableSchema` object stands for one version of a table's structure. A Relation message that changes nothing returns
the same object, so plans and registered schemas stay valid.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import copy
from dataclasses import replace
from typing import Final
from weakref import WeakKeyDictionary

from cdc.codecs.wrappers import ConstantCodec
from cdc.core.codec import Codec
from cdc.core.dataclass import dataclass
from cdc.core.errors import SourceRefusedError
from cdc.core.fallback import fallback
from cdc.core.schema import Schema
from cdc.core.table import Column, TableId, TableSchema
from cdc.debezium.filters import Filters
from cdc.debezium.mappers import ColumnSource, Rule
from cdc.debezium.naming import TopicNaming
from cdc.log import get_logger
from cdc.sources.shared.columns import ColumnBuilder, ColumnParts

from . import jdbc
from .catalog import CatalogSnapshot, RelationCatalog
from .defaults import default_value
from .merge import MergedColumn, MergedRelation, merge
from .options import PostgresConfig
from .protocol import Relation
from .remembered import family
from .types import ColumnType, TypeInfo, WithheldCodec, resolve

log = get_logger(__name__)


@dataclass(frozen=True)
class Version:
    """What a TableSchema was made from. The types are in the order of the merged columns."""

    relation: Relation
    merged: MergedRelation
    types: tuple[TypeInfo | None, ...]
    family: tuple[TypeInfo, ...]
    """All that the types consist of, such as the enum of an array."""
    relaxed: frozenset[str]
    streaming: bool


_WITHHELD: Final = "a streamed column of type name is null, as with Debezium; cdc.name.columns=value keeps it"


def _unread(column: Column) -> Column:
    """The key's *column* that is filtered out of the row. In a stream Debezium takes such a column from the log, which
    has neither NOT NULL nor defaults."""
    return replace(column, key_schema=replace(column.key_schema, optional=True, default=None))


def _without_value(schema: Schema, optional: bool) -> Codec:
    """The codec of a streamed column of type name: it reads null, or an empty text where null is not allowed. Keys
    keep the value, because rows must not share a key."""
    return WithheldCodec(schema, _WITHHELD) if optional else ConstantCodec(schema, fallback(schema))


def _unknown_type(id: TableId, column: MergedColumn) -> SourceRefusedError:
    return SourceRefusedError(
        f"Column {column.name} of table {id} had a type that the database does not have any more, so the log's values"
        " of that time cannot be read.", table=str(id), column=column.name, type_oid=column.type_oid,
        hint="include.unknown.datatypes=true gives the values of such types as they are printed;"
             " column.exclude.list leaves the column out.")


def _unknown_key(id: TableId) -> SourceRefusedError:
    return SourceRefusedError(
        f"The log has rows of table {id} from before the columns of its key were renamed or changed, and their names at"
        " that time are not known.", table=str(id),
        hint="Name them in message.key.columns until these rows are read.")


class TableBuilder:
    """Makes and remembers the table schemas of one connector.

    `streaming`: whether the schemas are for rows of the stream, else of the snapshot. Debezium writes values of columns
    of type `name` in a snapshot, and null in a stream.
    `money_shift`: see `pgvalues.MoneyCodec`.
    """

    def __init__(self, config: PostgresConfig, naming: TopicNaming, filters: Filters, rules: tuple[Rule, ...],
                 database: str, source_schema: Schema) -> None:
        self.config = config
        self.columns = ColumnBuilder(naming, filters, rules, source_schema,
                                     shared_topics=config.cdc_shared_topics,
                                     converters=config.custom_converters)
        self.database = database
        self.streaming = False
        self.money_shift = 0
        self._shows_names = config.cdc_name_columns == "value" or config.include_unknown_datatypes
        self._made: dict[int, tuple[Version, TableSchema]] = {}
        self._versions: WeakKeyDictionary[TableSchema, Version] = WeakKeyDictionary()
        self._relaxed: dict[int, frozenset[str]] = {}

    def for_snapshots(self) -> TableBuilder:
        """Another one, for the rows of a snapshot while the stream waits."""
        other = copy(self)
        other.streaming = False
        other._made = {}
        return other

    def table_id(self, relation: Relation) -> TableId:
        return TableId(self.database, relation.namespace, relation.name)

    def captured(self, relation: Relation) -> bool:
        return self.columns.filters.table(self.table_id(relation))

    def relation_in(self, catalog: CatalogSnapshot, oid: int) -> RelationCatalog | None:
        """The table in *catalog*, with the key that it has for us."""
        found = catalog.relations.get(oid)
        return found and self.as_configured(found)

    def as_configured(self, table: RelationCatalog) -> RelationCatalog:
        """With `cdc.debezium.faults` the key is the one that Debezium takes."""
        faults = self.config.cdc_debezium_faults and not table.primary_key
        return replace(table, unique_key=table.loose_key) if faults else table

    def build(self, relation: Relation, catalog: CatalogSnapshot, merged: MergedRelation | None = None) -> TableSchema:
        """The schema of *merged*, which is *relation*, as the log describes it, completed. Without it, *catalog*
        completes the relation. Raises SourceRefusedError if a type or key is not known."""
        if merged is None:
            merged = merge(relation, self.relation_in(catalog, relation.oid))
        types = tuple(catalog.types.get(column.type_oid) for column in merged.columns)
        version = Version(
            relation, merged, types, tuple(family([info.oid for info in types if info], catalog.types)),
            self._relaxed.get(relation.oid, frozenset()), self.streaming)
        made = self._made.get(relation.oid)
        if made is not None and made[0] == version:
            return made[1]
        table = self._make(version, catalog.types)
        self._made[relation.oid] = (version, table)
        return table

    def relax(self, oid: int, names: Collection[str], catalog: CatalogSnapshot) -> TableSchema:
        """Make the schema of table *oid* again, with the columns *names* optional: the log has nulls in them."""
        version, table = self._made[oid]
        self._relaxed[oid] = self._relaxed.get(oid, frozenset()) | frozenset(names)
        log.info("catalog_newer_than_log", table=str(table.id), columns=sorted(names))
        version = replace(version, relaxed=self._relaxed[oid])
        table = self._make(version, catalog.types)
        self._made[oid] = (version, table)
        return table

    def _make(self, version: Version, types: Mapping[int, TypeInfo]) -> TableSchema:
        id = self.table_id(version.relation)
        made = {
            column.name: built
            for index, (column, info) in enumerate(zip(version.merged.columns, version.types, strict=True))
            if (built := self._column(id, index, column, info, types, column.name in version.relaxed,
                                      column.name in version.merged.key)) is not None
        }
        key = self.columns.key_names(id, made, version.merged.key)
        if not key and not version.merged.key_known and not self.config.cdc_debezium_faults:
            raise _unknown_key(id)
        table = self.columns.table(id, made, key, key_only=_unread if self.streaming else None,
                                   identity=version.relation.oid)
        self._versions[table] = version
        return table

    def version_of(self, table: TableSchema) -> Version | None:
        """What *table* was made from, if it was made here."""
        return self._versions.get(table)

    def _column(self, id: TableId, index: int, column: MergedColumn, info: TypeInfo | None,
                types: Mapping[int, TypeInfo], relaxed: bool, in_key: bool) -> Column | None:
        if info is None:
            if not self.columns.filters.column(id, column.name) and not in_key:
                return None
            if not self.config.include_unknown_datatypes:
                raise _unknown_type(id, column)
            info = TypeInfo(column.type_oid, str(column.type_oid), "", "b")
        found = resolve(info, column.typmod, config=self.config, types=types, money_shift=self.money_shift)
        if found is None:
            self.columns.warn(id, column.name, "column_type_not_supported", type=info.name)
            return None
        default = default_value(column.default, info.name, found.codec, typmod=column.typmod, is_enum=info.kind == "e")
        optional = column.nullable or relaxed or found.always_optional
        schema = self.columns.schema(id, column.name, found.schema, default, optional=optional)
        codec, binary_codec = found.codec, found.binary_codec
        if found.type_name == "name" and self.streaming and not self._shows_names:
            codec = binary_codec = _without_value(found.schema, schema.optional)
        return self.columns.column(id, ColumnParts(
            index=index, type_name=found.type_name, source=self._source(column, info, found), schema=schema,
            codec=codec, binary_codec=binary_codec, key_codec=found.codec, key_binary_codec=found.binary_codec,
            unchanged=found.unchanged, null_value=found.null_value))

    def _source(self, column: MergedColumn, info: TypeInfo, found: ColumnType) -> ColumnSource:
        """The column as Debezium's mappers know it: in a stream by pg_type, in a snapshot by the driver's metadata."""
        name, length, scale = found.type_name, found.length, found.scale
        if not self.streaming:
            name = jdbc.metadata_name(info.namespace, jdbc.serial_name(name, column.default))
            if info.name == "numeric" and column.typmod == -1:
                return ColumnSource(column.name, name, 0, None, found.is_character)
        return ColumnSource(column.name, name, length, scale, found.is_character)
