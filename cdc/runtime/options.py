"""The worker's options, and the part of a connector's configuration that belongs to the framework.

Names and defaults are Kafka Connect's ("Worker configuration properties", "Source Connector Configs"); where a default
differs the option says so. `sink.*` are this service's own. Properties of Kafka clients stay under their Java names
here: what they mean to a client library is the sink's business. Sinks and offset stores declare their own keys;
`plugins.worker_options` has them all together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cdc.config.checks import at_least
from cdc.config.framework import FRAMEWORK_OPTIONS
from cdc.config.options import Effect, Option, option, settings
from cdc.config.table import Note, OptionTable, Parsed
from cdc.core.dataclass import dataclass
from cdc.core.interfaces import DeadLetters
from cdc.core.late_regex import late_regex
from cdc.metrics.names import MIRRORED, MOST_TABLES

_CLIENT_KEY = late_regex(
    r"(security\.protocol|sasl\..+|ssl\..+|client\.(id|dns\.lookup)|request\.timeout\.ms|retry\.backoff(\.max)?\.ms"
    r"|reconnect\.backoff(\.max)?\.ms|metadata\.(max\.age\.ms|recovery\..+)|connections\.max\.idle\.ms"
    r"|(send|receive)\.buffer\.bytes|socket\.connection\.setup\.timeout(\.max)?\.ms)"
)


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


def _folders(text: str) -> tuple[Path, ...]:
    try:
        return tuple(Path(part.strip()).expanduser().resolve() for part in text.split(",") if part.strip())
    except RuntimeError as exc:
        raise ValueError("it names the home of somebody who is unknown, or a loop of links") from exc


def _mirrored(text: str) -> tuple[str, ...]:
    items = tuple(part.strip() for part in text.split(",") if part.strip())
    if not set(items) <= set(MIRRORED):
        raise ValueError(f"items of {', '.join(MIRRORED)} are wanted")
    return items


@settings
class WorkerConfig:
    """What a worker is told. `raw` is the whole map, for the settings that go by prefix."""

    raw: Mapping[str, str] = field(default_factory=dict, repr=False)
    bootstrap_servers: str | None = option(
        "bootstrap.servers", "LIST", default=None, importance="HIGH", convert=lambda text: text.strip() or None,
        doc="Kafka brokers: host:port,host:port,…. Required if sink.type is kafka.", group="Kafka",
    )
    client_id: str | None = option("client.id", default=None, doc="Id of the worker's Kafka clients.", group="Kafka")
    sink_type: str = option(
        "sink.type", default="kafka", importance="HIGH", doc="Where the events go.", group="Sink"
    )
    key_converter: str = option(
        "key.converter", "CLASS", default="org.apache.kafka.connect.json.JsonConverter", importance="HIGH",
        doc="Class of the converter of keys; key.converter.* holds its settings.", group="Converters",
    )
    value_converter: str = option(
        "value.converter", "CLASS", default="org.apache.kafka.connect.json.JsonConverter", importance="HIGH",
        doc="Class of the converter of values; value.converter.* holds its settings.", group="Converters",
    )
    header_converter: str = option(
        "header.converter", "CLASS", default="org.apache.kafka.connect.storage.SimpleHeaderConverter", importance="LOW",
        doc="Class of the converter of headers; header.converter.* holds its settings.", group="Converters",
    )
    offset_flush_interval_ms: int = option(
        "offset.flush.interval.ms", "LONG", default="60000", importance="LOW", check=at_least(0), group="Offsets",
        doc="Time between commits of offsets; 0 commits as often as the store can.",
    )
    offset_flush_timeout_ms: int = option(
        "offset.flush.timeout.ms", "LONG", default="5000", importance="LOW", check=at_least(1), group="Offsets",
        doc="How long a stop waits for records in flight before the last commit of offsets.",
    )
    task_shutdown_graceful_timeout_ms: int = option(
        "task.shutdown.graceful.timeout.ms", "LONG", default="5000", importance="LOW", check=at_least(0),
        doc="How long a stop waits for all tasks.", group="Worker",
    )
    listeners: tuple[str, ...] = option(
        "listeners", "LIST", default="http://127.0.0.1:8083", importance="LOW", convert=listeners, group="REST",
        doc="Addresses of the REST interface and the metrics; port 0 takes a free port. Kafka Connect's default "
        "listens on all interfaces.",
    )
    rest_advertised_host_name: str | None = option(
        "rest.advertised.host.name", default=None, importance="LOW",
        doc="Host name under which other workers reach this one.", group="REST",
        effect="inert", why="there is no other worker",
    )
    rest_advertised_port: int | None = option(
        "rest.advertised.port", "INT", default=None, importance="LOW",
        doc="Port under which other workers reach this one.", group="REST",
        effect="inert", why="there is no other worker",
    )
    cdc_metrics_mirrored: tuple[str, ...] = option(
        "cdc.metrics.mirrored", "LIST", default=",".join(MIRRORED), importance="LOW", convert=_mirrored,
        group="Metrics",
        doc="Whose metric names /metrics has beside our own: debezium, debezium-lowercase (the same in small letters, "
        "as an exporter with lowercaseOutputName writes them), kafka-connect. Empty for none.",
    )
    cdc_metrics_tables: int = option(
        "cdc.metrics.tables", "INT", default=str(MOST_TABLES), importance="LOW", check=at_least(0), group="Metrics",
        doc="How many tables of a connector have metrics of their own; the others are counted together.",
    )
    topic_creation_enable: bool = option(
        "topic.creation.enable", "BOOLEAN", default="true", importance="LOW", group="Worker",
        doc="Whether topics are created as the connectors' topic.creation.* keys say.",
    )
    cdc_rest_users_file: str | None = option(
        "cdc.rest.users.file", default=None, group="REST",
        doc="File with lines name=password. Clients of the REST interface must then name a user (basic authentication)"
        " or a token. Probes (/healthz, /readyz) need neither.",
    )
    cdc_rest_tokens_file: str | None = option(
        "cdc.rest.tokens.file", default=None, group="REST",
        doc="File with one token a line, of 16 characters or more, for `Authorization: Bearer TOKEN`.",
    )
    cdc_rest_anonymous_writes: bool = option(
        "cdc.rest.anonymous.writes", "BOOLEAN", default="false", group="REST",
        doc="Let clients on other machines change connectors although they need not say who they are. Clients on this "
        "machine may always, unless there are users or tokens.",
    )
    access_control_allow_origin: tuple[str, ...] = option(
        "access.control.allow.origin", "LIST", default=None, group="REST", importance="LOW",
        doc="Origins of web pages that may use the REST interface (CORS); * in a name stands for anything.",
    )
    access_control_allow_methods: tuple[str, ...] = option(
        "access.control.allow.methods", "LIST", default=None, group="REST", importance="LOW",
        doc="Methods that they may use; GET, POST and HEAD by default.",
    )
    response_http_headers_config: str | None = option(
        "response.http.headers.config", default=None, group="REST", importance="LOW",
        doc="Headers for every answer: set NAME: VALUE or add NAME: VALUE, separated by commas.",
    )
    topic_tracking_enable: bool = option(
        "topic.tracking.enable", "BOOLEAN", default="true", group="REST", importance="LOW",
        doc="Whether /connectors/NAME/topics says which topics a connector has used.",
    )
    topic_tracking_allow_reset: bool = option(
        "topic.tracking.allow.reset", "BOOLEAN", default="true", group="REST", importance="LOW",
        doc="Whether clients may reset that.",
    )
    cdc_rest_allowed_paths: tuple[Path, ...] = option(
        "cdc.rest.allowed.paths", "LIST", default=None, importance="MEDIUM", convert=_folders, group="REST",
        doc="Folders below which connectors that are created over REST may name files: certificates, for example. "
        "Without it they may name none.",
    )
    connector_client_config_override_policy: str = option(
        "connector.client.config.override.policy", default="All", importance="MEDIUM",
        one_of=("All", "None", "Principal", "Allowlist"), group="Worker",
        doc="Which producer.override.*, consumer.override.* and admin.override.* keys connectors may set.",
    )
    connector_client_config_override_allowlist: tuple[str, ...] = option(
        "connector.client.config.override.allowlist", "LIST", default=None,
        doc="The keys that connectors may set under the policy Allowlist.",
        group="Worker",
    )

    def prefixed(self, prefix: str) -> dict[str, str]:
        """The settings below *prefix* (which ends with a dot), prefix taken off."""
        return prefixed(self.raw, prefix)

    @classmethod
    def of(cls, raw: Mapping[str, str], parsed: Parsed) -> WorkerConfig:
        """The settings of configuration *raw*, *parsed* without problems. *parsed* may hold more keys than ours."""
        own = {o.attribute: parsed.values[o.attribute] for o in WORKER_OPTIONS.options if o.pattern is None}
        return cls(raw=dict(raw), **own)

    def client(self, role: str = "") -> dict[str, str]:
        """A Kafka client's properties by Java's names: for *role* producer, consumer or admin those of the
        connectors' clients; without a role those of the worker's own, which are written without prefix."""
        servers = {"bootstrap.servers": self.bootstrap_servers} if self.bootstrap_servers else {}
        if role:
            return {**servers, **self.prefixed(f"{role}.")}
        return {key: text for key, text in self.raw.items() if _CLIENT_KEY.fullmatch(key)} | servers


@dataclass(frozen=True)
class ConverterConfig:
    """Which converter serialises keys, values or headers, and its settings, prefix taken off."""

    class_name: str
    settings: Mapping[str, str] = field(repr=False)
    role: str = "value"
    """key, value or header."""

    @property
    def is_key(self) -> bool:
        return self.role == "key"


@dataclass(frozen=True, kw_only=True)
class ConnectorConfig:
    """The framework's part of a connector's configuration, the worker's defaults filled in.

    `producer`, `consumer` and `admin` are the properties of those clients by Java's names, the worker's with the
    connector's overrides over them. `topic_creation` are the `topic.creation.*` keys; without any, missing topics are
    the broker's business.
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
    errors_retry_delay_max_ms: int | None
    """None: not set."""
    errors_tolerance: str
    errors_log_enable: bool
    errors_log_include_messages: bool
    dead_letters: DeadLetters | None


def prefixed(config: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The entries below *prefix* (which ends with a dot), prefix taken off."""
    return {key.removeprefix(prefix): text for key, text in config.items() if key.startswith(prefix)}


def _family(key: str, pattern: str, doc: str, effect: Effect = "normal", why: str = "") -> Option:
    return Option(key=key, pattern=late_regex(pattern), doc=doc, effect=effect, why=why, importance="LOW", dotted=True)


_DISTRIBUTED = "only workers that share connectors need it"
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
    _family("config.providers", r"config\.providers(\..+)?",
            "Providers of the values behind references such as ${file:path:key}."),
    _family("status.storage.*", r"status\.storage\..+", "The topic that stores states.", "inert", _DISTRIBUTED),
    _family(
        "group.id, …",
        r"group\.id|exactly\.once\.source\.support|(session|rebalance)\.timeout\.ms|heartbeat\.interval\.ms"
        r"|scheduled\.rebalance\.max\.delay\.ms|connect\.protocol|worker\.(sync\.timeout|unsync\.backoff)\.ms"
        r"|inter\.worker\..+|internal\.topics\.automatic\.creation\.enable",
        "Membership in a group of workers.", "inert", _DISTRIBUTED,
    ),
    _family(
        "plugin.path, …", r"plugin\.(path|discovery)|metric\.reporters|metrics\..+|internal\.(key|value)\.converter.*",
        "Settings of the Java worker.", "inert", _JVM,
    ),
    _family("quarkus.*", r"quarkus\..+", "Settings of Debezium Server's own runtime.", "inert", _JVM),
    _family("listeners.https.*", r"listeners\.https\.ssl\..+",
            "The key and certificates of https listeners; without any, those of ssl.* are used."),
    _family("admin.listeners, …", r"admin\.listeners(\..+)?|rest\.advertised\.listener",
            "Further addresses of the REST interface.", "later", "the REST interface has one set of addresses"),
    _family("rest.extension.classes", r"rest\.extension\.classes", "Extensions of the REST interface.", "later",
            "there are no extensions; cdc.rest.users.file asks for passwords"),
)

CONNECTOR_OPTIONS = OptionTable(FRAMEWORK_OPTIONS)


def read_connector(config: Mapping[str, str], worker: WorkerConfig) -> Parsed:
    """Convert and check the framework's keys of a connector's configuration; the plugin's keys are left alone."""
    parsed = CONNECTOR_OPTIONS.parse(config, partial=True)
    if parsed.values["exactly_once_support"] == "required":
        parsed.problem("exactly.once.support", "delivery is at least once here.", "Leave it at requested.")
    _check_overrides(config, worker, parsed)
    _note_dead_letters(parsed)
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
        errors_retry_delay_max_ms=(
            values["errors_retry_delay_max_ms"] if "errors.retry.delay.max.ms" in parsed.given else None),
        errors_tolerance=values["errors_tolerance"],
        errors_log_enable=values["errors_log_enable"],
        errors_log_include_messages=values["errors_log_include_messages"],
        dead_letters=_dead_letters(values),
    )
    return made, tuple(parsed.notes)


def _dead_letters(values: Mapping[str, Any]) -> DeadLetters | None:
    topic = values["errors_deadletterqueue_topic_name"]
    if not topic or values["errors_tolerance"] != "all":
        return None
    return DeadLetters(topic, values["errors_deadletterqueue_topic_replication_factor"],
                       values["errors_deadletterqueue_context_headers_enable"])


def _note_dead_letters(parsed: Parsed) -> None:
    """Dead letters that never come, because of other keys."""
    name = "errors.deadletterqueue.topic.name"
    if parsed.values["errors_deadletterqueue_topic_name"] and parsed.values["errors_tolerance"] == "none":
        parsed.note(name, "is not used, because errors.tolerance is none: the first record that fails ends the task.")
    for key in ("errors.deadletterqueue.topic.replication.factor", "errors.deadletterqueue.context.headers.enable"):
        if key in parsed.given and name not in parsed.given:
            parsed.note(key, f"is not used, because {name} is not set.")


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
