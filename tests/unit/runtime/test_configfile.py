"""Which configuration file, and which key, belongs to the worker or to a connector."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from cdc import plugins
from cdc.core.errors import ConfigError
from cdc.runtime import configfile

OPTIONS = plugins.worker_options()
load = partial(configfile.load, worker_options=OPTIONS)
load_raw = partial(configfile.load_raw, worker_options=OPTIONS)
split = partial(configfile.split, worker_options=OPTIONS)

WORKER = {
    "bootstrap.servers": "localhost:9092", "offset.storage.file.filename": "/tmp/offsets", "producer.linger.ms": "5",
}
CONNECTOR = {"name": "shop", "connector.class": "PostgresConnector", "topic.prefix": "srv"}


def properties(values: dict[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items())


def write(path: Path, values: dict[str, str]) -> Path:
    path.write_text(json.dumps(values) if path.suffix == ".json" else properties(values), encoding="utf-8")
    return path


def test_the_first_file_is_the_workers_and_others_are_connectors(tmp_path: Path) -> None:
    files = [write(tmp_path / "w.properties", WORKER), write(tmp_path / "a.json", CONNECTOR),
             write(tmp_path / "b.properties", CONNECTOR | {"name": "other"})]
    assert load(files) == (WORKER, [CONNECTOR, CONNECTOR | {"name": "other"}])


def test_one_file_may_hold_both(tmp_path: Path) -> None:
    assert load([write(tmp_path / "all.properties", WORKER | CONNECTOR)]) == (WORKER, [CONNECTOR])


def test_a_worker_alone_has_no_connectors(tmp_path: Path) -> None:
    assert load([write(tmp_path / "w.properties", WORKER)]) == (WORKER, [])


def test_a_connector_without_name_is_an_error(tmp_path: Path) -> None:
    files = [write(tmp_path / "w.properties", WORKER), write(tmp_path / "a.json", {"connector.class": "x"})]
    with pytest.raises(ConfigError, match=r"a\.json: the connector has no name"):
        load(files)


def test_two_connectors_of_one_name_are_an_error(tmp_path: Path) -> None:
    files = [write(tmp_path / "w.properties", WORKER)]
    files += [write(tmp_path / name, CONNECTOR) for name in ("a.json", "b.json")]
    with pytest.raises(ConfigError, match=r"b\.json: the connector shop"):
        load(files)


def test_no_file_is_an_error() -> None:
    with pytest.raises(ConfigError, match="No configuration file"):
        load([])


def test_keys_of_both_kinds_go_where_they_mean_something() -> None:
    converters = {"value.converter": "avro", "value.converter.schema.registry.url": "http://r"}
    connector = CONNECTOR | {"heartbeat.interval.ms": "5", "topic.creation.default.partitions": "1", "slot.nam": "x",
                             "producer.override.acks": "1", "errors.tolerance": "all", "database.hostname": "h"}
    worker = WORKER | {"listeners": "http://:0", "sink.type": "stdout", "topic.creation.enable": "true",
                       "offset.flush.interval.ms": "1", "config.providers": "env", "ssl.truststore.location": "x"}
    assert split(converters | connector | worker) == (worker | converters, connector | converters)


def test_raw_configurations_keep_their_references(tmp_path: Path) -> None:
    files = [write(tmp_path / "w.properties", WORKER), write(tmp_path / "a.json", CONNECTOR | {"p": "${env:X}"})]
    assert load_raw(files)[1][0]["p"] == "${env:X}"


def test_files_of_strimzi_and_debezium_server_say_themselves_what_they_hold(tmp_path: Path) -> None:
    strimzi = tmp_path / "shop.yaml"
    strimzi.write_text("apiVersion: kafka.strimzi.io/v1\nkind: KafkaConnector\nmetadata: {name: shop}\n"
                       "spec: {class: PostgresConnector, config: {topic.prefix: srv}}\n")
    assert load([strimzi]) == ({}, [CONNECTOR])
    assert load([write(tmp_path / "w.properties", WORKER), strimzi]) == (WORKER, [CONNECTOR])
    server = write(tmp_path / "application.properties", {
        "debezium.sink.type": "kafka", "debezium.source.connector.class": "PostgresConnector"})
    worker, (connector,) = load([server])
    assert (worker, connector["name"]) == ({"sink.type": "kafka"}, "kafka")
    with pytest.raises(ConfigError, match="second worker"):
        load([write(tmp_path / "w.properties", WORKER), server])
