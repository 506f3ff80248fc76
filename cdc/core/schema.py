"""Shapes of records: Connect schemas, and tables as the source knows them.

A `Schema` is a Kafka Connect schema (KIP-26, `org.apache.kafka.connect.data.Schema`), immutable and equal by
content. Values that go with it ("Connect values") are plain Python:

    INT8..INT64 int · FLOAT32/64 float · BOOLEAN bool · STRING str · BYTES bytes (a Decimal is its unscaled
    big-endian two's complement) · ARRAY list · MAP dict · STRUCT tuple, one item per field, in order · null None
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .codec import Codec

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


@dataclass(frozen=True, slots=True)
class TableId:
    """`schema` is empty where the database has none (MySQL)."""

    catalog: str
    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.schema or self.catalog}.{self.table}"


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One captured column: where its bytes are in a row, and how they become its field.

    `index` is the column's place in the source's row image; `schema` is the field's schema with the column's
    optionality and default; `codec` reads text-format bytes, `binary_codec` binary-format ones (None where the
    source never sends them). Column mappers (mask, truncate, hash) wrap the codecs; keys use `key_*`, unwrapped.
    `unchanged` is what stands for a value the log left out (an unchanged TOAST value); None where nothing can.
    `null_value` is what is written for a null (a mask hides nulls too, a source may have a fallback of its own for a
    required column); None where a null is a null, or the type's common fallback. It is not for keys.
    """

    index: int
    name: str
    field: str
    type_name: str
    schema: Schema
    codec: Codec
    binary_codec: Codec | None
    key_schema: Schema
    key_codec: Codec
    key_binary_codec: Codec | None
    unchanged: Any = None
    null_value: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class TableSchema:
    """A table at one version of its structure, with the schemas of its events. Compared by identity: the source
    keeps one object for as long as the structure stays the same."""

    id: TableId
    topic: str
    columns: tuple[Column, ...]
    """Captured columns, in the order of the row schema."""
    key: tuple[Column, ...]
    """Key columns in key order, filtered ones included; empty for a table without key."""
    key_schema: Schema | None
    value_schema: Schema
    """The row: `<topic>.Value`."""
    envelope_schema: Schema
    key_constant: tuple[tuple[str, Any], ...] = field(default=())
    """Key fields that no column gives (the physical table's name of a regex topic strategy), after the columns."""
