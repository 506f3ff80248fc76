"""Thousands of histories of processes that are paused, killed and replaced: only the owner writes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from unittest.mock import Mock

import pytest

from .owners_world import World

HISTORIES = {"topic": 300, "file": 150}


@pytest.fixture(autouse=True)
def _store_in_the_tasks_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that takes its time is a pause of the task here, so that a history decides how long it takes."""
    def run(work: Callable[..., Any], *arguments: Any, name: str = "") -> Future[Any]:
        answer: Future[Any] = Future()
        try:
            answer.set_result(work(*arguments))
        except Exception as exc:
            answer.set_exception(exc)
        return answer

    monkeypatch.setattr("cdc.runtime.commits.in_background", run)
    monkeypatch.setattr("cdc.runtime.task.in_background", run)
    for module in ("task", "commits"):
        monkeypatch.setattr(f"cdc.runtime.{module}.log", Mock())


def history(seed: int, *, locks: bool, fenced: bool, kicks: bool) -> World:
    """Ends with everything delivered. Raises AssertionError, also for an offset that went back."""
    world = World(seed, locks=locks, fenced=fenced, kicks=kicks)
    try:
        world.write()
        world.start()
        for _ in range(world.pick.randint(50, 400)):
            world.act()
        world.settle()
        assert world.broker.visible() == world.table()
        assert world.owners() == [world.owner], "one process goes on"
        return world
    finally:
        world.close()


@pytest.mark.parametrize("kicks", [False, True], ids=["slot", "server id"])
@pytest.mark.parametrize("place", ["topic", "file"])
def test_the_topic_is_the_table_whatever_happens_to_processes(place: str, kicks: bool) -> None:
    """Offsets in a topic: whoever has the stream takes over, and brokers fence. In a file: the second one waits."""
    in_file = place == "file"
    taken_over = waited = 0
    for seed in range(HISTORIES[place]):
        try:
            world = history(seed, locks=in_file, fenced=not in_file, kicks=kicks)
        except BaseException as exc:
            raise AssertionError(f"seed {seed}: {exc}") from exc
        taken_over += any(each.ended == "OwnerLostError" for each in world.processes)
        waited += len(world.processes) > 1
    assert waited > HISTORIES[place] // 3, "the histories have several processes"
    assert (taken_over > HISTORIES[place] // 50) is not in_file


def test_without_a_fence_the_histories_find_the_fault() -> None:
    """The simulation can fail: late requests of a replaced process undo newer changes."""
    def all_histories() -> None:
        for seed in range(HISTORIES["topic"]):
            history(seed, locks=False, fenced=False, kicks=False)

    with pytest.raises(AssertionError):
        all_histories()
