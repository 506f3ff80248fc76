"""pgoutput frames to records: which table, which images, which key.

`relations.py` holds with what rows are read, `transaction.py` our place in the log, and what was delivered before a
restart; `control_messages.py` acts on all messages but rows. Transactions that are still being streamed or prepared
wait in `InProgress`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cython  # noqa: F401

from cdc.core.errors import ProtocolError
from cdc.core.row import ABSENT, NULL, Row
from cdc.debezium.emit import Emitter, Origin

from . import protocol
from .control_messages import HANDLERS
from .in_progress import WITH_XID, InProgress
from .lsn import Lsn
from .position import PostgresPosition
from .protocol import NEW_TUPLE, OLD_KEY, OLD_TUPLE, XLOG_HEADER, Cursor, absent_where_null, parse_control
from .relations import Relations, RelationState
from .spill import Spill
from .transaction import SKIP_ALL, Stream, Transaction
from .witness import Witness

_KEEPALIVE = ord("k")
_KEEPALIVE_BYTES = 18
"""A keepalive: `k`, the end of the server's WAL, its time, and whether it wants an answer."""
_INSERT = protocol.LOGICAL_REP_MSG_INSERT
_UPDATE = protocol.LOGICAL_REP_MSG_UPDATE
_DELETE = protocol.LOGICAL_REP_MSG_DELETE
_SKIP_ALL = SKIP_ALL


class ChangeReader:
    """Feed it frames in order with `run`; take the records out of `emitter`.

    *resolve*, *relax* and *relabel*: as in `Relations`. *name_type* takes Type messages, *truncated* the names of
    tables whose TRUNCATE gives no event. *events* (`SourceBlock`) builds source blocks, and the messages that are no
    row changes. *null_keys*: a key column that an old image lacks is null, as with Debezium.

    `apart`: messages are kept for later, because they belong to an open stream block or to a transaction that is being
    prepared.
    `replay`: the kept messages of a transaction that was committed, while they are being read.
    `answer_wanted`: in the last `run`, the server asked for our position.
    """

    def __init__(self, *, emitter: Emitter, resolve: Callable[[protocol.Relation, int, int], RelationState],
                 relax: Callable[[RelationState, list[int]], RelationState],
                 relabel: Callable[[RelationState, Row], RelationState], name_type: Callable[[protocol.Type], None],
                 events: Any, spill: Spill, truncated: Callable[[str], None] | None = None,
                 transaction_metadata: bool, clock_us: Callable[[], int], null_keys: bool = False) -> None:
        self.emitter = emitter
        self.null_keys = null_keys
        self.transaction_metadata = transaction_metadata
        self.clock_us = clock_us
        self.name_type = name_type
        self.truncated = truncated
        self.events = events
        self.in_progress = InProgress(spill)
        self.stream = Stream(emitter, events, metadata=transaction_metadata)
        self.relations = Relations(resolve, relax, relabel)
        self.apart = False
        self.cursor = Cursor()
        self.before: Row | None = None
        self.after: Row | None = None
        self.replay: Iterator[tuple[bytes, bool]] | None = None
        self.replay_end = 0
        self.answer_wanted = False

    def resume(self, position: PostgresPosition, due: Witness | None = None) -> None:
        """As `Stream.resume`."""
        self.stream.resume(position, due)

    def position(self) -> PostgresPosition:
        """The position that is reached when all records so far are delivered."""
        return self.stream.position(self.in_progress.held_lsn())

    def run(self, frames: list[bytes], start: int, max_records: int, max_bytes: int) -> tuple[int, int]:
        """Feeds frames from index *start*, and the transactions that they release, until *max_records* or *max_bytes*
        is reached or the list ends. Returns the next index and the bytes processed.

        A frame is an XLogData message or a keepalive.
        """
        records = self.emitter.records
        self.answer_wanted = False
        number = start
        size = 0
        while len(records) < max_records and size < max_bytes:
            if self.replay is not None:
                size += self.step()
            elif number < len(frames):
                frame = frames[number]
                number += 1
                size += len(frame)
                if frame and frame[0] == _KEEPALIVE:
                    self.answer_wanted = self.keepalive(frame) or self.answer_wanted
                else:
                    self.feed(frame)
            else:
                break
        return number, size

    def keepalive(self, frame: bytes) -> bool:
        """Handles a keepalive, and returns whether the server wants an answer. Raises ProtocolError."""
        if len(frame) != _KEEPALIVE_BYTES:
            raise ProtocolError("keepalive of the wrong length", offset=0, wanted=_KEEPALIVE_BYTES, got=len(frame))
        cursor = self.cursor
        cursor.reset(frame, 1)
        self.idle(cursor.lsn())
        return frame[_KEEPALIVE_BYTES - 1] == 1

    def idle(self, wal_end: int) -> None:
        """The server has sent all changes of ours before *wal_end*."""
        self.stream.passed(wal_end, between=self.between_transactions() and not self.apart)

    def between_transactions(self) -> bool:
        return self.stream.transaction is None and self.replay is None

    def feed(self, frame: bytes) -> None:
        """Handles one XLogData message. If it starts a replay, call `step` until that ends before the next `feed`."""
        if len(frame) <= XLOG_HEADER:
            raise ProtocolError("XLogData without a message", offset=len(frame), wanted=XLOG_HEADER + 1, got=len(frame))
        cursor = self.cursor
        cursor.reset(frame, 1)
        lsn = cursor.lsn()
        cursor.pos = XLOG_HEADER + 1
        kind = frame[XLOG_HEADER]
        if self.apart:
            self.keep(frame, lsn, kind)
        else:
            self.message(lsn, kind, False)

    def step(self) -> int:
        """Handles one message of the replay, and returns its size in bytes. Returns 0 if it was the end."""
        replay = self.replay
        if replay is None:
            return 0
        item = next(replay, None)
        if item is None:
            self.replay = None
            self.stream.end(self.replay_end, self.replay_end, self.relations.leave())
            return 0
        frame, streamed = item
        cursor = self.cursor
        cursor.reset(frame, 1)
        lsn = cursor.lsn()
        cursor.pos = XLOG_HEADER + 1
        kind = frame[XLOG_HEADER]
        if streamed and kind in WITH_XID:
            cursor.u32()
        self.message(lsn, kind, streamed)
        return len(frame)

    def message(self, lsn: int, kind: int, streamed: bool) -> None:
        if kind == _INSERT or kind == _UPDATE or kind == _DELETE:  # noqa: PLR1714, SIM109
            self.change(lsn, kind)
        else:
            self.control(lsn, kind, streamed)

    def keep(self, frame: bytes, lsn: int, kind: int) -> None:
        """Keeps a message of a transaction whose end is not known, or ends the keeping."""
        if self.in_progress.stream_xid and kind != protocol.LOGICAL_REP_MSG_STREAM_STOP:
            self.in_progress.keep_in_block(frame, kind, self.cursor)
        elif kind == protocol.LOGICAL_REP_MSG_STREAM_STOP or kind == protocol.LOGICAL_REP_MSG_PREPARE:
            self.control(lsn, kind, False)
        else:
            self.in_progress.keep_prepared(frame, kind)
            if kind == protocol.LOGICAL_REP_MSG_RELATION or kind == protocol.LOGICAL_REP_MSG_TYPE:  # noqa: PLR1714
                # The server describes a relation once. A description inside a prepared transaction therefore applies to
                # later transactions too, and takes effect now.
                self.control(lsn, kind, False)

    # -- changes ------------------------------------------------------------------------------------------------

    def change(self, lsn: int, kind: int) -> None:
        """An Insert, Update or Delete."""
        stream = self.stream
        tx = stream.transaction
        if tx is None:
            raise ProtocolError("a change outside a transaction", offset=XLOG_HEADER, got=chr(kind), wanted="B first")
        oid = self.cursor.u32()
        state = self.relations.states.get(oid)
        if state is None:
            self.not_described(oid, lsn)
            return
        live = stream.count(tx, lsn)
        stream.last_kind = kind
        if state.table is None:
            self.emitter.filtered += 1
            return
        if not live and (not self.transaction_metadata or tx.skip >= _SKIP_ALL):
            return
        state = self.read_images(state, oid, kind)
        origin = self.origin(state, tx, lsn, live)
        if kind == _INSERT:
            self.emitter.create(state.emitted, origin, self.after)  # type: ignore[arg-type]
        elif kind == _DELETE:
            self.emitter.delete(state.emitted, origin, self.before)  # type: ignore[arg-type]
        else:
            self.emitter.update(state.emitted, origin, self.before, self.after)  # type: ignore[arg-type]

    def not_described(self, oid: int, lsn: int) -> None:
        """A change of relation *oid*, of which it is not known how its rows are read. Raises unless it is dropped
        anyway."""
        tx = self.stream.transaction
        assert tx is not None
        refused = self.relations.refused.get(oid)
        if refused is None:
            raise ProtocolError("a change of a relation that was not described", offset=self.cursor.pos,
                                wanted="R first", got=oid, lsn=str(Lsn(lsn)))
        if tx.skip < _SKIP_ALL:
            raise refused
        self.stream.count(tx, lsn)

    def read_images(self, state: RelationState, oid: int, kind: int) -> RelationState:
        """Reads the rest of a change into `before` and `after`, as its markers say. Returns *state*, or one with
        another schema if a row has a null or an enum's label that the catalog did not have."""
        cursor = self.cursor
        self.before = self.after = None
        marker = cursor.u8()
        if kind != _INSERT and (marker == OLD_KEY or marker == OLD_TUPLE):  # noqa: PLR1714, SIM109
            before = self.before = self.image(state)
            if marker == OLD_KEY:
                absent_where_null(before)
                if self.null_keys:
                    self.fill_key(state, before)
            else:
                state = self.relations.nullable(state, oid, before)
            if state.enums:
                state = self.relations.labelled(state, oid, before)
            marker = cursor.u8() if kind == _UPDATE else 0
        if kind != _DELETE:
            if marker != NEW_TUPLE:
                raise ProtocolError("no new tuple where one must be", offset=cursor.pos - 1, wanted="N", got=marker)
            after = self.after = self.image(state)
            state = self.relations.nullable(state, oid, after)
            if state.enums:
                state = self.relations.labelled(state, oid, after)
        elif self.before is None:
            raise ProtocolError("Delete without an old tuple", offset=cursor.pos - 1, wanted="K or O", got=marker)
        cursor.finish("tuple")
        return state

    def origin(self, state: RelationState, tx: Transaction, lsn: int, live: bool) -> Origin:
        """Where the change at *lsn* comes from. All changes of a table in a transaction use the same object."""
        found = tx.origins.get(state)
        if found is None:
            counters = tx.counters if self.transaction_metadata else None
            found = tx.origins[state] = Origin(self.events.context(state, tx), (), live, counters)
        found.live = live
        if live:
            number = str(lsn)
            found.values = (tx.sequence_head + number + '"]', lsn)
        if self.transaction_metadata:
            found.transaction_id = f"{tx.xid}:{lsn}"
        return found

    def image(self, state: RelationState) -> Row:
        row = self.cursor.row()
        if row.count != state.column_count:
            raise ProtocolError("tuple and relation differ in their number of columns", offset=self.cursor.pos,
                                wanted=state.column_count, got=row.count, table=state.collection)
        return row

    def fill_key(self, state: RelationState, row: Row) -> None:
        """Makes the key columns that *row* lacks null."""
        for index in state.emitted.key:
            if row.kind(index) == ABSENT:
                row.put(index, NULL, 0, 0)

    # -- everything else ----------------------------------------------------------------------------------------

    def control(self, lsn: int, kind: int, streamed: bool) -> None:
        """Any message but Insert, Update and Delete."""
        message = parse_control(self.cursor, kind, streamed)
        stream = self.stream
        stream.last_kind = kind
        handler = HANDLERS[kind]
        live = True
        if handler.counts(message):
            tx = stream.transaction
            if tx is None:
                raise ProtocolError(f"{type(message).__name__} outside a transaction", offset=XLOG_HEADER)
            live = stream.count(tx, lsn, kind != protocol.LOGICAL_REP_MSG_MESSAGE)
        handler.handle(self, message, lsn, live)

    def begin(self, final_lsn: int, commit_time_us: int, xid: int, lsn: int) -> None:
        """As `Stream.begin`."""
        self.stream.begin(final_lsn, commit_time_us, xid, lsn)
        if self.relations.doubtful:
            self.relations.settle(final_lsn, xid)

    def start_replay(self, xid: int, final_lsn: int, end_lsn: int, commit_time_us: int, lsn: int) -> None:
        """The kept transaction *xid* was committed: `step` reads it."""
        self.replay, first_lsn = self.in_progress.replay(xid)
        self.replay_end = end_lsn
        self.begin(final_lsn, commit_time_us, xid, first_lsn or lsn)
