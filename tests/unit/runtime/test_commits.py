"""Ack, commit, confirm: nothing is committed before it is acked, and nothing confirmed before it is committed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from cdc.core.errors import OffsetStoreError, SinkRefusedError
from cdc.core.record import Batch
from cdc.metrics.task import TaskMetrics
from cdc.runtime.commits import Commits, Write

from .test_task_turns import FakeSink, FakeSource, FakeStore, batch

INTERVAL_S = 60.0


class Bench:
    """`Commits` with a clock that stands still and writes that end when they are told to."""

    def __init__(self, store: FakeStore | None = None, write: Write | None = None) -> None:
        self.now = 1000.0
        self.store = store or FakeStore()
        self.source = FakeSource((), lambda: None)
        self.metrics = TaskMetrics("c")
        self.writes: list[tuple[Future[None], Callable[[], None]]] = []
        source: Any = self.source
        self.commits = Commits("c", source, self.store, self.metrics, INTERVAL_S, clock=lambda: self.now,
                               write=write or self._write)
        self.commits.begin()

    def _write(self, work: Callable[..., None], *arguments: Any) -> Future[None]:
        answer: Future[None] = Future()
        self.writes.append((answer, lambda: work(*arguments)))
        return answer

    def end_write(self) -> None:
        answer, work = self.writes.pop(0)
        try:
            work()
            answer.set_result(None)
        except Exception as exc:
            answer.set_exception(exc)

    def send(self, made: Batch, count: int = 1) -> Any:
        return self.commits.add(made, count)

    @property
    def confirmed(self) -> list[int]:
        return [position.number for position in self.source.confirmed]

    @property
    def committed(self) -> list[int]:
        return [offset["lsn"] for offset in self.store.offsets]


def run_now(work: Callable[..., None], *arguments: Any) -> Future[None]:
    answer: Future[None] = Future()
    try:
        work(*arguments)
        answer.set_result(None)
    except Exception as exc:
        answer.set_exception(exc)
    return answer


def test_what_is_not_acked_is_not_committed() -> None:
    bench = Bench()
    bench.send(batch(1))
    bench.now += 10 * INTERVAL_S
    bench.commits.settle()
    assert bench.writes == []


def test_an_ack_gap_holds_back_commit() -> None:
    bench = Bench()
    bench.send(batch(1))
    bench.send(batch(2)).delivered()
    bench.now += 10 * INTERVAL_S
    bench.commits.settle()
    assert bench.writes == []


def test_an_acked_position_is_confirmed_only_when_the_store_has_it() -> None:
    bench = Bench()
    bench.send(batch(1)).delivered()
    bench.now += INTERVAL_S
    bench.commits.settle()
    bench.commits.settle()
    assert (len(bench.writes), bench.confirmed) == (1, [])
    bench.end_write()
    assert (bench.committed, bench.confirmed) == ([1], [])
    bench.commits.settle()
    assert bench.confirmed == [1]
    assert bench.metrics.numbers["cdc_commits_total"] == 1


def test_a_commit_waits_for_its_interval() -> None:
    bench = Bench()
    bench.send(batch(1)).delivered()
    bench.now += INTERVAL_S - 1
    bench.commits.settle()
    assert bench.writes == []
    bench.now += 1
    bench.commits.settle()
    assert len(bench.writes) == 1


def test_one_write_runs_at_a_time_and_the_next_takes_the_newest_position() -> None:
    bench = Bench()
    bench.send(batch(1, commit_soon=True)).delivered()
    bench.commits.settle()
    for number in (2, 3):
        bench.send(batch(number)).delivered()
        bench.now += INTERVAL_S
        bench.commits.settle()
    assert len(bench.writes) == 1
    bench.end_write()
    bench.commits.settle()
    bench.end_write()
    bench.commits.settle()
    assert (bench.committed, bench.confirmed) == ([1, 3], [1, 3])


def test_a_failed_delivery_ends_the_task_and_nothing_behind_it_is_committed() -> None:
    bench = Bench(write=run_now)
    bench.send(batch(1)).delivered()
    bench.send(batch(2)).failed(SinkRefusedError("too large"))
    bench.send(batch(3)).delivered()
    with pytest.raises(SinkRefusedError):
        bench.commits.settle()
    bench.commits.finish(FakeSink(), 5.0)
    assert (bench.committed, bench.confirmed) == ([1], [1])


def test_a_store_that_is_away_is_asked_again_after_a_pause_and_nothing_is_confirmed() -> None:
    bench = Bench(FakeStore(OffsetStoreError("away", retriable=True)))
    bench.send(batch(1, commit_soon=True)).delivered()
    bench.commits.settle()
    bench.end_write()
    bench.commits.settle()
    assert (bench.writes, bench.confirmed, bench.metrics.errors) == ([], [], {"offsets": 1})
    assert bench.metrics.commit_failure == "away"
    bench.store.error = None
    bench.now += 0.6
    bench.commits.settle()
    bench.end_write()
    bench.commits.settle()
    assert bench.confirmed == [1]
    assert bench.metrics.commit_failure == ""


def test_a_store_that_refuses_ends_the_task() -> None:
    bench = Bench(FakeStore(OffsetStoreError("denied")))
    bench.send(batch(1, commit_soon=True)).delivered()
    bench.commits.settle()
    bench.end_write()
    with pytest.raises(OffsetStoreError, match="denied"):
        bench.commits.settle()
    assert bench.confirmed == []


def test_the_end_waits_for_the_sink_and_for_a_write_that_runs() -> None:
    bench = Bench(write=run_now)
    bench.send(batch(1, commit_soon=True)).delivered()
    bench.commits.settle()
    sink, late = FakeSink(lag=1), bench.send(batch(2))
    sink.waiting.append(late)
    bench.commits.finish(sink, 5.0)
    assert (bench.committed, bench.confirmed) == ([1, 2], [1, 2])
