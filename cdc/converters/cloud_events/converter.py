"""Debezium's CloudEventsConverter (`io.debezium.converters.CloudEventsConverter`), for values.

Source: Debezium documentation, "Exporting CloudEvents"; debezium/debezium, `CloudEventsConverter`,
`RecordAndMetadataBaseImpl`, `RecordAndMetadataHeaderImpl`. Differs in one thing: a value that is no change event is an
error, and not a message without a value, unless it is one that Debezium makes beside its events.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from cdc.converters.apicurio.converter import ApicurioAvroConverter
from cdc.converters.avro.converter import AvroConverter
from cdc.converters.avro_json import JsonForm
from cdc.converters.json import JsonConverter, schema_json
from cdc.converters.json_values import JsonValues, dump
from cdc.converters.registry.exchange import Stop
from cdc.core.errors import ConfigError, ConvertError
from cdc.core.schema import BYTES, STRUCT, Schema
from cdc.core.view import Header
from cdc.debezium.naming import schema_adjuster

from .event import (
    CONTENT_TYPES,
    SPECVERSION,
    Kind,
    Names,
    Source,
    block_values,
    data_schema,
    event_id,
    event_schema,
    event_time,
    kind_of,
)
from .reader import EnvelopeReader
from .settings import AVRO, HEADER, JSON, OPTIONS, CloudEventsSettings

MAX_EVENTS: Final = 10_000
"""How many envelope schemas are prepared; when there are more, all are made again when needed."""
_CONFLUENT: Final = "schema.registry.url"
_APICURIO: Final = "apicurio.registry.url"
_IN_HEADERS: Final = "apicurio.registry.headers.enabled"
"""Without effect, as in Debezium, which gives the converter of the data no headers: their ids stand before them."""
_BESIDE: Final = ("Heartbeat", "TransactionMetadataValue", "SchemaChangeValue")
"""How the names of the schemas end that Debezium's messages beside its events have; they have no CloudEvent."""


class Metadata(NamedTuple):
    """What an event says of itself: `source` and its reader, operation, transaction and its schema; and what headers
    give instead of what we make."""

    source: tuple[Any, ...]
    reader: Source
    operation: Any
    block_schema: Schema | None
    block: tuple[Any, ...] | None
    id: Any = None
    type: Any = None
    traceparent: Any = None


class Event(NamedTuple):
    """What is prepared for one envelope schema, connector, server and database; `envelope` keeps the schema alive,
    because its id() is part of the key."""

    envelope: Schema
    kind: Kind
    kept: tuple[str, ...]
    places: list[int]
    """The indexes of the data's fields within the envelope."""
    data: Schema
    whole: Schema
    """The event's own schema, where the data are bytes."""
    before_data: bytes
    """For JSON with a schema: the data up to their payload."""


class CloudEventsConverter:
    """The converter of values. Not for use from several threads.

    It blocks while it waits for the registry of Avro data; *stop* ends the wait.
    """

    def __init__(self, stop: Stop | None = None) -> None:
        self.settings = CloudEventsSettings()
        self._stop = stop
        self._values = JsonValues()
        self._schemas = True
        self._avro: AvroConverter | None = None
        self._urls = ""
        self._events: dict[tuple[Any, ...], Event] = {}
        self._sources: dict[int, Source] = {}

    @property
    def null_is_default(self) -> bool:
        """Write a null as the field's default, if it has one."""
        return self._avro.null_is_default if self._avro is not None else self._values.replace_nulls

    def configure(self, settings: Mapping[str, str], is_key: bool) -> None:
        """Take *settings*, without the converter's prefix. Does not contact a registry. Raises ConfigError."""
        if is_key:
            raise ConfigError("the CloudEventsConverter converts values only", option="key.converter",
                              hint="Choose another key.converter, such as the JsonConverter.")
        parsed = OPTIONS.parse(settings, partial=True)
        parsed.check("CloudEventsConverter")
        self.settings = s = CloudEventsSettings(**parsed.values)
        json = {match[1]: text for match, text in parsed.families[JSON.key]}
        avro = {match[1]: text for match, text in parsed.families[AVRO.key]}
        if s.serializer_type == "avro" and s.data_serializer_type == "json":
            raise ConfigError("data.serializer.type=json is not possible within Avro events",
                              option="data.serializer.type", hint="Set it to avro, or serializer.type to json.")
        if s.opentelemetry_tracing_attributes_enable and s.metadata_source.traceparent != HEADER:
            raise ConfigError("traceparent can only come from a header", option="metadata.source",
                              hint="Add traceparent:header, or set opentelemetry.tracing.attributes.enable=false.")
        inner = JsonConverter()
        inner.configure(json, False)
        self._schemas = inner.settings.schemas_enable
        self._values = JsonValues(inner.settings.decimal_format == "NUMERIC", inner.settings.replace_null_with_default)
        self._avro = None
        if s.data_serializer_type == "avro":
            self._avro, self._urls = _avro_converter(avro, self._stop)
        self._events.clear()
        self._sources.clear()
        self._from_headers = HEADER in (
            s.metadata_source.metadata, s.metadata_source.id, s.metadata_source.type,
            s.metadata_source.traceparent if s.opentelemetry_tracing_attributes_enable else "",
            s.metadata_source.data_schema_name if s.schema_data_name_source_header_enable else "")
        if self._from_headers:
            self.from_connect_with = self._with_headers
        else:
            self.printer = self._printer

    def check(self) -> None:
        """Check that the registry answers, if there is one. Raises RegistryError."""
        if self._avro is not None:
            self._avro.check()

    def metrics(self) -> dict[str, float]:
        return self._avro.metrics() if self._avro is not None else {}

    def close(self) -> None:
        if self._avro is not None:
            self._avro.close()

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        """The change event *value* as a CloudEvent. None for a null, and for a heartbeat, a schema change or a
        transaction's metadata. Raises ConvertError, RegistryError."""
        return self._with_headers(topic, (), schema, value)

    def _with_headers(self, topic: str, headers: Sequence[Header], schema: Schema | None, value: Any) -> bytes | None:
        """As `from_connect`; *headers* are the record's."""
        if schema is None or value is None:
            return None
        from_header = self.settings.metadata_source.metadata == HEADER
        if schema.name is not None and schema.name.endswith(_BESIDE):
            return None
        named = {header.name: header for header in headers}
        if from_header:
            if "source" not in named or "op" not in named:
                raise ConvertError("the record has no headers source and op, from which its CloudEvent is made",
                                   topic=topic, hint="Add them before with HeaderFrom, or set metadata.source=value.")
        else:
            self._must_be_an_envelope(topic, schema)
        try:
            metadata = self._metadata(schema, value, named)
            name = self._data_name(metadata, named)
            event = self._event(schema, metadata, name, () if from_header else None)
            data = tuple(value[place] for place in event.places)
            return self._made(topic, event, metadata, self._data(topic, event, data))
        except ConvertError as exc:
            exc.context.setdefault("topic", topic)
            raise
        except (TypeError, ValueError, OverflowError, AttributeError, IndexError) as exc:
            raise ConvertError("the value does not fit its schema", topic=topic, schema=schema.name,
                               cause=type(exc).__name__) from exc

    def _printer(self, topic: str, schema: Schema) -> CloudEventPrinter:
        """Makes CloudEvents of the Avro bytes of values of *schema*, an envelope. Raises ConvertError."""
        self._must_be_an_envelope(topic, schema)
        return CloudEventPrinter(self, topic, schema)

    def _must_be_an_envelope(self, topic: str, schema: Schema) -> None:
        if schema.type != STRUCT or not (schema.name or "").endswith(".Envelope"):
            raise ConvertError("the value is no change event, so that it has no CloudEvent", topic=topic,
                               schema=schema.name,
                               hint="Put no transform before that takes the row out of the event, or set"
                                    " metadata.source=header and add the headers source and op with HeaderFrom.")

    def _metadata(self, schema: Schema, value: tuple[Any, ...], headers: Mapping[str, Header]) -> Metadata:
        sources = self.settings.metadata_source
        parts: dict[str, tuple[Schema | None, Any]]
        if sources.metadata == HEADER:
            parts = {name: (header.schema, header.value) for name, header in headers.items()}
        else:
            parts = {field.name: (field.schema, item) for field, item in zip(schema.fields, value, strict=True)}
        source_schema, source = parts.get("source", (None, None))
        if source_schema is None or source_schema.type != STRUCT or source is None:
            raise ConvertError("the event has no source", schema=schema.name)
        block_schema, block = parts.get("transaction", (None, None))
        tracing = self.settings.opentelemetry_tracing_attributes_enable
        return Metadata(source, self.source(source_schema), parts["op"][1], block_schema, block,
                        _given(headers, "id") if sources.id == HEADER else None,
                        _given(headers, "type") if sources.type == HEADER else None,
                        _given(headers, "traceparent") if tracing else None)

    def source(self, schema: Schema) -> Source:
        """The reader of `source` structs of *schema*; it keeps the schema alive, because its id() is the key."""
        found = self._sources.get(id(schema))
        if found is None:
            if len(self._sources) >= MAX_EVENTS:
                self._sources.clear()
            found = self._sources[id(schema)] = Source(schema)
        return found

    def _data_name(self, metadata: Metadata, headers: Mapping[str, Header]) -> str:
        s = self.settings
        if s.schema_data_name_source_header_enable and s.metadata_source.data_schema_name == HEADER:
            return str(_given(headers, "dataSchemaName"))
        return f"io.debezium.connector.{metadata.reader.get(metadata.source, 'connector')}.Data"

    def _event(self, schema: Schema, metadata: Metadata, data_name: str, kept: tuple[str, ...] | None) -> Event:
        get = metadata.reader.get
        connector, server, database = (get(metadata.source, name) for name in ("connector", "name", "db"))
        key = (id(schema), metadata.reader, connector, server, database, data_name)
        found = self._events.get(key)
        if found is None:
            if len(self._events) >= MAX_EVENTS:
                self._events.clear()
            kind = kind_of(connector)
            kept = kind.data if kept is None else kept
            found = self._events[key] = self._prepared(schema, metadata, kind, kept, data_name, f"{server}.{database}")
        return found

    def _prepared(self, schema: Schema, metadata: Metadata, kind: Kind, kept: tuple[str, ...], data_name: str,
                  origin: str) -> Event:
        s = self.settings
        places = [index for index, field in enumerate(schema.fields) if not kept or field.name in kept]
        if len(places) < len(kept):
            raise ConvertError("the event has no before and after", schema=schema.name)
        data = data_schema(data_name, schema, kept)
        name = s.schema_cloudevents_name or f"{origin}.CloudEvents.Envelope"
        adjusted = schema_adjuster(s.schema_name_adjustment_mode)(name)
        names = Names(self._avro is not None, s.opentelemetry_tracing_attributes_enable, s.extension_attributes_enable)
        whole = event_schema(adjusted, names, metadata.reader, Schema(BYTES))
        before = b""
        if self._avro is None and self._schemas:
            text = schema_json(data, lambda each: self.default(each).decode())
            before = b'{"schema":' + text.encode() + b',"payload":'
        return Event(schema, kind, kept, places, data, whole, before)

    def default(self, schema: Schema) -> bytes:
        """A default as JSON."""
        return dump(self._values.convert(schema)(schema.default))

    def json_form(self) -> JsonForm:
        return JsonForm(self._values.numeric, self._values.replace_nulls, self.default)

    def _data(self, topic: str, event: Event, data: tuple[Any, ...]) -> bytes:
        """The data as JSON, or as Avro with its prefix."""
        if self._avro is None:
            return dump(self._values.nullable(event.data)(data))
        made = self._avro.from_connect(self.data_topic(topic), event.data, data)
        assert made is not None
        return made

    def data_topic(self, topic: str) -> str:
        """The topic under which the data's schema is registered."""
        return f"{topic}-data" if self.settings.serializer_type == "avro" else topic

    def _made(self, topic: str, event: Event, metadata: Metadata, data: bytes) -> bytes:
        """The event with *data*, which are JSON or Avro."""
        attributes = self._attributes(topic, event, metadata, data)
        if self.settings.serializer_type == "avro":
            assert self._avro is not None
            made = self._avro.from_connect(topic, event.whole, (*attributes, data))
            assert made is not None
            return made
        head = dump({field.name: value for field, value in zip(event.whole.fields, attributes, strict=False)})
        if self._avro is not None:
            data = b'"' + b64encode(data) + b'"'
        elif event.before_data:
            data = event.before_data + data + b"}"
        return head[:-1] + b',"data":' + data + b"}"

    def _attributes(self, topic: str, event: Event, metadata: Metadata, data: bytes) -> list[Any]:
        """All of the event's fields but the data, in order."""
        s = self.settings
        reader, source = metadata.reader, metadata.source
        connector = reader.get(source, "connector")
        found = [
            metadata.id or event_id(event.kind, reader, source),
            f"/debezium/{connector}/{reader.get(source, 'name')}", SPECVERSION,
            metadata.type or f"io.debezium.connector.{connector}.DataChangeEvent",
            event_time(reader.get(source, "ts_ms")), CONTENT_TYPES[s.data_serializer_type],
        ]
        if self._avro is not None:
            found.append(f"{self._urls}/schemas/ids/{int.from_bytes(data[1:5], 'big')}")
        if s.opentelemetry_tracing_attributes_enable:
            found.append(metadata.traceparent)
        if s.extension_attributes_enable:
            found += [metadata.operation, *reader.values(source), *block_values(metadata.block_schema, metadata.block)]
        return found


class CloudEventPrinter:
    """Makes CloudEvents of envelopes' Avro bytes. *owner* has the settings. Not shared between threads."""

    def __init__(self, owner: CloudEventsConverter, topic: str, schema: Schema) -> None:
        self._owner = owner
        self._topic = topic
        self._schema = schema
        self._index = {field.name: index for index, field in enumerate(schema.fields)}
        self._source = owner.source(schema.fields[self._index["source"]].schema)
        self._reader: EnvelopeReader | None = None
        self._wanted = frozenset(self._index[name] for name in ("source", "transaction", "op") if name in self._index)

    def printed(self, avro: bytes) -> bytes:
        """The CloudEvent of *avro*, one envelope. Raises ConvertError, RegistryError."""
        owner = self._owner
        reader = self._reader
        if reader is None:
            reader = self._reader = self._first(avro)
        shown, values = reader.read(avro)
        block = self._index.get("transaction")
        metadata = Metadata(values[self._index["source"]], self._source, values[self._index["op"]],
                            None if block is None else self._schema.fields[block].schema,
                            None if block is None else values[block])
        event = owner._event(self._schema, metadata, owner._data_name(metadata, {}), None)
        if owner._avro is not None:
            data = owner._avro.wire_prefix(owner.data_topic(self._topic), event.data)
            data += b"".join(avro[reader.ends[place - 1] if place else 0:reader.ends[place]] for place in event.places)
        else:
            data = shown
        return owner._made(self._topic, event, metadata, data)

    def _first(self, avro: bytes) -> EnvelopeReader:
        """A reader that prints what the connector's events have as data; the first event tells the connector."""
        source = self._index["source"]
        peek = EnvelopeReader(self._schema, self._owner.json_form(), frozenset(), frozenset((source,)))
        connector = self._source.get(peek.read(avro)[1][source], "connector")
        kept = kind_of(connector).data
        data = frozenset(index for name, index in self._index.items() if not kept or name in kept)
        return EnvelopeReader(self._schema, self._owner.json_form(), data, self._wanted)


def _given(headers: Mapping[str, Header], name: str) -> Any:
    header = headers.get(name)
    if header is None or header.value is None:
        raise ConvertError(f"the record has no header {name}, which its CloudEvent takes", header=name,
                           hint="Add it with a transform, or change metadata.source.")
    return header.value


def _avro_converter(settings: Mapping[str, str], stop: Stop | None) -> tuple[AvroConverter, str]:
    """The converter for Avro, and the addresses of its registry. Raises ConfigError."""
    key = _APICURIO if _APICURIO in settings else _CONFLUENT
    if not settings.get(key, "").strip():
        raise ConfigError("avro.schema.registry.url is missing", option="avro.schema.registry.url",
                          hint="Avro needs a Schema Registry; avro.apicurio.registry.url names one of Apicurio.")
    made = ApicurioAvroConverter(stop) if key == _APICURIO else AvroConverter(stop)
    made.configure({each: text for each, text in settings.items() if each != _IN_HEADERS}, False)
    return made, ",".join(url.strip() for url in settings[key].split(","))
