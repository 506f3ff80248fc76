"""`cdc tail` of topics on a real broker, with a real Schema Registry."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from cdc.cli.tail.printer import Event
from cdc.cli.tail.topic import topic_events
from cdc.core.errors import ConfigError, RegistryRefusedError, SinkConnectionError
from tests.servers.kafka import KafkaServer, create_topic
from tests.servers.registry import RegistryServer

SCHEMA = json.dumps({"type": "record", "name": "Value", "namespace": "t", "fields": [
    {"name": "id", "type": "int"},
    {"name": "at", "type": ["null", {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"}]},
]})


def produce(kafka: KafkaServer, topic: str, *records: tuple[bytes | None, bytes | None]) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for key, value in records:
        producer.produce(topic, value, key)
    assert producer.flush(20) == 0


def serialize(registry: RegistryServer, topic: str, value: object) -> bytes:
    client = SchemaRegistryClient({"url": registry.url})
    data = AvroSerializer(client, SCHEMA)(value, SerializationContext(topic, MessageField.VALUE))
    assert isinstance(data, bytes)
    return data


def test_avro_json_and_tombstones_are_read_from_the_beginning(kafka: KafkaServer, registry: RegistryServer,
                                                              topic_prefix: str) -> None:
    topic = f"{topic_prefix}.tail"
    create_topic(kafka.bootstrap, topic)
    value = serialize(registry, topic, {"id": 1, "at": 1_000_000})
    produce(kafka, topic, (b'{"id": 1}', value), (b'{"id": 1}', None), (None, b'{"schema": null, "payload": {"a": 1}}'))
    events = topic_events(topic, kafka.bootstrap, registry.url, (), from_beginning=True, readable=True)
    assert list(islice(events, 3)) == [
        Event(topic, {"id": 1}, {"id": 1, "at": "1970-01-01 00:00:01"}), Event(topic, {"id": 1}, None),
        Event(topic, None, {"a": 1})]
    events.close()


def test_the_command_prints_a_topic_and_ends(kafka: KafkaServer, topic_prefix: str) -> None:
    topic = f"{topic_prefix}.tail"
    create_topic(kafka.bootstrap, topic, 3)
    produce(kafka, topic, *((str(number).encode(), b'{"n": %d}' % number) for number in range(20)))
    done = subprocess.run(
        [sys.executable, "-m", "cdc", "tail", "--topic", topic, "--bootstrap-server", kafka.bootstrap,
         "--from-beginning", "-n", "20", "--json"], capture_output=True, text=True, timeout=60, check=True)
    assert sorted(json.loads(line)["value"]["n"] for line in done.stdout.splitlines()) == list(range(20))
    assert done.stderr == ""


def test_a_topic_that_is_not_there_is_said(kafka: KafkaServer, topic_prefix: str) -> None:
    with pytest.raises(ConfigError, match="There is no topic"):
        next(topic_events(f"{topic_prefix}/none", kafka.bootstrap, None, (), from_beginning=True, readable=True))


def test_an_unknown_property_is_said(kafka: KafkaServer) -> None:
    with pytest.raises(ConfigError, match=r"bogus\.key"):
        next(topic_events("t", kafka.bootstrap, None, ("bogus.key=1",), from_beginning=True, readable=True))


def test_a_broker_that_is_away_is_said_with_the_reason() -> None:
    with pytest.raises(SinkConnectionError, match="Connection refused"):
        next(topic_events("t", "127.0.0.1:1", None, (), from_beginning=True, readable=True))


def test_a_schema_that_the_registry_does_not_have_is_said(kafka: KafkaServer, registry: RegistryServer,
                                                         topic_prefix: str) -> None:
    topic = f"{topic_prefix}.tail"
    create_topic(kafka.bootstrap, topic)
    produce(kafka, topic, (None, b"\0\x7f\xff\xff\xffx"))
    with pytest.raises(RegistryRefusedError, match="404"):
        next(topic_events(topic, kafka.bootstrap, registry.url, (), from_beginning=True, readable=True))
