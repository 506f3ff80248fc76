"""The first copy of the tables: one table after the other, as marked records in bounded batches.

A database supplies a `TableReader`: the rows of one table, on a connection whose transaction sees all tables as of one
point of the log. So a stream that starts there joins without gap or overlap. Until the last row is delivered, the
position of a batch tells what was read (`progress.py`), and a restart reads the rest.

The tables are read range by range (`schedule.py`), on one reader, or on several at a time (`readers.py`), whose rows
come in the order of one. So markers, batches and positions depend on the order of rows only. Of very many tables most
are empty: a reader finds those together, and plans the read of a table (a `TableRead`) only when it has rows.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from cdc.core.errors import SourceError
from cdc.core.named_tuple import NamedTuple
from cdc.core.position import Position
from cdc.core.record import READ, Batch, Message, Record, SourceContext
from cdc.core.row import Row
from cdc.core.table import TableSchema
from cdc.log import get_logger

from .markers import PASSED, Passed, marked
from .progress import CHUNK_BYTES, CHUNK_ROWS, Place, Progress
from .schedule import Schedule, TableEnd, Unit
from .told import Told

log = get_logger(__name__)

BATCH_BYTES: Final = 1 << 20
"""About how many bytes, of rows or of the log, one batch is made of."""
_MESSAGE_BYTES: Final = 1000
"""What a message counts towards the bytes of a batch."""
_WORTH: Final = 0.25
"""The part of a chunk's size after which the end of a chunk is worth a commit."""
MOST_AHEAD: Final = 2.0
"""From so many chunks on that were sent to be committed, no more are read before the first of them is."""
_END: Final = object()


class Lines(NamedTuple):
    """Rows of one table as the server sent them, neither its first nor its last; `size_bytes` in all. *rows*: a list of
    bytes, or what the reader's `NativeRows` understands; its `len` is their number."""

    rows: Any
    size_bytes: int

    def split(self, count: int) -> tuple[Lines, Lines]:
        """The first *count* rows, and the others."""
        first, rest = self.rows[:count], self.rows[count:]
        size_bytes = sum(map(len, first))
        return Lines(first, size_bytes), Lines(rest, self.size_bytes - size_bytes)


class TableRead(Protocol):
    """One table to read. What else a reader needs to know of it is the reader's own."""

    @property
    def table(self) -> TableSchema: ...


R = TypeVar("R", bound=TableRead)
R_contra = TypeVar("R_contra", bound=TableRead, contravariant=True)
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
P = TypeVar("P", bound=Position)


class TableReader(Protocol[T_contra, R]):
    """Reads ranges of tables on one connection, as of one point of the log. All methods raise SourceErrors."""

    def begin(self) -> None:
        """Called once, before anything else is asked for."""

    def reads(self, tables: Sequence[T_contra], /, *, several: bool) -> Iterator[R | int | None]:
        """The reads of *tables*, in their order. A number stands for so many tables without rows, which need no read;
        None where the server has not answered yet. It is asked before the first read only. *several*: there are so
        many tables that it pays to find those without rows together."""

    def ranges(self, read: R, after: Place | None, /) -> Generator[None, None, Sequence[Any]]:
        """The ranges that the table is read in, in their order; a None is yielded while the server does not answer.

        *after*: where an earlier attempt was, whose later rows are wanted. The ranges have all rows if the reader
        cannot tell those. Raises SourceConnectionError when the table is not the one any more that the snapshot was
        planned for."""

    def divided(self, read: R, range: Any, /) -> Generator[None, None, Sequence[Any]]:
        """Smaller ranges in place of *range*, whose turn has come; none if it is to be read as it is."""

    def rows(self, read: R, range: Any, /) -> Iterator[Row | Lines | Place | None]:
        """The rows of a range, which may come from another reader of the same snapshot; None where the server has none
        to give yet. A reader whose rows go to a `NativeRows` may give Lines, between the first and the last row. A
        Place follows the rows before it. Raises as `ranges`."""

    def context(self, read: R, marker: str, /) -> SourceContext:
        """The source block of the table's rows that are marked *marker*."""

    def alive(self) -> bool:
        """Whether the connection can still be used."""

    def interrupt(self) -> None:
        """End what a method waits for, with an error. From any thread; raises nothing."""

    def close(self) -> None:
        """Close the connection. Idempotent; raises nothing."""


class UnitEdge(NamedTuple):
    """The rows of *unit* follow, or have come. Only several readers tell."""

    unit: Unit
    begins: bool


Item = tuple[Any, Row | Lines | Place] | UnitEdge | TableEnd | int | None
"""A read and what its table has next; where a range begins and ends; the end of a table; so many tables without rows;
nothing yet."""


def alone(reader: TableReader[Any, Any], schedule: Schedule) -> Iterator[Item]:
    """What *reader* reads of *schedule*, in order."""
    while True:
        unit = yield from schedule.next(reader)
        if unit is None:
            return
        if not isinstance(unit, Unit):
            yield unit
            continue
        for row in reader.rows(unit.read, unit.range):
            yield None if row is None else (unit.read, row)


class Several(Protocol):
    """Several readers, one of which is the snapshot's (`readers.Readers`)."""

    def items(self, schedule: Schedule) -> Iterator[Item]:
        """As `alone`."""
        ...

    def close(self) -> None:
        """Close all readers. Idempotent; raises nothing."""


class NativeRows(Protocol[R_contra]):
    """Makes batches in which C reads the Lines (`cdc.native`)."""

    def batch(self) -> Any:
        """An empty `native.records.RecordBatch`."""

    def add(self, batch: Any, read: R_contra, lines: Lines, context: SourceContext) -> None:
        """Adds a read record for each of the *lines* of *read* to *batch*. Raises ProtocolError."""


class _Block(NamedTuple):
    read: Any
    lines: Lines
    context: SourceContext

    def split(self, count: int) -> tuple[tuple[_Block, int], tuple[_Block, int] | None]:
        """At most *count* of its rows, and the others, each with its bytes."""
        if len(self.lines.rows) <= count:
            return (self, self.lines.size_bytes), None
        first, rest = self.lines.split(count)
        return (self._replace(lines=first), first.size_bytes), (self._replace(lines=rest), rest.size_bytes)


def unchanged(message: Message) -> Message:
    return message


class InitialSnapshot(Generic[P]):
    """Reads *tables* with *reader*, or with *several* of which that is one; it owns them. Not for several threads.

    `poll` gives batches until `done` is set; the last one carries *final*, the position to stream from, the others
    what *during* makes of the progress. Only the row after it says whether a row was the last, so one row is always
    held back. *progress*: that of an earlier attempt; *tables* are those that are left.

    *told* gets to know how far it is; what it gives goes out as well. *parts*: of how many parts it tells, of a table
    that several readers read. *identity*: as in `Progress.identities`.

    *messages* go out before the rows. Where there are no rows the last message is the snapshot's last record, and
    goes through *as_last*.
    """

    def __init__(self, reader: TableReader[T, R], tables: Sequence[T], *, during: Callable[[Progress], P], final: P,
                 max_records: int, messages: Sequence[Message] = (), as_last: Callable[[Message], Message] = unchanged,
                 native: NativeRows[R] | None = None, progress: Progress | None = None,
                 several: Several | None = None, told: Told | None = None,
                 parts: Callable[[R], int] = lambda read: 1,
                 identity: Callable[[R], str] = lambda read: "") -> None:
        self.final = final
        self.done = False
        self.table_count = len(tables)
        self.remaining = len(tables)
        self.row_count = 0
        self.started_at = time.time()
        self._during = during
        self._progress = progress or Progress()
        self._reached = self._progress
        self._uncommitted = 0.0
        self._chunk_ended = False
        self._wait: Callable[[float], None] | None = None
        self._ahead: deque[tuple[Progress, float]] = deque()
        self._identity = identity
        self._parts = parts
        self._max_records = max_records
        self._native = native
        self._reader = reader
        self._several = several
        self.told = told or Told([""] * len(tables), (), lambda type, data: None)
        self._items = self._with_messages(messages, as_last, self._records(reader, tables))
        self._rest: tuple[_Block, int] | None = None
        self._failed: SourceError | None = None

    def poll(self, timeout: float) -> Batch | None:
        """The next records; None when there were none within *timeout* seconds. An error comes after the records that
        were read before it."""
        if self._failed is not None:
            raise self._failed
        if self._wait is not None and sum(chunks for _, chunks in self._ahead) >= MOST_AHEAD:
            self._wait(timeout)
            return None
        records: Any = [] if self._native is None else self._native.batch()
        counts: dict[tuple[str, str], int] = {}
        size = 0
        deadline = time.monotonic() + timeout
        while size < BATCH_BYTES and len(records) < self._max_records:
            try:
                item = next(self._items) if self._rest is None else self._rest
            except StopIteration:
                self.done = True
                break
            except SourceError as exc:
                self._failed = exc
                if not records:
                    raise
                break
            if item is None:
                if time.monotonic() >= deadline:
                    break
                continue
            if isinstance(item, Progress):
                self._reached = item
                self._chunk_ended = self._chunk_ended or bool(item.table)
                if not records and time.monotonic() >= deadline:
                    break  # long stretches of a table may be without rows
                continue
            self._rest = None
            if isinstance(item[0], _Block):
                item, self._rest = item[0].split(self._max_records - len(records))
            record, length = item
            size += length
            before = len(records)
            if isinstance(record, _Block) and self._native is not None:
                self._native.add(records, *record)
                table = record.read.table
            else:
                records.append(record)
                table = getattr(record, "table", None)
            if table is not None:
                counter = (str(table.id), READ)
                counts[counter] = counts.get(counter, 0) + len(records) - before
        if not records and not self.done:
            return None
        position = self.final if self.done else self._during(self._reached)
        return Batch(records, position, size, time.time_ns() // 1000, counts,
                     commit_soon=self._is_worth_a_commit(len(records), size),
                     native=None if self._native is None else records)

    def _is_worth_a_commit(self, rows: int, size: int) -> bool:
        """Whether so much was read since the last commit, with *rows* of *size* bytes that go out now."""
        self._uncommitted += max(rows / CHUNK_ROWS, size / CHUNK_BYTES)
        worth = self._uncommitted >= (_WORTH if self._chunk_ended else 1)
        if self._wait is not None and not self.done:
            same = bool(self._ahead) and self._ahead[-1][0] is self._reached
            before = self._ahead.pop()[1] if same else 0.0
            self._ahead.append((self._reached, before + (self._uncommitted if worth else 0.0)))
        if worth:
            self._uncommitted, self._chunk_ended = 0.0, False
        return worth

    def follow_commits(self, wait: Callable[[float], None]) -> None:
        """`committed` will be called for each commit: no more chunks are sent ahead than a restart may repeat.
        *wait*: as of `Pacing`."""
        self._wait = wait

    def committed(self, progress: Progress | None) -> None:
        """The position with *progress*, which a batch had, is committed."""
        if any(reached is progress for reached, _ in self._ahead):
            while self._ahead.popleft()[0] is not progress:
                pass

    def metrics(self) -> dict[str, float]:
        """Numbers by their metrics' names."""
        return {
            "cdc_snapshot_tables": self.table_count,
            "cdc_snapshot_tables_remaining": self.remaining,
            "cdc_snapshot_duration_seconds": time.time() - self.started_at,
        }

    def close(self) -> None:
        if self._several is not None:
            self._several.close()
        self._reader.close()

    def _with_messages(self, messages: Sequence[Message], as_last: Callable[[Message], Message],
                       records: Iterator[tuple[Record | _Block | Message, int] | Progress | None],
                       ) -> Iterator[tuple[Record | _Block | Message, int] | Progress | None]:
        """*messages*, then *records*; the last message waits until it is known whether a row follows."""
        for told in self.told.started():
            yield told, _size(told)
        for number in range(len(messages) - 1):
            yield messages[number], _MESSAGE_BYTES
        if messages:
            first: Any = next(records, _END)
            passed: list[Any] = []
            while first is None or isinstance(first, Progress) or (first is not _END and isinstance(first[0], Message)):
                if first is None:
                    yield None
                else:
                    passed.append(first)
                first = next(records, _END)
            if first is _END:
                yield as_last(messages[-1]), _MESSAGE_BYTES
                yield from passed
                return
            yield messages[-1], _MESSAGE_BYTES
            yield from passed
            yield first
        yield from records

    def _records(self, reader: TableReader[T, R], tables: Sequence[T],
                 ) -> Iterator[tuple[Record | _Block | Message, int] | Progress | None]:
        """Marked records and the bytes of their rows, in order; None as from the reader."""
        reader.begin()
        last: R | None = None
        contexts: dict[str, SourceContext] = {}
        begun = self._progress
        for item in marked(self._rows(reader, tables), resumed=begun.begun(), within=bool(begun.table)):
            if item is None or isinstance(item, Progress):
                yield item
                continue
            if isinstance(item, Message):
                yield item, _size(item)
                continue
            read, row, marker = item
            if read is not last:
                last, contexts = read, {}
            context = contexts.get(marker)
            if context is None:
                context = contexts[marker] = reader.context(read, marker)
            if isinstance(row, Lines):
                yield _Block(read, row, context), row.size_bytes
            else:
                yield Record(READ, read.table, None, row, row, context, ()), len(row.data)

    def _rows(self, reader: TableReader[T, R], tables: Sequence[T],
              ) -> Iterator[tuple[R, Row | Lines] | Progress | Passed | Message | None]:
        begun, told = self._progress, self.told
        schedule = Schedule(tables, lambda read: Place(begun.place) if str(read.table.id) == begun.table else None)
        items = alone(reader, schedule) if self._several is None else self._several.items(schedule)
        empty = 0
        started, before = time.monotonic(), 0
        for item in items:
            if item is None:
                yield None
            elif isinstance(item, int):
                empty += item
                self.remaining -= item
                yield PASSED
                yield from told.without_rows(item)
            elif isinstance(item, TableEnd):
                name = str(item.read.table.id)
                if not self.row_count:
                    yield PASSED
                yield from told.table_ends()
                self._progress = self._progress.after_table(name, self._identity(item.read))
                yield self._progress
                self.remaining -= 1
                now = time.monotonic()
                log.info("snapshot_table_read", table=name, rows=self.row_count - before, resumed=name == begun.table,
                         seconds=round(now - started, 3))
                started, before = now, self.row_count
            elif isinstance(item, UnitEdge):
                unit = item.unit
                yield from (told.unit_begins(1 if unit.only else self._parts(unit.read)) if item.begins
                            else told.unit_ends(unit.share))
            else:
                read, row = item
                if isinstance(row, Place):
                    self._progress = self._progress.within(str(read.table.id), row, self._identity(read))
                    yield self._progress
                    continue
                count = len(row.rows) if isinstance(row, Lines) else 1
                yield from told.row(count)
                self.row_count += count
                yield read, row
        if empty:
            log.info("snapshot_tables_empty", tables=empty)


def _size(message: Message) -> int:
    """The bytes that a notification counts: it may name very many tables."""
    return _MESSAGE_BYTES + sum(map(len, message.value[3].values()))
