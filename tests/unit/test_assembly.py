"""Sinks and offset stores are chosen by a worker's configuration, and build themselves."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc import assembly
from cdc.config.secrets import mask
from cdc.core.errors import ConfigError
from cdc.core.interfaces import PrefixedAvro
from cdc.runtime.options import ConnectorConfig, ConverterConfig, WorkerConfig, parse_connector
from cdc.runtime.shared_store import SharedStore
from cdc.sinks.file import FileSink
from cdc.sinks.kafka import KafkaSink
from cdc.sinks.stdout import StdoutSink
from cdc.stores.file_offsets import FileOffsetStore
from cdc.stores.kafka_offsets import KafkaOffsetStore

AVRO = {"value.converter": "avro", "value.converter.schema.registry.url": "mock://r"}
CONNECTOR = {"name": "shop", "connector.class": "postgres"}


def worker(**more: str) -> WorkerConfig:
    raw = {"offset.storage.file.filename": "o", **{key.replace("__", "."): text for key, text in more.items()}}
    return assembly.parse_worker(raw, strict=True)[0]


def connector(settings: WorkerConfig, **more: str) -> ConnectorConfig:
    return parse_connector(CONNECTOR | {key.replace("__", "."): text for key, text in more.items()}, settings)[0]


def converter(framework: ConnectorConfig) -> Any:
    return assembly.converter(framework.value_converter, threading.Event())


BUILT = """
import sys, threading
from cdc import assembly
from cdc.config.providers import Providers
worker = {"bootstrap.servers": "h:1", "offset.storage.file.filename": sys.argv[1], **{
    f"{role}.converter{key}": text for role in ("key", "value")
    for key, text in (("", "io.confluent.connect.avro.AvroConverter"), (".schema.registry.url", "http://h:1"))}}
connector = {"name": "shop", "connector.class": sys.argv[2], "topic.prefix": "p", "database.hostname": "h",
             "database.user": "u", "database.password": "p", "table.include.list": "a.orders,a.item_.*",
             **({"database.dbname": "d"} if sys.argv[2] == "postgres" else {"database.server.id": "1"})}
settings, _ = assembly.parse_worker(worker)
assembly.assemble(settings, [connector], Providers.of(worker, lambda *_: {}), stop=threading.Event())
"""
"""What `cdc run` does before it connects to anything."""


def built(source: str, folder: Path, question: str) -> list[str]:
    """What *question* prints in a process that has built a connector."""
    done = subprocess.run([sys.executable, "-c", f"{BUILT}\n{question}", str(folder / "offsets"), source],
                          capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("source", ["postgres", "mysql"])
def test_connectors_are_built_without_modules_that_can_wait(source: str, tmp_path: Path) -> None:
    """Those of the REST interface take longer to import than a task to connect; the others only few need."""
    others = {"postgres": {"pymysql", "cdc.sources.mysql", "cdc.codecs.mysql"}, "mysql": {
        "psycopg", "cdc.sources.postgres", "cdc.codecs.postgres", "tempfile", "importlib.metadata"}}[source]
    heavy = {"starlette", "uvicorn", "prometheus_client", "anyio", "h11", "fastavro", "yaml", "regex", "lz4", "msgspec",
             "confluent_kafka.admin", "confluent_kafka.schema_registry", "cdc.permitted", "cdc.sinks.file",
             "cdc.converters.json", "cdc.kafka.signals", "cdc.demo", "cdc.operate", "cdc.transforms.expressions",
             "cdc.sources.query", "cdc.sources.datagen", *others}
    assert built(source, tmp_path, f"print(*({heavy!r} & set(sys.modules)))") == []


@pytest.mark.parametrize(("source", "most"), [("postgres", 280), ("mysql", 305)])
def test_connectors_are_built_with_few_of_our_modules(source: str, most: int, tmp_path: Path) -> None:
    """Each one takes a quarter of a millisecond at least."""
    count, = built(source, tmp_path, "print(sum(name.startswith('cdc') for name in sys.modules))")
    assert int(count) <= most


@pytest.mark.parametrize("source", ["postgres", "mysql"])
def test_only_classes_of_many_objects_are_dataclasses_of_the_standard_library(source: str, tmp_path: Path) -> None:
    """Those take a millisecond each to make: `cdc.core.dataclass`."""
    found = built(source, tmp_path, """
for module in list(sys.modules.values()):
    name = getattr(module, "__name__", "")  # Cython's stand-in for its own modules has none
    for made in list(vars(module).values()) if name.startswith("cdc") else ():
        if isinstance(made, type) and made.__module__ == name and "__dataclass_fields__" in vars(made):
            if getattr(made.__init__, "__code__", None) and made.__init__.__code__.co_filename == "<string>":
                print(made.__name__)
""")
    assert set(found) <= {"Field", "Schema", "TableId"}


@pytest.mark.parametrize(("keys", "made"), [
    ({"sink.type": "kafka", "bootstrap.servers": "h:1"}, KafkaSink), ({"sink.type": "stdout"}, StdoutSink),
    ({"sink.type": "File", "sink.file.path": "f"}, FileSink),
])
def test_the_sink_type_chooses_the_sink(keys: dict[str, str], made: type) -> None:
    settings = worker(**keys)
    framework = connector(settings)
    assert type(assembly.sink(settings, framework, converter(framework))) is made


@pytest.mark.parametrize(("keys", "made"), [
    ({"offset.storage.file.filename": "o"}, FileOffsetStore),
    ({"offset.storage.topic": "t", "bootstrap.servers": "h:1"}, KafkaOffsetStore),
    ({"offset.storage.file.filename": "o", "offset.storage.topic": "t"}, FileOffsetStore),
])
def test_the_given_keys_choose_the_offset_store(keys: dict[str, str], made: type) -> None:
    settings, _ = assembly.parse_worker({"sink.type": "stdout"} | keys)
    assert type(assembly.offset_store(settings)) is made


def test_a_topic_that_is_not_used_is_noted() -> None:
    notes = assembly.parse_worker({"sink.type": "stdout", "offset.storage.file.filename": "o",
                                   "offset.storage.topic": "t"})[1]
    assert [(note.option, note.text) for note in notes] == [
        ("offset.storage.topic", "is not used, because offset.storage.file.filename is set.")]


def test_an_unknown_sink_is_told_the_list() -> None:
    with pytest.raises(ConfigError, match="allowed: kafka, stdout, file") as caught:
        worker(sink__type="kafak")
    assert caught.value.option == "sink.type"


def test_a_setting_of_a_sink_that_is_not_used_is_checked_too() -> None:
    with pytest.raises(ConfigError, match="allowed: json, avro"):
        worker(sink__type="stdout", sink__file__format="xml")


def test_avro_files_need_the_converter_that_knows_the_schemas(tmp_path: Path) -> None:
    settings = worker(sink__type="file", sink__file__path=str(tmp_path), sink__file__format="avro")
    json, avro = connector(settings), connector(settings, **AVRO)
    with pytest.raises(ConfigError) as caught:
        assembly.sink(settings, json, converter(json))
    assert caught.value.option == "sink.file.format"
    assert isinstance(assembly.sink(settings, avro, converter(avro)), FileSink)


def test_a_connector_without_brokers_is_told_the_other_sinks() -> None:
    settings = worker(sink__type="kafka", bootstrap__servers="h:1")
    framework = connector(settings, producer__override__bootstrap__servers="")
    with pytest.raises(ConfigError, match=r"or choose sink\.type=stdout or file") as caught:
        assembly.sink(settings, framework, converter(framework))
    assert caught.value.option == "bootstrap.servers"


def test_settings_of_the_offset_topic_are_those_below_its_prefix() -> None:
    settings = worker(sink__type="stdout", bootstrap__servers="h:1", offset__storage__file__filename="",
                      offset__storage__topic="t", offset__storage__partitions="3",
                      offset__storage__segment__bytes="1000")
    store: Any = assembly.offset_store(settings)
    assert (store._topic, store._partitions, store._topic_config) == ("t", 3, {"segment.bytes": "1000"})


@pytest.mark.parametrize(("name", "prefixed"), [("avro", True), ("json", False), ("string", False)])
def test_converters_with_a_prefix_are_told_by_protocol(name: str, prefixed: bool) -> None:
    wanted = ConverterConfig(name, {"schema.registry.url": "mock://r"} if prefixed else {})
    assert isinstance(assembly.converter(wanted, threading.Event()), PrefixedAvro) is prefixed


def test_what_is_shown_of_a_connector_holds_no_secret(tmp_path: Path) -> None:
    settings = worker(sink__type="stdout")
    raw = CONNECTOR | {
        "connector.class": "postgres", "topic.prefix": "p", "database.hostname": "h", "database.user": "u",
        "database.dbname": "d", "database.password": "geheim", "heartbeat.action.query": "SELECT 'geheim'",
        "heartbeat.interval.ms": "1000", "producer.override.ssl.key.pem": "geheim", "http.proxy": "http://u:geheim/x@h"}
    with capture_logs() as told:
        made = assembly.connector(settings, raw, raw, SharedStore(FileOffsetStore(tmp_path / "offsets")))
    assert "geheim" not in str(mask(made.config))
    assert mask(made.config)["topic.prefix"] == "p"
    assert "database_not_verified" in [each["event"] for each in told]
    assert "geheim" not in str(told)
