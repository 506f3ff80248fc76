"""What is in flight inside the service.

`Record` is one change of one row (or a truncate); `Message` is everything else that goes to a topic: transaction
metadata, heartbeats, logical decoding messages, schema changes. A source yields both, in order, in `Batch`es.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cython  # noqa: F401

from .position import Position
from .row import Row
from .schema import Schema, TableSchema

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
    """One change. Which rows are there follows from *op*: c and r after; u after and mostly before; d before;
    t none; a tombstone has the row its key comes from as *before*.

    *key_row* is the row the key is taken from (None: the record has a null key). *block* is the transaction block
    `(id, total_order, data_collection_order)` or None. *key_headers* are `(name, row)`: headers whose value is the
    key struct of that row (`__debezium.newkey`, `__debezium.oldkey`). *other* is the old image that gives values the
    new one leaves out, where it is not *before*.
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


@dataclass(frozen=True, slots=True)
class Message:
    """A record that is not a row change: topic, key and value are given outright."""

    topic: str
    key_schema: Schema | None
    key: Any
    value_schema: Schema | None
    value: Any
    kafka_partition: int | None = None
    context_headers: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in order, and the position that is reached when all of them have been delivered.

    `changes` counts what the source read for it (filtered ones too); `source_ts_us` is the newest source time,
    µs since the epoch, 0 when unknown.
    """

    records: list[Record | Message]
    position: Position
    size_bytes: int
    source_ts_us: int = 0
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    """(table, op) -> how many, for the metrics."""
    commit_soon: bool = False
    """The server waits for our answer (it is shutting down, perhaps): commit as soon as this is delivered."""
