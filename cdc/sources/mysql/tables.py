"""Structures to table schemas: the columns as their DDL declares them, with codecs and event schemas.

One `TableSchema` object stands for one version of a table's structure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cdc.codecs.mappers import ColumnSource, Rule, map_column, mapper_for
from cdc.core.envelope import make_table_schema
from cdc.core.fallback import fallback
from cdc.core.filters import Filters
from cdc.core.naming import TopicNaming
from cdc.core.schema import Column, Schema, TableSchema
from cdc.log import get_logger

from .defaults import default_value
from .options import MySqlConfig
from .structure import ColumnDef, TableStructure
from .types import ColumnType, resolve

log = get_logger(__name__)


class TableBuilder:
    """Makes and remembers the table schemas of one connector."""

    def __init__(self, config: MySqlConfig, naming: TopicNaming, filters: Filters, rules: tuple[Rule, ...],
                 source_schema: Schema) -> None:
        self.config = config
        self.naming = naming
        self.filters = filters
        self.rules = rules
        self.source_schema = source_schema
        self._made: dict[tuple[Any, bool], tuple[TableStructure, TableSchema]] = {}
        self._warned: set[tuple[str, str, str]] = set()

    def build(self, structure: TableStructure, old_temporal: bool = False) -> TableSchema:
        """The schema of *structure*; *old_temporal* as `types.resolve` means it."""
        known = self._made.get((structure.id, old_temporal))
        if known is not None and known[0] == structure:
            return known[1]
        table = self._make(structure, old_temporal)
        self._made[structure.id, old_temporal] = (structure, table)
        return table

    def selects(self, structure: TableStructure) -> dict[int, str]:
        """By column index, the expression of a SELECT list that brings what the text codec reads; `{}` stands for
        the column's quoted name."""
        found = ((index, resolve(column, config=self.config)) for index, column in enumerate(structure.columns))
        return {index: each.select for index, each in found if each is not None}

    def _make(self, structure: TableStructure, old_temporal: bool) -> TableSchema:
        id = structure.id
        topic = self.naming.data_topic(id)
        made = {
            column.name: built for index, column in enumerate(structure.columns)
            if (built := self._column(structure, index, column, old_temporal)) is not None
        }
        names = self.filters.keys.find(id, made) or structure.key
        key = [made[name] for name in names if name in made]
        captured = [column for name, column in made.items() if self.filters.column(id, name)]
        plain = self.naming.plain_topic(id)
        if topic != plain:
            self._warn(structure, "", "topic_name_changed", topic=topic, name=plain)
        return make_table_schema(id, topic, captured, key, self.source_schema, self.naming)

    def _column(self, structure: TableStructure, index: int, column: ColumnDef, old_temporal: bool) -> Column | None:
        found = resolve(column, config=self.config, old_temporal=old_temporal)
        if found is None:
            self._warn(structure, column.name, "column_type_not_supported", type=column.type_name)
            return None
        if found.charset_unknown:
            self._warn(structure, column.name, "charset_unknown", charset=column.charset)
        schema = self._schema(structure, column, found)
        source = ColumnSource(column.name, found.type_name, found.length, found.scale, found.is_character,
                              column.comment)
        field = self.naming.field_name(column.name)
        mapper = mapper_for(self.rules, structure.id, source)
        if mapper is None:
            return Column(index, column.name, field, found.type_name, schema, found.codec, found.binary_codec, schema,
                          found.codec, found.binary_codec)
        mapped = map_column(mapper, source, schema, found.codec, found.binary_codec,
                            fallback=None if schema.optional else fallback(schema))
        if mapped.ineffective:
            self._warn(structure, column.name, "column_cannot_be_masked", type=found.type_name)
        return Column(index, column.name, field, found.type_name, mapped.schema, mapped.codec, mapped.binary_codec,
                      schema, found.codec, found.binary_codec, mapped.unchanged, mapped.null_value)

    def _schema(self, structure: TableStructure, column: ColumnDef, found: ColumnType) -> Schema:
        doc = column.comment if self.config.include_schema_comments and column.comment else found.schema.doc
        default = default_value(column, found)
        if not default.understood:
            self._warn(structure, column.name, "column_default_not_understood")
        return replace(found.schema, optional=column.nullable or found.always_optional, doc=doc, default=default.value)

    def _warn(self, structure: TableStructure, column: str, event: str, **names: Any) -> None:
        """Once for each column."""
        where = (str(structure.id), column, event)
        if where not in self._warned:
            self._warned.add(where)
            log.warning(event, table=str(structure.id), **({"column": column} if column else {}), **names)
