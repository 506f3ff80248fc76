"""Ack, commit, confirm: how far a task has come, and who is told. At-least-once is this file.

When the sink has acked a batch and all batches before it, the batch's position may be committed to the offset store.
Only when the store has it is it confirmed to the source, which may then let the server forget what came before.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from cdc.core.errors import OffsetStoreError
from cdc.core.interfaces import Sink, Source
from cdc.core.position import Position
from cdc.core.record import Batch
from cdc.core.stores import OffsetStore
from cdc.log import carry, get_logger
from cdc.metrics.task import TaskMetrics

from .inflight import Delivery, Inflight
from .policy import Backoff
from .source_offsets import SourceOffsets

log = get_logger(__name__)

T = TypeVar("T")


class Write(Protocol):
    """Starts *work* with *arguments* and returns its outcome, which may come later."""

    def __call__(self, work: Callable[..., None], *arguments: Any) -> Future[None]: ...


class Commits:
    """The batches in flight, and the positions committed and confirmed for one task.

    Called from the task's thread only. One write to the store runs at a time, in a thread of its own; a position that
    becomes committable meanwhile waits for the next write.
    """

    def __init__(self, connector: str, source: Source, store: OffsetStore, metrics: TaskMetrics, interval_s: float,
                 *, clock: Callable[[], float] = time.monotonic, write: Write | None = None,
                 confirmed: Callable[[Position], None] = lambda position: None) -> None:
        """*interval_s* is the time between two commits; *write* runs the store's commit, by default in a thread.
        *confirmed* gets each position that was confirmed to the source."""
        self.inflight = Inflight()
        self.offsets = SourceOffsets(connector, source, store)
        self._source = source
        self._confirmed = confirmed
        self._metrics = metrics
        self._interval_s = interval_s
        self._clock = clock
        self._run: Write = write or in_background
        self._times: deque[tuple[Delivery, int, Sequence[tuple[int, int]]]] = deque()
        self._writing: Future[None] | None = None
        self._writing_position: Position | None = None
        self._writing_since = 0.0
        self._committed: Position | None = None
        self._next_flush = 0.0
        self._batches = 0
        self._soon: deque[int] = deque()
        self._backoff = Backoff(first=0.5)

    def begin(self) -> None:
        """The source has started: the first commit is due after one interval."""
        self._next_flush = self._clock() + self._interval_s
        self._metrics.commit_failure = ""

    def add(self, batch: Batch, count: int) -> Delivery:
        """Count *batch*, which became *count* outgoings, as in flight; returns the ack to give to the sink."""
        delivery = self.inflight.add(batch.position, count, batch.size_bytes)
        self._batches += 1
        if batch.commit_soon:
            self._soon.append(self._batches)
        if count:
            self._times.append((delivery, batch.source_ts_us, batch.commits))
        return delivery

    def settle(self) -> None:
        """Take note of what was acked, start a commit if one is due, and confirm the one that has ended.

        Raises the error of the first failed delivery, and OffsetStoreError when the store refuses for good.
        """
        before = self.inflight.records
        position = self.inflight.committable()
        if self.inflight.error is not None:
            raise self.inflight.error
        self._count(before - self.inflight.records)
        self._collect()
        if position is None or position is self._committed or self._writing is not None:
            return
        if self._asked() or self._clock() >= self._next_flush:
            self._write(position)

    @property
    def writing(self) -> Future[None] | None:
        """The commit that runs, or whose end `settle` has not seen yet."""
        return self._writing

    def finish(self, sink: Sink, timeout_s: float) -> None:
        """Wait up to *timeout_s* seconds for what is in flight, then commit and confirm the acked prefix.

        Called after a failure too: what was delivered before it is not to be sent again. Raises the store's error.
        """
        deadline = self._clock() + timeout_s
        if len(self.inflight):
            sink.flush(timeout_s)
        position = self.inflight.committable()
        if self._writing is not None:
            self._writing.exception(timeout=max(0.1, deadline - self._clock()))
            self._collect()
        if position is not None and position is not self._committed:
            self._write(position).exception(timeout=max(1.0, deadline - self._clock()))
            self._collect()

    def unfinished(self) -> bool:
        """Whether a batch that was added is not yet delivered, or its position not committed."""
        position = self.inflight.committable()
        return len(self.inflight) > 0 or (position is not None and position is not self._committed)

    def _count(self, done: int) -> None:
        self._metrics.numbers["cdc_inflight_records"] = self.inflight.records
        self._metrics.numbers["cdc_inflight_bytes"] = self.inflight.size_bytes
        self._metrics.active_records.add(self.inflight.records)
        if done:
            self._metrics.delivered(done, self._oldest_ts_us(), all_done=not len(self.inflight))

    def _asked(self) -> bool:
        """Whether a batch that is to be committed soon is acked, with all batches before it.

        True once for each such batch: a store that is away is asked again after its back-off, not in every turn.
        """
        acked = self._batches - len(self.inflight)
        asked = bool(self._soon) and self._soon[0] <= acked
        while self._soon and self._soon[0] <= acked:
            self._soon.popleft()
        return asked

    def _oldest_ts_us(self) -> int:
        """Source time of the oldest batch in flight, 0 when unknown. Also counts how long the acked ones took."""
        while self._times and self._times[0][0].acked():
            _, _, commits = self._times.popleft()
            self._metrics.latency.delivered(commits, time.time_ns() // 1000)
        return self._times[0][1] if self._times else 0

    def _write(self, position: Position) -> Future[None]:
        self._next_flush = self._clock() + self._interval_s
        self._writing_position = position
        self._writing_since = time.monotonic()
        self._writing = self._run(self.offsets.commit, position.offset())
        return self._writing

    def _collect(self) -> None:
        """Confirm the position whose write has ended; after a passing failure of the store, write again later."""
        writing, position = self._writing, self._writing_position
        if writing is None or position is None or not writing.done():
            return
        self._writing = None
        error = writing.exception()
        self._metrics.commit_failure = "" if error is None else str(error)
        self._metrics.committed(time.monotonic() - self._writing_since if error is None else None)
        if error is None:
            self._backoff.reset()
            self._committed = position
            self._metrics.numbers["cdc_commits_total"] = self._metrics.numbers.get("cdc_commits_total", 0) + 1
            self._source.confirm(position)
            self._confirmed(position)
        elif isinstance(error, OffsetStoreError) and error.retriable:
            wait = self._backoff.next() or 10.0
            self._metrics.error("offsets")
            log.warning("offset_commit_failed", error=error.message, retry_in_s=round(wait, 1))
            self._next_flush = self._clock() + wait
        else:
            raise error


def in_background(work: Callable[..., T], *arguments: Any, name: str = "offsets") -> Future[T]:
    """Run *work* in a daemon thread called *name*: the process can end while it still waits for a server that is away.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(work(*arguments))
        except BaseException as exc:
            answer.set_exception(exc)

    threading.Thread(target=carry(run), name=name, daemon=True).start()
    return answer
