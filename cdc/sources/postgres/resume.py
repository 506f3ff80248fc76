"""Whether a stored position still fits the server and its slot, and where the stream then resumes.

Each check that fails means lost changes, so it raises PositionLostError instead of starting elsewhere. Only
`slot_to_read` asks a server; the rest is pure. What only the stream can prove is left to `witness.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cdc.core.errors import PositionLostError, SourceConnectionError
from cdc.log import get_logger

from .checks import check_slot
from .connection import Connection
from .lsn import Lsn
from .options import PostgresConfig
from .position import PostgresPosition
from .server import ServerFacts
from .slots import Slot, create_slot, find_slot
from .witness import Witness

log = get_logger(__name__)

History = Callable[[int], Sequence[tuple[int, Lsn]]]
"""Given a timeline, the earlier timelines of the server, each with the LSN at which the server left it."""

_MAY_SKIP = frozenset({"trust_slot", "trust_greater_lsn"})


def slot_to_read(conn: Connection, replication: Connection, config: PostgresConfig,
                 facts: ServerFacts, stored: PostgresPosition | None) -> Slot:
    """The configured slot, which must exist if there is a *stored* position. Without one it is created if needed.

    *conn* is an ordinary connection. Raises PositionLostError, and the errors of `check_slot` and `create_slot`.
    """
    name = config.slot_name
    slot = find_slot(conn, name)
    if slot is None and stored is not None:
        raise PositionLostError(
            f"Replication slot {name} does not exist any more, so changes since the stored position may be gone.",
            slot=name, lsn=str(Lsn(stored.end_lsn)),
            hint="It was dropped, or the server was replaced. Reset the connector's offset to start with a new "
                 "snapshot.")
    if slot is None:
        create_slot(replication, name, failover=config.slot_failover,
                    timeout_s=config.internal_create_slot_command_timeout)
        slot = find_slot(conn, name)
        assert slot is not None
    check_slot(slot, facts.database)
    return slot


def resume_at(stored: PostgresPosition | None, facts: ServerFacts, slot: Slot, history: History,
              on_mismatch: str) -> PostgresPosition:
    """Where the stream resumes on this server: *stored*, or without one where *slot* stands.

    *history* is called only if the server's timeline is not the stored one. *on_mismatch* is
    `offset.mismatch.strategy`. Raises PositionLostError.
    """
    confirmed = int(slot.confirmed_flush_lsn or 0)
    if stored is None:
        return PostgresPosition(end_lsn=confirmed, begin_lsn=confirmed, system_id=facts.system_id,
                                timeline=facts.timeline)
    check_server_identity(stored, facts, slot.name)
    if stored.timeline is not None and stored.timeline != facts.timeline:
        check_timeline(stored.timeline, stored.needed_lsn(), facts.timeline, history(facts.timeline))
    record_lsn = confirmed & ~7  # an earlier version confirmed one byte more than a message's record has
    check_not_ahead(max(stored.needed_lsn(), record_lsn), facts, slot.name)
    if confirmed > stored.end_lsn:
        stored = beyond_gap(stored, confirmed, slot.name, on_mismatch)
    return replace(stored, end_lsn=delivered_lsn(stored, confirmed)).on_server(facts.system_id, facts.timeline)


def delivered_lsn(stored: PostgresPosition, confirmed: int) -> int:
    """The LSN before which all commits are delivered or from before the stream.

    `end_lsn` of a position also counts the log in which nothing of ours was. On a server that has lost that part, other
    transactions are there now, and they are new. So what was shown counts, or what the slot no longer has.
    """
    if stored.partly_delivered() is not None:
        return stored.end_lsn
    if stored.shown is not None:
        return max(stored.shown.end_lsn, confirmed)
    if stored.begin_time_us:
        return max(stored.begin_lsn, confirmed)
    return confirmed if stored.begin_lsn else stored.end_lsn


def witness_of(position: PostgresPosition, confirmed: int) -> Witness | None:
    """What the stream must show before anything is dropped as delivered; None if nothing needs that proof, or if the
    slot, which stands at *confirmed*, is the proof."""
    partly = position.partly_delivered()
    if partly is not None:
        return Witness(partly, position.end_lsn) if partly.place or confirmed < position.end_lsn else None
    if position.shown is None or confirmed > position.shown.place:
        return None
    return Witness(position.shown, position.shown.end_lsn)


def held(position: PostgresPosition, confirmed: int) -> PostgresPosition:
    """*position* while the server shows again what lies before it: nothing may be confirmed until that was read. A
    transaction that was prepared there may be undecided, and what the position says is not proved yet."""
    return replace(position, hold_lsn=confirmed if confirmed < position.end_lsn else 0)


def first_lsn_to_ask(position: PostgresPosition, confirmed: int) -> int:
    """Where START_REPLICATION begins: where the slot stands, so that the server shows again what proves the position.
    A position that nothing can prove begins where it ends."""
    if position.shown is not None or position.begin_lsn or position.partly_delivered() is not None:
        return confirmed
    return min(position.end_lsn, position.hold_lsn) if position.hold_lsn else position.end_lsn


def check_server_identity(stored: PostgresPosition, facts: ServerFacts, slot: str) -> None:
    if stored.system_id is not None and stored.system_id != facts.system_id:
        raise PositionLostError(
            "The stored position belongs to another PostgreSQL cluster.", stored_system_id=stored.system_id,
            system_id=facts.system_id, slot=slot,
            hint="The connector points to a different or newly initialised server. Point it back, or reset its "
                 "offset to start with a new snapshot.")


def check_timeline(stored: int, lsn: int, timeline: int, history: Sequence[tuple[int, Lsn]]) -> None:
    """Whether the history of *timeline* contains timeline *stored* at least up to *lsn*."""
    left = dict(history).get(stored)
    if left is None or lsn > left:
        raise PositionLostError(
            "The server's timeline does not continue the one of the stored position.", stored_timeline=stored,
            timeline=timeline, lsn=str(Lsn(lsn)), left_at=str(left) if left is not None else None,
            hint="A failover or point-in-time recovery branched off before our position. Reset the connector's "
                 "offset to start with a new snapshot.")
    log.info("timeline_changed", stored_timeline=stored, timeline=timeline, left_at=str(left))


def check_not_ahead(lsn: int, facts: ServerFacts, slot: str) -> None:
    """Whether the server's log reaches *lsn*, to which we have read it, or which its slot has. A standby that was
    started again, or that lags behind the one read before, still gets there: then SourceConnectionError."""
    if lsn > facts.flushed_lsn and facts.in_recovery:
        raise SourceConnectionError(
            "The standby has not received yet what was read before.", lsn=str(Lsn(lsn)),
            server_lsn=str(facts.flushed_lsn), slot=slot,
            hint="It is waited for. If it never comes, its primary was put back from an older backup.")
    if lsn > facts.flushed_lsn:
        raise PositionLostError(
            "The stored position is ahead of the server.", lsn=str(Lsn(lsn)),
            server_lsn=str(facts.flushed_lsn), slot=slot,
            hint="The server was restored from an older backup, or lost its newest WAL in a failover. Events were "
                 "delivered that the server does not know; reset the connector's offset to start with a new "
                 "snapshot.")


def accepts_gaps(config: PostgresConfig) -> bool:
    """Whether the operator accepts that changes are lost, and wants to go on."""
    return config.offset_mismatch_strategy in _MAY_SKIP


def beyond_gap(stored: PostgresPosition, confirmed: int, slot: str, on_mismatch: str) -> PostgresPosition:
    """The slot's position, if the operator accepts that the changes between *stored* and *confirmed* are lost."""
    if on_mismatch not in _MAY_SKIP:
        raise PositionLostError(
            "The slot is ahead of the stored position: changes in between are gone.", slot=slot,
            lsn=str(Lsn(stored.end_lsn)), slot_lsn=str(Lsn(confirmed)),
            hint="The slot was dropped and created again, or read by somebody else. Reset the connector's "
                 "offset to start with a new snapshot, or accept the gap with "
                 "offset.mismatch.strategy=trust_slot.")
    log.warning("position_moved_to_slot", slot=slot, lsn=str(Lsn(stored.end_lsn)), slot_lsn=str(Lsn(confirmed)))
    return PostgresPosition(end_lsn=confirmed, begin_lsn=confirmed)
