"""What transforms make of every change of one table with one op, where that is the same for each row.

A chain asks its transforms once per table and op. If all of them know, the converter compiles the outcome into a plan
of the table, and no view of a record is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any, Final

import cython  # noqa: F401

from .dataclass import dataclass
from .named_tuple import NamedTuple
from .record import DELETE, TOMBSTONE, TRUNCATE, Message, Record
from .schema import Schema
from .table import TableSchema
from .view import RecordView

CONSTANT: Final = 0
OPERATION: Final = 1
CLOCK: Final = 2
SOURCE: Final = 3
BLOCK: Final = 4


class Extra(NamedTuple):
    """One value that follows a row. *kind*: CONSTANT, the text *constant*; OPERATION, the op; CLOCK, the connector's
    clock in units of *number* ns; SOURCE and BLOCK, field *number* of the source block and of the transaction block."""

    kind: int
    number: int = 0
    constant: str | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of all transforms, compared by identity.

    `table`, `op`: what all records have in common. Those with an op of c, r and u have the row `after`.
    `image`: the value is the envelope (`envelope`), a row (`before`, `after`), or null (`null`).
    `value_schema`: of the value; None for a null without schema.
    `extras`: values that follow a row.
    `defaults`: nulls of the row are its columns' defaults.
    `key_schema`, `key_more`: of the key, and texts that follow its columns.
    `dropped`: there is no result.
    `view`: gives the same result for one record, as a view.
    """

    table: TableSchema
    op: str
    topic: str
    value_schema: Schema | None
    key_schema: Schema | None
    image: str = "envelope"
    extras: tuple[Extra, ...] = ()
    defaults: bool = False
    key_more: tuple[str, ...] = ()
    dropped: bool = False
    view: Callable[[Record, int], RecordView] | None = field(default=None, repr=False)

    @property
    def is_null(self) -> bool:
        """Whether the value is null."""
        return self.image == "null"

    @property
    def is_envelope(self) -> bool:
        """Whether the value is an envelope."""
        return self.image == "envelope"

    @property
    def row(self) -> str:
        """The row that the event has: `after`, for a delete `before`, empty for a truncate."""
        return {DELETE: "before", TRUNCATE: ""}.get(self.op, "after")


def untransformed(table: TableSchema, op: str) -> Outcome:
    """The outcome of a chain without transforms."""
    tombstone = op == TOMBSTONE
    return Outcome(table, op, table.topic, None if tombstone else table.envelope_schema, table.key_schema,
                   "null" if tombstone else "envelope")


class Shaped:
    """A change and its outcome, which is not `dropped`."""

    def __init__(self, record: Record, outcome: Outcome) -> None:
        self.record = record
        self.outcome: Any = outcome

    def view(self, now_us: int) -> RecordView:
        """The same as a view. *now_us*: the connector's clock, µs since 1970."""
        made: RecordView = self.outcome.view(self.record, now_us)
        return made


Transformed = Record | Message | RecordView | Shaped
"""A record behind the transforms: as it was, with an outcome, or as a view."""
