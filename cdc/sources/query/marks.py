"""How far each table was read, and its JSON in the offset.

The keys are Confluent's: `incrementing`, `timestamp` (ms since 1970) and `timestamp_nanos` (the nanoseconds within its
second). The tables of a connector have one position here, in which each key begins with the table's full name and a
bar: `shop.orders|timestamp`. It is stored in a source partition for each table, as Confluent's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from cdc.core.errors import PositionLostError
from cdc.core.position import Offset

QUERY: Final = ""
"""Stands for the query where a table's name stands."""
OF_QUERY: Final = {"query": "query"}
"""The source partition of a query."""
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
            raise _strange(key)
        parts.setdefault(name if bar else QUERY, {})[word] = value
    return {name: Mark(found.get("incrementing"), _moment(found)) for name, found in parts.items()}


def _strange(key: str) -> PositionLostError:
    return PositionLostError("The stored offset is none of this connector.",
                             hint="Reset the connector's offset to read all rows again.", key=key)


def _moment(found: Mapping[str, int]) -> int | None:
    ms, nanos = found.get("timestamp"), found.get("timestamp_nanos")
    if ms is None:
        return None
    return ms * 1000 if nanos is None else ms // 1000 * 1_000_000 + nanos // 1000


def divided(offset: Offset) -> dict[str, dict[str, Any]]:
    """The offset of each table that has a mark in *offset*."""
    return {name: QueryPosition({QUERY: mark}).offset() for name, mark in marks_of(offset).items()}


def joined(whole: Offset, tables: Mapping[str, Offset]) -> dict[str, Any]:
    """The offset with the marks of *tables*, and of *whole*, which has marks of all tables, as former releases wrote
    it. If both have one of a table, the earlier counts: somebody put a backup of *whole* back. Raises
    PositionLostError."""
    marks = marks_of(whole)
    for name, offset in tables.items():
        found = marks_of(offset)
        if found.keys() - {QUERY}:
            raise _strange(next(key for key in offset if "|" in key))
        mark = found.get(QUERY, Mark())
        marks[name] = _earlier(mark, marks[name]) if name in marks else mark
    return QueryPosition(marks).offset()


def _earlier(one: Mark, other: Mark) -> Mark:
    return Mark(*(min((each for each in pair if each is not None), default=None)
                  for pair in zip(one, other, strict=True)))
