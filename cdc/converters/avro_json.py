# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Prints Avro bytes as Kafka Connect's JSON, in one pass.

A table's plan writes a row as Avro straight from the column's bytes. For JSON, the same bytes are read again here by
the Connect schema, and no value is made for most types. The text is that of `json.JsonConverter`.

Sources: Avro specification, "Binary Encoding"; Kafka, `org.apache.kafka.connect.json.JsonConverter`
(`convertToJson`); how nulls and optional fields are laid out: `core/avro.py`, `write_field`.
"""

from __future__ import annotations

import struct
from binascii import b2a_base64
from collections.abc import Callable
from typing import NamedTuple

import cython

from cdc.codecs.java import decimal_text, double_text, float_text
from cdc.core.avro import Writer
from cdc.core.errors import ConvertError
from cdc.core.schema import ARRAY, BOOLEAN, BYTES, DECIMAL, FLOAT32, FLOAT64, MAP, STRING, STRUCT, Schema

from .avro_reader import AvroReader

_LONG, _TEXT, _BOOLEAN, _DOUBLE, _FLOAT, _BYTES, _DECIMAL, _STRUCT, _ARRAY, _MAP, _PAIRS, _ENTRIES = range(12)
_KINDS = {STRING: _TEXT, BOOLEAN: _BOOLEAN, FLOAT64: _DOUBLE, FLOAT32: _FLOAT, BYTES: _BYTES, STRUCT: _STRUCT,
          ARRAY: _ARRAY}

_ESCAPES = [b""] * 256
"""By byte: what stands for it within a JSON string; empty if that is the byte itself."""
for _byte in range(32):
    _ESCAPES[_byte] = b"\\u%04X" % _byte
for _byte, _letter in zip(b'"\\\b\f\n\r\t', (b'\\"', b"\\\\", b"\\b", b"\\f", b"\\n", b"\\r", b"\\t"), strict=True):
    _ESCAPES[_byte] = _letter


class JsonForm(NamedTuple):
    """The settings of a JSON converter, as of `json_values.JsonValues`, and what prints a default as JSON."""

    numeric: bool
    replace_nulls: bool
    default: Callable[[Schema], bytes]
    entries: bool = False


class JsonOp:
    """How the Avro bytes of one schema are printed.

    `null_branch`: the union branch byte of a null; -1 if the schema is required and has no union.
    `null`: the JSON of a null.
    `before`: for a field, the JSON before its value: a comma, unless it is the first, and its name.
    `parts`: a struct's fields; an array's item; a map's key and value.
    """

    def __init__(self, schema: Schema, form: JsonForm, before: bytes = b"") -> None:
        self.before = before
        self.null_branch = -1
        self.null = b"null"
        if schema.optional:
            self.null_branch = 2 if schema.default is not None and schema.type != STRUCT else 0
        if schema.default is not None and form.replace_nulls:
            self.null = form.default(schema)
        self.scale = 0
        self.parts: list[JsonOp] = []
        self.kind = _KINDS.get(schema.type, _LONG)
        if schema.type == STRUCT:
            self.parts = [JsonOp(field.schema, form, _name(field.name, first=index == 0))
                          for index, field in enumerate(schema.fields)]
        elif schema.type == ARRAY:
            self.parts = [JsonOp(_known(schema.items), form)]
        elif schema.type == MAP:
            self.parts = [JsonOp(_known(schema.keys), form), JsonOp(_known(schema.items), form)]
            self.kind = _map_kind(_known(schema.keys), form)
        elif schema.type == BYTES and schema.name == DECIMAL and form.numeric:
            self.kind = _DECIMAL
            self.scale = int(schema.parameter("scale") or 0)


class JsonPrinter(AvroReader):
    """Prints values of one schema. *before* and *after* are put around each. Not shared between threads."""

    def __init__(self, schema: Schema, form: JsonForm, before: bytes, after: bytes) -> None:
        super().__init__()
        self.op = JsonOp(schema, form)
        self.before = before
        self.after = after
        self.out = Writer()

    def native_form(self) -> tuple[bytes, bytes, list[tuple[str, bytes, int, bytes, int]]]:
        """What C needs to print the same: what is around each value, and of each op, a struct's before its fields' and
        an array's before its items', the kind ("" if C does not know it), the JSON before it, the null's branch and its
        JSON, and the number of ops up to the end of what is within it."""
        found: list[tuple[str, bytes, int, bytes, int]] = []
        _add_native(found, self.op)
        return self.before, self.after, found

    def printed(self, avro: bytes) -> bytes:
        """The JSON of *avro*, which is one value, whole. Raises ConvertError if it is not a value of the schema."""
        out = self.out
        out.truncate(0)
        self.begin(avro)
        out.put_raw(self.before)
        self.put(out, self.op)
        if self.at != self.end:
            raise self.broken()
        out.put_raw(self.after)
        self.begin(b"")  # each table has a printer, which keeps no row
        return out.take()

    def put(self, out: Writer, op: JsonOp) -> None:
        if op.null_branch >= 0 and self.next_byte() == op.null_branch:
            out.put_raw(op.null)
        else:
            self.put_value(out, op)

    def put_value(self, out: Writer, op: JsonOp) -> None:
        kind = op.kind
        if kind == _LONG:
            put_number(out, self.number())
        elif kind == _TEXT:
            size = self.length()
            put_string(out, self.data, self.at, self.at + size)
            self.at += size
        elif kind == _STRUCT:
            out.put_byte(123)
            for part in op.parts:
                out.put_raw(part.before)
                self.put(out, part)
            out.put_byte(125)
        elif kind == _BOOLEAN:
            out.put_raw(b"true" if self.next_byte() else b"false")
        elif kind == _BYTES:
            out.put_byte(34)
            out.put_raw(b2a_base64(self.raw(self.length()), newline=False))
            out.put_byte(34)
        else:
            self.put_other(out, op)

    def put_other(self, out: Writer, op: JsonOp) -> None:
        """The types that are seldom, or take time in any case."""
        if op.kind == _DOUBLE:
            put_float(out, double_text(struct.unpack("<d", self.raw(8))[0]))
        elif op.kind == _FLOAT:
            put_float(out, float_text(struct.unpack("<f", self.raw(4))[0]))
        elif op.kind == _DECIMAL:
            out.put_raw(decimal_text(self.raw(self.length()), op.scale).encode())
        elif op.kind == _MAP:
            self.put_entries(out, op, b"{", b":", b"}")
        elif op.kind == _PAIRS:
            self.put_entries(out, op, b"[[", b",", b"]]")
        elif op.kind == _ENTRIES:
            self.put_entries(out, op, b'[{"key":', b',"value":', b"]}")
        else:
            self.put_entries(out, op, b"[", b"", b"]")

    def put_entries(self, out: Writer, op: JsonOp, opening: bytes, between: bytes, closing: bytes) -> None:
        """A map or an array. Of *opening* and *closing* the first byte is around the whole, the rest around each
        entry."""
        out.put_raw(opening[:1])
        count = self.number()
        first = True
        while count > 0:
            for _ in range(count):
                out.put_raw((b"" if first else b",") + opening[1:])
                first = False
                if between:
                    self.put_key(out, op)
                    out.put_raw(between)
                self.put(out, op.parts[len(op.parts) - 1])
                out.put_raw(closing[1:])
            count = self.number()
        if count < 0:
            raise self.broken()  # a block with its size in bytes, which `write_value` never writes
        out.put_raw(closing[:1])

    def put_key(self, out: Writer, op: JsonOp) -> None:
        key = op.parts[0]
        if op.kind == _MAP and key.null_branch >= 0 and self.at < self.end and self.data[self.at] == key.null_branch:
            self.at += 1
            out.put_raw(b'"null"')
        else:
            self.put(out, key)


_NATIVE = {_LONG: "long", _TEXT: "text", _BOOLEAN: "boolean", _BYTES: "bytes", _STRUCT: "struct", _DOUBLE: "double",
           _FLOAT: "float", _ARRAY: "array"}


def _add_native(found: list[tuple[str, bytes, int, bytes, int]], op: JsonOp) -> None:
    place = len(found)
    found.append(("", b"", 0, b"", 0))
    if op.kind in (_STRUCT, _ARRAY):
        for part in op.parts:
            _add_native(found, part)
    found[place] = _NATIVE.get(op.kind, ""), op.before, op.null_branch, op.null, len(found)


def put_number(out: Writer, value: int) -> None:
    """Decimal digits."""
    if not cython.compiled or value == _LEAST:
        out.put_raw(b"%d" % value)
    elif value < 0:
        out.put_byte(45)
        put_decimal(out, 0 - value)
    else:
        put_decimal(out, value)


def put_string(out: Writer, data: bytes, start: int, end: int) -> None:
    """The UTF-8 text data[start:end] in quotes. The caller has checked the range."""
    out.put_byte(34)
    p = data
    at = start
    while at < end:
        byte = p[at]
        if byte < 32 or byte == 34 or byte == 92:  # noqa: PLR1714
            out.put_range(data, start, at)
            out.put_raw(_ESCAPES[byte])
            start = at + 1
        at += 1
    out.put_range(data, start, end)
    out.put_byte(34)


def put_float(out: Writer, text: str) -> None:
    """A floating point number as Java prints it. NaN and the infinities have no JSON number: they are strings."""
    out.put_raw((text if text[len(text) - 1].isdigit() else f'"{text}"').encode())


_LEAST = -(1 << 63)


def _name(name: str, first: bool) -> bytes:
    out = Writer()
    if not first:
        out.put_byte(44)
    data = name.encode()
    put_string(out, data, 0, len(data))
    out.put_byte(58)
    return out.take()


def _map_kind(keys: Schema, form: JsonForm) -> int:
    if keys.type == STRING and not (form.entries and keys.optional):
        return _MAP
    return _ENTRIES if form.entries else _PAIRS


def _known(schema: Schema | None) -> Schema:
    if schema is None:
        raise ConvertError("an array's or map's schema has no item or key schema")
    return schema

