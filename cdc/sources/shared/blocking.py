"""Reads the snapshots that the stream makes way for, one after the other, in place of the stream's batches.

A snapshot is opened in a thread of its own, since that may take the server long, and heartbeats go on. Where it cannot
be opened or read for a reason that passes, the stream goes on for a while, and the snapshot is tried again from the
tables and rows that are left. Where the server refuses it, it is given up, as Debezium does. An operator can stop it:
the stream goes on as soon as nothing is read or opened for it any more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from typing import Any, Final, Generic, Protocol, TypeVar

from cdc.core.dataclass import dataclass
from cdc.core.errors import CdcError, SourceConnectionError
from cdc.core.position import Position
from cdc.core.record import Batch, Message
from cdc.log import get_logger
from cdc.sources.snapshot.background import Background
from cdc.sources.snapshot.blocking import BlockingQueue
from cdc.sources.snapshot.progress import Progress
from cdc.sources.snapshot.requests import Request
from cdc.sources.snapshot.told import Told

log = get_logger(__name__)

_FIRST_PAUSE_S: Final = 0.1
_MOST_PAUSE_S: Final = 10.0
_CLOSE_S: Final = 10.0

P = TypeVar("P", bound=Position)


class Rows(Protocol):
    """`InitialSnapshot`, as far as it is needed."""

    done: bool
    table_count: int
    row_count: int
    started_at: float
    told: Told

    def poll(self, timeout: float) -> Batch | None: ...

    def metrics(self) -> Mapping[str, float]: ...

    def close(self) -> None: ...


@dataclass
class Wanted(Generic[P]):
    """What is to be opened: *request*, or what *progress* has left of it. `at`: the stream's position, which is that of
    all batches; `reached` is told how far the rows are that go out. `ended`: set once it is not wanted any more."""

    request: Request
    progress: Progress | None
    at: P
    reached: Callable[[Progress], None]
    ended: threading.Event = field(default_factory=threading.Event)

    def during(self, progress: Progress) -> P:
        """The position of a batch, as `InitialSnapshot` wants it."""
        self.reached(progress)
        return self.at


class BlockingSnapshots(Generic[P]):
    """For the task's thread, apart from *open*, which is called in another one, while the stream waits.

    *open* gives a snapshot that is ready to be read, as of the stream's position or later: it must show all that the
    stream has told. *cancel* ends what it waits for, from any thread. *check* is called after the last row; *open* and
    *check* raise CdcError. *closed* is called once a snapshot is closed. *told* is for a snapshot that was not opened.
    """

    def __init__(self, queue: BlockingQueue, open: Callable[[Wanted[P]], Rows], check: Callable[[Any], None],
                 closed: Callable[[], None], told: Callable[[Request], Told], *, cancel: Callable[[], None],
                 clock: Callable[[], float] = time.monotonic, background: Background[Rows] | None = None) -> None:
        self._queue = queue
        self._open = open
        self._check = check
        self._closed = closed
        self._tells = told
        self._cancel = cancel
        self._clock = clock
        self._background = background or Background[Rows]("blocking-snapshot")
        self._opening: Wanted[P] | None = None
        self._again_at = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._ending = threading.Lock()
        self._ended = False
        self._interrupted = False
        self.snapshot: Rows | None = None

    @property
    def due(self) -> bool:
        """Whether the stream has to make way."""
        return bool(self._queue) and (bool(self._queue.stopping) or self._clock() >= self._again_at)

    def poll(self, timeout: float, at: P) -> Batch | None:
        """The next records; None if there were none within *timeout* seconds. *at*: where the stream is."""
        if self._queue.stopping:
            return self._stopped(timeout, at)
        try:
            snapshot = self.snapshot or self._opened(timeout, at)
            batch = None if snapshot is None else snapshot.poll(timeout)
            if snapshot is None or batch is None or not snapshot.done:
                return batch
            self._check(snapshot)
        except CdcError as exc:
            if not exc.retriable:
                return self._given_up(exc, at)
            self._later(exc)
            return None
        self._add(batch, snapshot.told.completed())
        log.info("blocking_snapshot_completed", id=self._queue.requests[0].id, rows=snapshot.row_count,
                 seconds=round(time.time() - snapshot.started_at, 3))
        self._end(self._queue.requests[0], snapshot.told)
        return replace(batch, commit_soon=True)

    def _opened(self, timeout: float, at: P) -> Rows | None:
        if self._opening is None:
            wanted = self._opening = Wanted(self._queue.requests[0], self._queue.progress, at, self._queue.reached)
            if self._interrupted:
                wanted.ended.set()
            self._background.ask(lambda: self._open_unless_ended(wanted))
        snapshot = self._background.take(timeout)
        if snapshot is None:
            return None
        progress = self._opening.progress
        self._opening = None
        self.snapshot = snapshot
        self._queue.reads(snapshot.told, progress or Progress())
        return snapshot

    def _open_unless_ended(self, wanted: Wanted[P]) -> Rows:
        snapshot = self._open(wanted)
        with self._ending:
            if not self._ended:
                return snapshot
        snapshot.close()
        raise SourceConnectionError("The connector was stopped.")

    def _later(self, error: CdcError) -> None:
        """The stream goes on for a while."""
        log.warning("blocking_snapshot_waits", id=self._queue.requests[0].id, reason=error.message,
                    again_in_s=self._pause_s, **_context(error))
        self._opening = None
        self._again_at = self._clock() + self._pause_s
        self._pause_s = min(_MOST_PAUSE_S, self._pause_s * 2)
        self._close()

    def _given_up(self, error: CdcError, at: P) -> Batch:
        request, snapshot = self._queue.requests[0], self.snapshot
        log.warning("blocking_snapshot_failed", id=request.id, reason=error.message, hint=error.hint or None,
                    **_context(error))
        batch = Batch([], at, 0, commit_soon=True)
        told = self._tells(request) if snapshot is None else snapshot.told
        if snapshot is None:
            self._add(batch, told.started())
        self._add(batch, told.failed())
        self._end(request, told)
        return batch

    def _stopped(self, timeout: float, at: P) -> Batch | None:
        """End what operators have stopped. None while that is still being opened: what the stream uses is in use."""
        if self._queue.stops(self._queue.requests[0]) and self._opening is not None and not self._gives_back(
                self._opening, timeout):
            return None
        batch = Batch([], at, 0, commit_soon=True)
        for request in self._queue.stopping:
            first = request is self._queue.requests[0]
            told = self.snapshot.told if first and self.snapshot is not None else self._tells(request)
            self._add(batch, told.cancelled())
            log.info("blocking_snapshot_stopped", id=request.id, tables=list(told.names),
                     rows=sum(each.rows for each in told.status().tables))
            if first:
                self._end(request, told)
            else:
                self._queue.end(request, told)
        return batch

    def _gives_back(self, opening: Wanted[P], timeout: float) -> bool:
        """Whether *opening* ended within *timeout* seconds. What it has opened is closed."""
        if not opening.ended.is_set():
            opening.ended.set()
            self._cancel()
        try:
            snapshot = self._background.take(timeout)
        except CdcError as exc:
            log.info("blocking_snapshot_not_opened", id=opening.request.id, reason=exc.message)
        else:
            if snapshot is None:
                return False
            snapshot.close()
        return True

    def _end(self, request: Request, told: Told) -> None:
        """*request*, the first one, is over."""
        self._queue.end(request, told)
        self._opening = None
        self._pause_s, self._again_at = _FIRST_PAUSE_S, 0.0
        self._close()

    def _close(self) -> None:
        snapshot, self.snapshot = self.snapshot, None
        if snapshot is not None:
            snapshot.close()
        self._closed()

    def _add(self, batch: Batch, messages: Iterable[Message]) -> None:
        for message in messages:
            batch.records.append(message)

    def interrupt(self) -> None:
        """The source is about to stop. From any thread."""
        self._interrupted = True
        opening = self._opening
        if opening is not None:
            opening.ended.set()
            self._cancel()

    def close(self) -> None:
        """The source stops."""
        self.interrupt()
        with self._ending:
            self._ended = True
        self._background.forget()
        self._background.close(_CLOSE_S)
        self._close()


def _context(error: CdcError) -> dict[str, Any]:
    return {name: value for name, value in error.context.items() if name not in ("id", "reason", "hint", "again_in_s")}
