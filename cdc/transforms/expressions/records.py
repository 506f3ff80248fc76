"""The record as expressions see it: `value`, `key`, `topic`, `header`, `valueSchema`, `keySchema`.

Debezium docs, "Message Filtering", "Variable bindings". A struct's fields are read one by one, so that a column that no
expression names is not decoded.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any, Final

from cdc.core.schema import DECIMAL, STRUCT, Schema
from cdc.core.view import Header, RecordView, places

from ..debezium.envelope import AFTER, BEFORE, event_parts, has_row, is_envelope, untouched
from .nodes import Scope
from .operators import failure

_EXACT: Final = Context(prec=200_000)
_GETTERS: Final = frozenset({"get", "getString", "getInt8", "getInt16", "getInt32", "getInt64", "getFloat32",
                             "getFloat64", "getBoolean", "getStruct", "getArray", "getMap", "getBytes"})


def scope_of(view: RecordView) -> Scope:
    """The names of one record. Each part is made when an expression asks for it."""
    return {
        "topic": lambda: view.topic,
        "value": lambda: _value(view),
        "key": lambda: wrapped(view.key_schema, view.key),
        "header": lambda: Headers(view),
        "headers": lambda: Headers(view),
        "valueSchema": lambda: None if view.value_schema is None else SchemaPart(view.value_schema),
        "keySchema": lambda: None if view.key_schema is None else SchemaPart(view.key_schema),
    }


def _value(view: RecordView) -> Any:
    if view.is_tombstone:
        return None
    if untouched(view) and is_envelope(view.value_schema):
        return Event(view)
    return wrapped(view.value_schema, view.value)


def wrapped(schema: Schema | None, value: Any) -> Any:
    """A Connect value for expressions. Without a schema, a map is a struct with its names."""
    if value is None:
        return None if schema is None or schema.default is None else wrapped(schema, schema.default)
    if schema is None:
        return Struct(None, value) if isinstance(value, dict) else value
    if schema.type == STRUCT:
        return Struct(schema, value)
    if schema.name == DECIMAL:
        return Decimal(int.from_bytes(value, signed=True)).scaleb(
            -int(schema.parameter("scale") or 0), _EXACT)
    if schema.items is not None and isinstance(value, list):
        return [wrapped(schema.items, each) for each in value]
    return value


class Part:
    """A part with named parts. Subclasses define `names` and `get`."""

    def names(self) -> Any:
        raise NotImplementedError

    def get(self, name: str) -> Any:
        raise NotImplementedError

    def schema(self) -> Schema | None:
        return None

    def call(self, name: str, arguments: list[Any]) -> Any:
        if name in _GETTERS and len(arguments) == 1 and isinstance(arguments[0], str):
            return self.get(arguments[0])
        if name == "containsKey" and len(arguments) == 1:
            return arguments[0] in self.names()
        schema = self.schema()
        if name == "schema" and not arguments and schema is not None:
            return SchemaPart(schema)
        raise failure(f"a part of the record has no method {name}()", "It has get, containsKey, schema.")


class Struct(Part):
    """A struct, or a map with names."""

    def __init__(self, schema: Schema | None, values: Any) -> None:
        self._schema = schema
        self._values = values

    def names(self) -> Any:
        return self._values if self._schema is None else places(self._schema)

    def schema(self) -> Schema | None:
        return self._schema

    def get(self, name: str) -> Any:
        if self._schema is None:
            return wrapped(None, self._values.get(name))
        at = places(self._schema).get(name)
        if at is None:
            raise failure(f"{name} is not a valid field name")
        return wrapped(self._schema.fields[at].schema, self._values[at])


class Event(Part):
    """The envelope of a row change."""

    def __init__(self, view: RecordView) -> None:
        assert view.value_schema is not None
        self._view = view
        self._schema = view.value_schema

    def names(self) -> Any:
        return places(self._schema)

    def schema(self) -> Schema:
        return self._schema

    def get(self, name: str) -> Any:
        at = places(self._schema).get(name)
        if at is None:
            raise failure(f"{name} is not a valid field name")
        inner = self._schema.fields[at].schema
        if name in (BEFORE, AFTER):
            return Row(self._view, name, inner) if has_row(self._view, name) else None
        return wrapped(inner, event_parts(self._view, name))


class Row(Part):
    """A row image whose columns are decoded one by one."""

    def __init__(self, view: RecordView, name: str, schema: Schema) -> None:
        self._view = view
        self._name = name
        self._schema = schema

    def names(self) -> Any:
        return places(self._schema)

    def schema(self) -> Schema:
        return self._schema

    def get(self, name: str) -> Any:
        at = places(self._schema).get(name)
        if at is None:
            raise failure(f"{name} is not a valid field name")
        return wrapped(self._schema.fields[at].schema, self._view.column(self._name, name))


class Headers(Part):
    """The last header of each name."""

    def __init__(self, view: RecordView) -> None:
        self._headers = {header.name: header for header in view.headers}

    def names(self) -> Any:
        return self._headers

    def get(self, name: str) -> Any:
        found = self._headers.get(name)
        return None if found is None else HeaderPart(found)


class HeaderPart(Part):
    """`header.NAME.value`."""

    def __init__(self, header: Header) -> None:
        self._header = header

    def content(self) -> Any:
        return wrapped(self._header.schema, self._header.value)

    def names(self) -> Any:
        return ("value", "schema")

    def get(self, name: str) -> Any:
        if name == "value":
            return self.content()
        if name == "schema" and self._header.schema is not None:
            return SchemaPart(self._header.schema)
        raise failure(f"a header has no {name!r}, but value")

    def call(self, name: str, arguments: list[Any]) -> Any:
        return self.content() if name in ("value", "getValue") and not arguments else super().call(name, arguments)


class SchemaPart(Part):
    """A schema: `name`, `type`, `version`, `doc`, and `field('x')`."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def names(self) -> Any:
        return ("name", "type", "version", "doc")

    def get(self, name: str) -> Any:
        if name not in self.names():
            raise failure(f"a schema has no {name!r}, but name, type, version, doc")
        return getattr(self._schema, name)

    def call(self, name: str, arguments: list[Any]) -> Any:
        if not arguments:
            return self.get(name)
        if name == "field" and len(arguments) == 1:
            at = places(self._schema).get(arguments[0])
            return None if at is None else SchemaPart(self._schema.fields[at].schema)
        return super().call(name, arguments)
