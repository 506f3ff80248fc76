"""Schemas of events: envelope, row, key, transaction metadata, heartbeat, logical decoding message.

Debezium docs, "Data change events", "Transaction metadata", "Heartbeat"; Debezium sources: Envelope, SchemaFactory,
TableSchemaBuilder. Field order is part of the contract: a value is a tuple in that order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cdc.core.errors import ConfigError
from cdc.core.schema import ARRAY, BYTES, INT64, MAP, STRING, STRUCT, Field, Schema, optional, struct
from cdc.core.table import Column, TableId, TableSchema

from .naming import Adjuster, TopicNaming

_STRING: Final = Schema(STRING)
_INT64: Final = Schema(INT64)
_OPTIONAL_STRING: Final = optional(STRING)
_OPTIONAL_INT64: Final = optional(INT64)
_OPTIONAL_TEXTS: Final = Schema(MAP, optional=True, keys=_STRING, items=_STRING)

ENVELOPE_VERSION: Final = 2

SNAPSHOT_MARKER: Final = Schema(
    STRING, optional=True, name="io.debezium.data.Enum", version=1, default="false",
    parameters=(("allowed", "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"),),
)
"""The `snapshot` field of a source block. Null while streaming, which is then written as its default."""

TRANSACTION_BLOCK: Final = struct("event.block", (
    ("id", _STRING), ("total_order", _INT64), ("data_collection_order", _INT64),
), version=1, optional=True)
"""The `transaction` field of an envelope; its name is never adjusted."""

_EVENT_COLLECTION: Final = struct("event.collection", (
    ("data_collection", _STRING), ("event_count", _INT64),
), version=1, optional=True)


def source_schema(name: str, fields: Iterable[tuple[str, Schema]]) -> Schema:
    """A source block: the fields of all connectors, then the connector's own *fields*. *name* is used unchanged."""
    return struct(name, (
        ("version", _STRING), ("connector", _STRING), ("name", _STRING), ("ts_ms", _INT64),
        ("snapshot", SNAPSHOT_MARKER), ("db", _STRING), ("sequence", _OPTIONAL_STRING),
        ("ts_us", _OPTIONAL_INT64), ("ts_ns", _OPTIONAL_INT64), *fields,
    ), version=1)


def postgres_source_schema(adjust: Adjuster) -> Schema:
    return source_schema(adjust("io.debezium.connector.postgresql.Source"), (
        ("schema", _STRING), ("table", _STRING), ("txId", _OPTIONAL_INT64), ("lsn", _OPTIONAL_INT64),
        ("xmin", _OPTIONAL_INT64), ("origin", _OPTIONAL_STRING), ("origin_lsn", _OPTIONAL_INT64),
    ))


def make_table_schema(id: TableId, topic: str, columns: Sequence[Column], key_columns: Sequence[Column],
                      source: Schema, naming: TopicNaming) -> TableSchema:
    """All schemas of one table at one version of its structure.

    *columns* are the captured ones in row order, *key_columns* the key's in key order, filtered ones included.
    A table without key columns still has a key schema when *naming* adds a constant key field. Raises ConfigError
    when two columns end up with one field name.
    """
    adjust = naming.schema_name
    constant = naming.key_constant(id)
    value = row_schema(adjust(f"{topic}.Value"), ((column.field, column.schema) for column in columns), id)
    key = None
    if key_columns or constant:
        key = row_schema(adjust(f"{topic}.Key"), (
            *((column.field, column.key_schema) for column in key_columns),
            *((name, _STRING) for name, _ in constant),
        ), id, required=True)
    return TableSchema(id, topic, tuple(columns), tuple(key_columns), key, value,
                       envelope_schema(adjust(f"{topic}.Envelope"), value, source), constant)


def row_schema(name: str, fields: Iterable[tuple[str, Schema]], id: TableId, *, required: bool = False) -> Schema:
    """`….Value` (optional) or `….Key` (*required*); neither has a version."""
    pairs = tuple(fields)
    names = [field for field, _ in pairs]
    twice = sorted({field for field in names if names.count(field) > 1})
    if twice:
        raise ConfigError(f"Columns of {id} have the same field name after adjustment: {', '.join(twice)}.",
                          option="field.name.adjustment.mode",
                          hint="Use avro_unicode, or leave one of them out with column.exclude.list.")
    return Schema(STRUCT, name=name, optional=not required, fields=tuple(Field(n, s) for n, s in pairs))


def envelope_schema(name: str, row: Schema, source: Schema) -> Schema:
    return struct(name, (
        ("before", row), ("after", row), ("source", source), ("transaction", TRANSACTION_BLOCK), ("op", _STRING),
        ("ts_ms", _OPTIONAL_INT64), ("ts_us", _OPTIONAL_INT64), ("ts_ns", _OPTIONAL_INT64),
    ), version=ENVELOPE_VERSION)


def transaction_key_schema(adjust: Adjuster) -> Schema:
    """Value: `(id,)`."""
    return struct(adjust("io.debezium.connector.common.TransactionMetadataKey"), (("id", _STRING),), version=1)


def transaction_value_schema(adjust: Adjuster) -> Schema:
    """Value: `(status, id, event_count, [(data_collection, event_count)…], ts_ms)`; counts and list null at BEGIN."""
    return struct(adjust("io.debezium.connector.common.TransactionMetadataValue"), (
        ("status", _STRING), ("id", _STRING), ("event_count", _OPTIONAL_INT64),
        ("data_collections", Schema(ARRAY, optional=True, items=_EVENT_COLLECTION)), ("ts_ms", _INT64),
    ), version=1)


def heartbeat_key_schema(adjust: Adjuster) -> Schema:
    """Value: `(topic prefix,)`."""
    return struct(adjust("io.debezium.connector.common.ServerNameKey"), (("serverName", _STRING),), version=1)


def heartbeat_value_schema(adjust: Adjuster) -> Schema:
    """Value: `(now in ms,)`."""
    return struct(adjust("io.debezium.connector.common.Heartbeat"), (("ts_ms", _INT64),), version=1)


def notification_key_schema(adjust: Adjuster) -> Schema:
    """Value: `(id,)`."""
    return struct(adjust("io.debezium.connector.common.NotificationKey"), (("id", _STRING),), version=1)


def notification_value_schema(adjust: Adjuster) -> Schema:
    """Value: `(id, type, aggregate_type, additional data, ms since 1970)`."""
    return struct(adjust("io.debezium.connector.common.Notification"), (
        ("id", _STRING), ("type", _STRING), ("aggregate_type", _STRING), ("additional_data", _OPTIONAL_TEXTS),
        ("timestamp", _INT64),
    ), version=1)


def message_key_schema(adjust: Adjuster) -> Schema:
    """Value: `(prefix,)`."""
    return struct(adjust("io.debezium.connector.postgresql.MessageKey"), (("prefix", _OPTIONAL_STRING),), version=1)


def message_value_schema(adjust: Adjuster, source: Schema, binary_handling_mode: str = "bytes") -> Schema:
    """Value: `("m", ts_ms, source, transaction block, (prefix, content))`, *content* as *binary_handling_mode* says."""
    content = optional(BYTES if binary_handling_mode == "bytes" else STRING)
    return struct(adjust("io.debezium.connector.postgresql.MessageValue"), (
        ("op", _STRING), ("ts_ms", _OPTIONAL_INT64), ("source", source), ("transaction", TRANSACTION_BLOCK),
        ("message", struct(adjust("io.debezium.connector.postgresql.Message"),
                           (("prefix", _OPTIONAL_STRING), ("content", content)), version=1)),
    ), version=1)
