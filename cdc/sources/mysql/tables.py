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
from cdc.core.schema import BOOLEAN, BYTES, STRING, Column, Schema, TableSchema
from cdc.log import get_logger

from ..options import placeholder_bytes
from .custom import shown_as_boolean
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
        self.relaxed = False
        self._made: dict[tuple[Any, ...], tuple[TableStructure, TableSchema]] = {}
        self._warned: set[tuple[str, str, str]] = set()

    def relax(self) -> None:
        """From now on all fields but keys are optional and have no default: row images of the log lack columns."""
        self.relaxed = True

    def build(self, structure: TableStructure, old_temporal: bool = False, *, inserted: bool = False) -> TableSchema:
        """The schema of *structure*; *old_temporal* as `types.resolve` means it.

        An UNCHANGED column of its rows is one that the log left out. *inserted*: it has its default, else an unknown
        value, for which a placeholder stands where the type has room for one.
        """
        made_for = (structure.id, old_temporal, inserted, self.relaxed)
        known = self._made.get(made_for)
        if known is not None and known[0] == structure:
            return known[1]
        table = self._make(structure, old_temporal, inserted)
        self._made[made_for] = (structure, table)
        return table

    def selects(self, structure: TableStructure) -> dict[int, str]:
        """By column index, the expression of a SELECT list that brings what the text codec reads; `{}` stands for
        the column's quoted name."""
        found = ((index, resolve(column, config=self.config)) for index, column in enumerate(structure.columns))
        return {index: each.select for index, each in found if each is not None}

    def _make(self, structure: TableStructure, old_temporal: bool, inserted: bool) -> TableSchema:
        id = structure.id
        topic = self.naming.data_topic(id)
        names = self.filters.keys.find(id, [column.name for column in structure.columns]) or structure.key
        made = {
            column.name: built for index, column in enumerate(structure.columns)
            if (built := self._column(structure, index, column, old_temporal, inserted=inserted,
                                      relaxed=self.relaxed and column.name not in names)) is not None
        }
        key = [made[name] for name in names if name in made]
        captured = [column for name, column in made.items() if self.filters.column(id, name)]
        plain = self.naming.plain_topic(id)
        if topic != plain:
            self._warn(structure, "", "topic_name_changed", topic=topic, name=plain)
        return make_table_schema(id, topic, captured, key, self.source_schema, self.naming)

    def _column(self, structure: TableStructure, index: int, column: ColumnDef, old_temporal: bool, *, inserted: bool,
                relaxed: bool) -> Column | None:
        found = resolve(column, config=self.config, old_temporal=old_temporal)
        if found is None:
            self._warn(structure, column.name, "column_type_not_supported", type=column.type_name)
            return None
        if found.charset_unknown:
            self._warn(structure, column.name, "charset_unknown", charset=column.charset)
        schema = self._schema(structure, column, found)
        if any(each.takes(structure.id, column) for each in self.config.boolean_columns):
            found = shown_as_boolean(found)
            schema = replace(schema, type=BOOLEAN, default=None if schema.default is None else bool(schema.default))
        unchanged = schema.default if inserted else self._placeholder(schema)
        if relaxed:  # a default would show where Connect has a null
            schema = replace(schema, optional=True, default=None)
        source = ColumnSource(column.name, found.type_name, found.length, found.scale, found.is_character,
                              column.comment)
        field = self.naming.field_name(column.name)
        mapper = mapper_for(self.rules, structure.id, source)
        if mapper is None:
            return Column(index, column.name, field, found.type_name, schema, found.codec, found.binary_codec, schema,
                          found.codec, found.binary_codec, unchanged)
        mapped = map_column(mapper, source, schema, found.codec, found.binary_codec, unchanged=unchanged,
                            fallback=None if schema.optional else fallback(schema))
        if mapped.ineffective:
            self._warn(structure, column.name, "column_cannot_be_masked", type=found.type_name)
        return Column(index, column.name, field, found.type_name, mapped.schema, mapped.codec, mapped.binary_codec,
                      schema, found.codec, found.binary_codec, mapped.unchanged, mapped.null_value)

    def _placeholder(self, schema: Schema) -> Any:
        """What cannot be taken for a value of the column; None where nothing can."""
        raw = placeholder_bytes(self.config.unavailable_value_placeholder)
        if schema.type == STRING and schema.name in (None, "io.debezium.data.Json"):
            return raw.decode("utf-8", "replace")
        return raw if schema.type == BYTES and schema.name is None else None

    def _schema(self, structure: TableStructure, column: ColumnDef, found: ColumnType) -> Schema:
        doc = column.comment if self.config.keep_comments and column.comment else found.schema.doc
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
