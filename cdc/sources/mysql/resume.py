"""Whether the server can go on from a stored position, and what we ask it for.

MySQL Reference Manual, "GTID Auto-Positioning", "Server System Variables": gtid_executed, gtid_purged; MariaDB docs,
"Global Transaction ID".
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from cdc.config.regex import compile_items
from cdc.core.dataclass import dataclass
from cdc.core.errors import PositionLostError
from cdc.log import get_logger
from cdc.sources.mysql.binlog.gtid import GtidSet, MariaGtidSet

from .connection import Connection, query
from .errors import PURGED_HINT
from .options import MySqlConfig
from .position import MySqlPosition, file_number
from .proof import MAX_POSITION, OTHER_HISTORY_HINT, Claim
from .server import MySqlFacts
from .transport import DumpFrom

log = get_logger(__name__)

_RESET_HINT: Final = (
    "The logs were reset, or it is another server. Point the connector back, or reset its offset to start with a new"
    " snapshot."
)


@dataclass(frozen=True)
class Resumption:
    """`position`: the stored one, without what does not hold on this server. `begin`: what we ask the server for.
    `claim`: what its log must show, before anything of that is delivered."""

    position: MySqlPosition
    begin: DumpFrom
    claim: Claim


def source_filter(config: MySqlConfig) -> Callable[[str], bool]:
    """Whether we follow the transactions of a source; its name is a UUID on MySQL, and `domain-server` on MariaDB."""
    include = compile_items(config.gtid_source_includes, "gtid.source.includes")
    exclude = compile_items(config.gtid_source_excludes, "gtid.source.excludes")
    if include:
        return lambda source: any(each.fullmatch(source) for each in include)
    return lambda source: not any(each.fullmatch(source) for each in exclude)


def first(facts: MySqlFacts, position: MySqlPosition, files: Collection[str]) -> Resumption:
    """From a snapshot's position. With gtid_mode=OFF it may have GTIDs from an earlier time, which are ignored.
    *files*: those that the server has."""
    gtids = facts.flavor.parse_gtids(position.gtids or "") if facts.has_gtids else None
    return Resumption(position, DumpFrom(position.file, position.pos, gtids or None), _claim(position, position, files))


def check(conn: Connection, facts: MySqlFacts, config: MySqlConfig, stored: MySqlPosition) -> Resumption:
    """From *stored*. Raises PositionLostError if changes would be lost."""
    position = _on_this_server(facts, stored)
    by_gtid = bool(position.gtids) and facts.has_gtids and not (
        config.gtid_ignore_on_recovery and position.file and _same_server(facts, stored))
    sizes = log_sizes(conn)
    files = list(sizes)
    if _same_server(facts, stored) and stored.file and files and file_number(files[-1]) < file_number(stored.file):
        raise PositionLostError(
            f"The server's last binary log is {files[-1]}, the stored position is in {stored.file}.", hint=_RESET_HINT)
    same = _same_server(facts, stored)
    if same and (stored.log_created or stored.witness) and sizes.get(stored.file, stored.pos) < stored.pos:
        raise PositionLostError(
            f"The binary log {stored.file} has {sizes[stored.file]} bytes, the stored position is {stored.pos}.",
            hint=OTHER_HISTORY_HINT)
    claim = _claim(stored if same else None, stored, sizes, source_filter(config) if by_gtid else None)
    if not by_gtid:
        _check_file(facts, position, stored, files)
        if facts.flavor.finds_gtids_of_place and position.gtids is None:
            position = replace(position, gtids=gtids_at(conn, position.file, position.pos))
        return Resumption(position, DumpFrom(position.file, position.pos), claim)
    assert position.gtids is not None
    ours = facts.flavor.parse_gtids(position.gtids)
    if isinstance(ours, MariaGtidSet):
        _check_domains(conn, ours, source_filter(config))
        return Resumption(position, DumpFrom(position.file, position.pos, ours), claim)
    known = _check_gtids(conn, ours, source_filter(config))
    return Resumption(replace(position, gtids=str(known)), DumpFrom(position.file, position.pos, known), claim)


def log_sizes(conn: Connection) -> dict[str, int]:
    """The server's log files, oldest first, and their bytes."""
    return {str(row[0]): int(row[1]) for row in query(conn, "SHOW BINARY LOGS")}


def _claim(here: MySqlPosition | None, stored: MySqlPosition, files: Collection[str],
           follows: Callable[[str], bool] | None = None) -> Claim:
    """*here*: the position, if its place is on this server. *follows*: given if the server finds GTIDs."""
    head: tuple[str, int] | None = None
    witness = stored.witness
    if here is not None:
        if here.log_created and here.file in files:
            head = here.file, here.log_created
        if witness is not None and witness.file in files and witness.pos < MAX_POSITION:
            return Claim(head, witness)
    if witness is None or follows is None:
        return Claim(head)
    return Claim(head, seen=tuple(each for each in witness.seen if follows(_source_name(each.gtid))))


def _source_name(gtid: str) -> str:
    """As `source_filter` names sources."""
    uuid, mysql, _ = gtid.partition(":")
    return uuid if mysql else gtid.rpartition("-")[0]


def gtids_at(conn: Connection, file: str, pos: int) -> str | None:
    """The GTIDs that MariaDB had executed at a place of its log; None if it does not know the place."""
    (text,), = query(conn, "SELECT BINLOG_GTID_POS(%s, %s)", file, pos)
    return None if text is None else str(text)


def _same_server(facts: MySqlFacts, stored: MySqlPosition) -> bool:
    """False for an offset of Debezium's, too: it names no server."""
    return bool(stored.server_uuid) and stored.server_uuid == facts.server_uuid


def _on_this_server(facts: MySqlFacts, stored: MySqlPosition) -> MySqlPosition:
    """*stored*, without its place inside a transaction if another server counted that place: it divides transactions
    into other events. A transaction that was delivered in part is then delivered again. An offset of Debezium's, which
    names no server, keeps its place: it holds only where a transaction begins at the same byte of the same file."""
    if _same_server(facts, stored) or stored.of_debezium:
        return stored
    if stored.event or stored.row:
        log.info("transaction_begun_again", reason="another server counted its events")
    return replace(stored, event=0, row=0, log_created=0, transaction=None)


def _check_file(facts: MySqlFacts, position: MySqlPosition, stored: MySqlPosition, files: list[str]) -> None:
    if stored.server_uuid and facts.server_uuid and stored.server_uuid != facts.server_uuid:
        raise PositionLostError(
            "The stored position belongs to another server, and without GTIDs it cannot be found on this one.",
            stored_server_uuid=stored.server_uuid, server_uuid=facts.server_uuid,
            hint="Point the connector back, switch gtid_mode on, or reset its offset to start with a new snapshot.")
    if position.file not in files:
        raise PositionLostError(
            f"The binary log file {position.file} of the stored position is gone.", oldest=files[0] if files else None,
            hint=f"It was purged before it was read, or the logs were reset. {PURGED_HINT}")


def _check_gtids(conn: Connection, ours: GtidSet, follows: Callable[[str], bool]) -> GtidSet:
    """The GTID set to send as already received: ours, plus everything the server has purged from sources we do not
    follow (else it would refuse the dump)."""
    (executed, purged), = query(conn, "SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged")
    have, gone = GtidSet.parse(str(executed)), GtidSet.parse(str(purged))
    wanted = ours.only(follows)
    if not have.contains(wanted):
        raise PositionLostError("The server lacks transactions that we have already delivered.",
                                missing=str(wanted.subtract(have))[:300], hint=_RESET_HINT)
    lost = gone.only(follows).subtract(ours)
    if lost:
        raise PositionLostError("Transactions after the stored position have been purged from the server's logs.",
                                purged=str(lost)[:300], hint=PURGED_HINT)
    return ours.subtract(ours.subtract(have)).union(gone.subtract(gone.only(follows)))


def _check_domains(conn: Connection, ours: MariaGtidSet, follows: Callable[[str], bool]) -> None:
    """MariaDB does not report an unknown domain: it silently starts that domain from its beginning. So we check it
    here."""
    (binlog, replicated), = query(conn, "SELECT @@GLOBAL.gtid_binlog_state, @@GLOBAL.gtid_slave_pos")
    have = MariaGtidSet.parse(str(binlog)).union(MariaGtidSet.parse(str(replicated)))
    missing = [each for each in str(ours.subtract(have)).split(",") if each and follows(each.rpartition("-")[0])]
    if missing:
        raise PositionLostError("The server lacks transactions that we have already delivered.",
                                missing=",".join(missing)[:300], hint=_RESET_HINT)
