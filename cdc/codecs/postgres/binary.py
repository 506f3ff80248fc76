# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""PostgreSQL's binary format: column bytes to the same Connect values and Avro bytes as the codecs of `text.py` give.

Frequent types have their own codecs, which are C on the bytes when compiled. For all others `render.py` makes the text
that the server would print, and the column's text codec reads it. `binary_codec` chooses by the text codec, so that a
new representation of a type is written only once. `render.py` describes the formats. Bytes that are not a value of the
type are a DecodeError.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import cython

from cdc.codecs.numbers import LongCodec, RealCodec
from cdc.codecs.text import DecimalCodec, TextCodec
from cdc.codecs.time import DAY_US, MILLIS, instant_text
from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError
from cdc.core.schema import Schema

from . import render as pgrender
from . import text as pgtext

if not cython.compiled:  # when compiled, the .pxd imports this as C
    from cdc.codecs.numbers import in_unit

_EPOCH_DAYS = pgrender.EPOCH_DAYS
_DAY_US = DAY_US
_MILLIS = MILLIS
_MAX_DAYS = 2147483647
_MAX_MICROS = 9223372036854775807
_EPOCH_US = 946684800000000
_EPOCH_MS = 946684800000
_MAX_LONG = 9223372036854775807
_MAX_BEFORE_GROUP = (_MAX_LONG - 9999) // 10000
_MAX_BEFORE_DIGIT = _MAX_LONG // 10
_NAN = float("nan")
_FIRST_DAY = -719162
_LAST_DAY = 2932896
"""0001-01-01 and 9999-12-31: ISO 8601 writes the years between them without a sign."""


def big_endian(p: bytes, at: int, size: int) -> int:
    """The signed integer of *size* bytes at *at*; the caller has checked that they are there."""
    number = p[at]
    if number > 127:
        number -= 256
    end = at + size
    at += 1
    while at < end:
        number = number * 256 + p[at]
        at += 1
    return number


class BinaryIntCodec(LongCodec):
    """int2, int4, int8 by *size*, and oid, which is *unsigned*."""

    def __init__(self, schema: Schema, size: int, unsigned: bool = False) -> None:
        Codec.__init__(self, schema)
        self.size = size
        self.unsigned = unsigned

    def number(self, data: bytes, start: int, end: int) -> int:
        if end - start != self.size:
            raise pgrender.bad_binary("integer", end - start)
        p = data
        number = big_endian(p, start, self.size)
        if self.unsigned and number < 0:
            number += 4294967296
        return number


class BinaryBoolCodec(Codec):
    """bool: one byte, 1 or 0."""

    def truth(self, data: bytes, start: int, end: int) -> bool:
        p = data
        if end - start != 1 or p[start] > 1:
            raise pgrender.bad_binary("boolean", end - start)
        return p[start] == 1

    def value(self, data: bytes, start: int, end: int) -> bool:
        return bool(self.truth(data, start, end))

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        out.put_byte(1 if self.truth(data, start, end) else 0)


class BinaryFloatCodec(RealCodec):
    """float4 (*single*) and float8. All NaNs give the same NaN, as their text does.

    The value of a float4 is the number in its shortest text, not the binary number widened to 64 bits.
    """

    def number(self, data: bytes, start: int, end: int) -> float:
        if end - start != (4 if self.single else 8):
            raise pgrender.bad_binary("float", end - start)
        number: float
        if cython.compiled:
            p = data
            if self.single:  # noqa: SIM108
                number = float_of(big_endian(p, start, 4))  # noqa: F821
            else:
                number = double_of(big_endian(p, start, 8))  # noqa: F821
        else:
            number = struct.unpack_from(">f" if self.single else ">d", data, start)[0]
        return _NAN if number != number else number

    def value(self, data: bytes, start: int, end: int) -> float:
        number = self.number(data, start, end)
        return float(pgrender.float4_text(number)) if self.single else number


class BinaryDecimalCodec(Codec):
    """numeric(p, s) as a Decimal: up to 18 digits in C, longer numbers through their text."""

    def __init__(self, codec: DecimalCodec) -> None:
        Codec.__init__(self, codec.schema)
        self.codec = codec
        self.scale = codec.scale

    def value(self, data: bytes, start: int, end: int) -> bytes:
        text = pgrender.numeric(data[start:end])
        return self.codec.value(text, 0, len(text))

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if not cython.compiled or not self.encode_short(out, data, start, end):
            out.put_bytes(self.value(data, start, end))

    def encode_short(self, out: Writer, data: bytes, start: int, end: int) -> bool:
        """Write a number that fits 64 bits at the column's scale, and shows as many decimals. For others write nothing
        and return False."""
        p = data
        if end - start < 8 or end - start > 18:
            return False
        if big_endian(p, start + 6, 2) != (self.scale if self.scale > 0 else 0):
            return False
        groups = big_endian(p, start, 2)
        sign = big_endian(p, start + 4, 2)
        if end - start != 8 + 2 * groups or (sign != 0 and sign != 16384):
            return False
        power = (big_endian(p, start + 2, 2) - groups + 1) * 4 + self.scale
        number = 0
        at = start + 8
        while at < end:
            group = big_endian(p, at, 2)
            if group < 0 or group > 9999 or number > _MAX_BEFORE_GROUP:
                return False
            number = number * 10000 + group
            at += 2
        if power > 18 or power < -18:
            return False
        while power > 0:
            if number > _MAX_BEFORE_DIGIT:
                return False
            number *= 10
            power -= 1
        while power < 0:
            if number % 10 != 0:
                return False
            number //= 10
            power += 1
        if sign != 0:
            number = 0 - number
        out.put_integer(number)
        return True


class BinaryByteaCodec(Codec):
    """bytea as BYTES, unchanged."""

    def value(self, data: bytes, start: int, end: int) -> bytes:
        return data[start:end]

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        out.put_slice(data, start, end)


class BinaryUuidCodec(Codec):
    """uuid: 16 bytes to 36 characters."""

    def value(self, data: bytes, start: int, end: int) -> str:
        return pgrender.uuid(data[start:end]).decode()

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if not cython.compiled or end - start != 16:
            out.put_bytes(pgrender.uuid(data[start:end]))
        else:
            self.encode_sixteen(out, data, start)

    def encode_sixteen(self, out: Writer, data: bytes, start: int) -> None:
        """Write into the writer's buffer; in C only."""
        p = data
        out.need(37)
        q = out.buf
        to = out.used
        q[to] = 72
        at = 0
        while at < 16:
            if at == 4 or at == 6 or at == 8 or at == 10:
                to += 1
                q[to] = 45
            byte = p[start + at]
            digit = byte >> 4
            q[to + 1] = digit + 48 if digit < 10 else digit + 87
            digit = byte & 15
            q[to + 2] = digit + 48 if digit < 10 else digit + 87
            to += 2
            at += 1
        out.used = to + 1


class PrefixedCodec(Codec):
    """jsonb and ltree: a version byte, 1, then the text, which *codec* reads."""

    def __init__(self, codec: Codec) -> None:
        Codec.__init__(self, codec.schema)
        self.codec = codec

    def check(self, data: bytes, start: int, end: int) -> int:
        p = data
        if end <= start or p[start] != 1:
            raise pgrender.bad_binary("text of version 1", end - start)
        return 0

    def value(self, data: bytes, start: int, end: int) -> object:
        self.check(data, start, end)
        return self.codec.value(data, start + 1, end)

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        self.check(data, start, end)
        self.codec.encode(out, data, start + 1, end)


class BinaryDateCodec(LongCodec):
    """date: days since 2000-01-01 to INT32 days since 1970-01-01."""

    def number(self, data: bytes, start: int, end: int) -> int:
        if end - start != 4:
            raise pgrender.bad_binary("date", end - start)
        p = data
        days = big_endian(p, start, 4)
        if days == _MAX_DAYS:
            return pgtext.DATE_INFINITY
        if days == -_MAX_DAYS - 1:
            return pgtext.DATE_MINUS_INFINITY
        return days + _EPOCH_DAYS


class BinaryTimeCodec(LongCodec):
    """time: µs since midnight, cut to *unit*."""

    def __init__(self, schema: Schema, unit: int) -> None:
        Codec.__init__(self, schema)
        self.unit = unit

    def number(self, data: bytes, start: int, end: int) -> int:
        if end - start != 8:
            raise pgrender.bad_binary("time", end - start)
        p = data
        micros = big_endian(p, start, 8)
        if micros < 0 or micros > _DAY_US:
            raise pgrender.bad_binary("time", end - start)
        return in_unit(micros, self.unit)


class BinaryTimestampCodec(LongCodec):
    """timestamp: µs since 2000-01-01 to INT64 since 1970-01-01 in *unit*, rounded down to it.

    The server's years go on to 294276. A time that does not fit 64 bits as µs, or in ns if that is *unit*, is a
    DecodeError.
    """

    def __init__(self, schema: Schema, unit: int) -> None:
        Codec.__init__(self, schema)
        self.unit = unit

    def number(self, data: bytes, start: int, end: int) -> int:
        if end - start != 8:
            raise pgrender.bad_binary("timestamp", end - start)
        p = data
        micros = big_endian(p, start, 8)
        if micros == _MAX_MICROS:
            return pgtext.TIMESTAMP_INFINITY[self.unit]
        if micros == -_MAX_MICROS - 1:
            return pgtext.TIMESTAMP_MINUS_INFINITY[self.unit]
        if self.unit == _MILLIS:
            return micros // 1000 + _EPOCH_MS
        if micros > _MAX_MICROS - _EPOCH_US:
            raise DecodeError("the time does not fit 64 bits in its unit")
        return in_unit(micros + _EPOCH_US, self.unit)


class BinaryZonedTimestampCodec(Codec):
    """timestamptz: µs since 2000-01-01 UTC to `YYYY-MM-DDTHH:MM:SS[.f]Z` with at least *digits* fraction digits."""

    def __init__(self, schema: Schema, digits: int) -> None:
        Codec.__init__(self, schema)
        self.digits = digits

    def value(self, data: bytes, start: int, end: int) -> str:
        (micros,) = pgrender.unpack(">q", data[start:end], "timestamp")
        if micros == 9223372036854775807:
            return "infinity"
        if micros == -9223372036854775808:
            return "-infinity"
        return instant_text(micros + 946684800000000, self.digits)

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if not cython.compiled or not self.encode_plain(out, data, start, end):
            out.put_text(self.value(data, start, end))

    def encode_plain(self, out: Writer, data: bytes, start: int, end: int) -> bool:
        """Write a time of the years 1 to 9999, in C only. For others write nothing and return False."""
        if end - start != 8:
            return False
        p = data
        micros = big_endian(p, start, 8)
        days = micros // _DAY_US + _EPOCH_DAYS
        if days < _FIRST_DAY or days > _LAST_DAY:
            return False
        micros += _EPOCH_US
        put_instant(out, micros, fraction_digits(micros, self.digits))
        return True


class BinaryAsText(Codec):
    """Any other type: *render* makes the server's text, and *codec* reads it."""

    def __init__(self, codec: Codec, render: pgrender.Render) -> None:
        Codec.__init__(self, codec.schema)
        self.codec = codec
        self.render = render

    def value(self, data: bytes, start: int, end: int) -> object:
        text = self.render(data[start:end])
        return self.codec.value(text, 0, len(text))

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        text = self.render(data[start:end])
        self.codec.encode(out, text, 0, len(text))


def binary_codec(
    type_name: str, codec: Codec, *, is_enum: bool = False, is_array: bool = False) -> Codec | None:
    """The codec for the binary format of a column whose text *codec* reads. None: request the column as text.

    *type_name*: the pg_type.typname of the column's type, or of its elements for an array; for a domain that of its
    base type.
    *is_array*, *is_enum*: whether the column is an array, and whether *type_name* is an enum.
    """
    render = pgrender.text if is_enum else pgrender.RENDERS.get(type_name)
    if render is None:
        return None
    if is_array:
        return BinaryAsText(codec, pgrender.array_of(render))
    if render is pgrender.text:
        return codec
    direct = _DIRECT.get((type_name, type(codec)))
    if direct is not None:
        return direct(codec)
    return PrefixedCodec(codec) if render is pgrender.versioned else BinaryAsText(codec, render)


_DIRECT: dict[tuple[str, type[Codec]], Callable[..., Codec]] = {
    ("int2", pgtext.IntCodec): lambda codec: BinaryIntCodec(codec.schema, 2),
    ("int4", pgtext.IntCodec): lambda codec: BinaryIntCodec(codec.schema, 4),
    ("int8", pgtext.IntCodec): lambda codec: BinaryIntCodec(codec.schema, 8),
    ("oid", pgtext.IntCodec): lambda codec: BinaryIntCodec(codec.schema, 4, True),
    ("bool", pgtext.BoolCodec): lambda codec: BinaryBoolCodec(codec.schema),
    ("float4", pgtext.FloatCodec): lambda codec: BinaryFloatCodec(codec.schema, True),
    ("float8", pgtext.FloatCodec): lambda codec: BinaryFloatCodec(codec.schema, False),
    ("numeric", DecimalCodec): lambda codec: BinaryDecimalCodec(codec),
    ("bytea", pgtext.ByteaCodec): lambda codec: BinaryByteaCodec(codec.schema),
    ("uuid", TextCodec): lambda codec: BinaryUuidCodec(codec.schema),
    ("date", pgtext.DateCodec): lambda codec: BinaryDateCodec(codec.schema),
    ("time", pgtext.TimeCodec): lambda codec: BinaryTimeCodec(codec.schema, codec.unit),
    ("timestamp", pgtext.TimestampCodec): lambda codec: BinaryTimestampCodec(codec.schema, codec.unit),
    ("timestamptz", pgtext.ZonedTimestampCodec): lambda codec: BinaryZonedTimestampCodec(codec.schema, codec.digits),
}
"""The codecs of frequent types, by type name and by the exact class of the text codec (not a subclass)."""
