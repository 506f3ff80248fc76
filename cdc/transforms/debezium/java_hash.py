"""The hash codes of Java objects, and Debezium's MurmurHash3, for partitions that are the same as Debezium's.

Java SE API: `hashCode` of String, Long, Double, Boolean, BigInteger, BigDecimal, List, Map, ByteBuffer. Debezium
sources: `io.debezium.util.MurmurHash3`. Results are signed 32-bit numbers.
"""

from __future__ import annotations

import math
import struct
from typing import Any, Final

from cdc.codecs.java import java_hash
from cdc.core.schema import ARRAY, BOOLEAN, BYTES, DECIMAL, FLOAT32, FLOAT64, INT64, MAP, STRING, STRUCT, Schema

_LONG: Final = (1 << 64) - 1
_SEED: Final = 9001
_DATES: Final = {"org.apache.kafka.connect.data.Date": 86_400_000, "org.apache.kafka.connect.data.Time": 1,
                 "org.apache.kafka.connect.data.Timestamp": 1}
"""Milliseconds in a unit of the types that are a java.util.Date."""


def hash_code(schema: Schema, value: Any) -> int:
    """`value.hashCode()` of a Connect value that is not null."""
    if schema.name in _DATES:
        return _long(value * _DATES[schema.name or ""])
    if schema.name == DECIMAL:
        scale = int(schema.parameter("scale") or 0)
        return _int(31 * _big_integer(int.from_bytes(value, signed=True)) + scale)
    kind = schema.type
    if kind == STRING:
        return _int(java_hash(value))
    if kind == BOOLEAN:
        return 1231 if value else 1237
    if kind == INT64:
        return _long(value)
    if kind == FLOAT64:
        return _long(0x7FF8 << 48 if math.isnan(value) else _bits(">d", value))
    if kind == FLOAT32:
        return _int(0x7FC0 << 16 if math.isnan(value) else _bits(">f", value))
    return _int(_many(schema, value)) if kind in (BYTES, ARRAY, MAP, STRUCT) else int(value)


def _many(schema: Schema, value: Any) -> int:
    if schema.type == BYTES:
        result = 1
        for byte in reversed(bytes(value)):
            result = _int(31 * result + (byte - 256 if byte > 127 else byte))
        return result
    if schema.type == MAP:
        assert schema.keys is not None
        assert schema.items is not None
        return sum(_null_hash(schema.keys, key) ^ _null_hash(schema.items, each) for key, each in value.items())
    items = ([schema.items] * len(value) if schema.type == ARRAY else [field.schema for field in schema.fields])
    result = 1
    for each, inner in zip(value, items, strict=True):
        assert inner is not None
        result = _int(31 * result + _null_hash(inner, each))
    return result


def _null_hash(schema: Schema, value: Any) -> int:
    return 0 if value is None else hash_code(schema, value)


def _long(value: int) -> int:
    value &= _LONG
    return _int(value ^ value >> 32)


def _big_integer(value: int) -> int:
    magnitude, result = abs(value), 0
    for shift in range((magnitude.bit_length() + 31) // 32 * 32 - 32, -1, -32):
        result = (31 * result + (magnitude >> shift & 0xFFFFFFFF)) & 0xFFFFFFFF
    return _int(-result if value < 0 else result)


def _bits(form: str, value: float) -> int:
    return int.from_bytes(struct.pack(form, value))


def _int(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def murmur(schema: Schema, value: Any) -> int:
    """`MurmurHash3.hash(Object)` of a Connect value that is not null."""
    text = schema.type == STRING
    data = value.encode("utf-8", "replace") if text else struct.pack("<i", hash_code(schema, value))
    return _int(_murmur64(data) >> 32)


def _murmur64(data: bytes) -> int:
    """`MurmurHash3_x64_64`, which extends the signs of the last bytes, up to 15, that fill no block."""
    state = _Murmur()
    whole = len(data) & ~15
    for at in range(0, whole, 16):
        state.mix(*struct.unpack_from("<QQ", data, at))
    if whole < len(data):
        state.mix(_tail(data[whole:whole + 8]), _tail(data[whole + 8:]))
    return state.finish(len(data))


def _tail(data: bytes) -> int:
    result = 0
    for index, byte in enumerate(data):
        result ^= (byte - 256 if byte > 127 else byte) << 8 * index
    return result & _LONG


class _Murmur:
    def __init__(self) -> None:
        self.h1 = 0x9368E53C2F6AF274 ^ _SEED
        self.h2 = 0x586DCD208F7CD3FD ^ _SEED
        self.c1 = 0x87C37B91114253D5
        self.c2 = 0x4CF5AD432745937F

    def mix(self, k1: int, k2: int) -> None:
        h1, h2, c1, c2 = self.h1, self.h2, self.c1, self.c2
        k1 = _rotate(k1 * c1 & _LONG, 23) * c2 & _LONG
        h1 = (h1 ^ k1) + h2 & _LONG
        h2 = _rotate(h2, 41)
        k2 = _rotate(k2 * c2 & _LONG, 23) * c1 & _LONG
        h2 = (h2 ^ k2) + h1 & _LONG
        self.h1 = h1 * 3 + 0x52DCE729 & _LONG
        self.h2 = h2 * 3 + 0x38495AB5 & _LONG
        self.c1 = c1 * 5 + 0x7B7D159C & _LONG
        self.c2 = c2 * 5 + 0x6BCE6396 & _LONG

    def finish(self, size: int) -> int:
        h2 = self.h2 ^ size
        h1 = self.h1 + h2 & _LONG
        h2 = h2 + h1 & _LONG
        return _final(h1) + _final(h2) & _LONG


def _final(value: int) -> int:
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD & _LONG
    value ^= value >> 33
    value = value * 0xC4CEB9FE1A85EC53 & _LONG
    return value ^ value >> 33


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> 64 - by) & _LONG
