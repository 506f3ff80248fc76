"""A batch whose rows are read again slowly is no task that hangs."""

from __future__ import annotations

from typing import Any

from cdc.core.interfaces import ReadsRows
from cdc.metrics.task import TaskMetrics
from cdc.runtime.row_reads import RowReads


class Source:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def reads(self, table: Any) -> bool:
        return bool(table == "t")

    def read_row(self, record: Any, columns: Any, *, event_key: bool) -> Any:
        self.asked.append((record, columns, event_key))
        return "row"


def test_each_row_that_is_read_again_counts_as_a_turn() -> None:
    source, metrics = Source(), TaskMetrics("shop")
    assert isinstance(RowReads(source, metrics), ReadsRows)
    made: Any = RowReads(source, metrics)
    assert (made.reads("t"), made.reads("u")) == (True, False)
    assert made.read_row("record", ["c"], event_key=True) == "row"
    assert source.asked == [("record", ["c"], True)]
    assert metrics.turns == 1
