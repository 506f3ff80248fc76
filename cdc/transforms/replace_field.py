"""ReplaceField (`org.apache.kafka.connect.transforms.ReplaceField`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cdc.config.checks import to_list
from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.schema import Schema
from cdc.core.view import PerSchema, RecordView, places

from .part import (
    PartTransform,
    configured,
    data_error,
    filled,
    replace_null_option,
    required_map,
    required_struct,
    struct_like,
    unique,
)

_PURPOSE: Final = "field replacement"


def parse_renames(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of an old name and a new one. Raises ValueError."""
    found = []
    for item in to_list(text):
        old, colon, new = item.partition(":")
        if not colon or not new or ":" in new:
            raise ValueError(f"Invalid rename mapping: {item}")
        found.append((old, new))
    return tuple(found)


@settings
class ReplaceFieldSettings:
    exclude: tuple[str, ...] = option("exclude", "LIST", default="", check=unique,
                                      doc="Fields to remove. It goes before `include`.")
    include: tuple[str, ...] = option("include", "LIST", default="", check=unique,
                                      doc="Fields to keep; empty keeps all.")
    renames: tuple[tuple[str, str], ...] = option("renames", "LIST", convert=parse_renames,
                                        doc="New names of the fields that are left, as `old:new`.")
    replace_null_with_default: bool = replace_null_option()


OPTIONS = OptionTable.of(ReplaceFieldSettings)


class ReplaceField(PartTransform):
    """Removes and renames fields. A null stays null."""

    def __init__(self, config: Mapping[str, str], is_key: bool) -> None:
        super().__init__(is_key)
        self._settings = configured(ReplaceFieldSettings, OPTIONS, config, "ReplaceField")
        self._new_names = dict(self._settings.renames)
        self._old_names = {new: old for old, new in self._new_names.items()}
        self._replaced = PerSchema(self._build)

    def apply(self, view: RecordView) -> RecordView:
        if self.is_null(view):
            return view
        schema, value = self.schema(view), self.value(view)
        if schema is None:
            known = required_map(value, _PURPOSE)
            return self.replace(view, None, {self._renamed(name): each for name, each in known.items()
                                             if self._keeps(name)})
        values = filled(schema, required_struct(schema, value, _PURPOSE), self._settings.replace_null_with_default)
        updated, indexes = self._replaced(schema)
        return self.replace(view, updated, tuple([values[index] for index in indexes]))

    def _keeps(self, name: str) -> bool:
        s = self._settings
        return name not in s.exclude and (not s.include or name in s.include)

    def _renamed(self, name: str) -> str:
        return self._new_names.get(name, name)

    def _build(self, schema: Schema) -> tuple[Schema, tuple[int, ...]]:
        """The new schema, and for each of its fields the index of the old one."""
        updated = struct_like(schema, ((self._renamed(field.name), field.schema) for field in schema.fields
                                       if self._keeps(field.name)))
        known, indexes = places(schema), []
        for field in updated.fields:
            old = self._old_names.get(field.name, field.name)
            if old not in known:
                raise data_error(f"{old} is not a valid field name")
            given = schema.fields[known[old]].schema
            if (given.type, given.name) != (field.schema.type, field.schema.name):
                raise data_error(f"Invalid Java object for schema with type {field.schema.type}: a "
                                 f'{given.name or given.type} for field: "{field.name}"')
            indexes.append(known[old])
        return updated, tuple(indexes)
