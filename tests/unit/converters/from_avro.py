"""Values of random schemas, and their Avro bytes, for printers that read these."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cdc.core.avro import Writer, write_field
from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT16,
    INT64,
    MAP,
    STRING,
    Schema,
    struct,
)

SEED = 20_261
_KAFKA = "org.apache.kafka.connect.data."
VALUES: list[tuple[Schema, list[Any]]] = [
    (Schema(INT64), [0, 1, -1, 63, 64, -65, 1 << 31, (1 << 63) - 1, -(1 << 63)]), (Schema(INT16), [-32768, 0, 127]),
    (Schema(FLOAT64), [0.0, -0.0, 1.5, 1e21, 4.9e-324, float("nan"), float("inf"), float("-inf")]),
    (Schema(FLOAT32), [0.0, -0.0, 0.1, 3.4e38, float("nan")]),
    (Schema(STRING), ["", "a", 'say "no"\\', "\x00\x1f\n", "é€𝄞", "x" * 200 + '"']),
    (Schema(BOOLEAN), [True, False]), (Schema(BYTES), [b"", b"\x00", b"ab", b"abc" * 99]),
    (Schema(BYTES, name=DECIMAL, version=1, parameters=(("scale", "2"),)), [b"\x00", b"\xff", b"\x01" + bytes(9)]),
    (Schema("INT32", name=_KAFKA + "Date", version=1), [0, 20_000, -200_000]),
    (Schema("INT32", name=_KAFKA + "Time", version=1), [0, 86_399_999]),
    (Schema(INT64, name=_KAFKA + "Timestamp", version=1), [0, -1, 1_700_000_000_123]),
]


def avro(schema: Schema, value: Any, null_is_default: bool = True) -> bytes:
    out = Writer()
    write_field(out, schema, value, null_is_default)
    return out.take()


def random_values(count: int, depth: int = 3, *, protobuf: bool = False) -> Iterator[tuple[Schema, Any]]:
    """Always the same. *protobuf*: structs without arrays in arrays, or nulls or defaults within arrays and maps."""
    rng = random.Random(SEED)
    for _ in range(count):
        yield _struct(rng, depth, protobuf, 0) if protobuf else _some(rng, depth, protobuf, 0)


def _some(rng: random.Random, depth: int, protobuf: bool, number: int) -> tuple[Schema, Any]:
    kind = rng.randrange(10) if depth else 0
    if kind == 1:
        item, value = (_item(rng, depth, number) if protobuf else _some(rng, depth - 1, protobuf, number))
        return Schema(ARRAY, items=item), [value] * rng.randrange(3)
    if kind in (2, 3):
        key, names = rng.choice(VALUES[:2]) if kind == 2 else (Schema(STRING), VALUES[4][1])
        item, value = (_item(rng, depth, number) if protobuf else _some(rng, depth - 1, protobuf, number))
        return (Schema(MAP, name=f"m.Map{number}", keys=key, items=item),
                {rng.choice(names): value} if rng.random() < 0.8 else {})
    if kind in (4, 5, 6):
        return _struct(rng, depth, protobuf, number)
    schema, values = rng.choice(VALUES)
    schema = replace(schema, optional=rng.random() < 0.5, default=rng.choice([None, values[0]]))
    return schema, rng.choice([None, *values]) if schema.optional else rng.choice(values)


def _item(rng: random.Random, depth: int, number: int) -> tuple[Schema, Any]:
    """A struct or a plain value that is not null."""
    if depth > 1 and rng.random() < 0.4:
        return _struct(rng, depth, True, number)
    schema, values = rng.choice(VALUES)
    return replace(schema, optional=rng.random() < 0.5), rng.choice(values)


def _struct(rng: random.Random, depth: int, protobuf: bool, number: int) -> tuple[Schema, Any]:
    fields = [_some(rng, depth - 1, protobuf, number * 10 + index) for index in range(rng.randrange(1, 5))]
    return (struct(f"s.Type{depth}x{number}", [(f"f{index}", schema) for index, (schema, _) in enumerate(fields)]),
            tuple(value for _, value in fields))
