"""Full batches while there is a backlog, nothing held back without one, and no thread that spins."""

from __future__ import annotations

import pytest

from cdc.kafka.linger import Linger, client_ms


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def lingering() -> tuple[Linger, Clock]:
    clock = Clock()
    return Linger(clock), clock


def test_nothing_is_due_of_a_client_that_holds_nothing() -> None:
    linger, _ = lingering()
    assert not linger.is_due(idle=True)
    linger.given()
    linger.answered(0)
    assert not linger.is_due(idle=True)


def test_records_are_due_when_nothing_follows_or_after_five_milliseconds() -> None:
    linger, clock = lingering()
    linger.given()
    assert linger.is_due(idle=True)
    assert not linger.is_due(idle=False)
    clock.now_s += 0.004
    linger.given()
    clock.now_s += 0.0015
    assert linger.is_due(idle=False), "the first one waits for 5.5 ms"


def test_after_it_was_told_a_client_is_told_again_when_an_answer_made_room() -> None:
    linger, clock = lingering()
    linger.given()
    linger.told()
    clock.now_s += 0.01
    assert not linger.is_due(idle=True), "five are under way: librdkafka's thread would spin"
    linger.answered(3)
    assert linger.is_due(idle=True)
    assert not linger.is_due(idle=False), "answers come, so a full batch is sent as soon as there is one"
    clock.now_s += 0.006
    assert linger.is_due(idle=False)


def test_a_client_that_did_not_send_when_told_is_told_again() -> None:
    linger, clock = lingering()
    linger.given()
    linger.told()
    clock.now_s += 0.021
    assert linger.is_due(idle=False)


def test_answers_for_others_hold_no_record_back() -> None:
    """While full batches of one partition come and go, a record of another one is in no full batch."""
    linger, clock = lingering()
    linger.given()
    began_s = clock.now_s
    while not linger.is_due(idle=False):
        clock.now_s += 0.004
        linger.given()
        linger.answered(50)
        assert clock.now_s - began_s < 0.2
    linger.told()
    linger.answered(50)
    assert not linger.is_due(idle=False), "once is enough for now"


@pytest.mark.parametrize(("limits", "milliseconds"), [
    ({}, "1000"), ({"message.timeout.ms": "0"}, "1000"), ({"message.timeout.ms": "120000"}, "1000"),
    ({"message.timeout.ms": "1000"}, "500"), ({"message.timeout.ms": "0", "transaction.timeout.ms": "1000"}, "500"),
    ({"message.timeout.ms": "1"}, "0"), ({"message.timeout.ms": "soon"}, "1000"),
])
def test_a_client_lingers_less_than_its_records_may_wait(limits: dict[str, str], milliseconds: str) -> None:
    assert client_ms(limits) == milliseconds
