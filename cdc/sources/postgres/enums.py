"""Columns of enums in rows: which labels does the schema name, and which values are known to have no others?

ALTER TYPE … ADD VALUE and RENAME VALUE are not in the log, so a value with an unknown label is the only sign of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from cdc.codecs.wrappers import unconverted
from cdc.core.dataclass import dataclass
from cdc.core.errors import DecodeError
from cdc.core.table import Column, TableSchema

from .protocol import Relation
from .remembered import family
from .types import TypeInfo

_MOST_KNOWN: Final = 4096
"""So many different arrays of one column are remembered."""


@dataclass(frozen=True)
class EnumColumn:
    """Column *index* of a row image, an enum or an array of one.

    `oid`, `labels`: the enum's.
    `known`: values, as they are in rows, that have no other labels.
    """

    index: int
    column: Column
    oid: int
    labels: frozenset[str]
    known: set[bytes] = field(compare=False)

    def unknown_labels(self, raw: bytes, *, binary: bool) -> list[str]:
        """The labels in the value *raw* that the schema does not name."""
        codec = self.column.key_binary_codec if binary else self.column.key_codec
        if codec is None:
            return []
        try:
            value = unconverted(codec).value(raw, 0, len(raw))
        except DecodeError:
            return []  # the converter says so
        found = [value] if isinstance(value, str) else [each for each in value if isinstance(each, str)]
        return [label for label in found if label not in self.labels]

    def accept(self, raw: bytes) -> None:
        """From now on *raw* is known."""
        if len(self.known) >= _MOST_KNOWN + len(self.labels):
            self.known.clear()
        self.known.add(raw)


def enum_columns(relation: Relation, table: TableSchema, types: Mapping[int, TypeInfo]) -> tuple[EnumColumn, ...]:
    """The columns of *table* that are enums in its events. *types*: by oid, of the columns of *relation*."""
    found = {}
    for column in (*table.columns, *table.key):
        schema = column.key_schema if column in table.key else column.schema
        if schema.name != _ENUM and (schema.items is None or schema.items.name != _ENUM):
            continue
        type_oid = relation.columns[column.index].type_oid
        enum = next((info for info in family([type_oid], types) if info.kind == "e"), None)
        if enum is not None:
            plain = {label.encode() for label in enum.labels} if schema.name == _ENUM else set()
            found[column.index] = EnumColumn(column.index, column, enum.oid, frozenset(enum.labels), plain)
    return tuple(found.values())


_ENUM: Final = "io.debezium.data.Enum"
