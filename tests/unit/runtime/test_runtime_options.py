"""The worker's options and the framework's part of a connector's."""

from __future__ import annotations

import pytest

from cdc import plugins
from cdc.assembly import parse_worker, read_worker
from cdc.core.errors import ConfigError
from cdc.runtime.options import WorkerConfig, parse_connector, read_connector

LEAST = {"bootstrap.servers": "b:9092", "offset.storage.file.filename": "/tmp/o"}
CONNECTOR = {"name": "shop", "connector.class": "PostgresConnector"}
AVRO = "io.confluent.connect.avro.AvroConverter"


def worker(**more: str) -> WorkerConfig:
    return parse_worker(LEAST | {key.replace("__", "."): text for key, text in more.items()})[0]


def problems(config: dict[str, str]) -> list[str]:
    return [problem.option for problem in read_worker(config).problems]


STANDALONE = {
    "bootstrap.servers": "localhost:9092", "key.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "true",
    "value.converter.schemas.enable": "true", "offset.storage.file.filename": "/tmp/connect.offsets",
    "offset.flush.interval.ms": "10000", "plugin.path": "/usr/share/java",
}
DISTRIBUTED = {
    "bootstrap.servers": "k1:9092,k2:9092", "group.id": "connect-cluster",
    "key.converter": AVRO, "value.converter": AVRO,
    "key.converter.schema.registry.url": "http://r:8081", "value.converter.schema.registry.url": "http://r:8081",
    "offset.storage.topic": "connect-offsets", "offset.storage.replication.factor": "1",
    "offset.storage.cleanup.policy": "compact", "config.storage.topic": "connect-configs",
    "status.storage.topic": "connect-status", "status.storage.partitions": "5", "rest.advertised.host.name": "c1",
    "security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.jaas.config": "geheim", "producer.acks": "all",
    "consumer.max.poll.records": "10", "config.providers": "file", "session.timeout.ms": "10000",
    "config.providers.file.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
    "exactly.once.source.support": "enabled", "connector.client.config.override.policy": "All",
    "listeners": "http://:8083", "internal.key.converter": "org.apache.kafka.connect.json.JsonConverter",
    "internal.key.converter.schemas.enable": "false",
}


@pytest.mark.parametrize("config", [STANDALONE, DISTRIBUTED])
def test_kafka_connects_worker_files_hold_no_key_that_is_unknown(config: dict[str, str]) -> None:
    parse_worker(config, strict=True)


def test_the_least_worker_has_the_documented_defaults() -> None:
    config = worker()
    assert config.listeners == ("http://127.0.0.1:8083",)
    assert (config.sink_type, config.offset_flush_interval_ms) == ("kafka", 60_000)
    assert [each.class_name for each in plugins.offset_stores(config.raw)] == ["file"]


def test_listeners_are_addresses() -> None:
    assert worker(listeners="http://:0, https://[::1]:8443").listeners == ("http://:0", "https://[::1]:8443")


@pytest.mark.parametrize("text", ["8083", "http://host", "ftp://h:1", "http://h:x", "http://h:1/path", "http://h:99999"])
def test_other_listeners_are_refused(text: str) -> None:
    assert problems(LEAST | {"listeners": text}) == ["listeners"]


def test_what_the_sink_and_the_store_need_is_required() -> None:
    assert problems({}) == ["bootstrap.servers", "offset.storage.file.filename"]
    assert problems({"sink.type": "stdout", "offset.storage.file.filename": "x"}) == []
    assert problems({"sink.type": "file", "offset.storage.file.filename": "x"}) == ["sink.file.path"]
    assert problems({"sink.type": "stdout", "offset.storage.topic": "x"}) == ["bootstrap.servers"]


def test_offsets_are_in_the_topic_when_there_is_no_file() -> None:
    config, _ = parse_worker({"bootstrap.servers": "b", "offset.storage.topic": "x"})
    assert [each.class_name for each in plugins.offset_stores(config.raw)] == ["kafka"]


def test_a_misspelt_worker_key_is_told_the_nearest_known_one() -> None:
    (note,) = parse_worker(LEAST | {"offset.storage.file.filenam": "x"})[1]
    assert "offset.storage.file.filename" in note.text
    with pytest.raises(ConfigError, match=r"offset\.storage\.file\.filename"):
        parse_worker(LEAST | {"offset.storage.file.filenam": "x"}, strict=True)


def test_clients_inherit_the_brokers_only() -> None:
    config, _ = parse_worker(DISTRIBUTED)
    assert config.client("producer") == {"bootstrap.servers": "k1:9092,k2:9092", "acks": "all"}
    own = config.client()
    assert own["security.protocol"] == "SASL_SSL"
    assert own["bootstrap.servers"] == "k1:9092,k2:9092"
    assert "group.id" not in own


def test_secrets_are_in_no_repr() -> None:
    config, _ = parse_worker(DISTRIBUTED)
    made, _ = parse_connector(CONNECTOR | {"producer.override.sasl.jaas.config": "geheim", "value.converter": AVRO,
                                           "value.converter.basic.auth.user.info": "geheim"}, config)
    assert "geheim" not in repr(config)
    assert "geheim" not in repr(made)


def test_a_connector_takes_the_workers_converters_with_their_settings() -> None:
    settings = worker(value__converter=AVRO, value__converter__schema__registry__url="http://r")
    made, _ = parse_connector(CONNECTOR, settings)
    assert made.value_converter.class_name == AVRO
    assert made.value_converter.settings == {"schema.registry.url": "http://r"}
    assert not made.value_converter.is_key
    assert made.key_converter.is_key


def test_a_converter_of_its_own_gets_none_of_the_workers_settings() -> None:
    settings = worker(value__converter=AVRO, value__converter__schema__registry__url="http://r")
    config = CONNECTOR | {"value.converter": AVRO, "value.converter.auto.register.schemas": "false"}
    made, _ = parse_connector(config, settings)
    assert made.value_converter.settings == {"auto.register.schemas": "false"}


def test_converter_settings_without_a_converter_are_noted() -> None:
    (note,) = read_connector(CONNECTOR | {"value.converter.schemas.enable": "false"}, worker()).notes
    assert note.option == "value.converter"


def test_overrides_go_over_the_workers_settings() -> None:
    made, _ = parse_connector(
        CONNECTOR | {"producer.override.linger.ms": "9", "producer.override.bootstrap.servers": "other:1"},
        worker(producer__linger__ms="5", producer__acks="1"))
    assert made.producer == {"bootstrap.servers": "other:1", "linger.ms": "9", "acks": "1"}


@pytest.mark.parametrize(("policy", "refused"), [
    ("All", []), ("None", ["producer.override.linger.ms", "producer.override.sasl.mechanism"]),
    ("principal", ["producer.override.linger.ms"]), ("Allowlist", ["producer.override.sasl.mechanism"]),
])
def test_the_override_policy_is_kept(policy: str, refused: list[str]) -> None:
    settings = worker(connector__client__config__override__policy=policy,
                      connector__client__config__override__allowlist="linger.ms")
    config = CONNECTOR | {"producer.override.linger.ms": "9", "producer.override.sasl.mechanism": "PLAIN"}
    assert [problem.option for problem in read_connector(config, settings).problems] == refused


def test_topic_creation_is_handed_over_unless_the_worker_forbids_it() -> None:
    config = CONNECTOR | {"topic.creation.default.partitions": "1", "topic.creation.x.partitions": "2"}
    made, notes = parse_connector(config, worker())
    assert made.topic_creation == {key: text for key, text in config.items() if key not in CONNECTOR}
    assert [note.option for note in notes] == ["topic.creation.x.partitions"]
    made, notes = parse_connector(config, worker(topic__creation__enable="false"))
    assert made.topic_creation == {}
    assert "topic.creation.*" in [note.option for note in notes]


def test_exactly_once_cannot_be_required() -> None:
    (problem,) = read_connector(CONNECTOR | {"exactly.once.support": "required"}, worker()).problems
    assert problem.option == "exactly.once.support"


def test_a_connector_needs_name_and_class() -> None:
    with pytest.raises(ConfigError, match=r"(?s)name.*connector\.class"):
        parse_connector({}, worker())


def test_the_plugins_own_keys_are_left_alone() -> None:
    assert read_connector(CONNECTOR | {"slot.nam": "x"}, worker()).notes == []


def test_every_worker_option_has_a_text() -> None:
    assert [each.key for each in plugins.worker_options().options if not each.doc] == []


def test_the_home_of_nobody_is_an_error_and_not_a_crash() -> None:
    assert problems({**LEAST, "cdc.rest.allowed.paths": "~nobody-of-this-name/x"}) == ["cdc.rest.allowed.paths"]
