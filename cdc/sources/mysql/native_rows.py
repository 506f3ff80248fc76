"""Leaves rows that need nothing but to be written to C (`cdc.native.mysql`); the ChangeReader reads all others.

Such a row has all columns, none of them compressed or a diff, and an update of it does not change its key.
"""

from __future__ import annotations

from typing import Any

from cdc.core.record import CREATE, DELETE, UPDATE, SourceContext
from cdc.debezium.emit import Emitter
from cdc.native import module
from cdc.sources.mysql.binlog.rows import RowsEvent

from .native_log import NativeLog, native_log
from .source_block import SourceBlock
from .table_cache import MapState


def native_rows(reader: Any) -> NativeRows | None:
    """For *reader*, a ChangeReader. None if this installation has no native modules, or if C knows too little for what
    is configured."""
    mysql, records = module("mysql"), module("records")
    emitter: Emitter = reader.emitter
    if mysql is None or records is None or reader.settings.transaction_metadata or emitter.skip_unchanged:
        return None
    found = NativeRows(emitter, reader.stream.block, mysql, records)
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
        """Whether C may be asked for rows of *event*, which have all their columns."""
        if event.partial or event.op in self._skipped or state.period is not None:
            return False
        if state.target is None or state.target.watched:
            return False
        return bool(self.layout_of(state))

    def layout_of(self, state: MapState) -> Any:
        """The layout and the table of *state*, whose table is captured; () if C cannot read its rows."""
        if state.native is None:
            assert state.target is not None
            layout = state.table_map.layout
            state.native = () if layout.special else (
                self._mysql.Layout(layout.sizes, state.target.key),
                self._records.Table(state.target.table, self._block.template(state.id.catalog, state.id.table),
                                    self._mysql.FIELDS, state.id))
        return state.native

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
