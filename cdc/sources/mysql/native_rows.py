"""Leaves rows that need nothing but to be written to C (`cdc.native.mysql`); the ChangeReader reads all others.

Such a row has no columns that are compressed or a diff, and an update of it does not change its key.
"""

from __future__ import annotations

from typing import Any, Final

from cdc.core.record import CREATE, DELETE, UPDATE
from cdc.debezium.emit import EmittedTable, Emitter, Origin
from cdc.native import module
from cdc.sources.mysql.binlog.rows import RowsEvent

from .native_log import NativeLog, native_log
from .source_block import SourceBlock
from .table_cache import MapState

_MOST_COUNTED: Final = 1 << 31
"""The numbers of events in a transaction that C has end somewhere above."""


def native_rows(reader: Any) -> NativeRows | None:
    """For *reader*, a ChangeReader. None if this installation has no native modules."""
    mysql, records = module("mysql"), module("records")
    if mysql is None or records is None:
        return None
    found = NativeRows(reader.emitter, reader.stream.block, mysql, records)
    found.log = native_log(reader, found.layout_of)
    return found


class NativeRows:
    """Adds rows to *emitter* as items that C makes records of (`batch`).

    `log`: reads whole transactions; None if this installation cannot.
    """

    def __init__(self, emitter: Emitter, block: SourceBlock, mysql: Any, records: Any) -> None:
        self._emitter = emitter
        self._block = block
        self._mysql = mysql
        self._records = records
        skipped = ((CREATE, emitter.skip_create), (UPDATE, emitter.skip_update), (DELETE, emitter.skip_delete))
        self.log: NativeLog | None = None
        self._skipped = frozenset(op for op, skips in skipped if skips)

    def reads(self, event: RowsEvent, state: MapState) -> bool:
        """Whether C may be asked for rows of *event*."""
        if event.partial or event.op in self._skipped or state.period is not None:
            return False
        if state.target is None or state.target.watched:
            return False
        return bool(self.layout_of(state))

    def layout_of(self, state: MapState) -> Any:
        """The layout of *state*, whose table is captured, its table, and the table of inserted rows that lack columns
        (None if none may); () if C cannot read its rows."""
        if state.native is None:
            target, layout = state.target, state.table_map.layout
            assert target is not None
            compared = None
            if self._emitter.skip_unchanged:
                compared = [index for index in target.captured if index not in target.mapped]
            state.native = () if layout.special else (
                self._mysql.Layout(layout.sizes, target.key, compared), self._table(state, target),
                self._table(state, state.inserted))
        return state.native

    def _table(self, state: MapState, target: EmittedTable | None) -> Any:
        return None if target is None else self._records.Table(
            target.table, self._block.template(state.id.catalog, state.id.table), self._mysql.FIELDS, state.id)

    def add(self, event: RowsEvent, state: MapState, whole: bool, origin: Origin, pos: int, number: int) -> int:
        """Moves *event* behind the next rows that C takes, which have the numbers from *number* on. Returns how many
        these are. *whole*: they have all columns."""
        layout, table, inserted = state.native
        counters = origin.counters
        if counters is not None and counters.total > _MOST_COUNTED:
            return 0
        rows, event.pos = self._mysql.plain_rows(
            layout, event.data, event.pos, event.end, event.before_present, event.before_count, event.after_present,
            event.after_count)
        if rows is None:
            return 0
        op, emitter, target = event.op, self._emitter, state.target
        if not whole and op == CREATE:
            table, target = inserted, state.inserted
        assert target is not None
        block = (0, 0, None) if counters is None else (*counters.some(target.collection, rows.count),
                                                       origin.transaction_id)
        self._mysql.describe(rows, op, table, origin.context, pos, number, op == DELETE and emitter.tombstones, *block)
        emitter.add_many(target, op, rows)
        return int(rows.count)

    def batch(self, items: list[Any]) -> Any:
        """The emitter's *items* as a `native.records.RecordBatch`."""
        return self._mysql.Batch(items)
