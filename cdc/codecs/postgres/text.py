# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Reads PostgreSQL's text format of the most common types: column bytes to Connect values and to Avro bytes.

The types' output functions print the texts (PostgreSQL docs, "Data Types"), with the settings of all our sessions:
DateStyle ISO, IntervalStyle postgres, TimeZone UTC, extra_float_digits 3, bytea_output hex, client_encoding UTF8
(SQL_ASCII for a database of that encoding).
`value` and `encode` give the same content; `encode` is C on the bytes when compiled, and plain Python otherwise. The
other types are in `values.py` and `array.py`.
"""

from __future__ import annotations

import binascii
import re
from functools import lru_cache

import cython

from cdc.codecs.numbers import LongCodec, RealCodec
from cdc.codecs.time import DAY_US, instant_text
from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError
from cdc.core.late_regex import late_regex
from cdc.core.schema import Schema

from .time import bad_text, parse_clock, parse_days, parse_micros

if not cython.compiled:  # when compiled, the .pxd imports this as C
    from cdc.codecs.numbers import in_unit

# When compiled these are C integers, because every value is compared with them.
NOT_PLAIN = -1 << 62
"""Returned instead of days or µs: the text is not in the common form (years 0001 to 9999) and needs another parser."""
_DAY_US = DAY_US

DATE_INFINITY = -2147472692
DATE_MINUS_INFINITY = -2147472691
"""Infinite dates in days: the results of Debezium's arithmetic, by which consumers recognise them."""

TIMESTAMP_INFINITY = (9223372036825200, 9223372036825200000, 9223372036854775807)
TIMESTAMP_MINUS_INFINITY = (-9223372036832400, -9223372036832400000, -9223372036854775808)
"""Infinite timestamps by unit (MILLIS, MICROS, NANOS), as above."""

_FLOAT_NAMES = {b"NaN": float("nan"), b"Infinity": float("inf"), b"-Infinity": float("-inf")}


def c_days(p: bytes, at: int) -> int:
    """Days since 1970 of the ten bytes `YYYY-MM-DD`, or NOT_PLAIN. As `cdc.codecs.time.days_of`."""
    century, year = two_digits(p, at), two_digits(p, at + 2)
    month, day = two_digits(p, at + 5), two_digits(p, at + 8)
    if century < 0 or year < 0 or month < 1 or month > 12 or day < 1 or p[at + 4] != 45 or p[at + 7] != 45:
        return NOT_PLAIN
    year += century * 100
    if year == 0 or (day > 28 and day > month_days(year, month)):
        return NOT_PLAIN
    return day_number(year, month, day)


def c_clock(p: bytes, start: int, end: int) -> int:
    """µs since midnight of `HH:MM:SS[.ffffff]`, or NOT_PLAIN. The time must fill the whole range."""
    if end - start < 8 or end - start > 15 or end - start == 9 or p[start + 2] != 58 or p[start + 5] != 58:
        return NOT_PLAIN
    hour, minute, second = two_digits(p, start), two_digits(p, start + 3), two_digits(p, start + 6)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return NOT_PLAIN
    fraction = 0
    if end - start > 8:
        if p[start + 8] != 46:
            return NOT_PLAIN
        at = start + 9
        width = 0
        while width < 6:
            digit = 0
            if at < end:
                digit = p[at] - 48
                if digit < 0 or digit > 9:
                    return NOT_PLAIN
            fraction = fraction * 10 + digit
            at += 1
            width += 1
    return (hour * 3600 + minute * 60 + second) * 1000000 + fraction


@lru_cache(maxsize=8192)
def _cached_days(text: bytes) -> int:
    try:
        return parse_days(text)
    except DecodeError:
        return NOT_PLAIN


_HOURS = {b"%02d" % hour: hour * 3_600_000_000 for hour in range(24)}
_MINUTES = {b"%02d" % minute: minute * 60_000_000 for minute in range(60)}
_SECONDS = {b"%02d" % second: second * 1_000_000 for second in range(60)}


def plain_days(data: bytes, start: int) -> int:
    """As c_days, in both cores. The caller has checked that there are ten bytes."""
    if cython.compiled:
        p = data
        return c_days(p, start)
    return _cached_days(data[start:start + 10])


def plain_clock(data: bytes, start: int, end: int) -> int:
    """As c_clock, in both cores."""
    if cython.compiled:
        p = data
        return c_clock(p, start, end)
    text = data[start:end]
    fraction = text[9:].ljust(6, b"0")
    try:
        micros = _HOURS[text[:2]] + _MINUTES[text[3:5]] + _SECONDS[text[6:8]] + int(fraction)
    except (KeyError, ValueError):
        return NOT_PLAIN
    marks = text[2:3] + text[5:6] + text[8:9]
    plain = marks == b"::" or (marks == b"::." and len(text) > 9)
    return micros if plain and fraction.isdigit() and len(fraction) == 6 else NOT_PLAIN


def plain_micros(data: bytes, start: int, end: int) -> int:
    """µs since 1970 of `YYYY-MM-DD HH:MM:SS[.ffffff]`, or NOT_PLAIN."""
    p = data
    if end - start < 19 or p[start + 10] != 32:
        return NOT_PLAIN
    days = plain_days(data, start)
    clock = plain_clock(data, start + 11, end)
    if days == NOT_PLAIN or clock == NOT_PLAIN:
        return NOT_PLAIN
    return days * _DAY_US + clock


def parse_long(data: bytes, start: int, end: int, low: int, high: int) -> int:
    """The decimal integer, from *low* to *high*. Raises DecodeError for anything else."""
    if cython.compiled:
        p = data
        at = start
        negative = start < end and p[start] == 45
        if negative:
            at += 1
        number = 0
        if at == end or end - at > 19:
            raise bad_text("integer", end - start)
        while at < end:
            digit = p[at] - 48
            if digit > 9:
                raise bad_text("integer", end - start)
            number = number * 10 + digit
            at += 1
        if number > 9223372036854775807 and not (negative and number - 1 == 9223372036854775807):
            raise bad_text("integer", end - start)
        result = 0 - number if negative else number
    else:
        text = data[start:end]
        digits = text[1:] if text[:1] == b"-" else text
        if not digits.isdigit() or len(digits) > 19:
            raise bad_text("integer", end - start)
        result = int(text)
    if result < low or result > high:
        raise bad_text("integer of this width", end - start)
    return result


def nibble(byte: int) -> int:
    """The value of a hexadecimal digit; -1 for another byte."""
    if 48 <= byte <= 57:
        return byte - 48
    if 97 <= byte <= 102:
        return byte - 87
    if 65 <= byte <= 70:
        return byte - 55
    return -1


class IntCodec(LongCodec):
    """int2, int4, int8 and oid as INT16, INT32 and INT64, from *low* to *high*."""

    def __init__(self, schema: Schema, low: int, high: int) -> None:
        Codec.__init__(self, schema)
        self.low = low
        self.high = high

    def number(self, data: bytes, start: int, end: int) -> int:
        return parse_long(data, start, end, self.low, self.high)


class BoolCodec(Codec):
    """BOOLEAN: `t`, `f`; bit(1) with *true* `1`, *false* `0`."""

    def __init__(self, schema: Schema, true: bytes = b"t", false: bytes = b"f") -> None:
        Codec.__init__(self, schema)
        self.true = ord(true)
        self.false = ord(false)

    def truth(self, data: bytes, start: int, end: int) -> bool:
        if end - start == 1:
            p = data
            if p[start] == self.true:
                return True
            if p[start] == self.false:
                return False
        raise bad_text("boolean", end - start)

    def value(self, data: bytes, start: int, end: int) -> bool:
        return bool(self.truth(data, start, end))

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        out.put_byte(1 if self.truth(data, start, end) else 0)


class FloatCodec(RealCodec):
    """float4 and float8 as FLOAT32 (*single*) and FLOAT64, also NaN and infinities."""

    def number(self, data: bytes, start: int, end: int) -> float:
        if end - start > 63:
            raise bad_text("float", end - start)
        if cython.compiled:
            p = data
            at = start
            while at < end:
                byte = p[at]
                if (byte < 48 or byte > 57) and byte != 45 and byte != 46 and byte != 43 and byte != 101:
                    return self.named(data[start:end])
                at += 1
            try:
                return bounded_double(p, start, end)  # noqa: F821
            except ValueError:
                raise bad_text("float", end - start) from None
        text = data[start:end]
        if text.translate(None, b"0123456789.+-e"):
            return self.named(text)
        try:
            return float(text)
        except ValueError:
            raise bad_text("float", end - start) from None

    def named(self, text: bytes) -> float:
        number = _FLOAT_NAMES.get(text)
        if number is None:
            raise bad_text("float", len(text))
        return number


def bytea(text: bytes) -> bytes:
    """The bytes of a bytea, printed by bytea_output hex (`\\x…`) or escape. DecodeError.

    PostgreSQL docs, "Binary Data Types".
    """
    try:
        if text[:2] == b"\\x":
            return binascii.unhexlify(text[2:])
        return _ESCAPE.sub(_unescape, text)
    except ValueError:
        raise bad_text("bytea", len(text)) from None


_ESCAPE = late_regex(rb"\\(?:\\|([0-3][0-7]{2}))?")


def _unescape(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return bytes((int(found[1], 8),))
    if found[0] == b"\\":
        raise ValueError("lone backslash")
    return b"\\"


class ByteaCodec(Codec):
    """bytea as BYTES (binary.handling.mode bytes)."""

    def value(self, data: bytes, start: int, end: int) -> bytes:
        return bytea(data[start:end])

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if not cython.compiled or not self.encode_hex(out, data, start, end):
            out.put_bytes(bytea(data[start:end]))

    def encode_hex(self, out: Writer, data: bytes, start: int, end: int) -> bool:
        """Write the content of the hex form, in C only; return False for other texts."""
        p = data
        if end - start < 2 or p[start] != 92 or p[start + 1] != 120 or (end - start) & 1:
            return False
        mark = out.size()
        out.put_long((end - start - 2) >> 1)
        at = start + 2
        while at < end:
            high = nibble(p[at])
            low = nibble(p[at + 1])
            if high < 0 or low < 0:
                out.truncate(mark)
                return False
            out.put_byte(high * 16 + low)
            at += 2
        return True


class DateCodec(LongCodec):
    """date: INT32 days since 1970-01-01."""

    def number(self, data: bytes, start: int, end: int) -> int:
        days = NOT_PLAIN
        if end - start == 10:
            days = plain_days(data, start)
        if days != NOT_PLAIN:
            return days
        text = data[start:end]
        if text == b"infinity":
            return DATE_INFINITY
        if text == b"-infinity":
            return DATE_MINUS_INFINITY
        return parse_days(text)


class TimeCodec(LongCodec):
    """time: the time since midnight in *unit*; smaller parts are cut, not rounded."""

    def __init__(self, schema: Schema, unit: int) -> None:
        Codec.__init__(self, schema)
        self.unit = unit

    def number(self, data: bytes, start: int, end: int) -> int:
        micros = plain_clock(data, start, end)
        if micros == NOT_PLAIN:
            micros = parse_clock(data[start:end])
        return in_unit(micros, self.unit)


class TimestampCodec(LongCodec):
    """timestamp: INT64 since 1970-01-01 00:00:00 on the same wall clock, in *unit*, rounded down to it."""

    def __init__(self, schema: Schema, unit: int) -> None:
        Codec.__init__(self, schema)
        self.unit = unit

    def number(self, data: bytes, start: int, end: int) -> int:
        micros = plain_micros(data, start, end)
        if micros == NOT_PLAIN:
            return self.unusual(data[start:end])
        return in_unit(micros, self.unit)

    def unusual(self, text: bytes) -> int:
        """Read infinities, and years before Christ or after 9999."""
        if text == b"infinity":
            return TIMESTAMP_INFINITY[self.unit]
        if text == b"-infinity":
            return TIMESTAMP_MINUS_INFINITY[self.unit]
        nanos = parse_micros(text) * 1000
        number = nanos // (1000000, 1000, 1)[self.unit]
        if not -9223372036854775808 <= number <= 9223372036854775807:
            raise DecodeError("the time does not fit 64 bits in its unit")
        return number


class ZonedTimestampCodec(Codec):
    """timestamptz: STRING `YYYY-MM-DDTHH:MM:SS[.f]Z`, at least *digits* fraction digits (the column's precision)."""

    def __init__(self, schema: Schema, digits: int) -> None:
        Codec.__init__(self, schema)
        self.digits = digits

    def plain(self, data: bytes, start: int, end: int) -> bool:
        """Whether the text is in UTC and its year is 1 to 9999, as nearly always."""
        p = data
        if end - start < 22 or p[end - 3] != 43 or p[end - 2] != 48 or p[end - 1] != 48:
            return False
        return plain_micros(data, start, end - 3) != NOT_PLAIN

    def value(self, data: bytes, start: int, end: int) -> str:
        text = data[start:end]
        if text == b"infinity" or text == b"-infinity":
            return text.decode()
        if not self.plain(data, start, end):
            return instant_text(parse_micros(text, zoned=True), self.digits)
        fraction = text[20:-3].ljust(self.digits, b"0").decode()
        return f"{text[:10].decode()}T{text[11:19].decode()}{'.' + fraction if fraction else ''}Z"

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if not cython.compiled or not self.plain(data, start, end):
            out.put_text(self.value(data, start, end))
        else:
            self.encode_plain(out, data, start, end)

    def encode_plain(self, out: Writer, data: bytes, start: int, end: int) -> None:
        given = end - start - 23 if end - start > 22 else 0
        width = given if given > self.digits else self.digits
        out.put_long(20 + (width + 1 if width else 0))
        out.put_range(data, start, start + 10)
        out.put_byte(84)
        out.put_range(data, start + 11, start + 19)
        if width:
            out.put_byte(46)
            out.put_range(data, start + 20, start + 20 + given)
        while given < width:
            out.put_byte(48)
            given += 1
        out.put_byte(90)
