"""Our place in the log: the transaction that is being read, and the position that is reached.

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

from typing import Any

import cython  # noqa: F401

from cdc.core.errors import ProtocolError
from cdc.debezium.emit import Counters, Emitter, Origin

from . import protocol
from .position import PostgresPosition
from .protocol import XLOG_HEADER
from .relations import RelationState
from .witness import Shown, Witness, check_in_snapshot

SKIP_ALL = 1 << 62


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


class Stream:
    """Where we are in the stream of transactions.

    *events* (`SourceBlock`) makes the records of a transaction's begin and end, with *metadata*.

    `end_lsn`: all transactions whose commit starts before this LSN have been read.
    `commit_lsn`: the end of the last transaction with changes of ours.
    `due`: what the server has yet to show again; None if nothing.
    `caught_up`: all that precedes the position we resumed from was read again.
    `shown`: the fields of a `Shown`: the last transaction with changes, or message, that was read whole. None before
    the first.
    """

    def __init__(self, emitter: Emitter, events: Any, *, metadata: bool) -> None:
        self.emitter = emitter
        self.events = events
        self.metadata = metadata
        self.transaction: Transaction | None = None
        self.resumed = PostgresPosition(end_lsn=0)
        self.end_lsn = 0
        self.last_lsn = 0
        self.last_kind = 0
        self.last_time_us = 0
        self.commit_lsn = 0
        self.transactions = 0
        self.due: Witness | None = None
        self.caught_up = False
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

    def position(self, hold_lsn: int) -> PostgresPosition:
        """The position that is reached when all records so far are delivered. *hold_lsn*: as `InProgress.held_lsn`."""
        tx, resumed = self.transaction, self.resumed
        if self.due is not None:
            return resumed
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

    def dropping(self) -> bool:
        """Whether all changes that come now were delivered before a restart."""
        tx = self.transaction
        return self.due is not None or (tx is not None and tx.skip >= SKIP_ALL)

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
        if self.metadata and not skip and not skip_before and not resumed:
            self.emitter.records.append(self.events.transaction_begin(f"{tx.xid}:{lsn}", commit_time_us))

    def end(self, end_lsn: int, lsn: int, prepared: bool = False) -> None:
        """The transaction was committed; *prepared*: it was prepared before."""
        tx = self.transaction
        if tx is None:
            raise ProtocolError("Commit outside a transaction", offset=XLOG_HEADER)
        if self.metadata and tx.skip < SKIP_ALL:
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

    def message(self, lsn: int, shown: Shown) -> bool:
        """A message outside of transactions: no COMMIT follows, it is its own. Returns False if it was delivered before
        a restart."""
        live = lsn > self.resumed.end_lsn and self.due is None
        if self.due is not None and self.due.message(shown):
            self.due = None
        self.commit_lsn = lsn
        if self.transaction is None and lsn >= self.end_lsn:
            # Every transaction that committed before this message was sent before it. *lsn* is where the message's
            # record ends, so that the next commit may begin there. PostgreSQL source:
            # src/backend/replication/logical/decode.c, `logicalmsg_decode`.
            self.end_lsn = lsn
            self.last_lsn = lsn
            self.caught_up = self.caught_up or lsn >= self.resumed.end_lsn
            self.shown = shown
        return live

    def passed(self, wal_end: int, *, between: bool) -> None:
        """A keepalive: the server has sent all changes of ours before *wal_end*. *between*: no transaction is open, nor
        being replayed or kept, so that we have read them, too."""
        if self.due is not None:
            self.due.passed(wal_end)
            return
        if wal_end >= self.resumed.end_lsn:
            self.caught_up = True
        if between and wal_end > self.end_lsn:
            self.end_lsn = wal_end
