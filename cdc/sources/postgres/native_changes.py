"""Has C read the frames that it can, and the ChangeReader all others, in one order into one batch.

C reads what most frames are: Begin, Insert, Update, Delete and Commit of transactions that are read from their start.
It refuses a frame that needs more, before it has changed anything, and that frame is fed to the ChangeReader, which
is also the reader where there is no native module. What both must know is carried over before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from cdc.codecs.java import java_hash_spread
from cdc.core.record import CREATE, DELETE, UPDATE, SourceContext
from cdc.native import module

from . import protocol
from .changes import ChangeReader
from .native_copy import ReadLines
from .protocol import XLOG_HEADER
from .relations import RelationState
from .source_block import MESSAGES, NATIVE_FIELDS
from .transaction import SKIP_ALL, Transaction

_MOST_LABELS: Final = 256
"""C compares a value with one label after the other."""
_SPARE_TABLES: Final = 1000
_OID: Final = slice(XLOG_HEADER + 1, XLOG_HEADER + 5)
_OF_A_RELATION: Final = frozenset((protocol.LOGICAL_REP_MSG_RELATION, protocol.LOGICAL_REP_MSG_INSERT,
                                   protocol.LOGICAL_REP_MSG_UPDATE, protocol.LOGICAL_REP_MSG_DELETE))


Pass = Callable[[list[Any]], list[Any]]


def as_they_are(items: list[Any]) -> list[Any]:
    return items


def native_changes(reader: ChangeReader, passed: Pass = as_they_are) -> NativeChanges | None:
    """What reads natively for *reader*; None if this installation cannot. *passed*: as `Control.passed`; it sees what
    *reader* reads."""
    pgoutput, records, copytext = module("pgoutput"), module("records"), module("copytext")
    if pgoutput is None or records is None or copytext is None:
        return None
    return NativeChanges(reader, passed, pgoutput, records, copytext)


class _Origin:
    """A transaction, as `SourceBlock.context` wants it: without a replication origin."""

    origin = origin_lsn = None
    counters: Any = None

    def __init__(self, commit_time_us: int, xid: int) -> None:
        self.commit_time_us = commit_time_us
        self.xid = xid


class NativeChanges:
    """Makes batches for *reader*. Between calls, *reader* has all of the state."""

    def __init__(self, reader: ChangeReader, passed: Pass, pgoutput: Any, records: Any, copytext: Any) -> None:
        self._reader = reader
        self._passed = passed
        self._records = records
        self._copytext = copytext
        self._state = pgoutput.State()
        emitter = reader.emitter
        self._metadata = reader.transaction_metadata
        transactions = None
        if self._metadata:
            transactions = records.Table(reader.events.transactions(), None, (), reader.events)
        self._decoder = pgoutput.Decoder(
            skip_create=emitter.skip_create, skip_update=emitter.skip_update, skip_delete=emitter.skip_delete,
            tombstones=emitter.tombstones, skip_unchanged=emitter.skip_unchanged, whole_keys=emitter.whole_keys,
            null_keys=reader.null_keys, transactions=transactions, spread=java_hash_spread, by_one=(MESSAGES,))
        self._known: dict[int, tuple[RelationState, list[int], bool]] = {}
        self._relations = reader.relations.states
        self._xmin = reader.events.xmin

    def run(self, frames: Sequence[bytes], start: int, max_records: int, max_bytes: int) -> tuple[int, int, Any]:
        """As `ChangeReader.run`; returns the batch as well, a `native.records.RecordBatch`. *frames* are a list, or
        `native.frames.Frames`."""
        reader, decoder = self._reader, self._decoder
        self._look_again()
        batch = self._records.RecordBatch(decoder.tables, frames, self._context)
        reader.answer_wanted = False
        self._take(batch)
        number, size = start, 0
        while len(batch) < max_records and size < max_bytes:
            if reader.replay is not None:
                size += reader.step()
                self._take(batch)
                if reader.replay is None:
                    self._forget()
                continue
            if number >= len(frames):
                break
            if self._plain():
                before = number
                number, size, refused = self._decode(batch, number, max_records, size, max_bytes)
                if not refused and number > before:
                    continue
            size += self._feed(frames[number])
            number += 1
            self._take(batch)
        for table, created, updated, deleted in decoder.take_counts():
            reader.emitter.add_counts(table.state.collection,
                                      ((CREATE, created), (UPDATE, updated), (DELETE, deleted)))
        return number, size, batch

    def _plain(self) -> bool:
        """Whether C may be asked at all."""
        reader = self._reader
        tx = reader.stream.transaction
        return (reader.stream.due is None and not reader.apart and not reader.relations.doubtful
                and (tx is None or (not tx.skip and not tx.skip_before_lsn and tx.origin is None)))

    # -- what C does ----------------------------------------------------------------------------------------------

    def _decode(self, batch: Any, number: int, max_records: int, size: int, max_bytes: int) -> tuple[int, int, bool]:
        reader, stream, state = self._reader, self._reader.stream, self._state
        resumed = stream.resumed
        self._decoder.resume(resumed.end_lsn, resumed.tx_lsn, (resumed.xid or 0) if resumed.skip_before_lsn else 0)
        tx = stream.transaction
        state.transaction = None if tx is None else (
            tx.final_lsn, tx.commit_time_us, tx.xid, tx.changes, tx.sequence_head, True)
        state.last_lsn, state.last_kind, state.last_time_us = stream.last_lsn, stream.last_kind, stream.last_time_us
        state.end_lsn, state.commit_lsn, state.caught_up = stream.end_lsn, stream.commit_lsn, stream.caught_up
        state.window = reader.emitter.window()
        if self._metadata and tx is not None:
            state.counters = tx.counters.total, tx.counters.per_table
        outcome: tuple[int, int, bool] = self._decoder.decode(batch, state, number, max_records, size, max_bytes)
        self._carry_back(state)
        return outcome

    def _carry_back(self, state: Any) -> None:
        reader, stream = self._reader, self._reader.stream
        stream.last_lsn, stream.last_kind, stream.last_time_us = state.last_lsn, state.last_kind, state.last_time_us
        stream.end_lsn, stream.commit_lsn, stream.caught_up = state.end_lsn, state.commit_lsn, state.caught_up
        if state.shown is not None:
            stream.shown = state.shown
        stream.transactions += state.transactions
        reader.emitter.filtered += state.filtered
        reader.emitter.set_window(state.commits, state.window)
        if state.transaction is None:
            stream.transaction = None
            return
        final_lsn, commit_time_us, xid, changes, head, made = state.transaction
        if not made:
            stream.transaction = Transaction(final_lsn, commit_time_us, xid, 0, SKIP_ALL, 0, 0)
            stream.transaction.sequence_head = head
        assert stream.transaction is not None
        stream.transaction.changes = changes
        if self._metadata:
            counters = stream.transaction.counters
            counters.total, counters.per_table = state.counters

    # -- what the ChangeReader does -------------------------------------------------------------------------------

    def _feed(self, frame: bytes) -> int:
        reader = self._reader
        if frame[:1] == b"k":
            reader.answer_wanted = reader.keepalive(frame) or reader.answer_wanted
            return len(frame)
        doubtful = bool(reader.relations.doubtful)
        reader.feed(frame)
        if doubtful or reader.relations.states is not self._relations:
            self._forget()
        elif frame[XLOG_HEADER] in _OF_A_RELATION:
            self.look_at(int.from_bytes(frame[_OID]))
        return len(frame)

    def _take(self, batch: Any) -> None:
        for item in self._passed(self._reader.emitter.take()):
            if isinstance(item, ReadLines):
                self._add_reads(batch, item)
            else:
                batch.append(item)

    def _add_reads(self, batch: Any, reads: ReadLines) -> None:
        plan = reads.plan
        table = self._decoder.add_table(self._records.Table(plan.table, reads.context, (), None))
        self._copytext.add_reads(batch, reads.lines, table, plan.indexes, plan.column_count, reads.record)

    # -- relations ------------------------------------------------------------------------------------------------

    def _look_again(self) -> None:
        """Before a batch: begins a new list of tables if the xmin has changed, or the list has become long."""
        if (self._xmin != self._reader.events.xmin or self._relations is not self._reader.relations.states
                or len(self._decoder.tables) > 2 * len(self._reader.relations.states) + _SPARE_TABLES):
            self._xmin = self._reader.events.xmin
            self._relations = self._reader.relations.states
            self._known = {}
            self._decoder.clear()

    def _forget(self) -> None:
        """All relations may be others now: C refuses their next changes, and `look_at` then tells it."""
        self._relations = self._reader.relations.states
        for oid in self._known:
            self._decoder.set_table(oid, None, columns=0, captured=False, native=False)
        self._known = {}

    def look_at(self, oid: int) -> None:
        """Tells C how the rows of relation *oid* are read, if that has changed."""
        state = self._reader.relations.states.get(oid)
        if state is None:
            if self._known.pop(oid, None) is not None:
                self._decoder.set_table(oid, None, columns=0, captured=False, native=False)
            return
        labels = [len(known) for _, known, _ in state.enums]
        watched = state.table is not None and state.emitted.watched
        if self._known.get(oid) == (state, labels, watched):
            return
        self._known[oid] = state, labels, watched
        if state.table is None:
            self._decoder.set_table(oid, None, columns=state.column_count, captured=False, native=True)
            return
        template = self._reader.events.native_template(state)
        fields = tuple(NATIVE_FIELDS[index] for index in template.varying)
        table = self._records.Table(state.table, template, fields, state)
        self._decoder.set_table(
            oid, table, columns=state.column_count, captured=True,
            native=not watched and (not labels or max(labels) <= _MOST_LABELS),
            required=state.required, key=state.emitted.key,
            enums=[(index, tuple(known)) for index, known, _ in state.enums],
            compared=[index for index in state.emitted.captured if index not in state.emitted.mapped],
            mapped=[index for index in state.emitted.captured if index in state.emitted.mapped],
            name=state.collection)

    def _context(self, state: RelationState, time_us: int, xid: int) -> SourceContext:
        context: SourceContext = self._reader.events.context(state, _Origin(time_us, xid))
        return context
