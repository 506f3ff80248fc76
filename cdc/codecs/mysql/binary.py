# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Reads column bytes of MySQL's and MariaDB's row events, to Connect values and to Avro bytes, in C where it is faster.

Here are bytes, texts, bits, labels and geometries; `binary_numbers.py` and `binary_times.py` have the others.

The bytes of strings and blobs come without the length before them. Layouts: MySQL Source Code Documentation,
"Table_map_event: column types". `value` and `encode` give the same content. Bytes that are not a value of the type
raise DecodeError.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import cython

from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError
from cdc.core.schema import Schema

from .binary_numbers import bad_bytes

if not cython.compiled:  # when compiled, the .pxd imports this as C
    from .binary_numbers import little_endian


class BytesCodec(Codec):
    """VARBINARY and BLOBs as BYTES, unchanged."""

    def value(self, data: bytes, start: int, end: int) -> bytes:
        return data[start:end]

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        out.put_slice(data, start, end)


class PaddedBytesCodec(Codec):
    """BINARY(*length*) as BYTES. The log leaves out trailing zero bytes; we add them."""

    def __init__(self, schema: Schema, length: int) -> None:
        Codec.__init__(self, schema)
        self.length = length

    def value(self, data: bytes, start: int, end: int) -> bytes:
        return data[start:end].ljust(self.length, b"\0")

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        missing = self.length - (end - start)
        if missing <= 0:
            out.put_slice(data, start, end)
        else:
            out.put_long(self.length)
            out.put_range(data, start, end)
            while missing > 0:
                out.put_byte(0)
                missing -= 1


class BitFlagCodec(Codec):
    """BIT(1) as BOOLEAN."""

    def truth(self, data: bytes, start: int, end: int) -> bool:
        if end - start != 1:
            raise bad_bytes("bit", end - start)
        p = data
        return p[start] != 0

    def value(self, data: bytes, start: int, end: int) -> bool:
        return bool(self.truth(data, start, end))

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        out.put_byte(1 if self.truth(data, start, end) else 0)


class BitsCodec(Codec):
    """BIT(n): `io.debezium.data.Bits`, all its BYTES, the last bits first."""

    def value(self, data: bytes, start: int, end: int) -> bytes:
        return data[start:end][::-1]


class LabelCodec(Codec):
    """ENUM: STRING, the label of an index of 1 or 2 bytes, little-endian. Index 0 is the empty text."""

    def __init__(self, schema: Schema, labels: tuple[str, ...]) -> None:
        Codec.__init__(self, schema)
        self.labels = ("", *labels)
        self.texts = [label.encode() for label in self.labels]

    def index(self, data: bytes, start: int, end: int) -> int:
        if end - start != 1 and end - start != 2:
            raise bad_bytes("enum", end - start)
        p = data
        index = little_endian(p, start, end)
        if index >= len(self.texts):
            raise DecodeError("the ENUM has no label for this index", labels=len(self.texts) - 1)
        return index

    def value(self, data: bytes, start: int, end: int) -> str:
        return self.labels[self.index(data, start, end)]

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        out.put_bytes(self.texts[self.index(data, start, end)])


class LabelSetCodec(Codec):
    """SET: STRING, the labels of all bits that are set in 1 to 8 bytes, little-endian, joined by commas."""

    def __init__(self, schema: Schema, labels: tuple[str, ...]) -> None:
        Codec.__init__(self, schema)
        self.labels = labels
        self.known: dict[int, str] = {}

    def value(self, data: bytes, start: int, end: int) -> str:
        if not 1 <= end - start <= 8:
            raise bad_bytes("set", end - start)
        return self.of(int.from_bytes(data[start:end], "little"))

    def of(self, bits: int) -> str:
        found = self.known.get(bits)
        if found is None:
            if bits >> len(self.labels):
                raise DecodeError("the SET has no label for this bit", labels=len(self.labels))
            found = ",".join(label for place, label in enumerate(self.labels) if bits >> place & 1)
            if len(self.known) < 1000:
                self.known[bits] = found
        return found


class CharsetCodec(Codec):
    """STRING from a character set other than UTF-8. *decode* gives the text.

    *ascii*: bytes below 128 are ASCII characters, if there are no others.
    """

    def __init__(self, schema: Schema, decode: Callable[[bytes], str], ascii: bool) -> None:
        Codec.__init__(self, schema)
        self.decode = decode
        self.ascii = ascii

    def value(self, data: bytes, start: int, end: int) -> str:
        return self.decode(data[start:end])

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if cython.compiled and self.ascii:
            p = data
            if ascii_only(p, start, end):  # noqa: F821
                out.put_slice(data, start, end)
            else:
                out.put_text(self.decode(data[start:end]))
        else:
            out.put_text(self.decode(data[start:end]))


class GeometryCodec(Codec):
    """Geometries: `io.debezium.data.geometry.Geometry`: WKB, and the SRID from the 4 bytes before it; 0 means none."""

    def value(self, data: bytes, start: int, end: int) -> Any:
        if end - start < 9:
            raise bad_bytes("geometry", end - start)
        return data[start + 4:end], int.from_bytes(data[start:start + 4], "little", signed=True) or None


class PointCodec(Codec):
    """POINT: `io.debezium.data.geometry.Point`: x, y, WKB, SRID."""

    def value(self, data: bytes, start: int, end: int) -> Any:
        if end - start != 25 or data[start + 4] > 1:
            raise bad_bytes("point", end - start)
        order = "<" if data[start + 4] else ">"
        kind, x, y = struct.unpack_from(order + "Idd", data, start + 5)
        if kind != 1:
            raise bad_bytes("point", end - start)
        return x, y, data[start + 4:end], int.from_bytes(data[start:start + 4], "little", signed=True) or None


class FloatVectorCodec(Codec):
    """VECTOR: `io.debezium.data.FloatVector`, from numbers of four bytes, little-endian."""

    def value(self, data: bytes, start: int, end: int) -> list[float]:
        if (end - start) % 4:
            raise bad_bytes("vector", end - start)
        return list(struct.unpack(f"<{(end - start) // 4}f", data[start:end]))

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if (end - start) % 4:
            raise bad_bytes("vector", end - start)
        if end > start:
            out.put_long((end - start) // 4)
            out.put_range(data, start, end)
        out.put_byte(0)


class ReadAsCodec(Codec):
    """The result of *read*; for rare types and modes."""

    def __init__(self, schema: Schema, read: Callable[[bytes], Any]) -> None:
        Codec.__init__(self, schema)
        self.read = read

    def value(self, data: bytes, start: int, end: int) -> Any:
        return self.read(data[start:end])


class ShownCodec(Codec):
    """The value that *codec* reads, converted by *show* to another schema."""

    def __init__(self, schema: Schema, codec: Codec, show: Callable[[Any], Any]) -> None:
        Codec.__init__(self, schema)
        self.codec = codec
        self.show = show

    def value(self, data: bytes, start: int, end: int) -> Any:
        return self.show(self.codec.value(data, start, end))
