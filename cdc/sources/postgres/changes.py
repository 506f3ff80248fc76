"""pgoutput frames to records: which transaction, which table, which images, which key.

A `ChangeReader` knows the current transaction and the relations, by oid. Transactions that are still being streamed or
prepared wait in `InProgress`. The log does not tell everything about a table: the `resolve` callback adds the rest,
once per Relation message. Nothing is looked up while rows are decoded.

After a restart the server sends again what we had not confirmed; what was delivered already is dropped here. A
transaction is identified by where its commit record starts (`final_lsn`). Transactions that start their commit before
the position's `end_lsn` were delivered whole. Of the transaction at `tx_lsn`, the first `tx_changes` changes were
delivered, and the last of them is at `last_lsn`. If the publication was changed meanwhile, the transaction contains
other changes and the count alone would skip wrong ones; a change beyond `last_lsn` is therefore always delivered,
possibly twice.

None of that counts before the server has shown the position's last transaction again, where the slot does not prove
that it has it (`witness.py`). Until then everything is dropped, and no position but the stored one is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cython  # noqa: F401

from cdc.core.errors import ProtocolError, SourceRefusedError
from cdc.core.row import ABSENT, NULL, Row
from cdc.core.table import TableSchema
from cdc.debezium.emit import Counters, EmittedTable, Emitter, Origin

from . import in_progress, protocol
from .enums import EnumColumn
from .in_progress import WITH_XID, InProgress
from .lsn import Lsn
from .merge import Doubt
from .position import PostgresPosition
from .protocol import NEW_TUPLE, OLD_KEY, OLD_TUPLE, XLOG_HEADER, Cursor, absent_where_null, parse_control
from .spill import Spill
from .witness import Shown, Witness, check_in_snapshot, shown_message

_KEEPALIVE = ord("k")
_KEEPALIVE_BYTES = 18
"""A keepalive: `k`, the end of the server's WAL, its time, and whether it wants an answer."""
_INSERT = protocol.LOGICAL_REP_MSG_INSERT
_UPDATE = protocol.LOGICAL_REP_MSG_UPDATE
_DELETE = protocol.LOGICAL_REP_MSG_DELETE

SKIP_ALL = 1 << 62


class RelationState:
    """How the rows of one relation are read. `table` and `emitted` are None if the relation is not captured.

    `enums`: for each column of an enum its index, the values that are known, and what `relabel` needs.
    `doubt`: until when the catalog's key may be newer than the rows.
    *watched*: as `EmittedTable.watched`.
    """

    def __init__(self, relation: protocol.Relation, table: TableSchema | None,
                 enums: tuple[EnumColumn, ...] = (), doubt: Doubt | None = None, *, watched: bool = False) -> None:
        self.relation = relation
        self.table: Any = table
        self.collection = f"{relation.namespace}.{relation.name}"
        self.column_count = len(relation.columns)
        columns = table.columns if table else ()
        self.required = tuple(column.index for column in columns if not column.schema.optional)
        self.enums = tuple((each.index, each.known, each) for each in enums)
        self.doubt = doubt
        self.emitted: Any = EmittedTable(table, self.collection, watched) if table else None


class Transaction:
    """The transaction whose changes are being read.

    `changes`: changes of it so far, those of other tables included.
    `skip`, `skip_until_lsn`: its first `skip` changes were delivered before a restart, none beyond `skip_until_lsn`.
    `skip_before_lsn`, `skip_rows`: its changes before this LSN were delivered, and so many row changes at it; from an
    offset of another program. 0 as soon as something new came.
    `sequence_head`: the first part of `source.sequence`.
    """

    def __init__(self, final_lsn: int, commit_time_us: int, xid: int, skip: int, skip_until_lsn: int,
                 skip_before_lsn: int, skip_rows: int) -> None:
        self.final_lsn = final_lsn
        self.commit_time_us = commit_time_us
        self.xid = xid
        self.skip = skip
        self.skip_until_lsn = skip_until_lsn
        self.skip_before_lsn = skip_before_lsn
        self.skip_rows = skip_rows
        self.changes = 0
        self.counters = Counters()
        self.origins: dict[RelationState, Origin] = {}
        self.origin: str | None = None
        self.origin_lsn: int | None = None
        self.sequence_head = ""


class ChangeReader:
    """Feed it frames in order with `run`; take the records out of `emitter`.

    *resolve(relation, xid, final_lsn)* returns the RelationState for a Relation message of a transaction (0 and 0 if
    that is not known). *relax(state, indexes)* returns *state* with columns that may be null, those at *indexes*;
    *relabel(state, row)* one whose enums have the labels in *row*. *name_type* takes Type messages, *truncated* the
    names of tables whose TRUNCATE gives no event. *events* (`SourceBlock`) builds source blocks, and the messages that
    are no row changes. *null_keys*: a key column that an old image lacks is null, as with Debezium.

    `apart`: messages are kept for later, because they belong to an open stream block or to a transaction that is being
    prepared.
    `replay`: the kept messages of a transaction that was committed, while they are being read.
    `end_lsn`: all transactions whose commit starts before this LSN have been read.
    `commit_lsn`: the end of the last transaction with changes of ours.
    `answer_wanted`: in the last `run`, the server asked for our position.
    `due`: what the server has yet to show again; None if nothing.
    `caught_up`: all that precedes the position we resumed from was read again.
    `refused`: by oid, why the rows of a relation cannot be read that was described where everything is dropped.
    `shown`: the fields of a `Shown`: the last transaction with changes, or message, that was read whole. None before
    the first.
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
        self.resolve = resolve
        self.relax = relax
        self.relabel = relabel
        self.name_type = name_type
        self.truncated = truncated
        self.events = events
        self.in_progress = InProgress(spill)
        self.apart = False
        self.cursor = Cursor()
        self.before: Row | None = None
        self.after: Row | None = None
        self.relations: dict[int, RelationState] = {}
        self.doubtful: set[int] = set()
        self.transaction: Transaction | None = None
        self.replay: Iterator[tuple[bytes, bool]] | None = None
        self.replay_end = 0
        self.outer_relations: dict[int, RelationState] | None = None
        self.resumed = PostgresPosition(end_lsn=0)
        self.end_lsn = 0
        self.last_lsn = 0
        self.last_kind = 0
        self.last_time_us = 0
        self.commit_lsn = 0
        self.transactions = 0
        self.answer_wanted = False
        self.due: Witness | None = None
        self.caught_up = False
        self.refused: dict[int, SourceRefusedError] = {}
        self.shown: tuple[Any, ...] | None = None

    def resume(self, position: PostgresPosition, due: Witness | None = None) -> None:
        """Continue from *position*: changes that were delivered before it are dropped when they come again, provided
        that the server shows *due* first."""
        self.resumed = position
        self.end_lsn = position.end_lsn
        self.commit_lsn = position.commit_lsn
        self.due = due
        self.caught_up = False
        self.shown = position.shown

    def position(self) -> PostgresPosition:
        """The position that is reached when all records so far are delivered."""
        tx, resumed = self.transaction, self.resumed
        if self.due is not None:
            return resumed
        hold_lsn = self.in_progress.held_lsn()
        if resumed.hold_lsn and not self.caught_up:
            hold_lsn = min(hold_lsn or resumed.hold_lsn, resumed.hold_lsn)  # see resume.held
        tx_lsn = tx_changes = 0
        last_lsn = self.last_lsn or resumed.last_lsn
        xid = tx.xid if tx is not None else 0
        if tx is not None and tx.skip_before_lsn:
            return resumed  # nothing new so far
        if tx is not None and tx.final_lsn >= resumed.end_lsn:
            tx_lsn, tx_changes = tx.final_lsn, tx.changes
            if tx.changes < tx.skip and last_lsn <= tx.skip_until_lsn:
                tx_changes, last_lsn = tx.skip, resumed.last_lsn
        elif resumed.tx_lsn and resumed.tx_lsn >= self.end_lsn:
            # The transaction of which a part was delivered before the restart is still to come; `xid` is another's.
            tx_lsn, tx_changes, last_lsn, xid = resumed.tx_lsn, resumed.tx_changes, resumed.last_lsn, 0
        return PostgresPosition(
            end_lsn=self.end_lsn, tx_lsn=tx_lsn, tx_changes=tx_changes, commit_lsn=self.commit_lsn,
            hold_lsn=hold_lsn, last_lsn=last_lsn, last_kind=self.last_kind,
            xid=xid, time_us=self.last_time_us, system_id=resumed.system_id, timeline=resumed.timeline,
            shown=Shown._make(self.shown) if self.shown else None, begin_lsn=resumed.begin_lsn,
            begin_time_us=resumed.begin_time_us, read_lsn=resumed.read_lsn if self.end_lsn < resumed.read_lsn else 0)

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

    def between_transactions(self) -> bool:
        return self.transaction is None and self.replay is None

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
            prepared = self.outer_relations is not None
            if self.outer_relations is not None:
                self.relations = self.outer_relations
                self.outer_relations = None
            self.end_transaction(self.replay_end, self.replay_end, prepared)
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
        tx = self.transaction
        if tx is None:
            raise ProtocolError("a change outside a transaction", offset=XLOG_HEADER, got=chr(kind), wanted="B first")
        oid = self.cursor.u32()
        state = self.relations.get(oid)
        if state is None:
            self.not_described(oid, lsn)
            return
        live = self.count(tx, lsn)
        self.last_kind = kind
        if state.table is None:
            self.emitter.filtered += 1
            return
        if not live and (not self.transaction_metadata or tx.skip >= SKIP_ALL):
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
        tx = self.transaction
        assert tx is not None
        refused = self.refused.get(oid)
        if refused is None:
            raise ProtocolError("a change of a relation that was not described", offset=self.cursor.pos,
                                wanted="R first", got=oid, lsn=str(Lsn(lsn)))
        if tx.skip < SKIP_ALL:
            raise refused
        self.count(tx, lsn)

    def count(self, tx: Transaction, lsn: int, row: bool = True) -> bool:
        """Counts one more change of *tx*, of a *row* or a logical message. Returns False if it was delivered before a
        restart."""
        tx.changes += 1
        self.last_lsn = lsn
        if tx.skip_before_lsn:
            if lsn < tx.skip_before_lsn:
                return False
            if lsn == tx.skip_before_lsn and tx.skip_rows:
                tx.skip_rows -= row
                return False
            tx.skip_before_lsn = 0
        return tx.changes > tx.skip or lsn > tx.skip_until_lsn

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
                state = self.nullable(state, oid, before)
            if state.enums:
                state = self.labelled(state, oid, before)
            marker = cursor.u8() if kind == _UPDATE else 0
        if kind != _DELETE:
            if marker != NEW_TUPLE:
                raise ProtocolError("no new tuple where one must be", offset=cursor.pos - 1, wanted="N", got=marker)
            after = self.after = self.image(state)
            state = self.nullable(state, oid, after)
            if state.enums:
                state = self.labelled(state, oid, after)
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

    def nullable(self, state: RelationState, oid: int, row: Row) -> RelationState:
        """Returns *state*, relaxed if *row* has a null where the catalog says NOT NULL: then the catalog is newer than
        the row."""
        for index in state.required:
            if row.kind(index) == NULL:
                nulls = [each for each in state.required if row.kind(each) == NULL]
                state = self.relax(state, nulls)
                self.relations[oid] = state
                break
        return state

    def labelled(self, state: RelationState, oid: int, row: Row) -> RelationState:
        """Returns *state*, with another schema if *row* has a label that the schema does not name."""
        for index, known, _ in state.enums:
            raw = row.raw(index)
            if raw is not None and raw not in known:
                state = self.relations[oid] = self.relabel(state, row)
                break
        return state

    # -- everything else ----------------------------------------------------------------------------------------

    def control(self, lsn: int, kind: int, streamed: bool) -> None:
        """Any message but Insert, Update and Delete."""
        message = parse_control(self.cursor, kind, streamed)
        self.last_kind = kind
        control = _CONTROL[kind]
        live = True
        if control.counts(message):
            tx = self.transaction
            if tx is None:
                raise ProtocolError(f"{type(message).__name__} outside a transaction", offset=XLOG_HEADER)
            live = self.count(tx, lsn, kind != protocol.LOGICAL_REP_MSG_MESSAGE)
        control.handle(self, message, lsn, live)

    def on_begin(self, message: protocol.Begin, lsn: int, live: bool) -> None:
        self.begin(message.final_lsn, message.commit_time_us, message.xid, lsn)

    def begin(self, final_lsn: int, commit_time_us: int, xid: int, lsn: int) -> None:
        if self.transaction is not None:
            raise ProtocolError("Begin within a transaction", offset=XLOG_HEADER, xid=xid)
        before = self.resumed
        due = self.due
        if due is not None and due.begins(final_lsn, xid, commit_time_us):
            due = self.due = None
        skip, skip_until, skip_before, skip_rows = 0, SKIP_ALL, 0, 0
        resumed = final_lsn == before.tx_lsn
        if final_lsn >= before.end_lsn:
            self.caught_up = True
        if final_lsn < before.end_lsn or due is not None:
            skip = SKIP_ALL
        elif resumed:
            skip, skip_until = before.tx_changes, before.last_lsn
        elif before.skip_before_lsn and before.xid and xid == before.xid and before.time_us in (0, commit_time_us):
            skip_before, skip_rows = before.skip_before_lsn, before.skip_rows
        tx = Transaction(final_lsn, commit_time_us, xid, skip, skip_until, skip_before, skip_rows)
        tx.sequence_head = f'["{self.commit_lsn}","' if self.commit_lsn else '[null,"'
        self.transaction = tx
        self.last_lsn = lsn
        self.last_time_us = commit_time_us
        if self.doubtful:
            self.settle(final_lsn, xid)
        if self.transaction_metadata and not skip and not skip_before and not resumed:
            self.emitter.records.append(self.events.transaction_begin(f"{tx.xid}:{lsn}", commit_time_us))

    def on_commit(self, message: protocol.Commit, lsn: int, live: bool) -> None:
        self.end_transaction(message.end_lsn, lsn)

    def end_transaction(self, end_lsn: int, lsn: int, prepared: bool = False) -> None:
        tx = self.transaction
        if tx is None:
            raise ProtocolError("Commit outside a transaction", offset=XLOG_HEADER)
        if self.transaction_metadata and tx.skip < SKIP_ALL:
            self.emitter.records.append(self.events.transaction_end(f"{tx.xid}:{lsn}", tx.commit_time_us,
                                                                    tx.counters.per_table))
        if tx.skip < SKIP_ALL:
            if tx.changes or prepared:
                self.shown = (tx.final_lsn, end_lsn, tx.xid, tx.commit_time_us, None)
        elif self.due is not None:
            if self.due.ends(end_lsn, tx.xid, tx.commit_time_us):
                self.due = None
        elif self.resumed.begin_time_us and tx.origin is None and self.shown is None:
            check_in_snapshot(tx.final_lsn, tx.commit_time_us, tx.xid, self.resumed.begin_time_us)
        self.emitter.mark(tx.commit_time_us)
        self.transaction = None
        self.transactions += 1
        self.last_lsn = lsn
        self.last_kind = protocol.LOGICAL_REP_MSG_COMMIT
        if end_lsn > self.end_lsn:
            self.end_lsn = end_lsn
        if end_lsn >= self.resumed.end_lsn:
            self.caught_up = True
        self.commit_lsn = end_lsn

    def on_relation(self, message: protocol.Relation, lsn: int, live: bool) -> None:
        tx = self.transaction
        self.refused.pop(message.oid, None)
        try:
            state = self.resolve(message, tx.xid if tx is not None else 0, tx.final_lsn if tx is not None else 0)
        except SourceRefusedError as exc:
            if self.due is None and (tx is None or tx.skip < SKIP_ALL):
                raise
            # What was delivered is not read again, so that nothing of its table needs to exist any more.
            self.relations.pop(message.oid, None)
            self.refused[message.oid] = exc
            return
        self.relations[message.oid] = state
        if state.doubt is not None:
            self.doubtful.add(message.oid)

    def settle(self, final_lsn: int, xid: int) -> None:
        """A transaction begins: look the tables up again whose rows are now surely as new as the catalog was."""
        for oid in list(self.doubtful):
            state = self.relations.get(oid)
            if state is None or state.doubt is None:
                self.doubtful.discard(oid)
            elif state.doubt.is_over(final_lsn, xid):
                self.doubtful.discard(oid)
                self.relations[oid] = self.resolve(state.relation, xid, final_lsn)

    def on_type(self, message: protocol.Type, lsn: int, live: bool) -> None:
        self.name_type(message)

    def on_origin(self, message: protocol.Origin, lsn: int, live: bool) -> None:
        if self.transaction is not None:
            self.transaction.origin = message.name
            self.transaction.origin_lsn = message.commit_lsn

    def on_truncate(self, message: protocol.Truncate, lsn: int, live: bool) -> None:
        tx = self.transaction
        assert tx is not None
        for oid in message.relation_oids:
            state = self.relations.get(oid)
            if state is None and oid not in self.refused:
                raise ProtocolError("Truncate of a relation that was not described", wanted="R first", got=oid)
            if state is None:
                if tx.skip < SKIP_ALL:
                    raise self.refused[oid]
            elif state.table is not None:
                self.emitter.truncate(state.emitted, self.origin(state, tx, lsn, live))
                if self.truncated is not None and live:
                    self.truncated(state.collection)

    def on_logical_message(self, message: protocol.LogicalMessage, lsn: int, live: bool) -> None:
        tx = self.transaction
        if not message.transactional:
            shown = shown_message(lsn, message.prefix, message.content)
            live = lsn > self.resumed.end_lsn and self.due is None
            if self.due is not None and self.due.message(shown):
                self.due = None
            self.commit_lsn = lsn  # no COMMIT follows: it is its own
        record = self.events.logical_message(message, tx if message.transactional else None, lsn, self.commit_lsn,
                                             self.last_time_us, self.clock_us(), self.transaction_metadata)
        if live and record is not None:
            self.emitter.records.append(record)
        if not message.transactional and tx is None and lsn >= self.end_lsn:
            # Every transaction that committed before this message was sent before it. *lsn* is where the message's
            # record ends, so that the next commit may begin there. PostgreSQL source:
            # src/backend/replication/logical/decode.c, `logicalmsg_decode`.
            self.end_lsn = lsn
            self.last_lsn = lsn
            self.caught_up = self.caught_up or lsn >= self.resumed.end_lsn
            self.shown = shown

    # -- transactions in progress -------------------------------------------------------------------------------

    def start_replay(self, xid: int, final_lsn: int, end_lsn: int, commit_time_us: int, lsn: int) -> None:
        """The kept transaction *xid* was committed: `step` reads it."""
        self.replay, first_lsn = self.in_progress.replay(xid)
        self.replay_end = end_lsn
        self.begin(final_lsn, commit_time_us, xid, first_lsn or lsn)

    def idle(self, wal_end: int) -> None:
        """A keepalive: if no transaction is open, we have received all changes of ours before *wal_end*."""
        if self.due is not None:
            self.due.passed(wal_end)
            return
        if wal_end >= self.resumed.end_lsn:
            self.caught_up = True
        if self.between_transactions() and not self.apart and wal_end > self.end_lsn:
            self.end_lsn = wal_end


def _never(message: Any) -> bool:
    return False


def _always(message: Any) -> bool:
    return True


def _if_transactional(message: protocol.LogicalMessage) -> bool:
    return message.transactional


class Control(NamedTuple):
    """How messages of one type are handled. `counts`: whether a message is one of its transaction's changes; it is then
    handled with `live` False if it was delivered before a restart."""

    handle: Callable[[ChangeReader, Any, int, bool], None]
    counts: Callable[[Any], bool] = _never


_CONTROL: dict[int, Control] = {
    protocol.LOGICAL_REP_MSG_BEGIN: Control(ChangeReader.on_begin),
    protocol.LOGICAL_REP_MSG_COMMIT: Control(ChangeReader.on_commit),
    protocol.LOGICAL_REP_MSG_ORIGIN: Control(ChangeReader.on_origin),
    protocol.LOGICAL_REP_MSG_RELATION: Control(ChangeReader.on_relation),
    protocol.LOGICAL_REP_MSG_TYPE: Control(ChangeReader.on_type),
    protocol.LOGICAL_REP_MSG_TRUNCATE: Control(ChangeReader.on_truncate, _always),
    protocol.LOGICAL_REP_MSG_MESSAGE: Control(ChangeReader.on_logical_message, _if_transactional),
    **{kind: Control(handle) for kind, handle in in_progress.HANDLERS.items()},
}
"""All types but Insert, Update and Delete, which always count."""
