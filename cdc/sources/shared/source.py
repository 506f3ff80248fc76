"""The shell around every database with a log: a snapshot if one is asked for, then the stream.

`LogSource` keeps the states, the delays, the heartbeats and the metrics. A database fills in the methods of
`database.LogDatabase`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from cdc.core.control import INITIAL, Notification, Signal, SnapshotStatus
from cdc.core.errors import PositionLostError, SourceConnectionError, SourceRefusedError
from cdc.core.position import Offset, Position
from cdc.core.record import Batch, Message, Record
from cdc.core.table import TableId
from cdc.debezium.emit import Emitter
from cdc.debezium.filters import Filters
from cdc.log import get_logger
from cdc.sources.snapshot.chunk import ChunkReader
from cdc.sources.snapshot.incremental import MARKED_WAIT_S, IncrementalSnapshot
from cdc.sources.snapshot.requests import Request
from cdc.sources.snapshot.told import Told

from . import added
from .blocking import BlockingSnapshots, Rows
from .control import Control
from .database import SILENCE_S, LogDatabase, P
from .modes import ONCE, mode_of
from .options import SourceConfig
from .parts import LogPosition, Reader, Settings, SnapshotReader, Watcher
from .selection import SnapshotSelection
from .source_block import SourceBlockBase
from .warnings import Warnings

log = get_logger(__name__)

_CONTEXT: Final = "__debezium.context."
_TURN_S: Final = 0.01
"""How long to wait for the log at once, while a snapshot goes on beside it."""


class LogSource(LogDatabase[P]):
    """One log, one reader. Built for one run: after `stop` make a new one. Implements `core.interfaces.Source`,
    `Controlled` and `CopiesOnce`."""

    control: Control
    """Set by the database's `__init__`. All that its emitter gives goes through `control.passed` on its way out."""

    def __init__(self, settings: Settings, connector: str) -> None:
        """*connector* is Debezium's name for it: `postgresql`, `mysql`, `mariadb`."""
        self._settings = settings
        self._connector = connector
        self.warnings = Warnings()
        self._snapshot: SnapshotReader | None = None
        self._resumed_snapshot = False
        self._snapshot_numbers: Mapping[str, float] = {}
        self._reader: Reader | None = None
        self._monitor: Watcher | None = None
        self._interrupted = threading.Event()
        self._frames: Sequence[bytes] = []
        self._next_frame = 0
        self._next_heartbeat = 0.0
        self._heartbeat_at = 0.0
        self._finished = False
        self._reached: LogPosition | None = None
        self._told: Told | None = None
        self._blocking: BlockingSnapshots[P] | None = None
        self._idle = False
        self._spare_s = 0.0
        self._mode = mode_of(settings)
        self._copies_rows = self._mode.first
        self._streams = self._mode.streams
        self._lost: PositionLostError | None = None
        self._once: Mapping[TableId, str | None] | None = None
        self._state = "snapshotting" if self._copies_rows or self.always_snapshots else "streaming"

    def _make_control(self, emitter: Emitter, filters: Filters, block: SourceBlockBase) -> Control:
        settings = self._settings
        topic = settings.notification_sink_topic_name if "sink" in settings.notification_enabled_channels else None
        reads = "source" in settings.signal_enabled_channels
        return Control(settings.topic_prefix, emitter, filters.is_signal_table if reads else lambda id: False,
                       message=(lambda told: block.notification(topic, told)) if topic else None,
                       position=self._offset, lists=added.lists_of(settings))

    def _incremental(self, chunks: ChunkReader, config: SourceConfig, *, marked: bool) -> IncrementalSnapshot:
        """*marked*: as in IncrementalSnapshot."""
        return IncrementalSnapshot(chunks, self.control, chunk_rows=config.incremental_snapshot_chunk_size,
                                   wait_s=MARKED_WAIT_S if marked else 0.0, marked=marked,
                                   skips=not {"c", "u"}.isdisjoint(config.skipped_operations),
                                   blocking=self.control.blocking)

    def copy_once(self, tables: Mapping[TableId, str | None]) -> None:
        self._once = dict(tables)
        self._mode = ONCE
        self._copies_rows, self._streams = ONCE.first, ONCE.streams
        self._state = "snapshotting"
        self.control.keep_to_itself()

    def copied(self, offset: Offset) -> Sequence[str]:
        progress = self._stored_position(offset).progress
        return [] if progress is None else progress.names[:progress.count]

    def _selection(self, config: SourceConfig) -> SnapshotSelection:
        """Of the first copy. Raises ConfigError."""
        configured = SnapshotSelection.from_config(config)
        return configured if self._once is None else configured.asked_for(self._once)

    def _telling(self, names: Sequence[str], captured: Sequence[str], estimates: Mapping[str, int],
                 request: Request | None = None) -> Told:
        """For a snapshot of the tables *names*, some or all of the *captured* ones; *request* asked for it."""
        control = self.control
        return Told(names, captured, lambda type, data: control.told(control.notification(INITIAL, type, data)),
                    estimates=estimates, kind="blocking" if request else "initial", id=request.id if request else "",
                    parts=self._settings.snapshot_max_threads > 1)

    # -- Source ---------------------------------------------------------------------------------------------------

    def follow_commits(self, wait: Callable[[float], None]) -> None:
        self.control.follow_commits()
        if self._snapshot is not None:
            self._snapshot.follow_commits(wait)

    def confirm(self, position: Position) -> None:
        committed = cast(LogPosition, position)
        self.control.committed(committed.control)
        if self._snapshot is not None:
            self._snapshot.committed(committed.progress)

    def partition(self) -> Mapping[str, Any]:
        return {"server": self._settings.topic_prefix}

    def state(self) -> str:
        return self._state

    def finished(self) -> bool:
        return self._finished

    def silence_s(self) -> float:
        return SILENCE_S if self._reader is None else self._stream_silence_s()

    def context_headers(self, run_id: str) -> list[tuple[str, str]]:
        """`extended.headers.enabled`: the headers of every change, in Debezium's order."""
        return [(f"{_CONTEXT}connectorLogicalName", self._settings.topic_prefix), (f"{_CONTEXT}taskId", "0"),
                (f"{_CONTEXT}connectorName", self._connector), (f"{_CONTEXT}runId", run_id)]

    def check_offset(self, offset: Offset) -> None:
        self._stored_position(offset)

    def start(self, offset: Offset | None) -> None:
        try:
            position = self._stored_position(offset) if offset else None
            self._start(position)
        except PositionLostError as exc:
            if not self._mode.when_lost:
                raise
            self._copies_again(exc)
            self._prepare(None)
            self._copies_rows = True
            self._begin_snapshot(None)

    def _start(self, position: P | None) -> None:
        begun, again = None, False
        if position is not None:
            self._reached = position
            if position.snapshot and self._mode.when_lost:
                self._copies_rows = True  # the copy in place of a lost position is not complete
            self.control.restore(position.control)
        elif self._mode.recovers:
            raise SourceRefusedError("snapshot.mode=recovery streams from a stored position, but there is none.",
                                     hint="Use snapshot.mode=initial or no_data.")
        if position is not None and position.snapshot:
            begun, position = self._begun(position), None
        elif position is not None and self._mode.always:
            begun, again, position = self._read_again(position) if self._streams else None, True, None
        if position is not None and not self._streams:
            log.info("snapshot_skipped", reason="it was completed before")
            self._finished = True
            return
        try:
            self._prepare(position or begun)
            if begun is not None:
                self._check_log(begun)
        except PositionLostError as exc:
            if begun is None or again or self._mode.when_lost:
                raise
            self._starts_over(exc.message)
            begun = None
            self._prepare(None)
        if position is None and (self._copies_rows or self.always_snapshots):
            self._begin_snapshot(begun)
        else:
            self.control.notify(INITIAL, "SKIPPED")
            self._begin_stream(position, after_snapshot=False)
            if position is not None:
                self._copy_added(position)

    def _copy_added(self, position: P) -> None:
        """Before anything is read: an offset that has the present lists also has the request."""
        lists, handler = position.control.get(added.KEY), self.control.handler
        if not lists or lists == self.control.offset().get(added.KEY) or handler is None or not self._copies_rows or (
                self._settings.cdc_snapshot_added_tables == "none"):
            return
        tables = self._tables_to_copy(str(lists))
        if tables:
            handler.handle(added.request(tables))

    def _copies_again(self, lost: PositionLostError) -> None:
        """The mode wants a new snapshot in place of the position that is *lost*."""
        log.warning("snapshot_in_place_of_lost_position", **{
            **lost.context, "error": lost.message,
            "hint": "Changes in between are lost. Rows that were deleted meanwhile stay in the topics."})
        if self._reader is not None:
            self._reader.stop()
            self._reader = None
        if self._monitor is not None:
            self._monitor.stop()
            self._monitor = None
        self._discard_lost()

    def _begun(self, position: P) -> P | None:
        """*position*, if its snapshot can be gone on with: the stream will begin where that snapshot began, and bring
        what has changed since."""
        if not self._copies_rows:
            return None
        if not self._streams:
            self._starts_over("only a stream brings what has changed since its rows were read")
        elif position.progress is None:
            self._starts_over("its offset does not tell how far it was")
        else:
            return position
        return None

    def _starts_over(self, reason: str) -> None:
        log.warning("snapshot_starts_over", reason=reason,
                    hint="If the last attempt sent rows that are deleted by now, they stay in the topics.")

    def poll(self, timeout: float) -> Batch | None:
        if self._finished:
            return None
        if self._lost is not None:
            raise SourceConnectionError("The stored position is lost, so the connector starts again with a snapshot.",
                                        reason=self._lost.message) from self._lost
        blocking = self._blocking
        if self._snapshot is not None:
            batch = self._poll_snapshot(self._snapshot, timeout)
        elif blocking is not None and blocking.due:
            batch = self._poll_blocking(blocking, timeout)
        else:
            try:
                batch = self._poll_stream(timeout)
            except PositionLostError as exc:
                if not self._mode.when_lost or self._reached is None:
                    raise
                self._lost = exc
                begin = replace(self._reached, snapshot="INITIAL", progress=None)  # type: ignore[type-var]
                return Batch([], begin, 0, commit_soon=True)
        return None if batch is None else self._with_control(batch)

    def _with_control(self, batch: Batch) -> Batch:
        """*batch*, whose position tells how far signals are, too."""
        kept, soon = self.control.offset(), self.control.taken()
        for counted, number in self.control.reads().items():
            batch.counts[counted] = batch.counts.get(counted, 0) + number
        self._reached = position = cast(LogPosition, batch.position)
        if not kept and not soon:
            return batch
        self._reached = position = replace(position, control=kept)  # type: ignore[type-var]
        return replace(batch, position=position, commit_soon=batch.commit_soon or soon)

    def signal(self, signal: Signal) -> None:
        self.control.signal(signal)

    def notifications(self) -> Sequence[Notification]:
        return self.control.notifications()

    def snapshots(self) -> Sequence[SnapshotStatus]:
        told = self._told
        return (*([] if told is None else [told.status()]), *self.control.snapshots())

    def _offset(self) -> Mapping[str, Any]:
        """Where the source is."""
        return self._reached.offset() if self._reached is not None else {}

    def interrupt(self) -> None:
        """Also ends a wait for the server: a new replication slot, for example, waits for every open transaction."""
        self._interrupted.set()
        if self._blocking is not None:
            self._blocking.interrupt()
        self._cancel()

    def last_words(self) -> Batch | None:
        """That a snapshot ends too early. A restart goes on with it."""
        messages: list[Record | Message] = [*self._aborted()]
        if not messages or self._reached is None:
            return None
        return self._with_control(Batch(messages, replace(cast(Any, self._reached), control={}), 0))

    def _being_read(self) -> Rows | None:
        return self._snapshot or (self._blocking.snapshot if self._blocking is not None else None)

    def _aborted(self) -> Iterable[Message]:
        snapshot = self._being_read()
        return snapshot.told.aborted() if snapshot is not None else ()

    def stop(self) -> None:
        for _ in self._aborted():
            pass  # nobody has asked for the last words, but the notification is kept
        if self._monitor is not None:
            self._monitor.stop()
        if self._reader is not None:
            self._reader.stop()
        if self._snapshot is not None:
            self._snapshot.close()
        if self._blocking is not None:
            self._blocking.close()
        if self.control.handler is not None:
            self.control.handler.close()
        self._close()

    def metrics(self) -> Mapping[str, float]:
        found = {**self._snapshot_numbers, **self._numbers()}
        if self._heartbeat_at:
            found["cdc_last_heartbeat_timestamp_seconds"] = self._heartbeat_at
        reader, monitor, snapshot = self._reader, self._monitor, self._being_read()
        if reader is not None:
            found["cdc_queue_bytes"] = reader.queued_bytes
        if monitor is not None:
            found.update(monitor.numbers)
        if snapshot is not None:
            found.update(snapshot.metrics())
        return found

    # -- snapshot -------------------------------------------------------------------------------------------------

    def _begin_snapshot(self, begun: P | None) -> None:
        if self._once is None:
            self._pause(self._settings.snapshot_delay_ms)
        if self._interrupted.is_set():
            raise SourceConnectionError("The connector was stopped before the snapshot began.")
        self._resumed_snapshot = begun is not None
        self._snapshot = self._open_snapshot(begun)
        self._told = self._snapshot.told
        if begun is not None and begun.progress is not None:
            log.info("snapshot_resumed", tables_done=begun.progress.count, table=begun.progress.table or None)
        self._state = "snapshotting"

    def _poll_snapshot(self, snapshot: SnapshotReader, timeout: float) -> Batch | None:
        self.control.turn(streaming=False)
        batch = snapshot.poll(timeout)
        if batch is None or not snapshot.done:
            return batch
        self._check_snapshot(snapshot)
        self._snapshot_numbers = dict(snapshot.metrics())
        for message in snapshot.told.completed():
            batch.records.append(message)
        snapshot.close()
        self._snapshot = None
        log.info("snapshot_completed", rows=snapshot.row_count, seconds=round(time.time() - snapshot.started_at, 3))
        if self._streams:
            self._pause(self._settings.streaming_delay_ms)
            self._begin_stream(snapshot.final, after_snapshot=not self._resumed_snapshot)
        else:
            self._finished = True
        if self._settings.heartbeat_interval_ms and self._once is None:
            batch.records.append(self._heartbeat())
        return replace(batch, commit_soon=True)

    def _pause(self, milliseconds: int) -> None:
        """Wait, unless the task is to stop."""
        if milliseconds:
            self._interrupted.wait(milliseconds / 1000)

    # -- a snapshot that the stream makes way for -----------------------------------------------------------------

    def _can_block(self) -> None:
        """The stream has told where it is, so from now on it can make way."""
        self._blocking = BlockingSnapshots(
            self.control.blocking, self._open_blocking, self._check_snapshot, self._blocking_closed,
            lambda request: self._telling(request.patterns, request.patterns, {}, request),
            cancel=self._cancel_blocking)

    def _poll_blocking(self, blocking: BlockingSnapshots[P], timeout: float) -> Batch | None:
        """The reader's thread serves the stream's socket meanwhile, and its queue fills up."""
        self._check_monitor()
        self.control.turn(streaming=False)
        self._idle, self._spare_s = False, 0.0  # what the log has had meanwhile is not known
        at = replace(cast(Any, self._reached), control={})
        self._state = "snapshotting"
        batch = blocking.poll(timeout, at)
        ended = not blocking.due
        if ended:
            self._state = "streaming"
        beats = self._heartbeat_due() or (ended and batch is not None and self._settings.heartbeat_interval_ms > 0)
        if batch is None and (beats or self.control.changed):
            batch = Batch([], at, 0)
        if batch is not None and beats:
            batch.records.append(self._heartbeat())
        return batch

    # -- stream ---------------------------------------------------------------------------------------------------

    def _begin_stream(self, position: P | None, *, after_snapshot: bool) -> None:
        self._reader = self._open_reader(position, after_snapshot=after_snapshot)
        self._monitor = self._open_monitor()
        self._state = "streaming"
        self._next_heartbeat = time.monotonic() + self._settings.heartbeat_interval_ms / 1000

    def _poll_stream(self, timeout: float) -> Batch | None:
        reader, control = self._reader, self.control
        assert reader is not None, "not started"
        self._check_monitor()
        control.turn(idle=self._idle, spare_s=self._spare_s)
        self._idle, self._spare_s = False, 0.0
        if self._next_frame >= len(self._frames) and not self._pending():
            wait_s = 0.0 if control.due else min(timeout, _TURN_S) if control.active else timeout
            began = time.monotonic()
            self._frames = self._take(reader, wait_s)
            self._spare_s = time.monotonic() - began
            self._next_frame = 0
            self._idle = not self._frames and wait_s > 0
            if not self._frames and not control.due and not self._heartbeat_due():
                return None
        self._next_frame, batch = self._read_batch(self._frames, self._next_frame)
        if self._heartbeat_due():
            batch.records.append(self._heartbeat())
        if self._blocking is None:
            self._can_block()
        return batch

    def _check_monitor(self) -> None:
        if self._monitor is not None and self._monitor.failure is not None:
            raise self._monitor.failure

    def _heartbeat_due(self) -> bool:
        return self._settings.heartbeat_interval_ms > 0 and time.monotonic() >= self._next_heartbeat

    def _heartbeat(self) -> Message:
        self._heartbeat_at = time.time()
        self._next_heartbeat = time.monotonic() + self._settings.heartbeat_interval_ms / 1000
        if self._monitor is not None:
            self._monitor.wake()
        return self._heartbeat_record()
