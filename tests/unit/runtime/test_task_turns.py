"""The task's loop with parts that do as they are told: what it keeps, when it commits, and how an end is handled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdc.core.errors import OffsetStoreError
from cdc.core.interfaces import Outgoing
from cdc.core.record import Batch, Message
from cdc.metrics import TaskMetrics
from cdc.runtime.task import Task, TaskParts, TaskSettings


@dataclass(frozen=True, slots=True)
class At:
    number: int

    def offset(self) -> dict[str, Any]:
        return {"lsn": self.number}


class FakeSource:
    """Gives *batches*, then runs *at_end*."""

    def __init__(self, batches: Sequence[Batch], at_end: Callable[[], None]) -> None:
        self.batches = list(batches)
        self.at_end = at_end
        self.confirmed: list[Any] = []

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

    def interrupt(self) -> None: ...

    def stop(self) -> None: ...

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
    def convert(self, records: list[Any], now_us: int) -> list[Outgoing]:
        return [Outgoing(record.topic, b"k", b"v", -1, (), "t") for record in records]

    def check(self) -> None: ...

    def close(self) -> None: ...


class FakeStore:
    """Keeps what is committed; raises *error* instead while there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.tries = 0
        self.offsets: list[Any] = []

    def start(self) -> None: ...

    def load(self, connector: str, partition: Mapping[str, Any]) -> None:
        return None

    def commit(self, connector: str, partition: Mapping[str, Any], offset: Any) -> None:
        self.tries += 1
        if self.error is not None:
            raise self.error
        self.offsets.append(offset)

    def close(self) -> None: ...


def batch(number: int, count: int = 0, *, commit_soon: bool = False) -> Batch:
    return Batch([Message("t", None, None, None, None)] * count, At(number), 10, commit_soon=commit_soon)


def task_of(batches: Sequence[Batch], store: FakeStore, sink: FakeSink | None = None,
            at_end: Callable[[], None] | None = None) -> Task:
    """A task that ends when the batches are used up, or as *at_end* says."""
    stop = threading.Event()
    source: Any = FakeSource(batches, at_end or stop.set)
    parts = TaskParts(source, (), FakeConverter(), sink or FakeSink())
    return Task(TaskSettings("c", 3600.0), parts, store, TaskMetrics("c"), stop)


def test_batches_without_records_leave_nothing_behind() -> None:
    store = FakeStore()
    task = task_of([batch(number) for number in range(1000)], store)
    task.run()
    assert len(task._times) <= 1
    assert store.offsets == [{"lsn": 999}]


def test_a_batch_that_must_be_committed_soon_is_committed_once() -> None:
    """One request for an answer does not make a busy task commit with every turn from then on."""
    store = FakeStore()
    batches = [batch(number, 5, commit_soon=number == 3) for number in range(200)]
    task = task_of(batches, store, FakeSink(lag=2))
    task.run()
    assert store.offsets[0]["lsn"] >= 3
    assert len(store.offsets) == 2, "one for the request, one at the end"


def test_a_store_that_is_away_is_not_asked_with_every_turn() -> None:
    store = FakeStore(OffsetStoreError("no room", retriable=True))
    until = time.monotonic() + 0.4
    stop = threading.Event()

    def end() -> None:
        time.sleep(0.001)
        if time.monotonic() > until:
            stop.set()

    source: Any = FakeSource([batch(1, 1, commit_soon=True), batch(2, 5)], end)
    task = Task(TaskSettings("c", 3600.0), TaskParts(source, (), FakeConverter(), FakeSink(lag=2)), store,
                TaskMetrics("c"), stop)
    task.run()
    assert store.tries <= 4
