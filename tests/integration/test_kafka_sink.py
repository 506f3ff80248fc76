"""The Kafka sink against a real broker: places, limits, outages, topics."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from cdc.core.errors import SinkConnectionError, SinkRefusedError
from cdc.core.interfaces import Outgoing
from cdc.kafka.topics import topic_groups
from cdc.runtime.inflight import Delivery, Inflight
from cdc.sinks.kafka import KafkaSink
from cdc.sinks.kafka_options import ClientKind
from tests.integration.kafka_clients import CLIENTS
from tests.servers.kafka import KafkaServer, consume_all, create_topic
from tests.servers.process import free_port


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> ClientKind:
    kind: ClientKind = request.param
    return kind


@pytest.fixture
def sink(kafka: KafkaServer, client: ClientKind) -> Iterator[KafkaSink]:
    sink = KafkaSink({"bootstrap.servers": kafka.bootstrap}, client=client)
    sink.start()
    yield sink
    sink.close()


def outgoing(topic: str, key: bytes | None, value: bytes | None, **more: Any) -> Outgoing:
    return Outgoing(topic, key, value, -1, (), "public.t")._replace(**more)


def send(sink: KafkaSink, batch: Sequence[Outgoing], timeout: float = 30) -> Delivery:
    """Until it is answered, or failed."""
    delivery = Inflight().add(None, len(batch))  # type: ignore[arg-type]
    first, deadline = 0, time.monotonic() + timeout
    while first < len(batch) and delivery.error is None:
        assert time.monotonic() < deadline
        first = sink.send(batch, first, delivery)
        sink.poll(0.05 if first < len(batch) else 0)
    assert sink.flush(deadline - time.monotonic()) == 0
    return delivery


def give(sink: KafkaSink, batch: Sequence[Outgoing], delivery: Delivery) -> None:
    """Until it is taken."""
    first, deadline = 0, time.monotonic() + 30
    while first < len(batch):
        assert time.monotonic() < deadline
        first = sink.send(batch, first, delivery)
        sink.poll(0.01 if first < len(batch) else 0)


def murmur2(data: bytes) -> int:
    """org.apache.kafka.common.utils.Utils.murmur2, as a signed 32-bit number."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    tail = data[whole:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    h ^= h >> 15
    return h - (1 << 32) if h >> 31 else h


JAVAS_HASHES = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""Apache Kafka: UtilsTest, `testMurmur2`."""


def test_keys_land_where_javas_partitioner_puts_them(kafka: KafkaServer, sink: KafkaSink, topic_prefix: str) -> None:
    assert {key: murmur2(key) for key in JAVAS_HASHES} == JAVAS_HASHES
    create_topic(kafka.bootstrap, topic_prefix, 7)
    rng = random.Random(5)
    keys = [*JAVAS_HASHES, b"", b"\0\0\0\0\1\2", *(rng.randbytes(rng.randrange(40)) for _ in range(300))]
    assert send(sink, [outgoing(topic_prefix, key, b"1") for key in keys]).acked()
    found = {message.key: message.kafka_partition for message in consume_all(kafka.bootstrap, topic_prefix)}
    assert found == {key: (murmur2(key) & 0x7FFFFFFF) % 7 for key in keys}


def test_a_given_partition_headers_and_nulls_arrive(kafka: KafkaServer, sink: KafkaSink, topic_prefix: str) -> None:
    create_topic(kafka.bootstrap, topic_prefix, 3)
    headers = [("a", b"\x00\xff"), ("a", b""), ("n", None)]
    assert send(sink, [outgoing(topic_prefix, b"k", None, kafka_partition=2, headers=headers),
                       outgoing(topic_prefix, None, b"", kafka_partition=1)]).acked()
    one, two = consume_all(kafka.bootstrap, topic_prefix)
    assert (one.kafka_partition, one.key, one.value) == (1, None, b"")
    assert (two.kafka_partition, two.key, two.value, two.headers) == (2, b"k", None, headers)
    assert abs(two.timestamp_ms / 1000 - time.time()) < 60


def test_a_record_above_our_limit_fails_its_batch_and_nothing_behind_it_is_sent(
    kafka: KafkaServer, sink: KafkaSink, topic_prefix: str
) -> None:
    batch = [outgoing(topic_prefix, b"a", b"1"), outgoing(topic_prefix, b"big", b"x" * 1_100_000),
             outgoing(topic_prefix, b"c", b"3")]
    delivery = send(sink, batch)
    assert isinstance(delivery.error, SinkRefusedError)
    assert "public.t with key big" in str(delivery.error)
    assert "producer.override.max.request.size" in delivery.error.hint
    assert [message.key for message in consume_all(kafka.bootstrap, topic_prefix)] == [b"a"]


def test_a_larger_limit_is_honoured(kafka: KafkaServer, topic_prefix: str, client: ClientKind) -> None:
    create_topic(kafka.bootstrap, topic_prefix, config={"max.message.bytes": "4000000"})
    sink = KafkaSink({"bootstrap.servers": kafka.bootstrap, "max.request.size": "3000000", "compression.type": "zstd"},
                     client=client)
    sink.start()
    value = random.Random(1).randbytes(2_500_000)
    assert send(sink, [outgoing(topic_prefix, b"k", value)]).acked()
    sink.close()
    (message,) = consume_all(kafka.bootstrap, topic_prefix, config={"fetch.message.max.bytes": 5_000_000})
    assert message.value == value


def test_a_record_above_the_topics_limit_is_refused_by_the_broker(
    kafka: KafkaServer, sink: KafkaSink, topic_prefix: str
) -> None:
    create_topic(kafka.bootstrap, topic_prefix, config={"max.message.bytes": "1000"})
    delivery = send(sink, [outgoing(topic_prefix, b"big", b"x" * 5000)])
    assert isinstance(delivery.error, SinkRefusedError)
    assert "max.message.bytes" in delivery.error.hint
    assert "public.t" in str(delivery.error)


def test_an_invalid_topic_name_is_refused(sink: KafkaSink) -> None:
    delivery = send(sink, [outgoing("no spaces allowed", b"k", b"1")])
    assert isinstance(delivery.error, SinkRefusedError)


def test_topics_are_made_with_their_groups_settings(kafka: KafkaServer, topic_prefix: str, client: ClientKind) -> None:
    groups = topic_groups({
        "topic.creation.default.replication.factor": "-1",
        "topic.creation.default.partitions": "2",
        "topic.creation.default.compression.type": "lz4",
        "topic.creation.groups": "big",
        "topic.creation.big.include": r".*\.big",
        "topic.creation.big.partitions": "5",
        "topic.creation.big.cleanup.policy": "compact",
    })
    big, plain, there = f"{topic_prefix}.big", f"{topic_prefix}.plain", f"{topic_prefix}.there"
    create_topic(kafka.bootstrap, there, 3)
    sink = KafkaSink({"bootstrap.servers": kafka.bootstrap}, topic_groups=groups, client=client)
    sink.start()
    assert send(sink, [outgoing(topic, b"k", b"1") for topic in (big, plain, there, big)]).acked()
    sink.close()
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    topics = admin.list_topics(timeout=10).topics
    assert [len(topics[topic].partitions) for topic in (big, plain, there)] == [5, 2, 3]
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in (big, plain)]
    found = [future.result(10) for future in admin.describe_configs(resources).values()]
    assert found[0]["cleanup.policy"].value == "compact"
    assert found[1]["compression.type"].value == "lz4"


def test_wrong_topic_settings_are_refused(kafka: KafkaServer, topic_prefix: str) -> None:
    groups = topic_groups({
        "topic.creation.default.replication.factor": "3",
        "topic.creation.default.partitions": "1",
    })
    sink = KafkaSink({"bootstrap.servers": kafka.bootstrap}, topic_groups=groups)
    sink.start()
    delivery = send(sink, [outgoing(topic_prefix, b"k", b"1")])
    sink.close()
    assert isinstance(delivery.error, SinkRefusedError)
    assert topic_prefix in str(delivery.error)


def test_a_broker_that_is_away_for_a_while_costs_nothing_and_keeps_the_order(
    kafka: KafkaServer, topic_prefix: str, client: ClientKind
) -> None:
    create_topic(kafka.bootstrap, topic_prefix, 3)
    sink = KafkaSink({"bootstrap.servers": kafka.bootstrap, "buffer.memory": str(2 << 20)}, client=client)
    sink.start()
    inflight, total, back = Inflight(), 3000, threading.Thread(target=kafka.start)
    for number in range(total // 100):
        if number == 10:
            kafka.kill()
        batch = [outgoing(topic_prefix, b"key%d" % (n % 10), b"%-2000d" % n)
                 for n in range(number * 100, number * 100 + 100)]
        delivery, first = inflight.add(number, len(batch)), 0  # type: ignore[arg-type]
        while first < len(batch):
            first = sink.send(batch, first, delivery)
            if first < len(batch) and back.ident is None and number:  # the first may wait for the topic's partitions
                assert number >= 10
                back.start()  # The queue is full.
            sink.poll(0.1 if first < len(batch) else 0)
    assert sink.metrics()["cdc_sink_queue_full_total"] > 0
    back.join()
    assert sink.flush(60) == 0
    assert inflight.error is None
    assert inflight.committable() == total // 100 - 1  # type: ignore[comparison-overlap]
    assert sink.metrics()["cdc_sink_unreachable"] == 0
    sink.close()
    by_key: dict[bytes | None, list[int]] = defaultdict(list)
    for message in consume_all(kafka.bootstrap, topic_prefix):
        by_key[message.key].append(int(message.value or b""))
    assert by_key == {b"key%d" % key: list(range(key, total, 10)) for key in range(10)}


def test_unreachable_brokers_at_start_are_named(client: ClientKind) -> None:
    sink = KafkaSink({"bootstrap.servers": f"127.0.0.1:{free_port()}"}, start_timeout_s=1, client=client)
    with pytest.raises(SinkConnectionError, match=r"127\.0\.0\.1") as caught:
        sink.start()
    assert "bootstrap.servers" in caught.value.hint


def test_waiting_for_brokers_ends_when_interrupted(client: ClientKind) -> None:
    sink = KafkaSink({"bootstrap.servers": f"127.0.0.1:{free_port()}"}, start_timeout_s=3600, client=client)
    timer = threading.Timer(0.3, sink.interrupt)
    timer.start()
    with pytest.raises(SinkConnectionError):
        sink.start()
    timer.join()


def test_closing_with_records_under_way_fails_them(kafka: KafkaServer, topic_prefix: str, client: ClientKind) -> None:
    sink = KafkaSink({"bootstrap.servers": kafka.bootstrap, "linger.ms": "900000"}, client=client)
    sink.start()
    delivery = Inflight().add(None, 100)  # type: ignore[arg-type]
    give(sink, [outgoing(topic_prefix, b"k", b"1")] * 100, delivery)
    sink.close()
    assert isinstance(delivery.error, SinkConnectionError)


LOST = '{"name": "rdkafka#producer-1", "msg_cnt": 1, "brokers": {}}'
"""What librdkafka says of a client that knows no broker any more."""


def test_a_client_that_has_lost_its_brokers_fails_what_it_holds_and_a_new_start_delivers(
        kafka: KafkaServer, topic_prefix: str, client: ClientKind) -> None:
    sink = KafkaSink({"bootstrap.servers": kafka.bootstrap, "linger.ms": "4000"}, client=client)
    sink.start()
    delivery = Inflight().add(None, 1)  # type: ignore[arg-type]
    give(sink, [outgoing(topic_prefix, b"k", b"1")], delivery)
    sink.on_statistics(LOST)
    deadline = time.monotonic() + 90
    while delivery.error is None and time.monotonic() < deadline:
        sink.poll(0.05)
    assert isinstance(delivery.error, SinkConnectionError)
    assert "lost its brokers" in delivery.error.message
    sink.close()
    sink.start()
    assert send(sink, [outgoing(topic_prefix, b"k", b"2")], 60).error is None
    sink.close()


def test_an_idle_client_that_has_lost_its_brokers_is_replaced(sink: KafkaSink, topic_prefix: str) -> None:
    assert send(sink, [outgoing(topic_prefix, b"k", b"1")]).error is None
    sink.on_statistics(LOST)
    sink.poll(0)
    assert send(sink, [outgoing(topic_prefix, b"k", b"2")]).error is None
