"""cdc/runtime/tap.py."""

from __future__ import annotations

import time

import pytest

from cdc.core.errors import StateError
from cdc.core.record import Message
from cdc.runtime.tap import LISTENERS, EventTap


def messages(*numbers: int) -> list[Message]:
    return [Message(str(number), None, None, None, None) for number in numbers]


def test_the_tap_is_active_only_while_somebody_listens() -> None:
    tap = EventTap()
    assert not tap.active
    with tap.listen(), tap.listen():
        assert tap.active
    assert not tap.active


def test_each_listener_gets_everything_in_order() -> None:
    tap = EventTap()
    with tap.listen() as one, tap.listen() as two:
        tap.offer(messages(1, 2))
        tap.offer(messages(3))
        assert one.take().items == messages(1, 2, 3)
        assert two.take(1).items == messages(1)
        assert two.take().items == messages(2, 3)


def test_each_record_carries_the_time_it_was_offered() -> None:
    tap = EventTap()
    before = time.time_ns() // 1_000_000
    with tap.listen() as listener:
        tap.offer(messages(1, 2))
        times = listener.take().times_ms
    assert len(times) == 2
    assert all(before <= at <= time.time_ns() // 1_000_000 for at in times)


def test_a_full_queue_drops_and_says_how_many_once() -> None:
    tap = EventTap()
    with tap.listen(records=2) as listener:
        tap.offer(messages(1, 2, 3, 4))
        assert listener.take()[:2] == (messages(1, 2), 2)
        tap.offer(messages(5))
        assert listener.take()[:2] == (messages(5), 0)


def test_a_queue_is_bounded_in_bytes_yet_takes_one_of_any_size() -> None:
    tap = EventTap()
    with tap.listen(size_bytes=10) as listener:
        tap.offer(messages(1, 2))
        assert listener.take()[:2] == (messages(1), 1)


def test_too_many_listeners_are_refused() -> None:
    tap = EventTap()
    held = [tap.listen() for _ in range(LISTENERS)]
    for context in held:
        context.__enter__()
    with pytest.raises(StateError) as caught, tap.listen():
        pass
    assert caught.value.status == 503
    for context in held:
        context.__exit__(None, None, None)
    assert not tap.active


def test_a_large_message_counts_by_its_size() -> None:
    tap = EventTap()
    large = Message("t", None, None, None, ("m", (("prefix", b"x" * 6_000), None)))
    with tap.listen(size_bytes=20_000) as listener:
        tap.offer([large] * 5)
        assert listener.take()[:2] == ([large] * 2, 3)
