"""Several readers of one snapshot: each reads ranges in a thread of its own, and the rows come out in order.

The ranges are given out in the order of the tables, to whoever is idle, and their rows are handed on in the same order:
first all rows of the first range, then those of the second. Meanwhile the readers of later ranges fill their queues.
So the records, the markers and the progress are those of one reader. All queues together are bounded in bytes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Final

from cdc.core.errors import SourceConnectionError
from cdc.log import carry, get_logger

from .initial import Item, Lines, TableReader, UnitEdge
from .progress import Place
from .schedule import Schedule, TableEnd, Unit

log = get_logger(__name__)

_CHUNK_BYTES: Final = 1 << 17
_ROW_BYTES: Final = 100
_LINE_BYTES: Final = 64
"""What a row, and a line that is an object of its own, cost beyond their bytes."""
_MOST_UNITS: Final = 200
_WAIT_S: Final = 0.05
_JOIN_S: Final = 10.0
_REPLACEMENTS: Final = 3
"""So often in a row a reader's connection may be lost before the snapshot ends with that error."""


class _Stopped(Exception):
    pass


class _Slot:
    """The place of a range in the order, with those of its rows that were not taken yet. `begun`, `over`: on the task's
    side."""

    def __init__(self, unit: Unit | TableEnd | int) -> None:
        self.unit = unit
        self.chunks: deque[tuple[list[Any], int]] = deque()
        self.done = False
        self.begun = False
        self.over = False
        self.error: Exception | None = None


class Readers:
    """Implements `initial.Several`. Owns *readers*; the first one has begun when `items` is asked for.

    *another* opens a reader in place of one whose connection was lost, given those that are left. *max_bytes*: of rows
    that are read ahead, over all readers; the range whose turn it is may always add what it has read.
    """

    def __init__(self, readers: Sequence[TableReader[Any, Any]],
                 another: Callable[[Sequence[TableReader[Any, Any]]], TableReader[Any, Any]], *,
                 max_bytes: int) -> None:
        self._readers = list(readers)
        self._another = another
        self._max_bytes = max_bytes
        self._schedule: Schedule | None = None
        self._begun = {0}
        self._lost = [0] * len(self._readers)
        self._planning = threading.Lock()
        self._changed = threading.Condition()
        self._slots: deque[_Slot] = deque()
        self._queued_bytes = 0
        self._ended = False
        self._error: Exception | None = None
        self._stopping = False
        self._threads: list[threading.Thread] = []

    # -- the task's side ------------------------------------------------------------------------------------------

    def items(self, schedule: Schedule) -> Iterator[Item]:
        """What `initial.alone` gives, in the same order; None after a moment without anything."""
        self._schedule = schedule
        for number in range(len(self._readers)):
            thread = threading.Thread(target=carry(self._run), args=(number,), name=f"snapshot-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()
        while True:
            with self._changed:
                if not self._ready():
                    self._changed.wait_for(self._ready, _WAIT_S)
                slot, rows = self._next()
            if slot is None:
                if self._over():
                    return
                yield None
            elif isinstance(slot.unit, Unit):
                if not slot.begun:
                    slot.begun = True
                    yield UnitEdge(slot.unit, begins=True)
                read = slot.unit.read
                for row in rows:
                    yield read, row
                if slot.over:
                    yield UnitEdge(slot.unit, begins=False)
            else:
                yield slot.unit

    def _ready(self) -> bool:
        if not self._slots:
            return self._ended or self._error is not None
        head = self._slots[0]
        return not isinstance(head.unit, Unit) or bool(head.chunks) or head.done or head.error is not None

    def _next(self) -> tuple[_Slot | None, list[Any]]:
        """What comes next, now; a slot that is through is passed over."""
        while self._slots:
            head = self._slots[0]
            if isinstance(head.unit, Unit):
                if head.chunks:
                    rows, size = head.chunks.popleft()
                    self._queued_bytes -= size
                    self._changed.notify_all()
                    return head, rows
                if head.error is not None:
                    raise head.error
                if not head.done:
                    return None, []
            self._slots.popleft()
            self._changed.notify_all()
            head.over = True
            return head, []
        if self._error is not None:
            raise self._error
        return None, []

    def _over(self) -> bool:
        with self._changed:
            return self._ended and not self._slots

    def close(self) -> None:
        """End the threads, and close the readers. Idempotent; raises nothing."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for reader in list(self._readers):
            reader.interrupt()
        for thread in self._threads:
            thread.join(_JOIN_S)
        for reader in self._readers:
            reader.close()

    # -- the readers' side ----------------------------------------------------------------------------------------

    def _run(self, number: int) -> None:
        slot: _Slot | None = None
        try:
            while True:
                slot = self._take(number)
                if slot is None:
                    return
                self._read(number, slot)
        except _Stopped:
            return
        except Exception as exc:
            with self._changed:
                if slot is not None:
                    slot.error = exc
                elif self._error is None:
                    self._error = exc
                self._changed.notify_all()

    def _take(self, number: int) -> _Slot | None:
        """The next range, with its place in the order; None when all were given out."""
        with self._planning:
            while True:
                self._wait(lambda: self._queued_bytes < self._max_bytes and len(self._slots) < _MOST_UNITS)
                if self._ended or self._error is not None:
                    return None
                unit = self._planned(number)
                with self._changed:
                    self._changed.notify_all()
                    if unit is None:
                        self._ended = True
                        return None
                    slot = _Slot(unit)
                    self._slots.append(slot)
                if isinstance(unit, Unit):
                    return slot

    def _planned(self, number: int) -> Unit | TableEnd | int | None:
        assert self._schedule is not None
        while True:
            reader = self._reader(number)
            try:
                return self._finish(self._schedule.next(reader))
            except SourceConnectionError as exc:
                self._replace(number, reader, exc)

    def _finish(self, steps: Generator[None, None, Unit | TableEnd | int | None]) -> Unit | TableEnd | int | None:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                found: Unit | TableEnd | int | None = end.value
                return found
            self._check()

    def _read(self, number: int, slot: _Slot) -> None:
        unit = slot.unit
        assert isinstance(unit, Unit)
        given = False
        while True:
            reader = self._reader(number)
            held: list[Any] = []
            size = 0
            try:
                for row in reader.rows(unit.read, unit.range):
                    if row is not None:
                        held.append(row)
                        size += _size(row)
                    if held and (row is None or size >= _CHUNK_BYTES):
                        self._put(slot, held, size)
                        given = True
                        held, size = [], 0
                    elif row is None:
                        self._check()
                break
            except SourceConnectionError as exc:
                if given:
                    self._check()
                    raise
                self._replace(number, reader, exc)
        if held:
            self._put(slot, held, size)
        self._lost[number] = 0
        with self._changed:
            slot.done = True
            self._changed.notify_all()

    def _put(self, slot: _Slot, rows: list[Any], size: int) -> None:
        self._wait(lambda: self._queued_bytes + size <= self._max_bytes or (
            not slot.chunks and bool(self._slots) and self._slots[0] is slot))
        with self._changed:
            slot.chunks.append((rows, size))
            self._queued_bytes += size
            self._changed.notify_all()

    def _wait(self, until: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or until())
        self._check()

    def _check(self) -> None:
        if self._stopping:
            raise _Stopped

    # -- connections that are lost --------------------------------------------------------------------------------

    def _reader(self, number: int) -> TableReader[Any, Any]:
        while True:
            reader = self._readers[number]
            if number in self._begun:
                return reader
            try:
                reader.begin()
                self._begun.add(number)
            except SourceConnectionError as exc:
                self._replace(number, reader, exc)

    def _replace(self, number: int, lost: TableReader[Any, Any], reason: SourceConnectionError) -> None:
        """Open another reader in the place of *lost*. Raises *reason* if it did not lose its connection."""
        self._check()
        self._lost[number] += 1
        if lost.alive() or self._lost[number] > _REPLACEMENTS:
            raise reason
        log.warning("snapshot_reader_replaced", reader=number, reason=reason.message)
        made = self._another([each for each in self._readers if each is not lost])
        with self._changed:
            self._readers[number] = made
            self._begun.discard(number)
            stopping = self._stopping
        lost.close()
        if stopping:
            made.close()
            raise _Stopped


def _size(row: Any) -> int:
    if isinstance(row, Lines):
        return row.size_bytes + (_LINE_BYTES * len(row.rows) if isinstance(row.rows, list) else _ROW_BYTES)
    return 0 if isinstance(row, Place) else len(row.data) + _ROW_BYTES
