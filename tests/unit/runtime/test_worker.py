"""The worker: states, restarts with back-off, stops and interrupts. Time is a number here, and pauses take none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cdc import about
from cdc.core.errors import (
    CdcError,
    OffsetsHeldError,
    OffsetStoreError,
    OwnerLostError,
    PositionLostError,
    RegistryConnectionError,
    RegistryRefusedError,
    SinkConnectionError,
    SinkRefusedError,
    SourceBusyError,
    SourceConnectionError,
)
from cdc.core.interfaces import Warned
from cdc.metrics.task import TaskMetrics
from cdc.runtime.policy import BusyRetries
from cdc.runtime.runner import HEALTHY_S, STARTUP_GRACE_S, Connector
from cdc.runtime.shared_store import SharedStore
from cdc.runtime.task import TaskParts, TaskSettings
from cdc.runtime.worker import Worker

from .test_task_turns import FakeConverter, FakeSink, FakeSource, FakeStore, batch

AWAY = SourceConnectionError("the server is away")
Step = Callable[["Scripted"], None]


class Scripted(FakeSource):
    """A source whose start, or first poll, does as *step* says; then it has no more to give."""

    def __init__(self, on_start: Step, on_poll: Step, waiting: threading.Event | None = None) -> None:
        """*waiting* is for a step to set when it waits."""
        super().__init__((), lambda: None)
        self.waiting = waiting or threading.Event()
        self.on_start = on_start
        self.on_poll = on_poll
        self.interrupted = threading.Event()
        self.done = False

    def start(self, offset: Any) -> None:
        self.on_start(self)

    def poll(self, timeout: float) -> Any:
        self.on_poll(self)
        self.done = True
        return None

    def finished(self) -> bool:
        return self.done

    def interrupt(self) -> None:
        self.interrupted.set()


def nothing(_source: Scripted) -> None:
    """Neither waits nor fails."""


def fails(error: BaseException) -> Step:
    def step(_source: Scripted) -> None:
        raise error

    return step


class InterruptibleSink(FakeSink):
    def __init__(self) -> None:
        super().__init__()
        self.interrupted = False

    def interrupt(self) -> None:
        self.interrupted = True


class CheckedConverter(FakeConverter):
    """Counts how often its registry was looked for; *error* is what that raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.checks = 0

    def check(self) -> None:
        self.checks += 1
        if self.error is not None:
            raise self.error


class Bench:
    """A worker with one connector, one script for each of its runs; the last one repeats."""

    def __init__(self, *runs: tuple[Step, Step], retry_most_s: float = 8.0, retry_budget: int = -1,
                 name: str = "shop") -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.states: list[str] = []
        self.sources: list[Scripted] = []
        self.waiting = threading.Event()
        self.sink: InterruptibleSink = InterruptibleSink()
        self.converter = CheckedConverter()
        self.metrics = TaskMetrics(name)
        self.runs = runs
        self.store = FakeStore()
        self.connector = Connector(name, {"connector.class": "x"}, TaskSettings(name, 3600.0), self._parts,
                                   self.store, self.metrics, retry_most_s, retry_budget)
        self.worker = Worker([self.connector], "h:1", clock=lambda: self.now, pause=self._pause)

    def _parts(self, stop: threading.Event) -> TaskParts:
        source = Scripted(*self.runs[min(len(self.sources), len(self.runs) - 1)], self.waiting)
        self.sources.append(source)
        return TaskParts(source, None, self.converter, self.sink)

    def _pause(self, _stop: threading.Event, seconds: float) -> None:
        self.states.append(self.metrics.state)
        self.pauses.append(seconds)
        self.now += seconds

    def run(self) -> str:
        """Run to the end; the task's last state."""
        self.worker.start()
        self.worker.wait(threading.Event())
        assert self.worker.stop(10)
        return self.metrics.state

    def passes(self, seconds: float, error: BaseException | None = None) -> Step:
        """A step that takes *seconds*, then may raise *error*."""
        def step(_source: Scripted) -> None:
            self.now += seconds
            if error is not None:
                raise error

        return step


def test_a_source_that_has_no_more_to_give_ends_its_connector() -> None:
    bench = Bench((nothing, nothing))
    assert bench.run() == "finished"
    assert bench.worker.errors() == []
    status: Any = bench.worker.task_status("shop")
    assert status["state"] == "STOPPED"


def test_a_retriable_error_restarts_the_task_with_fresh_parts() -> None:
    bench = Bench((fails(AWAY), nothing), (nothing, fails(AWAY)), (nothing, nothing))
    assert bench.run() == "finished"
    assert (len(bench.sources), len(bench.pauses)) == (3, 2)
    assert bench.states == ["retrying", "retrying"]
    assert bench.metrics.errors == {"source": 2}
    assert bench.metrics.reason == "", "the reason goes when the task starts again"


def test_sink_registry_and_store_are_asked_side_by_side() -> None:
    together = threading.Barrier(3)

    class Sink(InterruptibleSink):
        def start(self) -> None:
            together.wait(20)

    class Registry(CheckedConverter):
        def check(self) -> None:
            together.wait(20)

    class Store(FakeStore):
        def start(self) -> None:
            together.wait(20)

    bench = Bench((nothing, nothing))
    bench.sink, bench.converter, bench.connector.store = Sink(), Registry(), Store()
    assert bench.run() == "finished"


def test_the_source_does_not_start_without_the_sink_and_the_converter_is_not_closed_while_it_is_checked() -> None:
    checking, done = threading.Event(), threading.Event()
    told: list[str] = []

    class Sink(InterruptibleSink):
        def start(self) -> None:
            assert checking.wait(20)
            threading.Timer(0.1, done.set).start()
            raise SinkRefusedError("no access")

    class Registry(CheckedConverter):
        def check(self) -> None:
            checking.set()
            assert done.wait(20)
            told.append("checked")
            raise RegistryConnectionError("away")

        def close(self) -> None:
            told.append("closed")

    bench = Bench((lambda source: told.append("started"), nothing))
    bench.sink, bench.converter = Sink(), Registry()
    assert bench.run() == "failed"
    assert told == ["checked", "closed"]
    assert "no access" in bench.metrics.reason, "the sink's error goes before the registry's"


@pytest.mark.parametrize("fails_in", ["sink", "registry"])
def test_the_store_holds_nothing_once_the_start_has_failed(fails_in: str) -> None:
    told: list[str] = []
    failed = threading.Event()

    class Sink(InterruptibleSink):
        def start(self) -> None:
            if fails_in == "sink":
                failed.set()
                raise SinkRefusedError("no access")

    class Registry(CheckedConverter):
        def check(self) -> None:
            if fails_in == "registry":
                failed.set()
                raise RegistryRefusedError("no access")

    class Store(FakeStore):
        def hold(self, connector: str, partition: Any) -> None:
            assert failed.wait(20)
            ended.wait(0.2)  # it has not
            told.append("held")

        def release(self, connector: str, partition: Any) -> None:
            told.append("released")
            ended.set()

    ended = threading.Event()
    bench = Bench((nothing, nothing))
    bench.sink, bench.converter, bench.connector.store = Sink(), Registry(), Store()
    assert bench.run() == "failed"
    assert told == ["held", "released"]
    assert "no access" in bench.metrics.reason


def test_what_is_wrong_is_told_while_the_task_waits() -> None:
    bench = Bench((fails(AWAY), nothing), (nothing, nothing))
    told: list[tuple[str, Any]] = []
    bench.worker = Worker([bench.connector], clock=lambda: bench.now, pause=lambda _, __: told.append(
        (bench.metrics.reason, bench.worker.task_status("shop"))))
    bench.run()
    ((reason, status),) = told
    assert "the server is away" in reason
    assert status["state"] == "RUNNING", "Kafka Connect has no state for it"
    assert "the server is away" in status["trace"]


def test_the_status_lists_what_the_source_warns_of_beside_kafka_connects_own_fields() -> None:
    def warns(source: Scripted) -> None:
        source.warnings.shown.append(Warned("table_not_published", "public.a", "why", "what to do", 1_700_000_000_000))
        told.append(bench.worker.task_status("shop"))

    told: list[Any] = []
    bench = Bench((nothing, fails(AWAY)), (warns, fails(AWAY)), (nothing, warns))
    bench.run()
    assert [set(status) - {"warnings"} for status in told] == [{"id", "state", "worker_id", "version"}] * 2
    assert told[1]["warnings"] == [{
        "kind": "table_not_published", "about": "public.a", "text": "why", "hint": "what to do",
        "since": "2023-11-14T22:13:20+00:00"}]
    assert bench.metrics.warnings_begun() == {"table_not_published": 2}, "a counter only rises"


def test_a_connector_without_warnings_has_no_such_field() -> None:
    bench = Bench((nothing, nothing))
    bench.run()
    status: Any = bench.worker.task_status("shop")
    assert "warnings" not in status


def test_pauses_grow_up_to_the_most() -> None:
    bench = Bench((nothing, fails(AWAY)), *[(nothing, fails(AWAY))] * 7, (nothing, nothing), retry_most_s=4.0)
    bench.run()
    assert len(bench.pauses) == 8
    assert bench.pauses[0] <= 0.25
    assert all(2.0 <= pause <= 4.0 for pause in bench.pauses[4:])


def test_after_a_long_good_run_pauses_are_short_again() -> None:
    bench = Bench()
    bench.runs = (*[(nothing, fails(AWAY))] * 6, (nothing, bench.passes(HEALTHY_S + 1, AWAY)), (nothing, nothing))
    bench.run()
    assert bench.pauses[5] > 1.0
    assert bench.pauses[6] <= 0.25


def test_the_retry_budget_is_an_end() -> None:
    bench = Bench((nothing, fails(AWAY)), retry_budget=3)
    assert bench.run() == "failed"
    assert (len(bench.sources), len(bench.pauses)) == (4, 3)
    assert bench.worker.errors() == [AWAY]


@pytest.mark.parametrize("error", [
    PositionLostError("slot gone"), SinkRefusedError("too large"), OffsetStoreError("denied"), ZeroDivisionError("bug"),
])
@pytest.mark.parametrize("at_start", [True, False])
def test_any_other_error_fails_the_task_at_once(error: Exception, at_start: bool) -> None:
    bench = Bench((fails(error), nothing) if at_start else (nothing, fails(error)))
    assert bench.run() == "failed"
    assert (len(bench.sources), bench.pauses, bench.worker.errors()) == (1, [], [error])
    status: Any = bench.worker.task_status("shop")
    assert status["state"] == "FAILED"
    assert str(error) in status["trace"]
    assert bench.metrics.reason == str(error)


def test_before_the_first_run_a_server_that_is_away_is_retried_for_a_grace_only() -> None:
    bench = Bench((fails(AWAY), nothing))
    assert bench.run() == "failed"
    assert STARTUP_GRACE_S < bench.now - 1000 < STARTUP_GRACE_S + 10


def test_after_the_first_run_it_is_retried_for_as_long_as_it_takes() -> None:
    bench = Bench((nothing, fails(AWAY)), *[(fails(AWAY), nothing)] * 50, (nothing, nothing))
    assert bench.run() == "finished"
    assert bench.now - 1000 > 10 * STARTUP_GRACE_S


class WithOffset(FakeStore):
    """Has an offset, but its *server* may be away."""

    def __init__(self, server: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.server = server

    def load(self, connector: str, partition: Any) -> Any:
        self.server()
        return {"lsn": 1}


class AwaySink(InterruptibleSink):
    """No broker answers to the first *count* starts."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def start(self) -> None:
        self.count -= 1
        if self.count >= 0:
            raise SinkConnectionError("no broker answers")


def test_with_a_stored_offset_a_start_waits_for_the_database_as_long_as_it_takes() -> None:
    bench = Bench(*[(fails(AWAY), nothing)] * 50, (nothing, nothing))
    bench.connector.store = WithOffset()
    assert bench.run() == "finished"
    assert bench.now - 1000 > 10 * STARTUP_GRACE_S


def test_with_a_stored_offset_a_start_waits_for_kafka_as_long_as_it_takes() -> None:
    bench = Bench((nothing, nothing))
    bench.sink = AwaySink(50)
    bench.connector.store = WithOffset()
    assert bench.run() == "finished"
    assert bench.now - 1000 > 10 * STARTUP_GRACE_S


def test_with_a_stored_offset_a_start_waits_for_the_registry_as_long_as_it_takes() -> None:
    bench = Bench((nothing, nothing))
    bench.connector.store = WithOffset()
    bench.converter.error = RegistryConnectionError("no answer")

    def pause(_stop: threading.Event, seconds: float) -> None:
        bench.now += seconds
        if bench.now > 1000 + 10 * STARTUP_GRACE_S:
            bench.converter.error = None

    bench.worker = Worker([bench.connector], clock=lambda: bench.now, pause=pause)
    assert bench.run() == "finished"


def test_a_start_waits_for_the_offset_store_as_long_as_it_takes() -> None:
    away = [OffsetStoreError("away", retriable=True)] * 50

    def server() -> None:
        if away:
            raise away.pop()

    bench = Bench((nothing, nothing))
    bench.connector.store = WithOffset(server)
    assert bench.run() == "finished"
    assert bench.now - 1000 > 10 * STARTUP_GRACE_S


def test_while_kafka_and_the_offsets_in_it_are_away_an_offset_is_assumed() -> None:
    bench = Bench((nothing, nothing))
    sink = bench.sink = AwaySink(50)

    def server() -> None:
        if sink.count > 0:
            raise OffsetStoreError("away", retriable=True)

    bench.connector.store = WithOffset(server)
    assert bench.run() == "finished"
    assert bench.now - 1000 > 10 * STARTUP_GRACE_S


def test_a_store_that_refuses_is_no_reason_to_wait() -> None:
    def server() -> None:
        raise OffsetStoreError("denied")

    bench = Bench((nothing, nothing))
    bench.sink = AwaySink(10**6)
    bench.connector.store = WithOffset(server)
    assert bench.run() == "failed"
    assert [type(error) for error in bench.worker.errors()] == [SinkConnectionError]


def test_without_a_stored_offset_kafka_is_waited_for_during_the_grace_only() -> None:
    bench = Bench((nothing, nothing))
    bench.sink = AwaySink(10**6)
    assert bench.run() == "failed"
    assert STARTUP_GRACE_S < bench.now - 1000 < STARTUP_GRACE_S + 10


@pytest.mark.parametrize("with_offset", [True, False])
def test_slot_max_retries_ends_the_wait_for_a_slot(with_offset: bool) -> None:
    bench = Bench((fails(SourceBusyError("in use")), nothing))
    bench.connector.busy = BusyRetries(6, 10.0)
    if with_offset:
        bench.connector.store = WithOffset()
    assert bench.run() == "failed"
    assert bench.pauses == [10.0] * 6


def test_a_stop_ends_the_wait_for_a_store_that_does_not_answer() -> None:
    asked, release = threading.Event(), threading.Event()

    def server() -> None:
        asked.set()
        assert release.wait(10)

    bench = Bench((nothing, nothing))
    store = SharedStore(WithOffset(server))
    bench.connector.store = store
    bench.worker.start()
    assert asked.wait(10)
    try:
        assert bench.worker.stop(5)
    finally:
        release.set()
    assert (bench.metrics.state, bench.worker.errors()) == ("stopped", [])


def test_closing_does_not_wait_for_a_store_that_is_being_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc.runtime.shared_store.CLOSE_WAIT_S", 0.01)
    opening, release = threading.Event(), threading.Event()

    class Slow(CountedStore):
        def start(self) -> None:
            opening.set()
            assert release.wait(10)

    inner = Slow()
    store = SharedStore(inner)
    thread = threading.Thread(target=store.start)
    thread.start()
    assert opening.wait(10)
    store.close()
    assert inner.closes == 0
    release.set()
    thread.join(10)
    store.close()
    assert inner.closes == 1


def test_the_registry_is_looked_for_until_the_task_has_run_once() -> None:
    bench = Bench((fails(AWAY), nothing), (nothing, fails(AWAY)), (nothing, nothing))
    bench.run()
    assert bench.converter.checks == 2, "at both starts up to the first that succeeded"
    bench = Bench((nothing, nothing))
    bench.converter.error = RegistryConnectionError("no answer")
    assert bench.run() == "failed"
    assert bench.metrics.errors["registry"] > 1


def until_interrupted(source: Scripted) -> None:
    source.waiting.set()
    assert source.interrupted.wait(10)
    raise AWAY  # as a source does whose wait was ended


@pytest.mark.parametrize("script", [(until_interrupted, nothing), (nothing, until_interrupted)])
def test_a_stop_interrupts_source_and_sink_and_is_no_failure(script: tuple[Step, Step]) -> None:
    bench = Bench(script)
    bench.worker.start()
    assert bench.waiting.wait(10)
    assert bench.worker.stop(10)
    assert bench.metrics.state == "stopped"
    assert (bench.worker.errors(), bench.pauses) == ([], [])
    assert bench.sources[0].interrupted.is_set()
    assert bench.sink.interrupted


def test_a_stop_ends_a_pause() -> None:
    bench = Bench((fails(AWAY), nothing))
    pausing = threading.Event()

    def pause(stop: threading.Event, _seconds: float) -> None:
        pausing.set()
        assert stop.wait(10)

    bench.worker = Worker([bench.connector], clock=lambda: bench.now, pause=pause)
    bench.worker.start()
    assert pausing.wait(10)
    assert bench.worker.stop(10)
    assert (len(bench.sources), bench.worker.errors()) == (1, [])


def test_a_task_that_does_not_stop_in_time_is_told() -> None:
    release = threading.Event()

    def hangs(_source: Scripted) -> None:
        assert release.wait(10)

    bench = Bench((nothing, hangs))
    bench.worker.start()
    assert not bench.worker.stop(0)
    release.set()
    assert bench.worker.stop(10)


def test_one_connector_fails_alone() -> None:
    bad, good = Bench((nothing, fails(PositionLostError("gone"))), name="bad"), Bench((nothing, nothing), name="good")
    worker = Worker([bad.connector, good.connector])
    worker.start()
    worker.wait(threading.Event())
    assert [type(error) for error in worker.errors()] == [PositionLostError]
    assert (bad.metrics.state, good.metrics.state) == ("failed", "finished")
    assert worker.tasks() == [bad.metrics, good.metrics]


def test_wait_ends_when_it_is_asked_to_stop() -> None:
    bench = Bench((nothing, until_interrupted))
    bench.worker.start()
    asked = threading.Event()
    asked.set()
    bench.worker.wait(asked)
    assert bench.metrics.state != "finished"
    assert bench.worker.stop(10)


@pytest.mark.parametrize(("state", "shown"), [
    ("starting", "RUNNING"), ("snapshotting", "RUNNING"), ("streaming", "RUNNING"), ("retrying", "RUNNING"),
    ("stopping", "RUNNING"), ("failed", "FAILED"), ("paused", "PAUSED"), ("stopped", "STOPPED"),
    ("finished", "STOPPED"),
])
def test_states_are_shown_as_kafka_connects(state: str, shown: str) -> None:
    bench = Bench((nothing, nothing))
    bench.metrics.state = state
    assert bench.worker.task_status("shop") == {"id": 0, "state": shown, "worker_id": "h:1", "version": about.VERSION}
    assert bench.worker.task_status("other") is None


class CountedStore(FakeStore):
    def __init__(self, errors: Sequence[CdcError] = ()) -> None:
        super().__init__()
        self.errors = list(errors)
        self.starts = self.closes = 0

    def start(self) -> None:
        self.starts += 1
        if self.errors:
            raise self.errors.pop(0)

    def close(self) -> None:
        self.closes += 1


def test_tasks_share_one_store_opened_once_and_closed_once() -> None:
    store = CountedStore()
    shared = SharedStore(store)
    first, second = Bench((nothing, nothing), name="a"), Bench((nothing, nothing), name="b")
    first.connector.store = second.connector.store = shared
    worker = Worker([first.connector, second.connector])
    worker.start()
    worker.wait(threading.Event())
    worker.close()
    worker.close()
    assert (store.starts, store.closes) == (1, 1)


def test_a_store_that_could_not_be_opened_is_tried_again() -> None:
    store = CountedStore([OffsetStoreError("away", retriable=True)])
    bench = Bench((nothing, nothing))
    bench.connector.store = SharedStore(store)
    assert bench.run() == "finished"
    assert (store.starts, bench.metrics.errors) == (2, {"offsets": 1})


def test_a_restart_begins_at_what_was_committed() -> None:
    offsets: list[Any] = []

    class Store(FakeStore):
        def load(self, connector: str, partition: Any) -> Any:
            return self.offsets[-1] if self.offsets else None

    class Source(Scripted):
        def start(self, offset: Any) -> None:
            offsets.append(offset)

        def poll(self, timeout: float) -> Any:
            if len(offsets) > 1:
                self.done = True
                return None
            if self.batches:
                return self.batches.pop(0)
            raise AWAY

    bench = Bench((nothing, nothing))
    store = bench.connector.store = Store()

    def parts(_stop: threading.Event) -> TaskParts:
        source = Source(nothing, nothing)
        source.batches = [batch(1, 1), batch(2, 1)]
        return TaskParts(source, None, FakeConverter(), FakeSink())

    bench.connector.parts = parts
    assert bench.run() == "finished"
    assert offsets == [None, {"lsn": 2}]
    assert store.offsets[-1] == {"lsn": 2}


def test_a_connector_that_another_process_runs_is_waited_for_however_long_it_takes() -> None:
    """Also without an offset: the other one may be in its first snapshot."""
    bench = Bench((nothing, nothing))
    held = [OffsetsHeldError("run by process 7")] * 20

    def hold(connector: str, partition: Any) -> None:
        bench.now += STARTUP_GRACE_S
        if held:
            raise held.pop()

    bench.store.hold = hold  # type: ignore[method-assign]
    assert bench.run() == "finished"
    assert len(bench.pauses) == 20


def test_a_connector_that_was_taken_over_fails_and_does_not_start_again() -> None:
    bench = Bench((gives_one, nothing), (nothing, nothing))
    bench.store.error = OwnerLostError("taken over")
    released: list[str] = []
    bench.store.release = lambda connector, partition: released.append(connector)  # type: ignore[method-assign]
    assert bench.run() == "failed"
    assert (len(bench.sources), bench.pauses, released) == (1, [], ["shop"])


def gives_one(source: Scripted) -> None:
    source.batches = [batch(1, 1, commit_soon=True)]
    source.poll = lambda timeout: source.batches.pop() if source.batches else None  # type: ignore[method-assign]
