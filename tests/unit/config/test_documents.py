"""Files of Strimzi and Debezium Server, and what they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.config.documents import Document, read_documents
from cdc.core.errors import ConfigError

CONNECTOR = """
apiVersion: kafka.strimzi.io/v1beta2
kind: KafkaConnector
metadata:
  name: shop
  labels: {strimzi.io/cluster: my-cluster}
spec:
  class: io.debezium.connector.postgresql.PostgresConnector
  tasksMax: 1
  autoRestart: {enabled: true}
  config:
    database.port: 5432
    database.password: ${secrets:shop/db:password}
    publication.autocreate.mode: filtered
    slot.drop.on.stop: off
"""
CLUSTER = """
apiVersion: kafka.strimzi.io/v1beta2
kind: KafkaConnect
metadata: {name: my-cluster}
spec:
  replicas: 1
  bootstrapServers: kafka:9092
  config:
    offset.storage.topic: offsets
    config.storage.replication.factor: -1
"""
KEYS = {"name": "shop", "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1",
        "database.port": "5432", "database.password": "${secrets:shop/db:password}",
        "publication.autocreate.mode": "filtered", "slot.drop.on.stop": "off"}


def documents(folder: Path, text: str, name: str = "a.yaml") -> list[Document]:
    (folder / name).write_text(text, encoding="utf-8")
    return read_documents(folder / name)


def test_a_connector_of_strimzi_is_a_connector(tmp_path: Path) -> None:
    assert documents(tmp_path, CONNECTOR) == [Document(KEYS, "connector")]


def test_a_file_of_strimzi_may_hold_a_worker_and_connectors(tmp_path: Path) -> None:
    found = documents(tmp_path, f"---\n{CLUSTER}\n---\n{CONNECTOR}\n---\n{CONNECTOR.replace('shop', 'crm')}---\n")
    assert [each.role for each in found] == ["worker", "connector", "connector"]
    assert found[0].config == {"bootstrap.servers": "kafka:9092", "offset.storage.topic": "offsets",
                               "config.storage.replication.factor": "-1"}
    assert found[2].config["name"] == "crm"


@pytest.mark.parametrize(("old", "new", "says"), [
    ("kind: KafkaConnector", "kind: KafkaTopic", "KafkaTopic shop is no connector"),
    ("tasksMax: 1", "pause: true", "its state is paused"), ("tasksMax: 1", "state: stopped", "its state is stopped"),
    ("tasksMax: 1", "tasks: 1", "tasks cannot be read"), ("spec:", "specs:", "has no spec"),
    ("database.port: 5432", "name: crm", "another name"), ("database.port: 5432", "database.port:", "has no value"),
])
def test_what_is_not_understood_is_said(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        documents(tmp_path, CONNECTOR.replace(old, new))


def test_a_worker_of_strimzi_with_credentials_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"authentication, tls cannot be read.*sasl"):
        documents(tmp_path, f"{CLUSTER}  tls: {{}}\n  authentication: {{type: plain}}\n")


def test_several_documents_that_are_no_resources_are_an_error(tmp_path: Path) -> None:
    for text in ("a: b\n---\nc: d\n", f"a: b\n---\n{CONNECTOR}"):
        with pytest.raises(ConfigError, match="documents"):
            documents(tmp_path, text)
    assert documents(tmp_path, "# nothing\n") == [Document({})]


SERVER = """
debezium.sink.type=kafka
debezium.sink.kafka.producer.bootstrap.servers=kafka:9092
debezium.sink.kafka.producer.key.serializer=org.apache.kafka.common.serialization.StringSerializer
debezium.sink.kafka.producer.linger.ms=5
debezium.source.connector.class=io.debezium.connector.mysql.MySqlConnector
debezium.source.offset.storage.file.filename=data/offsets.dat
debezium.source.offset.flush.interval.ms=0
debezium.source.database.password=${DB_PASSWORD}
debezium.source.database.hostname=${NO_SUCH_HOST:localhost}
debezium.source.topic.prefix=${prefix}
debezium.source.value.converter.decimal.format=NUMERIC
debezium.transforms=route
debezium.transforms.route.replacement=a.\\\\${routedByValue}
debezium.format.value=avro
debezium.format.value.schema.registry.url=http://r:8081
debezium.format.schemas.enable=false
prefix=srv
quarkus.log.level=INFO
"""
JSON = "org.apache.kafka.connect.json.JsonConverter"


def test_a_file_of_debezium_server_is_a_worker_and_a_connector(tmp_path: Path) -> None:
    worker, connector = documents(tmp_path, SERVER, "application.properties")
    assert (worker.role, connector.role) == ("worker", "connector")
    assert worker.config == {
        "sink.type": "kafka", "bootstrap.servers": "kafka:9092", "producer.linger.ms": "5", "prefix": "srv",
        "offset.storage.file.filename": "data/offsets.dat", "offset.flush.interval.ms": "0",
        "quarkus.log.level": "INFO"}
    assert connector.config == {
        "name": "kafka", "key.converter": JSON, "value.converter": "io.confluent.connect.avro.AvroConverter",
        "header.converter": JSON, "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "database.password": "${env:DB_PASSWORD}", "database.hostname": "localhost", "topic.prefix": "srv",
        "value.converter.decimal.format": "NUMERIC", "transforms": "route",
        "transforms.route.replacement": "a.${routedByValue}", "value.converter.schema.registry.url": "http://r:8081",
        **{f"{role}.converter.schemas.enable": "false" for role in ("key", "value", "header")}}


@pytest.mark.parametrize("variable", ["DEBEZIUM_SOURCE_TABLE_INCLUDE_LIST", "debezium.format.key"])
def test_a_variable_that_debezium_server_puts_over_its_file_is_not_ignored(
        tmp_path: Path, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"SERVICE_HOST": "10.0.0.1", "SERVICE_PORT": "8080", "PORT": "tcp://10.0.0.1:8080",
                       "PORT_8080_TCP_ADDR": "10.0.0.1"}.items():  # of a Service called debezium-source
        monkeypatch.setenv(f"DEBEZIUM_SOURCE_{name}", text)
    documents(tmp_path, SERVER, "application.properties")
    monkeypatch.setenv(variable, "x")
    with pytest.raises(ConfigError, match=f"the variable {variable} over this file"):
        documents(tmp_path, SERVER, "application.properties")
    documents(tmp_path, f"{SERVER}debezium.source.a=${{{variable}}}\n", "application.properties")


@pytest.mark.parametrize(("line", "says"), [
    ("debezium.source.offset.storage=io.debezium.storage.redis.offset.RedisOffsetBackingStore", "no offset store"),
    ("debezium.format.key=xml", "no format xml"), ("debezium.source.a=${nobody}", "nothing is called nobody"),
    ("debezium.source.database.password=${A:${B}}", "within the expression A"),
])
def test_what_debezium_server_has_and_we_do_not_is_said(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        documents(tmp_path, f"{SERVER}{line}\n", "application.properties")
    with pytest.raises(ConfigError, match=r"debezium\.sink\.type is missing"):
        documents(tmp_path, "debezium.source.a=b", "b.properties")
