"""The shell of every log source, over a database of the imagination: states, order of calls, heartbeats, delays."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from cdc.core.control import Signal
from cdc.core.errors import PositionLostError, SourceConnectionError, SourceRefusedError
from cdc.core.interfaces import Controlled
from cdc.sources.snapshot.progress import Progress

from .imagined import CHANGE, HEARTBEAT, Config, Copy, Eager, Place, Source


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
        [["(?-i:shop\\.items)"]] if asked else [])
    assert source.calls[-1] == "stream from 3"
