"""Apicurio's converters, `io.apicurio.registry.utils.converter.AvroConverter` and `ExtJsonConverter`.

Their schemas are those of Confluent's AvroConverter and of Kafka's JsonConverter; which ids are written, and where,
is Apicurio's own. Source: Apicurio/apicurio-registry, `AvroConverter`, `ExtJsonConverter`, `DefaultSchemaResolver`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdc.config.options import Option, option, settings
from cdc.config.table import OptionTable
from cdc.converters.avro.converter import AvroConverter
from cdc.converters.avro.schemaless import ANYTHING
from cdc.converters.avro_json import JsonForm, JsonPrinter
from cdc.converters.json import JsonConverter, schema_json
from cdc.converters.json_values import dump
from cdc.converters.registry.exchange import Stop
from cdc.converters.registry.serializer import MAX_SCHEMAS, Known, SchemaText
from cdc.core.errors import ConvertError
from cdc.core.schema import Schema

from .client import Artifact, ArtifactRegistry, Ids, MockArtifacts, open_artifacts
from .framing import Framing, FramingSettings
from .settings import (
    COMMON,
    QUALIFIED,
    RECORD,
    SIMPLE_TOPIC,
    TOPIC_RECORD,
    ApicurioSettings,
)


@settings
class ApicurioAvroSettings:
    """The keys of Apicurio's `AvroDataConfig` and `AvroSerdeConfig`, without the converter's prefix."""

    connect_meta_data: bool = option("connect.meta.data", "BOOLEAN", default="true", importance="LOW",
                                     doc="Write Connect's names, versions and parameters into the Avro schema.")
    enhanced_avro_schema_support: bool = option(
        "enhanced.avro.schema.support", "BOOLEAN", default="false", importance="LOW", effect="inert",
        why="no schema here has enums", doc="Keep Avro's enums and packages.")
    apicurio_registry_avro_encoding: str = option(
        "apicurio.registry.avro.encoding", default="BINARY", one_of=("BINARY",), importance="LOW",
        doc="How values are encoded.")


_IN_JSON = "as with Apicurio's ExtJsonConverter, the content's id is schemaId in the JSON"


@settings
class ExtJsonSettings:
    """The keys of Kafka's JsonConverter that the ExtJsonConverter passes on, without the converter's prefix."""

    decimal_format: str = option("decimal.format", default="BASE64", one_of=("BASE64", "NUMERIC"), importance="LOW",
                                 doc="BASE64: decimals are base64 text of their bytes. NUMERIC: they are numbers.")
    replace_null_with_default: bool = option("replace.null.with.default", "BOOLEAN", default="true", importance="LOW",
                                             doc="Write a null field as its schema's default.")
    apicurio_registry_use_id: str = option(
        "apicurio.registry.use-id", default="contentId", importance="LOW", effect="inert", why=_IN_JSON,
        doc="Which id is written.")
    apicurio_registry_id_handler: str = option(
        "apicurio.registry.id-handler", "CLASS", default="", importance="LOW", effect="inert", why=_IN_JSON,
        doc="Class that writes the id.")
    apicurio_registry_headers_enabled: bool = option(
        "apicurio.registry.headers.enabled", "BOOLEAN", default="false", importance="LOW", effect="inert", why=_IN_JSON,
        doc="Write the id into a header.")


_FRAMING = OptionTable.of(FramingSettings).options
AVRO_OPTIONS = OptionTable.of(ApicurioAvroSettings, *_FRAMING, *COMMON)
EXT_JSON_OPTIONS = OptionTable.of(ExtJsonSettings, *COMMON)


class Artifacts:
    """The ids that schemas have in the registry, for one side, key or value. It blocks while it waits for the registry;
    *stop* ends the wait."""

    def __init__(self, kind: str, stop: Stop | None) -> None:
        self._kind = kind
        self._stop = stop
        self._is_key = False
        self._settings = ApicurioSettings(apicurio_registry_url="mock://none")
        self.registry: ArtifactRegistry = MockArtifacts()

    def configure(self, values: Mapping[str, Any], is_key: bool) -> None:
        self._settings = ApicurioSettings(**{o.attribute: values[o.attribute] for o in COMMON})
        self._is_key = is_key
        self.registry = open_artifacts(self._settings, self._stop)

    def ids(self, topic: str, schema: SchemaText, misfit: Any) -> Ids:
        """The ids of *schema*, as the settings say. *misfit* says why values cannot be written under another text."""
        s = self._settings
        artifact = self._artifact(topic, schema.record)
        if s.apicurio_registry_auto_register:
            return self.registry.create(artifact, schema.text)
        if s.apicurio_registry_find_latest or s.apicurio_registry_artifact_version:
            ids, text = self.registry.version(artifact, s.apicurio_registry_artifact_version)
            difference = misfit(schema, text)
            if difference is not None:
                raise ConvertError(f"the registered schema differs from the table's: {difference}",
                                   artifact=artifact.name, global_id=ids.global_id,
                                   hint="Register the table's schema, or set apicurio.registry.auto-register=true.")
            return ids
        return self.registry.find(artifact, schema.text)

    def metrics(self) -> dict[str, float]:
        return {f"cdc_registry_{name}_total": value for name, value in self.registry.counts().items()}

    def _artifact(self, topic: str, record: str | None) -> Artifact:
        s = self._settings
        strategy = s.apicurio_registry_artifact_resolver_strategy
        group, name = "default", f"{topic}-{'key' if self._is_key else 'value'}"
        if strategy == SIMPLE_TOPIC:
            name = topic
        elif strategy in (RECORD, TOPIC_RECORD, QUALIFIED):
            if record is None:
                raise ConvertError(f"{strategy} works only for records with a name", topic=topic,
                                   hint="Use TopicIdStrategy.")
            space, _, short = record.rpartition(".")
            name = record if strategy == QUALIFIED else short
            group = space or "default" if strategy != QUALIFIED else group
            name = f"{topic}-{name}" if strategy == TOPIC_RECORD else name
        return Artifact(s.apicurio_registry_artifact_group_id or group,
                        s.apicurio_registry_artifact_artifact_id or name, self._kind)


class ApicurioAvroConverter(AvroConverter):
    """Magic byte, id and Avro, or Avro alone and the id in a header. One side, key or value; not for use from several
    threads."""

    options = AVRO_OPTIONS
    schema_text: Any = None
    """Who wants a schema by its id in Confluent's format finds that there is no way here."""

    def __init__(self, stop: Stop | None = None) -> None:
        super().__init__(stop)
        self.artifacts = Artifacts("AVRO", stop)
        self.framing = Framing(FramingSettings(), False)

    @classmethod
    def own_options(cls) -> tuple[Option, ...]:
        return OptionTable.of(ApicurioAvroSettings).options + _FRAMING

    def configure(self, settings: Mapping[str, str], is_key: bool) -> None:
        """Take *settings*, without the converter's prefix. Does not contact the registry. Raises ConfigError."""
        parsed = AVRO_OPTIONS.parse(settings, partial=True)
        parsed.check("Apicurio's AvroConverter")
        self.artifacts.configure(parsed.values, is_key)
        self.framing = Framing(FramingSettings(**{o.attribute: parsed.values[o.attribute] for o in _FRAMING}), is_key)
        if self.framing.in_headers:
            self.headers_of = self._headers_of
        self._known.clear()
        self.take({"connect_meta_data": parsed.values["connect_meta_data"]})

    def _ask(self, topic: str, schema: Schema) -> Known:
        ours = self.named_text(topic, schema)
        ids = self.artifacts.ids(topic, ours, self.misfit)
        return Known(schema, self.framing.id(ids), self.framing.prefix(ids), ours.made)

    def _headers_of(self, topic: str, schema: Schema | None) -> list[tuple[str, bytes]]:
        """As `core.interfaces.WritesHeaders`, for ids in headers."""
        return self.framing.headers(self.find(topic, ANYTHING if schema is None else schema).schema_id)

    def check(self) -> None:
        """Check that the registry answers. Raises RegistryError."""
        self.artifacts.registry.check()

    def metrics(self) -> dict[str, float]:
        return self.artifacts.metrics()

    def close(self) -> None:
        self.artifacts.registry.close()


class ExtJsonConverter(JsonConverter):
    """`{"schemaId":…,"payload":…}`: the schema's content id, and the value as the JsonConverter writes it. One side,
    key or value; not for use from several threads."""

    def __init__(self, stop: Stop | None = None) -> None:
        super().__init__(stop)
        self.artifacts = Artifacts("KCONNECT", stop)
        self._framed_by: dict[tuple[str, int], tuple[Schema, bytes]] = {}

    def configure(self, settings: Mapping[str, str], is_key: bool) -> None:
        """Take *settings*, without the converter's prefix. Does not contact the registry. Raises ConfigError."""
        parsed = EXT_JSON_OPTIONS.parse(settings, partial=True)
        parsed.check("ExtJsonConverter")
        self.artifacts.configure(parsed.values, is_key)
        self._framed_by.clear()
        passed = {key: settings[key] for key in ("decimal.format", "replace.null.with.default") if key in settings}
        super().configure({"schemas.enable": "false", **passed}, is_key)

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        """None for a null without a schema, which registers nothing. Raises ConvertError, RegistryError."""
        if schema is None:
            if value is None:
                return None
            raise ConvertError("the value has no schema, and the ExtJsonConverter has none for it", topic=topic,
                               hint="Use the JsonConverter for such values.")
        data = super().from_connect(topic, schema, value)
        assert data is not None
        return self._before(topic, schema) + data + b"}"

    def printer(self, topic: str, schema: Schema) -> JsonPrinter:
        """Prints the Avro bytes of values of *schema* as `from_connect` prints the values. Raises RegistryError."""
        form = JsonForm(self._values.numeric, self._values.replace_nulls, self._default)
        return JsonPrinter(schema, form, self._before(topic, schema), b"}")

    def _before(self, topic: str, schema: Schema) -> bytes:
        key = (topic, id(schema))
        found = self._framed_by.get(key)
        if found is None:
            text = schema_json(schema, lambda each: dump(self._values.convert(each)(each.default)).decode())
            ids = self.artifacts.ids(topic, SchemaText(text, schema.name), _differ)
            found = (schema, b'{"schemaId":%d,"payload":' % ids.content_id)
            if len(self._framed_by) >= MAX_SCHEMAS:
                del self._framed_by[next(iter(self._framed_by))]
            self._framed_by[key] = found
        return found[1]

    def check(self) -> None:
        """Check that the registry answers. Raises RegistryError."""
        self.artifacts.registry.check()

    def metrics(self) -> dict[str, float]:
        return self.artifacts.metrics()

    def close(self) -> None:
        self.artifacts.registry.close()


def _differ(ours: SchemaText, theirs: str) -> str | None:
    """JSON says itself what it is, so that every registered schema will do."""
    return None
