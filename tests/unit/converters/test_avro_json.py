"""JSON from Avro bytes is the JSON that the converter makes of the values."""

from __future__ import annotations

import random
import struct as packing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdc import native
from cdc.converters.json import JsonConverter
from cdc.core.avro import Writer, write_field
from cdc.core.errors import ConvertError
from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT64,
    MAP,
    STRING,
    STRUCT,
    Schema,
    optional,
    struct,
)
from tests.unit.converters.connect_json import golden_files, golden_records, schema_of, value_of

SEED = 20_261
LONGEST = [0, 1, -1, 63, 64, -65, 1 << 31, (1 << 63) - 1, -(1 << 63)]
DOUBLES = [0.0, -0.0, 1.5, 1e-3, 9.99e-4, 1e7, 1e21, 4.9e-324, float("nan"), float("inf"), float("-inf")]
TEXTS = ["", "a", 'say "no"\\', "\x00\x01\x1f\x7f\n\t\r\b\f", "é€𝄞", "x" * 5000 + '"',
         *("x" * before + byte + "y" * 9 for before in (0, 5, 7, 8, 15) for byte in '"\\\x00\x1f !#[]\x7fé')]
AMOUNT = Schema(BYTES, name=DECIMAL, version=1, parameters=(("scale", "2"),))
VALUES: list[tuple[Schema, list[Any]]] = [
    (Schema(INT64), LONGEST), (Schema(FLOAT64), DOUBLES), (Schema(FLOAT32), [0.1, 3.4e38, float("nan")]),
    (Schema(STRING), TEXTS), (Schema(BOOLEAN), [True, False]), (Schema(BYTES), [b"", b"\x00", b"ab", b"abc" * 9]),
    (AMOUNT, [b"\x00", b"\xff", b"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"]),
]
SETTINGS = [{}, {"schemas.enable": "false"}, {"decimal.format": "NUMERIC"}, {"replace.null.with.default": "false"}]


def converter(settings: dict[str, str]) -> JsonConverter:
    made = JsonConverter()
    made.configure(settings, False)
    return made


def avro(schema: Schema, value: Any, null_is_default: bool = True) -> bytes:
    out = Writer()
    write_field(out, schema, value, null_is_default)
    return out.take()


def in_c(made: JsonConverter, schema: Schema, written: bytes) -> bytes | None:
    """What C prints; None if it leaves that to Python, or was not built."""
    records = native.module("records")
    return None if records is None else records.printed_json(made.printer("t", schema), written)[0]


@pytest.mark.parametrize("path", golden_files(), ids=lambda path: path.name)
def test_golden_records_are_the_same_from_avro(path: Path) -> None:
    made = converter({})
    for record in golden_records(path):
        for side in ("key", "value"):
            found = record.get(side)
            if found is not None:
                schema = schema_of(found["schema"])
                value = value_of(schema, found["payload"])
                assert made.printer("t", schema).printed(avro(schema, value)) == made.from_connect("t", schema, value)
                assert in_c(made, schema, avro(schema, value)) in (None, made.from_connect("t", schema, value))


def some_value(rng: random.Random, depth: int) -> tuple[Schema, Any]:
    kind = rng.randrange(10) if depth else 0
    if kind == 1:
        item, value = some_value(rng, depth - 1)
        return Schema(ARRAY, items=item), [value] * rng.randrange(3)
    if kind in (2, 3):
        key, name = some_value(rng, 0) if kind == 2 else (Schema(STRING), rng.choice(TEXTS))
        item, value = some_value(rng, depth - 1)
        if isinstance(name, float):
            return item, value
        return Schema(MAP, keys=replace(key, default=None), items=item), {name: value} if rng.random() < 0.8 else {}
    if kind in (4, 5, 6):
        fields = [some_value(rng, depth - 1) for _ in range(rng.randrange(4))]
        return struct("s", [(f'f"{index}', schema) for index, (schema, _) in enumerate(fields)]), tuple(
            value for _, value in fields)
    schema, values = rng.choice(VALUES)
    schema = replace(schema, optional=rng.random() < 0.5, default=rng.choice([None, values[0]]))
    return schema, rng.choice([None, *values]) if schema.optional else rng.choice(values)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_any_value_is_the_same_from_avro(settings: dict[str, str]) -> None:
    rng = random.Random(SEED)
    made = converter(settings)
    for _ in range(1500):
        schema, value = some_value(rng, 3)
        written = avro(schema, value, made.null_is_default)
        if not made.null_is_default and schema.type in (ARRAY, MAP, "STRUCT"):
            continue  # inside of these, Avro always writes the default
        wanted = made.from_connect("t", schema, value)
        assert made.printer("t", schema).printed(written) == wanted, (schema, value)
        assert in_c(made, schema, written) in (None, wanted), (schema, value)


@pytest.mark.skipif(native.module("records") is None, reason="no native modules were built")
def test_c_prints_frequent_types() -> None:
    made = converter({})
    for kind, values in VALUES:
        schema = struct("s", [("a", kind), ("b", replace(kind, optional=True))])
        for value in values:
            for other in (None, value):
                printed = in_c(made, schema, avro(schema, (value, other)))
                if printed is not None or kind.type not in (FLOAT32, FLOAT64):
                    assert printed == made.from_connect("t", schema, (value, other))


@pytest.mark.skipif(native.module("records") is None, reason="no native modules were built")
@pytest.mark.parametrize("long", [5, 60, 3000])
def test_c_prints_what_follows_another_value(long: int) -> None:
    """C copies the fields of `source`, and those behind it, that are as in the value before."""
    rng = random.Random(SEED)
    made = converter({"schemas.enable": "false"})
    kinds = [Schema(STRING), Schema(INT64), optional(INT64), optional(STRING), Schema(BOOLEAN), struct("none", [])]
    for count in (0, 1, 7, 32, 40):
        source = struct("source", [(f"f{at}", rng.choice(kinds)) for at in range(count)])
        row = replace(struct("row", [("id", Schema(INT64))]), optional=True)
        schema = struct("envelope", [("before", row), ("after", row), ("source", source), ("op", Schema(STRING)),
                                     ("ts_ms", optional(INT64))])
        value: list[Any] = [None, (1,), tuple(_any_of(field.schema, rng, long) for field in source.fields), "c", None]
        written, wanted = [], []
        for number in range(300):
            value[1] = (number,)
            if rng.random() < 0.1:
                value[4] = rng.choice([None, *LONGEST])
            value[2] = tuple(_any_of(field.schema, rng, long) if rng.random() < 0.05 else old
                             for field, old in zip(source.fields, value[2], strict=True))
            written.append(avro(schema, tuple(value)))
            wanted.append(made.from_connect("t", schema, tuple(value)))
            if rng.random() < 0.1:
                written.append(written[-1][:rng.randrange(len(written[-1]))])
                wanted.append(None)
        assert native.module("records").printed_json(made.printer("t", schema), *written) == wanted


def _any_of(schema: Schema, rng: random.Random, long: int) -> Any:
    if schema.optional and rng.random() < 0.3:
        return None
    if schema.type == STRING:
        return rng.choice('abé"') * rng.randrange(long)
    if schema.type == STRUCT:
        return ()
    return rng.random() < 0.5 if schema.type == BOOLEAN else rng.randrange(1 << rng.randrange(60))


@pytest.mark.skipif(native.module("records") is None, reason="no native modules were built")
def test_c_prints_arrays() -> None:
    """The end of a transaction lists its tables in one."""
    made = converter({})
    table = replace(struct("table", [("name", Schema(STRING)), ("count", optional(INT64))]), optional=True)
    schema = struct("s", [("a", Schema(ARRAY, items=table, optional=True)), ("b", Schema(ARRAY, items=Schema(INT64)))])
    for tables in (None, [], [("x", 1)], [("x", None), None, ("y", 2)]):
        for numbers in ([], [1], LONGEST * 20):
            value = tables, numbers
            assert in_c(made, schema, avro(schema, value)) == made.from_connect("t", schema, value)
    for broken in (b"\x00\x02", b"\x00\x01\x02\x02\x00", b"\x00\x7e\x02", b"\x00" + b"\xfe" + b"\xff" * 8 + b"\x01"):
        assert in_c(made, schema, broken) is None  # too few items, a block with its size, more items than bytes


@pytest.mark.skipif(native.module("records") is None, reason="no native modules were built")
@pytest.mark.parametrize("kind", [FLOAT32, FLOAT64])
def test_c_prints_floating_point_numbers_as_java_or_not_at_all(kind: str) -> None:
    pick, made = random.Random(SEED), converter({})
    schema = struct("s", [("a", Schema(kind))])
    texts = [f"{pick.choice('+-')}{pick.randrange(10 ** pick.randint(1, 7))}.{pick.randrange(10 ** digits):0{digits}}"
             for digits in range(1, 12) for _ in range(400)]
    values = [*map(float, texts), *(pick.uniform(-2, 2) * 10 ** pick.randint(-5, 9) for _ in range(4000)),
              *(float(2 ** power) for power in range(-12, 26)), *(2 ** power - 1e-9 for power in range(24)),
              *(whole / 8 for whole in range(8_000_000, 8_000_400)), 9_999_999.5, 9_999_999.999999999]
    found = 0
    for value in values:
        printed = in_c(made, schema, avro(schema, (value,)))
        assert printed in (None, made.printer("t", schema).printed(avro(schema, (value,)))), value
        found += printed is not None
    assert found > len(texts) / 2


def test_a_null_that_was_written_in_spite_of_a_default_is_the_default() -> None:
    schema = replace(optional(STRING), default="d")
    assert converter({}).printer("t", schema).printed(b"\x02").endswith(b'"payload":"d"}')
    assert converter(SETTINGS[3]).printer("t", schema).printed(b"\x02").endswith(b'"payload":null}')


def test_bytes_that_are_no_value_of_the_schema_are_an_error() -> None:
    schema = struct("s", [("a", Schema(STRING)), ("b", optional(FLOAT64)), ("c", Schema(ARRAY, items=Schema(BYTES)))])
    good = avro(schema, ("text", 1.5, [b"x"]))
    printer = converter({}).printer("t", schema)
    wanted = printer.printed(good)
    for broken in (*(good[:size] for size in range(len(good))), good + b"\0", b"\x01" + good[1:], b"\xff" * 30,
                   packing.pack("<q", -1)):
        with pytest.raises(ConvertError):
            printer.printed(broken)
        assert printer.printed(good) == wanted
        assert in_c(converter({}), schema, broken) is None
