"""A producer under test: an owner that notes what it is told, and what to wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc import native
from cdc.core.interfaces import Outgoing
from cdc.kafka.client import Undelivered
from cdc.kafka.producer import producer_settings
from cdc.runtime.inflight import Delivery, Inflight

needs_recordsets = pytest.mark.skipif(native.module("recordsets") is None, reason="no compiled modules")
FAST = {"retry.backoff.ms": "5", "retry.backoff.max.ms": "20", "reconnect.backoff.ms": "5",
        "reconnect.backoff.max.ms": "20"}


class Owner:
    """`closed`: topics that cannot be sent to yet."""

    def __init__(self) -> None:
        self.closed: set[str] = set()
        self.errors: list[KafkaError] = []
        self.statistics: list[str] = []
        self.failures: list[tuple[int, Undelivered]] = []

    def opened(self, topic: str, table: str) -> bool:
        return topic not in self.closed

    def undelivered(self, error: KafkaError, message: Undelivered) -> Exception:
        self.failures.append((error.code(), message))
        return KafkaException(error)

    def on_error(self, error: KafkaError) -> None:
        self.errors.append(error)

    def on_log(self, level: int, text: str) -> None:
        pass

    def on_statistics(self, text: str) -> None:
        self.statistics.append(text)

    def codes(self) -> set[int]:
        return {each.code() for each in self.errors}


class Producer:
    def __init__(self, bootstrap: str, **properties: str) -> None:
        from cdc.kafka.wire.client import BatchClient

        given = {name.replace("_", "."): text for name, text in properties.items()}
        settings = producer_settings({"bootstrap.servers": bootstrap, **FAST, **given}).settings
        self.owner = Owner()
        self.client = BatchClient(settings, self.owner, Undelivered)
        self.inflight = Inflight()

    def expect(self, count: int) -> Delivery:
        return self.inflight.add(None, count)  # type: ignore[arg-type]

    def send(self, batch: Sequence[Outgoing]) -> Delivery:
        """Until all is taken, or something failed."""
        delivery, first = self.expect(len(batch)), 0

        def taken() -> bool:
            nonlocal first
            first = self.client.send(batch, first, delivery)
            return first == len(batch) or self.inflight.error is not None

        self.until(taken)
        return delivery

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not done():
            assert time.monotonic() < deadline, f"{len(self.client)} left, errors: {self.owner.errors}"
            self.client.poll(0.01)

    def deliver(self, batch: Sequence[Outgoing]) -> None:
        delivery = self.send(batch)
        self.until(lambda: delivery.remaining == 0)
        assert delivery.acked(), delivery.error


@contextmanager
def producing(bootstrap: str, **properties: str) -> Iterator[Producer]:
    made = Producer(bootstrap, **properties)
    yield made
    made.client.purge()
    made.client.poll(0)
    made.client.close()
    assert not made.client._sender._thread.is_alive()


def record(number: int, topic: str = "t", **more: Any) -> Outgoing:
    return Outgoing(topic, b"k%d" % number, b"%d" % number, -1, (), "public.t")._replace(**more)


def records(count: int, first: int = 0, **more: Any) -> list[Outgoing]:
    return [record(number, **more) for number in range(first, first + count)]


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]
