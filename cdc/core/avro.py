# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Avro bytes out: a growing buffer with Avro's primitives, and any Connect value by its schema (Avro, "Binary
Encoding").

Compiled with avro.pxd, this is C that works on the bytes in place; otherwise it is plain Python.
"""

from __future__ import annotations

import struct
from typing import Any

import cython

from .errors import DecodeError
from .schema import ARRAY, BOOLEAN, BYTES, FLOAT32, FLOAT64, MAP, STRING, STRUCT, Schema


class Writer:
    """Bytes being written. `size` is their number; `truncate` removes a part after a failed column."""

    def __init__(self) -> None:
        if cython.compiled:
            self.cap = 4096
            self.buf = new_buffer(self.cap)
            self.used = 0
        else:
            self.out = bytearray()

    def __dealloc__(self) -> None:
        if cython.compiled:
            free_buffer(self.buf)

    def size(self) -> int:
        if cython.compiled:
            return self.used
        return len(self.out)

    def truncate(self, size: int) -> None:
        """Remove everything after the first *size* bytes."""
        if cython.compiled:
            if 0 <= size < self.used:
                self.used = size
        else:
            del self.out[size:]

    def take(self) -> bytes:
        """Returns what was written, and empties the buffer. A buffer that a huge row made large is released."""
        if cython.compiled:
            taken: bytes = buffer_bytes(self.buf, self.used)
            self.used = 0
            if self.cap > 4194304:
                self.buf = grow_buffer(self.buf, 4096)
                self.cap = 4096
            return taken
        result = bytes(self.out)
        self.out.clear()
        return result

    def put_byte(self, byte: int) -> None:
        if cython.compiled:
            self.need(1)
            self.buf[self.used] = byte
            self.used += 1
        else:
            self.out.append(byte)

    def put_long(self, value: int) -> None:
        """Avro int and long: zig-zag, then little-endian base 128. *value* fits 64 bits, signed."""
        if cython.compiled:
            self.need(10)
            bits = zigzag(value)
            while bits > 127:
                self.buf[self.used] = (bits & 127) | 128
                self.used += 1
                bits >>= 7
            self.buf[self.used] = bits
            self.used += 1
        else:
            if not -9223372036854775808 <= value <= 9223372036854775807:
                raise OverflowError("value does not fit 64 bits")
            bits = (value << 1) ^ (value >> 63)
            out = self.out
            while bits > 127:
                out.append((bits & 127) | 128)
                bits >>= 7
            out.append(bits)

    def put_integer(self, value: int) -> None:
        """Avro bytes: the shortest big-endian two's complement of *value*, as java.math.BigInteger.toByteArray. *value*
        fits 64 bits, signed."""
        if cython.compiled:
            size = 1
            while size < 8 and (value >> (8 * size - 1)) != 0 and (value >> (8 * size - 1)) != -1:
                size += 1
            self.need(9)
            self.buf[self.used] = 2 * size
            self.used += 1
            while size > 0:
                size -= 1
                self.buf[self.used] = (value >> (8 * size)) & 255
                self.used += 1
        else:
            size = (value if value >= 0 else ~value).bit_length() // 8 + 1
            if size > 8:
                raise OverflowError("value does not fit 64 bits")
            self.put_bytes(value.to_bytes(size, "big", signed=True))

    def put_float(self, value: float) -> None:
        """4 bytes, little-endian IEEE 754. A value outside a float's range becomes an infinity, as in Java's cast."""
        if cython.compiled:
            self.need(4)
            put_float32(self.buf + self.used, value)
            self.used += 4
        else:
            try:
                self.out += struct.pack("<f", value)
            except OverflowError:
                self.out += struct.pack("<f", float("inf") if value > 0 else float("-inf"))

    def put_double(self, value: float) -> None:
        """8 bytes, little-endian IEEE 754."""
        if cython.compiled:
            self.need(8)
            put_float64(self.buf + self.used, value)
            self.used += 8
        else:
            self.out += struct.pack("<d", value)

    def put_raw(self, data: bytes) -> None:
        """*data* unchanged."""
        if cython.compiled:
            self.put_range(data, 0, len(data))
        else:
            self.out += data

    def put_range(self, data: bytes, start: int, end: int) -> None:
        """data[start:end] unchanged; the caller has checked the range."""
        if cython.compiled:
            self.need(end - start)
            copy_range(self.buf + self.used, data, start, end)
            self.used += end - start
        else:
            self.out += data[start:end]

    def put_bytes(self, data: bytes) -> None:
        """Avro bytes and string: length, then *data*."""
        self.put_long(len(data))
        self.put_raw(data)

    def put_slice(self, data: bytes, start: int, end: int) -> None:
        """Avro bytes and string: length, then data[start:end]; the caller has checked the range."""
        self.put_long(end - start)
        self.put_range(data, start, end)

    def put_text(self, text: str) -> None:
        self.put_bytes(text.encode("utf-8"))

    def need(self, count: int) -> None:
        if cython.compiled and self.used + count > self.cap:
            self.buf = grow_buffer(self.buf, (self.used + count) * 2)  # may raise, and then nothing has changed
            self.cap = (self.used + count) * 2


def write_value(out: Writer, schema: Schema, value: Any) -> None:
    """Append a non-null Connect value as Avro, by the schema's type. The caller writes the union branch."""
    kind = schema.type
    if kind == STRING:
        out.put_text(value)
    elif kind == BYTES:
        out.put_bytes(value)
    elif kind == BOOLEAN:
        out.put_byte(1 if value else 0)
    elif kind == FLOAT64:
        out.put_double(value)
    elif kind == FLOAT32:
        out.put_float(value)
    elif kind == STRUCT:
        for field, item in zip(schema.fields, value, strict=True):
            write_field(out, field.schema, item)
    elif kind == ARRAY:
        if value:
            items: Any = schema.items
            out.put_long(len(value))
            for item in value:
                write_field(out, items, item)
        out.put_byte(0)
    elif kind == MAP:
        if value:
            keys: Any = schema.keys
            values: Any = schema.items
            out.put_long(len(value))
            for key, item in value.items():
                write_field(out, keys, key)
                write_field(out, values, item)
        out.put_byte(0)
    else:
        out.put_long(value)


def write_field(out: Writer, schema: Schema, value: Any, null_is_default: bool = True) -> None:
    """Append a Connect value, which may be null, with the union branch that its schema demands.

    An optional schema is the union null-first, or value-first when it has a default (a struct's union stays
    null-first: AvroData.fromConnectSchema); a null then becomes the default unless *null_is_default* is off
    (AvroConverter's `ignore.default.for.nullables`).
    """
    if value is None and schema.default is not None and (null_is_default or not schema.optional):
        value = schema.default
    if schema.optional:
        has_default = schema.default is not None and schema.type != STRUCT
        null = value is None
        out.put_byte(2 if has_default == null else 0)
        if not null:
            write_value(out, schema, value)
    elif value is None:
        raise DecodeError("null in a required field", field_type=schema.name or schema.type)
    else:
        write_value(out, schema, value)
