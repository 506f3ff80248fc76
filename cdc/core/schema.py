"""Connect schemas: the shapes of keys and values.

A `Schema` is a Kafka Connect schema (KIP-26, `org.apache.kafka.connect.data.Schema`), immutable and equal by
content. Values that go with it ("Connect values") are plain Python:

    INT8..INT64 int · FLOAT32/64 float · BOOLEAN bool · STRING str · BYTES bytes (a Decimal is its unscaled
    big-endian two's complement) · ARRAY list · MAP dict · STRUCT tuple, one item per field, in order · null None
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

INT8: Final = "INT8"
INT16: Final = "INT16"
INT32: Final = "INT32"
INT64: Final = "INT64"
FLOAT32: Final = "FLOAT32"
FLOAT64: Final = "FLOAT64"
BOOLEAN: Final = "BOOLEAN"
STRING: Final = "STRING"
BYTES: Final = "BYTES"
ARRAY: Final = "ARRAY"
MAP: Final = "MAP"
STRUCT: Final = "STRUCT"

DECIMAL: Final = "org.apache.kafka.connect.data.Decimal"
"""Semantic name of a decimal with a fixed scale; parameter `scale` is required."""


@dataclass(frozen=True, slots=True)
class Schema:
    """One Connect schema. `default` is a Connect value; None means there is no default."""

    type: str
    optional: bool = False
    name: str | None = None
    version: int | None = None
    doc: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    default: Any = None
    fields: tuple[Field, ...] = ()
    """STRUCT only."""
    items: Schema | None = None
    """Element schema of an ARRAY, value schema of a MAP."""
    keys: Schema | None = None
    """MAP only."""

    def parameter(self, key: str) -> str | None:
        for name, value in self.parameters:
            if name == key:
                return value
        return None

    def as_optional(self, optional: bool = True) -> Schema:
        return self if self.optional == optional else replace(self, optional=optional)


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    schema: Schema


def semantic(type_: str, name: str, version: int = 1, doc: str | None = None, **parameters: str) -> Schema:
    """A named literal type, such as Debezium's `io.debezium.time.Date`."""
    return Schema(type_, name=name, version=version, doc=doc, parameters=tuple(parameters.items()))


def struct(name: str, fields: Iterable[tuple[str, Schema]], version: int | None = None, *, optional: bool = False,
           doc: str | None = None) -> Schema:
    return Schema(STRUCT, name=name, version=version, optional=optional, doc=doc,
                  fields=tuple(Field(n, s) for n, s in fields))


def optional(type_: str) -> Schema:
    return Schema(type_, optional=True)
