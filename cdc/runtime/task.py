"""The one loop: a source's batches go through the transforms and the converter to the sink; `commits` does the rest.

`Task.run` drives everything from one thread. Two things may block for long without stopping it: the source's own
thread serves its socket, and the store writes offsets in a thread of its own (`commits.py`).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import field
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from cdc.core.dataclass import dataclass
from cdc.core.errors import (
    CdcError,
    OffsetStoreError,
    OwnerLostError,
    PositionLostError,
    RecordError,
    RegistryConnectionError,
    SourceConnectionError,
    SourceError,
    SourceRefusedError,
)
from cdc.core.interfaces import (
    Ack,
    BatchSink,
    Failed,
    Outgoing,
    Pacing,
    Parting,
    Resting,
    Sink,
    Source,
    Transforms,
)
from cdc.core.outcome import Transformed
from cdc.core.record import Batch
from cdc.core.stores import OffsetStore
from cdc.log import get_logger
from cdc.metrics.task import TaskMetrics

from .commits import Commits, in_background
from .inflight import Delivery
from .policy import Backoff
from .signals import Signals
from .source_offsets import SourceOffsets
from .tap import EventTap
from .tolerance import Tolerance

log = get_logger(__name__)

IDLE_WAIT_S = 0.2
BUSY_WAIT_S = 0.005
_GIVE_UP_S = 5.0

T = TypeVar("T")


class Convert(Protocol):
    """`converters.records.RecordConverter`, as the task sees it."""

    def convert(self, records: Any, now_us: int, failed: list[Failed] | None = None) -> list[Outgoing]: ...

    def check(self) -> None: ...

    def metrics(self) -> Mapping[str, float]: ...

    def close(self) -> None: ...


class Encode(Convert, Protocol):
    """The same, of a task whose source has been told `prefer_native`."""

    def encode(self, batch: Any, now_us: int, failed: list[Failed] | None = None,
               transforms: Transforms | None = None) -> Any: ...


class Judge(Protocol):
    """`tolerance.Tolerance`, as the task sees it."""

    def judge(self, failed: Sequence[Failed]) -> tuple[list[Outgoing], RecordError | None]: ...


@dataclass
class TaskParts:
    """The parts of one run of a task. They are built again for each start."""

    source: Source
    transforms: Transforms | None
    converter: Convert
    sink: Sink
    tolerance: Judge = field(default_factory=lambda: Tolerance(TaskMetrics("")))
    signals: Signals = field(default_factory=Signals)


@dataclass(frozen=True)
class TaskSettings:
    connector: str
    offset_flush_interval_s: float = 60.0
    offset_flush_timeout_s: float = 5.0
    max_inflight_bytes: int = 64 << 20
    """The task stops polling at this many bytes of log sent and not acked. The sink's queue has a bound of its own."""
    retry_timeout_s: float = math.inf
    """`errors.retry.timeout`: after so long, a passing error of a transform or converter ends this run of the task."""
    retry_delay_most_s: float = 10.0
    """`errors.retry.delay.max.ms`: the longest pause between two attempts."""


class Task:
    """One source to one sink, until `stop` is set, the source is finished, or an error comes out of `run`."""

    def __init__(self, settings: TaskSettings, parts: TaskParts, store: OffsetStore, metrics: TaskMetrics,
                 stop: threading.Event, tap: EventTap | None = None, *, first: bool = True,
                 clock: Callable[[], float] = time.monotonic, paused_s: Callable[[], float] = lambda: 0.0,
                 paused: threading.Event | None = None) -> None:
        """*first*: nothing has run with these settings yet, so the registry must answer before the source starts.
        Later starts wait for it only when a record needs it. *paused_s* gives the longest time for which the process
        stood still since the task was made. While *paused* is set, nothing is polled."""
        self.settings = settings
        self.parts = parts
        self.metrics = metrics
        self.stop = stop
        self.tap = tap
        self._batch_sink = parts.sink if isinstance(parts.sink, BatchSink) else None
        self.first = first
        self.started = False
        self.resumes: bool | None = None
        """Whether the store had an offset; None until it was asked."""
        self._delivering = False
        self._end_by: float | None = None
        self._clock = clock
        self._paused_s = paused_s
        self._paused = paused or threading.Event()
        self._resting = False
        self._lost = False
        self.commits = Commits(settings.connector, parts.source, store, metrics, settings.offset_flush_interval_s,
                               confirmed=parts.signals.committed)

    def unfinished(self) -> bool:
        """Whether a batch that was polled is not yet delivered and committed. It comes again after the next start."""
        return self._delivering or self.commits.unfinished()

    def run(self) -> None:
        """Run until `stop` is set or the source is finished; commit what was acked before returning or raising."""
        source, sink = self.parts.source, self.parts.sink
        self.metrics.starts += 1
        try:
            offset = self._ask_all()
            self.resumes = offset is not None
            self.metrics.warn(source.warnings)
            self._start_source(offset)
            self._claim(offset)
            if isinstance(source, Pacing):
                source.follow_commits(self._wait_for_store)
            sink.fence()
            self.started = True
            self.parts.signals.start(source, offset)
            self.metrics.good_starts += 1
            self.metrics.connected(True)
            self.metrics.attach(source.metrics)
            self.metrics.attach(sink.metrics)
            self.metrics.attach(self.parts.converter.metrics)
            self.commits.begin()
            self._turns()
        except OwnerLostError:
            self._lost = True
            sink.close()  # at once: nothing that still waits there may be sent
            raise
        finally:
            self._wind_down()

    def _turns(self) -> None:
        """Until the end. If the source is refused something because another process has taken over, that is the error:
        MySQL, for example, ends the older of two streams with one server id."""
        source = self.parts.source
        try:
            while not self.stop.is_set():
                self._turn()
                if source.finished() and not len(self.commits.inflight):
                    break
        except SourceRefusedError as exc:
            try:
                self._check_owner()
            except OwnerLostError as lost:
                raise lost from exc
            except CdcError:
                pass  # who owns the offset is not known now
            self._last_words()
            raise
        self._last_words()

    def _last_words(self) -> None:
        """The source has to stop, or has failed."""
        source = self.parts.source
        if self._paused.is_set() or not isinstance(source, Parting):
            return
        try:
            batch = source.last_words()
            if batch is not None:
                self._deliver(batch)
        except CdcError as exc:  # nothing depends on them
            log.info("last_words_not_sent", error=exc.message)

    def _check_owner(self) -> None:
        """Raises OwnerLostError if another process has taken over, and OffsetStoreError if the store cannot tell."""
        ask_store(self.commits.offsets.hold, self.stop)

    def _ask_all(self) -> dict[str, Any] | None:
        """The sink, the registry and the store, asked side by side: all must answer before the source starts. Returns
        the offset. The sink's error goes before the registry's, and that before the store's."""
        checked = in_background(self.parts.converter.check, name="registry") if self.first else None
        loaded = in_background(self._load)
        try:
            try:
                self.parts.sink.start()
            finally:
                if checked is not None:
                    wait([checked])  # next the converter is used or closed, and it is for one thread at a time
            if checked is not None:
                checked.result()
        except BaseException:
            self._give_up(loaded)
            raise
        return answer_of(loaded, self.stop)

    def _give_up(self, loaded: Future[dict[str, Any] | None]) -> None:
        """The start has failed. Wait shortly for the store: what it still gave us to hold after we have ended would
        keep other processes away. Its answer tells whether the connector has run before."""
        until = time.monotonic() + _GIVE_UP_S
        while not loaded.done() and not self.stop.is_set() and time.monotonic() < until:
            wait([loaded], timeout=0.1)
        if loaded.done() and loaded.exception() is None:
            self.resumes = loaded.result() is not None

    def _load_offset(self) -> dict[str, Any] | None:
        return ask_store(self._load, self.stop)

    def _load(self) -> dict[str, Any] | None:
        """The offset, which no other process of this connector may change now, as far as the store can see."""
        offsets = self.commits.offsets
        offsets.open()
        offsets.hold()
        return offsets.load()

    def _start_source(self, offset: dict[str, Any] | None) -> None:
        """Another process that ends may commit once more between our look at the offset and the start. The server then
        knows that it has forgotten what we ask for; but nothing is lost, and we start again from the newer offset."""
        try:
            self.parts.source.start(offset)
        except PositionLostError as exc:
            if self._load_offset() == offset:
                raise
            raise OffsetStoreError("Another process committed an offset while the connector started.", retriable=True,
                                   reason=exc.message) from exc

    def _claim(self, offset: dict[str, Any] | None) -> None:
        """The source has the stream: from now on no other process may commit. Nothing was sent yet."""
        claim = ask_store(lambda: self.commits.offsets.claim(offset), self.stop)
        log.info("offset_claimed", generation=claim.generation)

    def _turn(self) -> None:
        self.metrics.turns += 1
        self._check_pause()
        inflight = self.commits.inflight
        busy = len(inflight) > 0
        resting = self._paused.is_set()
        self.metrics.state = "paused" if resting else self.parts.source.state()
        self.parts.sink.poll(IDLE_WAIT_S if resting else 0)
        self.commits.settle()
        if resting != self._resting:
            self._resting = resting
            if resting and isinstance(self.parts.source, Resting):
                self.parts.source.rest()
        if resting:
            self.stop.wait(0 if busy else IDLE_WAIT_S)
            return
        if inflight.size_bytes >= self.settings.max_inflight_bytes:
            self.parts.sink.poll(0.05)
            return
        self.parts.signals.turn()
        began = time.perf_counter()
        try:
            batch = self.parts.source.poll(BUSY_WAIT_S if busy else IDLE_WAIT_S)
        except SourceError as exc:
            if not isinstance(exc, SourceRefusedError):
                self._last_words()
            raise
        took_s = time.perf_counter() - began
        self.metrics.spent("poll", took_s)
        if batch is None:
            if busy:
                self.parts.sink.poll(BUSY_WAIT_S)
            return
        self.metrics.poll_ms.add(took_s * 1000)
        self._deliver(batch)

    def _wait_for_store(self, seconds: float) -> None:
        """Until the commit that runs has ended, for at most so many *seconds*; as long if none runs, or to the stop."""
        writing = self.commits.writing
        if writing is not None:
            wait([writing], timeout=seconds)
        else:
            self.stop.wait(seconds)

    def _deliver(self, batch: Batch) -> None:
        self._delivering = True
        self.metrics.polled(batch.counts, batch.source_ts_us)
        records: Sequence[Transformed] = batch.records
        failed: list[Failed] = []
        clock, spent = time.perf_counter, self.metrics.spent
        transforms, listened = self.parts.transforms, self.tap is not None and self.tap.active
        native = None if transforms is not None and listened else batch.native  # who listens wants each record
        if native is None and transforms is not None and batch.records:
            began = clock()
            records = self._retried(transforms.apply, batch.records, failed)
            spent("transform", clock() - began)
        began = clock()
        outgoing: Any = []
        if native is not None:
            encode = cast(Encode, self.parts.converter).encode
            outgoing = self._retried(partial(encode, transforms=transforms), native, failed)
        elif records:
            outgoing = self._retried(self.parts.converter.convert, records, failed)
        spent("convert", clock() - began)
        letters, error = self.parts.tolerance.judge(failed) if failed else ([], None)
        topics = {each.topic for each in (*(outgoing if native is None else outgoing.routes), *letters)}
        self.metrics.topics.update(topics - self.metrics.topics)
        # What precedes the record that ends the task is still sent. One answer is missing then, so that the batch is
        # never committed.
        delivery = self.commits.add(batch, len(outgoing) + len(letters) + (error is not None))
        if listened:
            cast(EventTap, self.tap).offer(records)
        began = clock()
        if native is None:
            self._send(outgoing, self.parts.sink.send, delivery)
        elif self._batch_sink is not None:
            self._send(outgoing, self._batch_sink.send_batch, delivery)
        else:
            self._send([outgoing.outgoing(index) for index in range(len(outgoing))], self.parts.sink.send, delivery)
        self._send(letters, self.parts.sink.send, delivery)
        spent("send", clock() - began)
        if error is not None:
            raise error
        self._delivering = False

    def _send(self, outgoing: Any, send: Callable[[Any, int, Ack], int], delivery: Delivery) -> None:
        """Give all of *outgoing* to the sink, by its method *send*. After a stop it has as long as a flush; then the
        rest stays unanswered, so this batch is never committed."""
        sent = 0
        while sent < len(outgoing):
            self._check_pause()
            sent = send(outgoing, sent, delivery)
            if sent < len(outgoing):
                self.metrics.turns += 1
                self.parts.sink.poll(0.05)
                self.commits.settle()
                if self.stop.is_set() and not self._time_left_s():
                    return

    def _time_left_s(self) -> float:
        """Seconds for the rest of what was polled, counted from the first call, at the end of the task."""
        if self._end_by is None:
            self._end_by = self._clock() + self.settings.offset_flush_timeout_s
        return max(0.0, self._end_by - self._clock())

    def _retried(self, work: Callable[[Any, int, list[Failed]], T], records: Any, failed: list[Failed]) -> T:
        """What *work* makes of *records*. While that fails for a passing reason, such as a registry that is away, wait
        and try again, as long as `errors.retry.timeout` allows. Deliveries go on meanwhile."""
        backoff = Backoff(first=0.3, most=self.settings.retry_delay_most_s)
        until = self._clock() + self.settings.retry_timeout_s
        before = len(failed)
        while True:
            try:
                return work(records, time.time_ns() // 1000, failed)
            except CdcError as exc:
                if not exc.retriable or self.stop.is_set():
                    raise
                del failed[before:]
                away = isinstance(exc, RegistryConnectionError)
                self.metrics.error("registry" if away else "transform")
                wait = min(backoff.next() or 10.0, until - self._clock())
                if wait <= 0:
                    raise
                log.warning("registry_unavailable" if away else "transform_failed_for_now", error=exc.message,
                            retry_in_s=round(wait, 1), **exc.context)
                self._wait(wait)
                if self.stop.is_set():
                    raise

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stop.is_set() and (left := until - time.monotonic()) > 0:
            self.metrics.turns += 1
            self._check_pause()
            self.parts.sink.poll(min(left, 0.1))
            self.commits.settle()

    def _check_pause(self) -> None:
        """After a pause so long that the server may have given up on us, send nothing more of what was read before it:
        another process may have taken over, and delivered newer changes.

        Raises OwnerLostError if one has, and otherwise SourceConnectionError: the task starts again from its offset.
        """
        paused_s = self._paused_s()
        if paused_s <= self.parts.source.silence_s():
            return
        self.parts.sink.close()
        log.warning("process_stood_still", seconds=round(paused_s, 1))
        self._check_owner()
        raise SourceConnectionError(
            "This process stood still, so the server may have ended the stream. What was read before and not delivered "
            "is read again, from the last committed offset.", seconds=round(paused_s, 1))

    def _wind_down(self) -> None:
        """Wait shortly for what is in flight, commit and confirm the acked prefix, and stop all parts."""
        try:
            if self.started and not self._lost:
                self.commits.finish(self.parts.sink, self._time_left_s())
        except Exception as exc:  # the error that ended the task matters more
            log.warning("final_commit_failed", error=exc.message if isinstance(exc, CdcError) else type(exc).__name__)
        finally:
            self.metrics.connected(False)
            self.metrics.detach_all()
            for part in (self.parts.source.stop, self.parts.signals.close, self.parts.sink.close,
                         self.parts.converter.close):
                try:
                    part()
                except Exception as exc:
                    log.warning("stop_failed", part=part.__qualname__, error=type(exc).__name__)


def load_offset(offsets: SourceOffsets, stop: threading.Event) -> dict[str, Any] | None:
    """Open the store and load the offset, whoever holds it. Raises OffsetStoreError, ConfigError."""
    def load() -> dict[str, Any] | None:
        offsets.open()
        return offsets.load()

    return ask_store(load, stop)


def ask_store(question: Callable[[], T], stop: threading.Event) -> T:
    """What *question* returns or raises. A store may wait long for its server, so *stop* ends the wait, with
    OffsetStoreError."""
    return answer_of(in_background(question), stop)


def answer_of(answer: Future[T], stop: threading.Event) -> T:
    """As `ask_store`, of a question that was asked before."""
    while not answer.done():
        if stop.is_set():
            raise OffsetStoreError("The task stops before the offset store answers.", retriable=True)
        wait([answer], timeout=0.1)
    return answer.result()
