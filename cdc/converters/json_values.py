"""Connect values as values for msgspec's JSON encoder, as Java's JSON converters write them.

Once per schema we make a function that converts its values. Numbers have Java's text, and NaN and the infinities are
strings.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from cdc.codecs.java import capital_escapes, decimal_text, double_text, float_text
from cdc.core.errors import ConvertError
from cdc.core.schema import ARRAY, BYTES, DECIMAL, FLOAT32, FLOAT64, MAP, STRING, STRUCT, Schema

_encode = msgspec.json.Encoder().encode
Convert = Callable[[Any], Any]


class JsonValues:
    """Converts values by their schema.

    *numeric*: decimals are numbers, and not base64 text of their bytes. *replace_nulls*: a null is its schema's
    default. *entries*: a map whose keys are not text, or may be null, is a list of `{"key":…,"value":…}`, and not of
    pairs.
    """

    def __init__(self, numeric: bool = False, replace_nulls: bool = True, entries: bool = False) -> None:
        self.numeric = numeric
        self.replace_nulls = replace_nulls
        self.entries = entries

    def nullable(self, schema: Schema) -> Convert:
        """For values that may be null. By its schema a null becomes the default, stays null, or is an error."""
        convert = self.convert(schema)
        if schema.default is not None and self.replace_nulls:
            default = convert(schema.default)
            return lambda value: default if value is None else convert(value)
        if schema.optional:
            return _unchanged if convert is _unchanged else lambda value: None if value is None else convert(value)

        def required(value: Any) -> Any:
            if value is None:
                raise ConvertError("null in a required field", field_type=schema.name or schema.type)
            return convert(value)

        return required

    def convert(self, schema: Schema) -> Convert:
        """For values that are not null."""
        kind = schema.type
        if kind == STRUCT:
            return self._struct(schema)
        if kind == ARRAY:
            item = self.nullable(required_schema(schema.items))
            return (lambda value: value) if item is _unchanged else lambda value: [item(one) for one in value]
        if kind == MAP:
            return self._map(schema)
        if kind == FLOAT64:
            return _double
        if kind == FLOAT32:
            return _float
        if kind == BYTES and schema.name == DECIMAL and self.numeric:
            scale = int(schema.parameter("scale") or 0)
            return lambda value: msgspec.Raw(decimal_text(value, scale).encode())
        return _unchanged

    def _struct(self, schema: Schema) -> Convert:
        fields = [(field.name, self.nullable(field.schema)) for field in schema.fields]
        names = [name for name, _ in fields]
        converted = [(index, *field) for index, field in enumerate(fields) if field[1] is not _unchanged]

        def convert_struct(value: Sequence[Any]) -> dict[str, Any]:
            found = dict(zip(names, value, strict=True))
            for index, name, convert in converted:
                found[name] = convert(value[index])
            return found

        return convert_struct

    def _map(self, schema: Schema) -> Convert:
        key = required_schema(schema.keys)
        keys, items = self.nullable(key), self.nullable(required_schema(schema.items))
        if self.entries and (key.type != STRING or key.optional):
            return lambda value: [{"key": keys(key), "value": items(item)} for key, item in value.items()]
        if key.type == STRING:
            return lambda value: {"null" if key is None else key: items(item) for key, item in value.items()}
        return lambda value: [[keys(key), items(item)] for key, item in value.items()]


def dump(value: Any) -> bytes:
    """JSON with Java's escapes."""
    text: bytes = _encode(value)
    if b"\\u00" in text:
        return capital_escapes(text.decode()).encode()
    return text


def required_schema(schema: Schema | None) -> Schema:
    if schema is None:
        raise ConvertError("an array's or map's schema has no item or key schema")
    return schema


def _unchanged(value: Any) -> Any:
    return value


def _double(value: float) -> Any:
    if not math.isfinite(value):
        return double_text(value)
    return msgspec.Raw(double_text(value).encode())


def _float(value: float) -> Any:
    text = float_text(value)
    return text if text[-1] in "Ny" else msgspec.Raw(text.encode())


def schemaless(value: Any) -> Any:
    """A value without a schema, by its Python type; bytes become base64."""
    if isinstance(value, float):
        return _double(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: schemaless(item) for key, item in value.items()}
        return [[schemaless(key), schemaless(item)] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [schemaless(item) for item in value]
    if value is not None and not isinstance(value, (str, int)):
        raise ConvertError("the value has no schema, and its type is none of Kafka Connect's",
                           python_type=type(value).__name__)
    return value
