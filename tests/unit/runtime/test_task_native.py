"""The task gives whole batches to C, with transforms or without, and to onlookers each record."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from cdc import native
from cdc.core.interfaces import Outgoing
from cdc.core.outcome import Shaped
from cdc.core.record import Batch
from cdc.metrics.task import TaskMetrics
from cdc.runtime.tap import EventTap
from cdc.runtime.task import Task, TaskParts, TaskSettings
from tests.unit.runtime.test_task_turns import At, FakeSink, FakeSource, FakeStore
from tests.unit.sources.postgres import native_world as world
from tests.unit.sources.postgres.test_native_changes import CHAINS, usual_batch
from tests.unit.transforms import test_outcomes

pytestmark = pytest.mark.skipif(native.module("pgoutput") is None, reason="no native modules were built")


class Taker(FakeSink):
    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Outgoing] = []

    def send(self, batch: Sequence[Outgoing], first: int, ack: Any) -> int:
        self.taken += batch[first:]
        return super().send(batch, first, ack)


def delivered(tap: EventTap) -> list[Any]:
    """The messages of a native batch of 54 records that are unwrapped, without their clock."""
    records, outcome = usual_batch(world.Settings(transforms=test_outcomes.config(CHAINS["unwrap-route"])), 2)
    stop = threading.Event()
    source: Any = FakeSource([Batch(records, At(1), 10, native=records)], stop.set)
    sink = Taker()
    store = FakeStore()
    parts = TaskParts(source, outcome.chain, outcome.converter, sink)
    Task(TaskSettings("c", 3600.0), parts, store, TaskMetrics("c"), stop, tap).run()
    assert store.offsets == [{"lsn": 1}]
    return sink.taken


def test_an_onlooker_sees_what_transforms_leave_and_changes_nothing() -> None:
    alone = delivered(EventTap())
    tap = EventTap()
    with tap.listen() as listener:
        assert delivered(tap) == alone
        seen = listener.take().items
    assert len(alone) == len(seen) == 53
    assert all(isinstance(each, Shaped) for each in seen)
