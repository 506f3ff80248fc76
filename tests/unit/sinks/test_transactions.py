"""When a transaction begins and ends, and what its acks are told. The producer does as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc.core.errors import SinkConnectionError, SinkFencedError
from cdc.runtime.inflight import Delivery, Inflight
from cdc.sinks.transactions import Transactions


def retriable() -> KafkaException:
    return KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer", False, True))


class Producer:
    """*queued* records wait for their reports."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.queued = 0
        self.failures: list[Exception] = []
        self.may_commit = threading.Event()
        self.may_commit.set()

    def __len__(self) -> int:
        return self.queued

    def begin_transaction(self) -> None:
        self.calls.append("begin")

    def flush(self, timeout: float) -> int:
        self.queued = 0
        return 0

    def commit_transaction(self) -> None:
        assert self.may_commit.wait(30)
        self.calls.append("commit")
        if self.failures:
            raise self.failures.pop(0)

    def abort_transaction(self, timeout: float) -> None:
        self.calls.append("abort")


class Bench:
    def __init__(self) -> None:
        self.now = 100.0
        self.producer = Producer()
        self.inflight = Inflight()
        producer: Any = self.producer
        self.transactions = Transactions(producer, self.explain, clock=lambda: self.now)

    def explain(self, error: KafkaError) -> Exception:
        return SinkFencedError("fenced") if error.fatal() else SinkConnectionError("not committed")

    def send(self, count: int = 1) -> Delivery:
        delivery = self.inflight.add(None, count)  # type: ignore[arg-type]
        assert self.transactions.begin()
        self.producer.queued += count
        self.transactions.took(delivery, count)
        return delivery

    def serve(self, timeout: float) -> None:
        self.now += timeout

    def poll(self, timeout: float = 0.005) -> None:
        self.transactions.poll(timeout, self.serve)

    def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(100_000):
            if condition():
                return
            commit = self.transactions._commit
            if commit is not None:
                commit.exception(30)
            self.poll()
        raise AssertionError("it never happened")


def test_a_moment_without_records_ends_a_transaction() -> None:
    bench = Bench()
    delivery = bench.send(3)
    bench.poll(0)
    bench.poll()
    assert delivery.remaining == 3, "sent a moment ago"
    bench.until(delivery.acked)
    assert bench.producer.calls == ["begin", "commit"]
    bench.poll()
    assert bench.producer.calls == ["begin", "commit"], "nothing is open, so nothing ends"


def test_a_steady_stream_ends_one_in_time() -> None:
    bench = Bench()
    deliveries = [bench.send()]
    for _ in range(100):
        if not bench.transactions.begin():
            break
        deliveries.append(bench.send())
        bench.now += 0.02
        bench.poll(0)
    assert 10 < len(deliveries) < 40
    bench.until(deliveries[-1].acked)
    assert all(each.acked() for each in deliveries)


def test_nothing_is_taken_and_nothing_acked_while_a_transaction_ends() -> None:
    bench = Bench()
    bench.producer.may_commit.clear()
    delivery = bench.send()
    bench.transactions.end_soon()
    bench.poll(0.05)
    assert not bench.transactions.begin()
    assert (delivery.remaining, len(bench.transactions)) == (1, 1)
    bench.producer.may_commit.set()
    bench.until(delivery.acked)
    assert bench.transactions.begin()
    assert bench.producer.calls == ["begin", "commit", "begin"]


def test_a_commit_that_was_not_answered_is_repeated() -> None:
    bench = Bench()
    bench.producer.failures = [retriable(), retriable()]
    delivery = bench.send()
    bench.until(delivery.acked)
    assert bench.producer.calls == ["begin", "commit", "commit", "commit"]


@pytest.mark.parametrize(("failure", "kind"), [
    (KafkaException(KafkaError(KafkaError.INVALID_TXN_STATE, "no")), SinkConnectionError),
    (KafkaException(KafkaError(KafkaError._FENCED, "fenced", True)), SinkFencedError),
    (SystemError("returned a result with an exception set"), SinkFencedError),
])
def test_a_commit_that_fails_fails_all_its_records(failure: Exception, kind: type[Exception]) -> None:
    bench = Bench()
    bench.producer.failures = [failure]
    deliveries = [bench.send(2), bench.send(3)]
    bench.until(lambda: bench.inflight.error is not None)
    assert [(each.remaining, type(each.error)) for each in deliveries] == [(0, kind), (0, kind)]
    assert not bench.transactions.begin(), "the task starts again with a new producer"


def test_a_record_that_fails_fails_its_whole_transaction_and_nothing_is_committed() -> None:
    bench = Bench()
    delivery = bench.send(2)
    bench.transactions.explain = lambda error, message: SinkConnectionError("lost")
    bench.transactions.on_delivery(None, None)
    bench.transactions.on_delivery("error", None)
    bench.poll()
    assert delivery.remaining == 0
    assert isinstance(delivery.error, SinkConnectionError)
    assert bench.producer.calls == ["begin"]


def test_a_close_aborts_what_is_open() -> None:
    bench = Bench()
    delivery = bench.send()
    bench.transactions.close()
    assert bench.producer.calls == ["begin", "abort"]
    assert delivery.remaining == 1
