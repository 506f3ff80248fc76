"""Transactions that arrive before their end is known: streamed in blocks while they run, or prepared.

Their messages are kept in a `Spill`, and read when the server says that the transaction was committed.
PostgreSQL docs, "Logical Replication Message Formats": Stream Start, Begin Prepare and those that follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from cdc.core.errors import PositionLostError, ProtocolError

from . import protocol
from .lsn import Lsn
from .protocol import XLOG_HEADER
from .relations import Relations
from .spill import Prepared, Spill
from .transaction import Stream

WITH_XID = frozenset((
    protocol.LOGICAL_REP_MSG_INSERT, protocol.LOGICAL_REP_MSG_UPDATE, protocol.LOGICAL_REP_MSG_DELETE,
    protocol.LOGICAL_REP_MSG_TRUNCATE, protocol.LOGICAL_REP_MSG_RELATION, protocol.LOGICAL_REP_MSG_TYPE,
    protocol.LOGICAL_REP_MSG_MESSAGE))
"""Messages that start with the (sub)transaction's xid, within a stream block."""

_CONTENT = WITH_XID | {protocol.LOGICAL_REP_MSG_ORIGIN}
"""Messages between the first and the last of a transaction."""


class Reader(Protocol):
    """The parts of a ChangeReader that transactions in progress concern."""

    apart: bool
    stream: Stream
    relations: Relations
    in_progress: InProgress

    def start_replay(self, xid: int, final_lsn: int, end_lsn: int, commit_time_us: int, lsn: int) -> None:
        """The transaction *xid* was committed: read its messages."""


class InProgress:
    """Keeps such transactions for one stream.

    `stream_xid`: the transaction of the open stream block; 0 outside of a block.
    `preparing`: the transaction between Begin Prepare and Prepare.
    """

    def __init__(self, spill: Spill) -> None:
        self.spill = spill
        self.stream_xid = 0
        self.preparing: protocol.BeginPrepare | None = None

    def held_lsn(self) -> int:
        """The LSN from which nothing may be confirmed, because a transaction prepared there is undecided; or 0."""
        return self.spill.oldest_prepared_lsn()

    def keep_in_block(self, frame: bytes, kind: int, cursor: protocol.Cursor) -> None:
        """Keeps a message of the open stream block, under the (sub)transaction that wrote it. *cursor* stands after the
        message's type."""
        if kind in WITH_XID:
            subxid = cursor.u32()
        elif kind == protocol.LOGICAL_REP_MSG_ORIGIN:
            subxid = self.stream_xid
        else:
            raise ProtocolError("message not allowed within a stream block", offset=XLOG_HEADER, got=chr(kind),
                                wanted="I, U, D, T, R, Y, M, O or E")
        self.spill.append(self.stream_xid, subxid, frame)

    def keep_prepared(self, frame: bytes, kind: int) -> None:
        """Keeps a message of the transaction that is being prepared."""
        preparing = self.preparing
        assert preparing is not None
        if kind not in _CONTENT:
            raise ProtocolError("message not allowed within a prepared transaction", offset=XLOG_HEADER,
                                got=chr(kind), wanted="I, U, D, T, R, Y, M, O or P")
        self.spill.append(preparing.xid, preparing.xid, frame)

    def replay(self, xid: int) -> tuple[Iterator[tuple[bytes, bool]], int]:
        """The kept frames of *xid*, each with whether it came in a stream block; and the LSN where the transaction
        started, 0 if unknown."""
        return iter(self.spill.replay(xid)), self.spill.first_lsn(xid)


def on_stream_start(reader: Reader, message: protocol.StreamStart, lsn: int, live: bool) -> None:
    if reader.stream.transaction is not None:
        raise ProtocolError("Stream Start within a transaction", offset=XLOG_HEADER, xid=message.xid)
    reader.apart = True
    reader.in_progress.stream_xid = message.xid
    if message.first:
        reader.in_progress.spill.begin(message.xid, lsn)


def on_stream_stop(reader: Reader, message: protocol.StreamStop, lsn: int, live: bool) -> None:
    if not reader.in_progress.stream_xid:
        raise ProtocolError("Stream Stop without Stream Start", offset=XLOG_HEADER)
    reader.apart = False
    reader.in_progress.stream_xid = 0


def on_stream_abort(reader: Reader, message: protocol.StreamAbort, lsn: int, live: bool) -> None:
    reader.in_progress.spill.abort(message.xid, message.subxid)


def on_stream_commit(reader: Reader, message: protocol.StreamCommit, lsn: int, live: bool) -> None:
    reader.start_replay(message.xid, message.commit_lsn, message.end_lsn, message.commit_time_us, lsn)


def on_begin_prepare(reader: Reader, message: protocol.BeginPrepare, lsn: int, live: bool) -> None:
    if reader.stream.transaction is not None:
        raise ProtocolError("Begin Prepare within a transaction", offset=XLOG_HEADER, xid=message.xid)
    reader.apart = True
    reader.in_progress.preparing = message
    reader.in_progress.spill.begin(message.xid, lsn)


def on_prepare(reader: Reader, message: protocol.Prepare, lsn: int, live: bool) -> None:
    """All messages of the transaction are here; whether it happens is decided later."""
    in_progress = reader.in_progress
    if not message.streamed and in_progress.preparing is None:
        raise ProtocolError("Prepare without Begin Prepare", offset=XLOG_HEADER, xid=message.xid)
    reader.apart = False
    in_progress.preparing = None
    prepared = Prepared(message.xid, message.prepare_lsn, in_progress.spill.first_lsn(message.xid),
                        dict(reader.relations.states))
    in_progress.spill.prepare(message.gid, prepared, message.streamed)


def on_commit_prepared(reader: Reader, message: protocol.CommitPrepared, lsn: int, live: bool) -> None:
    prepared = reader.in_progress.spill.take_prepared(message.gid)
    if prepared is None:
        due = reader.stream.due
        if due is not None and (due.begins(message.commit_lsn, message.xid, message.commit_time_us)
                                or due.ends(message.end_lsn, message.xid, message.commit_time_us)):
            reader.stream.due = None
        if message.commit_lsn < reader.stream.resumed.end_lsn:
            return  # it was delivered before the restart
        raise PositionLostError(
            "a prepared transaction was committed whose changes were not received", lsn=str(Lsn(lsn)),
            hint="Take a new snapshot (remove this connector's offset), or use a slot created without two_phase.")
    # Its changes are read with the relations as they were when it was prepared; what follows, as they are now.
    reader.relations.enter(prepared.relations)
    reader.start_replay(prepared.xid, message.commit_lsn, message.end_lsn, message.commit_time_us, lsn)


def on_rollback_prepared(reader: Reader, message: protocol.RollbackPrepared, lsn: int, live: bool) -> None:
    reader.in_progress.spill.drop_prepared(message.gid)


HANDLERS: dict[int, Callable[[Any, Any, int, bool], None]] = {
    protocol.LOGICAL_REP_MSG_STREAM_START: on_stream_start,
    protocol.LOGICAL_REP_MSG_STREAM_STOP: on_stream_stop,
    protocol.LOGICAL_REP_MSG_STREAM_ABORT: on_stream_abort,
    protocol.LOGICAL_REP_MSG_STREAM_COMMIT: on_stream_commit,
    protocol.LOGICAL_REP_MSG_STREAM_PREPARE: on_prepare,
    protocol.LOGICAL_REP_MSG_BEGIN_PREPARE: on_begin_prepare,
    protocol.LOGICAL_REP_MSG_PREPARE: on_prepare,
    protocol.LOGICAL_REP_MSG_COMMIT_PREPARED: on_commit_prepared,
    protocol.LOGICAL_REP_MSG_ROLLBACK_PREPARED: on_rollback_prepared,
}
"""By message type: called with the reader, the message, its LSN, and True."""
