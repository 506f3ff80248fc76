"""Events of the binary log to records: which transaction, which table, which images, which key.

The decoder holds what the log says so far: the file, the transaction, table maps by id, structures. A statement that
changes structures is carried out on them (`ddl.py`) when it is met, so that the next row is read with what held for it.

What was delivered before a restart is dropped here: of the transaction in which the stream resumes the first `event`
events, and of the event after those the first `row` rows. Events are counted from where the transaction starts: BEGIN
with MySQL, the GTID event with MariaDB, as in Debezium's offsets; but statements' texts, which are there if asked for
only, do not count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any, Final, Protocol

import cython  # noqa: F401

from cdc.core.errors import PositionLostError, ProtocolError, SourceRefusedError
from cdc.core.filters import Filters
from cdc.core.record import Message, SourceContext
from cdc.core.row import ABSENT, UNCHANGED, Row
from cdc.core.schema import TableId
from cdc.log import get_logger
from cdc.sources.emit import Counters, Emitter, Place, Target

from . import const, ddl, schema_changes, xa
from .binlog import BinlogDecoder
from .collations import Collations
from .events import Events
from .gtid import GtidSet, MariaGtidSet
from .header import Header
from .logged import fits, from_log
from .messages import (
    FormatDescription,
    Gtid,
    GtidList,
    Heartbeat,
    Incident,
    MariaGtid,
    PreviousGtids,
    Query,
    Rotate,
    RowsQuery,
    Stop,
    TableMap,
    TransactionPayload,
    XaPrepare,
    Xid,
)
from .position import MySqlPosition, file_number
from .rows import RowsEvent
from .structure import Structures, TableStructure
from .tables import TableBuilder
from .tokens import Dialect

log = get_logger(__name__)

_UNDECIDED: Final = ddl.Outcome("other")
_NO_CHANGE = frozenset((Heartbeat, GtidList, Stop))
_OTHER_PLACES = frozenset((FormatDescription, Rotate))
"""The one is sent again wherever a stream begins, the other is of the file before."""
_ARTIFICIAL = const.LOG_EVENT_ARTIFICIAL_F
_MAX_STATE_COLUMNS = 100_000
"""Of all table maps that are kept: about 15 MB."""
_MAX_TOLD = 100
_WAITING_BYTES = 1 << 20
_SAVEPOINT: Final = re.compile(r"(?P<back>ROLLBACK\s+(WORK\s+)?TO\s+)?(SAVEPOINT\s+)?(?P<name>\S.*)",
                               re.IGNORECASE | re.DOTALL)
"""RELEASE SAVEPOINT is not logged, or makes a name that is not looked for."""
_ALL_ROWS = 1 << 62

_OLD_TEMPORAL = frozenset((const.MYSQL_TYPE_TIMESTAMP, const.MYSQL_TYPE_DATETIME, const.MYSQL_TYPE_TIME))


class Reread(Protocol):
    """Reads tables from the server as they are now."""

    def __call__(self, ids: Collection[TableId]) -> dict[TableId, TableStructure]: ...


class Transaction:
    """The transaction whose events are being read. `event` events of it are behind us.

    `first` of the records in hand is its first; -1 when some were given away. `began_at` counts the stream's bytes.
    `held`: it is prepared only, so its rows are passed over. `base`: rows of the events before, in a replay.
    `time_us`: when it was committed, where its GTID tells; else when the statement of the last rows began.
    """

    def __init__(self, file: str, pos: int, id_: str, gtid: str | None, time_us: int) -> None:
        self.file = file
        self.pos = pos
        self.id = id_
        self.gtid = gtid
        self.time_us = time_us
        self.event = 0
        self.thread: int | None = None
        self.query: str | None = None
        self.counters = Counters()
        self.contexts: dict[Target, SourceContext] = {}
        self.gtid_event: Gtid | MariaGtid | None = None
        self.skip_event = 0
        self.skip_row = 0
        self.held = False
        self.captured = False
        self.ignored = False
        self.base = 0
        self.first = -1
        self.began_at = 0
        self.savepoints: dict[str, tuple[int, int, dict[str, int]]] = {}


class Ahead:
    """Structures of a later place in the log than where the stream starts: alterations before that place are in them
    already."""

    def __init__(self, file: str, pos: int, structures: Structures) -> None:
        self.place = (file_number(file), pos)
        self.structures = structures

    def has(self, file: str, pos: int) -> bool:
        """Whether what ends at this place is in the structures."""
        return (file_number(file), pos) <= self.place

    def kept(self, before: Structures, now: Structures, outcome: ddl.Outcome) -> ddl.Outcome:
        """Undo what a statement did to tables that were known as of later; *outcome* with these."""
        changes = list(outcome.changes)
        for number, each in enumerate(changes):
            change = each.change
            later = self.structures.get(change.id) if change is not None and change.type == "ALTER" else None
            if change is not None and later is not None and before.get(change.id) in (None, later):
                now.put(later)
                changes[number] = replace(each, change=replace(change, structure=later))
        return replace(outcome, changes=tuple(changes))


class MapState:
    """One table map: what its rows are read with. `target` is None for a table that is not captured; `inserted` is the
    one for inserted rows whose images lack columns."""

    def __init__(self, table_map: TableMap, id: TableId, target: Target | None,
                 inserted: Target | None = None) -> None:
        self.table_map = table_map
        self.id = id
        self.target = target
        self.inserted = inserted

    def target_of(self, op: str) -> Target:
        """For rows without all their columns."""
        found = self.inserted if op == "c" else self.target
        assert found is not None
        return found


class Decoder:
    """Feed it whole events in order; `take` records out of `emitter`."""

    def __init__(self, *, emitter: Emitter, events: Events, builder: TableBuilder, filters: Filters,
                 scope: schema_changes.Scope, structures: Structures, reread: Reread, xa_log: xa.Log,
                 follows: Callable[[str], bool], schemas: schema_changes.SchemaChangeSchemas | None,
                 transaction_metadata: bool, include_query: bool, comments: bool, mariadb: bool, dialect: Dialect,
                 collations: Collations, on_inconsistency: str, clock_us: Callable[[], int]) -> None:
        self.emitter = emitter
        self.events = events
        self.builder = builder
        self.filters = filters
        self.scope = scope
        self.structures = structures
        self.reread = reread
        self.prepared = xa.Prepared(xa_log)
        self.follows = follows
        self.schemas = schemas
        self.transaction_metadata = transaction_metadata
        self.include_query = include_query
        self.comments = comments
        self.mariadb = mariadb
        self.dialect = dialect
        self.collations = collations
        self.on_inconsistency = on_inconsistency
        self.ahead = Ahead(*structures.as_of, structures.copy()) if structures.as_of is not None else None
        self.clock_us = clock_us
        self.binlog = BinlogDecoder()
        self.maps: dict[int, MapState] = {}
        self.states: dict[int, MapState] = {}
        self.state_columns = 0
        self.file = ""
        self.pos = 0
        self.gtids: GtidSet | MariaGtidSet | None = None
        self.transaction: Transaction | None = None
        self.payload: Iterator[tuple[Header, Any]] | None = None
        self.payload_header: Header | None = None
        self.replayed: str | None = None
        self.pending_gtid: tuple[Any, int, int] | None = None
        self.resume_at: MySqlPosition | None = None
        self.unsettled: MySqlPosition | None = None
        self.expected_log: tuple[str, int] | None = None
        self.log_created = 0
        self.structures_version = 0
        self.server_id = 0
        self.last_time_us = 0
        self.last_row = 0
        self.transactions = 0
        self.size_bytes = 0
        self.fed_bytes = 0
        self.told: set[TableId] = set()

    def resume(self, position: MySqlPosition, *, by_gtid: bool) -> None:
        """Continue from *position*; its GTIDs, if it has some, are those executed before it.

        *by_gtid*: the server begins with the head of a file and leaves out what is known, so until the first
        transaction comes the events do not tell where we are.
        Its `log_created` holds only on the same server, and so do its events and rows: leave them out for another.
        """
        self.file, self.pos = position.file, position.pos
        self.unsettled = position if by_gtid else None
        self.expected_log = (position.file, position.log_created) if position.log_created else None
        if position.gtids is not None:
            self.gtids = MariaGtidSet.parse(position.gtids) if self.mariadb else GtidSet.parse(position.gtids)
        self.resume_at = position if position.event or position.row else None

    def position(self) -> MySqlPosition:
        """Where the stream is now."""
        tx = self.transaction
        gtids = str(self.gtids) if self.gtids is not None else None
        now = MySqlPosition(self.file, self.pos, gtids, server_id=self.server_id,
                            ts_sec=self.last_time_us // 1_000_000, log_created=self.log_created)
        if self.unsettled is not None:
            return replace(self.unsettled, gtids=gtids, server_id=now.server_id, ts_sec=now.ts_sec)
        if tx is None:
            at = self.resume_at
            return now if at is None else replace(now, event=at.event, row=at.row, transaction=at.transaction)
        if tx.held:
            return self.start_of(tx, now)
        return replace(now, file=tx.file, pos=tx.pos, event=max(tx.event, tx.skip_event),
                       row=tx.skip_row if tx.event < tx.skip_event else 0, transaction=tx.gtid)

    def start_of(self, tx: Transaction, now: MySqlPosition) -> MySqlPosition:
        """*now*, but before all that this stream has of *tx*."""
        return replace(now, file=tx.file, pos=tx.pos, event=tx.skip_event, row=tx.skip_row, transaction=tx.gtid)

    def ready(self, limit: int) -> tuple[int, MySqlPosition]:
        """How many of the emitter's records may go now, and the position behind them.

        What there is of a transaction may be rolled back yet, in the log itself, so it waits for the end, unless that
        is *limit* records or as many bytes as a batch has.
        """
        tx, count = self.transaction, len(self.emitter.records)
        if tx is None:
            return count, self.position()
        size_bytes = self.fed_bytes + self.size_bytes - tx.began_at
        if tx.held or tx.first < 0 or count - tx.first >= limit or size_bytes >= _WAITING_BYTES:
            tx.first = -1
            tx.savepoints.clear()
            return count, self.position()
        first, tx.first = tx.first, 0
        tx.savepoints = {name: (at - first, total, counts) for name, (at, total, counts) in tx.savepoints.items()}
        return first, self.start_of(tx, self.position())

    # -- events --------------------------------------------------------------------------------------------------

    def run(self, events: list[bytes], first: int, max_records: int, max_bytes: int) -> tuple[int, int]:
        """Events from *first* on, and what they open, until there are as many records or bytes, or none of them is
        left. Returns which event is next, and how many bytes it were, those unpacked included."""
        number = first
        records = self.emitter.records
        self.fed_bytes += self.size_bytes
        self.size_bytes = 0
        while len(records) < max_records and self.size_bytes < max_bytes:
            if self.payload is not None:
                self.step()
            elif number < len(events):
                self.feed(events[number])
                number += 1
            else:
                break
        return number, self.size_bytes

    def feed(self, event: bytes) -> None:
        """One whole event. May open a payload: then `step` until there is none before feeding more."""
        self.size_bytes += len(event)
        header, message = self.binlog.decode(event)
        if isinstance(message, TransactionPayload):
            self.payload = map(self.binlog.decode_inner, message.events())
            self.payload_header = header
            return
        self.handle(header, message, header.next_position - header.length)
        made_up = not header.next_position or header.flags & _ARTIFICIAL
        if not made_up and self.between_transactions() and type(message) not in _OTHER_PLACES:
            self.pos = header.next_position

    def between_transactions(self) -> bool:
        """Whether the log could be resumed after the event just handled."""
        return self.transaction is None and self.pending_gtid is None

    def step(self) -> None:
        """One event of the open payload or replay, or its end."""
        payload, outer = self.payload, self.payload_header
        if payload is None or outer is None:
            return
        item = next(payload, None)
        if item is None:
            self.payload = None
            if self.replayed is not None:
                self.finish_replay()
            if self.between_transactions():
                self.pos = outer.next_position
            return
        header, message = item
        self.size_bytes += header.length
        if self.replayed is None or isinstance(message, TableMap | RowsEvent | RowsQuery):
            self.handle(header, message, outer.next_position - outer.length)

    def handle(self, header: Header, message: Any, start: int) -> None:
        """*start* is where the event begins in its file."""
        kind = type(message)
        if kind is RowsEvent:
            self.at_time(header)
            self.rows(message, start)
        elif kind is TableMap:
            self.table_map(message)
        elif kind is Gtid or kind is MariaGtid:
            self.gtid(header, message, start)
            return
        elif kind is Query:
            self.query(header, message, start)
            return
        elif kind is Xid:
            self.counted()
            self.end()
            return
        elif kind is XaPrepare:
            self.xa_prepared(header, message)
            return
        elif kind is Rotate:
            self.rotate(message)
            return
        elif kind is FormatDescription:
            self.log_begins(header)
            return
        elif kind is PreviousGtids:
            self.known_from_log(message.gtids)
            return
        elif kind in _NO_CHANGE:
            return
        elif kind is RowsQuery:
            if self.transaction is not None:
                self.transaction.query = message.sql.decode("utf-8", "replace") if self.include_query else None
                self.transaction.contexts.clear()
            return
        elif kind is Incident:
            raise SourceRefusedError(
                "The server could not write something to its binary log; events are missing here.",
                incident=message.number, file=self.file, pos=start,
                hint="Take a new snapshot: reset the connector's offset.")
        self.counted()

    def counted(self) -> None:
        if self.transaction is not None:
            self.transaction.event += 1

    def log_begins(self, header: Header) -> None:
        """The server opens a file, and says when it was made: after a RESET an old name stands for another log."""
        created = header.timestamp
        if self.expected_log is not None and self.expected_log[0] == self.file:
            if created and created != self.expected_log[1]:
                raise PositionLostError(
                    f"The binary log {self.file} is not the one that the stored position is in.",
                    stored=self.expected_log[1], created=created,
                    hint="The server's logs were reset, or it is another server. Point the connector back, or reset "
                         "its offset to start with a new snapshot.")
            self.expected_log = None
        self.log_created = created

    def known_from_log(self, gtids: GtidSet) -> None:
        """A new file says what all files before it have: so GTIDs become known to a stream that began without."""
        if self.gtids is None and gtids:
            self.gtids = gtids.union(GtidSet())  # our own, to be added to

    def rotate(self, message: Rotate) -> None:
        if self.transaction is not None and message.file != self.file:
            log.warning("transaction_cut_by_rotate", file=self.file, next_file=message.file)
            self.undo(self.transaction, self.transaction.first)
            self.transaction = None
        self.file, self.pos = message.file, message.position
        self.log_created = 0
        self.maps.clear()

    # -- transactions --------------------------------------------------------------------------------------------

    def gtid(self, header: Header, message: Gtid | MariaGtid, start: int) -> None:
        self.server_id = header.server_id
        time_us = header.timestamp * 1_000_000
        if isinstance(message, Gtid):
            if not message.anonymous:
                time_us = message.original_commit_us or time_us
            self.pending_gtid = (message, time_us, start)
            return
        self.pending_gtid = (message, time_us, start)
        if not message.standalone:
            self.begin(header, start, None, held=xa.begins(message))
            self.counted()

    def begin(self, header: Header, start: int, thread: int | None, *, held: bool = False) -> Transaction:
        group_start = start
        pending = self.pending_gtid
        self.pending_gtid = None
        gtid: str | None = None
        source: str | None = None
        time_us = header.timestamp * 1_000_000
        if pending is not None:
            message, time_us, group_start = pending
            if isinstance(message, MariaGtid):
                gtid, start = str(message), group_start
                source = f"{message.domain}-{message.server_id}"
            elif not message.anonymous:
                gtid, source = str(message), message.uuid
        tx = Transaction(self.file, group_start, gtid or f"file={self.file},pos={start}", gtid, time_us)
        tx.held = held
        tx.ignored = source is not None and not self.follows(source)
        tx.thread = None if self.mariadb else thread  # with MariaDB the GTID event begins it, which names none
        self.transaction = tx
        self.last_time_us = time_us
        self.unsettled = None
        self.skip_delivered(tx)
        tx.first = -1 if tx.skip_event else len(self.emitter.records)
        tx.began_at = self.fed_bytes + self.size_bytes
        if self.transaction_metadata and not tx.skip_event and not held:
            self.emitter.records.append(self.events.transaction_begin(tx.id, time_us))
        tx.gtid_event = pending[0] if pending is not None else None
        return tx

    def skip_delivered(self, tx: Transaction) -> None:
        """If the stream was resumed within *tx*. By GTID it may not be the first to come: each domain of MariaDB has
        its own order."""
        at = self.resume_at
        if at is None:
            return
        here = (at.file, at.pos) == (tx.file, tx.pos)
        if at.transaction == tx.gtid if at.transaction and tx.gtid else here:
            tx.skip_event, tx.skip_row = at.event, at.row
            self.resume_at = None
        elif not at.transaction:
            self.resume_at = None
            log.warning("resume_point_not_found", file=at.file, pos=at.pos, transaction=tx.id)

    def end(self) -> None:
        """The transaction is whole."""
        tx = self.transaction
        if tx is None:
            return
        if self.transaction_metadata:
            self.emitter.records.append(self.events.transaction_end(tx.id, tx.time_us, tx.counters.per_table))
        self.over(tx)

    def over(self, tx: Transaction) -> None:
        self.executed(tx.gtid_event)
        self.transaction = None
        self.transactions += 1
        self.maps.clear()

    # MariaDB's log has transactions that were rolled back, in whole or to a savepoint, if temporary tables were made or
    # dropped in them, or tables without transactions changed, whose rows are in groups of their own: sql/log.cc,
    # `trans_cannot_safely_rollback`, `binlog_savepoint_rollback`, `use_trans_cache`.

    def rolled_back(self) -> None:
        """The end of a transaction that never was."""
        tx = self.transaction
        if tx is None:
            return
        self.counted()
        if tx.first < 0:
            self.undo(tx, -1)
            self.end()
            return
        self.undo(tx, tx.first)
        self.over(tx)

    def savepoint(self, tx: Transaction, text: str) -> None:
        match = _SAVEPOINT.match(text.strip())
        if match is None:
            return
        name = match["name"].strip().lower()
        if match["back"] is None:
            tx.savepoints[name] = len(self.emitter.records), tx.counters.total, dict(tx.counters.per_table)
            return
        at, total, per_table = tx.savepoints.get(name, (-1, 0, {}))
        if at >= 0:
            tx.counters.total, tx.counters.per_table = total, dict(per_table)
        self.undo(tx, at)

    def undo(self, tx: Transaction, at: int) -> None:
        """Take back the records from *at* on."""
        if at >= 0:
            del self.emitter.records[at:]
            return
        log.warning("rows_rolled_back_were_delivered", file=tx.file, pos=tx.pos, transaction=tx.gtid,
                    reason="the transaction is too large to wait for its end")

    def executed(self, message: Gtid | MariaGtid | None) -> None:
        if isinstance(message, MariaGtid):
            if isinstance(self.gtids, MariaGtidSet):
                self.gtids.add(message.domain, message.server_id, message.sequence)
        elif isinstance(message, Gtid) and message.gno and isinstance(self.gtids, GtidSet):
            self.gtids.add(message.uuid, message.tag, message.gno)

    # -- statements ----------------------------------------------------------------------------------------------

    def query(self, header: Header, message: Query, start: int) -> None:
        if message.sql == b"BEGIN":  # half of all statements, and more
            self.begin(header, start, message.thread_id)
            self.counted()
            return
        text = self.collations.statement(message.sql, message.client_collation)
        outcome = _UNDECIDED if message.undecided else self.apply(text, message, header)
        if outcome.kind == "begin":
            self.begin(header, start, message.thread_id)
            self.counted()
            return
        if outcome.kind == "commit":
            self.counted()
            self.end()
            return
        if outcome.kind == "rollback":
            self.rolled_back()
            return
        if outcome.kind == "dml":
            if outcome.targets and not any(self.filters.table(id) for id in outcome.targets):
                self.passed_over(outcome.targets)
                self.counted()
                return
            raise self.without_rows(message, outcome.targets, start)
        if any(self.filters.table(id) for id in outcome.filled):
            raise self.without_rows(message, outcome.filled, start)
        if outcome.kind == "xa":
            self.xa(header, message, text, start)
            return
        if outcome.kind in ("savepoint", "other") and self.transaction is not None:
            if outcome.kind == "savepoint":
                self.savepoint(self.transaction, text)
            self.counted()
            return
        self.statement(header, message, outcome, start)

    def without_rows(self, message: Query, ids: Collection[TableId], start: int) -> SourceRefusedError:
        return SourceRefusedError(
            "A change was logged as a statement instead of rows.", database=message.database or None,
            tables=",".join(map(str, ids)) or None, file=self.file, pos=start,
            hint="Set binlog_format=ROW on the server and in all sessions, and reset the connector's offset to "
                 "start with a new snapshot; or leave that table out, if its changes do not matter.")

    def passed_over(self, ids: Collection[TableId]) -> None:
        """A change of tables that are not captured; but a name may be a view's, and a table may have triggers."""
        new = [str(id) for id in ids if id not in self.told]
        if new and len(self.told) < _MAX_TOLD:
            self.told.update(ids)
            log.warning("statement_passed_over", tables=new, file=self.file, reason="it was logged without rows, for "
                        "tables that are not captured", effect="what it changes by a view or a trigger is not seen",
                        hint="Set binlog_format=ROW in all sessions.")

    def apply(self, text: str, message: Query, header: Header) -> ddl.Outcome:
        """Carry out a statement on the structures."""
        dialect = self.dialect.under(message.sql_mode)
        if self.ahead is not None and not self.ahead.has(self.file, header.next_position):
            self.ahead = self.structures.as_of = None
        if self.ahead is None:
            return ddl.apply(text, message.database, self.structures, dialect)
        before = self.structures.copy()
        return self.ahead.kept(before, self.structures, ddl.apply(text, message.database, self.structures, dialect))

    def xa(self, header: Header, message: Query, text: str, start: int) -> None:
        verb, xid = xa.read_statement(text) or ("", "")
        tx = self.transaction
        if tx is None:
            tx = self.begin(header, start, message.thread_id, held=verb in ("START", "BEGIN"))
        self.counted()
        if verb == "COMMIT":
            self.replay(header, xid, tx)
        elif verb == "ROLLBACK":
            self.prepared.discard(xid)
            self.end()

    def xa_prepared(self, header: Header, message: XaPrepare) -> None:
        """The end of a group that is held."""
        tx, xid = self.transaction, xa.xid_of(message)
        if tx is None:
            raise ProtocolError("XA_PREPARE outside a transaction", file=self.file)
        self.counted()
        self.prepared.add(xid, tx.file, tx.pos, captured=tx.captured)
        if message.one_phase:
            self.replay(header, xid, tx)
        else:
            self.executed(tx.gtid_event)
            self.transaction = None
            self.maps.clear()

    def replay(self, header: Header, xid: str, tx: Transaction) -> None:
        """Open the rows of *xid* again, as rows of *tx*."""
        tx.held = False
        tx.event = 0
        if self.payload is not None and self.payload_header is not None:  # whose events have no places of their own
            header = self.payload_header
        self.payload = self.prepared.rows(xid, self.file, header.next_position - header.length)
        self.payload_header, self.replayed = header, xid

    def finish_replay(self) -> None:
        assert self.replayed is not None
        self.prepared.discard(self.replayed)
        self.replayed = None
        self.end()

    def statement(self, header: Header, message: Query, outcome: ddl.Outcome, start: int) -> None:
        """DDL: a transaction of its own."""
        alone = self.transaction is None
        if alone:
            pending = self.pending_gtid
            tx = self.begin_quietly(header, start)
        else:
            pending = None
            tx = self.transaction  # type: ignore[assignment]
        self.settle(outcome)
        if outcome.kind == "ddl":
            self.states.clear()
            self.structures_version += 1
        for id in outcome.truncated:
            self.truncated(tx, id, start)
        if self.schemas is not None:
            changes = ddl.complete(outcome, self.structures)
            for change in self.scope.told(changes):
                table = schema_changes.touched(change, changes)
                self.emitter.records.append(self.schema_change(tx, change, table, header, start))
        if alone:
            self.executed(pending[0] if pending is not None else None)
            self.transaction = None
            self.transactions += 1

    def settle(self, outcome: ddl.Outcome) -> None:
        """Read again what the statement alone does not tell."""
        wanted = [id for id in outcome.reread if self.scope.table(id) and self.structures.get(id) is None]
        if wanted:
            log.info("table_read_again", tables=[str(id) for id in wanted], reason=outcome.reason)
            for structure in self.reread(wanted).values():
                self.structures.put(structure)

    def begin_quietly(self, header: Header, start: int) -> Transaction:
        """A statement on its own has no transaction metadata; but MariaDB's GTID event counts as a beginning, and
        Debezium's connector writes that (and no end)."""
        metadata = self.transaction_metadata
        self.transaction_metadata = metadata and self.mariadb
        try:
            return self.begin(header, start, None)
        finally:
            self.transaction_metadata = metadata

    def schema_change(self, tx: Transaction, change: ddl.SchemaChange, table: str | None, header: Header,
                      start: int) -> Message:
        assert self.schemas is not None
        values = self.events.source_values(whole_ms(tx.time_us), database=change.database, table=table,
                                           server_id=header.server_id, gtid=tx.gtid, file=self.file, pos=start,
                                           thread=tx.thread)
        return schema_changes.make_message(change, self.events.naming.schema_change_topic(), self.schemas, values,
                                           self.clock_us() // 1000, flavor=self.events.connector,
                                           comments=self.comments)

    def truncated(self, tx: Transaction, id: TableId, start: int) -> None:
        structure = self.structures.get(id)
        if structure is None or not self.filters.table(id):
            return
        target = Target(self.builder.build(structure), str(id))
        tx.time_us = whole_ms(tx.time_us)
        place = self.place(tx, target, id, start, self.last_row, True)
        if not self.mariadb:
            place.counters = None  # MySQL's statement is outside of what Debezium counts as a transaction
        self.emitter.truncate(target, place)

    # -- rows ----------------------------------------------------------------------------------------------------

    def at_time(self, header: Header) -> None:
        """Without a commit time, rows are as old as their statement."""
        tx = self.transaction
        if tx is None or not header.timestamp or (isinstance(tx.gtid_event, Gtid) and not tx.gtid_event.anonymous):
            return
        time_us = header.timestamp * 1_000_000
        if time_us != tx.time_us:
            tx.time_us = self.last_time_us = time_us
            tx.contexts.clear()

    def table_map(self, message: TableMap) -> None:
        state = self.states.get(id(message))  # the same object comes again and again, kept by its state
        if state is None:
            self.state_columns += len(message.types)
            if self.state_columns >= _MAX_STATE_COLUMNS:
                self.states.clear()
                self.state_columns = len(message.types)
            state = self.states[id(message)] = self.resolve(message)
        self.maps[message.table_id] = state

    def resolve(self, message: TableMap) -> MapState:
        id = TableId(message.database, "", message.table)
        if not self.filters.table(id):
            return MapState(message, id, None)
        structure = self.structures.get(id)
        if structure is None or not fits(structure, message, self.collations, mariadb=self.mariadb):
            structure = self.structure_again(id, message, structure)
        if structure is None:
            return MapState(message, id, None)
        old = any(code in _OLD_TEMPORAL for code in message.types)
        inserted = Target(self.builder.build(structure, old, inserted=True), str(id)) if self.builder.relaxed else None
        return MapState(message, id, Target(self.builder.build(structure, old), str(id)), inserted)

    def structure_again(self, id: TableId, message: TableMap, known: TableStructure | None) -> TableStructure | None:
        """A table whose structure is not known or does not fit its rows: as the server has it now, if that fits, else
        as the log tells. None: its rows are to be left out."""
        reason = "not known" if known is None else "does not fit the log"
        present = self.reread([id]).get(id)
        if present is not None and fits(present, message, self.collations, mariadb=self.mariadb):
            log.info("table_read_again", tables=[str(id)], reason=reason)
            found = present
        elif message.names is not None:
            log.info("table_structure_from_log", table=str(id), reason=reason, columns=len(message.types))
            found = from_log(message, self.collations, known, present)
        else:
            self.inconsistent(id, message)
            return None
        self.structures.put(found)
        self.structures_version += 1
        return found

    def inconsistent(self, id: TableId, message: TableMap) -> None:
        """Rows that nothing known can read: `inconsistent.schema.handling.mode`."""
        if self.on_inconsistency == "fail":
            raise SourceRefusedError(
                f"The structure of table {id} that its rows in the log were written with is not known.",
                file=self.file, pos=self.pos, columns=len(message.types),
                hint="It was changed since, in a way this log does not tell. Set binlog_row_metadata=FULL, and take a "
                     "new snapshot of the table; or leave such rows out with inconsistent.schema.handling.mode=warn.")
        tell = log.warning if self.on_inconsistency == "warn" else log.debug
        tell("rows_left_out", table=str(id), file=self.file, pos=self.pos, columns=len(message.types),
             reason="the table's structure is not known", hint="Take a new snapshot of the table.")

    def rows(self, message: RowsEvent, start: int) -> None:
        tx = self.transaction
        if tx is None:
            raise ProtocolError("rows outside a transaction", file=self.file, pos=start)
        state = self.maps.get(message.table_id)
        if state is None:
            raise ProtocolError("rows of a table that was not described", file=self.file, pos=start,
                                wanted="TABLE_MAP_EVENT first", got=message.table_id)
        target = state.target
        if target is None:
            self.emitter.filtered += 1
            return
        if tx.ignored or tx.held:
            tx.captured = True
            return
        whole = message.whole()
        if not whole:
            state = self.left_out(message, state)
            target = state.target_of(message.op)
        emitter = self.emitter
        op = message.op
        place = self.place(tx, target, state.id, start, 0, True)
        skip = 0 if tx.event > tx.skip_event else tx.skip_row if tx.event == tx.skip_event else _ALL_ROWS
        number = 0
        message.open(state.table_map.layout)
        while message.advance():
            before: Any = message.before
            after: Any = message.after
            place.values = (start, tx.base + number)
            place.live = number >= skip
            number += 1
            if not whole:
                self.complete(target, before, after, start)
            if op == "c":
                emitter.create(target, place, after)
            elif op == "d":
                emitter.delete(target, place, before)
            else:
                emitter.update(target, place, before, after)
        self.last_row = tx.base + number - 1
        self.size_bytes += message.unpacked_bytes
        if self.replayed is not None:
            tx.base += number

    def complete(self, target: Target, before: Row | None, after: Row | None, start: int) -> None:
        """Say of the columns that *after* lacks that they are as in *before* (or of an insert, as by default). Raises
        SourceRefusedError when the key cannot be known."""
        for index in target.key:
            if before is not None and before.kind(index) == ABSENT and (after is None or after.kind(index) == ABSENT):
                raise SourceRefusedError(
                    "The log has a row without its key.", table=target.collection, file=self.file, pos=start,
                    hint="With binlog_row_image=MINIMAL only the primary key is always there: set it to FULL, or leave "
                         "the table out of message.key.columns.")
        if after is not None:
            for index in range(after.count):
                if after.kind(index) == ABSENT:
                    after.put(index, UNCHANGED, 0, 0)

    def left_out(self, message: RowsEvent, state: MapState) -> MapState:
        """*state* for rows of images that lack columns (binlog_row_image MINIMAL and NOBLOB)."""
        if not self.builder.relaxed:
            self.builder.relax()
            self.states.clear()
            self.maps = {number: self.resolve(known.table_map) for number, known in self.maps.items()}
            log.warning("rows_without_all_columns", table=str(state.id), effect="fields are optional from now on, and "
                        "unknown values null or the placeholder", hint="Set binlog_row_image=FULL.")
        return self.maps[message.table_id]

    def place(self, tx: Transaction, target: Target, id: TableId, start: int, row: int, live: bool) -> Place:
        context = tx.contexts.get(target)
        if context is None:
            context = tx.contexts[target] = self.events.context(self.events.source_values(
                tx.time_us, database=id.catalog, table=id.table, server_id=self.server_id, gtid=tx.gtid,
                file=self.file, thread=tx.thread, query=tx.query))
        counters = tx.counters if self.transaction_metadata else None
        return Place(context, (start, row), live, counters, tx.id)


def whole_ms(time_us: int) -> int:
    """As Debezium has the time of a statement."""
    return time_us // 1000 * 1000
