"""Tables, rows and records made by hand, and fastavro as the judge of the bytes that come of them."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import fastavro

from cdc.codecs.postgres.text import IntCodec
from cdc.codecs.text import TextCodec
from cdc.converters.avro.converter import AvroConverter
from cdc.converters.avro.schema import avro_schema
from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.record import Record, SourceContext
from cdc.core.row import ABSENT, BINARY, NULL, TEXT, UNCHANGED, Row
from cdc.core.schema import INT32, INT64, STRING, Schema, optional, struct
from cdc.core.table import Column, TableId, TableSchema
from cdc.debezium.schemas import SNAPSHOT_MARKER, envelope_schema, row_schema

TOPIC = "srv.public.t"
ID = TableId("d", "public", "t")
NOW_US = 1_700_000_000_123_456
INT = IntCodec(Schema(INT32), -(1 << 31), (1 << 31) - 1)
STR = TextCodec(Schema(STRING))

SOURCE = struct("x.Source", [
    ("version", Schema(STRING)), ("snapshot", SNAPSHOT_MARKER), ("txId", optional(INT64)), ("lsn", optional(INT64)),
    ("table", Schema(STRING)),
], version=1)

LEFT_OUT = object()
"""A cell that the log left out because it did not change."""
MISSING = object()
"""A cell that the image does not have."""

_scopes = itertools.count()


class Counting(Codec):
    """Reads as *codec* does, and counts how often it is asked."""

    def __init__(self, codec: Codec) -> None:
        Codec.__init__(self, codec.schema)
        self.codec = codec
        self.values = 0
        self.encodings = 0

    def value(self, data: bytes, start: int, end: int) -> Any:
        self.values += 1
        return self.codec.value(data, start, end)

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> Any:
        self.encodings += 1
        self.codec.encode(out, data, start, end)
        return 0  # a compiled caller wants a number of it


class Failing(Codec):
    """Writes a little, then raises *error*."""

    def __init__(self, schema: Schema, error: Exception) -> None:
        Codec.__init__(self, schema)
        self.error = error

    def value(self, data: bytes, start: int, end: int) -> Any:
        raise self.error

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> Any:
        out.put_raw(b"half of a value")
        raise self.error


class Upper(Codec):
    """STRING in capitals: what a column mapper could make of text."""

    def value(self, data: bytes, start: int, end: int) -> Any:
        return data[start:end].decode().upper()


def column(index: int, name: str, codec: Codec = STR, *, optional: bool = False, default: Any = None,
           binary: Codec | None = None, key_codec: Codec | None = None, key_binary: Codec | None = None,
           unchanged: Any = None, null_value: Any = None) -> Column:
    key_codec = key_codec or codec
    return Column(
        index, name, name, "x", replace(codec.schema, optional=optional, default=default), codec, binary,
        replace(key_codec.schema, optional=optional, default=default), key_codec, key_binary or binary, unchanged,
        null_value)


def table(columns: Sequence[Column], key: Sequence[Column] = (), constant: Sequence[tuple[str, str]] = (),
          topic: str = TOPIC) -> TableSchema:
    value = row_schema(f"{topic}.Value", ((each.field, each.schema) for each in columns), ID)
    key_schema = None
    if key or constant:
        key_schema = row_schema(f"{topic}.Key", (
            *((each.field, each.key_schema) for each in key), *((name, Schema(STRING)) for name, _ in constant),
        ), ID, required=True)
    return TableSchema(ID, topic, tuple(columns), tuple(key), key_schema, value,
                       envelope_schema(f"{topic}.Envelope", value, SOURCE), tuple(constant))


def row(*cells: Any, kind: int = TEXT) -> Row:
    """Cells are text, bytes, None, LEFT_OUT or MISSING. Their bytes lie apart, as in a message."""
    data = b"??"
    places: list[tuple[int, int, int]] = []
    for cell in cells:
        if cell is None or cell is LEFT_OUT or cell is MISSING:
            places.append((NULL if cell is None else UNCHANGED if cell is LEFT_OUT else ABSENT, 0, 0))
            continue
        content = cell if isinstance(cell, bytes) else str(cell).encode()
        places.append((kind, len(data), len(data) + len(content)))
        data += content + b"??"
    made = Row(data, len(cells))
    for index, place in enumerate(places):
        made.put(index, *place)
    return made


def binary_row(*cells: Any) -> Row:
    return row(*cells, kind=BINARY)


def context(snapshot: str | None = None, values: Sequence[Any] = ("1", None, 7, None, "t"),
            varying: Sequence[int] = (3,)) -> SourceContext:
    return SourceContext(SOURCE, (values[0], snapshot, *values[2:]), tuple(varying))


def record(op: str, of: TableSchema, before: Row | None = None, after: Row | None = None, *,
           key_row: Row | None = None, block: tuple[Any, ...] | None = None, source: SourceContext | None = None,
           source_values: tuple[Any, ...] = (42,), headers: tuple[tuple[str, Row], ...] = ()) -> Record:
    return Record(op, of, before, after, key_row or after or before, source or context(), source_values, block,
                  headers)


def avro(is_key: bool = False, **settings: str) -> AvroConverter:
    """A converter with a registry of its own."""
    made = AvroConverter()
    made.configure({"schema.registry.url": f"mock://tables{next(_scopes)}"}
                   | {key.replace("_", "."): value for key, value in settings.items()}, is_key)
    return made


def read(schema: Schema, data: bytes) -> Any:
    """*data* as fastavro reads it, all of it."""
    stream = io.BytesIO(data)
    found: Any = fastavro.schemaless_reader(stream, fastavro.parse_schema(json.loads(avro_schema(schema))), None)
    assert stream.read() == b""
    return found
