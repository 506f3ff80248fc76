"""The worker's options, and the part of a connector's configuration that belongs to the framework.

Names and defaults are Kafka Connect's ("Worker configuration properties", "Source Connector Configs"); where a default
differs the option says so. `sink.*` are this service's own. Properties of Kafka clients stay under their Java names
here: what they mean to a client library is the sink's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cdc.core import regex
from cdc.core.connect_options import FRAMEWORK_OPTIONS
from cdc.core.errors import ConfigError
from cdc.core.options import Note, Option, OptionTable, Parsed, at_least, option, settings

SINKS = ("kafka", "stdout", "file")
FORMATS = ("json", "avro")
_CLIENTS = ("producer", "consumer", "admin")


def listeners(text: str) -> tuple[str, ...]:
    """`listeners`: comma list of http:// or https:// addresses. Port 0 picks a free one; no host means all."""
    items = tuple(part.strip() for part in text.split(",") if part.strip())
    for item in items:
        try:
            address = urlsplit(item)
            good = address.scheme.lower() in ("http", "https") and address.port is not None and address.path in ("", "/")
        except ValueError:
            good = False
        if not good:
            raise ValueError("http://host:port or https://host:port is wanted")
    return items


def client_properties(key: str) -> re.Pattern[str]:
    return re.compile(rf"{key}\.(.+)")


@settings
class WorkerConfig:
    """What a worker is told. `raw` is the whole map, for the settings that go by prefix."""

    raw: Mapping[str, str] = field(default_factory=dict, repr=False)
    bootstrap_servers: str | None = option(
        "bootstrap.servers", "LIST", default=None, importance="HIGH", convert=lambda text: text.strip() or None,
        doc="Kafka brokers, host:port,…; needed when sink.type is kafka.", group="Kafka",
    )
    client_id: str | None = option("client.id", default=None, doc="Part of the Kafka clients' ids.", group="Kafka")
    sink_type: str = option(
        "sink.type", default="kafka", importance="HIGH", one_of=SINKS, doc="Where events go.", group="Sink"
    )
    sink_file_path: str | None = option(
        "sink.file.path", default=None, doc="File, or directory for one file a topic, for sink.type=file.", group="Sink"
    )
    sink_file_format: str = option(
        "sink.file.format", default="json", one_of=FORMATS, group="Sink",
        doc="JSON lines, or Avro container files.",
    )
    key_converter: str = option(
        "key.converter", "CLASS", default="org.apache.kafka.connect.json.JsonConverter", importance="HIGH",
        doc="Converter of keys; settings under key.converter.*", group="Converters",
    )
    value_converter: str = option(
        "value.converter", "CLASS", default="org.apache.kafka.connect.json.JsonConverter", importance="HIGH",
        doc="Converter of values; settings under value.converter.*", group="Converters",
    )
    header_converter: str = option(
        "header.converter", "CLASS", default="org.apache.kafka.connect.storage.SimpleHeaderConverter", importance="LOW",
        doc="Converter of headers; settings under header.converter.*", group="Converters",
    )
    offset_storage_file_filename: str | None = option(
        "offset.storage.file.filename", default=None, importance="HIGH", doc="File that keeps the offsets.",
        group="Offsets",
    )
    offset_storage_topic: str | None = option(
        "offset.storage.topic", default=None, importance="HIGH", doc="Topic that keeps the offsets.", group="Offsets"
    )
    offset_storage_partitions: int = option(
        "offset.storage.partitions", "INT", default="25", importance="LOW", group="Offsets",
        doc="Its partitions, if it is created.",
    )
    offset_storage_replication_factor: int = option(
        "offset.storage.replication.factor", "SHORT", default="3", importance="LOW", group="Offsets",
        doc="Its replication factor, if it is created; -1 for the broker's.",
    )
    offset_flush_interval_ms: int = option(
        "offset.flush.interval.ms", "LONG", default="60000", importance="LOW", check=at_least(1), group="Offsets",
        doc="Time between commits of offsets.",
    )
    offset_flush_timeout_ms: int = option(
        "offset.flush.timeout.ms", "LONG", default="5000", importance="LOW", check=at_least(1), group="Offsets",
        doc="Limit for what is in flight at the last commit.",
    )
    task_shutdown_graceful_timeout_ms: int = option(
        "task.shutdown.graceful.timeout.ms", "LONG", default="5000", importance="LOW", check=at_least(0),
        doc="Limit for an orderly stop of all tasks.", group="Worker",
    )
    listeners: tuple[str, ...] = option(
        "listeners", "LIST", default="http://127.0.0.1:8083", importance="LOW", convert=listeners, group="REST",
        doc="Addresses of the REST interface and the metrics; port 0 picks one. Kafka Connect listens on all interfaces.",
    )
    rest_advertised_host_name: str | None = option(
        "rest.advertised.host.name", default=None, importance="LOW", doc="Host that others reach it by.", group="REST"
    )
    rest_advertised_port: int | None = option(
        "rest.advertised.port", "INT", default=None, importance="LOW", doc="Port that others reach it by.", group="REST"
    )
    topic_creation_enable: bool = option(
        "topic.creation.enable", "BOOLEAN", default="true", importance="LOW", group="Worker",
        doc="Let connectors' topic.creation.* keys create topics.",
    )
    connector_client_config_override_policy: str = option(
        "connector.client.config.override.policy", default="All", importance="MEDIUM",
        one_of=("All", "None", "Principal", "Allowlist"), group="Worker",
        doc="What connectors may set under producer.override.* and the like.",
    )
    connector_client_config_override_allowlist: tuple[str, ...] = option(
        "connector.client.config.override.allowlist", "LIST", default=None, doc="Keys that Allowlist lets through.",
        group="Worker",
    )
    log_level: str = option(
        "log.level", default="info", one_of=("debug", "info", "warning", "error"), doc="Least level logged.", group="Worker"
    )

    def prefixed(self, prefix: str) -> dict[str, str]:
        """The settings below *prefix* (which ends with a dot), prefix taken off."""
        return prefixed(self.raw, prefix)


@dataclass(frozen=True, slots=True)
class ConverterConfig:
    """Which converter serialises keys, values or headers, and its settings, prefix taken off."""

    class_name: str
    settings: Mapping[str, str] = field(repr=False)
    role: str = "value"
    """key, value or header."""

    @property
    def is_key(self) -> bool:
        return self.role == "key"


@dataclass(frozen=True, slots=True)
class TopicGroup:
    """Settings of new topics whose name fully matches one of `include` and none of `exclude`."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str] = field(default_factory=dict)
    include: tuple[re.Pattern[str], ...] = ()
    exclude: tuple[re.Pattern[str], ...] = ()

    def matches(self, topic: str) -> bool:
        if any(pattern.fullmatch(topic) for pattern in self.exclude):
            return False
        return self.name == "default" or any(pattern.fullmatch(topic) for pattern in self.include)


@dataclass(frozen=True, slots=True)
class TopicCreation:
    """How missing topics are created: the first group that matches, `default` last (KIP-158)."""

    groups: tuple[TopicGroup, ...]

    def group(self, topic: str) -> TopicGroup:
        return next(group for group in self.groups if group.matches(topic))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorConfig:
    """The framework's part of a connector's configuration, the worker's defaults filled in.

    `config` is the whole map as given, for the source. `producer`, `consumer` and `admin` are Java property names.
    `topic_creation` None leaves creation to the broker.
    """

    name: str
    connector_class: str
    tasks_max: int
    key_converter: ConverterConfig
    value_converter: ConverterConfig
    header_converter: ConverterConfig
    topic_creation: TopicCreation | None
    producer: Mapping[str, str] = field(repr=False)
    consumer: Mapping[str, str] = field(repr=False)
    admin: Mapping[str, str] = field(repr=False)
    errors_retry_timeout: int
    errors_retry_delay_max_ms: int
    errors_tolerance: str
    errors_log_enable: bool
    errors_log_include_messages: bool
    config: Mapping[str, str] = field(repr=False)


def prefixed(config: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The entries below *prefix* (which ends with a dot), prefix taken off."""
    return {key.removeprefix(prefix): text for key, text in config.items() if key.startswith(prefix)}
