"""Confluent's AvroConverter (`io.confluent.connect.avro.AvroConverter`): magic byte, schema id, Avro.

A row plan (`plan.py`) uses only `wire_prefix` and `null_is_default`; all other values go through `from_connect`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.converters.registry import http as registry_http
from cdc.converters.registry.client import MockRegistry, SchemaRegistry, open_registry
from cdc.converters.registry.exchange import Stop
from cdc.converters.registry.subjects import FALLBACKS, TOPIC, Subjects, strategy_of
from cdc.core.avro import Writer, write_field, write_value
from cdc.core.errors import ConvertError, DecodeError
from cdc.core.schema import ARRAY, BYTES, MAP, STRUCT, Schema

from .compat import first_difference
from .schema import AvroOptions, avro_schema, record_name
from .schemaless import ANYTHING, TEXT, write_anything

MAX_SCHEMAS: Final = 20_000
"""How many schema objects have their ids kept. When there are more, the oldest is dropped; if it comes again, its text
is made again."""


def _unsupported(what: str) -> Any:
    return lambda value: f"{what} is not supported here; remove the key" if value else None


def _prefix_only(name: str) -> str | None:
    if not name or name.rpartition(".")[2] == "PrefixSchemaIdSerializer":
        return None
    return "only the schema id before the payload (PrefixSchemaIdSerializer) is supported"


@settings
class AvroSettings:
    """The keys of Confluent's `AvroConverterConfig` and `AvroDataConfig`, without the converter's prefix."""

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
    connect_meta_data: bool = option("connect.meta.data", "BOOLEAN", default="true", importance="LOW",
                                     doc="Write Connect's names, versions and parameters into the Avro schema.")
    scrub_invalid_names: bool = option("scrub.invalid.names", "BOOLEAN", default="false",
                                       doc="Replace characters that Avro does not allow in names.")
    discard_type_doc_default: bool = option("discard.type.doc.default", "BOOLEAN", default="false", importance="LOW",
                                            doc="Write a column's comment as the doc of its field.")
    ignore_default_for_nullables: bool = option("ignore.default.for.nullables", "BOOLEAN", default="false",
                                                doc="Write a null as null, even if its field has a default.")
    latest_compatibility_strict: bool = option("latest.compatibility.strict", "BOOLEAN", default="true",
                                               importance="LOW", effect="inert",
                                               why="schemas are always compared", doc="Check the latest schema.")
    id_compatibility_strict: bool = option("id.compatibility.strict", "BOOLEAN", default="true", importance="LOW",
                                           effect="inert", why="schemas are always compared", doc="Check the schema.")
    enhanced_avro_schema_support: bool = option(
        "enhanced.avro.schema.support", "BOOLEAN", default="false", importance="LOW", effect="inert",
        why="no schema here has enums", doc="Keep Avro's enums and packages.")
    generalized_sum_type_support: bool = option(
        "generalized.sum.type.support", "BOOLEAN", default="false", importance="LOW", effect="inert",
        why="no schema here has unions or enums", doc="Write unions and enums in a general form.")
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


OPTIONS = OptionTable.of(AvroSettings, *registry_http.OPTIONS.options)


class _Known(NamedTuple):
    """What we keep for a topic and schema. `schema` keeps the object alive, because its id() is part of the key."""

    schema: Schema
    schema_id: int
    prefix: bytes
    plain: bool
    """Whether `core.avro.write_field` gives the right bytes."""


class AvroConverter:
    """The converter of one side, key or value. Not for use from several threads.

    It blocks while it waits for the registry; *stop* ends the wait.
    """

    def __init__(self, stop: Stop | None = None) -> None:
        self.settings = AvroSettings()
        self.null_is_default = True
        self._stop = stop
        self._is_key = False
        self._options = AvroOptions()
        self._registry: SchemaRegistry = MockRegistry()
        self._subjects = Subjects(TOPIC, False, self._registry)
        self._known: dict[tuple[str, int], _Known] = {}
        self._out = Writer()

    def configure(self, settings: Mapping[str, str], is_key: bool) -> None:
        """Take *settings*, without the converter's prefix. Does not contact the registry. Raises ConfigError."""
        parsed = OPTIONS.parse(registry_http.unprefixed(settings), partial=True)
        parsed.check("AvroConverter")
        own = OptionTable.of(AvroSettings).options
        self.settings = s = AvroSettings(**{o.attribute: parsed.values[o.attribute] for o in own})
        self.null_is_default = not s.ignore_default_for_nullables
        self._is_key = is_key
        self._options = AvroOptions(s.connect_meta_data, s.scrub_invalid_names, s.discard_type_doc_default)
        self._registry = open_registry(settings, self._stop)
        strategy = s.key_subject_name_strategy if is_key else s.value_subject_name_strategy
        self._subjects = Subjects(strategy, is_key, self._registry, FALLBACKS[s.subject_name_strategy_fallback_type],
                                  s.subject_name_strategy_kafka_cluster_id)
        self._known.clear()

    def check(self) -> None:
        """Check that the registry answers. Raises RegistryError."""
        self._registry.check()

    def metrics(self) -> dict[str, float]:
        return {f"cdc_registry_{name}_total": value for name, value in self._registry.counts().items()}

    def close(self) -> None:
        self._registry.close()

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        """Magic byte, schema id, and the value as Avro. A null with an optional schema, or without a schema, is Kafka's
        null and registers nothing.

        Raises ConvertError, RegistryError.
        """
        if schema is None:
            if value is None:
                return None
            schema = ANYTHING
        if value is None:
            if schema.optional:
                return None
            raise ConvertError("null where the schema requires a value", topic=topic, schema=schema.name)
        known = self._find(topic, schema)
        try:
            return known.prefix + self._encoded(schema, value, known.plain)
        except (DecodeError, TypeError, ValueError, OverflowError, AttributeError) as exc:
            self._out.truncate(0)
            context = exc.context if isinstance(exc, DecodeError) else {"cause": type(exc).__name__}
            raise ConvertError("the value does not fit its schema", topic=topic, schema=schema.name,
                               **context) from exc

    def wire_prefix(self, topic: str, schema: Schema) -> bytes:
        """Magic byte 0 and the big-endian schema id. Raises ConvertError, RegistryError."""
        return self._find(topic, schema).prefix

    def schema_text(self, schema_id: int) -> str:
        """The text registered under *schema_id*. Raises RegistryError."""
        return self._registry.schema_text(schema_id)

    def schema_id(self, topic: str, schema: Schema) -> int:
        """The id that values of *schema* are written under. The first call registers it, looks it up or checks it."""
        return self._find(topic, schema).schema_id

    def _encoded(self, schema: Schema, value: Any, plain: bool) -> bytes:
        if schema.type == BYTES and not schema.optional:
            return bytes(value)  # the Java serializer writes top-level bytes without a length
        if schema is ANYTHING:
            write_anything(self._out, value)
        elif plain:
            write_field(self._out, schema, value)
        else:
            _write(self._out, schema, value, self.null_is_default)
        return self._out.take()

    def _find(self, topic: str, schema: Schema) -> _Known:
        key = (topic, id(schema))
        found = self._known.get(key)
        if found is None:
            number = self._ask(topic, schema)
            plain = self.null_is_default and not _has_struct_default(schema)
            found = _Known(schema, number, b"\0" + number.to_bytes(4, "big"), plain)
            if len(self._known) >= MAX_SCHEMAS:
                del self._known[next(iter(self._known))]
            self._known[key] = found
        return found

    def _ask(self, topic: str, schema: Schema) -> int:
        try:
            text = TEXT if schema is ANYTHING else avro_schema(schema, self._options)
        except ConvertError as exc:
            exc.context.setdefault("topic", topic)
            raise
        subject = self._subjects.name(topic, record_name(schema, self._options))
        s = self.settings
        if s.auto_register_schemas:
            return self._registry.register(subject, text, s.normalize_schemas)
        if s.use_schema_id >= 0:
            return self._checked(s.use_schema_id, self._registry.schema_text(s.use_schema_id), text, subject)
        if s.use_latest_version:
            return self._checked(*self._registry.latest(subject), text, subject)
        return self._registry.lookup(subject, text, s.normalize_schemas)

    def _checked(self, number: int, registered: str, ours: str, subject: str) -> int:
        """*number*, if our schema and the registered one give the same bytes. Raises ConvertError."""
        try:
            difference = first_difference(ours, registered)
        except ValueError as exc:
            raise ConvertError("the registered schema is not Avro", subject=subject, schema_id=number) from exc
        if difference is not None:
            raise ConvertError(f"the registered schema differs from the table's: {difference}", subject=subject,
                               schema_id=number, hint="Register the table's schema under the subject, or set "
                                                      "auto.register.schemas=true.")
        return number


def _has_struct_default(schema: Schema | None) -> bool:
    if schema is None:
        return False
    if schema.type == STRUCT and schema.optional and schema.default is not None:
        return True
    return (_has_struct_default(schema.items) or _has_struct_default(schema.keys)
            or any(_has_struct_default(field.schema) for field in schema.fields))


def _write(out: Writer, schema: Schema, value: Any, null_is_default: bool) -> None:
    """Does the same as `core.avro.write_field`, but *null_is_default* holds at every depth, and in the union of an
    optional struct null comes first, even with a default."""
    if value is None and schema.default is not None and (null_is_default or not schema.optional):
        value = schema.default
    if schema.optional:
        value_first = schema.default is not None and schema.type != STRUCT
        out.put_byte(2 if value_first == (value is None) else 0)
        if value is None:
            return
    elif value is None:
        raise DecodeError("null in a required field", field_type=schema.name or schema.type)
    if schema.type == STRUCT:
        for field, item in zip(schema.fields, value, strict=True):
            _write(out, field.schema, item, null_is_default)
    elif schema.type in (ARRAY, MAP):
        _write_block(out, schema, value, null_is_default)
    else:
        write_value(out, schema, value)


def _write_block(out: Writer, schema: Schema, value: Any, null_is_default: bool) -> None:
    assert schema.items is not None
    if value:
        out.put_long(len(value))
        for item in value:
            if schema.type == MAP:
                assert schema.keys is not None
                _write(out, schema.keys, item, null_is_default)
                _write(out, schema.items, value[item], null_is_default)
            else:
                _write(out, schema.items, item, null_is_default)
    out.put_byte(0)
