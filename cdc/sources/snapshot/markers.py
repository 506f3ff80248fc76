"""The `source.snapshot` field of snapshot rows: it marks the first and the last row, of each table and of all tables.

Debezium docs, "Snapshots"; Debezium source, SnapshotRecord. A row gets the first marker of this list that is true for
it: last, first, last_in_data_collection, first_in_data_collection, true. Only a row of the first table can be `first`:
if that table is empty, no row is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from cdc.core.record import Message

from .progress import Progress


class Passed:
    """A table without rows was passed."""


PASSED: Final = Passed()


def marked(rows: Iterable[tuple[Any, Any] | Progress | Passed | Message | None], *, resumed: bool = False,
           within: bool = False) -> Iterator[tuple[Any, Any, str] | Progress | Message | None]:
    """Turns `(table, row)` pairs into `(table, row, marker)`, in the same order. Tables are compared by identity.

    One row is always held back: only the next one shows whether it was the last of its table. None means "nothing
    yet", and is passed on; so does PASSED, and becomes None. A Message is passed on at once, a
    Progress behind the row before it.

    *resumed*: the first row of all was sent before. *within*: so was the first row of the first table.
    """
    held: tuple[Any, Any, bool] | None = None
    reached: Progress | None = None
    first = not resumed
    for each in rows:
        if isinstance(each, Message):
            yield each
            continue
        if each is None or isinstance(each, Passed):
            if each is not None and held is None:
                first = False
            yield None
            continue
        if isinstance(each, Progress):
            if held is None:
                yield each
            else:
                reached = each
            continue
        table, row = each
        if held is not None:
            yield held[0], held[1], _marker(first, held[0] is not table, held[2])
            first = False
            if reached is not None:
                yield reached
                reached = None
        held = (table, row, not within if held is None else held[0] is not table)
    if held is not None:
        yield held[0], held[1], "last"
    if reached is not None:
        yield reached


def _marker(first: bool, last_of_table: bool, first_of_table: bool) -> str:
    if first:
        return "first"
    if last_of_table:
        return "last_in_data_collection"
    return "first_in_data_collection" if first_of_table else "true"
