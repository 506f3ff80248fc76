"""The keys of the outbox EventRouter (Debezium docs, "Outbox Event Router"; `EventRouterConfigDefinition`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from cdc.config.former import Former
from cdc.config.options import option, settings
from cdc.config.regex import JavaRegex
from cdc.config.table import OptionTable

from ..predicates import java_regex

_TRACING: Final = "nothing is traced here"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one more column of the outbox table goes, and how it is called there. *where*: `header`, `envelope`,
    `partition`."""

    column: str
    where: str
    alias: str


def _placements(text: str) -> tuple[Placement, ...]:
    return tuple(_placement(item) for item in text.split(",") if item.strip())


def _placement(item: str) -> Placement:
    parts = [part.strip() for part in item.split(":")]
    if len(parts) not in (2, 3):
        raise ValueError(f"{item.strip()!r} is neither column:where nor column:where:alias")
    where = parts[1].lower()
    if where not in ("header", "envelope", "partition"):
        raise ValueError(f"{parts[1]!r} is no place; places are header, envelope, partition")
    return Placement(parts[0], where, parts[2] if len(parts) == 3 else parts[0])


@settings
class OutboxConfig:
    """The keys of EventRouter."""

    table_field_event_id: str = option(
        "table.field.event.id", default="id", importance="LOW", group="Table",
        doc="The column with the event's id; it becomes the header id.")
    table_field_event_key: str = option(
        "table.field.event.key", default="aggregateid", importance="LOW", group="Table",
        doc="The column that becomes the record's key.")
    table_field_event_type: str = option(
        "table.field.event.type", default="type", importance="LOW", group="Table",
        doc="Has no effect, as in Debezium: place the column with table.fields.additional.placement.")
    table_field_event_payload: str = option(
        "table.field.event.payload", default="payload", importance="LOW", group="Table",
        doc="The column that becomes the record's value.")
    table_field_event_timestamp: str | None = option(
        "table.field.event.timestamp", default=None, group="Table",
        doc="The column, a timestamp without time zone, that becomes the record's timestamp. Without it, the time at "
            "which the connector handled the event.")
    table_fields_additional_placement: tuple[Placement, ...] = option(
        "table.fields.additional.placement", default=None, importance="HIGH", group="Table", convert=_placements,
        doc="More columns for the record: column:where or column:where:alias, separated by commas. where is header, "
            "envelope (the value becomes a struct with payload and these columns) or partition.")
    table_field_additional_missing: Literal["error", "ignore"] = option(
        "table.field.additional.missing", default="error", one_of=("error", "ignore"), group="Table",
        doc="What happens if such a column is missing.")
    table_field_event_schema_version: str | None = option(
        "table.field.event.schema.version", default=None, importance="LOW", group="Table",
        doc="The column with the version of the value's schema, if the value is a struct with payload.")
    table_op_invalid_behavior: Literal["warn", "error", "fatal"] = option(
        "table.op.invalid.behavior", default="warn", one_of=("warn", "error", "fatal"), group="Table",
        doc="What an update of the outbox table does: warn and error log it and drop the event, fatal fails.")
    table_expand_json_payload: bool = option(
        "table.expand.json.payload", "BOOLEAN", default="false", group="Table",
        doc="Turn a JSON text into a struct or an array, with a schema made from it. A text that is no JSON stays.")
    table_json_payload_null_behavior: Literal["ignore", "optional_bytes"] = option(
        "table.json.payload.null.behavior", default="ignore", one_of=("ignore", "optional_bytes"), group="Table",
        doc="Whether a member that is null is left out, or is a field of type bytes.")
    table_json_payload_empty_array_behavior: Literal["ignore", "optional_string"] = option(
        "table.json.payload.empty.array.behavior", default="ignore", one_of=("ignore", "optional_string"),
        group="Table", doc="Whether a member that is an empty array is left out, or is an array of texts.")
    field_name_adjustment_mode: str = option(
        "field.name.adjustment.mode", default="none", one_of=("none", "avro", "avro_unicode"), importance="LOW",
        group="Table", doc="How names of JSON members become names of fields.")
    route_by_field: str = option(
        "route.by.field", default="aggregatetype", importance="HIGH", group="Router",
        doc="The column that chooses the topic.")
    route_topic_regex: JavaRegex = option(
        "route.topic.regex", default="(?<routedByValue>.*)", importance="LOW", group="Router", convert=java_regex,
        doc="Matches that column's value.")
    route_topic_replacement: str = option(
        "route.topic.replacement", default="outbox.event.${routedByValue}", importance="HIGH", group="Router",
        doc="The topic's name, with groups of the regex.")
    route_tombstone_on_empty_payload: bool = option(
        "route.tombstone.on.empty.payload", "BOOLEAN", default="false", importance="HIGH", group="Router",
        doc="Whether an event with an empty payload becomes a tombstone.")

    tracing_span_context_field: str = option(
        "tracing.span.context.field", default="tracingspancontext", importance="HIGH", group="Tracing", effect="inert",
        why=_TRACING, doc="The column with the context of the trace.")
    tracing_operation_name: str = option(
        "tracing.operation.name", default="debezium-read", importance="HIGH", group="Tracing", effect="inert",
        why=_TRACING, doc="The name of the operation in the trace.")
    tracing_with_context_field_only: bool = option(
        "tracing.with.context.field.only", "BOOLEAN", default="false", importance="HIGH", group="Tracing",
        effect="inert", why=_TRACING, doc="Trace only events that have a context.")


OPTIONS = OptionTable.of(OutboxConfig, formers=(
    Former("table.field.schema.version", since="3", why="Set table.field.event.schema.version."),
    Former("debezium.op.invalid.behavior", since="3", why="Set table.op.invalid.behavior."),
))
