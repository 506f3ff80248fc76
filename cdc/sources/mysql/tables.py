"""Structures to table schemas: the columns as their DDL declares them, with codecs and event schemas.

One `TableSchema` object stands for one version of a table's structure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from cdc.core.schema import BOOLEAN, BYTES, STRING, Schema
from cdc.core.table import Column, TableId, TableSchema
from cdc.debezium.filters import Filters
from cdc.debezium.mappers import ColumnSource, Rule
from cdc.debezium.naming import TopicNaming
from cdc.sources.mysql.ddl.structure import ColumnDef, TableStructure
from cdc.sources.shared.columns import ColumnBuilder, ColumnParts
from cdc.sources.shared.conversions import placeholder_bytes

from .booleans import shown_as_boolean
from .defaults import default_value
from .options import MySqlConfig
from .types import resolve


class TableBuilder:
    """Makes and remembers the table schemas of one connector."""

    def __init__(self, config: MySqlConfig, naming: TopicNaming, filters: Filters, rules: tuple[Rule, ...],
                 source_schema: Schema) -> None:
        self.config = config
        self.columns = ColumnBuilder(naming, filters, rules, source_schema,
                                     shared_topics=config.cdc_shared_topics,
                                     converters=config.custom_converters)
        self.relaxed = False
        self._made: dict[tuple[Any, ...], tuple[TableStructure, TableSchema]] = {}
        self._versions: WeakKeyDictionary[TableSchema, tuple[TableStructure, bool]] = WeakKeyDictionary()

    def relax(self) -> None:
        """From now on make all fields but keys optional and without default, because row images lack columns."""
        self.relaxed = True

    def forget(self, id: TableId) -> None:
        """*id* was dropped or renamed, so another table may have its topic now."""
        for made_for in [each for each in self._made if each[0] == id]:
            del self._made[made_for]
        self.columns.topics.release(id)

    def build(self, structure: TableStructure, old_temporal: bool = False, *, inserted: bool = False) -> TableSchema:
        """The schema of *structure*.

        *old_temporal*: as in `types.resolve`.
        *inserted*: how columns read that are missing in a row image (UNCHANGED). With it, as the column's default;
        otherwise as the placeholder, or null where the type cannot hold one.
        """
        made_for = (structure.id, old_temporal, inserted, self.relaxed)
        known = self._made.get(made_for)
        if known is not None and known[0] == structure:
            return known[1]
        table = self._make(structure, old_temporal, inserted)
        self._made[made_for] = (structure, table)
        self._versions[table] = (structure, old_temporal)
        return table

    def version_of(self, table: TableSchema) -> tuple[TableStructure, bool] | None:
        """The structure that *table* was made from, and *old_temporal*, if it was made here."""
        return self._versions.get(table)

    def selects(self, structure: TableStructure) -> dict[int, str]:
        """By column index, the expression of a SELECT list whose result the text codec reads. `{}` stands for the
        column's quoted name."""
        found = ((index, resolve(column, config=self.config)) for index, column in enumerate(structure.columns))
        return {index: each.select for index, each in found if each is not None}

    def _make(self, structure: TableStructure, old_temporal: bool, inserted: bool) -> TableSchema:
        id = structure.id
        key = self.columns.key_names(id, [column.name for column in structure.columns], structure.key)
        made = {
            column.name: built for index, column in enumerate(structure.columns)
            if (built := self._column(id, index, column, old_temporal, inserted=inserted,
                                      relaxed=self.relaxed and column.name not in key)) is not None
        }
        return self.columns.table(id, made, key)

    def _column(self, id: TableId, index: int, column: ColumnDef, old_temporal: bool, *, inserted: bool,
                relaxed: bool) -> Column | None:
        found = resolve(column, config=self.config, old_temporal=old_temporal)
        if found is None:
            self.columns.warn(id, column.name, "column_type_not_supported", type=column.type_name)
            return None
        if found.charset_unknown:
            self.columns.warn(id, column.name, "charset_unknown", charset=column.charset)
        schema = self.columns.schema(id, column.name, found.schema, default_value(column, found),
                                     optional=column.nullable or found.always_optional)
        if self.config.keep_comments and column.comment:
            schema = replace(schema, doc=column.comment)
        taken = any(each.takes(id, column) for each in self.config.boolean_columns)
        if taken:
            found = shown_as_boolean(found)
            schema = replace(schema, type=BOOLEAN, default=None if schema.default is None else bool(schema.default))
        unchanged = schema.default if inserted else self._placeholder(schema)
        if relaxed:  # a default would show where Connect has a null
            schema = replace(schema, optional=True, default=None)
        source = ColumnSource(column.name, found.type_name, found.length, found.scale, found.is_character,
                              column.comment)
        return self.columns.column(id, ColumnParts(
            index=index, type_name=found.type_name, source=source, schema=schema, codec=found.codec,
            binary_codec=found.binary_codec, key_codec=found.codec, key_binary_codec=found.binary_codec,
            unchanged=unchanged, unchanged_in_key=inserted), taken=taken)

    def _placeholder(self, schema: Schema) -> Any:
        """The text or bytes of `unavailable.value.placeholder`; None where a column's type cannot hold it."""
        raw = placeholder_bytes(self.config.unavailable_value_placeholder)
        if schema.type == STRING and schema.name in (None, "io.debezium.data.Json"):
            return raw.decode("utf-8", "replace")
        return raw if schema.type == BYTES and schema.name is None else None
