"""Where the log is read from: whether the server can go on from a stored position, and what it is asked for.

MySQL Reference Manual, "GTID Auto-Positioning", "Server System Variables": gtid_executed, gtid_purged; MariaDB docs,
"Global Transaction ID".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from cdc.core.errors import PositionLostError
from cdc.core.regex import compile_items
from cdc.log import get_logger

from .gtid import GtidSet, MariaGtidSet
from .options import MySqlConfig
from .position import MySqlPosition, file_number
from .server import PURGED_HINT, Connection, MySqlFacts, query
from .transport import DumpFrom

log = get_logger(__name__)

_RESET_HINT: Final = (
    "The logs were reset, or it is another server. Point the connector back, or reset its offset to start with a new"
    " snapshot."
)


@dataclass(frozen=True, slots=True)
class Resumption:
    """`position` as far as it holds on this server, and what the server is asked for."""

    position: MySqlPosition
    begin: DumpFrom


def source_filter(config: MySqlConfig) -> Callable[[str], bool]:
    """Whether transactions of a source are followed: a UUID with MySQL, `domain-server` with MariaDB."""
    include = compile_items(config.gtid_source_includes, "gtid.source.includes")
    exclude = compile_items(config.gtid_source_excludes, "gtid.source.excludes")
    if include:
        return lambda source: any(each.fullmatch(source) for each in include)
    return lambda source: not any(each.fullmatch(source) for each in exclude)


def first(facts: MySqlFacts, position: MySqlPosition) -> Resumption:
    """How to go on from a snapshot's position. A server may have GTIDs from before gtid_mode was switched off."""
    gtids = (MariaGtidSet if facts.mariadb else GtidSet).parse(position.gtids or "") if facts.has_gtids else None
    return Resumption(position, DumpFrom(position.file, position.pos, gtids or None))


def check(conn: Connection, facts: MySqlFacts, config: MySqlConfig, stored: MySqlPosition) -> Resumption:
    """How to go on from *stored*. Raises PositionLostError when that is not possible without a loss."""
    position = _on_this_server(facts, stored)
    by_gtid = bool(position.gtids) and facts.has_gtids and not (
        config.gtid_ignore_on_recovery and position.file and _same_server(facts, stored))
    files = [str(row[0]) for row in query(conn, "SHOW BINARY LOGS")]
    if _same_server(facts, stored) and stored.file and files and file_number(files[-1]) < file_number(stored.file):
        raise PositionLostError(
            f"The server's last binary log is {files[-1]}, the stored position is in {stored.file}.", hint=_RESET_HINT)
    if not by_gtid:
        _check_file(facts, position, stored, files)
        if facts.mariadb and position.gtids is None:
            position = replace(position, gtids=gtids_at(conn, position.file, position.pos))
        return Resumption(position, DumpFrom(position.file, position.pos))
    assert position.gtids is not None
    if facts.mariadb:
        domains = MariaGtidSet.parse(position.gtids)
        _check_domains(conn, domains, source_filter(config))
        return Resumption(position, DumpFrom(position.file, position.pos, domains))
    known = _check_gtids(conn, GtidSet.parse(position.gtids), source_filter(config))
    return Resumption(replace(position, gtids=str(known)), DumpFrom(position.file, position.pos, known))


def gtids_at(conn: Connection, file: str, pos: int) -> str | None:
    """What MariaDB had executed at a place of its log; None when it does not know the place."""
    (text,), = query(conn, "SELECT BINLOG_GTID_POS(%s, %s)", file, pos)
    return None if text is None else str(text)


def _same_server(facts: MySqlFacts, stored: MySqlPosition) -> bool:
    """As far as it can be known: an offset of Debezium's names none."""
    return bool(stored.server_uuid) and stored.server_uuid == facts.server_uuid


def _on_this_server(facts: MySqlFacts, stored: MySqlPosition) -> MySqlPosition:
    """Another server cuts transactions into other events, and Debezium counts them in its own way: of a transaction
    that was delivered in part all is delivered again."""
    if _same_server(facts, stored):
        return stored
    if stored.event or stored.row:
        log.info("transaction_begun_again", reason="its events were counted by another server or program")
    return replace(stored, event=0, row=0, log_created=0, transaction=None)


def _check_file(facts: MySqlFacts, position: MySqlPosition, stored: MySqlPosition, files: list[str]) -> None:
    if stored.server_uuid and facts.server_uuid and stored.server_uuid != facts.server_uuid:
        raise PositionLostError(
            "The stored position belongs to another server, and without GTIDs means nothing on this one.",
            stored_server_uuid=stored.server_uuid, server_uuid=facts.server_uuid,
            hint="Point the connector back, switch gtid_mode on, or reset its offset to start with a new snapshot.")
    if position.file not in files:
        raise PositionLostError(
            f"The binary log file {position.file} of the stored position is gone.", oldest=files[0] if files else None,
            hint=f"It was purged before it was read, or the logs were reset. {PURGED_HINT}")


def _check_gtids(conn: Connection, ours: GtidSet, follows: Callable[[str], bool]) -> GtidSet:
    """What to tell the server that we have: of sources not followed also all that it has not any more."""
    (executed, purged), = query(conn, "SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged")
    have, gone = GtidSet.parse(str(executed)), GtidSet.parse(str(purged))
    wanted = ours.only(follows)
    if not have.contains(wanted):
        raise PositionLostError("The server does not have transactions that were delivered already.",
                                missing=str(wanted.subtract(have))[:300], hint=_RESET_HINT)
    lost = gone.only(follows).subtract(ours)
    if lost:
        raise PositionLostError("Transactions after the stored position have been purged from the server's logs.",
                                purged=str(lost)[:300], hint=PURGED_HINT)
    return ours.subtract(ours.subtract(have)).union(gone.subtract(gone.only(follows)))


def _check_domains(conn: Connection, ours: MariaGtidSet, follows: Callable[[str], bool]) -> None:
    """MariaDB itself takes a domain that it does not know for one that is over, and begins it anew without a word."""
    (binlog, replicated), = query(conn, "SELECT @@GLOBAL.gtid_binlog_state, @@GLOBAL.gtid_slave_pos")
    have = MariaGtidSet.parse(str(binlog)).union(MariaGtidSet.parse(str(replicated)))
    missing = [each for each in str(ours.subtract(have)).split(",") if each and follows(each.rpartition("-")[0])]
    if missing:
        raise PositionLostError("The server does not have transactions that were delivered already.",
                                missing=",".join(missing)[:300], hint=_RESET_HINT)
