"""Makes Avro schema text from Connect schemas, byte for byte as Confluent's converter registers it.

The registry compares texts, unless it is told to normalise them. So a schema keeps its id only if its attributes are in
the same order. Sources: confluentinc/schema-registry, `AvroData.fromConnectSchema` (which attributes, which
union order, which defaults); Apache Avro, `Schema.toJson` (member order, when a namespace is left out, references).

We do not write `connect.parameters` of a field that uses a named type for the second time. Confluent's converter writes
them only since August 2026; every such table would get a new schema version, and no reader would gain by it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote_plus

from cdc.codecs.java import double_text, float32, float_text, json_string
from cdc.core.dataclass import dataclass
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
    Field,
    Schema,
)
from cdc.log import get_logger

log = get_logger(__name__)

NAMESPACE: Final = "io.confluent.connect.avro"
RECORD_DOC: Final = NAMESPACE + ".record.doc"
FIELD_DOC: Final = NAMESPACE + ".field.doc."
FIELD_DEFAULT: Final = NAMESPACE + ".field.default"
DEFAULT_PRECISION: Final = 64

_PRIMITIVES: Final = {
    INT8: "int", INT16: "int", INT32: "int", INT64: "long", FLOAT32: "float", FLOAT64: "double",
    BOOLEAN: "boolean", STRING: "string", BYTES: "bytes",
}
_CONNECT_TYPES: Final = {INT8: "int8", INT16: "int16"}
_LOGICAL: Final = {
    DECIMAL: "decimal",
    "org.apache.kafka.connect.data.Date": "date",
    "org.apache.kafka.connect.data.Time": "time-millis",
    "org.apache.kafka.connect.data.Timestamp": "timestamp-millis",
}
_TYPE_NAMES: Final = frozenset((*_PRIMITIVES.values(), "null", "record", "enum", "array", "map", "union", "fixed"))


@dataclass(frozen=True)
class AvroOptions:
    """The converter options that change the text (Confluent's `AvroDataConfig`)."""

    connect_meta_data: bool = True
    scrub_invalid_names: bool = False
    discard_type_doc_default: bool = False


def avro_schema(schema: Schema, options: AvroOptions | None = None) -> str:
    """The text to register for *schema*. It takes a while to make, so callers keep it, or its id.

    Raises ConvertError if a name is not legal in Avro, or two structs of the same name differ.
    """
    return _Text(options or AvroOptions()).type_of(schema)


def record_name(schema: Schema, options: AvroOptions | None = None) -> str | None:
    """The full name of the Avro record for *schema*; None if it does not become a record."""
    if schema.type != STRUCT or schema.optional:
        return None
    space, name = _split(schema.name, options or AvroOptions()) if schema.name else (NAMESPACE, "ConnectDefault")
    return _full(space, name)


def scrubbed(name: str) -> str:
    """*name* made legal, as `scrub.invalid.names` does: URL-encoded, then `_` for all but letters and digits."""
    if not name or (name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit()):
        return name
    encoded = quote_plus(name, safe="*").replace("~", "%7E")
    if encoded[0].isdigit():
        encoded = "x" + encoded
    return "".join(char if char.isalnum() else "_" for char in encoded)


def is_legal(name: str) -> bool:
    """Whether Avro for Java allows *name*: letters of any script, digits and `_`, but no digit first."""
    return bool(name) and not name[0].isdecimal() and all(c.isalpha() or c.isdecimal() or c == "_" for c in name)


class _Text:
    """Writes one schema. `space`: the current namespace. `named`: the types already written in full."""

    def __init__(self, options: AvroOptions) -> None:
        self.options = options
        self.space: str | None = None
        self.named: dict[str, Schema] = {}
        self.unnamed: list[tuple[tuple[Field, ...], str]] = []

    def type_of(self, schema: Schema) -> str:
        """The type; a union if optional. In the union of an optional struct null comes first, even with a default."""
        base = self.base(schema)
        if not schema.optional:
            return base
        if schema.default is not None and schema.type != STRUCT:
            return f'[{base},"null"]'
        return f'["null",{base}]'

    def base(self, schema: Schema) -> str:
        if schema.type == STRUCT:
            return self.struct(schema)
        attributes = self.attributes(schema)
        if schema.type == ARRAY:
            return self.array(self.type_of(_items(schema)), attributes)
        if schema.type == MAP:
            return self.map(schema, attributes)
        primitive = f'"{_PRIMITIVES[schema.type]}"'
        return f'{{"type":{primitive}{attributes}}}' if attributes else primitive

    def array(self, items: str, attributes: str) -> str:
        return f'{{"type":"array","items":{items}{attributes}}}'

    def map(self, schema: Schema, attributes: str) -> str:
        keys = schema.keys
        if keys is None:
            raise ConvertError("a map's schema has no key schema", schema=schema.name)
        if keys.type == STRING and not keys.optional:
            return f'{{"type":"map","values":{self.type_of(_items(schema))}{attributes}}}'
        entry = Schema(STRUCT, name=schema.name or NAMESPACE + ".MapEntry",
                       fields=(Field("key", keys), Field("value", _items(schema))))
        mark = ',"connect.internal.type":"MapEntry"' if schema.name else ""
        return self.array(self.record(entry, entry.name or "", mark), attributes)

    def struct(self, schema: Schema) -> str:
        return self.record(schema, schema.name or self.name_of_unnamed(schema.fields), self.attributes(schema))

    def name_of_unnamed(self, fields: tuple[Field, ...]) -> str:
        for known, name in self.unnamed:
            if known == fields:
                return name
        number = len(self.unnamed) + 1
        name = f"{NAMESPACE}.ConnectDefault{number if number > 1 else ''}"
        self.unnamed.append((fields, name))
        return name

    def record(self, schema: Schema, connect_name: str, attributes: str) -> str:
        """A struct: the first time in full, afterwards by its name, which then means the first definition."""
        space, name = _split(connect_name, self.options)
        full = _full(space, name)
        first = self.named.get(full)
        if first is not None:
            if not _same_layout(first, schema):
                raise ConvertError("two structs of the same name have different fields", schema=full,
                                   hint="Avro identifies a type by its name; give one of them another name.")
            return f'"{name if space == self.space and name not in _TYPE_NAMES else full}"'
        if not is_legal(name):
            raise ConvertError(f'"{name}" is not a legal Avro name', schema=connect_name,
                               hint="Set schema.name.adjustment.mode=avro for the connector.")
        self.named[full] = schema
        outer, self.space = self.space, space
        fields = self.fields(schema, full)
        self.space = outer
        shown = "" if space == outer else f',"namespace":{json_string(space or "")}'
        doc_key = "connect.record.doc" if self.options.discard_type_doc_default else RECORD_DOC
        doc = schema.parameter(doc_key)
        described = f',"doc":{json_string(doc)}' if doc is not None else ""
        return f'{{"type":"record","name":"{name}"{shown}{described},"fields":[{fields}]{attributes}}}'

    def fields(self, schema: Schema, record: str) -> str:
        seen: set[str] = set()
        parts = []
        for field in schema.fields:
            name = scrubbed(field.name) if self.options.scrub_invalid_names else field.name
            if not is_legal(name):
                raise ConvertError(f'field "{name}" is not a legal Avro name', schema=record, field=field.name,
                                   hint="Set field.name.adjustment.mode=avro for the connector.")
            if name in seen:
                raise ConvertError(f'two fields are named "{name}"', schema=record, field=field.name,
                                   hint="Rename a column, or set field.name.adjustment.mode=avro_unicode.")
            seen.add(name)
            parts.append(self.field(schema, field, name))
        return ",".join(parts)

    def field(self, record: Schema, field: Field, name: str) -> str:
        schema = field.schema
        text = f'{{"name":"{name}","type":{self.type_of(schema)}'
        doc = schema.doc if self.options.discard_type_doc_default else record.parameter(FIELD_DOC + field.name)
        if doc is not None:
            text += f',"doc":{json_string(doc)}'
        if schema.default is not None:
            if _has_avro_form(schema, schema.default):
                text += f',"default":{self.default(schema, schema.default, in_field=True)}'
            else:
                log.warning("avro_default_dropped", field=field.name, schema=record.name)
        elif schema.optional:
            text += ',"default":null'
        return text + "}"

    def attributes(self, schema: Schema) -> str:
        """The members after a type's own ones, each with a comma before it."""
        found: dict[str, str] = {}
        if schema.name == DECIMAL:
            found |= _scale_and_precision(schema)
        if self.options.connect_meta_data:
            found |= self.meta_data(schema)
        logical = _LOGICAL.get(schema.name or "")
        if logical is not None:
            found["logicalType"] = f'"{logical}"'
        found |= {key: json_string(value) for key, value in schema.parameters if key.startswith("avro")}
        return "".join(f",{json_string(key)}:{value}" for key, value in found.items())

    def meta_data(self, schema: Schema) -> dict[str, str]:
        keep_all = self.options.discard_type_doc_default
        found: dict[str, str] = {}
        if schema.doc is not None:
            found["connect.doc"] = json_string(schema.doc)
        if schema.version is not None:
            found["connect.version"] = str(schema.version)
        shown = {key: json_string(value) for key, value in schema.parameters if keep_all or key != FIELD_DEFAULT}
        if shown:
            found["connect.parameters"] = _object(shown)
        if schema.default is not None and (keep_all or schema.parameter(FIELD_DEFAULT) is None):
            found["connect.default"] = self.default(schema, schema.default)
        if schema.name is not None:
            found["connect.name"] = json_string(schema.name)
        if schema.type in _CONNECT_TYPES:
            found["connect.type"] = f'"{_CONNECT_TYPES[schema.type]}"'
        return found

    def default(self, schema: Schema, value: Any, in_field: bool = False) -> str:
        """A default as JSON; bytes become ISO-8859-1 text, a float becomes the double of the same value."""
        if value is None:
            return "null"
        kind = schema.type
        if kind == STRING:
            return json_string(value)
        if kind == BYTES:
            return json_string(bytes(value).decode("latin-1"))
        if kind == BOOLEAN:
            return "true" if value else "false"
        if kind in (FLOAT32, FLOAT64):
            return _float_default(kind, value, in_field)
        if kind == ARRAY:
            return f"[{','.join(self.default(_items(schema), item, in_field) for item in value)}]"
        if kind == MAP:
            return self.map_default(schema, value, in_field)
        if kind == STRUCT:
            pairs = zip(schema.fields, value, strict=True)
            return _object({self.field_name(f): self.default(f.schema, item, in_field) for f, item in pairs})
        return str(int(value))

    def map_default(self, schema: Schema, value: Mapping[Any, Any], in_field: bool) -> str:
        keys, items = schema.keys or Schema(STRING), _items(schema)
        if keys.type == STRING and not keys.optional:
            return _object({key: self.default(items, item, in_field) for key, item in value.items()})
        pairs = (f"[{self.default(keys, key)},{self.default(items, item)}]" for key, item in value.items())
        return f"[{','.join(pairs)}]"

    def field_name(self, field: Field) -> str:
        return scrubbed(field.name) if self.options.scrub_invalid_names else field.name


def _object(members: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{json_string(key)}:{value}" for key, value in members.items()) + "}"


def _items(schema: Schema) -> Schema:
    if schema.items is None:
        raise ConvertError("an array's or map's schema has no item schema", schema=schema.name)
    return schema.items


def _float_default(kind: str, value: float, in_field: bool) -> str:
    if not math.isfinite(value):
        return f'"{double_text(value)}"'
    if kind == FLOAT32:
        return double_text(float32(value)) if in_field else float_text(value)
    return double_text(float(value))


def _scale_and_precision(schema: Schema) -> dict[str, str]:
    try:
        scale = int(schema.parameter("scale") or "")
        precision = int(schema.parameter("connect.decimal.precision") or DEFAULT_PRECISION)
    except ValueError as exc:
        raise ConvertError("a Decimal's scale or precision is missing or not a number", schema=schema.name) from exc
    return {"scale": str(scale), "precision": str(precision)}


def _has_avro_form(schema: Schema, value: Any) -> bool:
    """Whether Avro allows the default. If not, the field is written without it, as in the Java converter."""
    if value is None:
        return schema.optional
    if schema.type in (FLOAT32, FLOAT64):
        return math.isfinite(value)
    if schema.type == ARRAY:
        return all(_has_avro_form(_items(schema), item) for item in value)
    if schema.type == MAP:
        keys = schema.keys
        if keys is None or keys.type != STRING or keys.optional:
            return not value
        return all(_has_avro_form(_items(schema), item) for item in value.values())
    if schema.type == STRUCT:
        return all(_has_avro_form(field.schema, item) for field, item in zip(schema.fields, value, strict=True))
    return True


def _same_layout(one: Schema, other: Schema) -> bool:
    """Whether values of both have the same bytes: equal types, unions and fields; other attributes may differ."""
    if one is other or (one.fields is other.fields and one.fields):
        return True
    if one.type != other.type or len(one.fields) != len(other.fields):
        return False
    return _same_members(one.items, other.items) and _same_members(one.keys, other.keys) and all(
        a.name == b.name and _same_members(a.schema, b.schema) for a, b in zip(one.fields, other.fields, strict=True))


def _same_members(one: Schema | None, other: Schema | None) -> bool:
    if one is None or other is None:
        return one is other
    if one.optional != other.optional or (one.optional and (one.default is None) != (other.default is None)):
        return False
    return _same_layout(replace(one, optional=False), replace(other, optional=False))


def _split(name: str, options: AvroOptions) -> tuple[str | None, str]:
    """The namespace, or None, and the short name."""
    parts = name.split(".")
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    if options.scrub_invalid_names:
        parts = [scrubbed(part) for part in parts]
    return ".".join(parts[:-1]) or None, parts[-1]


def _full(space: str | None, name: str) -> str:
    return f"{space}.{name}" if space else name
