"""A source whose stream makes way for snapshots, over a database of the imagination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from cdc.core.control import Signal
from cdc.core.errors import SourceConnectionError, SourceRefusedError
from cdc.core.record import Batch, Message
from cdc.sources.snapshot.requests import parse_request

from .imagined import HEARTBEAT, Asks, Config, Copy, Place, Source


def blocking_source(config: Config | None = None) -> Source:
    source = Source(config or Config())
    source.control.handler = Asks(source)
    return source


def blocking(id: str = "b", channel: str = "file", mark: Mapping[str, str] = {}) -> Signal:
    return Signal(id, "execute-snapshot", {"type": "blocking", "data-collections": ["s.a"]}, channel, mark)


def polled(source: Source, *, until: str) -> list[Batch]:
    """The batches until the source's state is *until*."""
    found = []
    for _ in range(1000):
        batch = source.poll(0.05)
        if batch is not None:
            found.append(batch)
            if source.state() == until:
                return found
    raise AssertionError(f"it is {source.state()}")


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


def stop(id: str = "stop", channel: str = "file", mark: Mapping[str, str] = {}) -> Signal:
    return Signal(id, "stop-snapshot", {"type": "blocking"}, channel, mark)


def test_a_blocking_snapshot_is_stopped_the_stream_goes_on_and_a_restart_does_not_bring_it_back() -> None:
    source = blocking_source(Config(notification_enabled_channels=("sink",), notification_sink_topic_name="notes"))
    source.start({"number": 3})
    source.signal(blocking())
    source.poll(0)
    polled(source, until="snapshotting")
    source.signal(stop(mark={"signal_file": "2"}))
    batch, = polled(source, until="streaming")
    assert (types(batch), batch.commit_soon) == (["ABORTED"], True)
    assert batch.position == Place(1, control={"signal_file": "2"})
    assert source.copy.closed
    assert [(each.id, each.state) for each in source.snapshots()] == [("b", "stopped")]
    again = blocking_source()
    again.start(batch.position.offset())
    assert not again.control.blocking


def test_a_stop_does_not_wait_behind_other_signals_and_takes_those_that_it_is_about() -> None:
    source = blocking_source()
    source.start({"number": 3})
    source.signal(blocking())
    source.poll(0)
    polled(source, until="snapshotting")
    for number, each in enumerate((Signal("p", "pause-snapshot", {}, "kafka"), blocking("c", "kafka"),
                                   stop(channel="kafka"), blocking("d", "kafka"))):
        source.signal(replace(each, mark={"signal_kafka": str(number)}))
    batch, = polled(source, until="streaming")
    assert [(each.id, each.state) for each in source.snapshots()] == [("b", "stopped")]
    assert "signal_kafka" not in batch.position.offset(), "what comes before it waits"
    assert [(each.id, each.type) for each in source.control._waiting] == [
        ("p", "pause-snapshot"), ("c", ""), ("stop", ""), ("d", "execute-snapshot")]
    source.control._waiting.popleft()  # this handler knows nothing of it
    following = source.poll(0)
    assert following is not None
    assert following.position.offset()["signal_kafka"] == "3"
    assert [each.id for each in source.control.blocking.requests] == ["d"]


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
