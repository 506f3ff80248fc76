"""From row images to records, for every source: what a change of a key becomes, what is skipped, what is counted.

Debezium docs, "Update events", "Primary key updates", "Delete events", "Tombstone events", "Transaction metadata".
"""

from __future__ import annotations

from typing import Any

import cython

from cdc.core.errors import DecodeError
from cdc.core.record import CREATE, DELETE, TOMBSTONE, TRUNCATE, UPDATE, Message, Record, SourceContext
from cdc.core.row import ABSENT, BINARY, UNCHANGED, Row
from cdc.core.schema import Column, TableSchema

NEW_KEY = "__debezium.newkey"
OLD_KEY = "__debezium.oldkey"


class Counters:
    """`provide.transaction.metadata`: how many events the transaction has, in all and by collection."""

    def __init__(self) -> None:
        self.total = 0
        self.per_table: dict[str, int] = {}

    def next(self, collection: str, id_: str) -> tuple[str, int, int]:
        """The `transaction` block of the next event."""
        self.total += 1
        count = self.per_table.get(collection, 0) + 1
        self.per_table[collection] = count
        return id_, self.total, count


class Target:
    """A captured table as rows of one structure are to be emitted."""

    def __init__(self, table: TableSchema, collection: str) -> None:
        self.table = table
        self.collection = collection
        self.captured = tuple(column.index for column in table.columns)
        self.key = tuple(column.index for column in table.key)
        self.mapped = {column.index: column for column in table.columns if column.codec is not column.key_codec}


class Place:
    """Where a change comes from: the source block, its own values in it, and the transaction it counts in.

    *live* is False for a change that was delivered before a restart: it counts, and is not emitted. *counters* is None
    without transaction metadata.
    """

    def __init__(self, context: SourceContext, values: tuple[Any, ...], live: bool, counters: Counters | None = None,
                 transaction_id: str = "") -> None:
        self.context = context
        self.values = values
        self.live = live
        self.counters = counters
        self.transaction_id = transaction_id


def shown(column: Column, row: Row) -> Any:
    """What is written of a column's value."""
    data = row.raw(column.index)
    if data is None:
        return column.null_value
    codec = column.binary_codec if row.kind(column.index) == BINARY and column.binary_codec else column.codec
    return codec.value(data, 0, len(data))


class Emitter:
    """Gathers records. `take` and `take_counts` empty it."""

    def __init__(self, *, skipped: frozenset[str], tombstones: bool, skip_unchanged: bool) -> None:
        self.skip_create = CREATE in skipped
        self.skip_update = UPDATE in skipped
        self.skip_delete = DELETE in skipped
        self.skip_truncate = TRUNCATE in skipped
        self.tombstones = tombstones
        self.skip_unchanged = skip_unchanged
        self.records: list[Record | Message] = []
        self.counts: dict[tuple[str, str], int] = {}
        self.filtered = 0
        self._run = 0
        self._run_of: tuple[str, str] = ("", "")

    def take(self, count: int | None = None) -> list[Record | Message]:
        """The first *count* of them; all by default."""
        records = self.records
        if count is None or count >= len(records):
            self.records = []
            return records
        self.records = records[count:]
        return records[:count]

    def take_counts(self) -> dict[tuple[str, str], int]:
        self._end_run()
        counts = self.counts
        self.counts = {}
        return counts

    def create(self, target: Target, place: Place, after: Row) -> None:
        if not self.skip_create:
            self.emit(target, place, CREATE, None, after, after, (), None)

    def delete(self, target: Target, place: Place, before: Row) -> None:
        if not self.skip_delete:
            self.emit(target, place, DELETE, before, None, before, (), None)
            self.tombstone(target, place, before, ())

    def update(self, target: Target, place: Place, before: Row | None, after: Row) -> None:
        """A changed key is a delete of the old one and a create of the new one."""
        if self.skip_update:
            return
        if before is not None and target.key and self.key_differs(target, before, after):
            new_key = ((NEW_KEY, after),)
            self.emit(target, place, DELETE, before, None, before, new_key, None)
            self.tombstone(target, place, before, new_key)
            self.emit(target, place, CREATE, None, after, after, ((OLD_KEY, before),), before)
        elif self.skip_unchanged and before is not None and self.same(target, before, after):
            self.filtered += 1
        else:
            self.emit(target, place, UPDATE, before, after, after, (), None)

    def truncate(self, target: Target, place: Place) -> None:
        if not self.skip_truncate:
            self.emit(target, place, TRUNCATE, None, None, None, (), None)

    def key_differs(self, target: Target, before: Row, after: Row) -> bool:
        for index in target.key:
            kind = after.kind(index)
            known = kind != UNCHANGED and kind != ABSENT and before.kind(index) != ABSENT  # noqa: PLR1714
            if known and not before.same(index, after):
                return True
        return False

    def same(self, target: Target, before: Row, after: Row) -> bool:
        for index in target.captured:
            if before.kind(index) == ABSENT:
                return False
            if after.kind(index) != UNCHANGED and not before.same(index, after) \
                    and not self.shown_alike(target, index, before, after):
                return False
        return True

    def shown_alike(self, target: Target, index: int, before: Row, after: Row) -> bool:
        """Whether a mask, a hash or a cut leaves no difference."""
        column = target.mapped.get(index)
        if column is None:
            return False
        try:
            return bool(shown(column, before) == shown(column, after))
        except DecodeError:
            return False

    def emit(self, target: Target, place: Place, op: str, before: Row | None, after: Row | None, key_row: Row | None,
             headers: tuple[Any, ...], other: Row | None) -> None:
        block = None
        if place.counters is not None:
            block = place.counters.next(target.collection, place.transaction_id)
        if not place.live:
            return
        if cython.compiled:
            record = new_record(op, target.table, before, after, key_row, place.context, place.values, block, headers)
        else:
            record = Record(op, target.table, before, after, key_row, place.context, place.values, block, headers)
        record.other = other
        self.records.append(record)
        if self._run_of[0] is not target.collection or self._run_of[1] != op:
            self._end_run()
            self._run_of = (target.collection, op)
        self._run += 1

    def _end_run(self) -> None:
        """Rows of one table mostly come in a row, and are counted so."""
        if self._run:
            self.counts[self._run_of] = self.counts.get(self._run_of, 0) + self._run
            self._run = 0

    def tombstone(self, target: Target, place: Place, row: Row, headers: tuple[Any, ...]) -> None:
        if self.tombstones and place.live:
            self.records.append(Record(TOMBSTONE, target.table, row, None, row, place.context, place.values, None,
                                       headers))
