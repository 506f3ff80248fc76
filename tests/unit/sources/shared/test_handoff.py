"""The queue between a socket's thread and the task: order, bounds, errors in their place, and who wakes whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from cdc.core.errors import SourceConnectionError
from cdc.sources.shared import handoff
from cdc.sources.shared.handoff import Handoff

PATIENCE_S = 20.0


def in_thread(run: Callable[[], Any]) -> Callable[[], Any]:
    """Run *run* in a thread; the function returned waits for its result."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(run()), daemon=True)
    thread.start()

    def result() -> Any:
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "still waiting"
        return found[0]

    return result


def test_items_come_in_order_and_in_whole_chunks() -> None:
    queue = Handoff(1000)
    queue.put([b"a", b"b"], 10)
    queue.put([b"c"], 10)
    queue.put([b"d"], 10)
    assert queue.queued_bytes == 30
    assert queue.take(0, 11) == [b"a", b"b", b"c"]
    assert queue.queued_bytes == 10
    assert queue.take(0, 11) == [b"d"]
    assert queue.take(0, 11) == []
    assert queue.queued_bytes == 0


def test_a_chunk_larger_than_asked_for_is_taken_whole() -> None:
    queue = Handoff(10)
    queue.put([b"x" * 50], 50)
    assert queue.take(0, 1) == [b"x" * 50]


def test_it_is_full_from_its_limit_on() -> None:
    queue = Handoff(10)
    queue.put([b"a"], 9)
    assert not queue.full
    queue.put([b"b"], 1)
    assert queue.full
    queue.put([b"c"], 1)  # a reader that has read already puts it nevertheless
    assert queue.take(0, 100) == [b"a", b"b", b"c"]


def test_the_error_comes_after_everything_that_was_put_before_it() -> None:
    queue = Handoff(1000)
    queue.put([b"a"], 10)
    queue.put([b"b"], 10)
    queue.fail(SourceConnectionError("lost"))
    queue.wait_for_first(0)
    assert queue.take(0, 1) == [b"a"]
    assert queue.take(0, 1) == [b"b"]
    for _ in range(2):
        with pytest.raises(SourceConnectionError, match="lost"):
            queue.take(0, 1)


def test_an_error_that_comes_first_is_told_at_the_start() -> None:
    queue = Handoff(1000)
    queue.fail(SourceConnectionError("refused"))
    with pytest.raises(SourceConnectionError, match="refused"):
        queue.wait_for_first(0)


def test_a_start_without_news_is_no_error() -> None:
    Handoff(1000).wait_for_first(0)


def test_a_taker_is_woken_by_items() -> None:
    queue = Handoff(1000)
    taken = in_thread(lambda: queue.take(PATIENCE_S, 100))
    queue.put([b"a"], 10)
    assert taken() == [b"a"]


def test_a_taker_is_woken_by_the_error() -> None:
    queue = Handoff(1000)

    def take() -> str:
        try:
            queue.take(PATIENCE_S, 100)
        except SourceConnectionError as exc:
            return exc.message
        return ""

    said = in_thread(take)
    queue.fail(SourceConnectionError("lost"))
    assert said() == "lost"


def test_a_reader_waits_for_room() -> None:
    queue = Handoff(10)
    queue.put([b"a"], 10)
    queue.put([b"b"], 10)
    began = threading.Event()

    def read() -> tuple[bool, int]:
        began.set()
        return queue.wait_for_room(), queue.queued_bytes

    room = in_thread(read)
    assert began.wait(PATIENCE_S)
    assert queue.take(0, 1) == [b"a"]  # 10 bytes are left: still full
    assert queue.take(0, 1) == [b"b"]
    assert room() == (True, 0)


def test_a_reader_with_room_does_not_wait() -> None:
    assert Handoff(10).wait_for_room()


def test_closing_ends_the_wait_for_room() -> None:
    queue = Handoff(10)
    queue.put([b"a"], 10)
    room = in_thread(queue.wait_for_room)
    queue.close()
    queue.close()
    assert room() is False


def test_a_closed_queue_still_gives_what_it_has() -> None:
    queue = Handoff(10)
    queue.put([b"a"], 10)
    queue.close()
    assert queue.take(0, 100) == [b"a"]


def test_a_reader_that_polls_is_called_once_there_is_room_again() -> None:
    calls: list[int] = []
    queue = Handoff(10, on_room=lambda: calls.append(queue.queued_bytes))
    queue.put([b"a"], 5)
    queue.take(0, 100)
    assert calls == [], "it was never full"
    queue.put([b"b"], 6)
    queue.put([b"c"], 6)
    queue.put([b"d"], 6)
    queue.take(0, 1)
    assert calls == [], "12 of 10 bytes are left"
    queue.take(0, 1)
    assert calls == [6]
    queue.take(0, 1)
    assert calls == [6]


def test_nothing_is_lost_or_reordered_between_two_threads() -> None:
    """A reader that waits for room, a taker that takes little at a time, then the reader's end."""
    queue = Handoff(200)
    sent = [number.to_bytes(4) for number in range(5000)]

    def read() -> None:
        for start in range(0, len(sent), 7):
            assert queue.wait_for_room()
            chunk = sent[start:start + 7]
            queue.put(chunk, 4 * len(chunk))
        queue.fail(SourceConnectionError("the end"))

    in_thread(read)
    got: list[bytes] = []

    def take() -> None:
        while True:
            assert queue.queued_bytes < 200 + 28
            got.extend(queue.take(PATIENCE_S, 50))

    with pytest.raises(SourceConnectionError, match="the end"):
        take()
    assert got == sent


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The present of the queues of a test."""
    now = [100.0]
    monkeypatch.setattr(handoff, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


class Watched(Handoff):
    """Notes for how many bytes its taker waits, in place of waiting."""

    def __init__(self, max_bytes: int = 1 << 24) -> None:
        super().__init__(max_bytes)
        self.waits: list[int] = []
        self._changed.wait_for = self._waited  # type: ignore[assignment,method-assign]

    def _waited(self, met: Callable[[], bool], timeout: float | None = None) -> bool:
        if not met() and self._wanted_bytes:
            self.waits.append(self._wanted_bytes)
        return met()


def brings(queue: Handoff, clock: list[float], size: int, seconds: float) -> None:
    """A stream brings *size* bytes, in pieces that are taken at once, in *seconds*."""
    for _ in range(20):
        queue.put([b"x"], size // 20)
        queue.take(0, 1 << 20)
        clock[0] += seconds / 20


def test_who_takes_from_a_busy_stream_lets_it_bring_more(clock: list[float]) -> None:
    """One batch of much costs less than many of little."""
    queue = Watched()
    brings(queue, clock, 1_000_000, 0.05)
    queue.put([b"x"], 100_000)
    queue.take(0.005, 1 << 20)
    assert queue.waits == [handoff._ENOUGH_BYTES]
    queue.put([b"x"], handoff._ENOUGH_BYTES)
    queue.take(0.005, 1 << 20)
    assert len(queue.waits) == 1, "there was enough already"
    queue.put([b"x"], 100_000)
    queue.take(0, 1 << 20)
    assert len(queue.waits) == 1, "the taker has no time"


def test_a_stream_that_brings_little_is_not_waited_for(clock: list[float]) -> None:
    queue = Watched()
    brings(queue, clock, 100_000, 0.05)
    queue.put([b"x"], 300)
    queue.take(0.005, 1 << 20)
    assert queue.waits == []


def test_a_stream_that_has_become_silent_is_not_waited_for(clock: list[float]) -> None:
    queue = Watched()
    brings(queue, clock, 1_000_000, 0.05)
    clock[0] += 1
    queue.put([b"x"], 300)
    queue.take(0.005, 1 << 20)
    assert queue.waits == []


def test_much_at_once_after_silence_is_no_busy_stream(clock: list[float]) -> None:
    queue = Watched()
    brings(queue, clock, 1000, 0.05)
    clock[0] += 1
    queue.put([b"x"], 1_000_000)
    queue.take(0.005, 1 << 20)
    queue.put([b"x"], 300)
    queue.take(0.005, 1 << 20)
    assert queue.waits == []


def test_a_small_queue_is_not_waited_for_beyond_its_size(clock: list[float]) -> None:
    """Its reader stops when it is full."""
    queue = Watched(65_536)
    brings(queue, clock, 1_000_000, 0.05)
    queue.put([b"x"], 100)
    queue.take(0.005, 1 << 20)
    assert queue.waits == [65_536]


@pytest.mark.parametrize("end", [lambda queue: queue.put([b"b"], handoff._ENOUGH_BYTES), Handoff.close,
                                 lambda queue: queue.fail(SourceConnectionError("lost"))])
def test_who_waits_for_more_is_woken_by_enough_and_by_the_end(end: Callable[[Handoff], None],
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handoff, "_GATHER_S", PATIENCE_S)
    queue = Handoff(1 << 24)
    queue.put([b"a"], 10)
    queue._busy, queue._taken_at = True, time.monotonic()
    taken = in_thread(lambda: queue.take(PATIENCE_S, 1 << 20))
    end(queue)
    assert taken()[0] == b"a"
