"""pgoutput frames to records: which transaction, which table, which images, which key.

The decoder holds what the protocol says so far: the current transaction, relations by oid, transactions still being
streamed or prepared. What the log leaves out comes through the `resolve` callback, once per Relation message; no
lookup happens while rows are decoded.

What was delivered before a restart is dropped here. A transaction is known by where its commit record starts
(`final_lsn`): all that start before the position's `end_lsn` were delivered whole, and of the one at `tx_lsn` the first
`tx_changes` changes were, none of them beyond `tx_last_lsn`: where the publication is another one now, so that the
same transaction brings other changes, a change is rather delivered again than taken for one that was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cython  # noqa: F401

from cdc.core.errors import PositionLostError, ProtocolError
from cdc.core.record import (
    CREATE,
    DELETE,
    TOMBSTONE,
    TRUNCATE,
    UPDATE,
    Message,
    Record,
    SourceContext,
)
from cdc.core.row import ABSENT, NULL, UNCHANGED, Row
from cdc.core.schema import TableSchema

from .lsn import Lsn
from .protocol import (
    XLOG_HEADER,
    Begin,
    BeginPrepare,
    Commit,
    CommitPrepared,
    Cursor,
    LogicalMessage,
    Origin,
    Prepare,
    Relation,
    RollbackPrepared,
    StreamAbort,
    StreamCommit,
    StreamStart,
    StreamStop,
    Truncate,
    Type,
    absent_where_null,
    parse_control,
)
from .spill import Prepared, Spill

NEW_KEY = "__debezium.newkey"
OLD_KEY = "__debezium.oldkey"

_RELATION = ord("R")
_INSERT = ord("I")
_UPDATE = ord("U")
_DELETE = ord("D")
_WITH_XID = frozenset(b"IUDTRYM")
"""Messages that carry the (sub)transaction's xid within a stream block."""

_WITHIN = frozenset(b"IUDTRYMO")
"""Messages that a transaction is made of."""

SKIP_ALL = 1 << 62


class RelationState:
    """One relation as the rows that follow are to be read. `table` is None for a relation that is not captured."""

    def __init__(self, relation: Relation, table: TableSchema | None) -> None:
        self.relation = relation
        self.table: Any = table
        self.collection = f"{relation.namespace}.{relation.name}"
        self.column_count = len(relation.columns)
        columns = table.columns if table else ()
        self.required = tuple(column.index for column in columns if not column.schema.optional)
        self.captured = tuple(column.index for column in columns)
        self.key = tuple(column.index for column in table.key) if table else ()


class Transaction:
    """The transaction whose changes are being read."""

    def __init__(self, final_lsn: int, commit_time_us: int, xid: int, skip: int, skip_until_lsn: int,
                 skip_before_lsn: int) -> None:
        self.final_lsn = final_lsn
        self.commit_time_us = commit_time_us
        self.xid = xid
        self.skip = skip
        self.skip_until_lsn = skip_until_lsn
        self.skip_before_lsn = skip_before_lsn
        self.changes = 0
        self.total = 0
        self.per_table: dict[str, int] = {}
        self.contexts: dict[Any, SourceContext] = {}
        self.origin: str | None = None
        self.origin_lsn: int | None = None
        self.sequence_head = ""


class Settings:
    """What the configuration asks of decoding."""

    def __init__(self, *, skipped: frozenset[str], tombstones: bool, transaction_metadata: bool,
                 skip_unchanged: bool) -> None:
        self.skip_create = CREATE in skipped
        self.skip_update = UPDATE in skipped
        self.skip_delete = DELETE in skipped
        self.skip_truncate = TRUNCATE in skipped
        self.tombstones = tombstones
        self.transaction_metadata = transaction_metadata
        self.skip_unchanged = skip_unchanged


class Decoder:
    """Feed it XLogData frames in order, take records out.

    *resolve(relation)* gives the RelationState for a Relation message, *relax(state, indexes)* one whose columns at
    *indexes* may be null; *events* (`events.Events`) builds source blocks and the messages that are no row changes.
    """

    def __init__(self, settings: Settings, resolve: Callable[[Relation], RelationState],
                 relax: Callable[[RelationState, list[int]], RelationState],
                 events: Any, spill: Spill, clock_us: Callable[[], int]) -> None:
        self.clock_us = clock_us
        self.settings = settings
        self.resolve = resolve
        self.relax = relax
        self.events = events
        self.spill = spill
        self.cursor = Cursor()
        self.relations: dict[int, RelationState] = {}
        self.records: list[Record | Message] = []
        self.counts: dict[tuple[str, str], int] = {}
        self.transaction: Transaction | None = None
        self.stream_xid = 0
        self.preparing: BeginPrepare | None = None
        self.replay: Iterator[tuple[bytes, bool]] | None = None
        self.replay_end = 0
        self.outer_relations: dict[int, RelationState] | None = None
        self.end_lsn = 0
        self.delivered_lsn = 0
        self.tx_lsn = 0
        self.tx_changes = 0
        self.tx_last_lsn = 0
        self.tx_xid = 0
        self.tx_skip_before_lsn = 0
        self.last_lsn = 0
        self.last_kind = 0
        self.last_time_us = 0
        self.commit_lsn = 0
        self.filtered = 0
        self.transactions = 0

    def resume(self, end_lsn: int, tx_lsn: int, tx_changes: int, commit_lsn: int, xid: int = 0,
               skip_before_lsn: int = 0, tx_last_lsn: int = SKIP_ALL) -> None:
        """Say what was delivered before: all transactions whose commit record starts before *end_lsn*, and the first
        *tx_changes* changes of the one at *tx_lsn*, the last of them at *tx_last_lsn*. Where only an event's LSN is
        known (another program's offset), *xid* and *skip_before_lsn* drop that transaction's changes before the LSN."""
        self.end_lsn = self.delivered_lsn = end_lsn
        self.tx_lsn = tx_lsn
        self.tx_changes = tx_changes
        self.tx_last_lsn = tx_last_lsn
        self.tx_xid = xid
        self.tx_skip_before_lsn = skip_before_lsn
        self.commit_lsn = commit_lsn

    def take(self) -> list[Record | Message]:
        records = self.records
        self.records = []
        return records

    def take_counts(self) -> dict[tuple[str, str], int]:
        counts = self.counts
        self.counts = {}
        return counts

    def between_transactions(self) -> bool:
        return self.transaction is None and self.replay is None

    def held_lsn(self) -> int:
        """What must not be confirmed yet because a prepared transaction before it is undecided; 0 for none."""
        return self.spill.oldest_prepared_lsn()

    def feed(self, frame: bytes) -> None:
        """One XLogData message. May start a replay: then `step` until it says False before feeding more."""
        if len(frame) <= XLOG_HEADER:
            raise ProtocolError("XLogData without a message", offset=len(frame), wanted=XLOG_HEADER + 1, got=len(frame))
        cursor = self.cursor
        cursor.reset(frame, 1)
        lsn = cursor.u64()
        cursor.pos = XLOG_HEADER + 1
        kind = frame[XLOG_HEADER]
        if self.stream_xid:
            self.streamed(frame, kind)
        elif self.preparing is not None and kind != 80:
            self.prepared(frame, lsn, kind)
        else:
            self.message(frame, lsn, kind, False)

    def step(self) -> int:
        """One message of the transaction being replayed; its size in bytes, 0 when there is none (any more)."""
        replay = self.replay
        if replay is None:
            return 0
        item = next(replay, None)
        if item is None:
            self.replay = None
            if self.outer_relations is not None:
                self.relations = self.outer_relations
                self.outer_relations = None
            self.end_transaction(self.replay_end, self.replay_end)
            return 0
        frame, streamed = item
        cursor = self.cursor
        cursor.reset(frame, 1)
        lsn = cursor.u64()
        cursor.pos = XLOG_HEADER + 1
        kind = frame[XLOG_HEADER]
        if streamed and kind in _WITH_XID:
            cursor.u32()
        self.message(frame, lsn, kind, streamed)
        return len(frame)

    def message(self, frame: bytes, lsn: int, kind: int, streamed: bool) -> None:
        if kind == _INSERT or kind == _UPDATE or kind == _DELETE:  # noqa: PLR1714, SIM109
            self.change(lsn, kind)
        else:
            self.control(lsn, kind, streamed)

    def streamed(self, frame: bytes, kind: int) -> None:
        """A message within a stream block: kept until the transaction's end is known."""
        cursor = self.cursor
        if kind == 69:  # Stream Stop
            self.stream_xid = 0
        elif kind in _WITH_XID:
            self.spill.append(self.stream_xid, cursor.u32(), frame)
        elif kind == 79:  # Origin has no xid
            self.spill.append(self.stream_xid, self.stream_xid, frame)
        else:
            raise ProtocolError("message not allowed within a stream block", offset=XLOG_HEADER, got=chr(kind),
                                wanted="I, U, D, T, R, Y, M, O or E")

    def prepared(self, frame: bytes, lsn: int, kind: int) -> None:
        """A message of a transaction that is being prepared. What it says of relations the server will not say again
        to the transactions that follow, so it holds for them at once."""
        preparing = self.preparing
        assert preparing is not None
        if kind not in _WITHIN:
            raise ProtocolError("message not allowed within a prepared transaction", offset=XLOG_HEADER,
                                got=chr(kind), wanted="I, U, D, T, R, Y, M, O or P")
        self.spill.append(preparing.xid, preparing.xid, frame)
        if kind == _RELATION:
            self.control(lsn, kind, False)

    # -- changes ------------------------------------------------------------------------------------------------

    def change(self, lsn: int, kind: int) -> None:
        tx = self.transaction
        if tx is None:
            raise ProtocolError("a change outside a transaction", offset=XLOG_HEADER, got=chr(kind), wanted="B first")
        cursor = self.cursor
        oid = cursor.u32()
        state = self.relations.get(oid)
        if state is None:
            raise ProtocolError("a change of a relation that was not described", offset=cursor.pos, wanted="R first",
                                got=oid, lsn=str(Lsn(lsn)))
        tx.changes += 1
        self.last_lsn = lsn
        self.last_kind = kind
        if state.table is None:
            self.filtered += 1
            return
        live = (tx.changes > tx.skip or lsn > tx.skip_until_lsn) and lsn >= tx.skip_before_lsn
        if not live and not self.settings.transaction_metadata:
            return
        before: Any = None
        after: Any = None
        marker = cursor.u8()
        if kind != _INSERT and marker in (75, 79):  # K, O
            before = self.image(state)
            if marker == 75:
                absent_where_null(before)
            else:
                state = self.nullable(state, oid, before)
            marker = cursor.u8() if kind == _UPDATE else 0
        if kind != _DELETE:
            if marker != 78:  # N
                raise ProtocolError("no new tuple where one must be", offset=cursor.pos - 1, wanted="N", got=marker)
            after = self.image(state)
            state = self.nullable(state, oid, after)
        elif before is None:
            raise ProtocolError("Delete without an old tuple", offset=cursor.pos - 1, wanted="K or O", got=marker)
        cursor.finish("tuple")
        if kind == _INSERT:
            if not self.settings.skip_create:
                self.emit(state, tx, live, lsn, CREATE, None, after, after, ())
        elif kind == _DELETE:
            if not self.settings.skip_delete:
                self.emit(state, tx, live, lsn, DELETE, before, None, before, ())
                self.tombstone(state, tx, live, lsn, before, ())
        elif not self.settings.skip_update:
            self.update(state, tx, live, lsn, before, after)

    def image(self, state: RelationState) -> Row:
        row = self.cursor.row()
        if row.count != state.column_count:
            raise ProtocolError("tuple and relation differ in their number of columns", offset=self.cursor.pos,
                                wanted=state.column_count, got=row.count, table=state.collection)
        return row

    def nullable(self, state: RelationState, oid: int, row: Row) -> RelationState:
        """A null in a column that the catalog calls NOT NULL: the catalog is newer than this row."""
        for index in state.required:
            if row.kind(index) == NULL:
                nulls = [each for each in state.required if row.kind(each) == NULL]
                state = self.relax(state, nulls)
                self.relations[oid] = state
                break
        return state

    def update(self, state: RelationState, tx: Transaction, live: bool, lsn: int, before: Row | None,
               after: Row) -> None:
        if before is not None and state.key and self.key_differs(state, before, after):
            new_key = ((NEW_KEY, after),)
            if not self.settings.skip_delete:
                self.emit(state, tx, live, lsn, DELETE, before, None, before, new_key)
                self.tombstone(state, tx, live, lsn, before, new_key)
            if not self.settings.skip_create:
                self.emit(state, tx, live, lsn, CREATE, None, after, after, ((OLD_KEY, before),), before)
            return
        if self.settings.skip_unchanged and before is not None and self.same(state, before, after):
            self.filtered += 1
            return
        self.emit(state, tx, live, lsn, UPDATE, before, after, after, ())

    def key_differs(self, state: RelationState, before: Row, after: Row) -> bool:
        for index in state.key:  # noqa: SIM110
            if after.kind(index) != UNCHANGED and not before.same(index, after):
                return True
        return False

    def same(self, state: RelationState, before: Row, after: Row) -> bool:
        for index in state.captured:
            if before.kind(index) == ABSENT:
                return False
            if after.kind(index) != UNCHANGED and not before.same(index, after):
                return False
        return True

    def emit(self, state: RelationState, tx: Transaction, live: bool, lsn: int, op: str, before: Row | None,
             after: Row | None, key_row: Row | None, headers: tuple[Any, ...], other: Row | None = None) -> None:
        block = None
        if self.settings.transaction_metadata:
            tx.total += 1
            count = tx.per_table.get(state.collection, 0) + 1
            tx.per_table[state.collection] = count
            block = (f"{tx.xid}:{lsn}", tx.total, count)
        if not live:
            return
        context = tx.contexts.get(state)
        if context is None:
            context = self.events.context(state, tx)
            tx.contexts[state] = context
        number = str(lsn)
        record = Record(op, state.table, before, after, key_row, context, (tx.sequence_head + number + '"]', lsn),
                        block, headers)
        record.other = other
        self.records.append(record)
        counter = (state.collection, op)
        self.counts[counter] = self.counts.get(counter, 0) + 1

    def tombstone(self, state: RelationState, tx: Transaction, live: bool, lsn: int, row: Row,
                  headers: tuple[Any, ...]) -> None:
        if live and self.settings.tombstones:
            self.records.append(Record(TOMBSTONE, state.table, row, None, row, tx.contexts[state], (None, lsn), None,
                                       headers))

    # -- everything else ----------------------------------------------------------------------------------------

    def control(self, lsn: int, kind: int, streamed: bool) -> None:
        message = parse_control(self.cursor, kind, streamed)
        self.last_kind = kind
        if isinstance(message, Begin):
            self.begin(message.final_lsn, message.commit_time_us, message.xid, lsn)
        elif isinstance(message, Commit):
            self.end_transaction(message.end_lsn, lsn)
        elif isinstance(message, Relation):
            self.relations[message.oid] = self.resolve(message)
        elif isinstance(message, Origin):
            if self.transaction is not None:
                self.transaction.origin = message.name
                self.transaction.origin_lsn = message.commit_lsn
        elif isinstance(message, Type):
            pass  # the catalog gives types; this names only those of the relation that follows
        elif isinstance(message, Truncate):
            self.truncate(message, lsn)
        elif isinstance(message, LogicalMessage):
            self.logical_message(message, lsn)
        elif isinstance(message, StreamStart):
            if self.transaction is not None:
                raise ProtocolError("Stream Start within a transaction", offset=XLOG_HEADER, xid=message.xid)
            self.stream_xid = message.xid
            if message.first:
                self.spill.begin(message.xid, lsn)
        elif isinstance(message, StreamStop):
            raise ProtocolError("Stream Stop without Stream Start", offset=XLOG_HEADER)
        elif isinstance(message, StreamAbort):
            self.spill.abort(message.xid, message.subxid)
        elif isinstance(message, StreamCommit):
            self.replay_from(message.xid, message.commit_lsn, message.end_lsn, message.commit_time_us, lsn)
        elif isinstance(message, BeginPrepare):
            if self.transaction is not None:
                raise ProtocolError("Begin Prepare within a transaction", offset=XLOG_HEADER, xid=message.xid)
            self.preparing = message
            self.spill.begin(message.xid, lsn)
        elif isinstance(message, Prepare):
            if not message.streamed and self.preparing is None:
                raise ProtocolError("Prepare without Begin Prepare", offset=XLOG_HEADER, xid=message.xid)
            self.preparing = None
            self.spill.prepare(message.gid, Prepared(
                message.xid, message.prepare_lsn, self.spill.first_lsn(message.xid), dict(self.relations)),
                message.streamed)
        elif isinstance(message, CommitPrepared):
            self.commit_prepared(message, lsn)
        elif isinstance(message, RollbackPrepared):
            self.spill.drop_prepared(message.gid)

    def begin(self, final_lsn: int, commit_time_us: int, xid: int, lsn: int) -> None:
        if self.transaction is not None:
            raise ProtocolError("Begin within a transaction", offset=XLOG_HEADER, xid=xid)
        skip, skip_until, skip_before = 0, SKIP_ALL, 0
        resumed = final_lsn == self.tx_lsn
        if final_lsn < self.delivered_lsn:
            skip = SKIP_ALL
        elif resumed:
            skip, skip_until = self.tx_changes, self.tx_last_lsn
        elif self.tx_xid and xid == self.tx_xid:
            skip_before = self.tx_skip_before_lsn
        tx = Transaction(final_lsn, commit_time_us, xid, skip, skip_until, skip_before)
        tx.sequence_head = f'["{self.commit_lsn}","' if self.commit_lsn else '[null,"'
        self.transaction = tx
        self.last_lsn = lsn
        self.last_time_us = commit_time_us
        if self.settings.transaction_metadata and not skip and not skip_before and not resumed:
            self.records.append(self.events.transaction_begin(tx, lsn))

    def end_transaction(self, end_lsn: int, lsn: int) -> None:
        tx = self.transaction
        if tx is None:
            raise ProtocolError("Commit outside a transaction", offset=XLOG_HEADER)
        if self.settings.transaction_metadata and tx.skip < SKIP_ALL:
            self.records.append(self.events.transaction_end(tx, lsn))
        self.transaction = None
        self.transactions += 1
        self.last_lsn = lsn
        self.last_kind = 67  # C
        if end_lsn > self.end_lsn:
            self.end_lsn = end_lsn
        self.commit_lsn = end_lsn

    def truncate(self, message: Truncate, lsn: int) -> None:
        tx = self.transaction
        if tx is None:
            raise ProtocolError("Truncate outside a transaction", offset=XLOG_HEADER)
        tx.changes += 1
        self.last_lsn = lsn
        live = (tx.changes > tx.skip or lsn > tx.skip_until_lsn) and lsn >= tx.skip_before_lsn
        for oid in message.relation_oids:
            state = self.relations.get(oid)
            if state is None:
                raise ProtocolError("Truncate of a relation that was not described", wanted="R first", got=oid)
            if state.table is not None and not self.settings.skip_truncate:
                self.emit(state, tx, live, lsn, TRUNCATE, None, None, None, ())

    def logical_message(self, message: LogicalMessage, lsn: int) -> None:
        tx = self.transaction
        if message.transactional:
            if tx is None:
                raise ProtocolError("a transactional message outside a transaction", offset=XLOG_HEADER)
            tx.changes += 1
            self.last_lsn = lsn
            live = (tx.changes > tx.skip or lsn > tx.skip_until_lsn) and lsn >= tx.skip_before_lsn
        else:
            live = lsn >= self.delivered_lsn
            self.commit_lsn = lsn  # no COMMIT follows: it is its own
        record = self.events.logical_message(message, tx if message.transactional else None, lsn, self.commit_lsn,
                                             self.last_time_us, self.clock_us(), self.settings.transaction_metadata)
        if live and record is not None:
            self.records.append(record)
        if not message.transactional and tx is None and lsn + 1 > self.end_lsn:
            # Every transaction that committed before this message was sent before it.
            self.end_lsn = lsn + 1
            self.last_lsn = lsn

    def replay_from(self, xid: int, final_lsn: int, end_lsn: int, commit_time_us: int, lsn: int) -> None:
        first_lsn = self.spill.first_lsn(xid) or lsn
        self.replay = iter(self.spill.replay(xid))
        self.replay_end = end_lsn
        self.begin(final_lsn, commit_time_us, xid, first_lsn)

    def commit_prepared(self, message: CommitPrepared, lsn: int) -> None:
        prepared = self.spill.take_prepared(message.gid)
        if prepared is None:
            if message.commit_lsn < self.delivered_lsn:
                return
            raise PositionLostError(
                "a prepared transaction was committed whose changes were not received", lsn=str(Lsn(lsn)),
                hint="Take a new snapshot (remove this connector's offset), or use a slot created without two_phase.")
        # Its changes are to be read as the relations were when it was prepared, what follows as they are now.
        self.outer_relations = self.relations
        self.relations = dict(prepared.relations)
        self.replay_from(prepared.xid, message.commit_lsn, message.end_lsn, message.commit_time_us, lsn)

    def idle(self, wal_end: int) -> None:
        """A keepalive between transactions: nothing of ours is before *wal_end* that we have not received."""
        if self.between_transactions() and not self.stream_xid and self.preparing is None and wal_end > self.end_lsn:
            self.end_lsn = wal_end
