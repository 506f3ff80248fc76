"""The offset topic is one that Kafka Connect's workers could go on with, and the other way round."""

from __future__ import annotations

import json
import random
import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from cdc.core.errors import ConfigError, OffsetStoreError
from cdc.stores.kafka_offsets import KafkaOffsetStore
from tests.servers.kafka import KafkaServer, consume_all, create_topic
from tests.servers.process import free_port, wait_until


def open_store(server: KafkaServer, topic: str) -> KafkaOffsetStore:
    store = KafkaOffsetStore(topic, {"bootstrap.servers": server.bootstrap}, replication_factor=1, timeout_s=15)
    store.start()
    return store


def test_the_topic_is_made_as_kafka_connect_makes_it(kafka: KafkaServer, topic_prefix: str) -> None:
    topic = f"{topic_prefix}.offsets"
    open_store(kafka, topic).close()
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    assert len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 25
    resource = ConfigResource(ResourceType.TOPIC, topic)
    assert admin.describe_configs([resource])[resource].result(10)["cleanup.policy"].value == "compact"


def test_records_have_kafka_connects_bytes(kafka: KafkaServer, topic_prefix: str) -> None:
    topic = f"{topic_prefix}.offsets"
    store = open_store(kafka, topic)
    store.commit("inventory", {"server": "shop"}, {"lsn": 24023128, "txId": 555, "ts_usec": 1})
    store.commit("inventory", {"server": "shop"}, None)
    store.close()
    messages = consume_all(kafka.bootstrap, topic)
    assert [(message.key, message.value) for message in messages] == [
        (b'["inventory",{"server":"shop"}]', b'{"lsn":24023128,"txId":555,"ts_usec":1}'),
        (b'["inventory",{"server":"shop"}]', None),
    ]


def test_what_kafka_connect_wrote_is_loaded_without_aborted_records(kafka: KafkaServer, topic_prefix: str) -> None:
    topic, key = f"{topic_prefix}.offsets", b'["inventory",{"server":"shop"}]'
    create_topic(kafka.bootstrap, topic, 3, {"cleanup.policy": "compact"})
    with Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic,
                   "partitioner": "murmur2"}) as producer:
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(topic, b'{"lsn":5}', key)
        producer.commit_transaction()
        producer.begin_transaction()
        producer.produce(topic, b'{"lsn":6}', key)
        producer.flush(10)
        producer.abort_transaction()
    store = open_store(kafka, topic)
    assert store.load("inventory", {"server": "shop"}) == {"lsn": 5}
    store.close()


def test_a_record_with_everything_in_it_is_loaded_and_then_split(kafka: KafkaServer, topic_prefix: str) -> None:
    """As earlier versions wrote it."""
    create_topic(kafka.bootstrap, topic_prefix, 1, {"cleanup.policy": "compact", "max.message.bytes": "12000000"})
    structures = random.Random(1).randbytes(5_000_000).hex()
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "message.max.bytes": 12_000_000})
    producer.produce(topic_prefix, f'{{"pos":4,"structures":"{structures}"}}', b'["inventory",{"server":"shop"}]')
    assert producer.flush(30) == 0
    store = open_store(kafka, topic_prefix)
    assert store.load("inventory", {"server": "shop"}) == {"pos": 4, "structures": structures}
    store.commit("inventory", {"server": "shop"}, {"pos": 5, "structures": structures})
    assert store.load("inventory", {"server": "shop"}) == {"pos": 5, "structures": structures}
    store.close()


def test_parts_have_keys_that_kafka_connect_leaves_out(kafka: KafkaServer, topic_prefix: str) -> None:
    """They are JSON, and not of two elements. Kafka Connect: OffsetUtils.processPartitionKey."""
    store = open_store(kafka, f"{topic_prefix}.offsets")
    partition = {"server": 'a","part","b"]'}
    store.commit('in"ventory', partition, {"pos": 4, "structures": "x" * 300_000})
    assert store.load('in"ventory', partition) == {"pos": 4, "structures": "x" * 300_000}
    store.close()
    keys = [json.loads(message.key or b"") for message in consume_all(kafka.bootstrap, f"{topic_prefix}.offsets")]
    assert sorted(len(key) for key in keys) == [2, 4, 4]
    assert all(key[:2] == ['in"ventory', partition] for key in keys)


def test_a_compacted_topic_still_has_the_offset(kafka: KafkaServer, topic_prefix: str) -> None:
    """For a process that started before the compaction, and for the next one."""
    topic = f"{topic_prefix}.offsets"
    create_topic(kafka.bootstrap, topic, 1, {
        "cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0", "max.compaction.lag.ms": "1",
        "delete.retention.ms": "0"})
    store = open_store(kafka, topic)
    offset = {"first": random.Random(0).randbytes(200_000).hex()}
    for pos in range(6):
        offset = {**offset, "pos": str(pos), "structures": random.Random(pos).randbytes(200_000).hex()}
        store.commit("inventory", {"server": "shop"}, offset)
    written = consume_all(kafka.bootstrap, topic)

    def compacted() -> bool:
        store.commit("inventory", {"server": "shop"}, offset)  # the cleaner leaves the newest segment alone
        left = [each for each in consume_all(kafka.bootstrap, topic) if each.kafka_offset <= written[-1].kafka_offset]
        return len(left) <= len(written) - 10

    wait_until(compacted, 400, "the topic to be compacted", 1)
    for each in (store, open_store(kafka, topic)):
        assert each.load("inventory", {"server": "shop"}) == offset
        each.close()


def test_a_topic_that_forgets_is_refused(kafka: KafkaServer, topic_prefix: str) -> None:
    create_topic(kafka.bootstrap, topic_prefix, config={"cleanup.policy": "delete"})
    with pytest.raises(ConfigError, match=r"cleanup\.policy"):
        open_store(kafka, topic_prefix)


def delete_topic(server: KafkaServer, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": server.bootstrap})
    admin.delete_topics([topic])[topic].result(15)
    until = time.monotonic() + 60
    while topic in admin.list_topics(timeout=10).topics:
        assert time.monotonic() < until


def test_a_topic_that_was_made_again_is_an_error(kafka: KafkaServer, topic_prefix: str) -> None:
    """And neither the old offset nor none."""
    create_topic(kafka.bootstrap, topic_prefix, 1, {"cleanup.policy": "compact"})
    store = open_store(kafka, topic_prefix)
    for lsn in range(3):
        store.commit("inventory", {"server": "shop"}, {"lsn": lsn})
    assert store.load("inventory", {"server": "shop"}) == {"lsn": 2}
    delete_topic(kafka, topic_prefix)
    create_topic(kafka.bootstrap, topic_prefix, 1, {"cleanup.policy": "compact"})
    with pytest.raises(OffsetStoreError, match="lost records") as caught:
        store.load("inventory", {"server": "shop"})
    assert not caught.value.retriable
    store.close()


@pytest.mark.parametrize("value", [b"5", b"{", b"[" * 100_000, b"\xff"])
def test_a_record_that_is_no_offset_is_an_error(kafka: KafkaServer, topic_prefix: str, value: bytes) -> None:
    create_topic(kafka.bootstrap, topic_prefix, 1, {"cleanup.policy": "compact"})
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(topic_prefix, value, b'["inventory",{"server":"shop"}]')
    assert producer.flush(15) == 0
    store = open_store(kafka, topic_prefix)
    with pytest.raises(OffsetStoreError, match="not a JSON object"):
        store.load("inventory", {"server": "shop"})
    assert store.load("other", {"server": "shop"}) is None
    store.close()


def test_unreachable_brokers_are_retriable() -> None:
    store = KafkaOffsetStore("offsets", {"bootstrap.servers": f"127.0.0.1:{free_port()}"}, timeout_s=1)
    with pytest.raises(OffsetStoreError) as caught:
        store.start()
    assert caught.value.retriable
