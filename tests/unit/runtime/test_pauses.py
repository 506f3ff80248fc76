"""What a process does that stood still: it sends nothing more of what it read before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from cdc.core.errors import (
    OffsetStoreError,
    OwnerLostError,
    RegistryConnectionError,
    SourceConnectionError,
    SourceRefusedError,
)
from cdc.core.interfaces import Outgoing
from cdc.metrics.task import TaskMetrics
from cdc.runtime.pauses import PauseWatch, clock_with_pauses
from cdc.runtime.source_offsets import SourceOffsets
from cdc.runtime.task import Task, TaskParts, TaskSettings

from .test_task_turns import FakeConverter, FakeSink, FakeSource, FakeStore, batch


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def started(clock: Clock) -> PauseWatch:
    """A watch whose thread is the test."""
    watch = PauseWatch(clock)
    watch.look()
    return watch


def test_a_watch_that_was_not_started_notices_nothing() -> None:
    assert PauseWatch(Clock()).since(0) == 0


def test_a_pause_is_seen_before_and_after_the_thread_has_seen_it() -> None:
    clock = Clock()
    watch = started(clock)
    longest = watch.from_now()
    clock.now += 0.25
    assert longest() == 0.25
    clock.now += 7
    assert longest() == 7.25
    watch.look()
    clock.now += 0.25
    assert longest() == 7.25
    assert watch.from_now()() == 0.25, "whoever starts after a pause has nothing to do with it"


def test_many_short_looks_are_no_pause() -> None:
    clock = Clock()
    watch = started(clock)
    longest = watch.from_now()
    for _ in range(1000):
        clock.now += 0.9
        watch.look()
    assert longest() == 0


def test_the_thread_looks() -> None:
    watch = PauseWatch()
    watch.start()
    begin, looked = clock_with_pauses(), watch._looked_at
    deadline = begin + 60
    while watch._looked_at == looked and clock_with_pauses() < deadline:
        threading.Event().wait(0.01)
    watch.stop()
    assert watch._looked_at != looked
    assert watch._thread is not None
    watch._thread.join(60)
    assert not watch._thread.is_alive()


class Sink(FakeSink):
    """Takes one outgoing with each call; notes what it took, and when it was closed. *on_send* comes before."""

    def __init__(self, on_send: Callable[[int], None] = lambda taken: None) -> None:
        super().__init__(lag=100)
        self.on_send = on_send
        self.taken = 0
        self.closed = False

    def send(self, batch: Sequence[Outgoing], first: int, ack: Any) -> int:
        assert not self.closed, "sent after the pause"
        self.taken += 1
        self.on_send(self.taken)
        return first + 1

    def flush(self, timeout: float) -> int:
        assert self.closed, "the queue is thrown away, not delivered"
        return 0

    def close(self) -> None:
        self.closed = True


class Bench:
    def __init__(self, sink: Sink | None = None, converter: Any = None) -> None:
        self.paused_s = 0.0
        self.sink = sink or Sink()
        self.source = FakeSource([batch(1, 3), batch(2, 3)], lambda: None)
        self.store = FakeStore()
        source: Any = self.source
        parts = TaskParts(source, None, converter or FakeConverter(), self.sink)
        self.task = Task(TaskSettings("c", 3600.0), parts, self.store, TaskMetrics("c"), threading.Event(),
                         paused_s=lambda: self.paused_s)

    def keep_in(self, store: FakeStore) -> None:
        source: Any = self.source
        self.task.commits.offsets = SourceOffsets("c", source, store)

    def pause(self, seconds: float) -> None:
        self.paused_s = max(self.paused_s, seconds)


def test_a_pause_between_two_turns_sends_nothing_more() -> None:
    bench = Bench()
    bench.source.at_end = lambda: bench.pause(2.5)
    with pytest.raises(SourceConnectionError, match="stood still"):
        bench.task.run()
    assert (bench.sink.taken, bench.sink.closed) == (6, True)


def test_a_pause_while_the_sink_is_full_sends_nothing_more() -> None:
    bench = Bench(Sink(lambda taken: bench.pause(2.5) if taken == 2 else None))
    with pytest.raises(SourceConnectionError, match="stood still"):
        bench.task.run()
    assert bench.sink.taken == 2


def test_a_pause_while_the_registry_is_away_sends_nothing_more() -> None:
    class Away(FakeConverter):
        def convert(self, records: Sequence[Any], now_us: int, failed: Any = None) -> list[Outgoing]:
            bench.pause(2.5)
            raise RegistryConnectionError("away")

    bench = Bench(converter=Away())
    with pytest.raises(SourceConnectionError, match="stood still"):
        bench.task.run()
    assert bench.sink.taken == 0


def test_a_short_pause_changes_nothing() -> None:
    bench = Bench()
    bench.paused_s = 2.0
    bench.source.at_end = lambda: bench.pause(2.1) if bench.sink.taken == 6 else None
    with pytest.raises(SourceConnectionError):
        bench.task.run()
    assert bench.sink.taken == 6


def test_after_a_pause_the_claim_decides_whether_the_task_starts_again() -> None:
    class Lost(FakeStore):
        def hold(self, connector: str, partition: Mapping[str, Any]) -> None:
            if bench.paused_s:
                raise OwnerLostError("taken over")

    bench = Bench()
    bench.keep_in(Lost())
    bench.source.at_end = lambda: bench.pause(60)
    with pytest.raises(OwnerLostError):
        bench.task.run()
    assert bench.sink.closed


@pytest.mark.parametrize(("found", "wanted"), [
    (None, SourceRefusedError), (OwnerLostError("taken over"), OwnerLostError),
    (OffsetStoreError("away"), SourceRefusedError),
])
def test_a_refusal_because_of_another_process_is_told_as_that(found: Exception | None, wanted: type[Exception]) -> None:
    class Asked(FakeStore):
        def hold(self, connector: str, partition: Mapping[str, Any]) -> None:
            if refused and found is not None:
                raise found

    def refuse() -> None:
        refused.append(True)
        raise SourceRefusedError("Another client connected.")

    refused: list[bool] = []
    bench = Bench()
    bench.sink.close()  # which is not asked for anything more
    bench.source.batches = []
    bench.keep_in(Asked())
    bench.source.at_end = refuse
    with pytest.raises(wanted):
        bench.task.run()


def test_who_was_replaced_throws_its_queue_away_and_commits_nothing_more() -> None:
    bench = Bench(Sink())
    bench.source.batches = [batch(1, commit_soon=True), batch(2, 3)]
    bench.store.error = OwnerLostError("taken over")
    with pytest.raises(OwnerLostError):
        bench.task.run()
    assert bench.sink.closed
    assert bench.store.tries == 1


def test_a_store_that_is_away_after_a_pause_makes_the_task_start_again() -> None:
    class Away(FakeStore):
        def hold(self, connector: str, partition: Mapping[str, Any]) -> None:
            if bench.paused_s:
                raise OffsetStoreError("away", retriable=True)

    bench = Bench()
    bench.keep_in(Away())
    bench.source.at_end = lambda: bench.pause(60)
    with pytest.raises(OffsetStoreError) as caught:
        bench.task.run()
    assert caught.value.retriable
