"""MySQL's binary JSON, as row events have it, to text.

Layout: MySQL server, sql-common/json_binary.h (file comment). A document is a type byte and a value; objects and
arrays begin with their element count and size, then entries that point to keys and values, counted from the count
itself; small ones use 2 bytes for each of these numbers, large ones 4. Decimals, dates and times are "custom data"
with a MySQL type.

Text comes in two forms: `COMPACT` is what Debezium writes for streamed rows, without spaces, numbers without
exponent; `SERVER` is what the server prints, so what a snapshot reads (sql-common/json_dom.cc, `wrapper_to_string`).
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Final, NamedTuple

from cdc.core.codec import Codec
from cdc.core.errors import DecodeError, NoValue
from cdc.core.schema import BYTES, Schema

from .mysqlbin import BinDecimalCodec, decimal_text

_SMALL_OBJECT: Final = 0x00
_LARGE_OBJECT: Final = 0x01
_SMALL_ARRAY: Final = 0x02
_LARGE_ARRAY: Final = 0x03
_LITERAL: Final = 0x04
_STRING: Final = 0x0C
_OPAQUE: Final = 0x0F
_DOUBLE: Final = 0x0B
_INTEGERS: Final = {0x05: "<h", 0x06: "<H", 0x07: "<i", 0x08: "<I", 0x09: "<q", 0x0A: "<Q"}
_LITERALS: Final = ("null", "true", "false")

_TIMESTAMP: Final = 7
_DATE: Final = 10
_TIME: Final = 11
_DATETIME: Final = 12
_DECIMAL: Final = 246
_VAR_STRING: Final = 253
"""include/field_types.h, `enum_field_types`."""

MAX_DEPTH: Final = 100
"""sql-common/json_syntax_check.h, JSON_DOCUMENT_MAX_DEPTH."""


class Form(NamedTuple):
    """How a document is written."""

    comma: str
    colon: str
    quote: Callable[[str], str]
    double: Callable[[float], str]
    micros: Callable[[int], str]
    opaque: Callable[[int, bytes], str]


_UPPER: Final = re.compile(r"\\\\|\\u([0-9a-f]{4})")


def _quoted_upper(text: str) -> str:
    """As JSON quotes, the digits of escaped control characters in upper case."""
    quoted = encode_basestring(text)
    if "\\u" not in quoted:
        return quoted
    return _UPPER.sub(lambda found: found[0] if found[1] is None else f"\\u{found[1].upper()}", quoted)


def plain_double(number: float) -> str:
    """As Java prints a double, but where that has an exponent (from 10**7 up, below 10**-3) every digit the binary
    number has."""
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return repr(number)
    return format(Decimal(number), "f")


def server_double(number: float) -> str:
    """As the server prints a double in a document: strings/dtoa.cc, `my_gcvt`, with `.0` where no fraction shows."""
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + exponent if number else 1
    lead = "-" if sign else ""
    if point < -14 or (point > 15 and len(text) <= point):
        return f"{lead}{text[0]}{'.' + text[1:] if len(text) > 1 else ''}e{point - 1}"
    if point <= 0:
        return f"{lead}0.{'0' * -point}{text}"
    return f"{lead}{text[:point].ljust(point, '0')}.{text[point:] or '0'}"


def _server_opaque(type: int, data: bytes) -> str:
    """Base64 in lines of 76 characters."""
    text = base64.b64encode(data).decode()
    lines = "\n".join(text[at:at + 76] for at in range(0, len(text), 76))
    return f"base64:type{type}:{lines}"


COMPACT: Final = Form(
    ",", ":", _quoted_upper, plain_double, lambda micros: f".{micros:06d}".rstrip("0") if micros else "",
    lambda type, data: base64.b64encode(data).decode())
SERVER: Final = Form(", ", ": ", encode_basestring, server_double, lambda micros: f".{micros:06d}", _server_opaque)


class JsonCodec(Codec):
    """JSON of row events as `io.debezium.data.Json`. No bytes at all are no value (a JSON column that an ALTER added
    to existing rows)."""

    def __init__(self, schema: Schema, form: Form) -> None:
        Codec.__init__(self, schema)
        self.form = form

    def value(self, data: bytes, start: int, end: int) -> str:
        if start == end:
            raise NoValue("an empty document")
        return json_text(data[start:end], self.form)


def json_text(data: bytes, form: Form) -> str:
    """The document in *data*. DecodeError."""
    out: list[str] = []
    try:
        _Printer(form, out).value(data, data[0], 1, 0)
    except (struct.error, IndexError):
        raise _bad(len(data)) from None
    return "".join(out)


def _bad(length: int) -> DecodeError:
    return DecodeError("no document in MySQL's binary JSON", length=length)


class _Printer:
    """Appends a document's text to *out*, value by value."""

    def __init__(self, form: Form, out: list[str]) -> None:
        self.form = form
        self.put = out.append

    def value(self, data: bytes, type: int, at: int, depth: int) -> None:
        """A value of *type* whose bytes begin at *at*."""
        if type <= _LARGE_ARRAY:
            self.container(data, type, at, depth + 1)
        elif type == _STRING:
            start, end = _sized(data, at)
            self.text(data[start:end].decode("utf-8", "replace"))
        elif type in _INTEGERS:
            self.put(str(struct.unpack_from(_INTEGERS[type], data, at)[0]))
        elif type == _DOUBLE:
            self.put(self.form.double(struct.unpack_from("<d", data, at)[0]))
        elif type == _LITERAL:
            self.put(_LITERALS[data[at]])
        elif type == _OPAQUE:
            start, end = _sized(data, at + 1)
            self.custom(data[at], data[start:end])
        else:
            raise _bad(len(data))

    def container(self, data: bytes, type: int, at: int, depth: int) -> None:
        """An object or array whose element count is at *at*."""
        if depth > MAX_DEPTH:
            raise _bad(len(data))
        large = type & 1
        count, size = struct.unpack_from("<II" if large else "<HH", data, at)
        width = 4 if large else 2
        inner = data[at:at + size]
        if len(inner) != size or count * (1 + width) > size:
            raise _bad(len(data))
        keys = type <= _LARGE_OBJECT
        entries = 2 * width + (count * (width + 2) if keys else 0)
        self.put("{" if keys else "[")
        for index in range(count):
            if index:
                self.put(self.form.comma)
            if keys:
                self.key(inner, "<IH" if large else "<HH", 2 * width + index * (width + 2))
            self.entry(inner, entries + index * (1 + width), large, depth)
        self.put("}" if keys else "]")

    def key(self, inner: bytes, layout: str, at: int) -> None:
        offset, length = struct.unpack_from(layout, inner, at)
        name = inner[offset:offset + length]
        if len(name) != length:
            raise _bad(len(inner))
        self.text(name.decode("utf-8", "replace"))
        self.put(self.form.colon)

    def entry(self, inner: bytes, at: int, large: int, depth: int) -> None:
        """A value entry: the value itself where it is short, else where it is."""
        type = inner[at]
        if type in (_LITERAL, 0x05, 0x06) or (large and type in (0x07, 0x08)):
            self.value(inner, type, at + 1, depth)
        else:
            self.value(inner, type, struct.unpack_from("<I" if large else "<H", inner, at + 1)[0], depth)

    def text(self, text: str) -> None:
        self.put(self.form.quote(text))

    def custom(self, type: int, data: bytes) -> None:
        if type == _DECIMAL:
            codec = BinDecimalCodec(Schema(BYTES), data[0], data[1])
            self.put(decimal_text(codec.unscaled(data, 2, len(data)), data[1]))
        elif type in (_DATE, _TIME, _DATETIME, _TIMESTAMP):
            self.put(f'"{self.moment(type, struct.unpack("<q", data)[0])}"')
        elif type == _VAR_STRING and self.form is SERVER:
            self.text(data.decode("utf-8", "replace"))
        else:
            self.text(self.form.opaque(type, data))

    def moment(self, type: int, packed: int) -> str:
        """Of a date, time or datetime packed as sql-common/my_time.cc, `TIME_to_longlong_packed` does."""
        sign, packed = ("-", -packed) if packed < 0 else ("", packed)
        parts, micros = packed >> 24, packed & 0xFFFFFF
        minute, second = parts >> 6 & 63, parts & 63
        if type == _TIME:
            return f"{sign}{parts >> 12 & 1023:02d}:{minute:02d}:{second:02d}{self.form.micros(micros)}"
        month = parts >> 22
        date = f"{sign}{month // 13:04d}-{month % 13:02d}-{parts >> 17 & 31:02d}"
        if type == _DATE:
            return date
        return f"{date} {parts >> 12 & 31:02d}:{minute:02d}:{second:02d}{self.form.micros(micros)}"


def _sized(data: bytes, at: int) -> tuple[int, int]:
    """Where data begins and ends that is preceded by its length, 7 bits a byte, the low ones first."""
    length = shift = 0
    while True:
        byte = data[at]
        at += 1
        length |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 28:
            raise _bad(len(data))
    if at + length > len(data):
        raise _bad(len(data))
    return at, at + length
