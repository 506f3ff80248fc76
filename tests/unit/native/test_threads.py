"""Other threads, such as the one that answers requests, run while C writes a batch."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from cdc import native
from cdc.core.record import MessageKind
from tests.unit.sources.postgres import native_world as world
from tests.unit.sources.postgres.test_native_changes import usual_batch

pytestmark = pytest.mark.skipif(native.module("pgoutput") is None, reason="no native modules were built")


class Other(threading.Thread):
    """Counts how often it has its turn, and gives it back at once."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.turns = 0
        self.over = False

    def run(self) -> None:
        while not self.over:
            self.turns += 1
            time.sleep(0)


@pytest.mark.parametrize("json", ["", "key value"])
def test_other_threads_run_while_c_writes(json: str) -> None:
    batch, outcome = usual_batch(world.Settings(json=json), 2)
    other, interval = Other(), sys.getswitchinterval()
    other.start()
    sys.setswitchinterval(1000)  # nobody is made to give up its turn
    try:
        for _ in range(10_000):
            before = other.turns
            outcome.converter.encode(batch, world.NOW_US, None)
            if other.turns > before:
                break
        assert other.turns > before
    finally:
        other.over = True
        sys.setswitchinterval(interval)
        other.join()


def test_only_what_needs_python_keeps_the_others_waiting() -> None:
    """Each message would hand over, otherwise."""
    for oid, uses_python in ((2, False), (1, True)):
        batch, outcome = usual_batch(world.Settings(), oid)
        outcome.converter.encode(batch, world.NOW_US, None)
        plans = [table.cache[1] for table in batch.tables.items if table is not None and table.cache is not None]
        assert [plan.uses_python for plan in plans] == [uses_python]


@pytest.mark.parametrize("json", ["key value", "key value schemas"])
def test_messages_of_transactions_keep_nobody_waiting(json: str) -> None:
    batch, outcome = usual_batch(world.Settings(json=json, metadata=True), 2)
    outcome.converter.encode(batch, world.NOW_US, None)
    plans = [table.cache for table in batch.tables.items if isinstance(table.schema, MessageKind)]
    assert [plan.uses_python for plan in plans] == [False]
