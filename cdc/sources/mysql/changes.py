"""Events of the binary log to records: which transaction, which table, which images, which key.

`transaction.py` holds our place in the log, `table_cache.py` what rows are read with, `statements.py` acts on
statements. What was delivered before a restart is dropped here: of the transaction in which the stream resumes, the
first `event` events, and the first `row` rows of the event after those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cython  # noqa: F401

from cdc.core.errors import ProtocolError, SourceRefusedError
from cdc.core.row import ABSENT, UNCHANGED, Row
from cdc.debezium.emit import EmittedTable, Emitter
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.decoder import BinlogDecoder
from cdc.sources.mysql.binlog.events import (
    FormatDescription,
    Gtid,
    GtidList,
    Heartbeat,
    Ignored,
    Incident,
    MariaGtid,
    PreviousGtids,
    Query,
    Rotate,
    RowsQuery,
    StatementPart,
    Stop,
    TableMap,
    TransactionPayload,
    XaPrepare,
    Xid,
)
from cdc.sources.mysql.binlog.header import Header
from cdc.sources.mysql.binlog.rows import RowsEvent
from cdc.sources.mysql.ddl.structure import Structures

from . import xa
from .native_rows import NativeRows
from .position import MySqlPosition
from .reader_settings import ReaderSettings
from .row_versions import HISTORY, op_of
from .source_block import SourceBlock
from .statements import Statements
from .table_cache import Reread, TableCache
from .tables import TableBuilder
from .transaction import Stream

_OTHER_PLACES = frozenset((FormatDescription, Rotate))
"""The first is sent again wherever a stream begins, the second is of the file before."""
_ARTIFICIAL = const.LOG_EVENT_ARTIFICIAL_F
_ALL_ROWS = 1 << 62


class ChangeReader:
    """Feed it whole events in order; `ready` tells how many records to take out of `emitter`."""

    def __init__(self, settings: ReaderSettings, *, emitter: Emitter, block: SourceBlock, builder: TableBuilder,
                 structures: Structures, reread: Reread, xa_log: xa.Log) -> None:
        self.settings = settings
        self.native: NativeRows | None = None
        self.emitter = emitter
        self.binlog = BinlogDecoder()
        self.stream = Stream(settings, block, emitter)
        self.tables = TableCache(settings, self.stream, builder, structures, reread)
        self.statements = Statements(settings, self.stream, self.tables, xa_log)

    def resume(self, position: MySqlPosition, *, by_gtid: bool, server_uuid: str | None = None) -> None:
        """As `Stream.resume`."""
        self.stream.resume(position, by_gtid=by_gtid, server_uuid=server_uuid)

    def position(self) -> MySqlPosition:
        """Where the stream is now."""
        return self.stream.position()

    def ready(self, limit: int) -> tuple[int, MySqlPosition]:
        """As `Stream.ready`."""
        return self.stream.ready(limit)

    @property
    def payload_open(self) -> bool:
        """Whether `run` has something to do without another event."""
        return self.stream.payload is not None

    @property
    def transactions(self) -> int:
        """How many ended."""
        return self.stream.transactions

    @property
    def last_time_us(self) -> int:
        """Time of the last transaction or statement."""
        return self.stream.last_time_us

    @property
    def structures_version(self) -> int:
        """Grows whenever a structure changes."""
        return self.tables.version

    # -- events --------------------------------------------------------------------------------------------------

    def run(self, events: list[bytes], first: int, max_records: int, max_bytes: int) -> tuple[int, int]:
        """Feeds events from index *first*, and the events inside compressed transactions, until *max_records* or
        *max_bytes* is reached or the list ends. Returns the next index and the bytes processed (unpacked size)."""
        stream = self.stream
        number = first
        emitter = self.emitter
        log = None if self.native is None else self.native.log
        refused = -1
        stream.fed_bytes += stream.size_bytes
        stream.size_bytes = 0
        while len(emitter.records) + emitter.more < max_records and stream.size_bytes < max_bytes:
            if stream.payload is not None:
                self.step()
            elif number < len(events):
                if log is not None and number != refused and stream.between_transactions():
                    number = refused = log.read(events, number, max_records, max_bytes)
                    continue
                self.feed(events[number])
                number += 1
            else:
                break
        return number, stream.size_bytes

    def feed(self, event: bytes) -> None:
        """One whole event. If it opens a payload, call `step` until `payload_open` is False before you feed more."""
        stream = self.stream
        stream.size_bytes += len(event)
        header, message = self.binlog.decode(event)
        stream.event = event
        stream.event_end = header.next_position
        if isinstance(message, TransactionPayload):
            stream.payload = map(self.binlog.decode_inner, message.events())
            stream.payload_header = header
            return
        self.handle(header, message, header.next_position - header.length)
        made_up = not header.next_position or header.flags & _ARTIFICIAL
        if not made_up and stream.between_transactions() and type(message) not in _OTHER_PLACES:
            stream.pos = header.next_position
            if stream.ended:
                stream.keep(header.next_position)

    def step(self) -> None:
        """One event of the open payload or replay, or its end."""
        stream = self.stream
        payload, outer = stream.payload, stream.payload_header
        if payload is None or outer is None:
            return
        item = next(payload, None)
        if item is None:
            stream.payload = None
            if stream.replayed is not None:
                self.statements.finish_replay()
            if stream.between_transactions():
                stream.pos = outer.next_position
                if stream.ended:
                    stream.keep(outer.next_position)
            return
        header, message = item
        stream.size_bytes += header.length
        if stream.replayed is None or isinstance(message, TableMap | RowsEvent | RowsQuery):
            self.handle(header, message, outer.next_position - outer.length)

    def handle(self, header: Header, message: Any, start: int) -> None:
        """*start* is where the event begins in its file."""
        if type(message) is RowsEvent:  # not through the table, which would cost one call more
            self.stream.at_time(header)
            self.rows(message, start)
            counts = True
        else:
            react, counts = _REACTIONS[type(message)]
            if react is not None:
                react(self, header, message, start)
        tx = self.stream.transaction
        if counts and tx is not None:
            tx.event += 1

    def table_map(self, header: Header, message: Any, start: int) -> None:
        tx = self.stream.transaction
        if tx is not None:
            tx.maps[message.table_id] = self.tables.state(message)

    def gtid(self, header: Header, message: Gtid | MariaGtid, start: int) -> None:
        self.stream.gtid(header, message, start)

    def query(self, header: Header, message: Query, start: int) -> None:
        if message.sql == b"BEGIN":  # half of all statements, and more
            self.stream.begin(header, start, message.thread_id)
            self.stream.counted()
        else:
            self.statements.query(header, message, start)

    def xid(self, header: Header, message: Xid, start: int) -> None:
        self.stream.end()

    def xa_prepare(self, header: Header, message: XaPrepare, start: int) -> None:
        self.statements.xa_prepared(header, message)

    def rotate(self, header: Header, message: Rotate, start: int) -> None:
        self.stream.rotate(message, made_up=not header.next_position or bool(header.flags & _ARTIFICIAL))

    def format_description(self, header: Header, message: FormatDescription, start: int) -> None:
        self.stream.log_begins(header)

    def previous_gtids(self, header: Header, message: PreviousGtids, start: int) -> None:
        self.stream.known_from_log(message.gtids)

    def rows_query(self, header: Header, message: RowsQuery, start: int) -> None:
        tx = self.stream.transaction
        if tx is not None:
            self.stream.text_only(tx)
            tx.query = message.sql.decode("utf-8", "replace") if self.settings.include_query else None
            tx.contexts.clear()

    def ignored(self, header: Header, message: Ignored, start: int) -> None:
        tx = self.stream.transaction
        if tx is not None and message.type == const.VIEW_CHANGE_EVENT:
            tx.local = True

    def incident(self, header: Header, message: Incident, start: int) -> None:
        raise SourceRefusedError(
            "The server could not write something to its binary log; events are missing here.",
            incident=message.number, file=self.stream.file, pos=start,
            hint="Take a new snapshot: reset the connector's offset.")

    # -- rows ----------------------------------------------------------------------------------------------------

    def rows(self, message: RowsEvent, start: int) -> None:
        stream = self.stream
        tx = stream.transaction
        if tx is None:
            raise ProtocolError("rows outside a transaction", file=stream.file, pos=start)
        state: Any = tx.maps.get(message.table_id)
        if state is None:
            raise ProtocolError("rows of a table that was not described", file=stream.file, pos=start,
                                wanted="TABLE_MAP_EVENT first", got=message.table_id)
        emitted = state.target
        if emitted is None:
            self.emitter.filtered += 1
            return
        if tx.ignored or tx.held:
            tx.captured = True
            return
        whole = message.whole()
        if not whole:
            tx.maps = self.tables.relax(tx.maps, state.id)
            state = tx.maps[message.table_id]
            emitted = state.target_of(message.op)
        emitter = self.emitter
        op = message.op
        period = state.period
        origin = stream.origin(tx, emitted, state.id, start, 0)
        skip = 0 if tx.event > tx.skip_event else tx.skip_row if tx.event == tx.skip_event else _ALL_ROWS
        number = 0
        message.open(state.table_map.layout)
        native = self.native if not skip and self.native is not None and self.native.reads(message, state) else None
        while True:
            if native is not None:
                number += native.add(message, state, whole, origin, start, tx.base + number)
            if not message.advance():
                break
            before: Any = message.before
            after: Any = message.after
            origin.values = (start, tx.base + number)
            origin.live = number >= skip
            number += 1
            if period is not None:
                op = op_of(message.op, before, after, period)
                if op == HISTORY:
                    emitter.filtered += 1
                    continue
            if not whole:
                self.complete(emitted, before, after, start)
            if op == "c":
                emitter.create(emitted, origin, after)
            elif op == "d":
                emitter.delete(emitted, origin, before)
            else:
                emitter.update(emitted, origin, before, after)
        stream.last_row = tx.base + number - 1
        stream.size_bytes += message.unpacked_bytes
        if stream.replayed is not None:
            tx.base += number

    def complete(self, emitted: EmittedTable, before: Row | None, after: Row | None, start: int) -> None:
        """Mark the columns that *after* lacks as unchanged from *before* (for an insert, as their defaults). Raises
        SourceRefusedError if the key cannot be known."""
        for index in emitted.key:
            if before is not None and before.kind(index) == ABSENT and (after is None or after.kind(index) == ABSENT):
                raise SourceRefusedError(
                    "The log has a row without its key.", table=emitted.collection, file=self.stream.file, pos=start,
                    hint="With binlog_row_image=MINIMAL the log always has the primary key, but no other key: set it "
                         "to FULL, or leave the table out of message.key.columns.")
        if after is not None:
            for index in range(after.count):
                if after.kind(index) == ABSENT:
                    after.put(index, UNCHANGED, 0, 0)


Reaction = Callable[[ChangeReader, Header, Any, int], None]

_REACTIONS: Final[dict[type, tuple[Reaction | None, bool]]] = {
    # what it does, and whether the event then counts as one of its transaction
    TableMap: (ChangeReader.table_map, True),
    StatementPart: (None, True),
    Ignored: (ChangeReader.ignored, True),
    RowsQuery: (ChangeReader.rows_query, False),
    # these begin or end transactions, and count by themselves where it matters
    Gtid: (ChangeReader.gtid, False),
    MariaGtid: (ChangeReader.gtid, False),
    Query: (ChangeReader.query, False),
    Xid: (ChangeReader.xid, False),
    XaPrepare: (ChangeReader.xa_prepare, False),
    # these are of files and connections
    Rotate: (ChangeReader.rotate, False),
    FormatDescription: (ChangeReader.format_description, False),
    PreviousGtids: (ChangeReader.previous_gtids, False),
    Incident: (ChangeReader.incident, False),
    GtidList: (None, False),
    Heartbeat: (None, False),
    Stop: (None, False),
}
