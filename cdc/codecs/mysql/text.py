# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Reads column texts of MySQL's and MariaDB's text protocol, the results of a snapshot's SELECT.

Connect values and Avro bytes are the same as those that `binary.py` and its siblings make from row events.

The session has `time_zone` +00:00. Its `character_set_results` is NULL, so strings come in their column's character
set. The SELECT list casts types whose text is not exact (`types.ColumnType.select`). Strings, blobs, bits, geometries
and vectors have the same bytes as in row events, so they have no codec here. MySQL docs, "Data Types"; server source
sql/protocol_classic.cc.
"""

from __future__ import annotations

import struct
from typing import Any

import cython

from cdc.codecs.decimals import unscaled_bytes
from cdc.codecs.numbers import LongCodec, RealCodec
from cdc.codecs.time import DAY_US, instant_text
from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError
from cdc.core.schema import Schema

from .binary import LabelSetCodec
from .binary_numbers import shortest
from .binary_times import no_date

if not cython.compiled:  # when compiled, the .pxd imports these as C
    from cdc.codecs.numbers import in_unit

    from .binary_times import BAD_TIME, NO_TIME, civil_days, clock_us, full_year

_DAY_US = DAY_US
_MAX_BEFORE_DIGIT = 1844674407370955161
_MAX_LONG = 9223372036854775807


def bad_text(what: str, length: int) -> DecodeError:
    """The error for *length* bytes that are not a text of type *what*. It never shows them."""
    return DecodeError(f"invalid text of type {what} from the server", length=length)


def digit_pair(p: bytes, at: int) -> int:
    """The number of two ASCII digits; -1 for other bytes."""
    if cython.compiled:
        return two_digits(p, at)
    pair = p[at:at + 2]
    return int(pair) if pair.isdigit() else -1


def text_days(p: bytes, at: int, adjust: bool) -> int:
    """Days since 1970 of the ten bytes `YYYY-MM-DD`; NO_TIME or BAD_TIME as civil_days."""
    century = digit_pair(p, at)
    year = digit_pair(p, at + 2)
    month = digit_pair(p, at + 5)
    day = digit_pair(p, at + 8)
    if century < 0 or year < 0 or month < 0 or day < 0 or p[at + 4] != 45 or p[at + 7] != 45:
        return BAD_TIME
    return civil_days(full_year(century * 100 + year, adjust), month, day)


def text_fraction(p: bytes, at: int, end: int) -> int:
    """µs of `.f` to `.ffffff`; 0 for an empty text, -1 for any other."""
    if at == end:
        return 0
    if p[at] != 46 or end - at < 2 or end - at > 7:
        return -1
    fraction = 0
    width = 0
    at += 1
    while width < 6:
        digit = 0
        if at < end:
            digit = p[at] - 48
            if digit < 0 or digit > 9:
                return -1
        fraction = fraction * 10 + digit
        at += 1
        width += 1
    return fraction


def text_moment(data: bytes, start: int, end: int, adjust: bool) -> int:
    """µs since 1970 of `YYYY-MM-DD HH:MM:SS[.ffffff]`; NO_TIME or BAD_TIME as civil_days."""
    p = data
    if end - start < 19 or p[start + 10] != 32 or p[start + 13] != 58 or p[start + 16] != 58:
        return BAD_TIME
    hour = digit_pair(p, start + 11)
    minute = digit_pair(p, start + 14)
    second = digit_pair(p, start + 17)
    fraction = text_fraction(p, start + 19, end)
    days = text_days(p, start, adjust)
    if days in (NO_TIME, BAD_TIME):
        return days
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59 or fraction < 0:
        return BAD_TIME
    return days * _DAY_US + clock_us(hour, minute, second) + fraction


class TextIntCodec(LongCodec):
    """Integers, also with the leading zeros of ZEROFILL. BIGINT UNSIGNED as INT64 wraps, as a Java long does."""

    def __init__(self, schema: Schema, size: int, unsigned: bool) -> None:
        Codec.__init__(self, schema)
        self.unsigned = unsigned
        self.limit = (1 << 8 * size) - 1 if unsigned else (1 << (8 * size - 1)) - 1

    def number(self, data: bytes, start: int, end: int) -> int:
        if not cython.compiled:
            return self.slowly(data[start:end])
        p = data
        at = start
        negative = start < end and p[start] == 45
        if negative:
            at += 1
        if at == end or (negative and self.unsigned):
            raise bad_text("integer", end - start)
        number = 0
        while at < end:
            digit = p[at] - 48
            if digit > 9 or number > _MAX_BEFORE_DIGIT or (number == _MAX_BEFORE_DIGIT and digit > 5):
                raise bad_text("integer", end - start)
            number = number * 10 + digit
            at += 1
        if number > self.limit and not (negative and number - 1 == self.limit):
            raise bad_text("integer", end - start)
        return wrapped(number, negative)  # noqa: F821

    def slowly(self, text: bytes) -> int:
        """Does the same as `number`, in Python."""
        digits = text[1:] if text[:1] == b"-" and not self.unsigned else text
        if not digits.isdigit() or len(digits) > 255:
            raise bad_text("integer", len(text))
        number = int(text)
        if number > self.limit or (not self.unsigned and number < -self.limit - 1):
            raise bad_text("integer", len(text))
        return number if number <= _MAX_LONG else number - (1 << 64)


class TextUnsignedDecimalCodec(Codec):
    """BIGINT UNSIGNED in bigint.unsigned.handling.mode precise: Decimal of scale 0."""

    def value(self, data: bytes, start: int, end: int) -> bytes:
        text = data[start:end]
        if not text.isdigit() or int(text) >> 64:
            raise bad_text("integer", len(text))
        return unscaled_bytes(int(text))


class TextFloatCodec(RealCodec):
    """FLOAT and DOUBLE as FLOAT32 (*single*) or FLOAT64. *narrow*: a FLOAT, so the number is first rounded to it."""

    def __init__(self, schema: Schema, single: bool, narrow: bool) -> None:
        RealCodec.__init__(self, schema, single)
        self.narrow = narrow

    def number(self, data: bytes, start: int, end: int) -> float:
        text = data[start:end]
        if len(text) > 400 or text.translate(None, b"0123456789.+-e"):
            raise bad_text("floating-point number", end - start)
        try:
            number = float(text)
        except ValueError:
            raise bad_text("floating-point number", end - start) from None
        return as_single(number) if self.narrow else number

    def value(self, data: bytes, start: int, end: int) -> float:
        number = self.number(data, start, end)
        return shortest(number) if self.single else number


def as_single(number: float) -> float:
    """*number* rounded to a FLOAT."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


class TextDateCodec(LongCodec):
    """DATE: INT32 days since 1970-01-01."""

    def __init__(self, schema: Schema, adjust: bool) -> None:
        Codec.__init__(self, schema)
        self.adjust = adjust

    def number(self, data: bytes, start: int, end: int) -> int:
        if end - start != 10:
            raise bad_text("date", end - start)
        p = data
        days = text_days(p, start, self.adjust)
        if days == NO_TIME:
            raise no_date()
        if days == BAD_TIME:
            raise bad_text("date", end - start)
        return days


class TextTimeCodec(LongCodec):
    """TIME: `[-]HH:MM:SS[.ffffff]` with two or three digits of hours, as `binary_times.Time2Codec`."""

    def __init__(self, schema: Schema, unit: int, bounded: bool = False) -> None:
        Codec.__init__(self, schema)
        self.unit = unit
        self.bounded = bounded

    def micros(self, data: bytes, start: int, end: int) -> int:
        p = data
        at = start
        negative = start < end and p[start] == 45
        if negative:
            at += 1
        hour = 0
        if end - at >= 9 and p[at + 3] == 58:
            hour = p[at] - 48
            at += 1
            if hour < 0 or hour > 9:
                raise bad_text("time", end - start)
        if end - at < 8 or p[at + 2] != 58 or p[at + 5] != 58:
            raise bad_text("time", end - start)
        tens = digit_pair(p, at)
        minute = digit_pair(p, at + 3)
        second = digit_pair(p, at + 6)
        fraction = text_fraction(p, at + 8, end)
        if tens < 0 or minute < 0 or minute > 59 or second < 0 or second > 59 or fraction < 0:
            raise bad_text("time", end - start)
        micros = clock_us(hour * 100 + tens, minute, second) + fraction
        if negative:
            micros = 0 - micros
        if self.bounded and (micros < 0 or micros > _DAY_US):
            raise DecodeError("the time is not a time of day")
        return micros

    def number(self, data: bytes, start: int, end: int) -> int:
        micros = self.micros(data, start, end)
        return in_unit(micros, self.unit)


class TextDatetimeCodec(LongCodec):
    """DATETIME: INT64 since 1970-01-01 00:00:00 on the same wall clock, in *unit*, rounded down to it."""

    def __init__(self, schema: Schema, unit: int, adjust: bool) -> None:
        Codec.__init__(self, schema)
        self.unit = unit
        self.adjust = adjust

    def number(self, data: bytes, start: int, end: int) -> int:
        micros = text_moment(data, start, end, self.adjust)
        if micros == NO_TIME:
            raise no_date()
        if micros == BAD_TIME:
            raise bad_text("datetime", end - start)
        return in_unit(micros, self.unit)


class TextTimestampCodec(Codec):
    """TIMESTAMP in a session in UTC: STRING `YYYY-MM-DDTHH:MM:SS[.f]Z` with the shortest fraction that has at least
    *digits* digits."""

    def __init__(self, schema: Schema, digits: int) -> None:
        Codec.__init__(self, schema)
        self.digits = digits

    def micros(self, data: bytes, start: int, end: int) -> int:
        micros = text_moment(data, start, end, False)
        if micros == NO_TIME:
            raise no_date()
        if micros == BAD_TIME or micros < 0:
            raise bad_text("timestamp", end - start)
        return micros

    def value(self, data: bytes, start: int, end: int) -> Any:
        return instant_text(self.micros(data, start, end), self.digits)

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        micros = self.micros(data, start, end)
        if cython.compiled:
            put_instant(out, micros, fraction_digits(micros, self.digits))
        else:
            out.put_text(instant_text(micros, self.digits))


class TextYearCodec(Codec):
    """YEAR: INT32. *zero*: the value for 0000."""

    def __init__(self, schema: Schema, zero: int) -> None:
        Codec.__init__(self, schema)
        self.zero = zero

    def value(self, data: bytes, start: int, end: int) -> int:
        text = data[start:end]
        if len(text) != 4 or not text.isdigit():
            raise bad_text("year", len(text))
        return int(text) or self.zero


class TextLabelCodec(Codec):
    """ENUM: STRING. The SELECT gives the index, this its label; index 0 is the empty text."""

    def __init__(self, schema: Schema, labels: tuple[str, ...]) -> None:
        Codec.__init__(self, schema)
        self.labels = ("", *labels)

    def value(self, data: bytes, start: int, end: int) -> str:
        text = data[start:end]
        if not text.isdigit() or len(text) > 5:
            raise bad_text("enum index", len(text))
        if int(text) >= len(self.labels):
            raise DecodeError("the ENUM has no label for this index", labels=len(self.labels) - 1)
        return self.labels[int(text)]


class TextLabelSetCodec(Codec):
    """SET: STRING. The SELECT gives the number of its bits, this their labels, joined by commas."""

    def __init__(self, schema: Schema, labels: tuple[str, ...]) -> None:
        Codec.__init__(self, schema)
        self.sets = LabelSetCodec(schema, labels)

    def value(self, data: bytes, start: int, end: int) -> str:
        text = data[start:end]
        if not text.isdigit() or len(text) > 20:
            raise bad_text("set", len(text))
        return self.sets.of(int(text))
