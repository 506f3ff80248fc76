"""ValueToKey (`org.apache.kafka.connect.transforms.ValueToKey`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.schema import STRUCT, Field, Schema
from cdc.core.view import PerSchema, RecordView, places

from .part import configured, data_error, filled, replace_null_option, required_map, required_struct

_PURPOSE: Final = "copying fields from value to key"


@settings
class ValueToKeySettings:
    fields: tuple[str, ...] = option("fields", "LIST", required=True, importance="HIGH",
                                     doc="Fields of the value that become the key.")
    replace_null_with_default: bool = replace_null_option()


OPTIONS = OptionTable.of(ValueToKeySettings)


class ValueToKey:
    """The key becomes a struct of fields of the value, without a schema a map."""

    def __init__(self, config: Mapping[str, str]) -> None:
        self._settings = configured(ValueToKeySettings, OPTIONS, config, "ValueToKey")
        self._key = PerSchema(self._build)

    def apply(self, view: RecordView) -> RecordView:
        schema, value = view.value_schema, view.value
        if schema is None:
            known = required_map(value, _PURPOSE)
            view.set_key(None, {name: known.get(name) for name in self._settings.fields})
            return view
        required_struct(schema, value, _PURPOSE)
        key_schema, indexes = self._key(schema)
        key = tuple([value[index] for index in indexes])
        view.set_key(key_schema, filled(key_schema, key, self._settings.replace_null_with_default))
        return view

    def _build(self, schema: Schema) -> tuple[Schema, tuple[int, ...]]:
        known, indexes = places(schema), []
        for name in self._settings.fields:
            if name not in known:
                raise data_error(f"Field does not exist: {name}")
            indexes.append(known[name])
        fields = (Field(name, schema.fields[index].schema) for name, index in zip(self._settings.fields, indexes))
        return Schema(STRUCT, fields=tuple(fields)), tuple(indexes)
