"""PostgreSQL's `source` block, and logical decoding messages.

Debezium docs, "Data change events" and "Logical decoding messages" of the PostgreSQL connector.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Protocol

from cdc.core.record import Message, SourceContext
from cdc.debezium import schemas
from cdc.debezium.emit import Counters
from cdc.debezium.naming import TopicNaming
from cdc.sources.shared.source_block import SourceBlockBase

from .protocol import LogicalMessage

CONNECTOR = "postgresql"

SEQUENCE, LSN = 6, 12
"""Fields of the source block that each record fills itself."""
XID = 11

NATIVE_FIELDS = {3: "ts_ms", SEQUENCE: "pg_sequence", 7: "ts_us", 8: "ts_ns", XID: "xid", LSN: "lsn"}
"""By index: the fields that differ between transactions or records, by the names of `cdc.native.records.FIELDS`."""

MARK_PREFIX = "cdc.snapshot"
"""Of the logical messages with which a snapshot beside the stream has the log move on. They have no events."""

MESSAGES = "LOGICAL_DECODING_MESSAGE"
"""Their name in transaction metadata."""


class TransactionLike(Protocol):
    """What is needed of `changes.Transaction`."""

    commit_time_us: int
    xid: int
    counters: Counters
    origin: str | None
    origin_lsn: int | None


class StateLike(Protocol):
    relation: Any
    table: Any


class SourceBlock(SourceBlockBase):
    """For one connector. `xmin` is the slot's; each block carries it once it is set."""

    def __init__(self, naming: TopicNaming, database: str, binary_mode: str,
                 wants_prefix: Callable[[str], bool] = lambda prefix: True) -> None:
        adjust = naming.schema_name
        super().__init__(naming, CONNECTOR, schemas.postgres_source_schema(adjust))
        self.database = database
        self.binary_mode = binary_mode
        self.wants_prefix = wants_prefix
        self.xmin: int | None = None
        self._message_key = schemas.message_key_schema(adjust)
        self._message_value = schemas.message_value_schema(adjust, self.source_schema, binary_mode)

    def source_values(self, time_us: int, *, schema: str = "", table: str = "", xid: int | None = None,
                      snapshot: str | None = None, origin: str | None = None,
                      origin_lsn: int | None = None) -> tuple[Any, ...]:
        """The block's Connect values; `sequence` and `lsn` are left for each record."""
        head = self.head(time_us, self.database, snapshot)
        return (*head, schema, table, xid, None, self.xmin, origin, origin_lsn)

    def context(self, state: StateLike, tx: TransactionLike) -> SourceContext:
        """For the changes of one table in one transaction."""
        relation = state.table.id
        return SourceContext(self.source_schema, self.source_values(
            tx.commit_time_us, schema=relation.schema, table=relation.table, xid=tx.xid, origin=tx.origin,
            origin_lsn=tx.origin_lsn), (SEQUENCE, LSN))

    def native_template(self, state: StateLike) -> SourceContext:
        """As `context`, for the changes of one table in all transactions without an origin: `NATIVE_FIELDS` vary."""
        relation = state.table.id
        values = self.source_values(0, schema=relation.schema, table=relation.table, xid=0)
        return SourceContext(self.source_schema, values, tuple(sorted(NATIVE_FIELDS)))

    def snapshot_context(self, schema: str, table: str, time_us: int, xid: int | None, marker: str,
                         lsn: int) -> SourceContext:
        """For the rows of one table read by a snapshot, marked *marker* (`first`, `true`, `last`, …)."""
        values = list(self.source_values(time_us, schema=schema, table=table, xid=xid, snapshot=marker))
        values[SEQUENCE], values[LSN] = f'[null,"{lsn}"]', lsn
        return SourceContext(self.source_schema, tuple(values), ())

    def event_counts(self, collection: str, count: int) -> list[tuple[str, int]]:
        """Debezium takes each logical decoding message for a collection of its own."""
        return [(collection, 1)] * count if collection == MESSAGES else [(collection, count)]

    def logical_message(self, message: LogicalMessage, tx: Any, lsn: int, commit_lsn: int, last_time_us: int,
                        now_us: int, with_block: bool) -> Message | None:
        """The record of *message*; None when its prefix is filtered out.

        *tx* is None for a non-transactional message. It has no time of its own, so it gets *last_time_us*, the time of
        the last transaction, or *now_us* if that is 0.
        """
        if message.prefix == MARK_PREFIX or not self.wants_prefix(message.prefix):
            return None
        block = None
        if tx is not None and with_block:
            # As in `event_counts`, each message is the first of its collection.
            block = (*tx.counters.next(MESSAGES, f"{tx.xid}:{lsn}")[:2], 1)
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
