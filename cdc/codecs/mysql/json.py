"""Makes text from MySQL's binary JSON, the form of row events.

Layout: MySQL server, sql-common/json_binary.h (file comment). A document is a type byte and a value. Objects and arrays
begin with their element count and size; then come entries that point to keys and values, counted from the position of
the element count. Small ones have these numbers in 2 bytes, large ones in 4. Decimals, dates and times are "custom
data" with a MySQL type.

In a document that a server wrote, the keys and values of a container do not overlap, so together they are not larger
than the container. Bytes that claim otherwise are a DecodeError: the text's size is bounded by the document's.

There are two forms of text. `COMPACT` is Debezium's for streamed rows: no spaces, and numbers without an exponent.
`SERVER` is the server's own, which a snapshot reads (sql-common/json_dom.cc, `wrapper_to_string`).
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Final

from cdc.core.codec import Codec
from cdc.core.errors import DecodeError, NoValue
from cdc.core.late_regex import late_regex
from cdc.core.named_tuple import NamedTuple
from cdc.core.schema import BYTES, Schema

from .binary_numbers import BinDecimalCodec, decimal_text

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


_UPPER: Final = late_regex(r"\\\\|\\u([0-9a-f]{4})")


def _quoted_upper(text: str) -> str:
    """*text* in JSON's quotes; the digits of escaped control characters are upper case."""
    quoted = encode_basestring(text)
    if "\\u" not in quoted:
        return quoted
    return _UPPER.sub(lambda found: found[0] if found[1] is None else f"\\u{found[1].upper()}", quoted)


def plain_double(number: float) -> str:
    """The double as Java prints it. If that has an exponent (from 10**7 on, or below 10**-3), all digits of the binary
    number instead."""
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return repr(number)
    return format(Decimal(number), "f")


def server_double(number: float) -> str:
    """The double as the server prints it in a document: strings/dtoa.cc, `my_gcvt`, with `.0` if it has no fraction."""
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
    """JSON of row events as `io.debezium.data.Json`.

    Empty bytes count as no value: rows that existed before an ALTER added the JSON column have them.
    """

    def __init__(self, schema: Schema, form: Form) -> None:
        Codec.__init__(self, schema)
        self.form = form

    def value(self, data: bytes, start: int, end: int) -> str:
        if start == end:
            raise NoValue("an empty JSON document")
        return json_text(data[start:end], self.form)


def json_text(data: bytes, form: Form) -> str:
    """The document in *data* as text. Raises DecodeError."""
    out: list[str] = []
    try:
        _Printer(form, out).value(data, data[0], 1, 0)
    except (struct.error, IndexError):
        raise _bad(len(data)) from None
    return "".join(out)


def _bad(length: int) -> DecodeError:
    return DecodeError("invalid binary JSON", length=length)


class _Printer:
    """Appends the text of a document to *out*, value by value."""

    def __init__(self, form: Form, out: list[str]) -> None:
        self.form = form
        self.put = out.append

    def value(self, data: bytes, type: int, at: int, depth: int) -> int:
        """A value of *type* whose bytes begin at *at*. Returns how many bytes it has."""
        if type <= _LARGE_ARRAY:
            return self.container(data, type, at, depth + 1)
        if type == _STRING:
            start, end = _sized(data, at)
            self.text(data[start:end].decode("utf-8", "replace"))
            return end - at
        if type in _INTEGERS:
            layout = _INTEGERS[type]
            self.put(str(struct.unpack_from(layout, data, at)[0]))
            return struct.calcsize(layout)
        if type == _DOUBLE:
            number = struct.unpack_from("<d", data, at)[0]
            if not math.isfinite(number):
                raise DecodeError("a number in binary JSON that JSON does not have", length=len(data))
            self.put(self.form.double(number))
            return 8
        if type == _LITERAL:
            self.put(_LITERALS[data[at]])
            return 1
        if type == _OPAQUE:
            start, end = _sized(data, at + 1)
            self.custom(data[at], data[start:end])
            return end - at
        raise _bad(len(data))

    def container(self, data: bytes, type: int, at: int, depth: int) -> int:
        """An object or array whose element count is at *at*. Returns its size."""
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
        room = size - entries - count * (1 + width)
        self.put("{" if keys else "[")
        for index in range(count):
            if index:
                self.put(self.form.comma)
            if keys:
                room -= self.key(inner, "<IH" if large else "<HH", 2 * width + index * (width + 2))
            room -= self.entry(inner, entries + index * (1 + width), large, depth)
            if room < 0:
                raise DecodeError("values of a binary JSON container overlap", length=len(data))
        self.put("}" if keys else "]")
        return int(size)

    def key(self, inner: bytes, layout: str, at: int) -> int:
        offset, length = struct.unpack_from(layout, inner, at)
        name = inner[offset:offset + length]
        if len(name) != length:
            raise _bad(len(inner))
        self.text(name.decode("utf-8", "replace"))
        self.put(self.form.colon)
        return int(length)

    def entry(self, inner: bytes, at: int, large: int, depth: int) -> int:
        """A value entry: a short value itself, or the place of a longer one. Returns the bytes outside of the entry."""
        type = inner[at]
        if type in (_LITERAL, 0x05, 0x06) or (large and type in (0x07, 0x08)):
            self.value(inner, type, at + 1, depth)
            return 0
        return self.value(inner, type, struct.unpack_from("<I" if large else "<H", inner, at + 1)[0], depth)

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
        """The text of a date, time or datetime, packed as by sql-common/my_time.cc, `TIME_to_longlong_packed`."""
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
    """Start and end of data after its length, which has 7 bits in each byte, the low ones first."""
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
