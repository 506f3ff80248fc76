"""ExtractSchemaToNewRecord: describes the source table's columns in each event.

Debezium sources: `io.debezium.transforms.ExtractSchemaToNewRecord` and `SchemaFactory.sourceSchemaBlockSchema`. The
connector must send the columns' types: `column.propagate.source.type=.*`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.errors import TransformError
from cdc.core.schema import ARRAY, INT32, STRING, Field, Schema, optional, struct
from cdc.core.view import PerSchema, RecordView
from cdc.debezium.naming import schema_adjuster

from ..part import configured
from .envelope import AFTER, BEFORE, copied, defaulted, field_of, has_row, is_envelope, row_schema, struct_schema

_PARAMETER: Final = "__debezium.source.column."


@settings
class SchemaToRecordConfig:
    """The keys of ExtractSchemaToNewRecord."""

    schema_name_adjustment_mode: str = option(
        "schema.name.adjustment.mode", default="none", one_of=("none", "avro", "avro_unicode"), importance="LOW",
        doc="How names of schemas are adjusted.")


OPTIONS = OptionTable.of(SchemaToRecordConfig)


class ExtractSchemaToNewRecord:
    """Adds the field `sourceSchema` to envelopes that have a row."""

    options = OPTIONS

    def __init__(self, settings: Mapping[str, str]) -> None:
        config = configured(SchemaToRecordConfig, OPTIONS, settings, "ExtractSchemaToNewRecord")
        self._block = _block_schema(schema_adjuster(config.schema_name_adjustment_mode))
        self._envelopes = PerSchema(self._with_block)
        self._columns = PerSchema(_described)

    def apply(self, view: RecordView) -> RecordView:
        """Raises TransformError."""
        envelope = view.value_schema
        if view.is_tombstone or envelope is None or not is_envelope(envelope):
            return view
        if not has_row(view, AFTER) and not has_row(view, BEFORE):
            return view
        values = view.value
        source = field_of(envelope, values, "source")
        table = defaulted(row_schema(envelope, "source"), source, "table")
        kept = [field.schema.default if value is None else value
                for field, value in zip(struct_schema(view).fields, values, strict=True)]
        view.set_value(self._envelopes(envelope), (*kept, (table, (self._columns(envelope),))))
        return view

    def _with_block(self, envelope: Schema) -> Schema:
        return copied(envelope, (*envelope.fields, Field("sourceSchema", self._block)), optional=envelope.optional)


def _block_schema(adjust: Any) -> Schema:
    column = struct(adjust("io.debezium.connector.source.schema.Column"), (
        ("name", Schema(STRING)), ("typeName", Schema(STRING)), ("length", optional(INT32)),
        ("scale", optional(INT32)), ("comment", optional(STRING)),
    ), version=1)
    table = struct("io.debezium.connector.source.schema.Table", (("columns", Schema(ARRAY, items=column)),), version=1)
    return struct(adjust("io.debezium.connector.source.Schema"), (("id", Schema(STRING)), ("table", table)), version=1)


def _described(envelope: Schema) -> list[tuple[Any, ...]]:
    """The columns of the envelope's rows: name, type name, length, scale, comment."""
    return [_column(field.schema, field.name) for field in row_schema(envelope, AFTER).fields]


def _column(schema: Schema, field: str) -> tuple[Any, ...]:
    known = dict(schema.parameters)
    name, type_name = known.get(f"{_PARAMETER}name"), known.get(f"{_PARAMETER}type")
    if name is None or type_name is None:
        raise TransformError(
            'Ensure that enable configurations "column.propagate.source.type" or "datatype.propagate.source.type" and '
            'the value is set to ".*"', field=field)
    length, scale = known.get(f"{_PARAMETER}length"), known.get(f"{_PARAMETER}scale")
    return (name, type_name, None if length is None else int(length), None if scale is None else int(scale),
            known.get(f"{_PARAMETER}comment"))
