"""Flatten (`org.apache.kafka.connect.transforms.Flatten`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.schema import MAP, STRUCT, Schema
from cdc.core.view import PerSchema, RecordView

from .part import PartTransform, configured, data_error, java_class, required_map, required_struct, struct_like
from .part import schemaless_type as type_of

_PURPOSE: Final = "flattening"


@settings
class FlattenSettings:
    delimiter: str = option("delimiter", default=".", doc="Stands between the names of a field and of those around it.")


OPTIONS = OptionTable.of(FlattenSettings)


class Flatten(PartTransform):
    """Puts the fields of nested structs, without a schema those of nested maps, on one level. Arrays stay as they are.

    A field below an optional one becomes optional, and gets its default from that one's.
    """

    def __init__(self, config: Mapping[str, str], is_key: bool) -> None:
        super().__init__(is_key)
        given = config.get("delimiter")  # an empty one is one, too
        self._delimiter = configured(FlattenSettings, OPTIONS, config, "Flatten").delimiter if given is None else given
        self._flat = PerSchema(self._build)

    def apply(self, view: RecordView) -> RecordView:
        if self.is_null(view):
            return view
        schema, value = self.schema(view), self.value(view)
        if schema is None:
            return self.replace(view, None, dict(self._entries(required_map(value, _PURPOSE), "")))
        required_struct(schema, value, _PURPOSE)
        flat = self._flat(schema)
        return self.replace(view, flat, tuple(_values(schema, value)))

    def _name(self, prefix: str, name: str) -> str:
        return f"{prefix}{self._delimiter}{name}" if prefix else name

    def _entries(self, value: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for key, each in value.items():
            name = self._name(prefix, key)
            if each is not None and not type_of(each):
                raise data_error(f"Flatten transformation was passed a value of type class {java_class(None, each)} "
                                 "which is not supported by Connect's data API")
            if isinstance(each, dict):
                yield from self._entries(each, name)
            else:
                yield name, each

    def _build(self, schema: Schema) -> Schema:
        return struct_like(schema, self._fields(schema, "", schema.optional, schema.default))

    def _fields(self, schema: Schema, prefix: str, optional: bool, default: Any) -> Iterator[tuple[str, Schema]]:
        for index, field in enumerate(schema.fields):
            each, name = field.schema, self._name(prefix, field.name)
            own = each.default if each.default is not None or default is None else default[index]
            if each.type == MAP:
                raise data_error("Flatten transformation does not support MAP for record with schemas (for field "
                                 f"{name}).")
            if each.type == STRUCT:
                yield from self._fields(each, name, optional or each.optional, own)
            else:
                yield name, replace(each, optional=optional or each.optional, default=own)


def _values(schema: Schema, value: tuple[Any, ...] | None) -> Iterator[Any]:
    """The values of all fields in order of the flat schema. Below a null struct all are null; the converter writes
    their defaults."""
    for index, field in enumerate(schema.fields):
        each = None if value is None else value[index]
        if each is None and value is not None:
            each = field.schema.default
        if field.schema.type == STRUCT:
            yield from _values(field.schema, each)
        else:
            yield each
