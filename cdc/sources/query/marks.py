"""How far each table was read, and its JSON in the offset.

With a query the offset has Confluent's keys: `incrementing`, `timestamp` (ms since 1970) and `timestamp_nanos` (the
nanoseconds within its second). All tables share one offset here, in which each key begins with the table's full name
and a bar: `shop.orders|timestamp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from cdc.core.errors import PositionLostError
from cdc.core.position import Offset

QUERY: Final = ""
"""Stands for the query where a table's name stands."""
_KEYS: Final = ("incrementing", "timestamp", "timestamp_nanos")
_LIMIT: Final = 1 << 63


class Mark(NamedTuple):
    """The last row that was delivered: its incrementing column, and its timestamp in µs since 1970. None where the mode
    has none, or nothing was delivered."""

    incrementing: int | None = None
    moment_us: int | None = None


@dataclass(frozen=True, slots=True)
class QueryPosition:
    """The marks of all tables, by full name."""

    marks: Mapping[str, Mark]

    def offset(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, mark in self.marks.items():
            prefix = f"{name}|" if name else ""
            if mark.incrementing is not None:
                found[f"{prefix}incrementing"] = mark.incrementing
            if mark.moment_us is not None:
                found[f"{prefix}timestamp"] = mark.moment_us // 1000
                found[f"{prefix}timestamp_nanos"] = mark.moment_us % 1_000_000 * 1000
        return found


def marks_of(offset: Offset) -> dict[str, Mark]:
    """The marks of a stored *offset*. Raises PositionLostError."""
    parts: dict[str, dict[str, int]] = {}
    for key, value in offset.items():
        name, bar, word = key.rpartition("|")
        if word not in _KEYS or type(value) is not int or not -_LIMIT <= value < _LIMIT:
            raise PositionLostError("The stored offset is none of this connector.",
                                    hint="Reset the connector's offset to read all rows again.", key=key)
        parts.setdefault(name if bar else QUERY, {})[word] = value
    return {name: Mark(found.get("incrementing"), _moment(found)) for name, found in parts.items()}


def _moment(found: Mapping[str, int]) -> int | None:
    ms, nanos = found.get("timestamp"), found.get("timestamp_nanos")
    if ms is None:
        return None
    return ms * 1000 if nanos is None else ms // 1000 * 1_000_000 + nanos // 1000
