"""Shown is delivered, and only that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cdc.core.interfaces import Outgoing
from cdc.demo.sink import ScreenSink


class Counter:
    error: Exception | None = None
    explain: Callable[[Any, Any], Exception] | None = None

    def __init__(self) -> None:
        self.count = 0

    def delivered(self, count: int = 1) -> None:
        self.count += count

    def failed(self, error: Exception) -> None:
        self.error = error

    def on_delivery(self, err: Any, msg: Any) -> None:
        raise AssertionError


BATCH = [Outgoing("t", None, b"{}", -1, (), "t")] * 1000


def test_ack_follows_what_was_shown() -> None:
    sink, ack = ScreenSink(), Counter()
    assert sink.send(BATCH[:2], 0, ack) == 2
    sink.poll(0)
    assert ack.count == 0
    first = sink.take(0)
    assert first is not None
    sink.shown(first[0])
    sink.poll(0)
    assert ack.count == 0, "a run is acked as a whole"
    second = sink.take(0)
    assert second is not None
    sink.shown(second[0])
    sink.poll(0)
    assert ack.count == 2


def test_a_slow_screen_holds_back_the_task() -> None:
    sink, ack = ScreenSink(), Counter()
    taken = sink.send(BATCH, 0, ack)
    assert 0 < taken < len(BATCH)
    assert sink.send(BATCH, taken, ack) == taken
    found = sink.take(0)
    assert found is not None
    assert sink.send(BATCH, taken, ack) == taken + 1


def test_what_was_not_shown_at_the_end_is_not_delivered() -> None:
    sink, ack = ScreenSink(), Counter()
    sink.send(BATCH[:5], 0, ack)
    assert sink.flush(10) == 5
    sink.close()
    assert ack.count == 0
    assert ack.error is not None
    assert sink.take(0) is None
