"""Few records are sent at once; a backlog lingers, so that it makes full batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc.core.interfaces import Ack, Outgoing
from cdc.kafka.linger import Linger
from cdc.runtime.inflight import Inflight
from cdc.sinks.kafka import KafkaSink


class Client:
    """Takes all, and counts flushes, which deliver all or raise *fatal*."""

    def __init__(self) -> None:
        self.stopped = self.size_bytes = self.full_count = self.queued = self.flushes = 0
        self.fatal: KafkaException | None = None
        self.waited_s: list[float] = []
        self.refused_at: int | None = None

    def __len__(self) -> int:
        return self.queued

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
        if self.refused_at is not None:
            self.queued += self.refused_at
            self.stopped = self.refused_at
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        self.queued += len(batch) - first
        return len(batch)

    def flush(self, timeout: float) -> int:
        self.flushes += 1
        if self.fatal is not None:
            raise self.fatal
        self.queued = 0
        return 0

    def poll(self, timeout: float) -> int:
        self.waited_s.append(timeout)
        return 0


def sink_with(client: Client, **properties: str) -> KafkaSink:
    made = KafkaSink({"bootstrap.servers": "localhost:1", **properties}, client="python")
    producer: Any = client
    made._producer = producer
    return made


def send(sink: KafkaSink, count: int) -> None:
    batch = [Outgoing("t", None, b"1", -1, (), "s.t")] * count
    assert sink.send(batch, 0, Inflight().add(None, count)) == count  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "queued", "flushes"), [(1, 0, 1), (16, 0, 1), (17, 0, 0), (1, 16, 0), (0, 0, 0)])
def test_few_records_with_nothing_under_way_do_not_linger(count: int, queued: int, flushes: int) -> None:
    client = Client()
    client.queued = queued
    send(sink_with(client), count)
    assert client.flushes == flushes


@pytest.mark.parametrize("milliseconds", ["50", "5"])
def test_a_linger_that_is_set_is_kept(milliseconds: str) -> None:
    client = Client()
    sink = sink_with(client, **{"linger.ms": milliseconds})
    send(sink, 1)
    sink.poll(0.005)
    assert client.flushes == 0


def test_a_flush_does_not_wait_for_a_linger_that_is_set() -> None:
    """Else a stop would give up on records that nothing held back."""
    sink = sink_with(Client(), **{"linger.ms": "900000"})
    send(sink, 400)
    assert sink.flush(0.01) == 0


def test_what_is_left_of_a_backlog_is_sent_when_nothing_follows() -> None:
    client = Client()
    sink = sink_with(client)
    sink._linger = Linger(lambda: 100.0)  # five milliseconds would pass on a slow machine
    send(sink, 400)
    sink.poll(0)
    assert client.flushes == 0, "more may follow at once"
    sink.poll(0.005)
    assert client.flushes == 1
    assert client.waited_s == [0, 0], "the answers have come, so there is nothing to wait for"
    sink.poll(0.005)
    assert client.flushes == 1, "all is answered"


def test_a_delivery_so_early_shows_that_brokers_answer() -> None:
    sink = sink_with(Client())
    sink.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    send(sink, 1)
    assert sink._state.unreachable, "the error may have come later"
    send(sink, 1)
    assert not sink._state.unreachable


def test_a_fatal_error_meanwhile_ends_nothing_by_itself() -> None:
    client = Client()
    client.fatal = KafkaException(KafkaError(KafkaError._FATAL, "lost its place", True))
    send(sink_with(client), 1)
    assert client.flushes == 1


def test_records_before_one_that_is_refused_are_sent_as_others_are() -> None:
    client = Client()
    client.refused_at = 100
    sink = sink_with(client)
    batch = [Outgoing("t", None, b"1", -1, (), "s.t")] * 400
    assert sink.send(batch, 0, Inflight().add(None, 400)) == 101  # type: ignore[arg-type]
    sink.poll(0.005)
    assert client.flushes == 1


def test_a_client_that_was_emptied_elsewhere_is_not_told_again_and_again() -> None:
    client = Client()
    sink = sink_with(client)
    send(sink, 400)
    client.queued = 0  # as by the flush that ends a transaction
    assert sink._linger is not None
    sink.poll(0.005)
    assert not sink._linger.is_due(idle=True)
    assert sink._linger._send_by is None


@pytest.mark.parametrize("limit", ["delivery.timeout.ms", "transaction.timeout.ms"])
def test_a_time_limit_of_a_second_is_possible(limit: str) -> None:
    """librdkafka refuses a linger.ms that is as long."""
    sink = KafkaSink({"bootstrap.servers": "127.0.0.1:1", limit: "1000"}, client="python", fencing="on",
                     transactional_id="t")
    sink._make_producer(sink._fenced_client or sink._client).close()
