"""A real Schema Registry: what we register, what it refuses, and a stock consumer reading our bytes."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from cdc.converters.avro.converter import AvroConverter
from cdc.core.errors import RegistryConnectionError, RegistryRefusedError
from cdc.core.schema import ARRAY, BYTES, DECIMAL, INT32, INT64, STRING, Schema, optional, struct
from tests.servers.process import ServerUnavailableError
from tests.servers.registry import RegistryServer
from tests.unit.converters.connect_json import golden_files, golden_records, schema_of, value_of

ROW = struct("srv.t.Value", [
    ("id", Schema(INT32)),
    ("name", optional(STRING)),
    ("amount", Schema(BYTES, name=DECIMAL, version=1,
                      parameters=(("scale", "2"), ("connect.decimal.precision", "10")))),
    ("state", Schema(STRING, optional=True, default="new")),
    ("tags", Schema(ARRAY, optional=True, items=optional(STRING))),
])
FIRST = struct("srv.t.Value", [("id", Schema(INT32))])
INCOMPATIBLE = struct("srv.t.Value", [("id", Schema(STRING))])
COMPATIBLE = struct("srv.t.Value", [("id", Schema(INT32)), ("n", optional(INT64))])


def converter(registry: RegistryServer, **settings: str) -> AvroConverter:
    made = AvroConverter()
    made.configure({"schema.registry.url": registry.url, "retries.wait.ms": "10", "max.retries": "1"}
                   | {key.replace("_", "."): value for key, value in settings.items()}, False)
    return made


def read(registry: RegistryServer, topic: str, framed: bytes | None) -> Any:
    """As a consumer with Confluent's own deserializer sees it."""
    client = SchemaRegistryClient({"url": registry.url, "timeout": 30})
    return AvroDeserializer(client)(framed, SerializationContext(topic, MessageField.VALUE))


def set_compatibility(registry: RegistryServer, subject: str, level: str) -> None:
    request = urllib.request.Request(f"{registry.url}/config/{subject}", json.dumps({"compatibility": level}).encode(),
                                     {"Content-Type": "application/vnd.schemaregistry.v1+json"}, method="PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def test_a_stock_consumer_reads_what_we_wrote(registry: RegistryServer, topic_prefix: str) -> None:
    made = converter(registry)
    framed = made.from_connect(topic_prefix, ROW, (1, "größe", b"\x00\x96", None, ["a", None]))
    assert read(registry, topic_prefix, framed) == {
        "id": 1, "name": "größe", "amount": Decimal("1.50"), "state": "new", "tags": ["a", None]}


@pytest.mark.parametrize("name", ["postgres-types-snapshot.jsonl.gz", "postgres-types-stream.jsonl.gz"])
def test_golden_envelopes_are_accepted_and_read(registry: RegistryServer, topic_prefix: str, name: str) -> None:
    path = next(path for path in golden_files() if path.name == name)
    made = converter(registry)
    for record in golden_records(path):
        if record["value"] is None:
            continue
        schema = schema_of(record["value"]["schema"])
        topic = f"{topic_prefix}.{record['topic']}"
        framed = made.from_connect(topic, schema, value_of(schema, record["value"]["payload"]))
        found = read(registry, topic, framed)
        assert found["op"] == record["value"]["payload"]["op"]
        assert list(found) == list(record["value"]["payload"])


def test_the_same_schema_has_one_id_for_every_client(registry: RegistryServer, topic_prefix: str) -> None:
    one, other = converter(registry), converter(registry)
    number = one.schema_id(topic_prefix, ROW)
    assert other.schema_id(topic_prefix, ROW) == number
    looking = converter(registry, auto_register_schemas="false")
    assert looking.schema_id(topic_prefix, ROW) == number


def test_the_latest_version_is_used_when_it_is_alike(registry: RegistryServer, topic_prefix: str) -> None:
    number = converter(registry).schema_id(topic_prefix, ROW)
    latest = converter(registry, auto_register_schemas="false", use_latest_version="true", connect_meta_data="false")
    assert latest.schema_id(topic_prefix, ROW) == number
    by_id = converter(registry, auto_register_schemas="false", use_schema_id=str(number))
    assert by_id.schema_id(topic_prefix, ROW) == number


def test_an_incompatible_schema_is_refused_for_good(registry: RegistryServer, topic_prefix: str) -> None:
    made = converter(registry)
    made.schema_id(topic_prefix, FIRST)
    set_compatibility(registry, f"{topic_prefix}-value", "BACKWARD")
    with pytest.raises(RegistryRefusedError, match="not compatible") as caught:
        made.schema_id(topic_prefix, INCOMPATIBLE)
    assert caught.value.context["status"] == 409
    assert caught.value.context["subject"] == f"{topic_prefix}-value"
    assert made.schema_id(topic_prefix, COMPATIBLE) > 0


def test_an_invalid_schema_is_refused_for_good(registry: RegistryServer, topic_prefix: str) -> None:
    registered = converter(registry)._registry
    with pytest.raises(RegistryRefusedError, match="invalid") as caught:
        registered.register(f"{topic_prefix}-value", '{"type":"record","name":"1st","fields":[]}')
    assert caught.value.context["status"] == 422


def test_a_schema_that_is_not_there_is_not_made(registry: RegistryServer, topic_prefix: str) -> None:
    with pytest.raises(RegistryRefusedError, match=r"auto\.register\.schemas"):
        converter(registry, auto_register_schemas="false").schema_id(topic_prefix, ROW)


def test_a_wrong_path_says_so(registry: RegistryServer, topic_prefix: str) -> None:
    with pytest.raises(RegistryRefusedError, match=r"schema\.registry\.url"):
        converter(registry, schema_registry_url=registry.url + "/nowhere").schema_id(topic_prefix, ROW)


@pytest.fixture
def own_registry() -> Iterator[RegistryServer]:
    """One that a test may stop."""
    try:
        with RegistryServer(persistent=True) as server:
            yield server
    except ServerUnavailableError as exc:
        pytest.skip(str(exc))


def test_away_and_back(own_registry: RegistryServer, topic_prefix: str) -> None:
    made = converter(own_registry)
    number = made.schema_id(topic_prefix, FIRST)
    own_registry.stop()
    with pytest.raises(RegistryConnectionError) as caught:
        made.schema_id(topic_prefix, COMPATIBLE)
    assert caught.value.retriable
    assert made.schema_id(topic_prefix, FIRST) == number, "what is known needs no registry"
    own_registry.start()
    later = made.schema_id(topic_prefix, COMPATIBLE)
    assert later != number
    assert converter(own_registry).schema_id(topic_prefix, FIRST) == number
