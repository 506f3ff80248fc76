"""Which rows of MariaDB's system-versioned tables are current, and what a change of such a row means.

The log has former versions as rows: an update writes the new version and inserts the old one, and a delete updates the
end of the row's period. A SELECT without FOR SYSTEM_TIME, such as a snapshot's, shows current rows only; so do we.
MariaDB docs, "System-Versioned Tables"; sql/table.cc `TABLE::vers_update_fields`, sql/handler.h `vers_set_max`.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from cdc.core.row import BINARY, Row
from cdc.sources.mysql.ddl.structure import TableStructure

from .flavor import Flavor

Period: TypeAlias = tuple[int, ...]
"""The columns, by index, one of which ends the period. The other one is its start, which is never endless."""

HISTORY: Final = ""
"""In place of an op: only former versions changed."""
_ENDLESS: Final = frozenset((b"\x7f\xff\xff\xff\x0f\x42\x3f", b"\xff\xff\xff\xff\x0f\x42\x3f", b"\xff" * 8))
"""The ends of a current row's period: TIMESTAMP(6) before and since MariaDB 11.5, and BIGINT UNSIGNED (periods of
transactions)."""


def period_of(structure: TableStructure, flavor: Flavor) -> Period | None:
    """None for a table without row versions."""
    if not flavor.keeps_row_versions:
        return None
    if structure.versioned:
        return (len(structure.columns) + 1,)
    names = [column.name for column in structure.columns]
    if structure.period_end in names:
        return (names.index(structure.period_end),)
    pair = tuple(index for index, column in enumerate(structure.columns) if column.generated and not column.nullable)
    ends = tuple(index for index in pair if names[index] in structure.primary_key)
    return None if len(pair) != 2 else ends if len(ends) == 1 else pair


def op_of(op: str, before: Row | None, after: Row | None, period: Period) -> str:
    """What the change of a row means for the table's current rows: c, u, d or HISTORY."""
    was = before is not None and _is_current(before, None, period)
    is_ = after is not None and _is_current(after, before, period)
    if op == "u" and was != is_:
        return "d" if was else "c"
    return op if was or is_ else HISTORY


def _is_current(row: Row, before: Row | None, period: Period) -> bool:
    """Images may lack columns: *row* then has the value of *before*. The log has the end of a period whenever it is
    in the past."""
    for index in period:
        found = row if row.kind(index) == BINARY or before is None else before
        raw = found.raw(index)
        if raw is None or raw in _ENDLESS:
            return True
    return False
