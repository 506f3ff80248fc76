"""Debezium Server's `application.properties` as a worker's and a connector's keys.

Debezium documentation, "Debezium Server": "Source configuration", "Format configuration", "Transformation
configuration", "Apache Kafka"; its class `DebeziumServer` (`populateEngineProperties`). Values may refer to others as
`${NAME}`: SmallRye Config documentation, "Property Expressions".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex

from .environment import of_a_service
from .files import Config

SOURCE: Final = "debezium.source."
_SINK: Final = "debezium.sink."
_FORMAT: Final = "debezium.format."
_KAFKA: Final = "debezium.sink.kafka.producer."
_CONVERTERS: Final = {
    "json": "org.apache.kafka.connect.json.JsonConverter",
    "jsonbytearray": "org.apache.kafka.connect.json.JsonConverter",
    "avro": "io.confluent.connect.avro.AvroConverter",
    "protobuf": "io.confluent.connect.protobuf.ProtobufConverter",
    "cloudevents": "io.debezium.converters.CloudEventsConverter",
    "binary": "io.debezium.converters.BinaryDataConverter",
    "simplestring": "org.apache.kafka.connect.storage.StringConverter",
}
_OTHER_SINKS: Final = (
    r"kinesis|sqs|sns|pubsub|pubsublite|pulsar|eventhubs|redis|nats-streaming|nats-jetstream|http|pravega|infinispan"
    r"|rabbitmq|rabbitmqstream|rocketmq|milvus|qdrant|instructlab|iceberg|jdbc")
_STORES: Final = ("", "org.apache.kafka.connect.storage.FileOffsetBackingStore",
                  "org.apache.kafka.connect.storage.KafkaOffsetBackingStore")
_EXPRESSION: Final = late_regex(r"([\\$])?\$\{([A-Za-z_][\w.\-]*)(?::([^}]*))?\}")
"""With a backslash or a second dollar sign before it, it is no expression."""
_OVER_THE_FILE: Final = late_regex(r"debezium[._](source|sink|format|transforms|predicates)([._].*)?", re.IGNORECASE)
"""SmallRye Config documentation, "Environment Variables"."""
_VARIABLE: Final = late_regex(r"[A-Z_][A-Z0-9_]*")
_PROVIDERS: Final = ("env", "file", "dir", "directory", "secrets", "configmaps", "strimzienv", "strimzifile",
                     "strimzidir")


def is_one(config: Mapping[str, str]) -> bool:
    """Whether *config* is of Debezium Server."""
    return any(key.startswith(SOURCE) or key == f"{_SINK}type" for key in config)


def read(config: Mapping[str, str], source: str = "application.properties") -> tuple[Config, Config]:
    """The worker's keys and the connector's. What is not understood stays in the worker's, where it is told as unknown.

    Raises ConfigError.
    """
    for variable in filter(_OVER_THE_FILE.fullmatch, sorted(os.environ)):
        if of_a_service(variable, os.environ) or any(f"${{{variable}" in text for text in config.values()):
            continue
        raise ConfigError(f"{source}: Debezium Server would put the variable {variable} over this file, and it is not"
                          " read here.", option=variable, hint="Write the key into the file, and remove the variable;"
                                                               f" or write ${{{variable}}} as its value.")
    values = {key: _resolved(key, text, config, source, 0) for key, text in config.items()}
    sink = values.pop(f"{_SINK}type", "")
    if not sink:
        raise ConfigError(f"{source}: debezium.sink.type is missing.", option=f"{_SINK}type",
                          hint="Of Debezium Server's sinks there is kafka.")
    if re.fullmatch(_OTHER_SINKS, sink.strip()):
        raise ConfigError(
            f"{source}: debezium.sink.type: {sink.strip()} is a sink of Debezium Server that is not here.",
            option=f"{_SINK}type", hint="Events go to kafka, stdout or file.")
    worker: Config = {"sink.type": sink}
    connector: Config = {"name": sink}
    for role in ("key", "value", "header"):
        connector[f"{role}.converter"] = _converter(role, values.pop(f"{_FORMAT}{role}", "json"), source)
    for key, text in values.items():
        _place(key, text, worker, connector, source)
    _formats_of_all(values, connector)
    return worker, connector


def _place(key: str, text: str, worker: Config, connector: Config, source: str) -> None:
    if key.startswith(_KAFKA):
        name = key.removeprefix(_KAFKA)
        if name == "bootstrap.servers":
            worker[name] = text
        elif name not in ("key.serializer", "value.serializer"):
            worker[f"producer.{name}"] = text
    elif key.startswith((f"{SOURCE}offset.", f"{SOURCE}bootstrap.servers")):
        _offsets(key.removeprefix(SOURCE), text, worker, source)
    elif key.startswith(SOURCE):
        connector[key.removeprefix(SOURCE)] = text
    elif key.startswith((f"{_FORMAT}key.", f"{_FORMAT}value.", f"{_FORMAT}header.")):
        role, _, name = key.removeprefix(_FORMAT).partition(".")
        connector[f"{role}.converter.{name}"] = text
    elif re.match(r"debezium\.(transforms|predicates)(\.|$)", key):
        connector[key.removeprefix("debezium.")] = text
    elif not key.startswith(_FORMAT):
        worker[key] = text


def _offsets(key: str, text: str, worker: Config, source: str) -> None:
    if key != "offset.storage":
        worker.setdefault(key, text)
    elif text.strip() not in _STORES:
        raise ConfigError(f"{source}: {SOURCE}{key}: there is no offset store {text.strip()}.", option=f"{SOURCE}{key}",
                          hint="Offsets are kept in a file (offset.storage.file.filename) or in a Kafka topic"
                               " (offset.storage.topic).")


def _converter(role: str, text: str, source: str) -> str:
    name = _CONVERTERS.get(text.strip().lower())
    if name is None:
        raise ConfigError(f"{source}: {_FORMAT}{role}: there is no format {text.strip()}.", option=f"{_FORMAT}{role}",
                          hint=f"Debezium Server's formats are {', '.join(_CONVERTERS)}.")
    return name


def _formats_of_all(values: Mapping[str, str], connector: Config) -> None:
    """`debezium.format.<key>` holds for all converters that have no <key> of their own."""
    for key, text in values.items():
        name = key.removeprefix(_FORMAT)
        if key.startswith(_FORMAT) and name.partition(".")[0] not in ("key", "value", "header"):
            for role in ("key", "value", "header"):
                connector.setdefault(f"{role}.converter.{name}", text)


def _resolved(key: str, text: str, config: Mapping[str, str], source: str, depth: int) -> str:
    """*text* with its expressions as references to the environment, or as the values of other keys."""

    def replaced(match: re.Match[str]) -> str:
        name, default = match[2], match[3]
        if match[1]:
            return match[0][1:]
        if name in _PROVIDERS and default is not None:
            return match[0]
        if default is not None and "${" in default:
            raise ConfigError(f"{source}: {key}: an expression within the expression {name} cannot be read.",
                              option=key, hint="Write what it stands for.")
        if name in config and depth < 10:
            return _resolved(key, config[name], config, source, depth + 1)
        if default is not None and name not in os.environ:
            return default
        if _VARIABLE.fullmatch(name) or name in os.environ:
            return f"${{env:{name}}}"
        raise ConfigError(f"{source}: {key}: nothing is called {name}.", option=key,
                          hint="An expression names a variable of the environment or another key of the file; \\${ is"
                               " the text ${.")

    return _EXPRESSION.sub(replaced, text)
