"""The only file that names concrete sources, transforms, converters, sinks and stores, by the names that users know.

A name is a Java class as existing configurations have it, its simple name, that name without its suffix (Kafka
Connect's aliases), or one of our short names; case does not matter. A plugin's module is imported when it is loaded.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import operator
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from cdc import other_connectors
from cdc.config import extensions
from cdc.config.extensions import GROUP
from cdc.config.table import OptionTable
from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError
from cdc.runtime.options import WORKER_OPTIONS

Kind = Literal["connector", "converter", "transform", "predicate", "sink", "offset store",
               "custom converter", "post processor"]
_SUFFIXES: Final = ("HeaderConverter", "Connector", "Converter", "Transformation", "Predicate")
"""What Kafka Connect cuts off a class name to make an alias (`PluginUtils.prunedName`)."""


@dataclass(frozen=True)
class Plugin:
    """Something that a configuration can name. References are written `module:attribute`.

    `factory` makes it. A plugin without one is known and not available, and `missing` says what to do instead.
    `options` is its `OptionTable`: a connector's, transform's or predicate's keys, or a sink's or store's keys in the
    worker's configuration.
    A transform's or predicate's factory takes its configuration, keys without prefix, and `options` may be missing.
    `read` and `parse` are a connector's: to `Parsed`, with all problems, and to its settings.
    `look` is a connector's `Look`: how its server is asked before it runs there, and besides.
    `check` is a sink's or offset store's: it adds to a worker's `Parsed` what the plugin misses there.
    `chosen_by` is the worker's key that chooses an offset store, and `configs` makes the store of connectors that goes
    with it.
    `handover` is a connector's `Handover`: offsets of Kafka Connect, taken over and given back.
    """

    kind: Kind
    class_name: str
    factory: str = ""
    names: tuple[str, ...] = ()
    read: str = ""
    parse: str = ""
    options: str = ""
    missing: str = ""
    check: str = ""
    chosen_by: str = ""
    configs: str = ""
    handover: str = ""
    look: str = ""

    @property
    def available(self) -> bool:
        return bool(self.factory)

    @property
    def short_name(self) -> str:
        """The simple class name without Kafka Connect's suffix, in lower case: `postgres`, `mysql`, `mariadb`."""
        return self._cut.lower()

    @property
    def aliases(self) -> tuple[str, ...]:
        """All its names except the class name."""
        return tuple(dict.fromkeys((self._simple, self._cut, *self.names)))

    @property
    def _simple(self) -> str:
        return self.class_name.rpartition(".")[2]

    @property
    def _cut(self) -> str:
        simple = self._simple
        return next((simple.removesuffix(s) for s in _SUFFIXES if simple.endswith(s) and simple != s), simple)

    def goes_by(self, name: str) -> bool:
        """Whether *name* is one of its names."""
        return name.lower() in (each.lower() for each in (self.class_name, *self.aliases))

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

    def load_look(self) -> Any:
        """A connector's `Look`; None for one that has none."""
        return resolve(self.look) if self.look else None

    def load_options(self) -> Any:
        """Its `OptionTable`."""
        return resolve(self.options)

    def option_table(self) -> OptionTable | None:
        """The same; None for a plugin that declares no options."""
        return resolve(self.options) if self.options else None

    def load_configs(self) -> Any:
        """An offset store's function `(StoreSettings) -> ConfigStore`."""
        return resolve(self.configs)

    def load_check(self) -> Any:
        """A function `(Parsed) -> None`, which does nothing for a plugin without `check`."""
        return resolve(self.check) if self.check else lambda parsed: None


def resolve(reference: str) -> Any:
    """What `module:attribute` names."""
    module, _, attribute = reference.partition(":")
    return operator.attrgetter(attribute)(importlib.import_module(module))


_POSTGRES: Final = "cdc.sources.postgres"
_MYSQL: Final = "cdc.sources.mysql"
_DATAGEN: Final = "cdc.sources.datagen"
_QUERY: Final = "cdc.sources.query"
_KAFKA: Final = "org.apache.kafka.connect.transforms"
_TRANSFORMS: Final = "cdc.transforms"
_DEBEZIUM: Final = "io.debezium.transforms"
_DEBEZIUM_TRANSFORMS: Final = (
    (f"{_DEBEZIUM}.ExtractNewRecordState", "unwrap"),
    (f"{_DEBEZIUM}.outbox.EventRouter", "outbox"),
    (f"{_DEBEZIUM}.ByLogicalTableRouter", "logical_router"),
    (f"{_DEBEZIUM}.ToLogicalTopicRouter", "logical_router"),
    (f"{_DEBEZIUM}.ExtractChangedRecordState", "changed"),
    (f"{_DEBEZIUM}.ExtractSchemaToNewRecord", "schema_to_record"),
    (f"{_DEBEZIUM}.HeaderToValue", "header_to_value"),
    (f"{_DEBEZIUM}.partitions.PartitionRouting", "partition_routing"),
    (f"{_DEBEZIUM}.TimezoneConverter", "timezone_converter"),
    (f"{_DEBEZIUM}.SchemaChangeEventFilter", "schema_changes"),
    (f"{_DEBEZIUM}.EnforceRecordSize", "record_size"),
    (f"{_DEBEZIUM}.Filter", "scripting"),
    (f"{_DEBEZIUM}.ContentBasedRouter", "scripting"),
    ("io.debezium.connector.mysql.transforms.ReadToInsertEvent", "read_to_insert"),
    ("io.debezium.connector.mariadb.transforms.ReadToInsertEvent", "read_to_insert"),
    ("io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent", "logical_message"),
)
"""Debezium's transforms: the class, and the module of `transforms.debezium` with a class of this simple name."""


def _sided(class_name: str, module: str) -> tuple[Plugin, Plugin]:
    """The two variants of a transform in *module*, for keys and for values."""
    made = f"{_TRANSFORMS}.{module}:{class_name.rpartition('.')[2]}"
    options = f"{_TRANSFORMS}.{module}:OPTIONS"
    return (Plugin("transform", f"{class_name}$Key", f"{made}.of_key", options=options),
            Plugin("transform", f"{class_name}$Value", f"{made}.of_value", options=options))


PLUGINS: Final[tuple[Plugin, ...]] = (
    Plugin(
        "connector", "io.debezium.connector.postgresql.PostgresConnector", f"{_POSTGRES}.source:PostgresSource",
        ("postgresql", "PostgreSqlConnector"), f"{_POSTGRES}.options:read_postgres",
        f"{_POSTGRES}.options:parse_postgres", f"{_POSTGRES}.options:OPTIONS",
        handover=f"{_POSTGRES}.handover:HANDOVER", look=f"{_POSTGRES}.look:LOOK",
    ),
    Plugin(
        "connector", "io.debezium.connector.mysql.MySqlConnector", f"{_MYSQL}.source:MySqlSource", (),
        f"{_MYSQL}.options:read_mysql", f"{_MYSQL}.options:parse_mysql", f"{_MYSQL}.options:OPTIONS",
        handover=f"{_MYSQL}.handover:HANDOVER", look=f"{_MYSQL}.look:LOOK",
    ),
    Plugin(
        "connector", "io.debezium.connector.mariadb.MariaDbConnector", f"{_MYSQL}.source:MySqlSource", (),
        f"{_MYSQL}.options:read_mariadb", f"{_MYSQL}.options:parse_mariadb", f"{_MYSQL}.options:MARIADB_OPTIONS",
        handover=f"{_MYSQL}.handover:HANDOVER", look=f"{_MYSQL}.look:LOOK",
    ),
    Plugin(
        "connector", "io.confluent.kafka.connect.datagen.DatagenConnector", f"{_DATAGEN}.source:DatagenSource", (),
        f"{_DATAGEN}.options:read_datagen", f"{_DATAGEN}.options:parse_datagen", f"{_DATAGEN}.options:OPTIONS",
    ),
    Plugin(
        "connector", "io.confluent.connect.jdbc.JdbcSourceConnector", f"{_QUERY}.source:QuerySource",
        ("query", "jdbc"), f"{_QUERY}.options:read_query", f"{_QUERY}.options:parse_query", f"{_QUERY}.options:OPTIONS",
        handover=f"{_QUERY}.handover:HANDOVER",
    ),
    Plugin("converter", "io.confluent.connect.avro.AvroConverter", "cdc.converters.avro.converter:AvroConverter",
           options="cdc.converters.avro.converter:OPTIONS"),
    Plugin("converter", "org.apache.kafka.connect.json.JsonConverter", "cdc.converters.json:JsonConverter",
           options="cdc.converters.json:OPTIONS"),
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
    Plugin("converter", "io.confluent.connect.protobuf.ProtobufConverter",
           "cdc.converters.protobuf.converter:ProtobufConverter", options="cdc.converters.protobuf.converter:OPTIONS"),
    Plugin("converter", "io.confluent.connect.json.JsonSchemaConverter",
           "cdc.converters.json_schema.converter:JsonSchemaConverter",
           options="cdc.converters.json_schema.converter:OPTIONS"),
    Plugin("converter", "io.apicurio.registry.utils.converter.AvroConverter",
           "cdc.converters.apicurio.converter:ApicurioAvroConverter", ("ApicurioAvro",),
           options="cdc.converters.apicurio.converter:AVRO_OPTIONS"),
    Plugin("converter", "io.apicurio.registry.utils.converter.ExtJsonConverter",
           "cdc.converters.apicurio.converter:ExtJsonConverter", ("ApicurioExtJson",),
           options="cdc.converters.apicurio.converter:EXT_JSON_OPTIONS"),
    Plugin("converter", "io.debezium.converters.CloudEventsConverter",
           "cdc.converters.cloud_events.converter:CloudEventsConverter",
           options="cdc.converters.cloud_events.settings:OPTIONS"),
    Plugin("converter", "io.debezium.converters.BinaryDataConverter",
           "cdc.converters.binary_data:BinaryDataConverter", options="cdc.converters.binary_data:OPTIONS"),
    *_sided(f"{_KAFKA}.Cast", "cast"),
    Plugin("transform", f"{_KAFKA}.DropHeaders", f"{_TRANSFORMS}.headers:DropHeaders",
           options=f"{_TRANSFORMS}.headers:DROP_OPTIONS"),
    *_sided(f"{_KAFKA}.ExtractField", "extract_field"),
    Plugin("transform", f"{_KAFKA}.Filter", f"{_TRANSFORMS}.route:Filter", options="cdc.config.table:NO_OPTIONS"),
    *_sided(f"{_KAFKA}.Flatten", "flatten"),
    *_sided(f"{_KAFKA}.HeaderFrom", "header_from"),
    *_sided(f"{_KAFKA}.HoistField", "hoist_field"),
    *_sided(f"{_KAFKA}.InsertField", "insert_field"),
    Plugin("transform", f"{_KAFKA}.InsertHeader", f"{_TRANSFORMS}.headers:InsertHeader",
           options=f"{_TRANSFORMS}.headers:INSERT_OPTIONS"),
    *_sided(f"{_KAFKA}.MaskField", "mask_field"),
    Plugin("transform", f"{_KAFKA}.RegexRouter", f"{_TRANSFORMS}.route:RegexRouter",
           options=f"{_TRANSFORMS}.route:REGEX_OPTIONS"),
    *_sided(f"{_KAFKA}.ReplaceField", "replace_field"),
    *_sided(f"{_KAFKA}.SetSchemaMetadata", "schema_metadata"),
    *_sided(f"{_KAFKA}.TimestampConverter", "timestamp_converter"),
    Plugin("transform", f"{_KAFKA}.TimestampRouter", f"{_TRANSFORMS}.route:TimestampRouter",
           options=f"{_TRANSFORMS}.route:TIMESTAMP_OPTIONS"),
    Plugin("transform", f"{_KAFKA}.ValueToKey", f"{_TRANSFORMS}.value_to_key:ValueToKey",
           options=f"{_TRANSFORMS}.value_to_key:OPTIONS"),
    *(
        Plugin("transform", name, f"{_TRANSFORMS}.debezium.{module}:{name.rpartition('.')[2]}",
               options=f"{_TRANSFORMS}.debezium.{module}:{name.rpartition('.')[2]}.options")
        for name, module in _DEBEZIUM_TRANSFORMS
    ),
    Plugin("predicate", f"{_KAFKA}.predicates.TopicNameMatches", f"{_TRANSFORMS}.predicates:TopicNameMatches",
           options=f"{_TRANSFORMS}.predicates:TOPIC_OPTIONS"),
    Plugin("predicate", f"{_KAFKA}.predicates.HasHeaderKey", f"{_TRANSFORMS}.predicates:HasHeaderKey",
           options=f"{_TRANSFORMS}.predicates:HEADER_OPTIONS"),
    Plugin("predicate", f"{_KAFKA}.predicates.RecordIsTombstone", f"{_TRANSFORMS}.predicates:RecordIsTombstone",
           options="cdc.config.table:NO_OPTIONS"),
    Plugin("custom converter", "io.debezium.connector.mysql.converters.TinyIntOneToBooleanConverter",
           f"{_MYSQL}.booleans:TinyIntToBoolean", options=f"{_MYSQL}.booleans:OPTIONS"),
    Plugin("post processor", "io.debezium.processors.reselect.ReselectColumnsPostProcessor",
           f"{_TRANSFORMS}.debezium.reselect:ReselectColumnsPostProcessor",
           options=f"{_TRANSFORMS}.debezium.reselect:OPTIONS"),
    Plugin("sink", "kafka", "cdc.sinks.kafka:build", options="cdc.sinks.kafka_options:OPTIONS",
           check="cdc.sinks.kafka_options:check"),
    Plugin("sink", "stdout", "cdc.sinks.stdout:build"),
    Plugin("sink", "file", "cdc.sinks.file:build", options="cdc.sinks.file_options:OPTIONS",
           check="cdc.sinks.file_options:check"),
    # A file goes before a topic, as in Kafka Connect's standalone mode.
    Plugin("offset store", "file", "cdc.stores.file_offsets:build", options="cdc.stores.file_offsets:OPTIONS",
           check="cdc.stores.file_offsets:check", chosen_by="offset.storage.file.filename",
           configs="cdc.stores.local_configs:build"),
    Plugin("offset store", "kafka", "cdc.stores.kafka_offsets:build", options="cdc.stores.kafka_options:OPTIONS",
           check="cdc.stores.kafka_options:check", chosen_by="offset.storage.topic",
           configs="cdc.stores.kafka_configs:build"),
)  # fmt: skip


def _by_name(plugins: Iterable[Plugin]) -> Mapping[tuple[Kind, str], Plugin]:
    """Plugins by kind and lower-case name. An alias that two plugins share goes to the first."""
    found: dict[tuple[Kind, str], Plugin] = {}
    for plugin in plugins:
        for name in (plugin.class_name, *plugin.aliases):
            found.setdefault((plugin.kind, name.lower()), plugin)
    return found


_BY_NAME: Final = _by_name(PLUGINS)


@functools.cache
def installed() -> tuple[Plugin, ...]:
    """The plugins of other packages: each entry point of the group `cdc.plugins` is a `Plugin` or a list of them.

    Ours go before plugins of the same name. Raises ConfigError for an entry point that cannot be loaded.
    """
    return tuple(extensions.offered())


_OPTION: Final[Mapping[Kind, str]] = {"connector": "connector.class", "sink": "sink.type"}


def find(kind: Kind, name: str, *, option: str | None = None) -> Plugin:
    """The available plugin of *kind* called *name*, which stands under *option*. Raises ConfigError."""
    option = option or _OPTION.get(kind)
    wanted = kind, name.strip().lower()
    plugin = _BY_NAME.get(wanted) or _by_name(installed()).get(wanted)
    where = f"{option}: " if option else ""
    if plugin is None:
        told = other_connectors.about(name) if kind == "connector" else ""
        said = f"{name.strip().rpartition('.')[2]} {told}" if told else f'there is no {kind} "{name}".'
        raise ConfigError(f"{where}{said}", option=option, hint=_available(kind) if told else _advice(kind, name))
    if not plugin.available:
        raise ConfigError(f"{where}{plugin.class_name} is not available yet.", option=option, hint=plugin.missing)
    return plugin


def available(kind: Kind) -> tuple[Plugin, ...]:
    """The plugins of *kind* that this release and installed packages have."""
    return tuple(plugin for plugin in (*PLUGINS, *installed()) if plugin.kind == kind and plugin.available)


def worker_options() -> OptionTable:
    """All keys of a worker's configuration: the runtime's, and those of every available sink and offset store."""
    sinks = tuple(plugin.class_name for plugin in available("sink"))
    options = [replace(each, one_of=sinks) if each.key == "sink.type" else each for each in WORKER_OPTIONS.options]
    for plugin in (*available("sink"), *available("offset store")):
        options += plugin.load_options().options if plugin.options else ()
    return OptionTable(sorted(options, key=lambda each: each.pattern is not None))


def connector_options() -> list[OptionTable]:
    """The options of every connector."""
    return [plugin.load_options() for plugin in available("connector")]


def converter_options() -> Iterator[OptionTable]:
    """The options of every converter that declares some. Each is imported only when it is asked for."""
    return (plugin.load_options() for plugin in available("converter") if plugin.options)


def offset_stores(given: Collection[str]) -> list[Plugin]:
    """The offset stores that the worker's keys *given* choose; the first one is to be used."""
    return [plugin for plugin in available("offset store") if plugin.chosen_by in given]


_PORT: Final = (
    "A class in Java does not run here. Write it in Python, as a class with one method, in a package that has "
    f"an entry point in {GROUP}: cdc docs reference/transforms. ")


def _advice(kind: Kind, name: str) -> str:
    known = {key: plugin for (of, key), plugin in {**_by_name(installed()), **_BY_NAME}.items() if of == kind}
    near = difflib.get_close_matches(name.strip().lower(), known, n=1)
    meant = f"Did you mean {known[near[0]].class_name}? " if near else ""
    port = _PORT if kind in ("transform", "predicate", "post processor") and not near else ""
    return f"{meant}{port}{_available(kind)}"


def _available(kind: Kind) -> str:
    return f"Available: {', '.join(plugin.class_name for plugin in available(kind))}."
