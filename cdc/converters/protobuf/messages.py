"""Protobuf messages for Connect schemas, as Confluent's converter builds them: names, field numbers and types.

Source: confluentinc/schema-registry, `ProtobufData.fromConnectSchema` with `messageDefinitionFromConnectSchema`,
`fieldDefinitionFromConnectSchema` and `dataTypeFromConnectSchema`; protobuf-java, `Descriptors` (which names are legal,
and which may not be used twice).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote_plus

from cdc.core.errors import ConvertError
from cdc.core.late_regex import late_regex
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

DATE: Final = "org.apache.kafka.connect.data.Date"
TIME: Final = "org.apache.kafka.connect.data.Time"
TIMESTAMP: Final = "org.apache.kafka.connect.data.Timestamp"
LOGICAL: Final = {DECIMAL: "confluent.type.Decimal", DATE: "google.type.Date", TIME: "google.type.TimeOfDay",
                  TIMESTAMP: "google.protobuf.Timestamp"}
"""By the Connect schema's name: the message for its values."""
WRAPPERS: Final = {INT8: "Int32Value", INT16: "Int32Value", INT32: "Int32Value", INT64: "Int64Value",
                   FLOAT32: "FloatValue", FLOAT64: "DoubleValue", BOOLEAN: "BoolValue", STRING: "StringValue",
                   BYTES: "BytesValue"}
"""By Connect type: the message of google/protobuf/wrappers.proto for a single value."""
_SCALARS: Final = {INT8: "int32", INT16: "int32", INT32: "int32", INT64: "int64", FLOAT32: "float", FLOAT64: "double",
                   BOOLEAN: "bool", STRING: "string", BYTES: "bytes"}
_FILES: Final = {"confluent.type.Decimal": "confluent/type/decimal.proto", "google.type.Date": "google/type/date.proto",
                 "google.type.TimeOfDay": "google/type/timeofday.proto",
                 "google.protobuf.Timestamp": "google/protobuf/timestamp.proto"}
WRAPPERS_FILE: Final = "google/protobuf/wrappers.proto"
_CONNECT_TYPES: Final = {INT8: "int8", INT16: "int16"}
_DEFAULT_NAME: Final = "ConnectDefault"
_NAME: Final = late_regex(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class ProtobufOptions:
    """The converter options that change schema or bytes (Confluent's `ProtobufDataConfig`)."""

    scrub_invalid_names: bool = False
    optional_for_nullables: bool = False
    wrapper_for_nullables: bool = False


@dataclass(slots=True)
class ProtoField:
    """One field. *label*: `repeated`, `optional` or empty. *schema*: of one value, so of an array its item; *connect*:
    of the whole field. *message*: the type's definition, if it is one of ours. *parameters*: pairs for the option
    `(confluent.field_meta)`."""

    name: str
    number: int
    type: str
    label: str
    schema: Schema
    wrapped: bool
    parameters: list[tuple[str, str]]
    message: ProtoMessage | None = None
    connect: Schema | None = None

    @property
    def default(self) -> Any:
        """The field's default; None if it has none."""
        return (self.connect or self.schema).default

    @property
    def nullable(self) -> bool:
        return (self.connect or self.schema).optional


@dataclass(slots=True)
class ProtoMessage:
    name: str
    fields: list[ProtoField] = field(default_factory=list)
    nested: list[ProtoMessage] = field(default_factory=list)


@dataclass(slots=True)
class ProtoFile:
    """One file with one message. *wrapper*: the name of the message of wrappers.proto that is used instead."""

    package: str | None
    message: ProtoMessage
    imports: list[str]
    wrapper: str = ""

    @property
    def full_name(self) -> str:
        return f"{self.package}.{self.message.name}" if self.package else self.message.name


def proto_file(schema: Schema, options: ProtobufOptions) -> ProtoFile:
    """The file for *schema*. Raises ConvertError if it has no Protobuf form."""
    if schema.type == STRUCT:
        return _Builder(options).file(schema)
    wrapper = WRAPPERS.get(schema.type)
    if wrapper is None or schema.name in LOGICAL:
        raise ConvertError(f"Confluent's Protobuf converter has no message for {_said(schema)} that is not in a struct",
                           hint="Wrap it in a struct (HoistField does), or use another converter.")
    value = ProtoField("value", 1, _SCALARS[schema.type], "", schema, False, [])
    return ProtoFile("google.protobuf", ProtoMessage(wrapper, [value]), [], wrapper)


def scrubbed(name: str) -> str:
    """*name* made legal, as `scrub.invalid.names` does (`ProtobufData.doScrubName`): URL-encoded, then `_` for all but
    letters and digits, and an `x` before a digit or an underscore."""
    if not name or re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        return name
    encoded = quote_plus(name, safe="*").replace("~", "%7E")
    if encoded[0].isdigit() or encoded[0] == "_":
        encoded = "x" + encoded
    return re.sub(r"[^A-Za-z0-9_]", "_", encoded)


class _Builder:
    def __init__(self, options: ProtobufOptions) -> None:
        self.options = options
        self.imports: list[str] = []
        self.unnamed = 0

    def file(self, schema: Schema) -> ProtoFile:
        parts = [self.scrub(part) for part in self.name_of(schema).split(".")]
        while len(parts) > 1 and not parts[-1]:
            parts.pop()
        message = self.message(parts[-1], schema)
        return ProtoFile(".".join(parts[:-1]) or None, message, self.imports)

    def message(self, name: str, schema: Schema) -> ProtoMessage:
        """The message of a struct, with those of its fields nested in it."""
        made = ProtoMessage(_legal(name, "a message", schema.name))
        types: dict[str, tuple[ProtoMessage, Schema]] = {name: (made, schema)}
        for number, each in enumerate(schema.fields, 1):
            self.add(made, types, each, number)
        _no_name_twice(made, schema)
        return made

    def add(self, made: ProtoMessage, types: dict[str, tuple[ProtoMessage, Schema]], each: Field, number: int) -> None:
        schema = each.schema
        label = ""
        if schema.type in (ARRAY, MAP):
            label = "repeated"
        elif self.options.optional_for_nullables and schema.optional:
            label = "optional"
        if schema.type == ARRAY:
            schema = _part(schema.items, schema)
            if schema.type in (ARRAY, MAP):
                raise ConvertError(f"Protobuf has no {_said(schema)} within an array", field=each.name,
                                   hint="Exclude the column, or use another converter.")
        name = _legal(self.scrub(each.name), "a field", each.name)
        type_, parameters = self.type_of(schema, name)
        wrapped = type_.startswith("google.protobuf.") and schema.name not in LOGICAL
        found = ProtoField(name, number, type_, label, schema, wrapped, parameters, connect=each.schema)
        if schema.type == STRUCT:
            found.message = self.struct(made, types, type_, schema)
        elif schema.type == MAP:
            found.message = self.map(type_, schema)
            made.nested.append(found.message)
        elif wrapped or type_ in _FILES:
            file = _FILES.get(type_, WRAPPERS_FILE)
            if file not in self.imports:
                self.imports.append(file)
        made.fields.append(found)

    def struct(self, made: ProtoMessage, types: dict[str, tuple[ProtoMessage, Schema]], name: str,
               schema: Schema) -> ProtoMessage:
        """The nested message *name*; a type that the message has already, itself included, is used again."""
        if name not in types:
            message = self.message(name, schema)
            types[name] = (message, schema)
            made.nested.append(message)
        known, first = types[name]
        if known is made or not _alike(first, schema):
            raise ConvertError("two structs of the same name have different fields", schema=name,
                               hint="Protobuf uses only the last part of a struct's name; give one of them another"
                                    " name.")
        return known

    def map(self, name: str, schema: Schema) -> ProtoMessage:
        """The message of a map's entries."""
        made = ProtoMessage(_legal(name, "a message", schema.name))
        types: dict[str, tuple[ProtoMessage, Schema]] = {name: (made, schema)}
        for number, (part, each) in enumerate((("key", schema.keys), ("value", schema.items)), 1):
            self.add(made, types, Field(part, _part(each, schema)), number)
        for found in made.fields:
            found.label = "" if found.label == "optional" else found.label
        return made

    def type_of(self, schema: Schema, field_name: str) -> tuple[str, list[tuple[str, str]]]:
        logical = LOGICAL.get(schema.name or "")
        if logical is not None:
            pairs = (("precision", schema.parameter("connect.decimal.precision")), ("scale", schema.parameter("scale")))
            shown = [(key, value) for key, value in pairs if value is not None]
            return logical, shown if schema.name == DECIMAL else []
        if schema.type == STRUCT:
            name = self.last_part(schema)
            return (name + "Message" if name == field_name else name), []
        if schema.type == MAP:
            return _map_entry(self.last_part(schema)), []
        connect_type = _CONNECT_TYPES.get(schema.type)
        parameters = [("connect.type", connect_type)] if connect_type is not None else []
        if self.options.wrapper_for_nullables and schema.optional:
            return f"google.protobuf.{WRAPPERS[schema.type]}", parameters
        return _SCALARS[schema.type], parameters

    def name_of(self, schema: Schema) -> str:
        if schema.name:
            return schema.name
        self.unnamed += 1
        return f"{_DEFAULT_NAME}{self.unnamed}"

    def last_part(self, schema: Schema) -> str:
        return self.scrub(self.name_of(schema).rpartition(".")[2])

    def scrub(self, name: str) -> str:
        return scrubbed(name) if self.options.scrub_invalid_names else name


def _map_entry(name: str) -> str:
    """`ProtobufSchema.toMapEntry`: `a_bC` becomes `ABcEntry`."""
    if "_" in name:
        name = "".join(part[:1].upper() + part[1:].lower() for part in name.split("_"))
    return name + "Entry"


def _legal(name: str, what: str, of: str | None) -> str:
    if not _NAME.fullmatch(name):
        raise ConvertError(f'"{name}" is not a legal name for {what} in Protobuf', name=of,
                           hint="Set scrub.invalid.names=true for the converter, or for the connector"
                                " schema.name.adjustment.mode=avro and field.name.adjustment.mode=avro.")
    return name


def _no_name_twice(message: ProtoMessage, schema: Schema) -> None:
    """Fields, nested messages, and the hidden `oneof` of an optional field share their names."""
    names = [found.name for found in message.fields]
    names += [f"_{found.name}" for found in message.fields if found.label == "optional"]
    names += [nested.name for nested in message.nested]
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConvertError(f'"{name}" would be defined twice in the Protobuf message {message.name}',
                               schema=schema.name, hint="Rename the column.")
        seen.add(name)


def _alike(one: Schema, other: Schema) -> bool:
    """Whether values of both structs have the same bytes."""
    return one.as_optional(False) == other.as_optional(False) or (
        [each.name for each in one.fields] == [each.name for each in other.fields]
        and all(_same(a.schema, b.schema) for a, b in zip(one.fields, other.fields, strict=True)))


def _same(one: Schema, other: Schema) -> bool:
    if (one.type, one.name, one.optional) != (other.type, other.name, other.optional):
        return False
    if one.type == STRUCT:
        return _alike(one, other)
    pairs = ((one.items, other.items), (one.keys, other.keys))
    return all(a is b or (a is not None and b is not None and _same(a, b)) for a, b in pairs)


def _part(schema: Schema | None, of: Schema) -> Schema:
    if schema is None:
        raise ConvertError("an array's or map's schema has no item or key schema", schema=of.name)
    return schema


def _said(schema: Schema) -> str:
    return schema.name if schema.name in LOGICAL else {ARRAY: "array", MAP: "map"}.get(schema.type, schema.type)
