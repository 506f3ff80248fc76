"""The order of one partition's batches, whatever their answers are."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.kafka.wire.partition import Batch, Partition, Topic, following


class Records:
    def __init__(self, count: int) -> None:
        self.count = count


def batch(partition: Partition, count: int = 10) -> Batch:
    records: Any = Records(count)
    return partition.add(records, 0.0)


def sent(partition: Partition, count: int) -> list[Batch]:
    """*count* batches under way, the partition being settled."""
    partition.leader = 1
    partition.settled = True
    made = [batch(partition) for _ in range(count)]
    for each in made:
        partition.number_of(each)
        partition.sent(each)
    return made


def partition() -> Partition:
    return Partition(Topic("t", 0), 0)


def test_sequences_follow_each_other_and_stay() -> None:
    one = partition()
    first, second = batch(one, 3), batch(one, 4)
    assert [one.number_of(each) for each in (first, second, first)] == [0, 3, 0]
    assert one.next_sequence == 7


@pytest.mark.parametrize(("sequence", "count", "then"), [(0, 1, 1), (2**31 - 1, 1, 0), (2**31 - 2, 5, 3)])
def test_sequences_begin_again_after_the_last(sequence: int, count: int, then: int) -> None:
    assert following(sequence, count) == then


def test_the_first_batch_goes_alone() -> None:
    one = partition()
    one.leader = 1
    first = batch(one)
    assert one.may_send(5, 0.0)
    one.sent(first)
    assert not one.may_send(5, 0.0)
    one.delivered(first)
    one.sent(batch(one))
    assert one.may_send(5, 0.0)


def test_no_more_than_the_most_are_under_way_and_only_to_one_broker() -> None:
    one = partition()
    made = sent(one, 4)
    assert one.may_send(5, 0.0)
    assert not one.may_send(4, 0.0)
    one.leader = 2
    assert not one.may_send(5, 0.0)
    for each in made:
        one.delivered(each)
    assert one.may_send(5, 0.0)


def test_after_an_error_all_is_answered_before_the_first_goes_again_alone() -> None:
    one = partition()
    first, second, third = sent(one, 3)
    one.failed(first, 0.0, 0.1, 1.0)
    assert not one.may_send(5, 10.0)
    one.delivered(second)
    assert not one.may_send(5, 10.0)
    assert one.explained(third)
    one.failed(third, 0.0, 0.1, 1.0)
    assert not one.may_send(5, 0.01), "not before the pause has passed"
    assert one.may_send(5, 10.0)
    assert one.waiting(None) is first
    one.sent(first)
    assert not one.may_send(5, 10.0)
    one.delivered(first)
    assert one.waiting(None) is third


def test_pauses_grow_up_to_the_most_and_end_with_a_delivery() -> None:
    one = partition()
    (first,) = sent(one, 1)
    pauses = []
    now = 0.0
    for _ in range(8):
        one.failed(first, now, 0.1, 1.0)
        pauses.append(one.retry_at - now)
        now = one.retry_at
        one.sent(first)
    assert 0.08 <= pauses[0] <= 0.12
    assert 0.8 <= pauses[-1] <= 1.2
    one.delivered(first)
    assert (one.failures, one.retry_at) == (0, 0.0)


def test_an_error_is_only_explained_by_an_earlier_batch() -> None:
    one = partition()
    first, second = sent(one, 2)
    assert not one.explained(first)
    assert not one.explained(second)
    one.failed(second, 0.0, 0.1, 1.0)
    assert not one.explained(first)


def test_parts_of_a_batch_share_its_sequences_and_its_place() -> None:
    one = partition()
    first, second = sent(one, 2)
    parts: Any = [Records(4), Records(6)]
    one.split(first, parts)
    assert [each.sequence for each in one.batches] == [0, 4, 10]
    assert one.explained(second)
    assert not one.may_send(5, 10.0)
    one.failed(second, 0.0, 0.1, 1.0)
    assert one.waiting(None) is one.batches[0]


def failed(one: Partition, made: list[Batch]) -> None:
    for each in made:
        one.failed(each, 0.0, 0.1, 1.0)


def test_a_batch_that_is_known_again_proves_those_before_it() -> None:
    one, here = partition(), object()
    made = sent(one, 3)
    failed(one, made)
    for each in made[:2]:
        assert one.waiting(here) is each
        one.sent(each)
        assert one.doubts(each, here)
    assert one.waiting(here) is made[2]
    one.sent(made[2])
    assert one.delivered(made[2]) == made
    assert (one.batches, one.doubted, one.settled) == ([], 0, True)


def test_another_connection_begins_with_the_first_again() -> None:
    one, here, there = partition(), object(), object()
    made = sent(one, 3)
    failed(one, made)
    one.sent(made[0])
    assert one.doubts(made[0], here)
    assert one.waiting(there) is made[0]
    one.sent(made[0])
    one.failed(made[0], 1.0, 0.1, 1.0)
    assert one.waiting(here) is made[0]


def test_a_batch_is_not_doubted_without_a_later_one_that_was_sent_or_at_its_first_attempt() -> None:
    one, here = partition(), object()
    made = sent(one, 2)
    assert not one.doubts(made[0], here), "it was never sent before"
    failed(one, made)
    batch(one)
    for each in made:
        one.sent(each)
        assert one.doubts(each, here) is (each is made[0]), "what was never sent proves nothing"


def test_nothing_is_sent_or_answered_out_of_turn() -> None:
    one = partition()
    first, second = sent(one, 1)[0], batch(one)
    third = batch(one)
    with pytest.raises(AssertionError):
        one.sent(third)
    with pytest.raises(AssertionError):
        one.delivered(second)
    one.delivered(first)
