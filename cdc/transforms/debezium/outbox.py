"""EventRouter: rows of an outbox table as the events that they hold.

Debezium sources: `io.debezium.transforms.outbox.EventRouterDelegate`; Debezium docs, "Outbox Event Router".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cdc.config.replacement import check_replacement, rewrite
from cdc.core.record import DELETE, UPDATE
from cdc.core.schema import INT32, INT64, STRING, STRUCT, Field, Schema
from cdc.core.view import RecordView, places
from cdc.debezium.naming import field_adjuster
from cdc.log import get_logger

from ..part import configured
from .envelope import (
    AFTER,
    defaulted,
    event_ms,
    failed,
    index_of,
    is_envelope,
    operation,
    require_struct,
    row_of,
    typed,
)
from .json_payload import JsonShapes, NotJson, parse
from .outbox_options import OPTIONS, OutboxConfig, Placement

log = get_logger(__name__)

_PER_MS: Final = {"io.debezium.time.Timestamp": 1, "io.debezium.time.MicroTimestamp": 1_000,
                  "io.debezium.time.NanoTimestamp": 1_000_000}
"""Units of a timestamp column in a millisecond, by the name of its schema."""
_MAX_SCHEMAS: Final = 10_000
_CONNECT_EXCEPTION: Final = "org.apache.kafka.connect.errors.ConnectException"


class EventRouter:
    """Turns an insert into the event that the row holds. Deletes and tombstones are dropped; an update is an error of
    the application, handled as `table.op.invalid.behavior` says. Records that are no row changes stay as they are."""

    options = OPTIONS

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Raises ConfigError."""
        self._config = config = configured(OutboxConfig, OPTIONS, settings, "EventRouter")
        check_replacement("route.topic.replacement", config.route_topic_regex, config.route_topic_replacement)
        self._envelope = any(each.where == "envelope" for each in config.table_fields_additional_placement)
        self._json = JsonShapes(null_fields=config.table_json_payload_null_behavior == "optional_bytes",
                                empty_arrays=config.table_json_payload_empty_array_behavior == "optional_string",
                                adjust=field_adjuster(config.field_name_adjustment_mode))
        self._expanded_schemas: dict[Schema, Schema] = {}
        self._struct_schemas: dict[Any, Schema] = {}

    def apply(self, view: RecordView) -> RecordView | None:
        """Raises TransformError."""
        if view.is_tombstone:
            return None
        if not is_envelope(view.value_schema):
            return view
        op = operation(view)
        if op == DELETE:
            return None
        if op == UPDATE:
            self._unexpected(view)
            return None
        schema, row = row_of(view, AFTER)
        schema = require_struct(schema, row, "Read Outbox Event")
        self._route(view, schema, row)
        return view

    def _unexpected(self, view: RecordView) -> None:
        behavior = self._config.table_op_invalid_behavior
        if behavior == "fatal":
            raise failed("Unexpected update message received, fail.", "java.lang.IllegalStateException",
                         hint="Rows of an outbox table are inserted and deleted, never updated. To drop such events, "
                              "set table.op.invalid.behavior=warn.")
        say = log.error if behavior == "error" else log.warning
        say("an update of the outbox table is dropped, because its rows may only be inserted and deleted",
            topic=view.topic)

    def _route(self, view: RecordView, schema: Schema, row: tuple[Any, ...]) -> None:
        config = self._config
        payload_name = config.table_field_event_payload
        if payload_name not in places(schema):
            raise failed(f"Unable to find payload field {payload_name} in event", _CONNECT_EXCEPTION,
                         schema=schema.name, hint="Name the column in table.field.event.payload, or apply the "
                         "transform to the outbox table only, with a predicate.")
        timestamp_ms = self._timestamp(view, schema, row)
        headers = [("id", *_column(schema, row, config.table_field_event_id))]
        value_schema: Schema | None
        value_schema, value = _column(schema, row, payload_name)
        if config.table_expand_json_payload:
            value_schema, value = self._expand(view, value_schema, value)
        empty = value is None or (isinstance(value, str) and not value.strip())
        topic = typed(schema, row, config.route_by_field, STRING)
        placed = self._placed(schema)
        if self._envelope:
            value_schema, value = self._struct(schema, row, value_schema, value, topic, placed)
        headers += [(each.alias, *_column(schema, row, each.column)) for each in placed if each.where == "header"]
        partitions = [typed(schema, row, each.column, INT32) for each in placed if each.where == "partition"]
        if empty and config.route_tombstone_on_empty_payload:
            value_schema = value = None
        key = _column(schema, row, config.table_field_event_key)
        if topic is None:
            raise failed(f"the column {config.route_by_field} is null, so the event has no topic",
                                 schema=schema.name)
        for header in headers:
            view.add_header(*header)
        view.set_key(*key)
        view.set_value(value_schema, value)
        view.topic = rewrite(config.route_topic_regex, config.route_topic_replacement, topic)
        view.kafka_partition = partitions[-1] if partitions else None
        view.timestamp_ms = timestamp_ms

    def _placed(self, schema: Schema) -> list[Placement]:
        """The additional columns that this table has. Raises TransformError for a missing one, unless such are
        ignored."""
        found = []
        for each in self._config.table_fields_additional_placement:
            if each.column in places(schema):
                found.append(each)
            elif self._config.table_field_additional_missing == "error":
                index_of(schema, each.column)
        return found

    def _timestamp(self, view: RecordView, schema: Schema, row: tuple[Any, ...]) -> int | None:
        """In ms since 1970."""
        name = self._config.table_field_event_timestamp
        if name is None:
            return event_ms(view)
        if name not in places(schema):
            raise failed(f"Unable to find timestamp field {name} in event", _CONNECT_EXCEPTION, schema=schema.name)
        found: int | None = typed(schema, row, name, INT64)
        if found is None:
            return event_ms(view)
        kind = schema.fields[places(schema)[name]].schema.name
        if kind not in _PER_MS:
            raise failed(f"Unsupported field type {kind or 'INT64 (without logical schema name)'} for event timestamp",
                         _CONNECT_EXCEPTION, schema=schema.name, field=name)
        return _quotient(found, _PER_MS[kind])

    def _expand(self, view: RecordView, schema: Schema, payload: Any) -> tuple[Schema | None, Any]:
        """The payload as a struct; a text that is no JSON stays."""
        if payload is None:
            return schema, None
        if not isinstance(payload, str):
            log.warning("table.expand.json.payload is on, but the payload is no text", topic=view.topic)
            return schema, payload
        try:
            value = parse(payload)
            found = self._json.schema(self._config.table_field_event_payload, value)
        except NotJson as exc:
            log.warning(f"the payload stays a text, because {exc}", topic=view.topic)
            return schema, payload
        if found is None:
            log.warning("the payload stays a text, because it is an empty array", topic=view.topic)
            return None, payload
        if found.type != STRUCT:
            raise failed("the payload is a JSON array, which cannot be expanded", topic=view.topic,
                                 hint="Put it into an object, or set table.expand.json.payload=false.")
        found = _interned(self._expanded_schemas, found, found)
        return found, self._json.value(found, value)

    def _struct(self, row_schema: Schema, row: tuple[Any, ...], schema: Schema | None, payload: Any, topic: str | None,
                placed: list[Placement]) -> tuple[Schema, Any]:
        """A struct with `payload` and the columns that are placed in the envelope. As in Debezium, its schema has the
        name that the first event with this type of payload (or of this version) gave it."""
        more = [each for each in placed if each.where == "envelope"]
        version_column = self._config.table_field_event_schema_version
        version = None if version_column is None else typed(row_schema, row, version_column, INT32)
        found = self._struct_schemas.get(schema if version_column is None else version)
        if found is None:
            if schema is None:
                raise failed("the payload has no schema, so it cannot be a field", topic=topic)
            fields = [Field("payload", schema)]
            fields += [Field(each.alias, row_schema.fields[places(row_schema)[each.column]].schema) for each in more]
            made = Schema(STRUCT, name=_schema_name(row_schema.name, topic), version=version, fields=tuple(fields))
            found = _interned(self._struct_schemas, schema if version_column is None else version, made)
        return found, (payload, *(defaulted(row_schema, row, each.column) for each in more))


def _interned(known: dict[Any, Schema], key: Any, schema: Schema) -> Schema:
    """The one object for schemas with this *key*: converters know schemas by identity."""
    if len(known) >= _MAX_SCHEMAS:
        known.clear()
    return known.setdefault(key, schema)


def _column(schema: Schema, row: tuple[Any, ...], name: str) -> tuple[Schema, Any]:
    """A column's schema, and its value or default. Raises TransformError if there is no such column."""
    return schema.fields[index_of(schema, name)].schema, defaulted(schema, row, name)


def _schema_name(original: str | None, topic: str | None) -> str:
    """`srv.outbox.Value` with the topic `Order` is `srv.outbox.Order.Value`."""
    head, dot, last = (original or "").rpartition(".")
    return f"{head}{dot}{topic}.{last}" if original is not None else str(topic)


def _quotient(value: int, divisor: int) -> int:
    """Java's division, which rounds towards zero."""
    return -(-value // divisor) if value < 0 else value // divisor
