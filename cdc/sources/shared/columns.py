"""Columns of a database to columns of events, as far as all databases do it alike: names, mappers, keys, schemas.

A source finds out how values of a column are read and whether they may be null; `ColumnBuilder` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cdc.core.codec import Codec
from cdc.core.custom import ConvertedField
from cdc.core.dataclass import dataclass
from cdc.core.fallback import fallback
from cdc.core.named_tuple import NamedTuple
from cdc.core.schema import Schema
from cdc.core.table import Column, TableId, TableSchema
from cdc.debezium.filters import Filters
from cdc.debezium.mappers import ColumnSource, Rule, map_column, mapper_for
from cdc.debezium.naming import TopicNaming
from cdc.debezium.schemas import make_table_schema
from cdc.log import get_logger

from .custom import NamedConverter, converted
from .topics import TopicOwners

log = get_logger(__name__)


class Default(NamedTuple):
    """The default that a field's schema gets from a column."""

    value: Any
    """A Connect value; None for no default."""
    understood: bool
    """False for a text or expression that no value could be read from, although the type could have one."""


@dataclass(frozen=True, kw_only=True)
class ColumnParts:
    """How a column is read, before its mapper. Attributes not described here are those of `Column`."""

    index: int
    type_name: str
    source: ColumnSource
    """The column as Debezium's mappers know it."""
    schema: Schema
    """The field's, with the column's optionality and default."""
    codec: Codec
    binary_codec: Codec | None
    key_codec: Codec
    key_binary_codec: Codec | None
    unchanged: Any
    null_value: Any = None
    """Stands for a null where the schema is required and has no default; None for the common fallback."""
    unchanged_in_key: bool = False


class ColumnBuilder:
    """Makes the columns and table schemas of one connector, and warns once for each column."""

    def __init__(self, naming: TopicNaming, filters: Filters, rules: Sequence[Rule], source_schema: Schema, *,
                 shared_topics: str = "refuse", converters: Sequence[NamedConverter] = ()) -> None:
        """*shared_topics*: `cdc.shared.topics`. *converters*: `converters`."""
        self.naming = naming
        self.topics = TopicOwners(naming, allow=shared_topics == "allow")
        self.filters = filters
        self.rules = rules
        self.source_schema = source_schema
        self._converters = converters
        self._warned: set[tuple[TableId, str, str]] = set()

    def schema(self, id: TableId, column: str, type_schema: Schema, default: Default, *, optional: bool) -> Schema:
        """The schema of a field: that of the column's type, with its optionality and default."""
        if not default.understood:
            self.warn(id, column, "column_default_not_understood")
        return replace(type_schema, optional=optional, default=default.value)

    def column(self, id: TableId, parts: ColumnParts, *, taken: bool = False) -> Column:
        """The column that *parts* describe, with its mapper. A key has neither mapper nor `null_value`. *taken*: a
        converter of the source's own has taken it."""
        parts = parts if taken or not self._converters else self._converted(id, parts)
        schema, source = parts.schema, parts.source
        required = not schema.optional and schema.default is None
        null_value = parts.null_value if required else None
        codec, binary_codec, unchanged = parts.codec, parts.binary_codec, parts.unchanged
        mapper = mapper_for(self.rules, id, source)
        if mapper is not None:
            stand_in = fallback(schema) if parts.null_value is None else parts.null_value
            mapped = map_column(mapper, source, schema, codec, binary_codec, unchanged=unchanged,
                                fallback=None if schema.optional else stand_in)
            if mapped.ineffective:
                self.warn(id, source.name, "column_cannot_be_masked", type=parts.type_name)
            schema, codec, binary_codec, unchanged = mapped.schema, mapped.codec, mapped.binary_codec, mapped.unchanged
            null_value = null_value if mapped.null_value is None else mapped.null_value
        return Column(parts.index, source.name, self.naming.field_name(source.name), parts.type_name, schema, codec,
                      binary_codec, parts.schema, parts.key_codec, parts.key_binary_codec, unchanged, null_value,
                      parts.unchanged_in_key)

    def _converted(self, id: TableId, parts: ColumnParts) -> ColumnParts:
        """*parts* as the first custom converter that takes the column makes them."""
        source = parts.source
        found = converted(self._converters, ConvertedField(
            source.name, str(id), source.type_name, source.length, source.scale, parts.schema.optional, parts.schema),
            parts.schema)
        if found is None:
            return parts
        codec, binary = found.codec(parts.codec), parts.binary_codec and found.codec(parts.binary_codec)
        same_kind = (found.schema.type, found.schema.name) == (parts.schema.type, parts.schema.name)
        return replace(
            parts, schema=found.schema, codec=codec, binary_codec=binary,
            key_codec=codec if parts.key_codec is parts.codec else found.codec(parts.key_codec),
            key_binary_codec=binary if parts.key_binary_codec is parts.binary_codec
            else parts.key_binary_codec and found.codec(parts.key_binary_codec),
            unchanged=found.schema.default if parts.unchanged_in_key else parts.unchanged if same_kind else None,
            null_value=None)

    def key_names(self, id: TableId, columns: Iterable[str], own: Sequence[str]) -> Sequence[str]:
        """The names of the key's columns: by `message.key.columns` among *columns*, else the table's *own* key."""
        return self.filters.keys.find(id, columns) or own

    def table(self, id: TableId, columns: Mapping[str, Column], key: Sequence[str], *,
              key_only: Callable[[Column], Column] | None = None, identity: int | None = None) -> TableSchema:
        """The schemas of a table of *columns*, by name in row order, whose key is made of the columns named *key*.
        *identity* is the same for a table that was renamed.

        A column that is filtered out can still be part of the key. *key_only* changes such a column, because
        PostgreSQL's log says less about it than the catalog does.

        Raises ConfigError if another table has its topic.
        """
        self.topics.claim(id, identity)
        topic = self.naming.data_topic(id)
        plain = self.naming.plain_topic(id)
        if topic != plain:
            self.warn(id, "", "topic_name_changed", topic=topic, name=plain)
        captured = [column for name, column in columns.items() if self.filters.column(id, name)]
        key_columns = [columns[name] for name in key if name in columns]
        if key_only is not None:
            key_columns = [column if column in captured else key_only(column) for column in key_columns]
        return make_table_schema(id, topic, captured, key_columns, self.source_schema, self.naming)

    def warn(self, id: TableId, column: str, event: str, **names: Any) -> None:
        """Log *event* about *column* (or with "" about the table), the first time only."""
        if (id, column, event) not in self._warned:
            self._warned.add((id, column, event))
            log.warning(event, table=str(id), **({"column": column} if column else {}), **names)
