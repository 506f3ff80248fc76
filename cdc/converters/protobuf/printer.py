# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Makes Protobuf of Avro bytes, in one pass.

A table's plan writes a row as Avro straight from the column's bytes; the same bytes are read again here by the Connect
schema, and no value is made for most types. The result is that of `values.ProtobufValues`.

Sources: Protocol Buffers, "Encoding"; how nulls and optional fields are laid out in Avro: `core/avro.py`,
`write_field`.
"""

from __future__ import annotations

import cython

from cdc.converters.avro_reader import AvroReader
from cdc.core.avro import Writer
from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    MAP,
    STRING,
    STRUCT,
    Schema,
)

from .messages import DATE, TIME, TIMESTAMP, ProtoField, ProtoMessage
from .values import SIZED, ProtobufValues, date, decimal, null_item, sized, tag, time, timestamp, wire_type

_INTEGER, _BOOL, _TEXT, _FIXED, _MESSAGE, _MAP, _REPEATED, _PACKED, _DECIMAL, _DATE, _TIME, _STAMP = range(12)
_LOGICAL = {DECIMAL: _DECIMAL, DATE: _DATE, TIME: _TIME, TIMESTAMP: _STAMP}
_KINDS = {BOOLEAN: _BOOL, STRING: _TEXT, BYTES: _TEXT, FLOAT64: _FIXED, FLOAT32: _FIXED, STRUCT: _MESSAGE}
_SIZES = {FLOAT64: 8, FLOAT32: 4}


class ProtoOp:
    """How the Avro bytes of one field become Protobuf.

    `null_branch`: the union branch byte of a null; -1 if the schema is required and has no union.
    `null`: the bytes of a null, with its tag.
    `key`: the tag.
    `always`: write the type's zero too.
    `zero`: for numbers of fixed size, their zero.
    `parts`: a struct's fields; an array's item; a map's key and value; what a wrapper wraps.
    `child`: what a nested message is written into, to know its size.
    """

    def __init__(self, name: str, schema: Schema, key: bytes, always: bool, null: bytes) -> None:
        self.name = name
        self.schema = schema
        self.key = key
        self.always = always
        self.null = null
        self.null_branch = -1
        if schema.optional:
            self.null_branch = 2 if schema.default is not None and schema.type != STRUCT else 0
        self.kind = _LOGICAL.get(schema.name or "", _KINDS.get(schema.type, _INTEGER))
        self.zero = bytes(_SIZES.get(schema.type, 0))
        self.parts: list[ProtoOp] = []
        self.child = Writer()


def field_op(field: ProtoField, values: ProtobufValues, default: bool = True) -> ProtoOp:
    """For *field*, in a message that *values* would write. *default*: as in `ProtobufValues.field`."""
    whole = field.connect or field.schema
    null = values.field(field, default)(None)
    if field.schema.type == MAP:
        assert field.message is not None
        op = ProtoOp(field.name, whole, tag(field.number, SIZED), True, null)
        op.kind = _MAP
        op.parts = [field_op(part, values, False) for part in field.message.fields]
    elif field.label == "repeated" and whole.type == ARRAY:
        packed = wire_type(field) != SIZED
        op = ProtoOp(field.name, whole, tag(field.number, SIZED), True, null)
        op.kind = _PACKED if packed else _REPEATED
        op.parts = [_single(field, b"" if packed else op.key, True, b"", values)]
    else:
        op = _single(field, tag(field.number, wire_type(field)), values.zero(field) is None, null, values)
    return op


def _single(field: ProtoField, key: bytes, always: bool, null: bytes, values: ProtobufValues) -> ProtoOp:
    op = ProtoOp(field.name, field.schema, key, always, null)
    if field.wrapped:
        inner = ProtoField("value", 1, "", "", field.schema.as_optional(False), False, [])
        op.kind = _MESSAGE
        op.parts = [field_op(inner, values)]
    elif field.schema.type == STRUCT:
        assert field.message is not None
        op.parts = [field_op(part, values) for part in field.message.fields]
    return op


class ProtobufPrinter(AvroReader):
    """Prints values of one schema, the struct or single value of *message*, behind *before*. Not shared between
    threads."""

    def __init__(self, schema: Schema, message: ProtoMessage, values: ProtobufValues, before: bytes) -> None:
        super().__init__()
        self.before = before
        self.null_branch = 0 if schema.optional else -1
        if schema.optional and schema.default is not None and schema.type != STRUCT:
            self.null_branch = 2
        self.parts = [field_op(field, values) for field in message.fields]
        if schema.type != STRUCT:
            self.parts[0].null_branch = -1
        self.out = Writer()

    def printed(self, avro: bytes) -> bytes:
        """The Protobuf of *avro*, which is one value, whole, and not null. Raises ConvertError if it is not a value of
        the schema."""
        out = self.out
        out.truncate(0)
        self.begin(avro)
        out.put_raw(self.before)
        if self.null_branch >= 0 and self.next_byte() == self.null_branch:
            raise self.broken()
        for part in self.parts:
            self.put(out, part)
        if self.at != self.end:
            raise self.broken()
        self.begin(b"")  # each table has a printer, which keeps no row
        return out.take()

    def put(self, out: Writer, op: ProtoOp) -> None:
        if op.null_branch >= 0 and self.next_byte() == op.null_branch:
            out.put_raw(op.null)
        else:
            self.put_value(out, op)

    def put_value(self, out: Writer, op: ProtoOp) -> None:
        kind = op.kind
        if kind == _INTEGER:
            number = self.number()
            if number != 0 or op.always:
                out.put_raw(op.key)
                put_signed(out, number)
        elif kind == _TEXT:
            size = self.length()
            if size > 0 or op.always:
                out.put_raw(op.key)
                put_size(out, size)
                out.put_range(self.data, self.at, self.at + size)
                self.at += size
        elif kind == _BOOL:
            byte = self.next_byte()
            if byte != 0 or op.always:
                out.put_raw(op.key)
                out.put_byte(1 if byte else 0)
        elif kind == _MESSAGE:
            child = op.child
            child.truncate(0)
            for part in op.parts:
                self.put(child, part)
            put_child(out, op)
        else:
            self.put_other(out, op)

    def put_other(self, out: Writer, op: ProtoOp) -> None:
        """The types that are seldom, or take time in any case."""
        if op.kind == _FIXED:
            raw = self.raw(len(op.zero))
            if op.always or raw != op.zero:
                out.put_raw(op.key)
                out.put_raw(raw)
        elif op.kind in (_REPEATED, _PACKED):
            self.put_items(out, op)
        elif op.kind == _MAP:
            self.put_entries(out, op)
        else:
            out.put_raw(op.key)
            out.put_raw(sized(self.logical(op)))

    def logical(self, op: ProtoOp) -> bytes:
        if op.kind == _DECIMAL:
            return decimal(self.raw(self.length()), op.schema)
        if op.kind == _DATE:
            return date(self.number())
        if op.kind == _TIME:
            return time(self.number())
        return timestamp(self.number())

    def put_items(self, out: Writer, op: ProtoOp) -> None:
        item = op.parts[0]
        child = op.child
        child.truncate(0)
        count = self.number()
        while count > 0:
            for _ in range(count):
                if item.null_branch >= 0 and self.next_byte() == item.null_branch:
                    raise null_item(op.name)
                self.put_value(child if op.kind == _PACKED else out, item)
            count = self.number()
        if count < 0:
            raise self.broken()  # a block with its size in bytes, which `write_value` never writes
        if child.size() > 0:
            put_child(out, op)

    def put_entries(self, out: Writer, op: ProtoOp) -> None:
        key, item = op.parts
        count = self.number()
        while count > 0:
            for _ in range(count):
                op.child.truncate(0)
                self.put(op.child, key)
                self.put(op.child, item)
                put_child(out, op)
            count = self.number()
        if count < 0:
            raise self.broken()


def put_child(out: Writer, op: ProtoOp) -> None:
    """The field's tag, and what its child holds with its size."""
    out.put_raw(op.key)
    put_size(out, op.child.size())
    out.put_raw(op.child.take())


def put_size(out: Writer, size: int) -> None:
    while size > 127:
        out.put_byte((size & 127) | 128)
        size >>= 7
    out.put_byte(size)


def put_signed(out: Writer, value: int) -> None:
    """A number of 64 bits; a negative one takes ten bytes."""
    if cython.compiled:
        put_unsigned(out, value)
    else:
        put_size(out, value & 0xFFFFFFFFFFFFFFFF)
