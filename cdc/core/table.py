"""Tables as a source knows them: names, captured columns with their codecs, and the schemas of their events."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Any

from .codec import Codec
from .dataclass import dataclass
from .schema import Schema


@dataclasses.dataclass(frozen=True, slots=True)
class TableId:
    """`schema` is empty where the database has none (MySQL)."""

    catalog: str
    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.schema or self.catalog}.{self.table}"


@dataclass(frozen=True, eq=False)
class Column:
    """One captured column: the place of its bytes in a row, and how they become its field.

    `index`: the column's place in the source's row image.
    `schema`: the field's schema, with the column's optionality and default.
    `codec`, `binary_codec`: read text-format and binary-format bytes; None if the source never sends that format.
    Column mappers (mask, truncate, hash) wrap these two; keys use `key_*`, which are not wrapped.
    `unchanged`: replaces a value that the log left out (an unchanged TOAST value); None if the type has no such value.
    `unchanged_in_key`: `unchanged` is the column's true value (its default in an insert), so a key may have it.
    `null_value`: replaces a null (a mask hides nulls too, and a source may have its own fallback for a required
    column); None if nulls stay, or get the type's common fallback. Keys do not use it.
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
    unchanged_in_key: bool = False


@dataclass(frozen=True, eq=False)
class TableSchema:
    """A table at one version of its structure, with the schemas of its events. Compared by identity: the source uses
    one object as long as the structure stays the same."""

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
    """Key fields that are no columns (a regex topic strategy adds the physical table's name), after the columns."""
