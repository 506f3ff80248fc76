"""The tables that wait for their copy beside the stream, in order, and what operators hear of them.

Notifications are Debezium's (`IncrementalSnapshotNotificationService`): all of one run have the id of its signal.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence, Sized
from dataclasses import replace
from typing import Protocol

from cdc.core import control
from cdc.core.control import SnapshotStatus, TableCopy
from cdc.core.record import Message, Record
from cdc.core.table import TableId
from cdc.log import get_logger

from .chunk import EMPTY, SUCCEEDED
from .copies import Asked, Copies, Copy, shown

log = get_logger(__name__)


class Teller(Protocol):
    """`Control`, as far as it is needed."""

    def emit(self, record: Record | Message) -> None: ...

    def emit_many(self, id: TableId, reads: Sized) -> None: ...

    def notify(self, aggregate_type: str, type: str, data: Mapping[str, str] | None = None, *,
               id: str = "") -> None: ...

    def commit_soon(self) -> None: ...


class CopyQueue:
    """`copies`: those that are not complete. Only `snapshots` may be called by other threads."""

    def __init__(self, teller: Teller) -> None:
        self.copies = Copies()
        self._teller = teller
        self._started_ms = 0
        self._done: list[TableCopy] = []
        self._estimates: dict[str, int] = {}
        self._last: SnapshotStatus | None = None

    def __bool__(self) -> bool:
        return bool(self.copies.waiting)

    @property
    def first(self) -> Copy:
        return self.copies.waiting[0]

    @property
    def paused(self) -> bool:
        return self.copies.paused

    def restore(self, copies: Copies) -> None:
        """What the offset has."""
        self.copies = copies
        if copies.waiting:
            self._started_ms = _now_ms()
            log.info("incremental_snapshot_resumed", id=self.first.id, table=self.first.name, rows=self.first.rows,
                     tables=len(copies.waiting), paused=copies.paused)

    def add(self, asked: Sequence[Copy]) -> None:
        waiting = {replace(each, id=asked[0].id) for each in self.copies.waiting
                   if each.asked not in self.copies.stopping} if asked else set()
        copies = tuple(each for each in dict.fromkeys(asked) if each not in waiting)
        if len(copies) < len(asked):
            log.info("incremental_snapshot_merged", id=asked[0].id, tables=len(asked) - len(copies),
                     why="the same copies wait already")
        if not copies:
            return
        first = not self
        self.copies = replace(self.copies, waiting=self.copies.waiting + copies)
        self._teller.commit_soon()
        if first:
            self._start()

    def put(self, copy: Copy) -> None:
        """In place of the first."""
        self.copies = replace(self.copies, waiting=(copy, *self.copies.waiting[1:]))

    def sent(self, copy: Copy) -> None:
        """In place of the first, whose next chunk has gone out. A restart begins after it, once that is committed."""
        self.put(copy)
        self._teller.commit_soon()

    def estimate(self, rows: int) -> None:
        """The table of the first copy has about so many *rows*; less than 0 if that is not known."""
        if rows >= 0 and self.first.condition is None:
            self._estimates[self.first.name] = rows

    def hold(self, paused: bool) -> bool:
        """Whether that changes anything."""
        if not self or self.paused == paused:
            return False
        self.copies = replace(self.copies, paused=paused)
        self._teller.commit_soon()
        self.tell("PAUSED" if paused else "RESUMED")
        return True

    def end(self, status: str) -> None:
        """The first copy is over."""
        copy = self.first
        self.tell("TABLE_SCAN_COMPLETED", {
            "data_collections": self.copies.names(), "scanned_collection": copy.name,
            "total_rows_scanned": str(copy.rows), "status": status})
        log.info("incremental_snapshot_table", id=copy.id, table=copy.name, rows=copy.rows, status=status)
        self._done.append(self._status(copy, "done" if status in (SUCCEEDED, EMPTY) else status))
        self._left(self.copies.waiting[1:], "completed")

    def stop_later(self, copies: Collection[Asked]) -> None:
        """`stop` is to be called for *copies*, by the next process if this one does not come to it."""
        self.copies = replace(self.copies, stopping=self.copies.stopping | frozenset(copies))
        self._teller.commit_soon()

    def stop(self, copies: Collection[Asked]) -> None:
        """The *copies* are given up. One that was asked for since, with the same id, is not."""
        first = {each.asked: each for each in reversed(self.copies.waiting) if each.asked in copies}
        found = [each for each in self.copies.waiting if first.get(each.asked) is each]
        left = tuple(each for each in self.copies.waiting if first.get(each.asked) is not each)
        self.copies = replace(self.copies, stopping=self.copies.stopping - frozenset(copies))
        if not found:
            return
        log.info("incremental_snapshot_stopped", tables=[each.name for each in found])
        self._done += [self._status(each, "stopped") for each in found if each.id == self.first.id]
        aborted = {"data_collections": ",".join(each.name for each in found)}
        if left:
            self.tell("ABORTED", aborted)
            self._left(left, "stopped")
        else:
            self._left(left, "stopped")
            self._teller.notify(control.INCREMENTAL, "ABORTED",
                                {"data_collections": ",".join(sorted(each.name for each in found))})

    def tell(self, type: str, data: Mapping[str, str] | None = None) -> None:
        data = {"data_collections": self.copies.names()} if data is None else data
        self._teller.notify(control.INCREMENTAL, type, data, id=self.first.id)

    def snapshots(self) -> Sequence[SnapshotStatus]:
        """As `Controlled.snapshots`."""
        copies, found = self.copies, [] if self._last is None else [self._last]
        for number, id in enumerate(dict.fromkeys(each.id for each in copies.waiting)):
            state = "waiting" if number else "paused" if copies.paused else "running"
            tables = [*(self._done if not number else ()), *(
                self._status(each, "running" if each is copies.waiting[0] and not copies.paused else "waiting")
                for each in copies.waiting if each.id == id)]
            found.append(SnapshotStatus(id, "incremental", state, tuple(tables), self._started_ms if not number else 0))
        return found

    def _status(self, copy: Copy, state: str) -> TableCopy:
        estimate = self._estimates.get(copy.name) if copy.condition is None else None
        return TableCopy(copy.name, state, copy.rows, estimate, shown(copy.after) if copy.after else None,
                         shown(copy.upto) if copy.upto else None)

    def _start(self) -> None:
        self._started_ms = _now_ms()
        self._done = []
        self._estimates = {}
        self.tell("STARTED")
        log.info("incremental_snapshot_started", id=self.first.id, tables=self.copies.names())

    def _left(self, left: tuple[Copy, ...], state: str) -> None:
        """Go on with what is *left*; the run of the first copy is over if nothing of it is."""
        id = self.first.id
        ended = not left or left[0].id != id
        if ended:
            self.tell("COMPLETED", {})
            self._last = SnapshotStatus(id, "incremental", state, tuple(self._done), self._started_ms)
        self.copies = replace(self.copies, waiting=left) if left else Copies()
        self._teller.commit_soon()
        if left and ended:
            self._start()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

