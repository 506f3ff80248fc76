"""Leaves rows that need nothing but to be written to C (`cdc.native.mysql`); the ChangeReader reads all others.

Such a row has all columns, none of them compressed or a diff, and an update of it does not change its key.
"""

from __future__ import annotations

from typing import Any

from cdc.core.record import CREATE, DELETE, UPDATE, SourceContext
from cdc.debezium.emit import Emitter
from cdc.native import module
from cdc.sources.mysql.binlog.rows import RowsEvent

from .source_block import SourceBlock
from .table_cache import MapState


def native_rows(emitter: Emitter, block: SourceBlock, *, transaction_metadata: bool) -> NativeRows | None:
    """None if this installation has no native modules, or if C knows too little for what is configured."""
    mysql, records = module("mysql"), module("records")
    if mysql is None or records is None or transaction_metadata or emitter.skip_unchanged:
        return None
    return NativeRows(emitter, block, mysql, records)


class NativeRows:
    """Adds rows to *emitter* as items that C makes records of (`batch`)."""

    def __init__(self, emitter: Emitter, block: SourceBlock, mysql: Any, records: Any) -> None:
        self._emitter = emitter
        self._block = block
        self._mysql = mysql
        self._records = records
        skipped = ((CREATE, emitter.skip_create), (UPDATE, emitter.skip_update), (DELETE, emitter.skip_delete))
        self._skipped = frozenset(op for op, skips in skipped if skips)

    def reads(self, event: RowsEvent, state: MapState) -> bool:
        """Whether C may be asked for rows of *event*, which have all their columns."""
        if event.partial or event.op in self._skipped or state.period is not None:
            return False
        if state.target is None or state.target.watched:
            return False
        if state.native is None:
            layout = state.table_map.layout
            state.native = () if layout.special else (
                self._mysql.Layout(layout.sizes, state.target.key),
                self._records.Table(state.target.table, self._block.template(state.id.catalog, state.id.table),
                                    self._mysql.FIELDS, None))
        return bool(state.native)

    def add(self, event: RowsEvent, state: MapState, source: SourceContext, pos: int, number: int) -> int:
        """Moves *event* behind the next rows that C takes, which have the numbers from *number* on. Returns how many
        these are."""
        layout, table = state.native
        rows, event.pos = self._mysql.plain_rows(
            layout, event.data, event.pos, event.end, event.before_present, event.before_count, event.after_present,
            event.after_count)
        if rows is None:
            return 0
        op, emitter = event.op, self._emitter
        self._mysql.describe(rows, op, table, source, pos, number, op == DELETE and emitter.tombstones)
        assert state.target is not None
        emitter.add_many(state.target, op, rows)
        return int(rows.count)

    def batch(self, items: list[Any]) -> Any:
        """The emitter's *items* as a `native.records.RecordBatch`."""
        return self._mysql.Batch(items)
