from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest

from cdc.core.errors import SinkConnectionError, SinkRefusedError
from cdc.runtime.inflight import Delivery, Inflight


@dataclass(frozen=True, slots=True)
class At:
    number: int

    def offset(self) -> dict[str, Any]:
        return {"lsn": self.number}


@pytest.fixture
def inflight() -> Inflight:
    return Inflight()


def add(inflight: Inflight, number: int, count: int = 1) -> Delivery:
    return inflight.add(At(number), count, 10 * count)


def test_nothing_is_committable_before_anything_is_acked(inflight: Inflight) -> None:
    assert inflight.committable() is None
    add(inflight, 1)
    assert inflight.committable() is None


def test_an_acked_batch_is_committable(inflight: Inflight) -> None:
    add(inflight, 1).delivered()
    assert inflight.committable() == At(1)


def test_every_outgoing_of_a_batch_must_be_answered(inflight: Inflight) -> None:
    delivery = add(inflight, 1, count=3)
    for _ in range(2):
        delivery.delivered()
        assert not delivery.acked()
        assert inflight.committable() is None
    delivery.delivered()
    assert delivery.acked()
    assert inflight.committable() == At(1)


def test_ack_gap_holds_back_commit(inflight: Inflight) -> None:
    first, second, third = (add(inflight, number) for number in (1, 2, 3))
    first.delivered()
    third.delivered()
    assert inflight.committable() == At(1)
    second.delivered()
    assert inflight.committable() == At(3)


def test_the_same_position_is_given_until_more_is_acked(inflight: Inflight) -> None:
    add(inflight, 1).delivered()
    assert inflight.committable() is inflight.committable()


def test_an_empty_batch_is_acked_at_once(inflight: Inflight) -> None:
    assert add(inflight, 1, count=0).acked()
    assert inflight.committable() == At(1)


def test_an_empty_batch_waits_for_its_turn(inflight: Inflight) -> None:
    first = add(inflight, 1)
    add(inflight, 2, count=0)
    assert inflight.committable() is None
    first.delivered()
    assert inflight.committable() == At(2)


def test_a_failure_stops_the_prefix_for_good(inflight: Inflight) -> None:
    first, second, third = (add(inflight, number) for number in (1, 2, 3))
    first.delivered()
    second.failed(SinkRefusedError("too large"))
    third.delivered()
    assert inflight.committable() == At(1)
    add(inflight, 4, count=0)
    assert inflight.committable() == At(1)


def test_a_failure_among_delivered_ones_fails_the_batch(inflight: Inflight) -> None:
    delivery = add(inflight, 1, count=3)
    delivery.delivered()
    delivery.failed(SinkRefusedError("too large"))
    delivery.delivered()
    assert delivery.remaining == 0
    assert not delivery.acked()
    assert inflight.committable() is None


def test_the_first_error_is_kept(inflight: Inflight) -> None:
    first, second = add(inflight, 1), add(inflight, 2, count=2)
    errors = [SinkConnectionError("away"), SinkRefusedError("no"), SinkRefusedError("late")]
    assert inflight.error is None
    second.failed(errors[0])
    second.failed(errors[1])
    first.failed(errors[2])
    assert inflight.error is errors[0]
    assert second.error is errors[0]
    assert first.error is errors[2]


def test_counts_are_of_what_is_not_committable(inflight: Inflight) -> None:
    first, second = add(inflight, 1, count=2), add(inflight, 2, count=3)
    assert (len(inflight), inflight.records, inflight.size_bytes) == (2, 5, 50)
    for _ in range(3):
        second.delivered()
    inflight.committable()
    assert (len(inflight), inflight.records, inflight.size_bytes) == (2, 5, 50)
    for _ in range(2):
        first.delivered()
    inflight.committable()
    assert (len(inflight), inflight.records, inflight.size_bytes) == (0, 0, 0)


def test_the_delivery_callback_counts_down(inflight: Inflight) -> None:
    delivery = add(inflight, 1, count=2)
    delivery.on_delivery(None, object())
    delivery.on_delivery(None, object())
    assert inflight.committable() == At(1)


def test_the_delivery_callback_explains_failures(inflight: Inflight) -> None:
    delivery = add(inflight, 1)
    failure, report = SinkRefusedError("no"), object()
    delivery.explain = lambda err, msg, known={("err", report): failure}: known[err, msg]
    delivery.on_delivery("err", report)
    assert delivery.error is failure
    assert inflight.error is failure


def test_answering_twice_is_noticed(inflight: Inflight) -> None:
    delivery = add(inflight, 1)
    delivery.delivered()
    delivery.delivered()
    with pytest.raises(AssertionError):
        inflight.committable()


@pytest.mark.parametrize("seed", range(30))
def test_any_order_of_answers_commits_the_prefix_and_nothing_more(seed: int) -> None:
    rng = random.Random(seed)
    inflight = Inflight()
    deliveries = [add(inflight, number, count=rng.randrange(4)) for number in range(rng.randrange(1, 40))]
    answers = [delivery for delivery in deliveries for _ in range(delivery.count)]
    rng.shuffle(answers)
    broken = rng.choice(deliveries) if rng.random() < 0.5 else None

    for delivery in answers:
        if delivery is broken:
            delivery.failed(SinkRefusedError("no"))
        else:
            delivery.delivered()
        prefix = [d.remaining == 0 and d.error is None for d in deliveries]
        length = prefix.index(False) if False in prefix else len(prefix)
        assert inflight.committable() == (At(length - 1) if length else None)
        assert len(inflight) == len(deliveries) - length
