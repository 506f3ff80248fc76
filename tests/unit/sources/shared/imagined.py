"""A database of the imagination, for the shell of every log source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cdc.core.control import STOP_SNAPSHOT, Signal, SnapshotStatus
from cdc.core.errors import CdcError, PositionLostError
from cdc.core.record import Batch, Message, Record
from cdc.core.table import TableId
from cdc.debezium import schemas
from cdc.debezium.emit import Emitter
from cdc.debezium.filters import Filters
from cdc.debezium.naming import TopicNaming
from cdc.sources.shared.blocking import Rows, Wanted
from cdc.sources.shared.control import stored
from cdc.sources.shared.source import LogSource
from cdc.sources.shared.source_block import SourceBlockBase
from cdc.sources.snapshot.progress import Progress
from cdc.sources.snapshot.requests import parse_request, parse_stop
from cdc.sources.snapshot.told import Told

HEARTBEAT = Message("heartbeats", None, None, None, 1)
CHANGE = Message("changes", None, None, None, 2)


@dataclass(frozen=True)
class Place:
    number: int
    snapshot: str | None = None
    progress: Progress | None = None
    control: Mapping[str, Any] = field(default_factory=dict)

    def offset(self) -> dict[str, Any]:
        return {"number": self.number, **self.control}


@dataclass(frozen=True)
class Config:
    topic_prefix: str = "shop"
    snapshot_mode: str = "initial"
    snapshot_mode_configured: tuple[str, ...] = ()
    snapshot_delay_ms: int = 0
    streaming_delay_ms: int = 0
    snapshot_max_threads: int = 1
    heartbeat_interval_ms: int = 0
    max_batch_size: int = 10
    signal_enabled_channels: tuple[str, ...] = ("source",)
    notification_enabled_channels: tuple[str, ...] = ()
    notification_sink_topic_name: str | None = None
    cdc_snapshot_added_tables: str = "incremental"
    table_include_list: tuple[str, ...] = ()


@dataclass
class Copy:
    """A snapshot of so many batches."""

    batches: int = 1
    closed: bool = False
    done: bool = False
    final: Place = Place(7)
    table_count: int = 1
    row_count: int = 3
    started_at: float = 0.0
    told: Told = field(default_factory=lambda: Told(["s.a"], ["s.a"], lambda type, data: None))

    def poll(self, timeout: float) -> Batch | None:
        self.batches -= 1
        self.done = self.batches <= 0
        return Batch([CHANGE], self.final, 1)

    def metrics(self) -> Mapping[str, float]:
        return {"cdc_snapshot_tables": self.table_count}

    def follow_commits(self, wait: Callable[[float], None]) -> None: ...

    def committed(self, progress: Progress | None) -> None: ...

    def close(self) -> None:
        self.closed = True


@dataclass
class Reader:
    frames: list[list[bytes]] = field(default_factory=list)
    stopped: bool = False
    queued_bytes: int = 5

    def take(self, timeout: float, max_bytes: int) -> list[bytes]:
        return self.frames.pop(0) if self.frames else []

    def stop(self) -> None:
        self.stopped = True


@dataclass
class Watcher:
    woken: int = 0
    stopped: bool = False
    failure: CdcError | None = None

    @property
    def numbers(self) -> Mapping[str, float]:
        return {"cdc_retained_bytes": 3.0}

    def wake(self) -> None:
        self.woken += 1

    def stop(self) -> None:
        self.stopped = True


class Asks:
    """Takes blocking snapshots only."""

    active = False

    def __init__(self, source: Source) -> None:
        self.source = source

    def handle(self, signal: Signal) -> None:
        queue = self.source.control.blocking
        if signal.type == STOP_SNAPSHOT:
            queue.stop(parse_stop(signal))
        else:
            queue.add(parse_request(signal))

    def watches(self, id: TableId) -> bool:
        return False

    def passed(self, record: Record) -> None: ...

    def offset(self) -> Mapping[str, Any]:
        return {}

    def restore(self, offset: Mapping[str, Any]) -> None: ...

    def snapshots(self) -> Sequence[SnapshotStatus]:
        return ()

    def turn(self, *, idle: bool, spare_s: float = 0.0) -> None: ...

    def follow_commits(self) -> None: ...

    def committed(self, offset: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


class Source(LogSource[Place]):
    def __init__(self, config: Config = Config(), copy: Copy | None = None) -> None:
        super().__init__(config, "imagined")
        emitter = Emitter(skipped=frozenset(), tombstones=True, skip_unchanged=False)
        self.control = self._make_control(emitter, Filters(), SourceBlockBase(
            TopicNaming(config.topic_prefix), "imagined", schemas.source_schema("Source", ())))
        self.calls: list[str] = []
        self.copy = copy or Copy()
        self.reader = Reader()
        self.watcher = Watcher()
        self.check: Exception | None = None
        self.lost: Exception | None = None
        self.gone: Exception | None = None
        self.refused: CdcError | None = None

    def _stored_position(self, offset: Mapping[str, Any]) -> Place:
        return Place(offset["number"], offset.get("snapshot"), offset.get("progress"), stored(offset))

    def _prepare(self, position: Place | None) -> None:
        self.calls.append("prepare")

    def _open_snapshot(self, begun: Place | None) -> Copy:
        self.calls.append(f"rest of {begun.number}" if begun is not None else "snapshot")
        return self.copy

    def _open_blocking(self, wanted: Wanted[Place]) -> Rows:
        if self.refused is not None:
            raise self.refused
        self.calls.append(f"blocked at {wanted.at.number}: {','.join(wanted.request.patterns)}")
        self.copy = Copy(2, final=wanted.at, told=self._telling(["s.a"], ["s.a"], {}, wanted.request))
        wanted.reached(Progress())
        return self.copy

    def _cancel_blocking(self) -> None:
        self.calls.append("cancel blocking")

    def _blocking_closed(self) -> None:
        self.calls.append("go on")

    def _check_log(self, begun: Place) -> None:
        if self.lost is not None:
            raise self.lost

    def _read_again(self, position: Place) -> Place:
        return replace(position, snapshot="INITIAL", progress=Progress())

    def _discard_lost(self) -> None:
        self.calls.append("discard")

    def _open_reader(self, position: Place | None, *, after_snapshot: bool) -> Reader:
        if self.gone is not None:
            gone, self.gone = self.gone, None
            raise gone
        self.calls.append(f"stream from {position.number if position else None}{' after it' if after_snapshot else ''}")
        return self.reader

    def _open_monitor(self) -> Watcher:
        return self.watcher

    def _tables_to_copy(self, lists: str) -> list[TableId]:
        return [TableId("shop", "", "items")] if "orders" in lists else []

    def _pending(self) -> bool:
        return False

    def _read_batch(self, frames: Sequence[bytes], first: int) -> tuple[int, Batch]:
        """One frame a batch."""
        if frames and frames[first] == b"lost":
            raise PositionLostError("The log is another one.")
        if first >= len(frames):
            return first, Batch([], Place(1), 0)
        return first + 1, Batch([CHANGE], Place(first), len(frames[first]), 99)

    def _heartbeat_record(self) -> Message:
        return HEARTBEAT

    def _cancel(self) -> None:
        self.calls.append("cancel")

    def _close(self) -> None:
        self.calls.append("close")

    def _numbers(self) -> dict[str, float]:
        return {"cdc_own": 1.0}

    def _check_snapshot(self, snapshot: Any) -> None:
        if self.check is not None:
            raise self.check


class Eager(Source):
    always_snapshots = True
