"""The keys of Debezium's CloudEventsConverter, without the converter's prefix.

Source: Debezium documentation, "Configuration of the Debezium CloudEvents converter"; `CloudEventsConverterConfig`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from cdc.config.options import Option, option, settings
from cdc.config.table import OptionTable
from cdc.core.late_regex import late_regex

HEADER: Final = "header"
VALUE: Final = "value"
GENERATE: Final = "generate"
_FIELDS: Final = ("id", "type", "traceparent", "dataSchemaName")


class Sources(NamedTuple):
    """`metadata.source`: where the metadata comes from, `value` or `header`; and each of four fields, `generate` or
    `header`."""

    metadata: str
    id: str
    type: str
    traceparent: str
    data_schema_name: str


def _sources(text: str) -> Sources:
    """Raises ValueError."""
    first, *pairs = [part.strip() for part in text.split(",")]
    metadata = first.lower()
    if metadata not in (VALUE, HEADER):
        raise ValueError(f"it begins with {VALUE} or {HEADER}")
    found = dict.fromkeys(_FIELDS, HEADER if metadata == HEADER else GENERATE)
    for pair in pairs:
        name, _, source = (part.strip() for part in pair.partition(":"))
        if name not in _FIELDS or source.lower() not in (GENERATE, HEADER):
            raise ValueError(f"{pair!r} is none of {', '.join(_FIELDS)} with :{GENERATE} or :{HEADER}")
        found[name] = source.lower()
    return Sources(metadata, *found.values())


DEFAULT_SOURCES: Final = "value,id:generate,type:generate,traceparent:header,dataSchemaName:generate"


@settings
class CloudEventsSettings:
    """The keys with a value of their own; `json.*` and `avro.*` are for the converters within."""

    serializer_type: str = option("serializer.type", default="json", one_of=("json", "avro"), importance="HIGH",
                                  doc="Format of the event.")
    data_serializer_type: str = option("data.serializer.type", default="json", one_of=("json", "avro"),
                                       importance="HIGH", doc="Format of the event's data.")
    extension_attributes_enable: bool = option(
        "extension.attributes.enable", "BOOLEAN", default="true", importance="HIGH",
        doc="Write operation, source and transaction as extension attributes, iodebezium….")
    opentelemetry_tracing_attributes_enable: bool = option(
        "opentelemetry.tracing.attributes.enable", "BOOLEAN", default="false", importance="HIGH",
        doc="Write the header traceparent as the event's traceparent.")
    schema_name_adjustment_mode: str = option(
        "schema.name.adjustment.mode", default="avro", one_of=("avro", "avro_unicode", "none"), importance="LOW",
        doc="How the name of the event's Avro schema is made legal.")
    schema_cloudevents_name: str | None = option(
        "schema.cloudevents.name", default=None, importance="LOW",
        doc="Name of the event's Avro schema; by default server.database.CloudEvents.Envelope.")
    schema_data_name_source_header_enable: bool = option(
        "schema.data.name.source.header.enable", "BOOLEAN", default="false", importance="LOW",
        doc="Take the name of the data's schema from the header dataSchemaName, if metadata.source says so.")
    metadata_source: Sources = option(
        "metadata.source", default=DEFAULT_SOURCES, importance="HIGH", convert=_sources,
        doc="Where metadata comes from, value or header; then a source for id, type, traceparent, dataSchemaName.")


JSON: Final = Option(key="json.*", pattern=late_regex(r"json\.(.+)"), doc="A key of the JsonConverter.")
AVRO: Final = Option(key="avro.*", pattern=late_regex(r"avro\.(.+)"), private=True,
                     doc="A key of the AvroConverter, Confluent's (avro.schema.registry.url) or Apicurio's"
                         " (avro.apicurio.registry.url).")
OPTIONS: Final = OptionTable.of(CloudEventsSettings, JSON, AVRO)
