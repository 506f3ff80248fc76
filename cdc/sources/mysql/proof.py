"""Whether a server's log is the one that a stored position is from: it must show what was read last.

On the server that was read before, the file's head and the last event are looked at, at their places. On another one,
or where the place is not known any more, the last transactions are looked for by GTID. MySQL Source Code Documentation,
"Replication Protocol"; sql/rpl_binlog_sender.cc (`skip_event`); MariaDB docs, "BINLOG_GTID_POS".
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable
from contextlib import closing
from typing import Final, Protocol

from cdc.core.dataclass import dataclass
from cdc.core.errors import PositionLostError, SourceConnectionError, SourceError
from cdc.log import get_logger
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.decoder import BinlogDecoder
from cdc.sources.mysql.binlog.events import Gtid, MariaGtid, PreviousGtids
from cdc.sources.mysql.binlog.gtid import GtidSet, MariaGtidSet
from cdc.sources.mysql.binlog.rows import ROWS_EVENTS

from .connection import Connection, query
from .flavor import Gtids
from .transport import DumpFrom
from .witness import MADE_UP, Seen, Witness, checksum

log = get_logger(__name__)

OTHER_HISTORY_HINT: Final = (
    "The server was reset, was put back from a copy, lost the end of its log in a crash, or is another server. What it"
    " wrote since then may not be delivered. Point the connector at the server with the log that it read before; or"
    " reset the connector's offset to start with a new snapshot."
)
_ER_READING_BINLOG: Final = 1236
_FIRST_POSITION: Final = 4
MAX_POSITION: Final = 1 << 32
"""No dump can begin at or after it by file and position."""
_FILES_SEARCHED: Final = 8
_GTIDS: Final = frozenset((const.GTID_LOG_EVENT, const.GTID_TAGGED_LOG_EVENT, const.GTID_EVENT))
_STATEMENTS: Final = frozenset((const.QUERY_EVENT, const.QUERY_COMPRESSED_EVENT))


class Log(Protocol):
    """Reads the server's log beside the stream."""

    def read_from(self, begin: DumpFrom) -> Generator[bytes, None, None]:
        """Whole events from *begin* to the present end of the log. Closing the generator ends the connection."""


@dataclass(frozen=True)
class Claim:
    """What the log must show.

    `head`: a file, and when it was created, in seconds since 1970.
    `place`: the last event, at its place.
    `seen`: transactions, wherever they are.
    """

    head: tuple[str, int] | None = None
    place: Witness | None = None
    seen: tuple[Seen, ...] = ()


def prove(claim: Claim, log_: Log, conn: Connection, *, mariadb: bool) -> tuple[Seen, ...]:
    """Raises PositionLostError if the log shows something else than *claim*. Returns what remains a doubt:
    transactions that the server has purged, where nothing else of the claim was shown."""
    created = _prove_place(log_, claim.place) if claim.place is not None else None
    if claim.head is not None:
        file, expected = claim.head
        if created is None or claim.place is None or claim.place.file != file:
            created = created_at(log_, file)
        if created != expected:
            raise PositionLostError(
                f"The binary log {file} is not the one that the stored position is in: another one has its name now.",
                expected=expected, found=created or "nothing", hint=OTHER_HISTORY_HINT)
    if claim.seen and not _prove_gtids(conn, log_, claim.seen, mariadb=mariadb) and claim.head is None:
        return claim.seen
    return ()


def _frames(log_: Log, begin: DumpFrom) -> Generator[bytes, None, None]:
    """The events from there on; none where the server cannot read that place."""
    with closing(log_.read_from(begin)) as events:
        try:
            yield from events
        except SourceError as exc:
            if exc.retriable or exc.context.get("errno") != _ER_READING_BINLOG:
                raise  # a disk that fails, or a file that is removed just now, says nothing about the place


def created_at(log_: Log, file: str) -> int | None:
    """When *file* was created, in seconds since 1970; None if the server cannot read it."""
    with closing(_frames(log_, DumpFrom(file, _FIRST_POSITION))) as events:
        return next((_time_s(event) for event in events if event[4] == const.FORMAT_DESCRIPTION_EVENT), None)


def _prove_place(log_: Log, witness: Witness) -> int | None:
    """When the file of *witness* was created, if the event is at its place."""
    created: int | None = None
    found = "no event there"
    with closing(_frames(log_, DumpFrom(witness.file, witness.pos))) as events:
        for event in events:
            if event[4] == const.FORMAT_DESCRIPTION_EVENT:
                created = _time_s(event)
            elif event[4] not in MADE_UP:
                if checksum(event) == witness.crc:
                    return created
                found = f"another event, of {_time_s(event)}"
                break
    raise PositionLostError(
        "The event that was read last is not in the server's log any more.", file=witness.file, pos=witness.pos,
        expected=",".join(each.gtid for each in witness.seen) or "the event that was read", found=found,
        hint=OTHER_HISTORY_HINT)


def _made_up(event: bytes) -> bool:
    return bool(int.from_bytes(event[17:19], "little") & const.LOG_EVENT_ARTIFICIAL_F) or not any(event[13:17])


def _time_s(event: bytes) -> int:
    return int.from_bytes(event[:4], "little")


# -- transactions, by GTID ---------------------------------------------------------------------------------------------


def _prove_gtids(conn: Connection, log_: Log, seen: Iterable[Seen], *, mariadb: bool) -> bool:
    """Whether the log still has any of the transactions. Raises PositionLostError if it has another one in the place
    of one of them."""
    wanted = {each.gtid: each for each in seen}
    begins = _maria_begins(conn, wanted.values()) if mariadb else _mysql_begins(conn, wanted.values())
    missing: set[str] = set()
    for begin, gtids in begins:
        missing |= _prove_seen(log_, begin, {gtid: wanted[gtid] for gtid in gtids})
    shown = any(not missing.issuperset(gtids) for _, gtids in begins)
    if missing and mariadb:
        missing -= _log_begins_after(conn)
    if missing:
        raise PositionLostError(
            "The server's log does not have a transaction that was delivered, though the server says that it has"
            " carried it out.", expected=",".join(sorted(missing)), found="none of these GTIDs",
            hint=OTHER_HISTORY_HINT)
    return shown


def _log_begins_after(conn: Connection) -> set[str]:
    """The GTIDs that a MariaDB server has from another one without having logged them: as a copy that was put behind
    them, or as a replica without a log. It goes on right behind them: MariaDB sql/sql_repl.cc,
    `check_slave_start_position` (START_OWN_SLAVE_POS)."""
    (text,), = query(conn, "SELECT @@GLOBAL.gtid_slave_pos")
    return set(MariaGtidSet.parse(str(text or "")).last_of_each())


def _mysql_begins(conn: Connection, seen: Iterable[Seen]) -> list[tuple[DumpFrom, list[str]]]:
    """One dump that leaves out everything else."""
    (purged,), = query(conn, "SELECT @@GLOBAL.gtid_purged")
    gone = GtidSet.parse(str(purged))
    left = [each.gtid for each in seen if not gone.contains(GtidSet.parse(each.gtid))]
    return [(DumpFrom(gtids=_just_before(conn, left, gone)), left)] if left else []


def _maria_begins(conn: Connection, seen: Iterable[Seen]) -> list[tuple[DumpFrom, list[str]]]:
    """The files that the transactions are in: those that are the last to begin before them."""
    left = {each.gtid: MariaGtidSet.parse(each.gtid) for each in seen}
    found: list[tuple[DumpFrom, list[str]]] = []
    for file in reversed([str(row[0]) for row in query(conn, "SHOW BINARY LOGS")]):
        (text,), = query(conn, "SELECT BINLOG_GTID_POS(%s, %s)", file, _FIRST_POSITION)
        before = MariaGtidSet.parse(str(text or ""))
        inside = [gtid for gtid, parsed in left.items() if not before.contains(parsed)]
        if inside:
            found.append((DumpFrom(file, _FIRST_POSITION), inside))
        left = {gtid: parsed for gtid, parsed in left.items() if gtid not in inside}
        if not left:
            break
    return found


def _prove_seen(log_: Log, begin: DumpFrom, wanted: dict[str, Seen]) -> set[str]:
    """Which of the transactions are not there. Raises PositionLostError if others are in their place."""
    missing = set(wanted)
    for each in _shown(log_, begin, wanted):
        missing.discard(each.gtid)
        seen_us = wanted[each.gtid].time_us
        if seen_us and seen_us not in (each.statement_us, each.rows_us):
            raise PositionLostError(
                f"The server has given the GTID {each.gtid} to another transaction than the one that was delivered.",
                expected=f"{seen_us} us", found=f"{each.time_us} us" if each.time_us else "a transaction without rows",
                hint=OTHER_HISTORY_HINT)
    return missing


@dataclass
class _Shown:
    """A transaction in the log. `statement_us`, `rows_us`: times of its first statement, of its first rows; on MySQL
    both are the time of its commit on the first server."""

    gtid: str
    standalone: bool = False
    statement_us: int = 0
    rows_us: int = 0

    @property
    def time_us(self) -> int:
        """As `Stream` remembers it."""
        return self.statement_us if self.standalone else self.rows_us


def _shown(log_: Log, begin: DumpFrom, wanted: Collection[str]) -> Generator[_Shown, None, None]:
    """The transactions *wanted*, as the log has them. Ends once all were shown; rows are not decoded."""
    left = set(wanted)
    with closing(log_.read_from(begin)) as events:
        for each in _groups(events, left, one_file=begin.gtids is None):
            left.discard(each.gtid)
            yield each
            if not left:
                return


def _groups(events: Iterable[bytes], wanted: Collection[str], *, one_file: bool) -> Generator[_Shown, None, None]:
    decoder = BinlogDecoder()
    current: _Shown | None = None
    for event in events:
        kind = event[4]
        if kind == const.FORMAT_DESCRIPTION_EVENT:
            decoder.decode(event)
        elif kind in _GTIDS:
            if current is not None:
                yield current
            current = None
            _, message = decoder.decode(event)
            if isinstance(message, Gtid) and str(message) in wanted:
                time_us = message.original_commit_us or 0
                yield _Shown(str(message), True, time_us, time_us)
            elif isinstance(message, MariaGtid) and str(message) in wanted:
                current = _Shown(str(message), message.standalone)
        elif kind == const.ROTATE_EVENT and one_file and not _made_up(event):
            break
        elif current is not None and kind in _STATEMENTS:
            current.statement_us = current.statement_us or _time_s(event) * 1_000_000
        elif current is not None and kind in ROWS_EVENTS:
            current.rows_us = _time_s(event) * 1_000_000
            yield current
            current = None
    if current is not None:
        yield current


# -- where nothing is remembered yet -----------------------------------------------------------------------------------


def find(conn: Connection, log_: Log, gtids: Gtids) -> Witness | None:
    """What can be remembered of *gtids*, which the server has carried out, when nothing was read yet: of each source
    the last transaction, if it is in the file of the newest of them. None if the server does not show them."""
    files = [str(row[0]) for row in query(conn, "SHOW BINARY LOGS")]
    try:
        for file in files[:-_FILES_SEARCHED - 1:-1]:
            inside = _since(conn, log_, file, gtids)
            if inside:
                begin = DumpFrom(gtids=_just_before(conn, inside, gtids))
                seen = tuple(Seen(each.gtid, each.time_us) for each in _shown(log_, begin, inside))
                return Witness(seen=seen) if seen else None
    except SourceConnectionError:
        raise
    except SourceError as exc:
        log.info("last_transactions_not_shown", reason=exc.message)
    return None


def _since(conn: Connection, log_: Log, file: str, gtids: Gtids) -> list[str]:
    """Of each source the last one of *gtids*, if it is in *file* or behind it."""
    if isinstance(gtids, MariaGtidSet):
        (text,), = query(conn, "SELECT BINLOG_GTID_POS(%s, %s)", file, _FIRST_POSITION)
        return gtids.subtract(MariaGtidSet.parse(str(text or ""))).last_of_each()
    decoder = BinlogDecoder()
    with closing(_frames(log_, DumpFrom(file, _FIRST_POSITION))) as events:
        for event in events:
            _, message = decoder.decode(event)
            if isinstance(message, PreviousGtids):
                return gtids.subtract(message.gtids).last_of_each()
            if event[4] not in MADE_UP:
                break
    return []


def _just_before(conn: Connection, wanted: Iterable[str], like: Gtids) -> Gtids:
    """All that the server has carried out, but these transactions and, on MariaDB, those behind them."""
    if isinstance(like, MariaGtidSet):
        (text,), = query(conn, "SELECT @@GLOBAL.gtid_binlog_pos")
        known = MariaGtidSet.parse(str(text or ""))
        for gtid in wanted:  # the server begins at the first one of this server behind that, which may not exist
            domain, server, sequence = map(int, gtid.split("-"))
            known = known.with_gtid(domain, server, sequence - 1)
        return known
    (text,), = query(conn, "SELECT @@GLOBAL.gtid_executed")
    executed = GtidSet.parse(str(text))
    for gtid in wanted:
        executed = executed.subtract(GtidSet.parse(gtid))
    return executed
