"""Kafka Connect's JsonConverter (`org.apache.kafka.connect.json.JsonConverter`).

The output is compact JSON, with members in the schema's order and numbers as Java writes them. Once per schema object
we make the text of its `schema` member, and a function that turns a Connect value into a value for msgspec.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from cdc.codecs.java import capital_escapes, decimal_text, double_text, float_text, json_string
from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.errors import ConvertError
from cdc.core.schema import ARRAY, BYTES, DECIMAL, FLOAT32, FLOAT64, MAP, STRING, STRUCT, Schema

from .avro_json import JsonForm, JsonPrinter

MAX_SCHEMAS = 10_000
"""Number of prepared schemas that are kept; the oldest is dropped first."""

_TYPE_NAMES = {FLOAT32: "float", FLOAT64: "double"}
_encode = msgspec.json.Encoder().encode
Convert = Callable[[Any], Any]


@settings
class JsonSettings:
    """The keys of Kafka Connect's `JsonConverterConfig`, without the converter's prefix."""

    schemas_enable: bool = option("schemas.enable", "BOOLEAN", default="true", importance="HIGH",
                                  doc="Write the schema beside each payload.")
    decimal_format: str = option("decimal.format", default="BASE64", one_of=("BASE64", "NUMERIC"), importance="LOW",
                                 doc="BASE64: decimals are base64 text of their bytes. NUMERIC: they are numbers.")
    replace_null_with_default: bool = option("replace.null.with.default", "BOOLEAN", default="true", importance="LOW",
                                             doc="Write a null field as its schema's default.")
    schemas_cache_size: int = option("schemas.cache.size", "INT", default="1000", importance="HIGH", effect="inert",
                                     why="the cache is always large enough", doc="How many schemas are cached.")


OPTIONS = OptionTable.of(JsonSettings)


class JsonConverter:
    """The converter of keys or of values; not shared between threads."""

    def __init__(self, stop: object = None) -> None:
        """*stop* ends a converter's waits; this one has none."""
        self.settings = JsonSettings()
        self._prepared: dict[int, tuple[Schema, bytes, Convert]] = {}

    def configure(self, settings: Mapping[str, str], is_key: bool) -> None:
        """*settings* without the converter's prefix. Raises ConfigError."""
        parsed = OPTIONS.parse(settings, partial=True)
        parsed.check("JsonConverter")
        self.settings = JsonSettings(**parsed.values)
        self._prepared.clear()

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        """The value as JSON, beside its schema unless `schemas.enable` is off. Without schema and value it is a
        tombstone: None. Raises ConvertError."""
        if schema is None and value is None:
            return None
        try:
            if schema is None:
                return self._framed(b"null", _dump(_schemaless(value)))
            _, text, convert = self._prepare(schema)
            return self._framed(text, _dump(convert(value)))
        except ConvertError as exc:
            exc.context.setdefault("topic", topic)
            raise
        except (TypeError, ValueError, OverflowError, AttributeError) as exc:
            raise ConvertError("the value does not fit its schema", topic=topic, schema=schema and schema.name,
                               cause=type(exc).__name__) from exc

    def _framed(self, schema: bytes, payload: bytes) -> bytes:
        before, after = self._frame(schema)
        return before + payload + after

    def _frame(self, schema: bytes) -> tuple[bytes, bytes]:
        """What stands before and after a payload."""
        if not self.settings.schemas_enable:
            return b"", b""
        return b'{"schema":' + schema + b',"payload":', b"}"

    def _prepare(self, schema: Schema) -> tuple[Schema, bytes, Convert]:
        found = self._prepared.get(id(schema))
        if found is None:
            found = (schema, self._schema_text(schema), self._nullable(schema))
            if len(self._prepared) >= MAX_SCHEMAS:
                del self._prepared[next(iter(self._prepared))]
            self._prepared[id(schema)] = found
        return found

    @property
    def null_is_default(self) -> bool:
        return self.settings.replace_null_with_default

    def printer(self, schema: Schema) -> JsonPrinter:
        """Prints the Avro bytes of values of *schema* as `from_connect` prints the values."""
        form = JsonForm(self.settings.decimal_format == "NUMERIC", self.settings.replace_null_with_default,
                        self._default)
        before, after = self._frame(self._schema_text(schema))
        return JsonPrinter(schema, form, before, after)

    def _default(self, schema: Schema) -> bytes:
        return _dump(self._convert(schema)(schema.default))

    def _schema_text(self, schema: Schema) -> bytes:
        if not self.settings.schemas_enable:
            return b""
        return schema_json(schema, lambda each: self._default(each).decode()).encode()

    def _nullable(self, schema: Schema) -> Convert:
        """For values that may be null. By its schema a null becomes the default, stays null, or is an error."""
        convert = self._convert(schema)
        if schema.default is not None and self.settings.replace_null_with_default:
            default = convert(schema.default)
            return lambda value: default if value is None else convert(value)
        if schema.optional:
            return _unchanged if convert is _unchanged else lambda value: None if value is None else convert(value)

        def required(value: Any) -> Any:
            if value is None:
                raise ConvertError("null in a required field", field_type=schema.name or schema.type)
            return convert(value)

        return required

    def _convert(self, schema: Schema) -> Convert:
        """For values that are not null."""
        kind = schema.type
        if kind == STRUCT:
            return self._struct(schema)
        if kind == ARRAY:
            item = self._nullable(_required(schema.items))
            return (lambda value: value) if item is _unchanged else lambda value: [item(one) for one in value]
        if kind == MAP:
            return self._map(schema)
        if kind == FLOAT64:
            return _double
        if kind == FLOAT32:
            return _float
        if kind == BYTES and schema.name == DECIMAL and self.settings.decimal_format == "NUMERIC":
            scale = int(schema.parameter("scale") or 0)
            return lambda value: msgspec.Raw(decimal_text(value, scale).encode())
        return _unchanged

    def _struct(self, schema: Schema) -> Convert:
        fields = [(field.name, self._nullable(field.schema)) for field in schema.fields]
        names = [name for name, _ in fields]
        converted = [(index, *field) for index, field in enumerate(fields) if field[1] is not _unchanged]

        def convert_struct(value: Sequence[Any]) -> dict[str, Any]:
            found = dict(zip(names, value, strict=True))
            for index, name, convert in converted:
                found[name] = convert(value[index])
            return found

        return convert_struct

    def _map(self, schema: Schema) -> Convert:
        keys, items = self._nullable(_required(schema.keys)), self._nullable(_required(schema.items))
        if _required(schema.keys).type == STRING:
            return lambda value: {"null" if key is None else key: items(item) for key, item in value.items()}
        return lambda value: [[keys(key), items(item)] for key, item in value.items()]


def schema_json(schema: Schema, default: Callable[[Schema], str], field: str | None = None) -> str:
    """The `schema` member for *schema*. *default*: makes the JSON of a default. *field*: its name within a struct."""
    members = [f'"type":"{_TYPE_NAMES.get(schema.type) or schema.type.lower()}"']
    if schema.type == STRUCT:
        members.append(f'"fields":[{",".join(schema_json(f.schema, default, f.name) for f in schema.fields)}]')
    elif schema.type == ARRAY:
        members.append(f'"items":{schema_json(_required(schema.items), default)}')
    elif schema.type == MAP:
        members.append(f'"keys":{schema_json(_required(schema.keys), default)}')
        members.append(f'"values":{schema_json(_required(schema.items), default)}')
    members.append(f'"optional":{"true" if schema.optional else "false"}')
    if schema.name is not None:
        members.append(f'"name":{json_string(schema.name)}')
    if schema.version is not None:
        members.append(f'"version":{schema.version}')
    if schema.doc is not None:
        members.append(f'"doc":{json_string(schema.doc)}')
    if schema.parameters:
        pairs = ",".join(f"{json_string(key)}:{json_string(value)}" for key, value in schema.parameters)
        members.append(f'"parameters":{{{pairs}}}')
    if schema.default is not None:
        members.append(f'"default":{default(schema)}')
    if field is not None:
        members.append(f'"field":{json_string(field)}')
    return "{" + ",".join(members) + "}"


def _dump(value: Any) -> bytes:
    text: bytes = _encode(value)
    if b"\\u00" in text:
        return capital_escapes(text.decode()).encode()
    return text


def _required(schema: Schema | None) -> Schema:
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


def _schemaless(value: Any) -> Any:
    """A value without a schema, by its Python type; bytes become base64."""
    if isinstance(value, float):
        return _double(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: _schemaless(item) for key, item in value.items()}
        return [[_schemaless(key), _schemaless(item)] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [_schemaless(item) for item in value]
    if value is not None and not isinstance(value, (str, int)):
        raise ConvertError("the value has no schema, and its type is none of Kafka Connect's",
                           python_type=type(value).__name__)
    return value
