"""What a server tells beside its answers: warnings and notices. PostgreSQL docs, "Message Formats": NoticeResponse.

Also what a server says when the publication is missing from the place in the log that it reads: up to version 17 an
error, from 18 on a warning only, and then it passes the changes over. PostgreSQL source:
src/backend/replication/pgoutput/pgoutput.c, `LoadPublications`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from psycopg.errors import Diagnostic

from cdc.core.errors import PositionLostError, SourceError
from cdc.log import get_logger

from .errors import first_line

log = get_logger(__name__)

_REMEMBERED: Final = 100
_KEEPALIVE: Final = ord("k")

GAP_HINT: Final = (
    "Changes that were committed while it was missing cannot be had any more. Drop the slot and reset the connector's"
    " offset: it then starts with a new snapshot. Or go on without them, and take a snapshot of what matters in another"
    " way: run SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn()), and set"
    " offset.mismatch.strategy=trust_slot for one start.")


def publication_missing(name: str, slot: str, sqlstate: str | None = None) -> PositionLostError:
    """The slot reads log of a time when there was no publication *name*."""
    return PositionLostError(
        f"Publication {name} did not exist yet, or was dropped for a while, at the place in the log that slot {slot}"
        " reads. If it exists now, that does not help: the server reads its log with the catalogs of that time.",
        hint=GAP_HINT.format(slot=slot), sqlstate=sqlstate)


def tells_of_missing_publication(told: Diagnostic) -> bool:
    """Whether *told*, an error or a warning on a replication connection, is about a publication that is missing there.
    Texts depend on lc_messages, so the server's function counts first."""
    if told.source_function in ("LoadPublications", "get_publication_oid", "GetPublicationByName"):
        return True
    return told.sqlstate in ("42704", "55000") and "publication " in (told.message_primary or "")


class Notices:
    """Logs what the server tells on one connection, each text once. Give it to `add_notice_handler`."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, told: Diagnostic) -> None:
        text = first_line(told.message_primary, told.sqlstate)
        if text in self._told or len(self._told) >= _REMEMBERED:
            return
        self._told.add(text)
        serious = told.severity_nonlocalized == "WARNING"
        (log.warning if serious else log.debug)("server_notice", text=text, sqlstate=told.sqlstate)


class StreamNotices:
    """The notices among the frames of a stream. One of them may end it, at its place: no frame after it is given on, so
    that no later position is ever committed.

    *judge* returns the error with which to end, or None. It is called by the thread that reads.
    """

    def __init__(self, judge: Callable[[Diagnostic], SourceError | None]) -> None:
        self._judge = judge
        self._error: SourceError | None = None
        self._first = 0
        self.chunk: Sequence[bytes] = []
        """The frames that are read and not given on."""

    def __call__(self, told: Diagnostic) -> None:
        if self._error is None:
            self._error = self._judge(told)
            self._first = len(self.chunk)

    def before(self, chunk: Sequence[bytes]) -> Sequence[bytes]:
        """The frames of *chunk*, the newest one, that came before the end. A keepalive at its end is left out: a later
        one may have replaced it."""
        if self._error is None:
            return chunk
        end = self._first if chunk is self.chunk else 0
        while end and chunk[end - 1][0] == _KEEPALIVE:
            end -= 1
        return chunk[:end]

    def check(self) -> None:
        """Raises what the stream ends with, if it ended."""
        if self._error is not None:
            raise self._error
