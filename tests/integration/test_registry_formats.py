"""A real Schema Registry with JSON Schema, Protobuf, CloudEvents and Apicurio's own ids: what it takes and refuses, and
stock consumers reading it."""

from __future__ import annotations

import io
import json
import urllib.request
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from cdc.converters.apicurio.converter import ApicurioAvroConverter, ExtJsonConverter
from cdc.converters.avro.converter import AvroConverter
from cdc.converters.cloud_events.converter import CloudEventsConverter
from cdc.converters.json_schema.converter import JsonSchemaConverter
from cdc.converters.protobuf.converter import ProtobufConverter
from cdc.converters.protobuf.messages import ProtobufOptions, proto_file
from cdc.core.errors import ConvertError, RegistryRefusedError
from cdc.core.schema import ARRAY, BYTES, DECIMAL, INT16, INT32, STRING, Schema, optional, struct
from tests.servers.registry import RegistryServer
from tests.unit.converters.cloud_events.test_converter import ENVELOPE, EVENT
from tests.unit.converters.protobuf.descriptors import message_class

ROW = struct("srv.t.Value", [
    ("id", Schema(INT32)), ("small", Schema(INT16)), ("name", optional(STRING)),
    ("amount", Schema(BYTES, name=DECIMAL, version=1, optional=True,
                      parameters=(("scale", "2"), ("connect.decimal.precision", "10")))),
    ("tags", Schema(ARRAY, optional=True, items=Schema(STRING))),
])
VALUE = (1, 7, None, b"\x00\x96", ["a", "b"])


def converter(kind: Any, registry: RegistryServer, **settings: str) -> Any:
    made = kind()
    made.configure({"schema.registry.url": registry.url, "retries.wait.ms": "10", "max.retries": "1"}
                   | {key.replace("_", "."): value for key, value in settings.items()}, False)
    return made


def set_compatibility(registry: RegistryServer, subject: str, level: str) -> None:
    request = urllib.request.Request(f"{registry.url}/config/{subject}", json.dumps({"compatibility": level}).encode(),
                                     {"Content-Type": "application/vnd.schemaregistry.v1+json"}, method="PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def test_stock_consumers_read_what_we_wrote(registry: RegistryServer, topic_prefix: str) -> None:
    context = SerializationContext(topic_prefix, MessageField.VALUE)
    client = SchemaRegistryClient({"url": registry.url, "timeout": 30})
    framed = converter(JsonSchemaConverter, registry, decimal_format="NUMERIC").from_connect(
        f"{topic_prefix}j", ROW, VALUE)
    assert JSONDeserializer(None, schema_registry_client=client)(framed, context) == {
        "id": 1, "small": 7, "name": None, "amount": 1.5, "tags": ["a", "b"]}
    # The client asks for schemas in a form that this registry gives in another way, so it reads without them.
    read = ProtobufDeserializer(message_class(proto_file(ROW, ProtobufOptions())), {"use.deprecated.format": False})
    framed = converter(ProtobufConverter, registry).from_connect(f"{topic_prefix}p", ROW, VALUE)
    found: Any = read(framed, context)
    assert (found.id, found.small, found.amount.value, list(found.tags)) == (1, 7, b"\x00\x96", ["a", "b"])


OLD = struct("srv.t.Value", [("id", Schema(INT32)), ("n", Schema(INT32))])
CHANGES = {
    "nullable column added": struct("srv.t.Value", [
        ("id", Schema(INT32)), ("n", Schema(INT32)), ("o", optional(STRING))]),
    "column added": struct("srv.t.Value", [("id", Schema(INT32)), ("n", Schema(INT32)), ("o", Schema(STRING))]),
    "column dropped": struct("srv.t.Value", [("id", Schema(INT32))]),
    "type changed": struct("srv.t.Value", [("id", Schema(INT32)), ("n", Schema(STRING))]),
}
ADDED, MORE, LESS, OTHER = CHANGES
CHANGED: dict[str, tuple[Any, ...]] = {ADDED: (1, 2, None), MORE: (1, 2, "x"), LESS: (1,), OTHER: (1, "x")}
"""A row after each."""
ALLOWED: list[tuple[Any, str, tuple[str, ...]]] = [
    (AvroConverter, "BACKWARD", (ADDED, LESS)), (AvroConverter, "FORWARD", (ADDED, MORE)),
    (AvroConverter, "FULL", (ADDED,)), (AvroConverter, "NONE", tuple(CHANGES)),
    # Objects are open, so earlier values may have had anything in the new property.
    (JsonSchemaConverter, "BACKWARD", (LESS,)), (JsonSchemaConverter, "FORWARD", (ADDED, MORE)),
    (JsonSchemaConverter, "FULL", ()), (JsonSchemaConverter, "NONE", tuple(CHANGES)),
    (ProtobufConverter, "BACKWARD", (ADDED, MORE)), (ProtobufConverter, "FORWARD", (LESS,)),
    (ProtobufConverter, "FULL", ()), (ProtobufConverter, "NONE", tuple(CHANGES)),
]


@pytest.mark.parametrize(("kind", "level", "allowed"), ALLOWED,
                         ids=[f"{kind.__name__}-{level}" for kind, level, _ in ALLOWED])
def test_evolution(registry: RegistryServer, topic_prefix: str, kind: Any, level: str, allowed: tuple[str, ...],
                   ) -> None:
    made = converter(kind, registry)
    for number, (change, schema) in enumerate(CHANGES.items()):
        topic = f"{topic_prefix}.{number}"
        made.schema_id(topic, OLD)
        set_compatibility(registry, f"{topic}-value", level)
        if change in allowed:
            assert made.schema_id(topic, schema) > 0
            continue
        with pytest.raises(RegistryRefusedError, match="not compatible") as caught:
            made.schema_id(topic, schema)
        assert caught.value.context["difference"], change
        assert "NONE lets every change through" in caught.value.hint


def set_rule(registry: RegistryServer, artifact: str, level: str) -> None:
    path = f"/apis/registry/v3/groups/default/artifacts/{artifact}/rules"
    request = urllib.request.Request(f"http://{registry.host}:{registry.port}{path}", json.dumps(
        {"ruleType": "COMPATIBILITY", "config": level}).encode(), {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status in (200, 204)


@pytest.mark.parametrize(("level", "allowed"), [(level, allowed) for kind, level, allowed in ALLOWED
                                                if kind is AvroConverter])
def test_evolution_over_apicurios_own_interface(registry: RegistryServer, topic_prefix: str, level: str,
                                                allowed: tuple[str, ...]) -> None:
    made = ApicurioAvroConverter()
    made.configure({**own(registry), "apicurio.registry.auto-register": "true"}, False)
    for number, (change, schema) in enumerate(CHANGES.items()):
        topic = f"{topic_prefix}.{number}"
        made.schema_id(topic, OLD)
        set_rule(registry, f"{topic}-value", level)
        if change in allowed:
            assert made.schema_id(topic, schema) > 0
            continue
        with pytest.raises(RegistryRefusedError, match="not compatible") as caught:
            made.schema_id(topic, schema)
        assert "compatibility rule" in caught.value.hint


@pytest.mark.parametrize("level", ["BACKWARD", "FORWARD", "FULL"])
def test_evolution_of_ext_json(registry: RegistryServer, topic_prefix: str, level: str) -> None:
    """The registry compares no schemas of Kafka Connect, so every change goes through: the schema that an id in the
    JSON leads to is that of its own message."""
    made = ExtJsonConverter()
    made.configure({**own(registry), "apicurio.registry.auto-register": "true"}, False)
    for number, (change, schema) in enumerate(CHANGES.items()):
        topic = f"{topic_prefix}.{number}"
        before = json.loads(made.from_connect(topic, OLD, (1, 2)) or b"")
        set_rule(registry, f"{topic}-value", level)
        after = json.loads(made.from_connect(topic, schema, CHANGED[change]) or b"")
        assert before["schemaId"] != after["schemaId"], change
        for message, wanted in ((before, OLD), (after, schema)):
            path = f"{own(registry)['apicurio.registry.url']}/ids/contentIds/{message['schemaId']}"
            with urllib.request.urlopen(path, timeout=30) as answer:
                found = json.load(answer)
            assert {each["field"]: each["optional"] for each in found["fields"]} == {
                field.name: field.schema.optional for field in wanted.fields}, change
            assert set(message["payload"]) == {field.name for field in wanted.fields}


def envelope(row: Schema) -> Schema:
    """A change event whose rows are as *row*."""
    image = struct(row.name or "", [(field.name, field.schema) for field in row.fields], optional=True)
    return struct("srv.t.Envelope", [("before", image), ("after", image), *(
        (field.name, field.schema) for field in ENVELOPE.fields[2:])])


@pytest.mark.parametrize("serializer", ["json", "avro"])
@pytest.mark.parametrize(("level", "allowed"), [(level, allowed) for kind, level, allowed in ALLOWED
                                                if kind is AvroConverter])
def test_evolution_of_the_data_of_cloud_events(registry: RegistryServer, topic_prefix: str, level: str,
                                               allowed: tuple[str, ...], serializer: str) -> None:
    """As of Avro without an event around it; the event's own schema stays the same."""
    made = CloudEventsConverter()
    made.configure({"serializer.type": serializer, "data.serializer.type": "avro",
                    "avro.schema.registry.url": registry.url, "avro.retries.wait.ms": "10"}, False)
    for number, (change, schema) in enumerate(CHANGES.items()):
        topic = f"{topic_prefix}.{number}"
        assert made.from_connect(topic, envelope(OLD), (None, (1, 2), *EVENT[2:]))
        for kind in ("value", "data-value")[:2 if serializer == "avro" else 1]:
            set_compatibility(registry, f"{topic}-{kind}", level)
        event = (None, CHANGED[change], *EVENT[2:])
        if change in allowed:
            assert made.from_connect(topic, envelope(schema), event)
            continue
        with pytest.raises(RegistryRefusedError, match="not compatible") as caught:
            made.from_connect(topic, envelope(schema), event)
        assert caught.value.context["difference"], change
        assert made.from_connect(topic, envelope(OLD), (None, (3, 4), *EVENT[2:])), "earlier rows go on"


@pytest.mark.parametrize("kind", [JsonSchemaConverter, ProtobufConverter])
def test_registering_looking_up_and_the_latest(registry: RegistryServer, topic_prefix: str, kind: Any) -> None:
    with pytest.raises(RegistryRefusedError, match="not registered"):
        converter(kind, registry, auto_register_schemas="false").schema_id(topic_prefix, OLD)
    number = converter(kind, registry, normalize_schemas="true").schema_id(topic_prefix, OLD)
    for settings in ({}, {"use_latest_version": "true"}, {"use_schema_id": str(number)}):
        found = converter(kind, registry, auto_register_schemas="false", **settings)
        assert found.schema_id(topic_prefix, OLD) == number
    latest = converter(kind, registry, auto_register_schemas="false", use_latest_version="true")
    with pytest.raises(ConvertError, match=r"\bn is"):
        latest.schema_id(topic_prefix, CHANGES[OTHER])


def own(registry: RegistryServer, version: str = "v3") -> dict[str, str]:
    return {"apicurio.registry.url": f"http://{registry.host}:{registry.port}/apis/registry/{version}"}


def test_a_stock_consumer_reads_apicurios_avro_and_avro_within_cloud_events(registry: RegistryServer,
                                                                            topic_prefix: str) -> None:
    """By content ids, which are this registry's ids for Confluent's clients, too."""
    context = SerializationContext(topic_prefix, MessageField.VALUE)
    read = AvroDeserializer(SchemaRegistryClient({"url": registry.url, "timeout": 30}))
    made = ApicurioAvroConverter()
    made.configure({**own(registry), "apicurio.registry.auto-register": "true"}, False)
    assert read(made.from_connect(topic_prefix, ROW, VALUE), context) == {
        "id": 1, "small": 7, "name": None, "amount": Decimal("1.50"), "tags": ["a", "b"]}
    events = CloudEventsConverter()
    events.configure({"serializer.type": "avro", "data.serializer.type": "avro",
                      "avro.schema.registry.url": registry.url}, False)
    event: Any = read(events.from_connect(f"{topic_prefix}c", ENVELOPE, EVENT), context)
    assert (event["specversion"], event["type"]) == ("1.0", "io.debezium.connector.mariadb.DataChangeEvent")
    data: Any = read(event["data"], context)
    assert data["after"] == {"id": 1, "name": "a"}


@pytest.mark.parametrize(("use_id", "path"), [("contentId", "contentIds"), ("globalId", "globalIds")])
def test_an_id_in_a_header_leads_to_the_schema_of_the_bytes(registry: RegistryServer, topic_prefix: str, use_id: str,
                                                            path: str) -> None:
    made = ApicurioAvroConverter()
    made.configure({**own(registry), "apicurio.registry.auto-register": "true", "apicurio.registry.use-id": use_id,
                    "apicurio.registry.headers.enabled": "true"}, False)
    data = made.from_connect(topic_prefix, ROW, VALUE)
    headers = dict(made.headers_of(topic_prefix, ROW))
    number = int.from_bytes(headers[f"apicurio.value.{use_id}"], "big")
    with urllib.request.urlopen(f"{own(registry)['apicurio.registry.url']}/ids/{path}/{number}", timeout=30) as answer:
        schema = fastavro.parse_schema(json.load(answer))
    found: Any = fastavro.schemaless_reader(io.BytesIO(data or b""), schema)
    assert (found["id"], found["amount"], headers["apicurio.value.encoding"]) == (1, Decimal("1.50"), b"BINARY")


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_apicurios_own_interface(registry: RegistryServer, topic_prefix: str, version: str) -> None:
    settings = own(registry, version)
    topic = topic_prefix + version
    for kind in (ApicurioAvroConverter, ExtJsonConverter):
        looking, making, latest = kind(), kind(), kind()
        looking.configure(settings, False)
        making.configure({**settings, "apicurio.registry.auto-register": "true"}, False)
        latest.configure({**settings, "apicurio.registry.find-latest": "true"}, False)
        looking.check()
        with pytest.raises(RegistryRefusedError, match="not registered"):
            looking.from_connect(topic, OLD, (1, 2))
        framed = making.from_connect(topic, OLD, (1, 2))
        assert framed == latest.from_connect(topic, OLD, (1, 2)) == looking.from_connect(topic, OLD, (1, 2))
        assert making.from_connect(topic, CHANGES[ADDED], (1, 2, None)) != framed
        topic += "x"
    assert isinstance(json.loads(framed or b"")["schemaId"], int)
