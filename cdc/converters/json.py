"""Kafka Connect's JsonConverter (`org.apache.kafka.connect.json.JsonConverter`).

The output is compact JSON, with members in the schema's order and numbers as Java writes them. Once per schema object
we make the text of its `schema` member, and a function that turns a Connect value into a value for msgspec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cdc.codecs.java import json_string
from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.errors import ConvertError
from cdc.core.schema import ARRAY, FLOAT32, FLOAT64, MAP, STRUCT, Schema

from .avro_json import JsonForm, JsonPrinter
from .json_values import Convert, JsonValues, dump, required_schema, schemaless

MAX_SCHEMAS = 10_000
"""Number of prepared schemas that are kept; the oldest is dropped first."""

_TYPE_NAMES = {FLOAT32: "float", FLOAT64: "double"}


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
        self._values = JsonValues()
        self._prepared: dict[int, tuple[Schema, bytes, Convert]] = {}

    def configure(self, settings: Mapping[str, str], is_key: bool) -> None:
        """*settings* without the converter's prefix. Raises ConfigError."""
        parsed = OPTIONS.parse(settings, partial=True)
        parsed.check("JsonConverter")
        self.settings = JsonSettings(**parsed.values)
        self._values = JsonValues(self.settings.decimal_format == "NUMERIC", self.settings.replace_null_with_default)
        self._prepared.clear()

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        """The value as JSON, beside its schema unless `schemas.enable` is off. Without schema and value it is a
        tombstone: None. Raises ConvertError."""
        if schema is None and value is None:
            return None
        try:
            if schema is None:
                return self._framed(b"null", dump(schemaless(value)))
            _, text, convert = self._prepare(schema)
            return self._framed(text, dump(convert(value)))
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
            found = (schema, self._schema_text(schema), self._values.nullable(schema))
            if len(self._prepared) >= MAX_SCHEMAS:
                del self._prepared[next(iter(self._prepared))]
            self._prepared[id(schema)] = found
        return found

    @property
    def null_is_default(self) -> bool:
        return self.settings.replace_null_with_default

    def printer(self, topic: str, schema: Schema) -> JsonPrinter:
        """Prints the Avro bytes of values of *schema* as `from_connect` prints the values."""
        form = JsonForm(self._values.numeric, self._values.replace_nulls, self._default)
        before, after = self._frame(self._schema_text(schema))
        return JsonPrinter(schema, form, before, after)

    def _default(self, schema: Schema) -> bytes:
        return dump(self._values.convert(schema)(schema.default))

    def _schema_text(self, schema: Schema) -> bytes:
        if not self.settings.schemas_enable:
            return b""
        return schema_json(schema, lambda each: self._default(each).decode()).encode()


def schema_json(schema: Schema, default: Callable[[Schema], str], field: str | None = None) -> str:
    """The `schema` member for *schema*. *default*: makes the JSON of a default. *field*: its name within a struct."""
    members = [f'"type":"{_TYPE_NAMES.get(schema.type) or schema.type.lower()}"']
    if schema.type == STRUCT:
        members.append(f'"fields":[{",".join(schema_json(f.schema, default, f.name) for f in schema.fields)}]')
    elif schema.type == ARRAY:
        members.append(f'"items":{schema_json(required_schema(schema.items), default)}')
    elif schema.type == MAP:
        members.append(f'"keys":{schema_json(required_schema(schema.keys), default)}')
        members.append(f'"values":{schema_json(required_schema(schema.items), default)}')
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
