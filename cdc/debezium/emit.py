# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""From row images to records, for every source: key changes, tombstones, skipped operations, counts.

Debezium docs, "Update events", "Primary key updates", "Delete events", "Tombstone events", "Transaction metadata".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cython

from cdc.core.errors import DecodeError
from cdc.core.record import CREATE, DELETE, TOMBSTONE, TRUNCATE, UPDATE, Message, Record, SourceContext
from cdc.core.row import ABSENT, BINARY, UNCHANGED, Row
from cdc.core.table import Column, TableSchema

NEW_KEY = "__debezium.newkey"
OLD_KEY = "__debezium.oldkey"
HIDDEN: tuple[tuple[str, Any], ...] = ((OLD_KEY, None),)
"""The `key_headers` of a change of a watched table that is skipped: whoever watches the table takes it out."""
_TOGETHER_US = 1000


class Counters:
    """`provide.transaction.metadata`: the events of one transaction so far, in total and per collection."""

    def __init__(self) -> None:
        self.total = 0
        self.per_table: dict[str, int] = {}

    def next(self, collection: str, id_: str) -> tuple[str, int, int]:
        """Counts one event and returns its `transaction` block."""
        self.total += 1
        count = self.per_table.get(collection, 0) + 1
        self.per_table[collection] = count
        return id_, self.total, count

    def some(self, collection: str, count: int) -> tuple[int, int]:
        """Counts *count* events, and returns the numbers in the first one's `transaction` block."""
        total, of_table = self.total, self.per_table.get(collection, 0)
        self.total = total + count
        self.per_table[collection] = of_table + count
        return total + 1, of_table + 1


class EmittedTable:
    """A captured table, as rows of one structure are emitted. *collection* is its name in counts and metadata.
    *watched*: somebody looks at each of its changes, so that none of them is skipped here, or left to C."""

    def __init__(self, table: TableSchema, collection: str, watched: bool = False) -> None:
        self.table = table
        self.collection = collection
        self.watched = watched
        self.captured = tuple(column.index for column in table.columns)
        self.key = tuple(column.index for column in table.key)
        self.mapped = {column.index: column for column in table.columns if column.codec is not column.key_codec}


class Origin:
    """Where a change comes from: the shared part of its source block, and the transaction that it belongs to.

    A source makes one object for many changes, and sets per change only the attributes that differ.

    `values`: the fields of the source block that are this change's own.
    `live`: False for a change that was delivered before a restart: it is counted, but not emitted.
    `counters`: None without transaction metadata.
    `transaction_id`: the id in the `transaction` block; read only with `counters`.
    """

    def __init__(self, context: SourceContext, values: tuple[Any, ...], live: bool, counters: Counters | None = None,
                 transaction_id: str = "") -> None:
        self.context = context
        self.values = values
        self.live = live
        self.counters = counters
        self.transaction_id = transaction_id


def shown(column: Column, row: Row) -> Any:
    """A column's value as it is written: masked, hashed or cut, if the configuration says so."""
    data = row.raw(column.index)
    if data is None:
        return column.null_value
    codec = column.binary_codec if row.kind(column.index) == BINARY and column.binary_codec else column.codec
    return codec.value(data, 0, len(data))


class Emitter:
    """Collects records until `take`, and counts them until `take_counts`.

    An item of `records` may also stand for many changes that somebody else makes records of (`add_many`). `take`,
    `undo` and `size` take indexes of items; `size` counts records.

    *skipped*: the operations of `skipped.operations`.
    *tombstones*: whether a tombstone follows each delete.
    *skip_unchanged*: `skip.messages.without.change`.
    *skip_halves*: a changed key gives a delete and a create. Debezium's PostgreSQL connector applies *skipped* to each
    of the two by its own operation; its MySQL and MariaDB connectors apply it to the update as a whole.
    *whole_keys*: the event of an update has no old row if the log's image of it lacks a part of the key.

    A key column that the old image lacks does not count as changed: its old value is not known.

    `watched`: there may be changes of watched tables among `records`. Those that are skipped have `HIDDEN`.
    """

    def __init__(self, *, skipped: frozenset[str], tombstones: bool, skip_unchanged: bool, skip_halves: bool = False,
                 whole_keys: bool = False) -> None:
        self.skip_create = CREATE in skipped
        self.skip_update = UPDATE in skipped
        self.skip_delete = DELETE in skipped
        self.skip_truncate = TRUNCATE in skipped
        self.skip_old_half = skip_halves and DELETE in skipped
        self.skip_new_half = skip_halves and CREATE in skipped
        self.whole_keys = whole_keys
        self.tombstones = tombstones
        self.skip_unchanged = skip_unchanged
        self.records: list[Any] = []
        self.watched = False
        self.more = 0
        self.counts: dict[tuple[str, str], int] = {}
        self.filtered = 0
        self._commits: list[tuple[int, int]] = []
        self._commit_us = 0
        self._committed = 0
        self._unmarked = 0
        self._run = 0
        self._run_of: tuple[str, str] = ("", "")

    def take(self, count: int | None = None) -> list[Any]:
        """Removes and returns the first *count* items; all by default."""
        records = self.records
        if count is None or count >= len(records):
            self.records = []
            self.more = 0
            return records
        self.records = records[count:]
        self._count_more()
        return records[:count]

    def size(self, first: int = 0) -> int:
        """How many records the items from index *first* on are."""
        if not self.more or not first:
            return len(self.records) - first + self.more
        return sum([1 if isinstance(each, Record | Message) else len(each) for each in self.records[first:]])

    def _count_more(self) -> None:
        """`more`: records besides one for each item."""
        if self.more:
            self.more = sum([len(each) - 1 for each in self.records if not isinstance(each, Record | Message)])

    def take_counts(self) -> dict[tuple[str, str], int]:
        """Records emitted since the last call, by (table, op); tombstones do not count."""
        self._end_run()
        counts = self.counts
        self.counts = {}
        return counts

    def mark(self, time_us: int) -> None:
        """What was emitted since the last mark was committed at *time_us*, in µs since the epoch."""
        if not self._unmarked:
            return
        if not self._commit_us <= time_us < self._commit_us + _TOGETHER_US:
            self._end_commits()
            self._commit_us = time_us
        self._committed += self._unmarked
        self._unmarked = 0

    def take_commits(self, time_us: int) -> list[tuple[int, int]]:
        """Commit times, each with the number of changes that were committed then or within the millisecond after it,
        since the last call, in the log's order.

        *time_us* is that of the transaction whose end has not been read yet; its changes wait if some of them still
        wait to be taken.
        """
        if not self.records:
            self.mark(time_us)
        self._end_commits()
        commits = self._commits
        self._commits = []
        return commits

    def _end_commits(self) -> None:
        if self._committed:
            self._commits.append((self._commit_us, self._committed))
            self._committed = 0

    def window(self) -> tuple[int, int, int]:
        """The time of the newest marks, how many changes they count, and how many are not marked; see `set_window`."""
        return self._commit_us, self._committed, self._unmarked

    def set_window(self, commits: list[tuple[int, int]], window: tuple[int, int, int]) -> None:
        """Somebody else went on from `window`: *commits* are over, and *window* is what it is now."""
        self._commits += commits
        self._commit_us, self._committed, self._unmarked = window

    def add_counts(self, collection: str, counts: Sequence[tuple[str, int]]) -> None:
        """Records that somebody else has emitted, as pairs of op and number; `set_window` has them as well."""
        for op, number in counts:
            if number:
                self.counts[collection, op] = self.counts.get((collection, op), 0) + number

    def undo(self, at: int) -> None:
        """The records from index *at* on are taken back."""
        undone = sum(each.op != TOMBSTONE and each.key_headers is not HIDDEN if isinstance(each, Record) else each.count
                     for each in self.records[at:] if not isinstance(each, Message))
        self._unmarked = max(0, self._unmarked - undone)
        del self.records[at:]
        self._count_more()

    def add_many(self, emitted: EmittedTable, op: str, many: Any) -> None:
        """*many*: an item that stands for `many.count` changes of one operation; `len` counts their tombstones too."""
        self.records.append(many)
        self.more += len(many) - 1
        self._count(emitted, op, many.count)

    def add_whole(self, many: Any) -> None:
        """The same, but `add_counts` and `set_window` count it."""
        self.records.append(many)
        self.more += len(many) - 1

    def create(self, emitted: EmittedTable, origin: Origin, after: Row) -> None:
        if not self.skip_create:
            self.emit(emitted, origin, CREATE, None, after, after, (), None)
        elif emitted.watched:
            self.hide(emitted, origin, CREATE, None, after)

    def delete(self, emitted: EmittedTable, origin: Origin, before: Row) -> None:
        if not self.skip_delete:
            self.emit(emitted, origin, DELETE, before, None, before, (), None)
            self.tombstone(emitted, origin, before, ())
        elif emitted.watched:
            self.hide(emitted, origin, DELETE, before, None)

    def update(self, emitted: EmittedTable, origin: Origin, before: Row | None, after: Row) -> None:
        """One update; or for a changed key, a delete with the old key and a create with the new one."""
        if self.skip_update:
            if emitted.watched:
                self.hide(emitted, origin, UPDATE, before, after)
            return
        if before is not None and emitted.key and self.key_differs(emitted, before, after):
            new_key = ((NEW_KEY, after),)
            if not self.skip_old_half:
                self.emit(emitted, origin, DELETE, before, None, before, new_key, None)
                self.tombstone(emitted, origin, before, new_key)
            elif emitted.watched:
                self.hide(emitted, origin, DELETE, before, None)
            if not self.skip_new_half:
                self.emit(emitted, origin, CREATE, None, after, after, ((OLD_KEY, before),), before)
            elif emitted.watched:
                self.hide(emitted, origin, CREATE, None, after)
        elif self.skip_unchanged and before is not None and self.same(emitted, before, after):
            self.filtered += 1
        elif self.whole_keys and before is not None and self.key_lacks(emitted, before):
            self.emit(emitted, origin, UPDATE, None, after, after, (), before)
        else:
            self.emit(emitted, origin, UPDATE, before, after, after, (), None)

    def truncate(self, emitted: EmittedTable, origin: Origin) -> None:
        if not self.skip_truncate:
            self.emit(emitted, origin, TRUNCATE, None, None, None, (), None)
        elif emitted.watched:
            self.hide(emitted, origin, TRUNCATE, None, None)

    def key_differs(self, emitted: EmittedTable, before: Row, after: Row) -> bool:
        for index in emitted.key:
            kind = after.kind(index)
            known = kind != UNCHANGED and kind != ABSENT and before.kind(index) != ABSENT  # noqa: PLR1714
            if known and not before.same(index, after):
                return True
        return False

    def key_lacks(self, emitted: EmittedTable, row: Row) -> bool:
        for index in emitted.key:  # noqa: SIM110
            if row.kind(index) == ABSENT:
                return True
        return False

    def same(self, emitted: EmittedTable, before: Row, after: Row) -> bool:
        for index in emitted.captured:
            if before.kind(index) == ABSENT:
                return False
            if after.kind(index) != UNCHANGED and not before.same(index, after) \
                    and not self.shown_alike(emitted, index, before, after):
                return False
        return True

    def shown_alike(self, emitted: EmittedTable, index: int, before: Row, after: Row) -> bool:
        """Whether a mask, a hash or a cut makes two different values the same."""
        column = emitted.mapped.get(index)
        if column is None or before.kind(index) == UNCHANGED:
            return False
        try:
            return bool(shown(column, before) == shown(column, after))
        except DecodeError:
            return False

    def emit(self, emitted: EmittedTable, origin: Origin, op: str, before: Row | None, after: Row | None,
             key_row: Row | None, headers: tuple[Any, ...], other: Row | None) -> None:
        block = None
        if origin.counters is not None:
            block = origin.counters.next(emitted.collection, origin.transaction_id)
        if not origin.live:
            return
        table, context, values = emitted.table, origin.context, origin.values
        if cython.compiled:
            record = new_record(op, table, before, after, key_row, context, values, block, headers)
        else:
            record = Record(op, table, before, after, key_row, context, values, block, headers)
        record.other = other
        self.records.append(record)
        self._count(emitted, op, 1)
        if emitted.watched:
            self.watched = True

    def hide(self, emitted: EmittedTable, origin: Origin, op: str, before: Row | None, after: Row | None) -> None:
        """A change that is skipped, for whoever watches the table."""
        if origin.live:
            self.records.append(Record(op, emitted.table, before, after, after if after is not None else before,
                                       origin.context, origin.values, None, HIDDEN))
            self.watched = True

    def _count(self, emitted: EmittedTable, op: str, changes: int) -> None:
        if self._run_of[0] is not emitted.collection or self._run_of[1] != op:
            self._end_run()
            self._run_of = (emitted.collection, op)
        self._run += changes
        self._unmarked += changes

    def _end_run(self) -> None:
        """Adds the current run of equal (table, op) to the counts: changes of one table mostly follow each other."""
        if self._run:
            self.counts[self._run_of] = self.counts.get(self._run_of, 0) + self._run
            self._run = 0

    def tombstone(self, emitted: EmittedTable, origin: Origin, row: Row, headers: tuple[Any, ...]) -> None:
        if self.tombstones and origin.live:
            self.records.append(
                Record(TOMBSTONE, emitted.table, row, None, row, origin.context, origin.values, None, headers))
