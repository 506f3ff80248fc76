"""Ranges of the primary key, for several readers of one table: by the bounds of the key and the server's statistics.

The first column of the key is divided evenly, as often as it takes: the server estimates the rows of a range from a few
pages of the index, and a range with too many is divided again when its turn comes. Rows are never counted.

MySQL Reference Manual, "EXPLAIN Output Format", "Equality Range Optimization of Many-Valued Comparisons".
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

from cdc.core.named_tuple import NamedTuple
from cdc.core.table import TableId
from cdc.sources.snapshot.progress import CHUNK_ROWS, Place

from .connection import Connection, query, query_named
from .key_order import NUMBERS, Order
from .quoting import quoted, quoted_table

RANGE_BYTES: Final = 1 << 20
_SMALLEST_ROWS: Final = 1000
_AT_ONCE: Final = 16
_ROW_BYTES: Final = """\
SELECT AVG_ROW_LENGTH FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"""


class KeyRange(NamedTuple):
    """The rows behind place `after` whose first key column is above `low` and not above `high`; None sets no bound.

    `first`, `last`: the values that column has in between, as far as is known. `rows`: how many there are, estimated; 0
    if the range cannot be divided. `wanted`: the rows that a range should have.
    """

    after: Place | None = None
    low: int | None = None
    high: int | None = None
    first: int = 0
    last: int = 0
    rows: int = 0
    wanted: int = 0

    def conditions(self, order: Order) -> list[str]:
        name = quoted(order.columns[0].name)
        return [*([] if self.low is None else [f"{name} > {self.low}"]),
                *([] if self.high is None else [f"{name} <= {self.high}"])]


def whole(conn: Connection, id: TableId, order: Order, after: Place | None, fewest: int) -> KeyRange:
    """The table behind *after*, which may be divided if its key has an order in numbers. *fewest*: the number of ranges
    of a table that is not small. Raises SourceError."""
    column = order.columns[0]
    range = KeyRange(after)
    if column.base not in NUMBERS:
        return range
    name = quoted(column.name)
    (least, most), = query(conn, f"SELECT MIN({name}), MAX({name}) FROM {quoted_table(id)}")
    if least is None:
        return range
    begun = order.first_value(after) if after is not None else None
    first = _whole_number(begun if begun is not None else least, ROUND_FLOOR)
    range = range._replace(first=first, last=_whole_number(most, ROUND_CEILING))
    rows = _estimate(conn, id, order, range)
    (row_bytes,), = query(conn, _ROW_BYTES, id.catalog, id.table) or ((0,),)
    fitting = RANGE_BYTES // max(1, int(row_bytes or 0))
    wanted = min(CHUNK_ROWS, max(1, fitting), max(_SMALLEST_ROWS, rows // fewest))
    return range._replace(rows=rows, wanted=wanted)


def divided(conn: Connection, id: TableId, order: Order, range: KeyRange) -> Sequence[KeyRange]:
    """Smaller ranges in place of *range*; none if it is small enough. Raises SourceError."""
    width = range.last - range.first
    count = min(_AT_ONCE, -(-range.rows // max(1, range.wanted)), width)
    if range.rows <= range.wanted * 3 // 2 or count < 2:
        return []
    bounds = sorted({range.first + width * number // count for number in _numbers(1, count)})
    edges: list[int | None] = [range.low, *bounds, range.high]
    found: list[KeyRange] = []
    for number, low in enumerate(edges[:-1]):
        first, last = low if number else range.first, edges[number + 1] if number < len(bounds) else range.last
        assert first is not None
        assert last is not None
        part = range._replace(low=low, high=edges[number + 1], first=first, last=last,
                              after=range.after if number == 0 else None)
        part = part._replace(rows=_estimate(conn, id, order, part))
        before = found[-1] if found else None
        if before is not None and before.rows + part.rows <= range.wanted:
            found[-1] = before._replace(high=part.high, last=part.last, rows=before.rows + part.rows)
        else:
            found.append(part)
    return found if len(found) > 1 else []


_numbers = range


def _estimate(conn: Connection, id: TableId, order: Order, range: KeyRange) -> int:
    """MySQL 9 explains as a tree unless asked for the table (`explain_format`), and does not look into an index that a
    query is forced to use: it then expects one row."""
    where = " AND ".join(range.conditions(order)) or "TRUE"
    plan = query_named(conn, f"EXPLAIN FORMAT=TRADITIONAL SELECT 1 FROM {quoted_table(id)} USE INDEX (PRIMARY)"
                             f" WHERE {where}")
    return max((int(row["rows"] or 0) for row in plan), default=0)


def _whole_number(value: Any, rounding: str) -> int:
    return int(Decimal(value).to_integral_value(rounding))
