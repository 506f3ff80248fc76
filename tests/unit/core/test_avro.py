"""Avro bytes: each primitive by the specification, every schema's values as fastavro reads them, and the buffer."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

import pytest

from cdc.codecs.decimals import unscaled_bytes
from cdc.core.avro import Writer, write_field, write_value
from cdc.core.errors import DecodeError
from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    MAP,
    STRING,
    STRUCT,
    Field,
    Schema,
    optional,
)
from cdc.core.schema import struct as struct_schema
from tests.unit.converters.tables import read

SEED = 20240401
LIMITS = (-(1 << 63), (1 << 63) - 1)


def written(schema: Schema, value: Any, null_is_default: bool = True) -> bytes:
    out = Writer()
    write_field(out, schema, value, null_is_default)
    return out.take()


def long_bytes(number: int) -> bytes:
    out = Writer()
    out.put_long(number)
    return out.take()


# -- primitives --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "wanted"), [
    (0, "00"), (-1, "01"), (1, "02"), (-2, "03"), (2, "04"), (-64, "7f"), (64, "8001"), (8191, "fe7f"),
    (8192, "808001"), (LIMITS[1], "feffffffffffffffff01"), (LIMITS[0], "ffffffffffffffffff01"),
])
def test_longs_are_zigzag_in_groups_of_seven_bits(number: int, wanted: str) -> None:
    assert long_bytes(number).hex() == wanted


def test_any_long_is_read_back() -> None:
    rng = random.Random(SEED)
    for _ in range(500):
        number = rng.randrange(*LIMITS) >> rng.randrange(64)
        assert read(Schema(INT64), long_bytes(number)) == number


@pytest.mark.parametrize("number", [LIMITS[0] - 1, LIMITS[1] + 1, 1 << 100])
def test_a_number_beyond_64_bits_is_an_overflow(number: int) -> None:
    with pytest.raises(OverflowError):
        long_bytes(number)
    with pytest.raises(OverflowError):
        Writer().put_integer(number)


def test_the_bytes_of_an_integer_are_the_shortest_twos_complement() -> None:
    edges = [sign * (1 << bits) + near for bits in range(64) for sign in (1, -1) for near in (-1, 0, 1)]
    for number in [0, *(each for each in edges if LIMITS[0] <= each <= LIMITS[1])]:
        out, wanted = Writer(), Writer()
        out.put_integer(number)
        wanted.put_bytes(unscaled_bytes(number))
        assert out.take() == wanted.take(), number


@pytest.mark.parametrize(("number", "wanted"), [
    (1.5, 1.5), (0.1, struct.unpack("<f", struct.pack("<f", 0.1))[0]), (1e39, math.inf), (-1e39, -math.inf),
    (math.inf, math.inf)])
def test_a_float_has_four_bytes_and_too_large_a_number_is_infinite(number: float, wanted: float) -> None:
    out = Writer()
    out.put_float(number)
    assert struct.unpack("<f", out.take()) == (wanted,)


def test_the_other_primitives() -> None:
    out = Writer()
    out.put_byte(255)
    out.put_double(1.5)
    out.put_raw(b"raw")
    out.put_range(b"0123456789", 2, 4)
    out.put_bytes(b"ab")
    out.put_slice(b"0123456789", 2, 4)
    out.put_text("é")
    assert out.take() == b"\xff" + struct.pack("<d", 1.5) + b"raw" + b"23" + b"\x04ab" + b"\x0423" + b"\x04\xc3\xa9"


# -- the buffer --------------------------------------------------------------------------------------------------------


def test_taking_empties_the_buffer() -> None:
    out = Writer()
    out.put_raw(b"ab")
    assert (out.size(), out.take(), out.size(), out.take()) == (2, b"ab", 0, b"")


@pytest.mark.parametrize(("size", "left"), [(0, b""), (2, b"ab"), (4, b"abcd"), (100, b"abcd")])
def test_truncating_keeps_the_beginning(size: int, left: bytes) -> None:
    out = Writer()
    out.put_raw(b"abcd")
    out.truncate(size)
    assert (out.size(), out.take()) == (len(left), left)


def test_a_buffer_grows_over_a_huge_value_and_is_small_again() -> None:
    out = Writer()
    huge = bytes(range(256)) * 40_000
    for _ in range(2):
        out.put_byte(7)
        out.put_bytes(huge)
        out.put_byte(8)
        assert out.take() == b"\x07" + long_bytes(len(huge)) + huge + b"\x08"
        out.put_raw(b"x" * 5000)
        assert out.take() == b"x" * 5000


# -- values by their schema --------------------------------------------------------------------------------------------

PAIR = struct_schema("x.Pair", [("a", Schema(INT32)), ("b", optional(STRING))])
VALUES: list[tuple[Schema, Any, Any]] = [
    (Schema(INT8), -128, -128), (Schema(INT16), -32768, -32768), (Schema(INT32), 1, 1), (Schema(INT64), 1, 1),
    (Schema(BOOLEAN), True, True), (Schema(BOOLEAN), False, False), (Schema(FLOAT32), 1.5, 1.5),
    (Schema(FLOAT64), 0.1, 0.1), (Schema(STRING), "é", "é"), (Schema(STRING), "", ""), (Schema(BYTES), b"\0", b"\0"),
    (PAIR, (1, None), {"a": 1, "b": None}), (PAIR, (1, "x"), {"a": 1, "b": "x"}),
    (Schema(ARRAY, items=Schema(INT32)), [], []), (Schema(ARRAY, items=optional(INT32)), [1, None], [1, None]),
    (Schema(ARRAY, items=PAIR), [(1, "x")], [{"a": 1, "b": "x"}]),
    (Schema(MAP, keys=Schema(STRING), items=Schema(INT32)), {}, {}),
    (Schema(MAP, keys=Schema(STRING), items=optional(STRING)), {"a": None, "b": "x"},
     {"a": None, "b": "x"}),
]


@pytest.mark.parametrize(("schema", "value", "shown"), VALUES, ids=str)
def test_fastavro_reads_what_is_written(schema: Schema, value: Any, shown: Any) -> None:
    out = Writer()
    write_value(out, schema, value)
    assert read(schema, out.take()) == shown
    assert read(schema.as_optional(), written(schema.as_optional(), value)) == shown
    assert written(schema, value) == written(schema.as_optional(), value)[1:]


@pytest.mark.parametrize(("schema", "value", "null_is_default", "wanted"), [
    (optional(STRING), None, True, "00"), (optional(STRING), "a", True, "020261"),
    (Schema(STRING, optional=True, default="d"), None, True, "000264"),
    (Schema(STRING, optional=True, default="d"), None, False, "02"),
    (Schema(STRING, optional=True, default="d"), "a", True, "000261"),
    (Schema(STRING, default="d"), None, True, "0264"), (Schema(STRING, default="d"), None, False, "0264"),
    (Schema(STRING, default="d"), "a", False, "0261"),
])
def test_unions_and_defaults(schema: Schema, value: Any, null_is_default: bool, wanted: str) -> None:
    assert written(schema, value, null_is_default).hex() == wanted


def test_the_union_of_a_struct_begins_with_null_even_with_a_default() -> None:
    point = Schema(STRUCT, optional=True, name="x.P", fields=(Field("n", Schema(INT32)),), default=(3,))
    assert written(point, None).hex() == "0206"
    assert written(point, None, False).hex() == "00"
    assert written(point, (4,)).hex() == "0208"


@pytest.mark.parametrize(("schema", "value"), [
    (Schema(INT32, name="x.N"), None), (struct_schema("x.Y", [("a", Schema(STRING))]), (None,)),
    (Schema(ARRAY, items=Schema(STRING)), ["a", None]), (Schema(MAP, keys=Schema(STRING), items=Schema(STRING)), {
        "a": None})])
def test_a_null_where_none_is_allowed_is_an_error_with_its_type(schema: Schema, value: Any) -> None:
    with pytest.raises(DecodeError, match="null in a required field") as caught:
        written(schema, value)
    assert caught.value.context["field_type"] == (schema.name if value is None else STRING)


@pytest.mark.parametrize("value", [(1,), (1, "a", 2)])
def test_a_struct_with_too_few_or_too_many_values_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError, match="zip"):
        written(PAIR, value)
