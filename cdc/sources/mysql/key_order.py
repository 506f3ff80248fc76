"""The order in which a snapshot reads a table, so that a later attempt can go on behind a row: by primary key.

InnoDB keeps rows in this order, so it costs nothing. A later attempt sees the table at another time. A row that was
updated meanwhile is where it was, unless its key changed; then the stream has a delete and an insert, with the whole
row in the log. Where the stream leaves out such events, or parts of them, a table is read again from its start.

MySQL Reference Manual, "Clustered and Secondary Indexes", "Character Set Introducers", "Hexadecimal Literals".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from cdc.core.dataclass import dataclass
from cdc.core.late_regex import late_regex
from cdc.core.row import Row
from cdc.core.table import TableId, TableSchema
from cdc.sources.snapshot.progress import Place

from .ddl.structure import ColumnDef, Structures
from .options import MySqlConfig
from .quoting import quoted

_NUMBER: Final = late_regex(rb"-?\d+(\.\d+)?")
_TIME: Final = late_regex(rb"[-0-9:. ]+")
_KEY: Final = late_regex(r"^  PRIMARY KEY \((.+)\)", re.MULTILINE)
_PART: Final = late_regex(r"`\(\d+\)")
_CLUSTERED: Final = late_regex(r"^\) ENGINE=(?:InnoDB|ROCKSDB)\b", re.MULTILINE)
_NAME: Final = late_regex(r"\w+", re.ASCII)
NUMBERS: Final = frozenset({"TINYINT", "SMALLINT", "MEDIUMINT", "INT", "INTEGER", "BIGINT", "DECIMAL", "NUMERIC"})
_TIMES: Final = frozenset({"DATE", "DATETIME", "TIMESTAMP"})
_TEXTS: Final = frozenset({"CHAR", "VARCHAR"})
_BYTES: Final = frozenset({"BINARY", "VARBINARY"})
"""Types whose values order as their literals do. Not so ENUM, floating point numbers and MariaDB's own types."""


@dataclass(frozen=True)
class Order:
    """By the primary key's *columns*, which are at *indexes* of a row. *collation*: the table's, which columns without
    one of their own have."""

    columns: tuple[ColumnDef, ...]
    indexes: tuple[int, ...]
    collation: str | None = None

    def clause(self, after: Place | None, conditions: Sequence[str] = ()) -> str:
        """WHERE and ORDER BY of the rows after a place of this order that meet the *conditions*; None and a place of
        another order are before all rows."""
        names = [quoted(each.name) for each in self.columns]
        values = self._values(after) if after is not None else None
        behind: list[str] = []
        if values is not None:
            equal = [f"{name} = {value}" for name, value in zip(names, values, strict=True)]
            behind.append("(" + " OR ".join(
                "(" + " AND ".join([*equal[:index], f"{names[index]} > {values[index]}"]) + ")"
                for index in range(len(names))) + ")")
        where = " AND ".join([*behind, *conditions])
        return f"{f' WHERE {where}' if where else ''} ORDER BY {', '.join(names)}"

    def first_value(self, after: Place) -> str | None:
        """The literal of the first column at a place of this order; None for another order."""
        values = self._values(after)
        return values[0] if values else None

    def place(self, row: Row) -> Place:
        """The one behind *row*."""
        values = [(row.raw(index) or b"").hex() for index in self.indexes]
        return Place(json.dumps([self._kind(), values], separators=(",", ":")))

    def _kind(self) -> list[list[str | int | None]]:
        """What the order depends on."""
        return [[each.name, each.type_name, each.length, each.charset, each.collation or self.collation]
                for each in self.columns]

    def _values(self, after: Place) -> list[str] | None:
        kind, values = json.loads(after.text)
        if kind != self._kind():
            return None
        found = [_literal(column, bytes.fromhex(value)) for column, value in zip(self.columns, values, strict=True)]
        return None if None in found else [each for each in found if each is not None]


class KeyOrder:
    """The order of each table's rows."""

    def __init__(self, structures: Structures, creates: Mapping[TableId, str], config: MySqlConfig,
                 row_image: str) -> None:
        """*creates*: the tables' CREATE statements. *row_image*: the server's `binlog_row_image`."""
        self._structures = structures
        self._creates = creates
        left_out = {"c", "u", "d"} & set(config.skipped_operations) or (
            config.gtid_source_filter_dml_events and (config.gtid_source_includes or config.gtid_source_excludes))
        self._usable = row_image == "FULL" and not left_out
        self._hides = any(rule.mapper.hides for rule in config.column_mappers)

    def order(self, table: TableSchema, read: tuple[int, ...]) -> Order | None:
        """Of *table*, of which the columns at indexes *read* are read; None if it has no order to go on by, or if the
        offset would show values that may be hidden in the events. Those of the message key are not."""
        structure = self._structures.get(table.id)
        if structure is None or not structure.primary_key or not self._usable or not self._kept_so(table.id):
            return None
        columns = tuple(column for name in structure.primary_key if (column := structure.column(name)) is not None)
        indexes = tuple(structure.columns.index(column) for column in columns)
        if len(columns) != len(structure.primary_key) or not set(indexes) <= set(read):
            return None
        if self._hides and not set(indexes) <= {column.index for column in table.key}:
            return None
        return Order(columns, indexes, structure.collation) if all(map(_orderly, columns)) else None


    def _kept_so(self, id: TableId) -> bool:
        """Whether the server keeps the rows in this order. Elsewhere, and by a key of parts of columns, it would sort
        the whole table on its disk."""
        create = self._creates.get(id, "")
        key = _KEY.search(create)
        return key is not None and _CLUSTERED.search(create) is not None and _PART.search(key[1]) is None


def _orderly(column: ColumnDef) -> bool:
    if column.base in _TEXTS:
        return _NAME.fullmatch(column.charset or "") is not None
    return column.base in NUMBERS | _TIMES | _BYTES


def _literal(column: ColumnDef, value: bytes) -> str | None:
    """*value*, as the server printed it, for a comparison with *column*; None if it cannot be one of its type."""
    if column.base in NUMBERS:
        return value.decode() if _NUMBER.fullmatch(value) else None
    if column.base in _TIMES:
        return f"'{value.decode()}'" if _TIME.fullmatch(value) else None
    introducer = f"_{column.charset} " if column.base in _TEXTS else ""
    return f"{introducer}X'{value.hex()}'"
