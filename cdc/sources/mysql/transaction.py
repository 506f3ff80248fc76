"""Where the stream is in the log: the transaction that is being read, and the position to resume from.

As in Debezium's offsets, counting of a transaction's events starts at BEGIN on MySQL and at the GTID event on MariaDB.
Events that carry only a statement's text are not counted: the server sends them only on request. Debezium counts those
that it is sent, so an offset of its own is read with them (source: BinlogStreamingChangeEventSource.java,
`handleEvent`; BinlogOffsetContext.java).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import cython  # noqa: F401

from cdc.core.errors import PositionLostError
from cdc.core.late_regex import late_regex
from cdc.core.record import SourceContext
from cdc.core.table import TableId
from cdc.debezium.emit import Counters, EmittedTable, Emitter, Origin
from cdc.log import get_logger
from cdc.sources.mysql.binlog.events import Gtid, MariaGtid, Rotate
from cdc.sources.mysql.binlog.gtid import GtidSet, MariaGtidSet
from cdc.sources.mysql.binlog.header import Header

from . import xa
from .flavor import Gtids
from .position import MySqlPosition, file_number
from .reader_settings import ReaderSettings
from .source_block import SourceBlock
from .witness import LastRead

log = get_logger(__name__)

_WAITING_BYTES = 1 << 20
_OTHER_LOG_HINT: Final = (
    "The server's logs were reset, or it is another server. Point the connector back, or reset its offset to start with"
    " a new snapshot.")
_SAVEPOINT: Final = late_regex(r"(?P<back>ROLLBACK\s+(WORK\s+)?TO\s+)?(SAVEPOINT\s+)?(?P<name>\S.*)",
                               re.IGNORECASE | re.DOTALL)
"""RELEASE SAVEPOINT is not logged; if it were, it would set a savepoint that nothing returns to."""


class Transaction:
    """The transaction that is being read.

    `file`, `pos`: where it starts in the log.
    `gtid`: None if it has none; `id` names it in any case.
    `time_us`: when it was committed, if its GTID event says so; else when the statement of the last rows began.
    `event`: events already handled.
    `skip_event`, `skip_row`: delivered before a restart: that many events, and that many rows of the next event.
    `debezium`: while they are skipped, if Debezium counted them: the position that its offset gives.
    `thread`, `query`: of the source block.
    `contexts`: the source block by table, while it stays the same.
    `maps`: its table maps, by their number in the log.
    `held`: prepared (XA), rows ignored for now.
    `ignored`: of a source that is not followed.
    `captured`: while held or ignored, it had rows of captured tables.
    `base`: while the rows of a prepared transaction are read again: rows of its events before this one.
    `first`: index of its first item among the emitter's, -1 once some were taken.
    `began_at`: bytes of the stream before it.
    `first_rows_us`: MariaDB: time of the statement that made its first rows, or that it consists of; 0 if unknown.
    `local`: every server makes one of its own under the same GTID.
    `savepoints`: by name, the number of items, and the counters, at that time.
    """

    def __init__(self, file: str, pos: int, id_: str, gtid: str | None, time_us: int) -> None:
        self.file = file
        self.pos = pos
        self.id = id_
        self.gtid = gtid
        self.time_us = time_us
        self.event = 0
        self.skip_event = 0
        self.skip_row = 0
        self.debezium: MySqlPosition | None = None
        self.thread: int | None = None
        self.query: str | None = None
        self.counters = Counters()
        self.contexts: dict[EmittedTable, SourceContext] = {}
        self.maps: dict[int, Any] = {}
        self.gtid_event: Gtid | MariaGtid | None = None
        self.held = False
        self.ignored = False
        self.captured = False
        self.base = 0
        self.first = -1
        self.began_at = 0
        self.first_rows_us = 0
        self.local = False
        self.savepoints: dict[str, tuple[int, int, dict[str, int]]] = {}


class Stream:
    """What the log has told so far of where we are.

    `file`, `pos`: where the next transaction starts.
    `gtids`: all that were executed before; None if the log has none.
    `pending_gtid`: a GTID event whose transaction has not begun yet, with its time and place.
    `payload`: events inside the one just read: a compressed transaction's, or those of a prepared transaction that is
    now committed. `payload_header` is that of the event they came with, `replayed` the prepared transaction's XID.
    `size_bytes`: bytes handled in the present batch, those inside payloads included; `fed_bytes` in those before it.
    `transactions`: how many ended.
    `event`, `event_end`: the event that is being read, and where the next one starts.
    `ended`: a transaction ended with it.
    `log_created`: when the server created `file`; 0 before the file's head was read.
    """

    def __init__(self, settings: ReaderSettings, block: SourceBlock, emitter: Emitter) -> None:
        self.settings = settings
        self.block = block
        self.emitter = emitter
        self.file = ""
        self.pos = 0
        self.gtids: Gtids | None = None
        self.transaction: Transaction | None = None
        self.pending_gtid: tuple[Any, int, int] | None = None
        self.payload: Iterator[tuple[Header, Any]] | None = None
        self.payload_header: Header | None = None
        self.replayed: str | None = None
        self.size_bytes = 0
        self.fed_bytes = 0
        self.transactions = 0
        self.rolled_back_count = 0
        self.large_count = 0
        self.server_id = 0
        self.last_time_us = 0
        self.last_row = 0
        self.log_created = 0
        self.server_uuid: str | None = None
        self.event = b""
        self.event_end = 0
        self.ended = False
        self._last = LastRead()
        self._known_place: tuple[str, int, int] | None = None
        self._expected_log: tuple[str, int] | None = None
        self._resume_at: MySqlPosition | None = None
        self._unsettled: MySqlPosition | None = None

    # -- positions -----------------------------------------------------------------------------------------------

    def resume(self, position: MySqlPosition, *, by_gtid: bool, server_uuid: str | None = None) -> None:
        """Continue from *position* on the server *server_uuid*; its GTIDs, if it has some, are those executed before
        it.

        *by_gtid*: the server starts at the head of a file and leaves out the transactions that we have, so our place
        is not known before the first transaction comes.
        The position's `log_created`, events and rows hold only on the server that it is from: leave them out for
        another one.
        """
        self.file, self.pos, self.log_created = position.file, position.pos, position.log_created
        self.server_uuid = server_uuid
        self._unsettled = position if by_gtid else None
        self._last.resume(position.witness, same_server=position.server_uuid == server_uuid)
        self._expected_log = (position.file, position.log_created) if position.log_created else None
        if position.gtids is not None:
            self.gtids = self.settings.flavor.parse_gtids(position.gtids)
        self._resume_at = position if position.event or position.row else None

    def position(self) -> MySqlPosition:
        """Where the stream is now."""
        tx = self.transaction
        gtids = str(self.gtids) if self.gtids is not None else None
        now = MySqlPosition(self.file, self.pos, gtids, server_id=self.server_id,
                            ts_sec=self.last_time_us // 1_000_000, server_uuid=self.server_uuid,
                            log_created=self.log_created, witness=self._last.witness())
        if self._unsettled is not None:
            return replace(self._unsettled, gtids=gtids, server_id=now.server_id, ts_sec=now.ts_sec)
        if tx is None:
            at = self._resume_at
            if at is not None and at.of_debezium:
                return at
            return now if at is None else replace(now, event=at.event, row=at.row, transaction=at.transaction)
        if tx.held:
            return self.start_of(tx, now)
        skipping = tx.event < tx.skip_event
        if tx.debezium is not None and (skipping or (tx.event == tx.skip_event and tx.skip_row)):
            return tx.debezium
        return replace(now, file=tx.file, pos=tx.pos, event=max(tx.event, tx.skip_event),
                       row=tx.skip_row if skipping else 0, transaction=tx.gtid,
                       witness=now.witness if skipping
                       else self._last.within(self.event, self.file, self.event_end))

    def start_of(self, tx: Transaction, now: MySqlPosition) -> MySqlPosition:
        """*now*, but before everything that this stream has read of *tx*."""
        if tx.debezium is not None:
            return tx.debezium
        return replace(now, file=tx.file, pos=tx.pos, event=tx.skip_event, row=tx.skip_row, transaction=tx.gtid,
                       witness=self._last.witness())

    def ready(self, limit: int) -> tuple[int, MySqlPosition]:
        """How many of the emitter's items may be taken now, and the position after them.

        Holds back the records of an open transaction: MariaDB can log a rollback after the rows. They are released at
        its end, or once there are *limit* records or `_WAITING_BYTES` of log.
        """
        tx, count = self.transaction, len(self.emitter.records)
        if tx is None:
            now = self.position()
            if self._known_place is not None and self._unsettled is None:
                file, pos, created = self._known_place
                now = replace(now, file=file, pos=pos, log_created=created)
            return count, now
        size_bytes = self.fed_bytes + self.size_bytes - tx.began_at
        if tx.held or tx.first < 0 or self.emitter.size(tx.first) >= limit or size_bytes >= _WAITING_BYTES:
            self.large_count += tx.first >= 0
            tx.first = -1
            tx.savepoints.clear()
            return count, self.position()
        first, tx.first = tx.first, 0
        tx.savepoints = {name: (at - first, total, counts) for name, (at, total, counts) in tx.savepoints.items()}
        return first, self.start_of(tx, self.position())

    def keep(self, end: int) -> None:
        """Remember the event just read: the last transaction ended with it, at *end*."""
        self.ended = False
        self._last.event(self.event, self.file, end)

    def between_transactions(self) -> bool:
        """Whether the log could be resumed after the event just handled."""
        return self.transaction is None and self.pending_gtid is None

    def takes_whole(self) -> bool:
        """Whether a transaction that follows may be read as a whole by somebody else, who then calls `passed`."""
        return self.payload is None and self._resume_at is None and self.between_transactions()

    def passed(self, count: int, event: bytes, end: int, seen: list[tuple[str | int, str, int]]) -> None:
        """*count* transactions were read by somebody else. The last ends with *event*, at *end*. *seen*: the last one
        of each source, with its GTID and time, as `witness.Seen` has them."""
        self._unsettled = None
        for source, gtid, time_us in seen:
            self._last.transaction(source, gtid, time_us)
        self.transactions += count
        self.event, self.event_end, self.pos = event, end, end
        self.keep(end)

    # -- files ---------------------------------------------------------------------------------------------------

    def log_begins(self, header: Header) -> None:
        """The first event of a file has the time when the server made it. After RESET, an old name is another file."""
        created = header.timestamp
        if self._expected_log is not None and self._expected_log[0] == self.file:
            if created and created != self._expected_log[1]:
                raise PositionLostError(
                    f"The binary log {self.file} is not the one that the stored position is in.",
                    stored=self._expected_log[1], created=created,
                    hint=_OTHER_LOG_HINT)
            self._expected_log = None
        self.log_created = created
        self._known_place = None

    def known_from_log(self, gtids: GtidSet) -> None:
        """A new file names the GTIDs of all files before it: a stream that began without GTIDs learns them here."""
        if self.gtids is None and gtids:
            self.gtids = gtids.union(GtidSet())  # a copy, because we add to it

    def rotate(self, message: Rotate, *, made_up: bool = False) -> None:
        """*made_up*: it is not in the log, but names the file that a stream begins with."""
        at = self._unsettled
        if at is not None and not made_up and (
                at.server_uuid != self.server_uuid or file_number(message.file) > file_number(at.file)):
            self._unsettled = None  # all that comes before it was sent, or was delivered before
        if self.transaction is not None and message.file != self.file:
            log.warning("transaction_cut_by_rotate", file=self.file, next_file=message.file)
            self.undo(self.transaction, self.transaction.first)
            self.transaction = None
        if self.log_created:  # until the next head, a position names a file that can be told from others
            self._known_place = self.file, self.pos, self.log_created
        self.file, self.pos = message.file, message.position
        self.log_created = 0

    # -- the beginning of a transaction --------------------------------------------------------------------------

    def gtid(self, header: Header, message: Gtid | MariaGtid, start: int) -> None:
        """A transaction follows. On MariaDB it begins here, unless it is a single statement."""
        self.server_id = header.server_id
        time_us = header.timestamp * 1_000_000
        if isinstance(message, Gtid):
            if not message.anonymous:
                time_us = message.original_commit_us or time_us
            self.pending_gtid = (message, time_us, start)
            return
        self.pending_gtid = (message, time_us, start)
        if not message.standalone:
            self.begin(header, start, None, held=xa.begins(message)).event += 1

    def begin(self, header: Header, start: int, thread: int | None, *, held: bool = False,
              announced: bool = True) -> Transaction:
        """*announced*: it gets a BEGIN record, if there are any."""
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
        tx.ignored = source is not None and not self.settings.follows(source)
        tx.thread = thread if self.settings.flavor.begin_names_thread else None
        self.transaction = tx
        self.last_time_us = time_us
        self._unsettled = None
        self.skip_delivered(tx, start)
        tx.first = -1 if tx.skip_event else len(self.emitter.records)
        tx.began_at = self.fed_bytes + self.size_bytes
        if self.settings.transaction_metadata and announced and not tx.skip_event and not held:
            self.emitter.records.append(self.block.transaction_begin(tx.id, time_us))
        tx.gtid_event = pending[0] if pending is not None else None
        if isinstance(tx.gtid_event, MariaGtid) and tx.gtid_event.standalone:
            tx.first_rows_us = header.timestamp * 1_000_000
        return tx

    def skip_delivered(self, tx: Transaction, start: int) -> None:
        """Whether the stream was resumed within *tx*, whose BEGIN is at *start*. With GTIDs another transaction may
        come first: each domain of MariaDB has its own order."""
        at = self._resume_at
        if at is None:
            return
        here = (at.file, at.pos) == (tx.file, start if at.of_debezium else tx.pos)
        if here and at.of_debezium:
            tx.debezium = at
        if at.transaction == tx.gtid if at.transaction and tx.gtid else here:
            tx.skip_event, tx.skip_row = at.event, at.row
            self._resume_at = None
        elif not at.transaction:
            self._resume_at = None
            log.warning("resume_point_not_found", file=at.file, pos=at.pos, transaction=tx.id)

    def text_only(self, tx: Transaction) -> None:
        """An event of *tx* that is not counted here, but was by Debezium."""
        if tx.debezium is not None and tx.event < tx.skip_event:
            tx.skip_event -= 1

    # -- its events ----------------------------------------------------------------------------------------------

    def counted(self) -> None:
        """The event just handled belongs to the transaction."""
        if self.transaction is not None:
            self.transaction.event += 1

    def at_time(self, header: Header) -> None:
        """Rows of a transaction without a commit time have the time of their statement."""
        tx = self.transaction
        if tx is not None and not tx.first_rows_us and self.replayed is None:
            tx.first_rows_us = header.timestamp * 1_000_000
        if tx is None or not header.timestamp or (isinstance(tx.gtid_event, Gtid) and not tx.gtid_event.anonymous):
            return
        time_us = header.timestamp * 1_000_000
        if time_us != tx.time_us:
            tx.time_us = self.last_time_us = time_us
            tx.contexts.clear()

    def origin(self, tx: Transaction, emitted: EmittedTable, id: TableId, start: int, row: int) -> Origin:
        """For changes of one table in *tx*, in the event at *start*, from *row* on."""
        context = tx.contexts.get(emitted)
        if context is None:
            context = tx.contexts[emitted] = self.block.context(self.block.source_values(
                tx.time_us, database=id.catalog, table=id.table, server_id=self.server_id, gtid=tx.gtid,
                file=self.file, thread=tx.thread, query=tx.query))
        counters = tx.counters if self.settings.transaction_metadata else None
        return Origin(context, (start, row), True, counters, tx.id)

    # -- its end -------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """The transaction is complete."""
        tx = self.transaction
        if tx is None:
            return
        if self.settings.transaction_metadata:
            self.emitter.records.append(self.block.transaction_end(tx.id, tx.time_us, tx.counters.per_table))
        self.over(tx)

    def over(self, tx: Transaction) -> None:
        if tx.debezium is not None and tx.event < tx.skip_event and not self._is_statement(tx):
            raise PositionLostError(
                "The transaction at the stored position has fewer events than were delivered of it.", file=tx.file,
                pos=tx.debezium.pos, delivered=tx.debezium.event, hint=_OTHER_LOG_HINT)
        self.executed(tx)
        self.emitter.mark(tx.time_us)
        self.transaction = None
        self.transactions += 1

    def _is_statement(self, tx: Transaction) -> bool:
        """Whether it is one statement, without BEGIN; MariaDB says so."""
        return isinstance(tx.gtid_event, MariaGtid) and tx.gtid_event.standalone

    def executed(self, tx: Transaction) -> None:
        """The log goes on after it: it was committed, or prepared."""
        self.ended = True
        message = tx.gtid_event
        if isinstance(message, MariaGtid):
            self._last.transaction(message.domain, message, tx.first_rows_us)
            if isinstance(self.gtids, MariaGtidSet):
                self.gtids.add(message.domain, message.server_id, message.sequence)
        elif isinstance(message, Gtid) and message.gno:
            if not tx.local:
                self._last.transaction(message.uuid, message, message.original_commit_us or 0)
            if isinstance(self.gtids, GtidSet):
                self.gtids.add(message.uuid, message.tag, message.gno)

    # MariaDB logs transactions that were rolled back, in whole or to a savepoint, if they made or dropped temporary
    # tables or changed tables without transactions, whose rows have groups of their own: sql/log.cc,
    # `trans_cannot_safely_rollback`, `binlog_savepoint_rollback`, `use_trans_cache`.

    def rolled_back(self) -> None:
        """The transaction ends, and nothing of it is to be delivered."""
        tx = self.transaction
        if tx is None:
            return
        self.rolled_back_count += 1
        self.undo(tx, tx.first)
        if tx.first < 0:
            self.end()
        else:
            self.over(tx)

    def savepoint(self, tx: Transaction, text: str) -> None:
        """SAVEPOINT, or ROLLBACK TO one. Of a savepoint that is not known, we cannot take back anything."""
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
        """Take back the records from index *at* on; -1: they were delivered."""
        if at >= 0:
            self.emitter.undo(at)
            return
        log.warning("rows_rolled_back_were_delivered", file=tx.file, pos=tx.pos, transaction=tx.gtid,
                    reason="the transaction is too large to wait for its end")
