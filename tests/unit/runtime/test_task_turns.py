"""The task's loop with parts that do as they are told: what it keeps, when it commits, and how an end is handled."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from cdc.core.errors import (
    CdcError,
    ConvertError,
    OffsetStoreError,
    OwnerLostError,
    PositionLostError,
    RegistryConnectionError,
    SinkRefusedError,
    SourceConnectionError,
    SourceRefusedError,
)
from cdc.core.interfaces import DeadLetters, Failed, Outgoing, Warned
from cdc.core.owner import Claim, Owner
from cdc.core.record import Batch, Message
from cdc.metrics.task import TaskMetrics
from cdc.runtime.task import Task, TaskParts, TaskSettings
from cdc.runtime.tolerance import Tolerance


@dataclass(frozen=True, slots=True)
class At:
    number: int

    def offset(self) -> dict[str, Any]:
        return {"lsn": self.number}


class FakeWarnings:
    """Shows what it is told to show."""

    def __init__(self) -> None:
        self.shown: list[Warned] = []

    def active(self) -> Sequence[Warned]:
        return self.shown

    def begun(self) -> Mapping[str, int]:
        return {each.kind: 1 for each in self.shown}


class FakeSource:
    """Gives *batches*, then runs *at_end*."""

    def __init__(self, batches: Sequence[Batch], at_end: Callable[[], None]) -> None:
        self.batches = list(batches)
        self.at_end = at_end
        self.confirmed: list[Any] = []
        self.warnings = FakeWarnings()

    def start(self, offset: Any) -> None: ...

    def poll(self, timeout: float) -> Batch | None:
        if self.batches:
            return self.batches.pop(0)
        self.at_end()
        return None

    def confirm(self, position: Any) -> None:
        self.confirmed.append(position)

    def finished(self) -> bool:
        return False

    def state(self) -> str:
        return "streaming"

    def silence_s(self) -> float:
        return 2.0

    def interrupt(self) -> None: ...

    def stop(self) -> None: ...

    def check_offset(self, offset: Any) -> None: ...

    def partition(self) -> Mapping[str, Any]:
        return {"server": "shop"}

    def metrics(self) -> Mapping[str, float]:
        return {}


class FakeSink:
    """Answers each outgoing in the poll that follows, but keeps the newest *lag* of them waiting."""

    def __init__(self, lag: int = 0) -> None:
        self.lag = lag
        self.waiting: list[Any] = []

    def start(self) -> None: ...

    def interrupt(self) -> None: ...

    def fence(self) -> None: ...

    def send(self, batch: Sequence[Outgoing], first: int, ack: Any) -> int:
        self.waiting += [ack] * (len(batch) - first)
        return len(batch)

    def poll(self, timeout: float) -> None:
        while len(self.waiting) > self.lag:
            self.waiting.pop(0).delivered()

    def flush(self, timeout: float) -> int:
        while self.waiting:
            self.waiting.pop(0).delivered()
        return 0

    def close(self) -> None: ...

    def metrics(self) -> Mapping[str, float]:
        return {}


class FakeConverter:
    def convert(self, records: Sequence[Any], now_us: int, failed: Any = None) -> list[Outgoing]:
        return [Outgoing(record.topic, b"k", b"v", -1, (), "t") for record in records]

    def check(self) -> None: ...

    def metrics(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None: ...


class FakeStore:
    """Keeps what is committed; raises *error* instead while there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.tries = 0
        self.offsets: list[Any] = []

    def start(self) -> None: ...

    def hold(self, connector: str, partition: Mapping[str, Any]) -> None: ...

    def load(self, connector: str, partition: Mapping[str, Any]) -> None:
        return None

    def claim(self, connector: str, partition: Mapping[str, Any], offset: Any) -> Claim:
        return Claim(Owner("h", 1, "", "r"), 1)

    def stored(self) -> Sequence[tuple[str, dict[str, Any]]]:
        return ()

    def release(self, connector: str, partition: Mapping[str, Any]) -> None: ...

    def commit(self, connector: str, partition: Mapping[str, Any], offset: Any) -> None:
        self.tries += 1
        if self.error is not None:
            raise self.error
        self.offsets.append(offset)

    def load_all(self, connector: str) -> Sequence[tuple[dict[str, Any], dict[str, Any]]]:
        return ()

    def commit_all(self, connector: str, offsets: Sequence[tuple[Mapping[str, Any], Any]]) -> None:
        for partition, offset in offsets:
            self.commit(connector, partition, offset)

    def close(self) -> None: ...


def batch(number: int, count: int = 0, *, commit_soon: bool = False) -> Batch:
    return Batch([Message("t", None, None, None, None)] * count, At(number), 10, commit_soon=commit_soon)


def task_of(batches: Sequence[Batch], store: FakeStore, sink: FakeSink | None = None,
            at_end: Callable[[], None] | None = None) -> Task:
    """A task that ends when the batches are used up, or as *at_end* says."""
    stop = threading.Event()
    source: Any = FakeSource(batches, at_end or stop.set)
    parts = TaskParts(source, None, FakeConverter(), sink or FakeSink())
    return Task(TaskSettings("c", 3600.0), parts, store, TaskMetrics("c"), stop)


def test_batches_without_records_leave_nothing_behind() -> None:
    store = FakeStore()
    task = task_of([batch(number) for number in range(1000)], store)
    task.run()
    assert len(task.commits._times) <= 1
    assert store.offsets == [{"lsn": 999}]


def test_a_batch_that_must_be_committed_soon_is_committed_once() -> None:
    """One request for an answer does not make a busy task commit with every turn from then on."""
    store = FakeStore()
    batches = [batch(number, 5, commit_soon=number == 3) for number in range(200)]
    task = task_of(batches, store, FakeSink(lag=2))
    task.run()
    assert store.offsets[0]["lsn"] >= 3
    assert len(store.offsets) == 2, "one for the request, one at the end"


def test_a_pause_lets_the_source_rest_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc.runtime.task.IDLE_WAIT_S", 0.0)
    stop, paused = threading.Event(), threading.Event()
    done: list[str] = []

    class Source(FakeSource):
        def poll(self, timeout: float) -> Batch | None:
            done.append("poll")
            paused.set() if done.count("poll") < 3 else stop.set()
            return None

        def rest(self) -> None:
            done.append("rest")

    class Sink(FakeSink):
        def poll(self, timeout: float) -> None:
            if done and done[-1] != "poll":
                done.append("turn")
            if done.count("turn") % 3 == 2:
                paused.clear()
            if next(turns) == 1000:
                stop.set()

    turns = itertools.count()
    source: Any = Source([], stop.set)
    Task(TaskSettings("c", 3600.0), TaskParts(source, None, FakeConverter(), Sink()), FakeStore(), TaskMetrics("c"),
         stop, paused=paused).run()
    assert [each for each in done if each != "turn"] == ["poll", "rest", "poll", "rest", "poll"]


def test_a_store_that_is_away_is_not_asked_with_every_turn() -> None:
    store = FakeStore(OffsetStoreError("no room", retriable=True))
    until = time.monotonic() + 0.4
    stop = threading.Event()

    def end() -> None:
        time.sleep(0.001)
        if time.monotonic() > until:
            stop.set()

    source: Any = FakeSource([batch(1, 1, commit_soon=True), batch(2, 5)], end)
    task = Task(TaskSettings("c", 3600.0), TaskParts(source, None, FakeConverter(), FakeSink(lag=2)), store,
                TaskMetrics("c"), stop)
    task.run()
    assert store.tries <= 4


def test_a_source_that_waits_for_a_commit_makes_no_turns() -> None:
    """The store answers, or is away, only once the source waits for it; the next turn comes after that."""
    asks = threading.Event()

    class Store(FakeStore):
        def commit(self, connector: str, partition: Mapping[str, Any], offset: Any) -> None:
            asks.wait(60)
            super().commit(connector, partition, offset)

    class Source(FakeSource):
        def follow_commits(self, wait: Callable[[float], None]) -> None:
            self.wait = wait

        def poll(self, timeout: float) -> Batch | None:
            if self.batches:
                return self.batches.pop(0)
            if self.confirmed or task.metrics.commit_failure:
                stop.set()
                return None
            asks.set()
            self.wait(60)
            return None

    for error in (None, OffsetStoreError("no answer", retriable=True)):
        asks.clear()
        store, stop = Store(error), threading.Event()
        source: Any = Source([batch(1, 1, commit_soon=True)], stop.set)
        task = Task(TaskSettings("c", 3600.0), TaskParts(source, None, FakeConverter(), FakeSink()), store,
                    TaskMetrics("c"), stop)
        task.run()
        assert task.metrics.turns == 3


class FullSink(FakeSink):
    """Takes one outgoing with each call of `send`, and answers only those before *answered*."""

    def __init__(self, answered: int, on_send: Callable[[], None]) -> None:
        super().__init__()
        self.answered = answered
        self.on_send = on_send
        self.taken = 0

    def send(self, batch: Sequence[Outgoing], first: int, ack: Any) -> int:
        self.on_send()
        self.waiting.append(ack)
        self.taken += 1
        return first + 1

    def poll(self, timeout: float) -> None:
        while self.waiting and self.answered:
            self.answered -= 1
            self.waiting.pop(0).delivered()

    def flush(self, timeout: float) -> int:
        self.poll(timeout)
        return len(self.waiting)


class Refusing(FakeConverter):
    """Its registry is away for good; *asked* is called each time."""

    def __init__(self, asked: Callable[[], None]) -> None:
        self.asked = asked

    def convert(self, records: Sequence[Any], now_us: int, failed: Any = None) -> list[Outgoing]:
        self.asked()
        raise RegistryConnectionError("no answer")


def ticking(step: float) -> Callable[[], float]:
    """A clock that moves on by *step* seconds with each look at it."""
    seconds = itertools.count(1000.0, step)
    return lambda: next(seconds)


def test_a_stop_with_all_committed_leaves_nothing_unfinished() -> None:
    store = FakeStore()
    task = task_of([batch(1, 2), batch(2), batch(3, 1)], store)
    task.run()
    assert not task.unfinished()
    assert store.offsets[-1] == {"lsn": 3}


def test_a_stop_in_the_middle_of_a_batch_sends_the_rest_of_it() -> None:
    task = task_of([batch(1, 5)], FakeStore())
    sink = task.parts.sink = FullSink(5, task.stop.set)
    task.run()
    assert (sink.taken, task.unfinished()) == (5, False)


def test_a_sink_that_stays_full_holds_a_stop_for_the_time_of_a_flush_only() -> None:
    task = task_of([batch(1, 500)], FakeStore())
    sink = task.parts.sink = FullSink(0, task.stop.set)
    task._clock = ticking(1.0)
    task.run()
    assert sink.taken < 10
    assert task.unfinished()


def test_what_was_sent_and_is_not_acked_is_unfinished() -> None:
    class Silent(FakeSink):
        def flush(self, timeout: float) -> int:
            return len(self.waiting)

    store = FakeStore()
    task = task_of([batch(1, 1), batch(2, 3)], store, Silent(lag=3))
    task.run()
    assert store.offsets == [{"lsn": 1}]
    assert task.unfinished()


def test_a_final_commit_that_fails_is_unfinished() -> None:
    for error in (OffsetStoreError("away", retriable=True), OffsetStoreError("denied"), OSError("disk")):
        task = task_of([batch(1, 1)], FakeStore(error))
        task.run()
        assert task.unfinished()


def test_a_batch_that_the_registry_holds_up_is_unfinished_when_a_stop_ends_the_wait() -> None:
    store = FakeStore()
    task = task_of([batch(1), batch(2, 1)], store)
    task.parts.converter = Refusing(task.stop.set)
    with pytest.raises(RegistryConnectionError):
        task.run()
    assert store.offsets == [{"lsn": 1}], "what came before it is committed"
    assert task.unfinished()


def test_offsets_are_held_before_they_are_loaded_and_claimed_before_anything_is_sent() -> None:
    calls: list[str] = []

    class Told(FakeStore):
        def hold(self, connector: str, partition: Mapping[str, Any]) -> None:
            calls.append("hold")

        def load(self, connector: str, partition: Mapping[str, Any]) -> None:
            calls.append("load")

        def claim(self, connector: str, partition: Mapping[str, Any], offset: Any) -> Claim:
            calls.append("claim")
            return super().claim(connector, partition, offset)

    task = task_of([batch(1, 1)], Told())
    source: Any = task.parts.source
    source.start = lambda offset: calls.append("start")
    sink: Any = task.parts.sink
    take = sink.send
    sink.fence = lambda: calls.append("fence")

    def send(*args: Any) -> Any:
        calls.append("send")
        return take(*args)

    sink.send = send
    task.run()
    assert calls == ["hold", "load", "start", "claim", "fence", "send"]


@pytest.mark.parametrize("later", [{"lsn": 5}, {"lsn": 9}])
def test_a_position_that_another_process_moved_on_meanwhile_is_not_lost(later: dict[str, int]) -> None:
    """It committed and confirmed once more, between our look at the offset and the start of the stream."""
    found = [{"lsn": 5}, later]

    class Moving(FakeStore):
        def load(self, connector: str, partition: Mapping[str, Any]) -> Any:
            return found.pop(0)

    def lost(offset: Any) -> None:
        raise PositionLostError("the slot is ahead")

    task = task_of([], Moving())
    source: Any = task.parts.source
    source.start = lost
    with pytest.raises(PositionLostError if later == {"lsn": 5} else OffsetStoreError) as caught:
        task.run()
    assert caught.value.retriable is (later != {"lsn": 5})


class FailsOn:
    """A converter that cannot convert the messages of topic `bad`."""

    def __init__(self, *, tolerant: bool) -> None:
        self.tolerant = tolerant

    def convert(self, records: Sequence[Any], now_us: int, failed: Any = None) -> list[Outgoing]:
        out = []
        for record in records:
            if record.topic != "bad":
                out.append(Outgoing(record.topic, b"k", b"v", -1, (), "t"))
                continue
            failed.append(Failed(record, ConvertError("no"), "VALUE_CONVERTER"))
            if not self.tolerant:
                break
        return out

    def check(self) -> None: ...

    def metrics(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None: ...


class KeepsTopics(FakeSink):
    def __init__(self) -> None:
        super().__init__()
        self.topics: list[str] = []

    def send(self, batch: Sequence[Outgoing], first: int, ack: Any) -> int:
        self.topics += [each.topic for each in batch[first:]]
        return super().send(batch, first, ack)


def failing_task(store: FakeStore, sink: FakeSink, *, tolerant: bool) -> Task:
    """A task with two batches; the second record of the second one cannot be converted."""
    good, bad = (Message(topic, None, None, None, None) for topic in ("good", "bad"))
    batches = [Batch([good], At(1), 10), Batch([good, bad, good], At(2), 10)]
    stop = threading.Event()
    source: Any = FakeSource(batches, stop.set)
    judge = Tolerance(TaskMetrics("c"), tolerant=tolerant, dead_letters=DeadLetters("dead"),
                      letter=lambda failed: (None, b"{}"))
    parts = TaskParts(source, None, FailsOn(tolerant=tolerant), sink, judge)
    return Task(TaskSettings("c", 3600.0), parts, store, TaskMetrics("c"), stop)


def test_what_precedes_a_record_that_ends_the_task_is_sent_and_its_batch_not_committed() -> None:
    store, sink = FakeStore(), KeepsTopics()
    task = failing_task(store, sink, tolerant=False)
    with pytest.raises(ConvertError):
        task.run()
    assert sink.topics == ["good", "good"]
    assert store.offsets == [At(1).offset()]
    assert task.unfinished()


def test_a_dead_letter_must_be_delivered_before_its_batch_is_committed() -> None:
    class LosesLetters(KeepsTopics):
        def send(self, batch: Sequence[Outgoing], first: int, ack: Any) -> int:
            if batch and batch[first].topic == "dead":
                ack.failed(SinkRefusedError("no such topic"))
                return first + 1
            return super().send(batch, first, ack)

    store, sink = FakeStore(), KeepsTopics()
    failing_task(store, sink, tolerant=True).run()
    assert sink.topics == ["good", "good", "good", "dead"]
    assert store.offsets == [At(2).offset()]
    lost = FakeStore()
    task = failing_task(lost, LosesLetters(), tolerant=True)
    with pytest.raises(SinkRefusedError):
        task.run()
    assert lost.offsets == [At(1).offset()]
    assert task.unfinished()


class AwayFor(FakeConverter):
    def __init__(self, tries: int) -> None:
        self.tries = tries

    def convert(self, records: Sequence[Any], now_us: int, failed: Any = None) -> list[Outgoing]:
        failed.append("left over")
        self.tries -= 1
        if self.tries >= 0:
            raise RegistryConnectionError("away")
        failed.clear()
        return super().convert(records, now_us)


def retrying_task(converter: AwayFor, timeout_s: float = math.inf) -> tuple[Task, FakeStore]:
    stop, store = threading.Event(), FakeStore()
    source: Any = FakeSource([batch(1, 1)], stop.set)
    parts = TaskParts(source, None, converter, FakeSink())
    made = TaskSettings("c", 3600.0, retry_delay_most_s=0.001, retry_timeout_s=timeout_s)
    return Task(made, parts, store, TaskMetrics("c"), stop), store


def test_a_passing_failure_is_tried_again_within_its_time() -> None:
    task, store = retrying_task(AwayFor(3))
    task.run()
    assert store.offsets == [At(1).offset()]
    assert task.metrics.errors == {"registry": 3}
    task, store = retrying_task(AwayFor(3), timeout_s=0.0)
    with pytest.raises(RegistryConnectionError):
        task.run()
    assert store.offsets == []


class TalkingSource(FakeSource):
    def last_words(self) -> Batch | None:
        return Batch([Message("last", None, None, None, None)], At(7), 0)


@pytest.mark.parametrize(("error", "said"), [
    (None, True), (SourceConnectionError("lost"), True), (SourceRefusedError("no"), True),
    (OwnerLostError("another one"), False)])
def test_the_last_words_of_a_source_are_delivered_unless_another_process_has_taken_over(
        error: CdcError | None, said: bool) -> None:
    stop = threading.Event()

    def end() -> None:
        if error is not None:
            raise error
        stop.set()

    store, sent = FakeStore(), FullSink(9, lambda: None)
    source: Any = TalkingSource([batch(1, 1)], end)
    task = Task(TaskSettings("c", 3600.0), TaskParts(source, None, FakeConverter(), sent), store, TaskMetrics("c"),
                stop)
    if error is None:
        task.run()
    else:
        with pytest.raises(type(error)):
            task.run()
    assert sent.taken == 1 + said
    assert store.offsets[-1:] == ([{"lsn": 7}] if said else [])


def test_a_source_that_is_paused_has_no_last_words() -> None:
    stop, paused = threading.Event(), threading.Event()

    class Sink(FullSink):
        def poll(self, timeout: float) -> None:
            stop.set()

    paused.set()
    store, sent = FakeStore(), Sink(9, lambda: None)
    source: Any = TalkingSource([batch(1, 1)], stop.set)
    Task(TaskSettings("c", 3600.0), TaskParts(source, None, FakeConverter(), sent), store, TaskMetrics("c"), stop,
         paused=paused).run()
    assert (sent.taken, store.offsets) == (0, [])
