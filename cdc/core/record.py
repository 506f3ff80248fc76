"""The records inside the service.

`Record` is one change of one row (or a truncate); `Message` is everything else that goes to a topic: transaction
metadata, heartbeats, logical decoding messages, schema changes. A source yields both, in order, in `Batch`es.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from dataclasses import field
from typing import Any

import cython  # noqa: F401

from .dataclass import dataclass
from .named_tuple import NamedTuple
from .position import Position
from .row import Row
from .schema import Schema
from .table import TableSchema

CREATE = "c"
UPDATE = "u"
DELETE = "d"
READ = "r"
TRUNCATE = "t"
TOMBSTONE = ""
"""Not an op of the envelope: a record with the delete's key and no value."""


class SourceContext:
    """The part of the envelope's `source` struct that many records share: one table within one transaction.

    *values* are the struct's Connect values in field order; `varying` lists, ascending, the field indexes that each
    record fills from its own `source_values`. `cache` belongs to whoever serialises it.
    """

    def __init__(self, schema: Schema, values: tuple[Any, ...], varying: tuple[int, ...]) -> None:
        self.schema = schema
        self.values = values
        self.varying = varying
        self.cache: Any = None

    def merged(self, source_values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The whole struct's values for one record."""
        values = list(self.values)
        for index, value in zip(self.varying, source_values, strict=True):
            values[index] = value
        return tuple(values)


class Record:
    """One change. *op* decides which rows it has: c and r *after*; u *after*, and mostly *before*; d *before*; t none.
    A tombstone has, as *before*, the row of its key.

    *key_row*: the row that gives the key; None for a null key.
    *block*: the transaction block `(id, total_order, data_collection_order)`, or None.
    *key_headers*: `(name, row)`, for headers that hold the key struct of that row (`__debezium.newkey`,
    `__debezium.oldkey`).
    *other*: the old image, for values that the new one leaves out, if it is not *before*.
    """

    def __init__(self, op: str, table: TableSchema, before: Row | None, after: Row | None, key_row: Row | None,
                 source: SourceContext, source_values: tuple[Any, ...], block: tuple[Any, ...] | None = None,
                 key_headers: tuple[tuple[str, Row], ...] = ()) -> None:
        self.op = op
        self.table = table
        self.before = before
        self.after = after
        self.key_row = key_row
        self.source = source
        self.source_values = source_values
        self.block = block
        self.key_headers = key_headers
        self.other: Row | None = None


@dataclass(frozen=True)
class Message:
    """A record that is no row change. It carries its topic, key and value. *headers* are name, schema and value."""

    topic: str
    key_schema: Schema | None
    key: Any
    value_schema: Schema | None
    value: Any
    kafka_partition: int | None = None
    context_headers: bool = False
    headers: tuple[tuple[str, Schema, Any], ...] = ()


class MessageKind(NamedTuple):
    """What messages of one kind have in common."""

    topic: str
    key_schema: Schema
    value_schema: Schema


@dataclass(frozen=True)
class Batch:
    """Records in order, and the position that applies once all of them are delivered.

    `changes`: the number of changes that the source read for it, filtered ones included.
    `source_ts_us`: the newest time of a change at the server, in µs since the epoch; 0 if unknown.
    """

    records: MutableSequence[Record | Message]
    position: Position
    size_bytes: int
    source_ts_us: int = 0
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    """The number of records by (table, op), for the metrics."""
    commits: Sequence[tuple[int, int]] = ()
    """Times at which changes of the batch were committed, in µs since the epoch, each with the number of changes; for
    the metrics. Empty for a snapshot."""
    commit_soon: bool = False
    """The server waits for our answer (it may be shutting down): commit as soon as this batch is delivered."""
    native: Any = None
    """The same records as C arrays, if the source has made them so (`cdc.native`): `records` then makes a view of each
    when it is asked for."""
