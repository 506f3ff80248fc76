"""What the messages that are no rows do to a ChangeReader: Begin, Commit, Relation, Truncate and the like.

Those of transactions in progress are in `in_progress.py`. PostgreSQL docs, "Logical Replication Message Formats".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from cdc.core.errors import ProtocolError
from cdc.core.named_tuple import NamedTuple
from cdc.debezium.emit import Emitter, Origin

from . import in_progress, protocol
from .relations import RelationState
from .transaction import SKIP_ALL, Transaction
from .witness import shown_message


class Reader(in_progress.Reader, Protocol):
    """The parts of a ChangeReader that control messages concern."""

    emitter: Emitter
    events: Any
    transaction_metadata: bool
    clock_us: Callable[[], int]
    name_type: Callable[[protocol.Type], None]
    truncated: Callable[[str], None] | None

    def begin(self, final_lsn: int, commit_time_us: int, xid: int, lsn: int) -> None:
        """A transaction begins."""

    def origin(self, state: RelationState, tx: Transaction, lsn: int, live: bool) -> Origin:
        """Where the change at *lsn* comes from."""


def on_begin(reader: Reader, message: protocol.Begin, lsn: int, live: bool) -> None:
    reader.begin(message.final_lsn, message.commit_time_us, message.xid, lsn)


def on_commit(reader: Reader, message: protocol.Commit, lsn: int, live: bool) -> None:
    reader.stream.end(message.end_lsn, lsn)


def on_origin(reader: Reader, message: protocol.Origin, lsn: int, live: bool) -> None:
    tx = reader.stream.transaction
    if tx is not None:
        tx.origin = message.name
        tx.origin_lsn = message.commit_lsn


def on_relation(reader: Reader, message: protocol.Relation, lsn: int, live: bool) -> None:
    tx = reader.stream.transaction
    xid, final_lsn = (tx.xid, tx.final_lsn) if tx is not None else (0, 0)
    reader.relations.describe(message, xid, final_lsn, dropped=reader.stream.dropping())


def on_type(reader: Reader, message: protocol.Type, lsn: int, live: bool) -> None:
    reader.name_type(message)


def on_truncate(reader: Reader, message: protocol.Truncate, lsn: int, live: bool) -> None:
    tx, relations = reader.stream.transaction, reader.relations
    assert tx is not None
    for oid in message.relation_oids:
        state = relations.states.get(oid)
        if state is None and oid not in relations.refused:
            raise ProtocolError("Truncate of a relation that was not described", wanted="R first", got=oid)
        if state is None:
            if tx.skip < SKIP_ALL:
                raise relations.refused[oid]
        elif state.table is not None:
            reader.emitter.truncate(state.emitted, reader.origin(state, tx, lsn, live))
            if reader.truncated is not None and live:
                reader.truncated(state.collection)


def on_logical_message(reader: Reader, message: protocol.LogicalMessage, lsn: int, live: bool) -> None:
    stream = reader.stream
    tx = stream.transaction
    if not message.transactional:
        live = stream.message(lsn, shown_message(lsn, message.prefix, message.content))
    record = reader.events.logical_message(message, tx if message.transactional else None, lsn, stream.commit_lsn,
                                           stream.last_time_us, reader.clock_us(), reader.transaction_metadata)
    if live and record is not None:
        reader.emitter.records.append(record)


def _never(message: Any) -> bool:
    return False


def _always(message: Any) -> bool:
    return True


def _if_transactional(message: protocol.LogicalMessage) -> bool:
    return message.transactional


class Handler(NamedTuple):
    """How messages of one type are handled. `counts`: whether a message is one of its transaction's changes; it is then
    handled with `live` False if it was delivered before a restart."""

    handle: Callable[[Any, Any, int, bool], None]
    counts: Callable[[Any], bool] = _never


HANDLERS: dict[int, Handler] = {
    protocol.LOGICAL_REP_MSG_BEGIN: Handler(on_begin),
    protocol.LOGICAL_REP_MSG_COMMIT: Handler(on_commit),
    protocol.LOGICAL_REP_MSG_ORIGIN: Handler(on_origin),
    protocol.LOGICAL_REP_MSG_RELATION: Handler(on_relation),
    protocol.LOGICAL_REP_MSG_TYPE: Handler(on_type),
    protocol.LOGICAL_REP_MSG_TRUNCATE: Handler(on_truncate, _always),
    protocol.LOGICAL_REP_MSG_MESSAGE: Handler(on_logical_message, _if_transactional),
    **{kind: Handler(handle) for kind, handle in in_progress.HANDLERS.items()},
}
"""All types but Insert, Update and Delete, which always count."""
