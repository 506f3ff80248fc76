"""What codecs of numbers and times have in common: how Avro has them, and the units of times."""

from __future__ import annotations

import cython  # noqa: F401

from cdc.codecs.time import MICROS, MILLIS
from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError
from cdc.core.schema import Schema

# When compiled these are C integers, because every time is compared with them.
_MILLIS = MILLIS
_MICROS = MICROS
_MAX_NANOS_US = 9223372036854775


class LongCodec(Codec):
    """A number that Avro has as an int or a long: integers, days, times."""

    def number(self, data: bytes, start: int, end: int) -> int:
        """It fits 64 bits, signed."""
        raise NotImplementedError

    def value(self, data: bytes, start: int, end: int) -> int:
        return self.number(data, start, end)

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        out.put_long(self.number(data, start, end))


class RealCodec(Codec):
    """FLOAT32 (*single*) or FLOAT64."""

    def __init__(self, schema: Schema, single: bool) -> None:
        Codec.__init__(self, schema)
        self.single = single

    def number(self, data: bytes, start: int, end: int) -> float:
        raise NotImplementedError

    def value(self, data: bytes, start: int, end: int) -> float:
        return self.number(data, start, end)

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        if self.single:
            out.put_float(self.number(data, start, end))
        else:
            out.put_double(self.number(data, start, end))


def in_unit(micros: int, unit: int) -> int:
    """*micros* in *unit*, rounded down to it. Raises DecodeError if that does not fit 64 bits."""
    if unit == _MICROS:
        return micros
    if unit == _MILLIS:
        return micros // 1000
    if micros > _MAX_NANOS_US or micros < -_MAX_NANOS_US:
        raise DecodeError("the time does not fit 64 bits in its unit")
    return micros * 1000
