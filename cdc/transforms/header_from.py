"""HeaderFrom (`org.apache.kafka.connect.transforms.HeaderFrom`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.errors import ConfigError
from cdc.core.schema import Schema
from cdc.core.view import Header, PerSchema, RecordView, places

from .part import (
    PartTransform,
    configured,
    data_error,
    filled,
    replace_null_option,
    required_map,
    required_struct,
    struct_like,
)

_NULL_POINTER: Final = "java.lang.NullPointerException"


@settings
class HeaderFromSettings:
    fields: tuple[str, ...] = option("fields", "LIST", required=True, importance="HIGH", doc="The fields.")
    headers: tuple[str, ...] = option("headers", "LIST", required=True, importance="HIGH",
                                      doc="The header for each field, in the same order.")
    operation: str = option("operation", required=True, importance="HIGH", one_of=("move", "copy"),
                            doc="move also removes the fields.")
    replace_null_with_default: bool = replace_null_option()


OPTIONS = OptionTable.of(HeaderFromSettings)


class HeaderFrom(PartTransform):
    """Moves or copies fields of the key or the value into headers, behind those that the record has."""

    def __init__(self, config: Mapping[str, str], is_key: bool) -> None:
        super().__init__(is_key)
        self._settings = s = configured(HeaderFromSettings, OPTIONS, config, "HeaderFrom")
        if len(s.fields) != len(s.headers):
            raise ConfigError("'fields' config must have the same number of elements as 'headers' config.",
                              option="fields")
        self._pairs = tuple(zip(s.fields, s.headers))
        self._moves = s.operation == "move"
        self._purpose = f"header {s.operation}"
        self._left = PerSchema(lambda schema: struct_like(schema, (
            (field.name, field.schema) for field in schema.fields if field.name not in s.fields)))

    def apply(self, view: RecordView) -> RecordView:
        schema, value = self.schema(view), self.value(view)
        if schema is None:
            return self._schemaless(view, required_map(value, self._purpose))
        values = filled(schema, required_struct(schema, value, self._purpose),
                        self._settings.replace_null_with_default)
        headers = [self._header(schema, values, field, name) for field, name in self._pairs]
        if self._moves:
            left = tuple(each for field, each in zip(schema.fields, values)
                         if field.name not in self._settings.fields)
            self.replace(view, self._left(schema), left)
        view.set_headers((*view.headers, *headers))
        return view

    def _header(self, schema: Schema, values: tuple[Any, ...], field: str, name: str) -> Header:
        index = places(schema).get(field)
        if index is None:
            raise data_error(f"Unknown field: {field}", _NULL_POINTER)
        return Header(name, schema.fields[index].schema, values[index])

    def _schemaless(self, view: RecordView, value: dict[str, Any]) -> RecordView:
        view.set_headers((*view.headers, *(Header(name, None, value.get(field)) for field, name in self._pairs)))
        if self._moves:
            self.replace(view, None, {key: each for key, each in value.items() if key not in self._settings.fields})
        return view
