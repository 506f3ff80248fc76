"""The exit code of a worker: 0 only if everything that was read is delivered and committed."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from cdc.core.errors import OffsetStoreError, SourceConnectionError
from cdc.runtime.standalone import run
from cdc.runtime.worker import Worker

from .test_task_turns import batch
from .test_worker import Bench, Scripted, fails, nothing, until_interrupted

SETTINGS: Any = SimpleNamespace(task_shutdown_graceful_timeout_ms=-10_000)
"""No time to stop in: the tests stop their tasks themselves, or want them abandoned."""


def gives(count: int) -> Any:
    def step(source: Scripted) -> None:
        source.poll = lambda timeout: _next(source)  # type: ignore[method-assign]
        source.batches = [batch(1, count)]

    return step


def _next(source: Scripted) -> Any:
    source.done = len(source.batches) <= 1
    return source.batches.pop() if source.batches else None


def when_it_waits(bench: Bench) -> threading.Event:
    """An event that is set when a step of *bench* waits."""
    stop = threading.Event()

    def ask() -> None:
        assert bench.waiting.wait(10)
        stop.set()

    threading.Thread(target=ask).start()
    return stop


def test_a_source_that_ended_with_all_committed_gives_0() -> None:
    bench = Bench((gives(3), nothing))
    assert run(bench.worker, SETTINGS, threading.Event()) == 0
    assert bench.store.offsets == [{"lsn": 1}]


def test_a_commit_that_failed_gives_1() -> None:
    bench = Bench((gives(3), nothing))
    bench.store.error = OffsetStoreError("the disk is full", retriable=True)
    assert run(bench.worker, SETTINGS, threading.Event()) == 1
    assert bench.worker.errors() == [], "nothing failed, but not everything is committed"
    assert bench.worker.unfinished() == ["shop"]


def test_a_task_that_was_abandoned_gives_1() -> None:
    release = threading.Event()

    def hangs(source: Scripted) -> None:
        source.waiting.set()
        release.wait(10)

    bench = Bench((nothing, hangs))
    try:
        assert run(bench.worker, SETTINGS, when_it_waits(bench)) == 1
    finally:
        release.set()
    assert bench.worker.stop(10)


def test_a_connector_that_failed_raises_its_error() -> None:
    bench = Bench((fails(OffsetStoreError("denied")), nothing))
    with pytest.raises(OffsetStoreError):
        run(bench.worker, SETTINGS, threading.Event())


def test_a_stop_of_an_idle_task_gives_0() -> None:
    bench = Bench((nothing, until_interrupted))
    settings: Any = SimpleNamespace(task_shutdown_graceful_timeout_ms=0)
    assert run(bench.worker, settings, when_it_waits(bench)) == 0


def test_what_a_failed_run_left_counts_until_a_later_run_has_committed_it() -> None:
    away = SourceConnectionError("away")

    def gives_one_and_fails(source: Scripted) -> None:
        source.batches = [batch(1, 1)]

        def poll(timeout: float) -> Any:
            if source.batches:
                return source.batches.pop()
            raise away

        source.poll = poll  # type: ignore[method-assign]

    bench = Bench((gives_one_and_fails, nothing), (fails(away), nothing), (gives(1), nothing))
    bench.store.error = OffsetStoreError("away", retriable=True)
    seen: list[list[str]] = []

    def pause(_stop: threading.Event, _seconds: float) -> None:
        seen.append([name for name, runner in worker._runners.items() if runner.unfinished])
        if len(seen) == 2:
            bench.store.error = None

    worker = Worker([bench.connector], clock=lambda: bench.now, pause=pause)
    assert run(worker, SETTINGS, threading.Event()) == 0
    assert seen == [["shop"], ["shop"]]
