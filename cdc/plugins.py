"""The only file that names concrete sources, converters, sinks and stores, by the names users know them by.

A name is a Java class as existing configurations have it, its simple name, that without its suffix (Kafka Connect's
aliases), or one of our short names; case does not matter. What stands behind a name is imported when it is asked for.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from cdc.core.errors import ConfigError

Kind = Literal["connector", "converter", "sink", "offset store"]
_SUFFIXES: Final = ("HeaderConverter", "Connector", "Converter")
"""What Kafka Connect cuts off a class name to make an alias (`PluginUtils.prunedName`)."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """Something a configuration can name. `factory`, `parse` and `options` are `module:attribute`.

    A connector has `read`, from a configuration to all that is right and wrong with it (`Parsed`), `parse`, to its
    settings and notes, and `options`, its `OptionTable`.
    Without a factory the plugin is known and not available; `missing` says more.
    """

    kind: Kind
    class_name: str
    factory: str = ""
    names: tuple[str, ...] = ()
    read: str = ""
    parse: str = ""
    options: str = ""
    missing: str = ""

    @property
    def available(self) -> bool:
        return bool(self.factory)

    @property
    def aliases(self) -> tuple[str, ...]:
        """All names it goes by but the class name itself."""
        simple = self.class_name.rpartition(".")[2]
        cut = next((simple.removesuffix(s) for s in _SUFFIXES if simple.endswith(s) and simple != s), simple)
        return tuple(dict.fromkeys((simple, cut, *self.names)))

    def load(self) -> Any:
        """The class or function behind it. Raises ConfigError when this release has none."""
        if not self.available:
            raise ConfigError(f"{self.class_name} is not available yet.", hint=self.missing)
        return resolve(self.factory)

    def load_read(self) -> Any:
        """A connector's function `(config, strict=…) -> Parsed`. It raises nothing."""
        return resolve(self.read)

    def load_parse(self) -> Any:
        """A connector's function `(config, strict=…) -> (settings, notes)`."""
        return resolve(self.parse)

    def load_options(self) -> Any:
        """A connector's `OptionTable`."""
        return resolve(self.options)


def resolve(reference: str) -> Any:
    """What `module:attribute` names."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


_POSTGRES: Final = "cdc.sources.postgres"
_MYSQL: Final = "cdc.sources.mysql"
_CONVERTERS: Final = "There are the Avro, JSON, String, ByteArray and number converters."

PLUGINS: Final[tuple[Plugin, ...]] = (
    Plugin(
        "connector", "io.debezium.connector.postgresql.PostgresConnector", f"{_POSTGRES}.source:PostgresSource",
        ("postgresql", "PostgreSqlConnector"), f"{_POSTGRES}.options:read_postgres",
        f"{_POSTGRES}.options:parse_postgres", f"{_POSTGRES}.options:OPTIONS",
    ),
    Plugin(
        "connector", "io.debezium.connector.mysql.MySqlConnector", f"{_MYSQL}.source:MySqlSource", (),
        f"{_MYSQL}.options:read_mysql", f"{_MYSQL}.options:parse_mysql", f"{_MYSQL}.options:OPTIONS",
    ),
    Plugin(
        "connector", "io.debezium.connector.mariadb.MariaDbConnector", f"{_MYSQL}.source:MySqlSource", (),
        f"{_MYSQL}.options:read_mariadb", f"{_MYSQL}.options:parse_mariadb", f"{_MYSQL}.options:MARIADB_OPTIONS",
    ),
    Plugin("converter", "io.confluent.connect.avro.AvroConverter", "cdc.converters.avro:AvroConverter"),
    Plugin("converter", "org.apache.kafka.connect.json.JsonConverter", "cdc.converters.json:JsonConverter"),
    Plugin("converter", "org.apache.kafka.connect.storage.StringConverter", "cdc.converters.simple:StringConverter"),
    Plugin(
        "converter", "org.apache.kafka.connect.storage.SimpleHeaderConverter",
        "cdc.converters.simple:SimpleHeaderConverter", ("SimpleHeader",),
    ),
    Plugin(
        "converter", "org.apache.kafka.connect.converters.ByteArrayConverter",
        "cdc.converters.simple:ByteArrayConverter",
    ),
    *(
        Plugin("converter", f"org.apache.kafka.connect.converters.{name}Converter",
               f"cdc.converters.simple:{name}Converter")
        for name in ("Integer", "Long", "Short", "Double", "Float", "Boolean")
    ),
    Plugin("converter", "io.confluent.connect.protobuf.ProtobufConverter", missing=_CONVERTERS),
    Plugin("converter", "io.confluent.connect.json.JsonSchemaConverter", missing=_CONVERTERS),
    Plugin("converter", "io.apicurio.registry.utils.converter.AvroConverter", names=("ApicurioAvro",), missing=(
        "Apicurio serves Confluent's interface below /apis/ccompat/v7: use io.confluent.connect.avro.AvroConverter.")),
    Plugin("converter", "io.debezium.converters.CloudEventsConverter", missing=_CONVERTERS),
    Plugin("converter", "io.debezium.converters.BinaryDataConverter", missing=_CONVERTERS),
    Plugin("sink", "kafka", "cdc.sinks.kafka:KafkaSink"),
    Plugin("sink", "stdout", "cdc.sinks.stdout:StdoutSink"),
    Plugin("sink", "file", "cdc.sinks.file:FileSink"),
    Plugin("offset store", "file", "cdc.runtime.offsets:FileOffsetStore"),
    Plugin("offset store", "kafka", "cdc.runtime.kafka_offsets:KafkaOffsetStore"),
)  # fmt: skip


def _by_name(plugins: Iterable[Plugin]) -> Mapping[tuple[Kind, str], Plugin]:
    """Plugins by kind and lower-case name. An alias that two plugins share goes to the first."""
    found: dict[tuple[Kind, str], Plugin] = {}
    for plugin in plugins:
        for name in (plugin.class_name, *plugin.aliases):
            found.setdefault((plugin.kind, name.lower()), plugin)
    return found


_BY_NAME: Final = _by_name(PLUGINS)
_OPTION: Final[Mapping[Kind, str]] = {"connector": "connector.class", "sink": "sink.type"}


def find(kind: Kind, name: str, *, option: str | None = None) -> Plugin:
    """The available plugin of *kind* that goes by *name*, given under *option*. Raises ConfigError."""
    option = option or _OPTION.get(kind)
    plugin = _BY_NAME.get((kind, name.strip().lower()))
    where = f"{option}: " if option else ""
    if plugin is None:
        raise ConfigError(f'{where}there is no {kind} "{name}".', option=option, hint=_advice(kind, name))
    if not plugin.available:
        raise ConfigError(f"{where}{plugin.class_name} is not available yet.", option=option, hint=plugin.missing)
    return plugin


def available(kind: Kind) -> tuple[Plugin, ...]:
    """The plugins of *kind* that this release has."""
    return tuple(plugin for plugin in PLUGINS if plugin.kind == kind and plugin.available)


def _advice(kind: Kind, name: str) -> str:
    known = [key for of, key in _BY_NAME if of == kind]
    near = difflib.get_close_matches(name.strip().lower(), known, n=1)
    listed = ", ".join(plugin.class_name for plugin in available(kind))
    meant = f"Did you mean {_BY_NAME[kind, near[0]].class_name}? " if near else ""
    return f"{meant}Available: {listed}."
