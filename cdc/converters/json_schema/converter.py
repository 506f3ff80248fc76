"""Confluent's JsonSchemaConverter (`io.confluent.connect.json.JsonSchemaConverter`): magic byte, schema id, JSON.

Source: confluentinc/schema-registry, `JsonSchemaData.fromConnectData`, `AbstractKafkaJsonSchemaSerializer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdc.config.options import option, settings
from cdc.converters.avro_json import JsonForm, JsonPrinter
from cdc.converters.json_values import JsonValues, dump
from cdc.converters.registry.exchange import Stop
from cdc.converters.registry.serializer import RegistryConverter, SchemaText, with_registry
from cdc.core.errors import ConvertError
from cdc.core.schema import Schema

from .compat import changes, first_misfit
from .schema import JsonSchemaOptions, json_schema, title

_READING = "it concerns reading only"


@settings
class JsonSchemaSettings:
    """The keys of Confluent's `JsonSchemaDataConfig` and `KafkaJsonSchemaSerializerConfig`, without the converter's
    prefix."""

    object_additional_properties: bool = option(
        "object.additional.properties", "BOOLEAN", default="true",
        doc="Let objects have further properties; false writes additionalProperties=false into the schema.")
    decimal_format: str = option("decimal.format", default="BASE64", one_of=("BASE64", "NUMERIC"), importance="LOW",
                                 doc="BASE64: decimals are base64 text of their bytes. NUMERIC: they are numbers.")
    use_optional_for_nonrequired: bool = option(
        "use.optional.for.nonrequired", "BOOLEAN", default="false", effect="inert", why=_READING,
        doc="Read properties that are not required as optional fields.")
    ignore_modern_dialects: bool = option("ignore.modern.dialects", "BOOLEAN", default="false", importance="LOW",
                                          effect="inert", why=_READING, doc="Read every schema as draft 7.")
    flatten_singleton_unions: bool = option("flatten.singleton.unions", "BOOLEAN", default="true", importance="LOW",
                                            effect="inert", why=_READING, doc="Read a union of one type as that type.")
    preserve_additional_properties: bool = option(
        "preserve.additional.properties", "BOOLEAN", default="false", effect="inert", why=_READING,
        doc="Keep properties that the schema does not have.")
    json_fail_invalid_schema: bool = option(
        "json.fail.invalid.schema", "BOOLEAN", default="false", effect="inert",
        why="values are written by the schema, so they fit it", doc="Check each value against its schema.")


OPTIONS = with_registry(JsonSchemaSettings)


class JsonSchemaConverter(RegistryConverter):
    """The converter of one side, key or value. Not for use from several threads.

    What is prepared for a schema (`Known.made`) is the function that converts its values.
    """

    options = OPTIONS
    schema_type = "JSON"

    def __init__(self, stop: Stop | None = None) -> None:
        super().__init__(stop)
        self._options = JsonSchemaOptions()
        self._values = JsonValues(entries=True)

    def take(self, own: Mapping[str, Any]) -> None:
        s = JsonSchemaSettings(**own)
        numeric = s.decimal_format == "NUMERIC"
        self._options = JsonSchemaOptions(s.object_additional_properties, numeric)
        self._values = JsonValues(numeric, self.null_is_default, entries=True)

    def text_of(self, schema: Schema) -> SchemaText:
        return SchemaText(json_schema(schema, self._options), title(schema), self._values.nullable(schema))

    def misfit(self, ours: SchemaText, theirs: str) -> str | None:
        return first_misfit(ours.text, theirs)

    def changes(self, ours: SchemaText, theirs: str) -> str | None:
        return changes(ours.text, theirs)

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        """Magic byte, schema id, and the value as JSON; a null of an optional schema is the JSON `null`. A null
        without a schema is Kafka's null and registers nothing.

        Raises ConvertError, RegistryError.
        """
        if schema is None:
            if value is None:
                return None
            raise ConvertError("the value has no schema, and the JsonSchemaConverter has none for it", topic=topic,
                               hint="Use the JsonConverter for such values.")
        if value is None and not schema.optional and (schema.default is None or not self.null_is_default):
            return None
        known = self.find(topic, schema)
        try:
            return known.prefix + dump(known.made(value))
        except ConvertError as exc:
            exc.context.setdefault("topic", topic)
            raise
        except (TypeError, ValueError, OverflowError, AttributeError) as exc:
            raise ConvertError("the value does not fit its schema", topic=topic, schema=schema.name,
                               cause=type(exc).__name__) from exc

    def printer(self, topic: str, schema: Schema) -> JsonPrinter:
        """Prints the Avro bytes of values of *schema* as `from_connect` prints the values. Raises ConvertError,
        RegistryError."""
        values = self._values
        form = JsonForm(values.numeric, values.replace_nulls,
                        lambda each: dump(values.convert(each)(each.default)), values.entries)
        return JsonPrinter(schema, form, self.find(topic, schema).prefix, b"")
