"""`source.snapshot` of rows read by a snapshot: which is the first, which the last, of a table and of all.

Debezium docs, "Snapshots"; Debezium source, SnapshotRecord. One row's marker is the strongest that holds: last, first,
last_in_data_collection, first_in_data_collection, true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def marked(rows: Iterable[tuple[Any, Any] | None]) -> Iterator[tuple[Any, Any, str] | None]:
    """`(table, row)` in order to `(table, row, marker)`. One row is held back, since only what follows it says
    whether it was the last. None, for "nothing yet", is passed on."""
    held: tuple[Any, Any, bool] | None = None
    first = True
    for each in rows:
        if each is None:
            yield None
            continue
        table, row = each
        if held is not None:
            yield held[0], held[1], _marker(first, held[0] is not table, held[2])
            first = False
        held = (table, row, held is None or held[0] is not table)
    if held is not None:
        yield held[0], held[1], "last"


def _marker(first: bool, last_of_table: bool, first_of_table: bool) -> str:
    if first:
        return "first"
    if last_of_table:
        return "last_in_data_collection"
    return "first_in_data_collection" if first_of_table else "true"
