"""XA transactions: their rows are in the log where they were prepared, and count from where they were committed.

What is prepared is passed over; at its XA COMMIT the group is read a second time, so nothing is held meanwhile and an
XA ROLLBACK costs nothing. Between the two the prepared transaction's locks keep its tables as they are. MySQL Reference
Manual, "XA Transactions"; sql/xa.h `serialize_xid`; MariaDB docs, "XA Transactions".
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any, Final, Protocol

from cdc.core.errors import PositionLostError

from . import const
from .binlog import BinlogDecoder
from .header import Header
from .messages import Gtid, MariaGtid, Rotate, TransactionPayload, XaPrepare

_STATEMENT: Final = re.compile(r"XA\s+(START|BEGIN|END|PREPARE|COMMIT|ROLLBACK)\s+(.*)", re.IGNORECASE | re.DOTALL)
_FIRST_POSITION: Final = 4


def read_statement(text: str) -> tuple[str, str] | None:
    """The verb and the XID of an XA statement as the servers log it, `X'6162',X'',1`; None for any other."""
    match = _STATEMENT.match(text.strip())
    if match is None:
        return None
    return match[1].upper(), match[2].upper().removesuffix("ONE PHASE").rstrip()


def xid_of(message: XaPrepare) -> str:
    """As `read_statement` gives it."""
    return f"X'{message.gtrid.hex()}',X'{message.bqual.hex()}',{message.format_id}".upper()


class Log(Protocol):
    """The server's log once more, beside the stream."""

    def files(self) -> Sequence[str]:
        """All there are, oldest first."""

    def read(self, file: str, position: int) -> Generator[bytes, None, None]:
        """Whole events from there to the log's present end. Closing the iterator ends it."""


class Prepared:
    """Where the groups of prepared transactions begin, by XID. What was prepared before the stream began, or before
    the last restart, is looked for in the log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._places: dict[str, tuple[str, int] | None] = {}

    def add(self, xid: str, file: str, position: int, *, captured: bool) -> None:
        """Not *captured*: nothing in it is of interest."""
        self._places[xid] = (file, position) if captured else None

    def discard(self, xid: str) -> None:
        self._places.pop(xid, None)

    def rows(self, xid: str, file: str, position: int) -> Generator[tuple[Header, Any], None, None]:
        """The events of the group up to its XaPrepare, for a commit logged at *position* of *file*. Raises
        PositionLostError when it is in no log any more."""
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
            f"XA transaction {xid} is committed, and where it was prepared is in no log any more.", file=last,
            hint="Its rows are lost to the stream: reset the connector's offset to take a new snapshot, and keep logs "
                 "longer than transactions stay prepared (binlog_expire_logs_seconds).")


def _last_group(events: Generator[tuple[Header, Any], None, None], file: str, end: int | None,
                xid: str) -> tuple[str, int] | None:
    """Where in *file*, before *end*, the last group that prepares *xid* begins."""
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
    """Decoded, those of payloads too."""
    decoder = BinlogDecoder()
    with closing(raw):
        for event in raw:
            header, message = decoder.decode(event)
            if isinstance(message, TransactionPayload):
                yield from map(decoder.decode_inner, message.events())
            else:
                yield header, message


def begins(message: Gtid | MariaGtid) -> bool:
    """Whether the group behind this GTID is prepared only. MySQL says so with the statement that follows."""
    return isinstance(message, MariaGtid) and bool(message.flags & const.FL_PREPARED_XA)
