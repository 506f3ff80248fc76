"""Few records are sent at once; a backlog lingers, so that it makes full batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc.core.interfaces import Ack, Outgoing
from cdc.runtime.inflight import Inflight
from cdc.sinks.kafka import KafkaSink
from cdc.sinks.linger import Linger


class Client:
    """Takes all, and counts flushes, which deliver all or raise *fatal*."""

    def __init__(self) -> None:
        self.stopped = self.size_bytes = self.full_count = self.queued = self.flushes = 0
        self.fatal: KafkaException | None = None
        self.waited_s: list[float] = []

    def __len__(self) -> int:
        return self.queued

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
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
    made = KafkaSink({"bootstrap.servers": "localhost:1", **properties})
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
