# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Reads one value's Avro bytes, for printers that make another format of them.

Source: Avro specification, "Binary Encoding".
"""

from __future__ import annotations

import cython

from cdc.core.errors import ConvertError


class AvroReader:
    """A place within the Avro bytes of one value. Each read checks that the bytes are there; it raises ConvertError."""

    def __init__(self) -> None:
        self.data = b""
        self.at = 0
        self.end = 0

    def begin(self, avro: bytes) -> None:
        """Read *avro* from its first byte on."""
        self.data = avro
        self.at = 0
        self.end = len(avro)

    def next_byte(self) -> int:
        if self.at >= self.end:
            raise self.broken()
        found = self.data[self.at]
        self.at += 1
        return found

    def number(self) -> int:
        """Avro int and long."""
        data = self.data
        bits = 0
        shift = 0
        at = self.at
        while at < self.end and shift < 70:
            byte = data[at]
            at += 1
            if cython.compiled:
                bits |= low_bits(byte) << shift
            else:
                bits |= (byte & 127) << shift
            if byte < 128:
                self.at = at
                if cython.compiled:
                    return unzigzag(bits)
                return (bits >> 1) ^ -(bits & 1)
            shift += 7
        raise self.broken()

    def length(self) -> int:
        """A length, which the bytes that are left can hold."""
        size = self.number()
        if size < 0 or size > self.end - self.at:
            raise self.broken()
        return size

    def raw(self, size: int) -> bytes:
        if size > self.end - self.at:
            raise self.broken()
        found = self.data[self.at:self.at + size]
        self.at += size
        return found

    def broken(self) -> ConvertError:
        return ConvertError("The Avro bytes of a row do not fit its schema.", stage="convert", offset=self.at,
                            size_bytes=self.end, hint="This is a bug of cdc: please report it.")
