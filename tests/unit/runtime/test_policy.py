"""The policy table is the product: what a task does about every error, and which stage the error counts for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc.core import errors
from cdc.core.errors import CdcError
from cdc.runtime.policy import (
    FENCED_MOST,
    NOT_SET,
    Action,
    Backoff,
    BusyRetries,
    Patience,
    action_for,
    stage_of,
)

TABLE = """
    CdcError                 fail     internal
    ConfigError              fail     config
    SourceError              fail     source
    SourceConnectionError    restart  source
    SourceBusyError          restart  source
    SourceStoppedError       restart  source
    SourceRefusedError       fail     source
    PositionLostError        fail     source
    ProtocolError            fail     source
    RecordError              fail     convert
    DecodeError              fail     convert
    NoValue                  fail     convert
    TransformError           fail     transform
    ConvertError             fail     convert
    RegistryError            fail     registry
    RegistryConnectionError  restart  registry
    RegistryRefusedError     fail     registry
    SinkError                fail     sink
    SinkConnectionError      restart  sink
    SinkFencedError          restart  sink
    SinkRefusedError         fail     sink
    OffsetStoreError         fail     offsets
    OffsetsHeldError         restart  offsets
    OwnerLostError           fail     offsets
    StateError               fail     state
"""
POLICY = [line.split() for line in TABLE.strip().splitlines()]


def every_error(root: type[CdcError] = CdcError) -> Iterator[type[CdcError]]:
    yield root
    for below in root.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from every_error(below)


def test_the_table_has_every_error() -> None:
    assert {name for name, _, _ in POLICY} == {kind.__name__ for kind in every_error()}


@pytest.mark.parametrize(("name", "action", "stage"), POLICY, ids=[name for name, _, _ in POLICY])
def test_every_error_has_its_action_and_stage(name: str, action: str, stage: str) -> None:
    error = getattr(errors, name)("message")
    assert (action_for(error).value, stage_of(error)) == (action, stage)


@pytest.mark.parametrize("name", [name for name, _, _ in POLICY if name != "ConfigError" and name != "ProtocolError"])
@pytest.mark.parametrize("retriable", [True, False])
def test_an_instance_may_say_otherwise(name: str, retriable: bool) -> None:
    error = getattr(errors, name)("message", retriable=retriable)
    assert action_for(error) is (Action.RESTART if retriable else Action.FAIL)


@pytest.mark.parametrize("error", [
    OSError("connection reset"), TimeoutError(), KeyError("x"), AssertionError(), MemoryError(), KeyboardInterrupt(),
])
def test_what_is_not_ours_is_a_bug_and_fails(error: BaseException) -> None:
    assert (action_for(error), stage_of(error)) == (Action.FAIL, "internal")


def test_the_text_of_an_error_decides_nothing() -> None:
    assert action_for(errors.SinkRefusedError("connection lost, try again, retriable")) is Action.FAIL


def test_pauses_double_up_to_the_most() -> None:
    backoff = Backoff(first=1.0, most=8.0)
    pauses = [backoff.next() or 0 for _ in range(7)]
    for pause, ceiling in zip(pauses, (1, 2, 4, 8, 8, 8, 8), strict=True):
        assert ceiling / 2 <= pause <= ceiling


def test_pauses_stay_bounded_after_any_number_of_tries() -> None:
    assert (Backoff(first=1.0, most=8.0, tries=10**6).next() or 99) <= 8


def test_the_budget_counts_retries_and_a_success_restores_it() -> None:
    backoff = Backoff(budget=2)
    assert [backoff.next() is None for _ in range(3)] == [False, False, True]
    backoff.reset()
    assert backoff.next() is not None
    assert Backoff(budget=0).next() is None


def test_minus_one_is_no_limit() -> None:
    backoff = Backoff(budget=-1, tries=10_000)
    assert backoff.next() is not None


AWAY = errors.SourceConnectionError("away")
BUSY = errors.SourceBusyError("in use")


def patience(*, has_run: bool = False, busy: BusyRetries = BusyRetries(), budget: int = -1) -> Patience:  # noqa: B008
    return Patience(Backoff(first=1.0, most=8.0, budget=budget), busy, 10.0, lambda: has_run)


@pytest.mark.parametrize("error", [
    AWAY, BUSY, errors.SinkConnectionError("away"), errors.RegistryConnectionError("away"),
    errors.OffsetStoreError("away", retriable=True),
])
def test_what_has_run_is_waited_for_without_end(error: CdcError) -> None:
    waits = [patience(has_run=True).wait_after(error, since_start_s=100.0 * number) for number in range(1000)]
    assert all(wait is not None and wait <= 8 for wait in waits)


@pytest.mark.parametrize("error", [AWAY, BUSY])
def test_what_has_never_run_is_waited_for_during_the_grace(error: CdcError) -> None:
    made = patience()
    assert made.wait_after(error, 9.9) is not None
    assert made.wait_after(error, 10.1) is None


def test_whether_it_has_run_is_asked_only_after_the_grace() -> None:
    asked: list[int] = []

    def has_run() -> bool:
        asked.append(1)
        return True

    made = Patience(Backoff(), BusyRetries(), 10.0, has_run)
    made.wait_after(AWAY, 5.0)
    assert asked == []
    assert made.wait_after(errors.PositionLostError("gone"), 50.0) is None
    assert asked == []
    made.wait_after(AWAY, 50.0)
    assert asked == [1]


@pytest.mark.parametrize("has_run", [True, False])
def test_slot_max_retries_and_its_delay_are_honoured_where_they_are_set(has_run: bool) -> None:
    made = patience(has_run=has_run, busy=BusyRetries(3, 10.0))
    assert [made.wait_after(BUSY, 30.0 * number) for number in range(5)] == [10.0, 10.0, 10.0, None, None]


def test_the_retries_of_a_slot_begin_again_after_another_error_or_a_good_run() -> None:
    made = patience(has_run=True, busy=BusyRetries(1, 5.0))
    assert made.wait_after(BUSY, 1.0) == 5.0
    assert made.wait_after(AWAY, 2.0) is not None
    assert made.wait_after(BUSY, 3.0) == 5.0
    made.reset()
    assert made.wait_after(BUSY, 4.0) == 5.0
    assert made.wait_after(BUSY, 5.0) is None


def test_a_delay_alone_sets_the_pause_and_no_limit() -> None:
    made = patience(has_run=True, busy=BusyRetries(None, 2.5))
    assert {made.wait_after(BUSY, 100.0 * number) for number in range(50)} == {2.5}
    assert patience(busy=BusyRetries(None, 2.5)).wait_after(BUSY, 11.0) is None


def test_no_retries_are_no_retries_and_no_delay_is_a_short_one() -> None:
    assert patience(has_run=True, busy=BusyRetries(0, 10.0)).wait_after(BUSY, 1.0) is None
    assert patience(has_run=True, busy=BusyRetries(2, 0.0)).wait_after(BUSY, 1.0) == 1.0


def test_errors_max_retries_is_an_end_for_what_has_run_too() -> None:
    made = patience(has_run=True, budget=2)
    assert [made.wait_after(AWAY, 100.0) is None for _ in range(3)] == [False, False, True]


def test_a_place_in_the_sink_that_is_lost_again_and_again_is_given_up() -> None:
    """Two processes of one connector that do not share offsets would take it from each other forever."""
    patience = Patience(Backoff(), NOT_SET, 10.0, lambda: True)
    waits = [patience.wait_after(errors.SinkFencedError("fenced"), 1.0) for _ in range(FENCED_MOST + 1)]
    assert [wait is None for wait in waits] == [False] * FENCED_MOST + [True]
    patience.reset()
    assert patience.wait_after(errors.SinkFencedError("fenced"), 1.0) is not None
