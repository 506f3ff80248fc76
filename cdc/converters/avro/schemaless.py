"""Values without a schema as Avro: Confluent's record `Anything`, with one field for each type (`AvroData`,
`ANYTHING_SCHEMA`)."""

from __future__ import annotations

from typing import Any, Final

from cdc.codecs.java import json_string
from cdc.core.avro import Writer
from cdc.core.errors import DecodeError
from cdc.core.schema import STRUCT, Schema

ANYTHING: Final = Schema(STRUCT, name="io.confluent.connect.avro.Anything")
"""Stands for the schema in caches and subjects; `TEXT` is what is registered."""

_FIELDS: Final = ("boolean", "bytes", "double", "float", "int", "long", "string", "array", "map")
_ENTRY: Final = ('{"type":"record","name":"MapEntry","fields":[{"name":"key","type":"Anything"},'
                 '{"name":"value","type":"Anything"}]}')
_TYPES: Final = {"array": '{"type":"array","items":"Anything"}', "map": f'{{"type":"array","items":{_ENTRY}}}'}


def _text() -> str:
    fields = (f'{{"name":"{name}","type":["null",{_TYPES.get(name, json_string(name))}],"default":null}}'
              for name in _FIELDS)
    return ('{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":['
            f'{",".join(fields)}]}}')


TEXT: Final = _text()


def write_anything(out: Writer, value: Any) -> None:
    """Append *value*. Integers are long, numbers with a fraction double. Raises DecodeError for other types."""
    name = _field_of(value)
    for field in _FIELDS:
        if field != name:
            out.put_byte(0)
            continue
        out.put_byte(2)
        _write(out, name, value)


def _field_of(value: Any) -> str:
    if value is None:
        return ""
    for kind, name in ((bool, "boolean"), (int, "long"), (float, "double"), (str, "string"), (bytes, "bytes"),
                       ((list, tuple), "array"), (dict, "map")):
        if isinstance(value, kind):
            return name
    raise DecodeError("the value has no schema, and its type is none of Kafka Connect's",
                      python_type=type(value).__name__)


def _write(out: Writer, name: str, value: Any) -> None:
    if name == "boolean":
        out.put_byte(1 if value else 0)
    elif name == "long":
        out.put_long(value)
    elif name == "double":
        out.put_double(value)
    elif name == "string":
        out.put_text(value)
    elif name == "bytes":
        out.put_bytes(value)
    else:
        _write_items(out, value)


def _write_items(out: Writer, value: Any) -> None:
    if value:
        out.put_long(len(value))
        for item in value:
            write_anything(out, item)
            if isinstance(value, dict):
                write_anything(out, value[item])
    out.put_byte(0)
