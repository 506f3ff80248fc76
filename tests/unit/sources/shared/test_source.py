"""The shell of every log source, over a database of the imagination: states, order of calls, heartbeats, delays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import Mock

import pytest

from cdc.core.control import Signal, SnapshotStatus
from cdc.core.errors import CdcError, PositionLostError, SourceConnectionError, SourceRefusedError
from cdc.core.interfaces import Controlled
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
from cdc.sources.snapshot.requests import parse_request
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
        self.source.control.blocking.add(parse_request(signal))

    def watches(self, id: TableId) -> bool:
        return False

    def passed(self, record: Record) -> None: ...

    def offset(self) -> Mapping[str, Any]:
        return {}

    def restore(self, offset: Mapping[str, Any]) -> None: ...

    def snapshots(self) -> Sequence[SnapshotStatus]:
        return ()

    def turn(self, *, idle: bool, spare_s: float = 0.0) -> None: ...

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

    def _read_batch(self, frames: list[bytes], first: int) -> tuple[int, Batch]:
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


def test_a_first_start_copies_then_streams_from_where_the_copy_ends() -> None:
    source = Source(copy=Copy(batches=2))
    source.start(None)
    assert (source.calls, source.state()) == (["prepare", "snapshot"], "snapshotting")
    first = source.poll(0)
    assert first is not None
    assert (first.commit_soon, source.state()) == (False, "snapshotting")
    last = source.poll(0)
    assert last is not None
    assert (last.commit_soon, source.copy.closed, source.state()) == (True, True, "streaming")
    assert source.calls[-1] == "stream from 7 after it"
    assert not source.finished()


def test_a_stored_position_is_streamed_from_without_a_copy() -> None:
    source = Source()
    source.start({"number": 3})
    assert (source.calls, source.state()) == (["prepare", "stream from 3"], "streaming")


def test_a_copy_that_was_not_completed_goes_on_and_then_streams_from_where_it_began() -> None:
    source = Source(copy=Copy(final=Place(3)))
    source.start({"number": 3, "snapshot": "INITIAL", "progress": Progress()})
    assert (source.calls, source.state()) == (["prepare", "rest of 3"], "snapshotting")
    source.poll(0)
    assert source.calls[-1] == "stream from 3"


@pytest.mark.parametrize(("config", "progress", "lost"), [
    (Config(), None, None),
    (Config(snapshot_mode="initial_only"), Progress(), None),
    (Config(), Progress(), PositionLostError("The slot is gone.")),
], ids=["progress unknown", "no stream follows", "log gone"])
def test_a_copy_that_nothing_can_complete_begins_again(config: Config, progress: Progress | None,
                                                       lost: Exception | None) -> None:
    source = Source(config)
    source.lost = lost
    source.start({"number": 3, "snapshot": "INITIAL", "progress": progress})
    assert source.calls == ["prepare", *(["prepare"] if lost else []), "snapshot"]
    source.poll(0)
    assert source.finished() or source.calls[-1] == "stream from 7 after it"


def test_initial_only_finishes_with_the_copy_and_does_nothing_later() -> None:
    source = Source(Config(snapshot_mode="initial_only"))
    source.start(None)
    assert source.poll(0) is not None
    assert source.finished()
    assert source.poll(0) is None
    again = Source(Config(snapshot_mode="initial_only"))
    again.start({"number": 7})
    assert (again.calls, again.finished(), again.poll(0)) == ([], True, None)


@pytest.mark.parametrize(("kind", "calls"), [(Source, ["prepare", "stream from None"]),
                                             (Eager, ["prepare", "snapshot"])])
def test_no_data_copies_nothing_unless_structures_come_from_the_copy(kind: type[Source], calls: list[str]) -> None:
    source = kind(Config(snapshot_mode="no_data"))
    source.start(None)
    assert source.calls == calls


CONFIGURED = "configuration_based"


@pytest.mark.parametrize(("config", "calls"), [
    (Config(snapshot_mode="always"), ["prepare", "rest of 3"]),
    (Config(snapshot_mode="initial"), ["prepare", "stream from 3"]),
    (Config(snapshot_mode="when_needed"), ["prepare", "stream from 3"]),
    (Config(snapshot_mode="no_data"), ["prepare", "stream from 3"]),
    (Config(snapshot_mode="recovery"), ["prepare", "stream from 3"]),
    (Config(snapshot_mode="initial_only"), []),
    (Config(snapshot_mode=CONFIGURED, snapshot_mode_configured=("start.stream",)), ["prepare", "stream from 3"]),
    (Config(snapshot_mode=CONFIGURED, snapshot_mode_configured=("snapshot.data",)), ["prepare", "snapshot"]),
    (Config(snapshot_mode=CONFIGURED, snapshot_mode_configured=("snapshot.data", "start.stream")),
     ["prepare", "rest of 3"]),
], ids=lambda each: each.snapshot_mode if isinstance(each, Config) else "")
def test_what_each_mode_does_with_a_stored_position(config: Config, calls: list[str]) -> None:
    source = Source(config, copy=Copy(final=Place(3)))
    source.start({"number": 3})
    assert source.calls == calls


def test_a_copy_at_each_start_streams_from_the_stored_position() -> None:
    """So what was deleted since then comes in the stream."""
    source = Source(Config(snapshot_mode="always"), copy=Copy(final=Place(3)))
    source.start({"number": 3})
    source.poll(0)
    assert source.calls[-1] == "stream from 3"


def test_recovery_needs_a_stored_position() -> None:
    with pytest.raises(SourceRefusedError, match="there is none"):
        Source(Config(snapshot_mode="recovery")).start(None)


ON_LOSS = Config(snapshot_mode=CONFIGURED, snapshot_mode_configured=("start.stream", "snapshot.on.data.error"))


@pytest.mark.parametrize(("progress", "copies"), [(None, "snapshot"), (Progress(), "rest of 3")])
def test_a_copy_in_place_of_a_lost_position_is_completed_by_the_next_start(progress: Progress | None,
                                                                           copies: str) -> None:
    """Although the mode copies no rows otherwise."""
    source = Source(ON_LOSS)
    source.start({"number": 3, "snapshot": "INITIAL", "progress": progress})
    assert source.calls == ["prepare", copies]


@pytest.mark.parametrize("config", [
    Config(snapshot_mode="when_needed"),
    Config(snapshot_mode=CONFIGURED, snapshot_mode_configured=("start.stream", "snapshot.on.data.error")),
], ids=["when_needed", CONFIGURED])
def test_a_position_that_is_lost_is_replaced_by_a_copy_where_the_mode_says_so(config: Config) -> None:
    source = Source(config)
    source.gone = PositionLostError("The log was purged.")
    source.start({"number": 3})
    assert source.calls == ["prepare", "discard", "prepare", "snapshot"]
    source.poll(0)
    assert source.calls[-1] == "stream from 7 after it"


@pytest.mark.parametrize("mode", ["initial", "always", "no_data", "recovery"])
def test_in_other_modes_a_lost_position_is_an_error(mode: str) -> None:
    source = Source(Config(snapshot_mode=mode))
    source.gone = source.lost = PositionLostError("The log was purged.")
    with pytest.raises(PositionLostError):
        source.start({"number": 3})


def test_a_position_that_the_stream_shows_to_be_lost_makes_the_next_start_copy() -> None:
    source = Source(Config(snapshot_mode="when_needed"))
    source.reader.frames = [[b"lost"]]
    source.start({"number": 3})
    batch = source.poll(0)
    assert batch is not None
    assert (batch.records, batch.position, batch.commit_soon) == ([], Place(3, "INITIAL"), True)
    with pytest.raises(SourceConnectionError, match="starts again with a snapshot"):
        source.poll(0)
    again = Source(Config(snapshot_mode="when_needed"))
    again.start({"number": 3, "snapshot": "INITIAL"})
    assert again.calls == ["prepare", "snapshot"]


def test_a_copy_that_does_not_hold_is_an_error_before_its_last_batch_is_given() -> None:
    source = Source()
    source.check = SourceConnectionError("A table was swapped.")
    source.start(None)
    with pytest.raises(SourceConnectionError):
        source.poll(0)
    assert source.calls == ["prepare", "snapshot"]


def test_frames_are_taken_only_when_the_ones_before_are_used_up() -> None:
    source = Source()
    source.reader.frames = [[b"a", b"bc"], [b"d"]]
    source.start({"number": 3})
    sizes = [batch.size_bytes for batch in iter(lambda: source.poll(0), None)]
    assert sizes == [1, 2, 1]


def test_what_the_monitor_finds_wrong_ends_the_stream_before_more_is_given() -> None:
    source = Source()
    source.reader.frames = [[b"a"], [b"b"]]
    source.start({"number": 3})
    assert source.poll(0) is not None
    source.watcher.failure = SourceRefusedError("A table is not published any more.")
    with pytest.raises(SourceRefusedError, match="not published"):
        source.poll(0)
    assert source.reader.frames == [[b"b"]]


def test_a_heartbeat_goes_with_the_next_batch_wakes_the_monitor_and_has_no_source_time() -> None:
    source = Source(Config(heartbeat_interval_ms=1))
    source.start({"number": 3})
    source._next_heartbeat = 0.0
    batch = source.poll(0)
    assert batch is not None
    assert (batch.records, batch.source_ts_us, source.watcher.woken) == ([HEARTBEAT], 0, 1)


def test_a_heartbeat_ends_the_copy() -> None:
    source = Source(Config(heartbeat_interval_ms=60_000))
    source.start(None)
    batch = source.poll(0)
    assert batch is not None
    assert batch.records == [CHANGE, HEARTBEAT]


def test_an_interrupt_ends_the_delays_and_no_copy_begins_after_it() -> None:
    source = Source(Config(snapshot_delay_ms=60_000))
    source.interrupt()
    with pytest.raises(SourceConnectionError):
        source.start(None)
    assert source.calls == ["cancel", "prepare"]


def test_stop_stops_all_parts_and_may_be_called_again() -> None:
    source = Source()
    source.start({"number": 3})
    source.stop()
    source.stop()
    assert source.reader.stopped
    assert source.watcher.stopped
    assert source.calls[-2:] == ["close", "close"]


def test_metrics_join_the_parts() -> None:
    source = Source()
    source.start(None)
    assert source.metrics() == {"cdc_own": 1.0, "cdc_snapshot_tables": 1}
    source.poll(0)
    assert source.metrics() == {"cdc_own": 1.0, "cdc_queue_bytes": 5, "cdc_retained_bytes": 3.0,
                                "cdc_snapshot_tables": 1}, "a snapshot's figures stay after its end"


def test_context_headers_are_in_debeziums_order() -> None:
    prefix = "__debezium.context."
    assert Source().context_headers("r") == [
        (f"{prefix}connectorLogicalName", "shop"), (f"{prefix}taskId", "0"),
        (f"{prefix}connectorName", "imagined"), (f"{prefix}runId", "r")]


# -- signals ----------------------------------------------------------------------------------------------------------

def streaming(number: int = 3, **kept: str) -> Source:
    source = Source()
    source.start({"number": number, **kept})
    return source


def test_a_signal_that_can_come_again_moves_the_offset_on_soon() -> None:
    source = streaming()
    assert isinstance(source, Controlled)
    assert source.poll(0) is None
    source.signal(Signal("1", "log", {"message": "x"}, "kafka", {"signal_kafka": "t/0/5"}))
    batch = source.poll(0)
    assert batch is not None
    assert batch.commit_soon
    assert batch.position.offset() == {"number": 1, "signal_kafka": "t/0/5"}
    assert source.poll(0) is None


def test_a_start_without_a_copy_is_told() -> None:
    source = streaming()
    assert [(each.aggregate_type, each.type) for each in source.notifications()] == [("Initial Snapshot", "SKIPPED")]


def test_the_status_of_a_copy_stays() -> None:
    source = Source()
    source.start(None)
    assert [each.state for each in source.snapshots()] == ["running"]
    source.poll(0)
    assert [each.state for each in source.snapshots()] == ["completed"]


def test_the_status_of_a_copy_that_ends_early_says_so() -> None:
    source = Source(copy=Copy(2))
    source.start(None)
    source.stop()
    assert [each.state for each in source.snapshots()] == ["stopped"]


def test_later_offsets_keep_how_far_the_signals_are() -> None:
    source = streaming(signal_kafka="t/0/5")
    source.reader.frames = [[b"a"]]
    batch = source.poll(0)
    assert batch is not None
    assert not batch.commit_soon
    assert batch.position.offset() == {"number": 0, "signal_kafka": "t/0/5"}


def test_signals_about_snapshots_wait_for_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    source = Source(copy=Copy(2))
    source.start(None)
    source.signal(Signal("1", "execute-snapshot", {}, "kafka", {"signal_kafka": "t/0/5"}))
    for _ in range(2):
        batch = source.poll(0)
        assert batch is not None
        assert "signal_kafka" not in batch.position.offset()
    batch = source.poll(0)
    assert batch is not None
    assert batch.position.offset()["signal_kafka"] == "t/0/5"


def test_who_copies_beside_the_stream_hears_when_it_had_nothing() -> None:
    source = streaming()
    handler = source.control.handler = Mock(**{"offset.return_value": {}, "active": True})
    source.poll(1)
    source.reader.frames = [[b"a"]]
    source.poll(1)
    source.control.commit_soon()
    source.poll(1)  # does not wait for the log
    source.poll(1)
    assert [call.kwargs["idle"] for call in handler.turn.call_args_list] == [False, True, False, False]


# -- tables that were added -------------------------------------------------------------------------------------------

WIDER = Config(table_include_list=("orders", "items"))
NARROWER = '{"table_include_list":["orders"]}'


@pytest.mark.parametrize(("config", "lists", "asked"), [
    (WIDER, NARROWER, True), (Config(), NARROWER, True), (WIDER, None, False), (WIDER, "{}", False),
    (WIDER, '{"table_include_list":["orders","items"]}', False),
    (Config(table_include_list=("orders", "items"), cdc_snapshot_added_tables="none"), NARROWER, False),
    (Config(table_include_list=("orders", "items"), snapshot_mode="no_data"), NARROWER, False),
], ids=["wider", "all", "unknown", "none before", "equal", "not wanted", "no rows"])
def test_rows_of_added_tables_are_asked_for_before_anything_is_read(
        config: Config, lists: str | None, asked: bool) -> None:
    source = Source(config)
    handler = source.control.handler = Mock(**{"offset.return_value": {}})
    source.start({"number": 3, **({"captured_lists": lists} if lists is not None else {})})
    assert [call.args[0].data["data-collections"] for call in handler.handle.call_args_list] == (
        [["shop\\.items"]] if asked else [])
    assert source.calls[-1] == "stream from 3"


def blocking_source(config: Config = Config(), copy: Copy | None = None) -> Source:
    source = Source(config, copy)
    source.control.handler = Asks(source)
    return source


def blocking(id: str = "b", channel: str = "file", mark: Mapping[str, str] = {}) -> Signal:
    return Signal(id, "execute-snapshot", {"type": "blocking", "data-collections": ["s.a"]}, channel, mark)


def polled(source: Source, *, until: str) -> list[Batch]:
    """The batches until the source's state is *until*."""
    found = []
    while True:
        batch = source.poll(0.05)
        if batch is not None:
            found.append(batch)
            if source.state() == until:
                return found


def types(batch: Batch) -> list[str]:
    """Of the notifications."""
    return [each.value[1] for each in batch.records if isinstance(each, Message)]


def test_the_stream_makes_way_where_it_is_and_then_goes_on() -> None:
    source = blocking_source()
    source.reader.frames = [[b"a", b"b"]]
    source.start({"number": 3})
    source.signal(blocking(mark={"signal_file": "1"}))
    first = source.poll(0)
    assert first is not None
    assert first.commit_soon
    assert first.position.offset().keys() == {"number", "signal_file", "blocking_snapshot"}
    copied = polled(source, until="streaming")
    assert source.calls[-2:] == ["blocked at 0: s.a", "go on"]
    assert [each.position.offset().keys() for each in copied] == [
        {"number", "signal_file", "blocking_snapshot"}, {"number", "signal_file"}]
    assert {each.position.offset()["number"] for each in (first, *copied)} == {0}
    assert copied[-1].commit_soon
    assert source.copy.closed
    following = source.poll(0)
    assert following is not None
    assert following.position == Place(1, control={"signal_file": "1"})
    assert [each.type for each in source.notifications()] == ["SKIPPED", "COMPLETED"]


def test_after_a_blocking_snapshot_the_stream_does_not_count_as_idle() -> None:
    """It had nothing before, but is now as far behind as the snapshot took: chunks beside it wait for that."""
    source = blocking_source()
    source.refused = SourceConnectionError("A transaction is not visible yet.")
    source.start({"number": 3})
    source.signal(blocking())
    source.poll(0)
    assert source._blocking is not None
    now = 100.0
    source._blocking._clock = lambda: now
    while source._blocking.due:
        source.poll(0.05)
    source.refused = None
    source.poll(0.05)
    assert source._idle
    now += 60
    polled(source, until="streaming")
    assert "blocked at 1: s.a" in source.calls
    assert not source._idle


def test_a_blocking_snapshot_is_taken_again_after_a_restart() -> None:
    source = blocking_source()
    source.start({"number": 3})
    source.signal(blocking())
    first = source.poll(0)
    assert first is not None
    again = blocking_source()
    again.start(first.position.offset())
    assert [(each.id, each.state) for each in again.snapshots()] == [("b", "waiting")]
    polled(again, until="snapshotting")
    assert [each.position.offset() for each in polled(again, until="streaming")][-1] == {"number": 1}
    assert "blocked at 1: s.a" in again.calls


def test_heartbeats_and_log_signals_go_on_while_the_stream_waits_and_the_monitor_ends_it() -> None:
    source = blocking_source(Config(heartbeat_interval_ms=60_000))
    source.start({"number": 3})
    source.signal(blocking())
    source.poll(0)
    source._next_heartbeat = 0.0
    source.signal(Signal("l", "log", {"message": "here"}, "kafka", {"signal_kafka": "2"}))
    source.signal(blocking("c", "kafka"))
    copied = polled(source, until="streaming")
    assert copied[0].records[-1] is HEARTBEAT
    assert copied[-1].records[-1] is HEARTBEAT
    assert copied[0].position.offset()["signal_kafka"] == "2"
    assert len(source.control._waiting) == 1
    source.watcher.failure = SourceRefusedError("A table is not published any more.")
    source.control.blocking.add(parse_request(blocking("d")))
    with pytest.raises(SourceRefusedError, match="not published"):
        source.poll(0)


def test_a_refused_blocking_snapshot_is_given_up_and_the_stream_goes_on() -> None:
    source = blocking_source(Config(notification_enabled_channels=("sink",), notification_sink_topic_name="notes"))
    source.refused = SourceRefusedError("The user may not read it.")
    source.start({"number": 3})
    source.signal(blocking())
    source.poll(0)
    batch, = polled(source, until="streaming")
    assert types(batch) == ["STARTED", "ABORTED"]
    assert batch.position == Place(1)
    assert source.snapshots()[-1].state == "stopped"


def test_the_last_words_tell_that_a_snapshot_was_aborted() -> None:
    source = Source(Config(notification_enabled_channels=("sink",), notification_sink_topic_name="notes"),
                    copy=Copy(batches=9))
    source.copy.told = source._telling(["s.a"], ["s.a"], {})
    source.start(None)
    assert source.last_words() is None
    source.copy.told = source._telling(["s.a"], ["s.a"], {})
    source.poll(0)
    batch = source.last_words()
    assert batch is not None
    assert (types(batch), batch.position) == (["ABORTED"], Place(7))
    assert source.last_words() is None
    source.stop()
    assert [each.type for each in source.notifications()] == ["ABORTED", "ABORTED"]
