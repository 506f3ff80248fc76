"""The worker's options, and the part of a connector's configuration that belongs to the framework.

Names and defaults are Kafka Connect's ("Worker configuration properties", "Source Connector Configs"); where a default
differs the option says so. `sink.*` are this service's own. Properties of Kafka clients stay under their Java names
here: what they mean to a client library is the sink's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from cdc.core.connect_options import FRAMEWORK_OPTIONS
from cdc.core.options import Effect, Note, Option, OptionTable, Parsed, at_least, option, settings

_CLIENT_KEY = re.compile(
    r"(security\.protocol|sasl\..+|ssl\..+|client\.(id|dns\.lookup)|request\.timeout\.ms|retry\.backoff(\.max)?\.ms"
    r"|reconnect\.backoff(\.max)?\.ms|metadata\.(max\.age\.ms|recovery\..+)|connections\.max\.idle\.ms"
    r"|(send|receive)\.buffer\.bytes|socket\.connection\.setup\.timeout(\.max)?\.ms)"
)
SINKS = ("kafka", "stdout", "file")
FORMATS = ("json", "avro")
_CLIENTS = ("producer", "consumer", "admin")


def listeners(text: str) -> tuple[str, ...]:
    """`listeners`: comma list of http:// or https:// addresses. Port 0 picks a free one; no host means all."""
    items = tuple(part.strip() for part in text.split(",") if part.strip())
    for item in items:
        try:
            address = urlsplit(item)
            good = address.scheme.lower() in ("http", "https") and address.port is not None and len(address.path) < 2
        except ValueError:
            good = False
        if not good:
            raise ValueError("http://host:port or https://host:port is wanted")
    return items


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
        doc="Addresses of REST interface and metrics; port 0 picks one. Kafka Connect listens on all interfaces.",
    )
    rest_advertised_host_name: str | None = option(
        "rest.advertised.host.name", default=None, importance="LOW", doc="Host that others reach it by.", group="REST",
        effect="inert", why="no other worker asks",
    )
    rest_advertised_port: int | None = option(
        "rest.advertised.port", "INT", default=None, importance="LOW", doc="Port that others use.", group="REST",
        effect="inert", why="no other worker asks",
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

    def prefixed(self, prefix: str) -> dict[str, str]:
        """The settings below *prefix* (which ends with a dot), prefix taken off."""
        return prefixed(self.raw, prefix)

    @property
    def offset_store(self) -> Literal["file", "kafka"]:
        """Where offsets are kept. A file goes before a topic, as in Kafka Connect's standalone mode."""
        return "file" if self.offset_storage_file_filename else "kafka"

    def client(self, role: str = "") -> dict[str, str]:
        """A Kafka client's properties by Java's names: for *role* producer, consumer or admin those of the
        connectors' clients; without a role those of the worker's own, which are written without prefix."""
        servers = {"bootstrap.servers": self.bootstrap_servers} if self.bootstrap_servers else {}
        if role:
            return {**servers, **self.prefixed(f"{role}.")}
        return {key: text for key, text in self.raw.items() if _CLIENT_KEY.fullmatch(key)} | servers


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorConfig:
    """The framework's part of a connector's configuration, the worker's defaults filled in.

    `config` is the whole map as given, for the source. `producer`, `consumer` and `admin` are the properties of those
    clients by Java's names, the worker's with the connector's overrides over them. `topic_creation` are the
    `topic.creation.*` keys; without any, missing topics are the broker's business.
    """

    name: str
    connector_class: str
    tasks_max: int
    key_converter: ConverterConfig
    value_converter: ConverterConfig
    header_converter: ConverterConfig
    topic_creation: Mapping[str, str]
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


def _family(key: str, pattern: str, doc: str, effect: Effect = "normal", why: str = "") -> Option:
    return Option(key=key, pattern=re.compile(pattern), doc=doc, effect=effect, why=why, importance="LOW")


_TOPIC_SETTING = (
    r"cleanup\.policy|compression\..+|delete\.retention\.ms|file\.delete\.delay\.ms|flush\..+|index\.interval\.bytes"
    r"|(leader|follower)\..+|(local|remote)\..+|max\.(compaction\.lag\.ms|message\.bytes)|message\..+|preallocate"
    r"|min\.(cleanable\.dirty\.ratio|compaction\.lag\.ms|insync\.replicas)|retention\.(bytes|ms)|segment\..+"
    r"|unclean\.leader\.election\.enable"
)
"""Kafka documentation, "Topic configs"."""
_DISTRIBUTED = "it is for workers that share their connectors"
_JVM = "it only means something to a JVM"

WORKER_OPTIONS = OptionTable.of(
    WorkerConfig,
    _family("key.converter.*", r"key\.converter\..+", "Settings of the key converter."),
    _family("value.converter.*", r"value\.converter\..+", "Settings of the value converter."),
    _family("header.converter.*", r"header\.converter\..+", "Settings of the header converter."),
    _family("producer.*", r"producer\.(?!override\.).+", "Settings of the connectors' producers."),
    _family("consumer.*", r"consumer\.(?!override\.).+", "Settings of the connectors' consumers."),
    _family("admin.*", r"admin\.(?!override\.|listeners).+", "Settings of the connectors' admin clients."),
    _family("security.protocol, sasl.*, ssl.*, …", _CLIENT_KEY.pattern, "Settings of the worker's own clients."),
    _family("config.providers", r"config\.providers(\..+)?", "Where references such as ${file:path:key} lead."),
    _family("offset.storage.<topic setting>", rf"offset\.storage\.({_TOPIC_SETTING})",
            "Settings of the offset topic, if it is created."),
    _family("config.storage.*", r"config\.storage\..+", "The topic for configurations.", "inert", _DISTRIBUTED),
    _family("status.storage.*", r"status\.storage\..+", "The topic for states.", "inert", _DISTRIBUTED),
    _family(
        "group.id, …",
        r"group\.id|exactly\.once\.source\.support|(session|rebalance)\.timeout\.ms|heartbeat\.interval\.ms"
        r"|scheduled\.rebalance\.max\.delay\.ms|connect\.protocol|worker\.(sync\.timeout|unsync\.backoff)\.ms"
        r"|inter\.worker\..+|internal\.topics\.automatic\.creation\.enable",
        "Settings of the workers' group.", "inert", _DISTRIBUTED,
    ),
    _family(
        "plugin.path, …", r"plugin\.(path|discovery)|metric\.reporters|metrics\..+|internal\.(key|value)\.converter.*",
        "Settings of the Java worker.", "inert", _JVM,
    ),
    _family("listeners.https.*", r"listeners\.https\..+|admin\.listeners(\..+)?|rest\.advertised\.listener",
            "More of the REST interface.", "later", "the REST interface has one plain address"),
    _family("access.control.*", r"access\.control\..+|response\.http\.headers\.config|rest\.extension\.classes",
            "CORS, headers and extensions of the REST interface.", "later", "the REST interface has none"),
    _family("topic.tracking.*", r"topic\.tracking\..+", "Which topics a connector used.", "later"),
)

CONNECTOR_OPTIONS = OptionTable(FRAMEWORK_OPTIONS)


def read_worker(raw: Mapping[str, str], *, strict: bool = False) -> Parsed:
    """Convert and check a worker's configuration: values by attribute of `WorkerConfig`, problems and notes."""
    parsed = WORKER_OPTIONS.parse(raw, strict=strict)
    values = parsed.values
    if values["sink_type"] == "kafka" and not values["bootstrap_servers"]:
        parsed.problem("bootstrap.servers", "this key is required.", "Or set sink.type to stdout or file.")
    if values["sink_type"] == "file" and not values["sink_file_path"]:
        parsed.problem("sink.file.path", "this key is required, because sink.type is file.")
    if not values["offset_storage_file_filename"]:
        if not values["offset_storage_topic"]:
            parsed.problem("offset.storage.file.filename", "this key, or offset.storage.topic, is required.",
                           "Without it a restart would not know where to go on.")
        elif not values["bootstrap_servers"]:
            parsed.problem("bootstrap.servers", "this key is required for offset.storage.topic.")
    elif values["offset_storage_topic"]:
        parsed.note("offset.storage.topic", "is not used, because offset.storage.file.filename is set.")
    return parsed


def parse_worker(raw: Mapping[str, str], *, strict: bool = False) -> tuple[WorkerConfig, tuple[Note, ...]]:
    """The worker's settings and what a person should know about them. Raises ConfigError with all problems."""
    parsed = read_worker(raw, strict=strict)
    parsed.check("the worker's configuration")
    return WorkerConfig(raw=dict(raw), **parsed.values), tuple(parsed.notes)


def read_connector(config: Mapping[str, str], worker: WorkerConfig) -> Parsed:
    """Convert and check the framework's keys of a connector's configuration; the plugin's keys are left alone."""
    parsed = CONNECTOR_OPTIONS.parse(config, partial=True)
    if parsed.values["exactly_once_support"] == "required":
        parsed.problem("exactly.once.support", "delivery is at least once here.", "Leave it at requested.")
    _check_overrides(config, worker, parsed)
    for role in ("key", "value", "header"):
        prefix = f"{role}.converter"
        if prefix not in parsed.given and prefixed(config, f"{prefix}."):
            parsed.note(prefix, f"the settings under {prefix}.* are not used, because the connector does not name "
                                f"a converter of its own with {prefix}.")
    creation = prefixed(config, "topic.creation.")
    if creation and not worker.topic_creation_enable:
        parsed.note("topic.creation.*", "is not used, because the worker's topic.creation.enable is false.")
    groups = {"default", *(parsed.values["topic_creation_groups"] or ())}
    for key in creation:
        if "." in key and key.partition(".")[0] not in groups:
            parsed.note(f"topic.creation.{key}", "is not used, because topic.creation.groups has no such group.")
    return parsed


def parse_connector(config: Mapping[str, str], worker: WorkerConfig) -> tuple[ConnectorConfig, tuple[Note, ...]]:
    """The framework's part of *config* with *worker*'s defaults. Raises ConfigError with all problems."""
    parsed = read_connector(config, worker)
    parsed.check(f"connector {config['name']}" if config.get("name") else "the connector's configuration")
    values = parsed.values
    made = ConnectorConfig(
        name=values["name"],
        connector_class=values["connector_class"],
        tasks_max=values["tasks_max"],
        key_converter=_converter("key", config, worker),
        value_converter=_converter("value", config, worker),
        header_converter=_converter("header", config, worker),
        topic_creation=_topic_creation(config) if worker.topic_creation_enable else {},
        producer=worker.client("producer") | prefixed(config, "producer.override."),
        consumer=worker.client("consumer") | prefixed(config, "consumer.override."),
        admin=worker.client("admin") | prefixed(config, "admin.override."),
        errors_retry_timeout=values["errors_retry_timeout"],
        errors_retry_delay_max_ms=values["errors_retry_delay_max_ms"],
        errors_tolerance=values["errors_tolerance"],
        errors_log_enable=values["errors_log_enable"],
        errors_log_include_messages=values["errors_log_include_messages"],
        config=dict(config),
    )
    return made, tuple(parsed.notes)


def _converter(role: str, config: Mapping[str, str], worker: WorkerConfig) -> ConverterConfig:
    """The connector's own converter with the connector's settings, or the worker's with the worker's; never mixed."""
    key = f"{role}.converter"
    own = config.get(key, "").strip()
    name = own or {"key": worker.key_converter, "value": worker.value_converter}.get(role, worker.header_converter)
    settings = prefixed(config if own else worker.raw, f"{key}.")
    settings.pop("plugin.version", None)
    return ConverterConfig(name, settings, role)


def _topic_creation(config: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in config.items() if key.startswith("topic.creation.")}


_PRINCIPAL = frozenset({"security.protocol", "sasl.jaas.config", "sasl.mechanism"})


def _check_overrides(config: Mapping[str, str], worker: WorkerConfig, parsed: Parsed) -> None:
    """Hold `producer.override.*` and the like to the worker's policy (KIP-458)."""
    policy = worker.connector_client_config_override_policy
    allowed = {"None": frozenset[str](), "Principal": _PRINCIPAL}.get(
        policy, frozenset(worker.connector_client_config_override_allowlist))
    if policy == "All":
        return
    for key in config:
        match = re.fullmatch(r"(?:producer|consumer|admin)\.override\.(.+)", key)
        if match and match[1] not in allowed:
            parsed.problem(key, f"the worker's connector.client.config.override.policy is {policy}.", "Remove it.")
