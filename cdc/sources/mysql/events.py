"""Events that are no row changes, and the `source` block of all of them, for MySQL and MariaDB.

Debezium docs, "Transaction metadata", "Heartbeat" and "Data change events" of the two connectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cdc.core import envelope
from cdc.core.javahash import java_hash_order
from cdc.core.naming import TopicNaming
from cdc.core.record import Message, SourceContext
from cdc.core.schema import INT32, INT64, STRING, Schema, optional

VERSION: Final = "3.6.3.Final"
"""What `source.version` says: the Debezium release whose events these are."""

SNAPSHOT, TABLE, GTID, POS, ROW = 4, 9, 11, 13, 14
VARYING: Final = (POS, ROW)
"""Fields of the source block that each record fills itself."""


class Events:
    """Builds them for one connector; *connector* is `mysql` or `mariadb`."""

    def __init__(self, naming: TopicNaming, connector: str) -> None:
        self.naming = naming
        self.connector = connector
        adjust = naming.schema_name
        self.source_schema = envelope.source_schema(adjust(f"io.debezium.connector.{connector}.Source"), (
            ("table", optional(STRING)), ("server_id", Schema(INT64)), ("gtid", optional(STRING)),
            ("file", Schema(STRING)), ("pos", Schema(INT64)), ("row", Schema(INT32)), ("thread", optional(INT64)),
            ("query", optional(STRING)),
        ))
        self._transaction_key = envelope.transaction_key_schema(adjust)
        self._transaction_value = envelope.transaction_value_schema(adjust)
        self._heartbeat_key = envelope.heartbeat_key_schema(adjust)
        self._heartbeat_value = envelope.heartbeat_value_schema(adjust)

    def source_values(self, time_us: int, *, database: str = "", table: str | None = None, server_id: int = 0,
                      gtid: str | None = None, file: str = "", pos: int = 0, row: int = 0, thread: int | None = None,
                      query: str | None = None, snapshot: str | None = None) -> tuple[Any, ...]:
        """The block's Connect values."""
        return (VERSION, self.connector, self.naming.prefix, time_us // 1000, snapshot, database, None, time_us,
                time_us * 1000, table, server_id, gtid, file, pos, row, thread, query)

    def context(self, values: tuple[Any, ...]) -> SourceContext:
        """For records that differ in `pos` and `row` only."""
        return SourceContext(self.source_schema, values, VARYING)

    def transaction_begin(self, id_: str, time_us: int) -> Message:
        return self._transaction(id_, "BEGIN", None, None, time_us // 1000)

    def transaction_end(self, id_: str, time_us: int, per_table: Mapping[str, int]) -> Message:
        counts = [(name, per_table[name]) for name in java_hash_order(per_table)]
        return self._transaction(id_, "END", sum(per_table.values()), counts, time_us // 1000)

    def _transaction(self, id_: str, status: str, count: int | None, collections: Any, time_ms: int) -> Message:
        return Message(self.naming.transaction_topic(), self._transaction_key, (id_,), self._transaction_value,
                       (status, id_, count, collections, time_ms))

    def heartbeat(self, now_ms: int) -> Message:
        return Message(self.naming.heartbeat_topic(), self._heartbeat_key, (self.naming.prefix,),
                       self._heartbeat_value, (now_ms,), kafka_partition=0)
