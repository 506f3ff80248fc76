"""What a configuration file holds: a worker's or a connector's keys, or what Strimzi and Debezium Server write.

A Kubernetes file may hold several resources: Strimzi's `KafkaConnector` is a connector, `KafkaConnect` a worker
(Strimzi documentation, "Configuring Kafka Connect connectors", and its API reference, `KafkaConnectorSpec`,
`KafkaConnectSpec`). `debezium_server.py` reads Debezium Server's `application.properties`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError

from . import debezium_server
from .files import Config, flat, parse_file, shaped

Role = Literal["", "worker", "connector"]


@dataclass(frozen=True)
class Document:
    """The keys of one worker or connector. An empty *role*: the file does not say which, its place does."""

    config: Config
    role: Role = ""


def read_documents(path: Path) -> list[Document]:
    """All workers and connectors of one file. Raises ConfigError, with file and line."""
    return documents_of(parse_file(path), str(path))


def documents_of(values: list[Any], source: str) -> list[Document]:
    """All workers and connectors of what `parse_file` has found in *source*. Raises ConfigError."""
    resources = [value for value in values if _is_resource(value)]
    if not resources:
        if len(values) > 1:
            raise ConfigError(f"{source} holds {len(values)} YAML documents, which are no resources of Kubernetes.",
                              hint="Write one file for each connector.")
        return _plain(shaped(values[0], source) if values else {}, source)
    if len(resources) < len(values):
        raise ConfigError(f"{source}: one of its documents has no apiVersion and kind.")
    return [_resource(value, source) for value in resources]


def _plain(config: Config, source: str) -> list[Document]:
    if not debezium_server.is_one(config):
        return [Document(config)]
    worker, connector = debezium_server.read(config, source)
    return [Document(worker, "worker"), Document(connector, "connector")]


def _is_resource(value: Any) -> bool:
    return isinstance(value, dict) and {"apiVersion", "kind"} <= value.keys()


def _resource(value: Mapping[str, Any], source: str) -> Document:
    kind = str(value["kind"])
    name = value.get("metadata", {}).get("name") if isinstance(value.get("metadata"), dict) else None
    where = f"{source}: {kind} {name or 'without name'}"
    spec = value.get("spec")
    if kind not in ("KafkaConnector", "KafkaConnect") or not isinstance(spec, dict):
        raise ConfigError(f"{where} is no connector." if isinstance(spec, dict) else f"{where} has no spec.",
                          hint="Of Strimzi's resources KafkaConnector and KafkaConnect are read, each with its spec.")
    config = dict(flat(spec.get("config") or {}, "", where))
    if kind == "KafkaConnect":
        return Document(_worker(spec, config, where), "worker")
    return Document(_connector(spec, config, name, where), "connector")


_OF_A_CONNECTOR: Final = {"class", "tasksMax", "config", "autoRestart", "pause", "state", "version", "listOffsets",
                          "alterOffsets"}


def _connector(spec: Mapping[str, Any], config: Config, name: Any, where: str) -> Config:
    _refuse(spec.keys() - _OF_A_CONNECTOR, where, "Only class, tasksMax, state and config are read.")
    state = str(spec.get("state") or ("paused" if str(spec.get("pause")).lower() == "true" else "running"))
    if state != "running":
        raise ConfigError(f"{where}: its state is {state}.", hint="Leave it out while it is not to run.")
    made = {"name": name, "connector.class": spec.get("class"), "tasks.max": spec.get("tasksMax")}
    for key, text in made.items():
        if text is not None and config.setdefault(key, str(text)) != str(text) and key != "tasks.max":
            raise ConfigError(f"{where}: its config has another {key} than the resource.", option=key)
    return config


_OF_THE_CLUSTER: Final = {
    "replicas", "version", "image", "resources", "livenessProbe", "readinessProbe", "jvmOptions", "jmxOptions",
    "logging", "clientRackInitImage", "rack", "metricsConfig", "tracing", "template", "externalConfiguration", "build",
    "plugins",
}
"""What deploys Strimzi's containers, and is no setting of a worker."""
_IDS: Final = {"groupId": "group.id", "configStorageTopic": "config.storage.topic",
               "statusStorageTopic": "status.storage.topic", "offsetStorageTopic": "offset.storage.topic"}


def _worker(spec: Mapping[str, Any], config: Config, where: str) -> Config:
    secured = spec.keys() & {"tls", "authentication"}
    _refuse(secured, where, "Write security.protocol, ssl.* and sasl.* into its config instead.")
    _refuse(spec.keys() - _OF_THE_CLUSTER - _IDS.keys() - {"bootstrapServers", "config"}, where,
            "Only bootstrapServers and config are read.")
    for field, key in {"bootstrapServers": "bootstrap.servers", **_IDS}.items():
        if spec.get(field) is not None:
            config.setdefault(key, str(spec[field]))
    return config


def _refuse(fields: set[str], where: str, hint: str) -> None:
    if fields:
        raise ConfigError(f"{where}: {', '.join(sorted(fields))} cannot be read.", hint=hint)
