"""Has C read the rows of snapshots: of those before the stream (`sources.snapshot.initial.NativeRows`), and of those
beside it (`sources.snapshot.chunk.UnreadRows`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from cdc.core.record import READ, Record, SourceContext
from cdc.core.row import Row
from cdc.core.table import TableSchema
from cdc.native import module
from cdc.sources.snapshot.chunk import UnreadRows
from cdc.sources.snapshot.copies import Key
from cdc.sources.snapshot.initial import Lines

from .copytext import copy_row
from .snapshot_plan import TableRead


def native_rows() -> NativeCopy | None:
    """None if this installation has no native modules."""
    copytext = module("copytext")
    return None if copytext is None else NativeCopy(copytext.CopyDecoder())


class ChunkPlan(Protocol):
    """`incremental.TablePlan`, as far as it is needed."""

    @property
    def table(self) -> TableSchema: ...
    @property
    def indexes(self) -> tuple[int, ...]: ...
    @property
    def key_indexes(self) -> tuple[int, ...]: ...
    @property
    def column_count(self) -> int: ...


def key_of(plan: ChunkPlan, row: Row) -> Key:
    return tuple([_text(row.raw(index)) for index in plan.key_indexes])


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "surrogateescape")


class ReadLines:
    """An item for `NativeChanges`: *lines* of COPY as reads of the table of *plan*."""

    def __init__(self, lines: list[bytes], plan: ChunkPlan, context: SourceContext) -> None:
        self.lines = lines
        self.plan = plan
        self.context = context

    def __len__(self) -> int:
        return len(self.lines)

    def record(self, line: bytes) -> Record:
        """Of a line that C refuses."""
        row = copy_row(line, self.plan.indexes, self.plan.column_count)
        return Record(READ, self.plan.table, None, row, row, self.context, ())


class ChunkLines(UnreadRows):
    """The *lines* that COPY gave for a chunk."""

    def __init__(self, lines: Sequence[bytes], plan: ChunkPlan) -> None:
        self._lines = lines
        self._plan = plan

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, number: int) -> tuple[Key, Row]:
        row = copy_row(self._lines[number], self._plan.indexes, self._plan.column_count)
        return key_of(self._plan, row), row

    def reads(self, count: int, gone: Collection[int], context: SourceContext) -> ReadLines:
        lines = [line for number, line in enumerate(self._lines[:count]) if number not in gone]
        return ReadLines(lines, self._plan, context)


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
