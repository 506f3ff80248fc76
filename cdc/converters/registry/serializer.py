"""What Confluent's converters have in common: which subject and id a schema has, and the bytes before each value.

A format's own converter says how a schema is written as text and a value as bytes. Sources: confluentinc/
schema-registry, `AbstractKafkaSchemaSerDeConfig`, `AbstractKafkaAvroSerializer.serializeImpl` and its siblings for JSON
Schema and Protobuf.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from cdc.config.options import Option, option, settings
from cdc.config.table import OptionTable
from cdc.core.errors import ConvertError, RegistryError, RegistryRefusedError
from cdc.core.named_tuple import NamedTuple
from cdc.core.schema import Schema

from . import settings as registry
from .client import MockRegistry, SchemaRegistry, open_registry
from .exchange import Stop
from .subjects import FALLBACKS, TOPIC, Subjects, strategy_of

MAX_SCHEMAS: Final = 20_000
"""How many schema objects have their ids kept. When there are more, the oldest is dropped; if it comes again, its text
is made again."""
_CHOICES: Final = (
    "Choose one: undo the change of the table; set the subject's compatibility to a level that lets this change through"
    " (NONE lets every change through); or let the topic go to a new subject, with another topic or subject name"
    " strategy.")


def _unsupported(what: str) -> Any:
    return lambda value: f"{what} is not supported here; remove the key" if value else None


def _prefix_only(name: str) -> str | None:
    if not name or name.rpartition(".")[2] == "PrefixSchemaIdSerializer":
        return None
    return "only the schema id before the payload (PrefixSchemaIdSerializer) is supported"


@settings
class SerializerSettings:
    """The keys of Confluent's `AbstractKafkaSchemaSerDeConfig` and `AbstractDataConfig`, without the converter's
    prefix."""

    auto_register_schemas: bool = option("auto.register.schemas", "BOOLEAN", default="true",
                                         doc="Register schemas that the registry does not have yet.")
    use_latest_version: bool = option("use.latest.version", "BOOLEAN", default="false",
                                      doc="Write values under the subject's latest schema; needs"
                                          " auto.register.schemas=false.")
    use_schema_id: int = option("use.schema.id", "INT", default="-1", importance="LOW",
                                doc="Write values under the schema with this id; needs auto.register.schemas=false.")
    normalize_schemas: bool = option("normalize.schemas", "BOOLEAN", default="false",
                                     doc="Let the registry normalise schemas before it compares them.")
    key_subject_name_strategy: str = option("key.subject.name.strategy", "CLASS", default=TOPIC, convert=strategy_of,
                                            doc="Strategy that names the subject of keys.")
    value_subject_name_strategy: str = option("value.subject.name.strategy", "CLASS", default=TOPIC,
                                              convert=strategy_of, doc="Strategy that names the subject of values.")
    subject_name_strategy_fallback_type: str = option(
        "subject.name.strategy.fallback.type", default="TOPIC", one_of=tuple(FALLBACKS), importance="LOW",
        doc="For AssociatedNameStrategy: strategy for topics without an association; NONE refuses them.")
    subject_name_strategy_kafka_cluster_id: str = option(
        "subject.name.strategy.kafka.cluster.id", default="-", importance="LOW",
        doc="For AssociatedNameStrategy: id of the Kafka cluster that the topics are in.")
    ignore_default_for_nullables: bool = option("ignore.default.for.nullables", "BOOLEAN", default="false",
                                                doc="Write a null as null, even if its field has a default.")
    latest_compatibility_strict: bool = option("latest.compatibility.strict", "BOOLEAN", default="true",
                                               importance="LOW", effect="inert",
                                               why="schemas are always compared", doc="Check the latest schema.")
    id_compatibility_strict: bool = option("id.compatibility.strict", "BOOLEAN", default="true", importance="LOW",
                                           effect="inert", why="schemas are always compared", doc="Check the schema.")
    generalized_sum_type_support: bool = option(
        "generalized.sum.type.support", "BOOLEAN", default="false", importance="LOW", effect="inert",
        why="no schema here has unions or enums", doc="Write unions and enums in a general form.")
    schemas_cache_config: int = option("schemas.cache.config", "INT", default="1000", importance="LOW", effect="inert",
                                       why="the cache is always large enough", doc="How many schemas are cached.")
    max_schemas_per_subject: int = option("max.schemas.per.subject", "INT", default="1000", importance="LOW",
                                          effect="inert", why="the cache is always large enough",
                                          doc="How many schemas of a subject are cached.")
    use_latest_with_metadata: str | None = option("use.latest.with.metadata", default=None, importance="LOW",
                                                  check=_unsupported("choosing by metadata"), doc="Not supported.")
    use_schema_guid: str | None = option("use.schema.guid", default=None, importance="LOW",
                                         check=_unsupported("choosing by GUID"), doc="Not supported.")
    key_schema_id_serializer: str | None = option(
        "key.schema.id.serializer", "CLASS", default=None, importance="LOW",
        check=_prefix_only, doc="Class that decides where the schema id is written.")
    value_schema_id_serializer: str | None = option(
        "value.schema.id.serializer", "CLASS", default=None, importance="LOW",
        check=_prefix_only, doc="Class that decides where the schema id is written.")


_OWN: Final = OptionTable.of(SerializerSettings).options
SHARED: Final = (*_OWN, *registry.OPTIONS.options)
"""The options of every converter with a registry."""


def with_registry(own: type[Any]) -> OptionTable:
    """All options of a converter whose own ones the settings class *own* declares."""
    return OptionTable.of(own, *SHARED)


class Known(NamedTuple):
    """What we keep for a topic and schema. `schema` keeps the object alive, because its id() is part of the key."""

    schema: Schema
    schema_id: int
    prefix: bytes
    """Magic byte 0, the big-endian id, and what else stands before the value."""
    made: Any
    """What the format's converter has prepared for the schema's values."""


class SchemaText(NamedTuple):
    """A Connect schema in a registry's format. *record*: the name that subject name strategies use, None if it has
    none. *made*: what the format's converter has prepared for the schema's values."""

    text: str
    record: str | None
    made: Any = None


class RegistryConverter:
    """Base of the converters of one side, key or value. Not for use from several threads.

    It blocks while it waits for the registry; *stop* ends the wait.
    """

    options: ClassVar[OptionTable]
    """All keys, without the converter's prefix."""
    schema_type: ClassVar[str]
    """The registry's name for the format: `AVRO`, `JSON`, `PROTOBUF`."""

    def __init__(self, stop: Stop | None = None) -> None:
        self.serializer = SerializerSettings()
        self._stop = stop
        self._is_key = False
        self._registry: SchemaRegistry = MockRegistry()
        self._subjects = Subjects(TOPIC, False, self._registry)
        self._known: dict[tuple[str, int], Known] = {}

    @property
    def null_is_default(self) -> bool:
        """Write a null as the field's default, if it has one."""
        return not self.serializer.ignore_default_for_nullables

    def configure(self, settings: Mapping[str, str], is_key: bool) -> None:
        """Take *settings*, without the converter's prefix. Does not contact the registry. Raises ConfigError."""
        parsed = self.options.parse(registry.unprefixed(settings), partial=True)
        parsed.check(type(self).__name__)
        self.serializer = s = SerializerSettings(**{o.attribute: parsed.values[o.attribute] for o in _OWN})
        self._is_key = is_key
        self._registry = open_registry(settings, self._stop)
        strategy = s.key_subject_name_strategy if is_key else s.value_subject_name_strategy
        self._subjects = Subjects(strategy, is_key, self._registry, FALLBACKS[s.subject_name_strategy_fallback_type],
                                  s.subject_name_strategy_kafka_cluster_id)
        self._known.clear()
        self.take({o.attribute: parsed.values[o.attribute] for o in self.own_options()})

    @classmethod
    def own_options(cls) -> tuple[Option, ...]:
        """The options of this format."""
        others = {o.key for o in SHARED}
        return tuple(o for o in cls.options.options if o.key not in others)

    def take(self, own: Mapping[str, Any]) -> None:
        """Take the values of `own_options`, by attribute."""
        raise NotImplementedError

    def text_of(self, schema: Schema) -> SchemaText:
        """*schema* in this format. Raises ConvertError."""
        raise NotImplementedError

    def misfit(self, ours: SchemaText, theirs: str) -> str | None:
        """Why values of our schema cannot be written under the registered schema *theirs*; None if they can. Raises
        ValueError if *theirs* is no schema of this format."""
        raise NotImplementedError

    def changes(self, ours: SchemaText, theirs: str) -> str | None:
        """How our schema differs from the earlier one *theirs*, for people. Raises ValueError as `misfit`."""
        return self.misfit(ours, theirs)

    def frame(self, schema_id: int, ours: SchemaText, registered: str | None) -> bytes:
        """The bytes before a value. *registered*: the text under the id, None if it is ours."""
        return b"\0" + schema_id.to_bytes(4, "big")

    def check(self) -> None:
        """Check that the registry answers. Raises RegistryError."""
        self._registry.check()

    def metrics(self) -> dict[str, float]:
        return {f"cdc_registry_{name}_total": value for name, value in self._registry.counts().items()}

    def close(self) -> None:
        self._registry.close()

    def schema_text(self, schema_id: int) -> str:
        """The text registered under *schema_id*. Raises RegistryError."""
        return self._registry.schema_text(schema_id)

    def schema_id(self, topic: str, schema: Schema) -> int:
        """The id that values of *schema* are written under. The first call registers it, looks it up or checks it."""
        return self.find(topic, schema).schema_id

    def find(self, topic: str, schema: Schema) -> Known:
        """Id and prefix of *schema* for *topic*. Raises ConvertError, RegistryError."""
        key = (topic, id(schema))
        found = self._known.get(key)
        if found is None:
            found = self._ask(topic, schema)
            if len(self._known) >= MAX_SCHEMAS:
                del self._known[next(iter(self._known))]
            self._known[key] = found
        return found

    def named_text(self, topic: str, schema: Schema) -> SchemaText:
        """*schema* in this format; an error names the *topic*. Raises ConvertError."""
        try:
            return self.text_of(schema)
        except ConvertError as exc:
            exc.context.setdefault("topic", topic)
            raise

    def _ask(self, topic: str, schema: Schema) -> Known:
        ours = self.named_text(topic, schema)
        subject = self._subjects.name(topic, ours.record)
        registered = None
        s = self.serializer
        if s.auto_register_schemas:
            number = self._register(subject, ours)
        elif s.use_schema_id >= 0:
            number, registered = s.use_schema_id, self._registry.schema_text(s.use_schema_id)
        elif s.use_latest_version:
            number, registered = self._registry.latest(subject)
        else:
            number = self._registry.lookup(subject, ours.text, s.normalize_schemas, self.schema_type)
        if registered is not None:
            self._must_fit(number, registered, ours, subject)
        return Known(schema, number, self.frame(number, ours, registered), ours.made)

    def _register(self, subject: str, ours: SchemaText) -> int:
        try:
            return self._registry.register(subject, ours.text, self.serializer.normalize_schemas, self.schema_type)
        except RegistryRefusedError as exc:
            if exc.context.get("status") == 409:
                raise RegistryRefusedError(exc.message, hint=_CHOICES, **exc.context,
                                           difference=self._difference(subject, ours)) from exc
            raise

    def _difference(self, subject: str, ours: SchemaText) -> str | None:
        """How *ours* differs from the subject's latest schema; None if that cannot be told."""
        try:
            return self.changes(ours, self._registry.latest(subject)[1])
        except (RegistryError, ValueError):
            return None

    def _must_fit(self, number: int, registered: str, ours: SchemaText, subject: str) -> None:
        try:
            difference = self.misfit(ours, registered)
        except ValueError as exc:
            raise ConvertError(f"the registered schema is not {_NAMES[self.schema_type]}", subject=subject,
                               schema_id=number) from exc
        if difference is not None:
            raise ConvertError(f"the registered schema differs from the table's: {difference}", subject=subject,
                               schema_id=number, hint="Register the table's schema under the subject, or set "
                                                      "auto.register.schemas=true.")


_NAMES: Final = {"AVRO": "Avro", "JSON": "a JSON Schema", "PROTOBUF": "Protobuf"}
