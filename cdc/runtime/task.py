"""The one loop: a source's batches through the transforms and the converter to the sink, then ack, commit, confirm.

`Task.run` drives everything from one thread. Two things may block for long and are kept from hurting: the source's
socket is served by the source's own thread, and offsets are written by a commit thread, one write at a time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from cdc.core.errors import CdcError, OffsetStoreError, RegistryConnectionError
from cdc.core.interfaces import OffsetStore, Outgoing, Sink, Source, Transform
from cdc.core.position import Position
from cdc.core.record import Batch, Message, Record
from cdc.log import get_logger
from cdc.metrics import TaskMetrics

from .inflight import Delivery, Inflight
from .policy import Backoff
from .tap import EventTap

log = get_logger(__name__)

IDLE_WAIT_S = 0.2
BUSY_WAIT_S = 0.005


class Convert(Protocol):
    """`converters.records.RecordConverter`, as the task sees it."""

    def convert(self, records: list[Record | Message], now_us: int) -> list[Outgoing]: ...

    def check(self) -> None: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class TaskParts:
    """What a task is made of; built afresh for each start by the plugins."""

    source: Source
    transforms: Sequence[Transform]
    converter: Convert
    sink: Sink


@dataclass(frozen=True, slots=True)
class TaskSettings:
    connector: str
    offset_flush_interval_s: float = 60.0
    offset_flush_timeout_s: float = 5.0
    max_inflight_bytes: int = 64 << 20
    """Log bytes sent and not acked before the task stops polling; the sink's own queue has its own bound."""


class Task:
    """One source to one sink, until `stop` is set, the source is finished, or an error comes out of `run`."""

    def __init__(self, settings: TaskSettings, parts: TaskParts, store: OffsetStore, metrics: TaskMetrics,
                 stop: threading.Event, tap: EventTap | None = None, *, first: bool = True) -> None:
        """*first*: nothing ran with these settings yet, so a registry that is away is looked for before the start;
        later on only what needs it waits for it."""
        self.settings = settings
        self.parts = parts
        self.store = store
        self.metrics = metrics
        self.stop = stop
        self.tap = tap
        self.first = first
        self.inflight = Inflight()
        self.started = False
        self._times: deque[tuple[Delivery, int]] = deque()
        self._writing: Future[None] | None = None
        self._writing_position: Position | None = None
        self._committed: Position | None = None
        self._next_flush = 0.0
        self._batches = 0
        self._soon: deque[int] = deque()
        self._flush_backoff = Backoff(first=0.5)

    def run(self) -> None:
        """Run to the end. Whatever happens, what was acked is committed before this returns or raises."""
        source, sink = self.parts.source, self.parts.sink
        try:
            sink.start()
            if self.first:
                self.parts.converter.check()
            self.store.start()
            offset = self.store.load(self.settings.connector, source.partition())
            source.start(offset)
            self.started = True
            self.metrics.connected(True)
            self.metrics.attach(source.metrics)
            self.metrics.attach(sink.metrics)
            self._next_flush = time.monotonic() + self.settings.offset_flush_interval_s
            while not self.stop.is_set():
                self._turn()
                if source.finished() and not len(self.inflight):
                    break
        finally:
            self._wind_down()

    def _turn(self) -> None:
        busy = len(self.inflight) > 0
        self.metrics.state = self.parts.source.state()
        self.parts.sink.poll(0)
        self._settle()
        if self.inflight.size_bytes >= self.settings.max_inflight_bytes:
            self.parts.sink.poll(0.05)
            return
        batch = self.parts.source.poll(BUSY_WAIT_S if busy else IDLE_WAIT_S)
        if batch is None:
            if busy:
                self.parts.sink.poll(BUSY_WAIT_S)
            return
        self._deliver(batch)

    def _deliver(self, batch: Batch) -> None:
        self.metrics.polled(batch.counts, batch.source_ts_us)
        records = batch.records
        if self.parts.transforms:
            records = self._transformed(records)
        outgoing = self._convert(records) if records else []
        delivery = self.inflight.add(batch.position, len(outgoing), batch.size_bytes)
        self._batches += 1
        if batch.commit_soon:
            self._soon.append(self._batches)
        if outgoing:
            self._times.append((delivery, batch.source_ts_us))
        if self.tap is not None and self.tap.active:
            self.tap.offer(records)
        sent = 0
        while sent < len(outgoing):
            sent = self.parts.sink.send(outgoing, sent, delivery)
            if sent < len(outgoing):
                self.parts.sink.poll(0.05)
                self._settle()
                if self.stop.is_set():
                    return  # the rest stays unanswered, so this batch is never committed

    def _transformed(self, records: list[Record | Message]) -> list[Record | Message]:
        for transform in self.parts.transforms:
            records = [kept for record in records if (kept := transform.apply(record)) is not None]
        return records

    def _convert(self, records: list[Record | Message]) -> list[Outgoing]:
        """Conversion only waits for one thing: a registry that is away. Deliveries go on meanwhile."""
        backoff = Backoff()
        while True:
            try:
                return self.parts.converter.convert(records, time.time_ns() // 1000)
            except RegistryConnectionError as exc:
                self.metrics.error("registry")
                wait = backoff.next() or 10.0
                log.warning("registry_unavailable", error=exc.message, retry_in_s=round(wait, 1), **exc.context)
                self._wait(wait)
                if self.stop.is_set():
                    raise

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stop.is_set() and (left := until - time.monotonic()) > 0:
            self.parts.sink.poll(min(left, 0.1))
            self._settle()

    # -- ack, commit, confirm ------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Look at what was acked; write the position when it is time; confirm what was written."""
        before = self.inflight.records
        position = self.inflight.committable()
        if self.inflight.error is not None:
            raise self.inflight.error
        done = before - self.inflight.records
        self.metrics.gauges["cdc_inflight_records"] = self.inflight.records
        self.metrics.gauges["cdc_inflight_bytes"] = self.inflight.size_bytes
        if done:
            self.metrics.delivered(done, self._oldest_ts_us(), all_done=not len(self.inflight))
        self._collect()
        if position is None or position is self._committed or self._writing is not None:
            return
        if self._asked() or time.monotonic() >= self._next_flush:
            self._write(position)

    def _asked(self) -> bool:
        """Whether a batch that is to be committed soon is acked, with all before it. Says so once for each: a store
        that is away is asked again by its back-off, not with every turn."""
        acked = self._batches - len(self.inflight)
        asked = bool(self._soon) and self._soon[0] <= acked
        while self._soon and self._soon[0] <= acked:
            self._soon.popleft()
        return asked

    def _oldest_ts_us(self) -> int:
        """Source time of the oldest batch in flight, 0 when unknown."""
        while self._times and self._times[0][0].acked():
            self._times.popleft()
        return self._times[0][1] if self._times else 0

    def _write(self, position: Position) -> None:
        self._next_flush = time.monotonic() + self.settings.offset_flush_interval_s
        self._writing_position = position
        self._writing = _in_background(
            self.store.commit, self.settings.connector, self.parts.source.partition(), position.offset())

    def _collect(self) -> None:
        writing, position = self._writing, self._writing_position
        if writing is None or position is None or not writing.done():
            return
        self._writing = None
        error = writing.exception()
        if error is None:
            self._flush_backoff.reset()
            self._committed = position
            self.metrics.gauges["cdc_commits_total"] = self.metrics.gauges.get("cdc_commits_total", 0) + 1
            self.parts.source.confirm(position)
        elif isinstance(error, OffsetStoreError) and error.retriable:
            wait = self._flush_backoff.next() or 10.0
            self.metrics.error("offsets")
            log.warning("offset_commit_failed", error=error.message, retry_in_s=round(wait, 1))
            self._next_flush = time.monotonic() + wait
        else:
            raise error

    def _wind_down(self) -> None:
        """Wait shortly for what is in flight, commit the acked prefix, confirm it, and let go of everything."""
        try:
            if self.started:
                self._final_commit()
        except Exception as exc:  # the error that brought us here matters more
            log.warning("final_commit_failed", error=exc.message if isinstance(exc, CdcError) else type(exc).__name__)
        finally:
            self.metrics.connected(False)
            self.metrics.detach_all()
            for part in (self.parts.source.stop, self.parts.sink.close, self.parts.converter.close):
                try:
                    part()
                except Exception as exc:
                    log.warning("stop_failed", part=part.__qualname__, error=type(exc).__name__)

    def _final_commit(self) -> None:
        deadline = time.monotonic() + self.settings.offset_flush_timeout_s
        if len(self.inflight):  # after a failure too: what was sent before it is not to be sent again
            self.parts.sink.flush(self.settings.offset_flush_timeout_s)
        position = self.inflight.committable()
        if self._writing is not None:
            self._writing.exception(timeout=max(0.1, deadline - time.monotonic()))
            self._collect()
        if position is not None and position is not self._committed:
            self._write(position)
            writing: Any = self._writing
            writing.exception(timeout=max(1.0, deadline - time.monotonic()))
            self._collect()


def _in_background(work: Callable[..., None], *arguments: Any) -> Future[None]:
    """*work* in a thread of its own, which the process does not wait for at its end: a store may be long in answering
    that it cannot be reached."""
    answer: Future[None] = Future()

    def run() -> None:
        try:
            work(*arguments)
            answer.set_result(None)
        except BaseException as exc:
            answer.set_exception(exc)

    threading.Thread(target=run, name="commit", daemon=True).start()
    return answer
