"""Has C read a snapshot's rows (`sources.snapshot.initial.NativeRows`)."""

from __future__ import annotations

from typing import Any

from cdc.core.record import READ, Record, SourceContext
from cdc.native import module
from cdc.sources.snapshot.initial import Lines

from .copytext import copy_row
from .snapshot_plan import TableRead


def native_rows() -> NativeCopy | None:
    """None if this installation has no native modules."""
    copytext = module("copytext")
    return None if copytext is None else NativeCopy(copytext.CopyDecoder())


class NativeCopy:
    """Lines of COPY to records. A line that C refuses is read by `copy_row`."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def batch(self) -> Any:
        return self._decoder.batch()

    def add(self, batch: Any, read: TableRead, lines: Lines, context: SourceContext) -> None:
        def other(line: bytes) -> Record:
            row = copy_row(line, read.indexes, read.column_count)
            return Record(READ, read.table, None, row, row, context, ())

        self._decoder.add(batch, lines.rows, read.table, context, read.indexes, read.column_count, other)
