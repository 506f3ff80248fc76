"""HeaderToValue: headers as fields of the value, also of structs within it.

Debezium sources: `io.debezium.transforms.HeaderToValue` and `ConnectRecordUtil.makeNewSchema`, `makeUpdatedValue`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.errors import ConfigError
from cdc.core.schema import STRUCT, Field, Schema
from cdc.core.view import Header, RecordView, places

from ..part import configured
from .envelope import copied, failed, require_struct

Entry = tuple[tuple[str, ...], Header]
"""The path of a field, from the outermost struct on, and the header that gives it."""


def _names(text: str) -> tuple[str, ...]:
    found = tuple(item.strip() for item in text.split(","))
    if any(not item for item in found):
        raise ValueError("an element is empty")
    if any(char.isspace() for item in found for char in item):
        raise ValueError("an element has a space in it")
    return found


@settings
class HeaderToValueConfig:
    """The keys of HeaderToValue."""

    headers: tuple[str, ...] = option(
        "headers", "LIST", required=True, importance="HIGH", convert=_names, doc="The headers.")
    fields: tuple[str, ...] = option(
        "fields", "LIST", required=True, importance="HIGH", convert=_names,
        doc="The field for each header; struct.field for a field of a struct.")
    operation: Literal["move", "copy"] = option(
        "operation", required=True, importance="HIGH", one_of=("move", "copy"),
        doc="move removes the headers, copy keeps them.")


OPTIONS = OptionTable.of(HeaderToValueConfig)


class HeaderToValue:
    """Adds the fields. A tombstone, and a record without these headers, stays as it is."""

    options = OPTIONS

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Raises ConfigError."""
        config = configured(HeaderToValueConfig, OPTIONS, settings, "HeaderToValue")
        if len(config.headers) != len(config.fields):
            raise ConfigError("'fields' config must have the same number of elements as 'headers' config.",
                              option="fields")
        self._paths = {header: tuple(field.split(".")) for header, field in
                       zip(reversed(config.headers), reversed(config.fields), strict=True)}
        self._moves = config.operation == "move"
        self._schemas: dict[int, tuple[Schema, Schema]] = {}

    def apply(self, view: RecordView) -> RecordView:
        """Raises TransformError."""
        if view.is_tombstone:
            return view
        schema = require_struct(view.value_schema, view.value, "Header field insertion")
        entries = [(self._paths[header.name], header) for header in view.headers if header.name in self._paths]
        if not entries:
            return view
        updated = self._updated_schema(schema, entries)
        view.set_value(updated, _updated(schema, updated, view.value, entries))
        if self._moves:
            view.drop_headers(self._paths)
        return view

    def _updated_schema(self, schema: Schema, entries: Sequence[Entry]) -> Schema:
        """As in Debezium, the headers of the first record with *schema* decide."""
        found = self._schemas.get(id(schema))
        if found is None:
            if len(self._schemas) >= _MAX_SCHEMAS:
                self._schemas.clear()
            found = self._schemas[id(schema)] = (schema, _extended(schema, entries))
        return found[1]


_MAX_SCHEMAS = 10_000


def _heads(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The entries below each struct, without the struct's own name, in order."""
    found: dict[str, list[Entry]] = {}
    for path, header in entries:
        if len(path) > 1:
            found.setdefault(path[0], []).append((path[1:], header))
    return found


def _extended(schema: Schema, entries: Sequence[Entry]) -> Schema:
    """*schema* with a field for each entry; a struct that a path names and that does not exist is added."""
    below = _heads(entries)
    fields = [Field(each.name, _inner(each, below[each.name])) if each.name in below else each
              for each in schema.fields]
    known = set(places(schema))
    for path, header in entries:
        if len(path) == 1 and path[0] not in known:
            known.add(path[0])
            fields.append(Field(path[0], _required_schema(header)))
    fields += [Field(name, _extended(Schema(STRUCT, optional=True), inner)) for name, inner in below.items()
               if name not in places(schema)]
    return copied(schema, fields, optional=schema.optional)


def _inner(field: Field, entries: Sequence[Entry]) -> Schema:
    if field.schema.type != STRUCT:
        path = ".".join((field.name, *entries[0][0]))
        raise failed(f"Field '{field.name}' is a primitive type, not a struct. Cannot add nested field "
                     f"'{path}'.", "io.debezium.DebeziumException")
    return _extended(field.schema, entries)


def _required_schema(header: Header) -> Schema:
    if header.schema is None:
        raise failed("a header without a schema cannot become a field", header=header.name)
    return header.schema


def _updated(old: Schema, new: Schema, values: tuple[Any, ...], entries: Sequence[Entry]) -> tuple[Any, ...]:
    """The values for *new*, made from *values* for *old*. A null of *old* becomes its field's default."""
    below = _heads(entries)
    result = dict.fromkeys(places(new))
    for field, value in zip(old.fields, values, strict=True):
        known = field.schema.default if value is None else value
        if known is not None and field.name in below:
            known = _updated(field.schema, new.fields[places(new)[field.name]].schema, known, below[field.name])
        result[field.name] = known
    for path, header in entries:
        if len(path) == 1:
            result[path[0]] = header.value
    for name, inner in below.items():
        if name not in places(old):
            struct = new.fields[places(new)[name]].schema
            result[name] = _updated(Schema(STRUCT), struct, (), inner)
    return tuple(result.values())
