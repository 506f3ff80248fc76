"""The rows of a chunk beside the stream as the server sent them (`sources.snapshot.chunk.UnreadRows`): C makes records
of most of them, and only the keys that somebody asks for are values."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from cdc.core.record import READ, Record, SourceContext
from cdc.core.row import Row
from cdc.core.table import TableSchema
from cdc.sources.snapshot.chunk import UnreadRows
from cdc.sources.snapshot.copies import Key

from .native_text import NativeText
from .textrow import text_row


class Fields:
    """Where a row's fields are: columns *indexes* of *column_count*, and then the *key_count* texts of its key."""

    def __init__(self, indexes: Sequence[int], column_count: int, key_count: int) -> None:
        self.width = column_count + key_count
        self.keys = range(column_count, self.width)
        self.indexes = (*indexes, *self.keys)

    def row(self, packet: bytes) -> Row:
        return text_row(packet, self.indexes, self.width)

    def key(self, row: Row) -> Key:
        return tuple([_text(row, index) for index in self.keys])


def _text(row: Row, index: int) -> str | None:
    raw = row.raw(index)
    return None if raw is None else raw.decode()


class ChunkParts(UnreadRows):
    """`parts`: as `NativeText.blocks` gives them."""

    def __init__(self, text: NativeText, fields: Fields, table: TableSchema) -> None:
        self._text = text
        self._fields = fields
        self._table = table
        self._parts: list[Any] = []
        self._ends: list[int] = []
        self._packets: tuple[int, Sequence[bytes]] = (-1, ())

    def add(self, part: Any, size_bytes: int) -> int:
        """Adds the rows of *part* up to the one that makes them more than *size_bytes*. Returns their bytes; if these
        are more, that row was the last."""
        if not isinstance(part, bytes) and part.size_bytes > size_bytes:
            part = self._cut(part, size_bytes)
        self._parts.append(part)
        self._ends.append(len(self) + (1 if isinstance(part, bytes) else len(part)))
        return len(part) if isinstance(part, bytes) else int(part.size_bytes)

    def _cut(self, part: Any, size_bytes: int) -> Any:
        count = size = 0
        for packet in part.packets():
            count += 1
            size += len(packet)
            if size > size_bytes:
                break
        return part.split(count)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, number: int) -> tuple[Key, Row]:
        if number < 0:
            number += len(self)
        place = bisect_right(self._ends, number)
        if self._packets[0] != place:
            part = self._parts[place]
            self._packets = place, (part,) if isinstance(part, bytes) else part.packets()
        row = self._fields.row(self._packets[1][number - (self._ends[place - 1] if place else 0)])
        return self._fields.key(row), row

    def reads(self, count: int, gone: Collection[int], context: SourceContext) -> Any:
        self._packets = -1, ()
        return self._text.reads(list(self._left(count, sorted(gone), context)), self._table, context)

    def _left(self, count: int, gone: Sequence[int], context: SourceContext) -> Iterator[Any]:
        """What is left of the parts without the rows *gone*."""
        begin = next_gone = 0
        for part, end in zip(self._parts, self._ends, strict=True):
            if isinstance(part, bytes):
                if begin < count and begin not in gone[next_gone:next_gone + 1]:
                    row = self._fields.row(part)
                    yield Record(READ, self._table, None, row, row, context, ())
            else:
                at = begin
                while next_gone < len(gone) and gone[next_gone] < min(end, count):
                    if gone[next_gone] > at:
                        yield part.split(gone[next_gone] - at)
                    part.split(1)
                    at = gone[next_gone] + 1
                    next_gone += 1
                if at < min(end, count):
                    yield part.split(min(end, count) - at)
            while next_gone < len(gone) and gone[next_gone] < end:
                next_gone += 1
            begin = end
