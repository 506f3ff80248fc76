"""A real broker takes our record batches, and Kafka's client reads from them what we put in."""

from __future__ import annotations

import random
import socket
import struct
import zlib
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer

from cdc import native
from cdc.core.interfaces import Outgoing
from tests.servers.kafka import KafkaMessage, KafkaServer, consume_all, create_topic
from tests.servers.process import wait_until

made = native.module("recordsets")
pytestmark = pytest.mark.skipif(made is None, reason="no native modules were built")

PARTITIONS = 5
NOW_MS = 1_700_000_000_000
HEADERS = [("id", b"1"), ("empty", b""), ("null", None), ("größe", b"\xff" * 200)]


def outgoings(topic: str) -> list[Outgoing]:
    draw = random.Random(5)
    sizes = [0, 1, 63, 64, 300, 8191, 8192, 40_000]
    return [Outgoing(topic, draw.randbytes(draw.choice(sizes[:6])), draw.choice([None, draw.randbytes(size)]), -1,
                     draw.choice([(), HEADERS]), "t", draw.choice([-1, NOW_MS - 5, NOW_MS + 9]))
            for _ in range(20) for size in sizes]


def produce(bootstrap: str, topic: str, partition: int, batch: bytes) -> int:
    """Sends *batch* and returns the broker's error code, once it has noticed that it leads the partition."""
    codes: list[int] = []

    def is_leader() -> bool:
        codes.append(produce_once(bootstrap, topic, partition, batch))
        return codes[-1] != KafkaError.NOT_LEADER_FOR_PARTITION

    wait_until(is_leader, 30, f"the leader of {topic}")
    return codes[-1]


def produce_once(bootstrap: str, topic: str, partition: int, batch: bytes) -> int:
    """Kafka docs, "Protocol guide", Produce version 7."""
    name = topic.encode()
    request = struct.pack(f">hhihhhiih{len(name)}siii", 0, 7, 1, -1, -1, -1, 10_000, 1, len(name), name, 1, partition,
                          len(batch)) + batch
    host, port = bootstrap.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = b""
        while len(answer) < 4 or len(answer) < 4 + struct.unpack_from(">i", answer)[0]:
            received = connection.recv(65536)
            assert received, "the broker closed the connection"
            answer += received
    _, correlation, topics, size = struct.unpack_from(">iiih", answer)
    count, index, code = struct.unpack_from(">iih", answer, 14 + size)
    assert (correlation, topics, count, index) == (1, 1, 1, partition)
    return int(code)


def whole_batch(taken: Any, attributes: int) -> bytes:
    body = zlib.compress(taken.records(), wbits=31) if attributes else bytes(taken.records())
    head: bytes = made.batch_head(taken.base_ms, taken.max_ms, taken.count, body, attributes, -1, -1, -1)
    return head + body


def by_partition(messages: list[KafkaMessage]) -> dict[int, list[KafkaMessage]]:
    return {partition: [each for each in messages if each.kafka_partition == partition]
            for partition in range(PARTITIONS)}


@pytest.mark.parametrize("attributes", [0, 1], ids=["none", "gzip"])
def test_a_broker_takes_batches_and_a_consumer_reads_them(
        kafka: KafkaServer, topic_prefix: str, attributes: int) -> None:
    create_topic(kafka.bootstrap, topic_prefix, PARTITIONS)
    wanted = outgoings(topic_prefix)
    out = native.module("batch").OutBatch()
    for each in wanted:
        out.append(each)
    sets = made.RecordSets(100_000, 64 << 20, 10_000)
    topic = sets.topic(topic_prefix)
    sets.partitions(topic, PARTITIONS)
    assert sets.put_batch(out, 0, [sets.route(topic, each.headers) for each in out.routes], 1, NOW_MS) == len(wanted)
    for place in sets.ready(all=True):
        while (taken := sets.take(*place, True)) is not None:
            assert produce(kafka.bootstrap, topic_prefix, taken.partition, whole_batch(taken, attributes)) == 0
    found = by_partition(consume_all(kafka.bootstrap, topic_prefix))
    for partition, messages in found.items():
        assert [(each.key, each.value, list(each.headers), each.timestamp_ms) for each in messages] == [
            (each.key, each.value, list(each.headers), each.timestamp_ms if each.timestamp_ms > 0 else NOW_MS)
            for each in wanted if made.murmur2_partition(each.key, PARTITIONS) == partition]


def test_keys_go_where_librdkafka_puts_them(kafka: KafkaServer, topic_prefix: str) -> None:
    create_topic(kafka.bootstrap, topic_prefix, PARTITIONS)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    draw = random.Random(6)
    for _ in range(500):
        producer.produce(topic_prefix, b"v", draw.randbytes(draw.randrange(40)))
    assert producer.flush(30) == 0
    messages = consume_all(kafka.bootstrap, topic_prefix)
    assert len(messages) == 500
    assert [each.kafka_partition for each in messages] == [
        made.murmur2_partition(each.key, PARTITIONS) for each in messages]


def test_a_damaged_batch_is_refused(kafka: KafkaServer, topic_prefix: str) -> None:
    """So the broker does check what the two tests above send."""
    create_topic(kafka.bootstrap, topic_prefix, 1)
    sets = made.RecordSets(100_000, 1 << 20, 10)
    sets.partitions(sets.topic(topic_prefix), 1)
    assert sets.put(sets.route(0, ()), b"k", b"v", 0, -1, 1, NOW_MS) == 0
    batch = whole_batch(sets.take(0, 0, True), 0)
    damaged = batch[:-1] + bytes([batch[-1] ^ 1])
    assert produce(kafka.bootstrap, topic_prefix, 0, damaged) == 2, "CORRUPT_MESSAGE"
    assert produce(kafka.bootstrap, topic_prefix, 0, batch) == 0
