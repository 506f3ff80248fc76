"""ExtractField (`org.apache.kafka.connect.transforms.ExtractField`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.errors import ConfigError
from cdc.core.record import Record
from cdc.core.schema import STRUCT, Schema
from cdc.core.view import PerSchema, RecordView, places

from .part import PartTransform, configured, data_error, replace_null_option, required_map, required_struct

_PURPOSE: Final = "field extraction"
_NESTED: Final = "nested field access"


@settings
class ExtractFieldSettings:
    field: str = option("field", required=True, doc="The field.")
    field_syntax_version: str = option(
        "field.syntax.version", default="V1", one_of=("V1", "V2"), importance="HIGH",
        doc="V1: the name of a field. V2: a path; a dot leads into a struct, backticks quote a name that has dots.")
    replace_null_with_default: bool = replace_null_option()


OPTIONS = OptionTable.of(ExtractFieldSettings)


class _Found(NamedTuple):
    schema: Schema
    indexes: tuple[int, ...]
    defaults: tuple[Any, ...]
    """What replaces a null at each step."""


class ExtractField(PartTransform):
    """The key or the value becomes one of its fields. A null stays null."""

    def __init__(self, config: Mapping[str, str], is_key: bool) -> None:
        super().__init__(is_key)
        self._settings = configured(ExtractFieldSettings, OPTIONS, config, "ExtractField")
        self._path = ((self._settings.field,) if self._settings.field_syntax_version == "V1"
                      else field_path(self._settings.field))
        self._found = PerSchema(self._find)

    def apply(self, view: RecordView) -> RecordView:
        schema = self.schema(view)
        if schema is None:
            value = self.value(view)
            return view if value is None else self.replace(view, None, self._in_map(required_map(value, _PURPOSE)))
        if self._takes_row_image(view, schema):
            return view
        value = self.value(view)
        if value is not None:
            required_struct(schema, value, _PURPOSE)
        found = self._found(schema)
        for index, default in zip(found.indexes, found.defaults):
            if value is None:
                break
            value = value[index]
            value = default if value is None else value
        return self.replace(view, found.schema, value)

    def _takes_row_image(self, view: RecordView, schema: Schema) -> bool:
        """Whether the field was `before` or `after` of a row change; then nothing is decoded."""
        name = self._path[0]
        record = view.record
        if (self.is_key or view.value_replaced or len(self._path) > 1 or name not in ("before", "after")
                or not isinstance(record, Record)):
            return False
        row_schema = self._found(schema).schema
        if (record.before if name == "before" else record.after) is None:
            view.set_value(row_schema, None)
        else:
            view.set_row_image(row_schema, name)
        return True

    def _find(self, schema: Schema) -> _Found:
        indexes, defaults = [], []
        for step in self._path:
            index = places(schema).get(step) if schema.type == STRUCT else None
            if index is None:
                raise data_error(f"Unknown field: {self._settings.field}", "java.lang.IllegalArgumentException")
            schema = schema.fields[index].schema
            indexes.append(index)
            defaults.append(schema.default)
        if not self._settings.replace_null_with_default:
            defaults[-1] = None
        return _Found(schema, tuple(indexes), tuple(defaults))

    def _in_map(self, value: dict[str, Any]) -> Any:
        for step in self._path[:-1]:
            inner = value.get(step)
            if inner is None:
                return None
            value = required_map(inner, _NESTED)
        return value.get(self._path[-1])


def field_path(text: str) -> Sequence[str]:
    """The steps of a path in the syntax V2 (KIP-821). Raises ConfigError."""
    steps: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == "`":
            step, at = _quoted(text, at)
        else:
            end = text.find(".", at)
            end = len(text) if end < 0 else end
            step, at = text[at:end], end + 1
        steps.append(step)
    if text.endswith("."):
        steps.append("")
    return steps


def _quoted(text: str, opening: int) -> tuple[str, int]:
    """The name in backticks at *opening*, and the place after the dot that follows. A backtick closes it only before a
    dot or the end; there, a backslash before it makes it a part of the name."""
    name, start = "", opening + 1
    at = start
    while True:
        at = text.find("`", at)
        escaped = at > 0 and text[at - 1] == "\\"
        last = at >= len(text) - 1
        if at < 0 or (last and escaped):
            raise ConfigError(
                f"Incomplete backtick pair in path: [{text}], consider adding a backslash before backtick at position "
                f"{opening} to escape it", option="field")
        if last:
            return name + text[start:at], at + 1
        if text[at + 1] != ".":
            at += 1
        elif escaped:
            name += text[start:at - 1] + "`"
            start = at = at + 1
        else:
            return name + text[start:at], at + 2
