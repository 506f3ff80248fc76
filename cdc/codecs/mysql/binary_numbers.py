# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Numbers in row events: integers, floating-point numbers and decimals; and what all files of row events use.

Layouts: MySQL Source Code Documentation, "Table_map_event: column types"; server source strings/decimal.cc
(`bin2decimal`).
"""

from __future__ import annotations

import struct
from typing import Any

import cython

from cdc.codecs.decimals import unscaled_bytes
from cdc.codecs.numbers import LongCodec, RealCodec
from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError
from cdc.core.schema import Schema

_DIGIT_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""How many bytes 0 to 9 decimal digits take (strings/decimal.cc, `dig2bytes`)."""


def bad_bytes(what: str, length: int) -> DecodeError:
    """The error for *length* bytes that are not a value of type *what*. It never shows them."""
    return DecodeError(f"invalid value of type {what} in a row event", length=length)


def little_endian(p: bytes, at: int, end: int) -> int:
    """The unsigned integer of at most 8 bytes, low byte first. The caller has checked the range."""
    number = 0
    while end > at:
        end -= 1
        number = (number << 8) | p[end]
    return number


def big_endian(p: bytes, at: int, end: int) -> int:
    """As little_endian, with the high byte first."""
    number = 0
    while at < end:
        number = (number << 8) | p[at]
        at += 1
    return number


class LeIntCodec(LongCodec):
    """Integers of 1 to 8 bytes, little-endian. BIGINT UNSIGNED as INT64 wraps, as a Java long does."""

    def __init__(self, schema: Schema, size: int, unsigned: bool) -> None:
        Codec.__init__(self, schema)
        self.size = size
        self.unsigned = unsigned

    def number(self, data: bytes, start: int, end: int) -> int:
        if end - start != self.size:
            raise bad_bytes("integer", end - start)
        if cython.compiled:
            p = data
            bits = little_endian(p, start, end)
            if not self.unsigned and self.size < 8 and p[end - 1] > 127:
                return sign_extended(bits, 8 * self.size)  # noqa: F821
            return as_signed(bits)  # noqa: F821
        return int.from_bytes(data[start:end], "little", signed=not self.unsigned or self.size == 8)


class UnsignedDecimalCodec(Codec):
    """BIGINT UNSIGNED in bigint.unsigned.handling.mode precise: Decimal of scale 0."""

    def value(self, data: bytes, start: int, end: int) -> bytes:
        if end - start != 8:
            raise bad_bytes("integer", end - start)
        return unscaled_bytes(int.from_bytes(data[start:end], "little"))


class LeFloatCodec(RealCodec):
    """FLOAT (4 bytes) and DOUBLE (8 bytes) as FLOAT32 (*single*) or FLOAT64.

    A FLOAT as FLOAT32 is the number in its shortest text; as FLOAT64 it is widened, as Debezium does for FLOAT(m,d).
    """

    def number(self, data: bytes, start: int, end: int) -> float:
        if end - start != 4 and end - start != 8:
            raise bad_bytes("floating-point number", end - start)
        number: float
        if cython.compiled:
            p = data
            number = float_at(p, start) if end - start == 4 else double_at(p, start)  # noqa: F821
        else:
            number = struct.unpack_from("<f" if end - start == 4 else "<d", data, start)[0]
        return number

    def value(self, data: bytes, start: int, end: int) -> float:
        number = self.number(data, start, end)
        return shortest(number) if self.single else number


def shortest(number: float) -> float:
    """The number with the fewest digits that rounds to the same FLOAT; an infinity outside a FLOAT's range."""
    try:
        packed = struct.pack("<f", number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    single = struct.unpack("<f", packed)[0]
    for digits in (6, 7, 8, 9):
        text = f"{single:.{digits}g}"
        try:
            if struct.pack("<f", float(text)) == packed:
                return float(text)
        except OverflowError:
            continue
    return float(single)


class BinDecimalCodec(Codec):
    """DECIMAL(precision, scale) as Decimal. strings/decimal.cc, `bin2decimal`.

    The bytes are groups of 9 digits in 4 bytes, big-endian; the first group of the whole part and the last group of the
    fraction may be shorter. The first bit is set from zero on. In negative numbers all bits are inverted.
    """

    def __init__(self, schema: Schema, precision: int, scale: int) -> None:
        Codec.__init__(self, schema)
        self.precision = precision
        self.scale = scale
        head, tail = (precision - scale) % 9, scale % 9
        groups = (precision - scale) // 9 + scale // 9
        size = _DIGIT_BYTES[head] + 4 * groups + _DIGIT_BYTES[tail]
        self.groups = groups
        self.head_size = _DIGIT_BYTES[head]
        self.size = size
        self.head_limit = 10 ** head
        self.tail_limit = 10 ** tail
        self.sign_bit: int = 1 << 8 * size - 1
        self.all_bits: int = (1 << 8 * size) - 1
        self.short = precision <= 18

    def unscaled(self, data: bytes, start: int, end: int) -> int:
        """The number times 10**scale. Raises DecodeError."""
        if end - start != self.size:
            raise bad_bytes("decimal", end - start)
        raw = data[start:end]
        negative = raw[0] < 128
        bits = int.from_bytes(raw, "big") ^ self.sign_bit
        if negative:
            bits ^= self.all_bits
        raw = bits.to_bytes(self.size, "big")
        at = self.head_size
        number = int.from_bytes(raw[:at], "big")
        valid = number < self.head_limit
        for _ in range(self.groups):
            group = int.from_bytes(raw[at:at + 4], "big")
            valid = valid and group < 1000000000
            number = number * 1000000000 + group
            at += 4
        group = int.from_bytes(raw[at:], "big")
        if not valid or group >= self.tail_limit:
            raise bad_bytes("decimal", end - start)
        number = number * self.tail_limit + group
        return -number if negative else number

    def value(self, data: bytes, start: int, end: int) -> Any:
        return unscaled_bytes(self.unscaled(data, start, end))

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if not cython.compiled or not self.encode_short(out, data, start, end):
            out.put_bytes(unscaled_bytes(self.unscaled(data, start, end)))

    def encode_short(self, out: Writer, data: bytes, start: int, end: int) -> bool:
        """Write a number of at most 18 digits, in C only. For others write nothing and return False."""
        if not self.short or end - start != self.size:
            return False
        p = data
        mask = 0 if p[start] > 127 else 255
        number = 0
        at = start
        stop = start + self.head_size
        while at < stop:
            byte = p[at] ^ mask
            if at == start:
                byte ^= 128
            number = (number << 8) | byte
            at += 1
        if number >= self.head_limit:
            return False
        groups = self.groups
        while groups > 0:
            group = 0
            stop = at + 4
            while at < stop:
                byte = p[at] ^ mask
                if at == start:
                    byte ^= 128
                group = (group << 8) | byte
                at += 1
            if group > 999999999:
                return False
            number = number * 1000000000 + group
            groups -= 1
        group = 0
        while at < end:
            byte = p[at] ^ mask
            if at == start:
                byte ^= 128
            group = (group << 8) | byte
            at += 1
        if group >= self.tail_limit:
            return False
        number = number * self.tail_limit + group
        if mask:
            number = 0 - number
        out.put_integer(number)
        return True


def decimal_text(number: int, scale: int) -> str:
    """The digits of the unscaled *number*, with *scale* of them after the point."""
    digits = str(abs(number)).rjust(scale + 1, "0")
    sign = "-" if number < 0 else ""
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else sign + digits


class DecimalTextCodec(Codec):
    """DECIMAL in decimal.handling.mode string: STRING."""

    def __init__(self, schema: Schema, precision: int, scale: int) -> None:
        Codec.__init__(self, schema)
        self.decimals = BinDecimalCodec(schema, precision, scale)

    def value(self, data: bytes, start: int, end: int) -> str:
        return decimal_text(self.decimals.unscaled(data, start, end), self.decimals.scale)


class DecimalDoubleCodec(Codec):
    """DECIMAL in decimal.handling.mode double: the nearest FLOAT64."""

    def __init__(self, schema: Schema, precision: int, scale: int) -> None:
        Codec.__init__(self, schema)
        self.decimals = BinDecimalCodec(schema, precision, scale)

    def value(self, data: bytes, start: int, end: int) -> float:
        return float(decimal_text(self.decimals.unscaled(data, start, end), self.decimals.scale))
