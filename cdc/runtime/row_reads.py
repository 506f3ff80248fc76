"""Rows that post-processors read again: each shows that the task goes on, though its loop does not turn meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from cdc.core.interfaces import ReadsRows
from cdc.core.record import Record
from cdc.core.row import Row
from cdc.core.table import Column, TableSchema
from cdc.metrics.task import TaskMetrics


class RowReads:
    """*source*, for the post-processors of one task. Implements `core.interfaces.ReadsRows`."""

    def __init__(self, source: ReadsRows, metrics: TaskMetrics) -> None:
        self._source = source
        self._metrics = metrics

    def reads(self, table: TableSchema) -> bool:
        return self._source.reads(table)

    def read_row(self, record: Record, columns: Sequence[Column], *, event_key: bool) -> Row | None:
        self._metrics.turns += 1
        return self._source.read_row(record, columns, event_key=event_key)
