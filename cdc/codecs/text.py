# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Codecs of texts that PostgreSQL and MySQL print alike: character data and decimals."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Final

import cython

from cdc.codecs.decimals import unscaled, unscaled_bytes
from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.schema import Schema

BINARY_TEXT: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "base64": base64.b64encode, "base64-url-safe": base64.urlsafe_b64encode, "hex": binascii.hexlify,
}
"""The values of `binary.handling.mode` except `bytes`, which makes no text."""


def valid_utf8(text: bytes) -> bytes:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("utf-8", "replace").encode("utf-8")
    return text


class TextCodec(Codec):
    """STRING from UTF-8 text: character types, and every type whose printed text is its value (json, uuid, enums …).

    Valid UTF-8 passes untouched. A PostgreSQL database with the encoding SQL_ASCII may send anything: then each broken
    sequence becomes U+FFFD, as in Debezium.
    """

    def value(self, data: bytes, start: int, end: int) -> str:
        return data[start:end].decode("utf-8", "replace")

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if cython.compiled:
            p = data
            if ascii_only(p, start, end):  # noqa: F821
                out.put_slice(data, start, end)
            else:
                out.put_bytes(valid_utf8(data[start:end]))
        else:
            out.put_bytes(valid_utf8(data[start:end]))


class DecimalCodec(Codec):
    """numeric(p, s) and DECIMAL(p, s): Connect's Decimal, the unscaled number at *scale*.

    The server prints as many fraction digits as the column has. We pad fewer with zeros; more digits are a DecodeError
    unless they are zeros, because nothing may be rounded here. A negative scale (PostgreSQL 15) counts zeros before
    the point. NaN and infinities have no Decimal: DecodeError.
    """

    def __init__(self, schema: Schema, scale: int) -> None:
        Codec.__init__(self, schema)
        self.scale = scale

    def value(self, data: bytes, start: int, end: int) -> bytes:
        return unscaled_bytes(unscaled(data[start:end], self.scale))

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if not cython.compiled or not self.encode_short(out, data, start, end):
            out.put_bytes(unscaled_bytes(unscaled(data[start:end], self.scale)))

    def encode_short(self, out: Writer, data: bytes, start: int, end: int) -> bool:
        """Write a number of up to 18 digits, in C only; return False for other texts."""
        p = data
        at = start
        negative = start < end and p[start] == 45
        if negative:
            at += 1
        number = 0
        digits = 0
        fraction = -1
        while at < end and digits < 18:
            byte = p[at]
            if byte == 46 and fraction < 0 and digits > 0:
                fraction = 0
            elif 48 <= byte <= 57:
                number = number * 10 + (byte - 48)
                digits += 1
                if fraction >= 0:
                    fraction += 1
            else:
                return False
            at += 1
        if fraction < 0:
            fraction = 0
        if at < end or digits == 0 or fraction > self.scale or digits + self.scale - fraction > 18:
            return False
        while fraction < self.scale:
            number *= 10
            fraction += 1
        if negative:
            number = 0 - number
        out.put_integer(number)
        return True
