"""XA transactions: the log has their rows where they were prepared; we deliver them where they are committed.

We skip a prepared group, and read it again at its XA COMMIT. So nothing is kept in memory meanwhile, and an XA ROLLBACK
costs nothing. Until then the transaction's locks prevent changes of its tables' structures. MySQL Reference
Manual, "XA Transactions"; sql/xa.h `serialize_xid`; MariaDB docs, "XA Transactions".
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any, Final, Protocol

from cdc.core.errors import PositionLostError
from cdc.core.late_regex import late_regex
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.decoder import BinlogDecoder
from cdc.sources.mysql.binlog.events import Gtid, MariaGtid, Rotate, TransactionPayload, XaPrepare
from cdc.sources.mysql.binlog.header import Header

_STATEMENT: Final = late_regex(r"XA\s+(START|BEGIN|END|PREPARE|COMMIT|ROLLBACK)\s+(.*)", re.IGNORECASE | re.DOTALL)
_FIRST_POSITION: Final = 4


def read_statement(text: str) -> tuple[str, str] | None:
    """Verb and XID (`X'6162',X'',1`) of an XA statement as the servers log it; None for any other statement."""
    match = _STATEMENT.match(text.strip())
    if match is None:
        return None
    return match[1].upper(), match[2].upper().removesuffix("ONE PHASE").rstrip()


def xid_of(message: XaPrepare) -> str:
    """The XID in the form that `read_statement` gives."""
    return f"X'{message.gtrid.hex()}',X'{message.bqual.hex()}',{message.format_id}".upper()


class Log(Protocol):
    """Reads the server's log a second time, beside the stream."""

    def files(self) -> Sequence[str]:
        """All log files, oldest first."""

    def read(self, file: str, position: int) -> Generator[bytes, None, None]:
        """Whole events from there to the present end of the log. Closing the generator ends the connection."""


class Prepared:
    """Where the groups of prepared transactions begin, by XID. A group from before the stream's start, or before the
    last restart, is searched for in the log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._places: dict[str, tuple[str, int] | None] = {}

    def add(self, xid: str, file: str, position: int, *, captured: bool) -> None:
        """*captured*: the group has rows of captured tables; else it is not read again."""
        self._places[xid] = (file, position) if captured else None

    def discard(self, xid: str) -> None:
        self._places.pop(xid, None)

    def rows(self, xid: str, file: str, position: int) -> Generator[tuple[Header, Any], None, None]:
        """The events of the group up to its XaPrepare, for a commit at *position* of *file*. Raises PositionLostError
        if the server has purged the group."""
        if xid not in self._places:
            self._places[xid] = self._find(xid, file, position)
        place = self._places[xid]
        if place is not None:
            with closing(_events(self._log.read(*place))) as events:
                for header, message in events:
                    yield header, message
                    if isinstance(message, XaPrepare):
                        return

    def _find(self, xid: str, last: str, position: int) -> tuple[str, int]:
        files = list(self._log.files())
        for file in reversed(files[:files.index(last) + 1] if last in files else files):
            end = position if file == last else None
            place = _last_group(_events(self._log.read(file, _FIRST_POSITION)), file, end, xid)
            if place is not None:
                return place
        raise PositionLostError(
            f"XA transaction {xid} was committed, but the log with its rows has been purged.", file=last,
            hint="The stream cannot deliver its rows: reset the connector's offset to take a new snapshot, and keep "
                 "logs longer than transactions stay prepared (binlog_expire_logs_seconds).")


def _last_group(events: Generator[tuple[Header, Any], None, None], file: str, end: int | None,
                xid: str) -> tuple[str, int] | None:
    """Where the last group that prepares *xid* begins in *file*, before *end*; None if there is none."""
    found: tuple[str, int] | None = None
    start = 0
    current = ""
    with closing(events):
        for header, message in events:
            if end is not None and header.next_position > end:
                break
            if isinstance(message, Rotate):
                if current and message.file != file:
                    break
                current = message.file
            elif isinstance(message, Gtid | MariaGtid):
                start = header.next_position - header.length
            elif isinstance(message, XaPrepare) and xid_of(message) == xid:
                found = file, start
    return found


def _events(raw: Generator[bytes, None, None]) -> Generator[tuple[Header, Any], None, None]:
    """Decoded events, including those inside payloads."""
    decoder = BinlogDecoder()
    with closing(raw):
        for event in raw:
            header, message = decoder.decode(event)
            if isinstance(message, TransactionPayload):
                yield from map(decoder.decode_inner, message.events())
            else:
                yield header, message


def begins(message: Gtid | MariaGtid) -> bool:
    """Whether the group after this GTID is only prepared. On MySQL the next statement says so, not the GTID."""
    return isinstance(message, MariaGtid) and bool(message.flags & const.FL_PREPARED_XA)
