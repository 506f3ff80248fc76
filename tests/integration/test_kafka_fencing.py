"""The transactional producer of the Kafka sink: who may send, and when a record counts as delivered."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import pytest

from cdc.core.errors import SinkConnectionError, SinkFencedError, SinkRefusedError
from cdc.core.interfaces import Outgoing
from cdc.kafka.topics import topic_groups
from cdc.runtime.inflight import Delivery, Inflight
from cdc.sinks.kafka import KafkaSink
from cdc.sinks.kafka_options import ClientKind, Fencing
from tests.integration.kafka_clients import LIBRDKAFKA
from tests.servers.kafka import KafkaServer, consume_all


@pytest.fixture(params=LIBRDKAFKA)
def client(request: pytest.FixtureRequest) -> ClientKind:
    kind: ClientKind = request.param
    return kind


@contextmanager
def started(server: KafkaServer, topic: str, fencing: Fencing = "on",
            properties: Mapping[str, str] = MappingProxyType({}), client: ClientKind = "auto") -> Iterator[KafkaSink]:
    sink = KafkaSink({"bootstrap.servers": server.bootstrap, **properties}, fencing=fencing,
                     transactional_id=f"cdc-{topic}", start_timeout_s=30, client=client)
    sink.start()
    sink.fence()
    try:
        yield sink
    finally:
        sink.close()


def send(sink: KafkaSink, topic: str, values: list[bytes]) -> Delivery:
    """Take all of *values*; their answers may still be open."""
    inflight = Inflight()
    delivery = inflight.add(None, len(values))  # type: ignore[arg-type]
    batch = [Outgoing(topic, b"k", value, -1, (), "t") for value in values]
    sent = 0
    while sent < len(batch):
        sent = sink.send(batch, sent, delivery)
        if sent < len(batch):
            sink.poll(0.05)
    return delivery


def committed(server: KafkaServer, topic: str) -> list[bytes | None]:
    return [message.value for message in consume_all(server.bootstrap, topic)]


def answered(sink: KafkaSink, delivery: Delivery) -> None:
    until = time.monotonic() + 60
    while delivery.remaining:
        assert time.monotonic() < until
        sink.poll(0.05)


def test_what_an_older_producer_still_sends_never_arrives(
        kafka: KafkaServer, topic_prefix: str, client: ClientKind) -> None:
    with started(kafka, topic_prefix, client=client) as old:
        answered(old, send(old, topic_prefix, [b"1"]))
        begun = send(old, topic_prefix, [b"2"])  # its transaction is open
        with started(kafka, topic_prefix, client=client) as new:
            answered(new, send(new, topic_prefix, [b"3"]))
            late = send(old, topic_prefix, [b"4"])
            for delivery in (begun, late):
                answered(old, delivery)
                assert isinstance(delivery.error, SinkFencedError)
                assert delivery.error.retriable
            answered(new, send(new, topic_prefix, [b"5"]))
    assert committed(kafka, topic_prefix) == [b"1", b"3", b"5"]


def test_a_producer_that_was_replaced_while_idle_sends_nothing(
        kafka: KafkaServer, topic_prefix: str, client: ClientKind) -> None:
    with started(kafka, topic_prefix, client=client) as old:
        answered(old, send(old, topic_prefix, [b"1"]))
        with started(kafka, topic_prefix, client=client) as new:
            answered(new, send(new, topic_prefix, [b"2"]))
            late = send(old, topic_prefix, [b"3"])
            answered(old, late)
            assert isinstance(late.error, SinkFencedError)
    assert committed(kafka, topic_prefix) == [b"1", b"2"]


def test_a_record_is_delivered_only_when_its_transaction_is_committed(kafka: KafkaServer, topic_prefix: str) -> None:
    """What an offset covers can be read by those who read committed records only."""
    with started(kafka, topic_prefix) as sink:
        delivery = send(sink, topic_prefix, [b"1", b"2"])
        until = time.monotonic() + 60
        while len(sink._producer or ()):
            assert time.monotonic() < until
            sink._serve(0.05)  # the broker has answered for each record
        assert delivery.remaining == 2
        assert committed(kafka, topic_prefix) == []
        answered(sink, delivery)
        assert committed(kafka, topic_prefix) == [b"1", b"2"]
    assert delivery.acked()


def test_a_steady_stream_is_committed_too(kafka: KafkaServer, topic_prefix: str) -> None:
    """Though there is never a moment without records."""
    with started(kafka, topic_prefix) as sink:
        first = send(sink, topic_prefix, [b"0"])
        count = 1
        until = time.monotonic() + 60
        while not first.acked():
            assert time.monotonic() < until
            send(sink, topic_prefix, [b"%d" % count])
            count += 1
            sink.poll(0)
        assert sink.flush(60) == 0
    assert committed(kafka, topic_prefix) == [b"%d" % number for number in range(count)]


def test_a_close_leaves_no_open_transaction(
        kafka: KafkaServer, topic_prefix: str, client: ClientKind) -> None:
    """Its records are aborted at once, so that readers of committed records do not wait for them."""
    with started(kafka, topic_prefix, client=client) as old:
        answered(old, send(old, topic_prefix, [b"1"]))
        lost = send(old, topic_prefix, [b"2"])
    assert not lost.acked()
    with started(kafka, topic_prefix, "off", client=client) as plain:
        answered(plain, send(plain, topic_prefix, [b"3"]))
    assert committed(kafka, topic_prefix) == [b"1", b"3"]


def test_a_transaction_that_took_too_long_is_retriable(
        kafka: KafkaServer, topic_prefix: str, client: ClientKind) -> None:
    """After a pause of the process the coordinator has ended the transaction; nobody took over."""
    timeouts = {"transaction.timeout.ms": "1000", "request.timeout.ms": "1000"}
    with started(kafka, topic_prefix, properties=timeouts, client=client) as paused:
        begun = send(paused, topic_prefix, [b"1"])
        while len(paused._producer or ()):
            paused._serve(0.05)
        until = time.monotonic() + 60
        with started(kafka, topic_prefix, "off", client=client) as plain:
            answered(plain, send(plain, topic_prefix, [b"2"]))
        while committed(kafka, topic_prefix) != [b"2"]:  # held back by the open transaction
            assert time.monotonic() < until
        answered(paused, begun)
        assert begun.error is not None
        assert getattr(begun.error, "retriable", False)
    with started(kafka, topic_prefix, client=client) as again:
        answered(again, send(again, topic_prefix, [b"1"]))
    assert committed(kafka, topic_prefix) == [b"2", b"1"]


@pytest.mark.parametrize("properties", [{"acks": "1"}, {"enable.idempotence": "false"}])
def test_a_producer_that_is_not_idempotent_is_not_fenced(kafka: KafkaServer, topic_prefix: str,
                                                         properties: dict[str, str]) -> None:
    with started(kafka, topic_prefix, "auto", properties) as sink:
        assert sink._transactions is None
        answered(sink, send(sink, topic_prefix, [b"1"]))
    assert committed(kafka, topic_prefix) == [b"1"]


def refuse(sink: KafkaSink, producer: object) -> None:
    raise SinkRefusedError("Kafka refused a transactional producer")


def test_brokers_that_allow_no_transactions(kafka: KafkaServer, topic_prefix: str,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KafkaSink, "_init_transactions", refuse)
    with started(kafka, topic_prefix, "auto") as sink:
        answered(sink, send(sink, topic_prefix, [b"1"]))
    assert committed(kafka, topic_prefix) == [b"1"]
    strict = KafkaSink({"bootstrap.servers": kafka.bootstrap}, fencing="on", transactional_id="x")
    strict.start()
    with pytest.raises(SinkRefusedError):
        strict.fence()
    strict.close()


def test_brokers_that_went_away_are_not_taken_for_such(topic_prefix: str, kafka: KafkaServer,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one outage at the wrong moment would switch the fence off until the next start."""
    monkeypatch.setattr(KafkaSink, "_init_transactions", refuse)
    sink = KafkaSink({"bootstrap.servers": kafka.bootstrap}, fencing="auto", transactional_id="x", start_timeout_s=1)
    sink.start()

    def away(sink: KafkaSink, producer: object) -> None:
        raise SinkConnectionError("no answer")

    monkeypatch.setattr(KafkaSink, "_await_brokers", away)
    with pytest.raises(SinkConnectionError):
        sink.fence()
    sink.close()


def test_a_topic_that_is_created_first(kafka: KafkaServer, topic_prefix: str) -> None:
    """The first transaction is empty, because its record waits for the topic."""
    groups = topic_groups({"topic.creation.default.partitions": "2", "topic.creation.default.replication.factor": "1"})
    sink = KafkaSink({"bootstrap.servers": kafka.bootstrap}, topic_groups=groups, fencing="on",
                     transactional_id=f"cdc-{topic_prefix}", start_timeout_s=30)
    sink.start()
    sink.fence()
    answered(sink, send(sink, topic_prefix, [b"1", b"2"]))
    sink.close()
    assert committed(kafka, topic_prefix) == [b"1", b"2"]
