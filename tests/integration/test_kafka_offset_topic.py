"""The offset topic is one that Kafka Connect's workers could go on with, and the other way round."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from cdc.core.errors import ConfigError, OffsetStoreError
from cdc.runtime.kafka_offsets import KafkaOffsetStore
from tests.servers.kafka import KafkaServer, consume_all, create_topic
from tests.servers.process import free_port


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
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic, "partitioner": "murmur2"})
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


def test_a_topic_that_forgets_is_refused(kafka: KafkaServer, topic_prefix: str) -> None:
    create_topic(kafka.bootstrap, topic_prefix, config={"cleanup.policy": "delete"})
    with pytest.raises(ConfigError, match=r"cleanup\.policy"):
        open_store(kafka, topic_prefix)


def test_unreachable_brokers_are_retriable_and_found_in_time() -> None:
    store = KafkaOffsetStore("offsets", {"bootstrap.servers": f"127.0.0.1:{free_port()}"}, timeout_s=1)
    began = time.monotonic()
    with pytest.raises(OffsetStoreError) as caught:
        store.start()
    assert caught.value.retriable
    assert time.monotonic() - began < 5
