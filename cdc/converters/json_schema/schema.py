"""Makes JSON Schema text from Connect schemas, byte for byte as Confluent's converter registers it.

The registry compares texts, so the order of members is kept that the Java libraries give: each kind of schema has its
own order of keywords, and the members of `properties`, `connect.parameters` and of objects in defaults stand in the
order of a java.util.HashMap. Sources: confluentinc/schema-registry, `JsonSchemaData.rawSchemaFromConnectSchema`;
everit-json-schema, `Schema.describeTo` and `describePropertiesTo` of its subclasses; org.json, `JSONObject`.
"""

from __future__ import annotations

import math
from base64 import b64encode
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from cdc.codecs.java import decimal_text, double_text, float_text, java_hash_order, json_string
from cdc.converters.json_values import required_schema
from cdc.core.errors import ConvertError
from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    MAP,
    STRING,
    STRUCT,
    Schema,
)
from cdc.log import get_logger

log = get_logger(__name__)

NAMESPACE: Final = "io.confluent.connect.json"
_CONNECT_TYPES: Final = {INT8: "int8", INT16: "int16", INT32: "int32", INT64: "int64", FLOAT32: "float32",
                         FLOAT64: "float64", BYTES: "bytes", MAP: "map"}
_TYPES: Final = {INT8: "integer", INT16: "integer", INT32: "integer", INT64: "integer", FLOAT32: "number",
                 FLOAT64: "number", BOOLEAN: "boolean", STRING: "string", BYTES: "string", ARRAY: "array",
                 STRUCT: "object"}


@dataclass(frozen=True, slots=True)
class JsonSchemaOptions:
    """The converter options that change the text (Confluent's `JsonSchemaDataConfig`)."""

    additional_properties: bool = True
    numeric: bool = False


def json_schema(schema: Schema, options: JsonSchemaOptions | None = None) -> str:
    """The text to register for *schema*. It takes a while to make, so callers keep it, or its id. Raises ConvertError
    if the schema is incomplete."""
    return _Text(options or JsonSchemaOptions()).type_of(schema, None)


def title(schema: Schema) -> str | None:
    """The title of the whole schema, which subject name strategies use; an optional one has none."""
    return None if schema.optional else schema.name


def text_keys(schema: Schema) -> bool:
    """Whether the map *schema* is a JSON object."""
    keys = required_schema(schema.keys)
    return keys.type == STRING and not keys.optional


class _Text:
    def __init__(self, options: JsonSchemaOptions) -> None:
        self.options = options

    def type_of(self, schema: Schema, index: int | None) -> str:
        """A schema; if it is optional, `oneOf` null and itself. *index*: the field's place in its struct."""
        if not schema.optional:
            return self.base(schema, index)
        inner = self.base(replace(schema, optional=False), None)
        place = "" if index is None else f'"connect.index":{index},'
        return f'{{{place}"oneOf":[{{"type":"null"}},{inner}]}}'

    def base(self, schema: Schema, index: int | None) -> str:
        members = self.described(schema, index)
        kind = f'"type":"{self.json_type(schema)}"'
        if schema.type == BOOLEAN:
            members.append(kind)
        else:
            members.insert(0, kind)
        if schema.type == STRUCT:
            if not self.options.additional_properties:
                members.insert(1, '"additionalProperties":false')
            if schema.fields:
                members.append(f'"properties":{self.properties(schema)}')
        elif schema.type == ARRAY:
            members.append(f'"items":{self.type_of(required_schema(schema.items), None)}')
        elif schema.type == MAP:
            members.append(self.map(schema))
        return "{" + ",".join(members) + "}"

    def json_type(self, schema: Schema) -> str:
        if schema.type == MAP:
            return "object" if text_keys(schema) else "array"
        return "number" if self.is_numeric(schema) else _TYPES[schema.type]

    def is_numeric(self, schema: Schema) -> bool:
        return schema.type == BYTES and schema.name == DECIMAL and self.options.numeric

    def described(self, schema: Schema, index: int | None) -> list[str]:
        """The members that every kind of schema may have."""
        members = []
        if schema.name is not None:
            members.append(f'"title":{json_string(schema.name)}')
        if schema.doc is not None:
            members.append(f'"description":{json_string(schema.doc)}')
        if schema.default is not None:
            members += self.default_of(schema)
        if index is not None:
            members.append(f'"connect.index":{index}')
        if schema.version is not None:
            members.append(f'"connect.version":{schema.version}')
        connect_type = _CONNECT_TYPES.get(schema.type)
        if connect_type is not None:
            members.append(f'"connect.type":"{connect_type}"')
        parameters = {key: value for key, value in schema.parameters if not key.startswith(NAMESPACE)}
        if parameters:
            # From one HashMap into another one, which was made for their number.
            keys = java_hash_order(java_hash_order(parameters), len(parameters))
            pairs = ",".join(f"{json_string(key)}:{json_string(parameters[key])}" for key in keys)
            members.append(f'"connect.parameters":{{{pairs}}}')
        return members

    def properties(self, schema: Schema) -> str:
        texts: dict[str, str] = {}
        for index, field in enumerate(schema.fields):
            if field.name in texts:
                raise ConvertError(f'two fields are named "{field.name}"', schema=schema.name, field=field.name)
            texts[field.name] = self.type_of(field.schema, index)
        return "{" + ",".join(f"{json_string(name)}:{texts[name]}" for name in java_hash_order(texts)) + "}"

    def map(self, schema: Schema) -> str:
        items = required_schema(schema.items)
        if text_keys(schema):
            return f'"additionalProperties":{self.type_of(items, None)}'
        key, value = self.type_of(required_schema(schema.keys), 0), self.type_of(items, 1)
        return f'"items":{{"type":"object","properties":{{"value":{value},"key":{key}}}}}'

    def default_of(self, schema: Schema) -> list[str]:
        if not _has_json_form(schema, schema.default):
            log.warning("json_schema_default_dropped", schema=schema.name or schema.type)
            return []
        return [f'"default":{self.default(schema, schema.default)}']

    def default(self, schema: Schema, value: Any) -> str:
        """A default as JSON. org.json cuts the zeros at the end of a fraction, and Jackson reads the rest as a
        BigDecimal."""
        if value is None:
            return "null" if schema.default is None else self.default(schema, schema.default)
        kind = schema.type
        if kind == STRING:
            return json_string(value)
        if kind == BOOLEAN:
            return "true" if value else "false"
        if kind == FLOAT64:
            return _number(double_text(value))
        if kind == FLOAT32:
            return _number(float_text(value))
        if kind == BYTES:
            return self.default_bytes(schema, value)
        if kind == ARRAY:
            items = required_schema(schema.items)
            return "[" + ",".join(self.default(items, item) for item in value) + "]"
        if kind == MAP:
            return self.default_map(schema, value)
        if kind == STRUCT:
            pairs = zip(schema.fields, value, strict=True)
            return _object({field.name: self.default(field.schema, item) for field, item in pairs})
        return str(int(value))

    def default_bytes(self, schema: Schema, value: bytes) -> str:
        if self.is_numeric(schema):
            return _number(decimal_text(value, int(schema.parameter("scale") or 0)))
        return json_string(b64encode(value).decode())

    def default_map(self, schema: Schema, value: dict[Any, Any]) -> str:
        keys, items = required_schema(schema.keys), required_schema(schema.items)
        if text_keys(schema):
            return _object({key: self.default(items, item) for key, item in value.items()})
        return "[" + ",".join(_object({"key": self.default(keys, key), "value": self.default(items, item)})
                              for key, item in value.items()) + "]"


def _object(members: dict[str, str]) -> str:
    return "{" + ",".join(f"{json_string(key)}:{members[key]}" for key in java_hash_order(members)) + "}"


def _number(text: str) -> str:
    """org.json's `JSONObject.numberToString`, and that text as a BigDecimal's."""
    if "." in text and "E" not in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else str(Decimal(text))


def _has_json_form(schema: Schema, value: Any) -> bool:
    """Whether JSON has the default; it has no NaN and no infinities, on which the Java converter fails."""
    if value is None:
        return True
    if schema.type in (FLOAT32, FLOAT64):
        return math.isfinite(value)
    if schema.type == ARRAY:
        return all(_has_json_form(required_schema(schema.items), item) for item in value)
    if schema.type == MAP:
        return all(_has_json_form(required_schema(schema.items), item) for item in value.values())
    if schema.type == STRUCT:
        return all(_has_json_form(field.schema, item) for field, item in zip(schema.fields, value, strict=True))
    return True
