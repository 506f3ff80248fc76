"""Events that are no row changes, and the `source` block of all of them.

Debezium docs, "Transaction metadata", "Heartbeat", "Logical decoding messages".
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Protocol

from cdc.core import envelope
from cdc.core.javahash import java_hash_order
from cdc.core.naming import TopicNaming
from cdc.core.record import Message, SourceContext

from .protocol import LogicalMessage

CONNECTOR = "postgresql"
VERSION = "3.6.3.Final"
"""What `source.version` says: the Debezium release whose events these are."""

SEQUENCE, LSN = 6, 12
"""Fields of the source block that each record fills itself."""


_MESSAGES = "LOGICAL_DECODING_MESSAGE"


class TransactionLike(Protocol):
    """What is needed of `changes.Transaction`."""

    commit_time_us: int
    xid: int
    total: int
    per_table: dict[str, int]
    origin: str | None
    origin_lsn: int | None


class StateLike(Protocol):
    relation: Any
    table: Any


class Events:
    """Builds them for one connector."""

    def __init__(self, naming: TopicNaming, database: str, binary_mode: str,
                 wants_prefix: Callable[[str], bool] = lambda prefix: True) -> None:
        self.naming = naming
        self.database = database
        self.binary_mode = binary_mode
        self.wants_prefix = wants_prefix
        self.xmin: int | None = None
        adjust = naming.schema_name
        self.source_schema = envelope.postgres_source_schema(adjust)
        self._transaction_key = envelope.transaction_key_schema(adjust)
        self._transaction_value = envelope.transaction_value_schema(adjust)
        self._heartbeat_key = envelope.heartbeat_key_schema(adjust)
        self._heartbeat_value = envelope.heartbeat_value_schema(adjust)
        self._message_key = envelope.message_key_schema(adjust)
        self._message_value = envelope.message_value_schema(adjust, self.source_schema, binary_mode)

    def source_values(self, time_us: int, *, schema: str = "", table: str = "", xid: int | None = None,
                      snapshot: str | None = None, origin: str | None = None,
                      origin_lsn: int | None = None) -> tuple[Any, ...]:
        """The block's Connect values; `sequence` and `lsn` are left for each record."""
        return (VERSION, CONNECTOR, self.naming.prefix, time_us // 1000, snapshot, self.database, None, time_us,
                time_us * 1000, schema, table, xid, None, self.xmin, origin, origin_lsn)

    def context(self, state: StateLike, tx: TransactionLike) -> SourceContext:
        """For the changes of one table in one transaction."""
        relation = state.table.id
        return SourceContext(self.source_schema, self.source_values(
            tx.commit_time_us, schema=relation.schema, table=relation.table, xid=tx.xid, origin=tx.origin,
            origin_lsn=tx.origin_lsn), (SEQUENCE, LSN))

    def snapshot_context(self, schema: str, table: str, time_us: int, xid: int | None, marker: str,
                         lsn: int) -> SourceContext:
        """For the rows of one table read by a snapshot, marked *marker* (`first`, `true`, `last`, …)."""
        values = list(self.source_values(time_us, schema=schema, table=table, xid=xid, snapshot=marker))
        values[SEQUENCE], values[LSN] = f'[null,"{lsn}"]', lsn
        return SourceContext(self.source_schema, tuple(values), ())

    def transaction_begin(self, tx: TransactionLike, lsn: int) -> Message:
        return self._transaction(f"{tx.xid}:{lsn}", "BEGIN", None, None, tx.commit_time_us // 1000)

    def transaction_end(self, tx: TransactionLike, lsn: int) -> Message:
        counts: list[tuple[str, int]] = []
        for name in java_hash_order(tx.per_table):
            counts += [(name, 1)] * tx.per_table[name] if name == _MESSAGES else [(name, tx.per_table[name])]
        return self._transaction(f"{tx.xid}:{lsn}", "END", tx.total, counts, tx.commit_time_us // 1000)

    def _transaction(self, id_: str, status: str, count: int | None, collections: Any, time_ms: int) -> Message:
        return Message(self.naming.transaction_topic(), self._transaction_key, (id_,), self._transaction_value,
                       (status, id_, count, collections, time_ms))

    def heartbeat(self, now_ms: int) -> Message:
        return Message(self.naming.heartbeat_topic(), self._heartbeat_key, (self.naming.prefix,),
                       self._heartbeat_value, (now_ms,), kafka_partition=0)

    def logical_message(self, message: LogicalMessage, tx: Any, lsn: int, commit_lsn: int, last_time_us: int,
                        now_us: int, with_block: bool) -> Message | None:
        """None when its prefix is filtered out. *tx* is None for a non-transactional one, which has no time of its
        own: it gets that of the last transaction, *last_time_us*, or without one the clock's."""
        if not self.wants_prefix(message.prefix):
            return None
        block = None
        if tx is not None and with_block:
            tx.total += 1
            tx.per_table[_MESSAGES] = tx.per_table.get(_MESSAGES, 0) + 1
            block = (f"{tx.xid}:{lsn}", tx.total, 1)  # Debezium takes each message for a collection of its own
        time_us = tx.commit_time_us if tx else last_time_us or now_us
        values = list(self.source_values(time_us, xid=tx.xid if tx else None))
        head = f'"{commit_lsn}"' if commit_lsn else "null"
        values[SEQUENCE], values[LSN] = f'[{head},"{lsn}"]', lsn
        content = self._content(message.content)
        return Message(self.naming.message_topic(), self._message_key, (message.prefix,), self._message_value,
                       ("m", now_us // 1000, tuple(values), block, (message.prefix, content)))

    def _content(self, content: bytes) -> bytes | str:
        if self.binary_mode == "base64":
            return base64.b64encode(content).decode("ascii")
        if self.binary_mode == "base64-url-safe":
            return base64.urlsafe_b64encode(content).decode("ascii")
        if self.binary_mode == "hex":
            return content.hex()
        return content
