"""What all sources say alike: the head of the `source` block, transaction metadata and heartbeats.

Debezium docs, "Transaction metadata", "Heartbeat", "Data change events".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdc.codecs.java import java_hash_order
from cdc.core.control import Notification
from cdc.core.record import Message, MessageKind
from cdc.core.schema import Schema
from cdc.debezium import schemas
from cdc.debezium.naming import TopicNaming
from cdc.debezium.version import VERSION


class SourceBlockBase:
    """For one connector, named *connector* as in Debezium's class names. *source_schema* is that of its source
    blocks."""

    def __init__(self, naming: TopicNaming, connector: str, source_schema: Schema) -> None:
        self.naming = naming
        self.connector = connector
        self.source_schema = source_schema
        adjust = naming.schema_name
        self._transaction_key = schemas.transaction_key_schema(adjust)
        self._transaction_value = schemas.transaction_value_schema(adjust)
        self._heartbeat_key = schemas.heartbeat_key_schema(adjust)
        self._heartbeat_value = schemas.heartbeat_value_schema(adjust)
        self._notification_key = schemas.notification_key_schema(adjust)
        self._notification_value = schemas.notification_value_schema(adjust)

    def head(self, time_us: int, database: str, snapshot: str | None) -> tuple[Any, ...]:
        """The first values of a source block, which every connector has (`schemas.source_schema`). *snapshot* is the
        row's marker; `sequence` is null."""
        return (VERSION, self.connector, self.naming.prefix, time_us // 1000, snapshot, database, None, time_us,
                time_us * 1000)

    def transactions(self) -> MessageKind:
        """Of the messages that `transaction_begin` and `transaction_end` make."""
        return MessageKind(self.naming.transaction_topic(), self._transaction_key, self._transaction_value)

    def transaction_begin(self, id_: str, time_us: int) -> Message:
        return self._transaction(id_, "BEGIN", None, None, time_us)

    def transaction_end(self, id_: str, time_us: int, per_table: Mapping[str, int]) -> Message:
        """*per_table* counts the transaction's events by collection."""
        counts = [pair for name in java_hash_order(per_table) for pair in self.event_counts(name, per_table[name])]
        return self._transaction(id_, "END", sum(per_table.values()), counts, time_us)

    def event_counts(self, collection: str, count: int) -> list[tuple[str, int]]:
        """What `data_collections` has for *collection*."""
        return [(collection, count)]

    def _transaction(self, id_: str, status: str, count: int | None, collections: Any, time_us: int) -> Message:
        return Message(self.naming.transaction_topic(), self._transaction_key, (id_,), self._transaction_value,
                       (status, id_, count, collections, time_us // 1000))

    def heartbeat(self, now_ms: int) -> Message:
        return Message(self.naming.heartbeat_topic(), self._heartbeat_key, (self.naming.prefix,),
                       self._heartbeat_value, (now_ms,), kafka_partition=0)

    def notification(self, topic: str, told: Notification) -> Message:
        return Message(topic, self._notification_key, (told.id,), self._notification_value, (
            told.id, told.type, told.aggregate_type, dict(told.additional_data), told.timestamp_ms))
