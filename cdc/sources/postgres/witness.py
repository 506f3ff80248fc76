"""Whether the server still has what was delivered last: a position is an identity, not an order.

LSNs are used again: by a server that was put back from a copy, that lost the end of its log in a crash, or by a standby
that was promoted without it. A transaction at such an LSN is another one, and dropping it because it is "before" the
stored position would lose it. So a position names the last thing that the server showed to us (`Shown`), and after a
restart the server must show the same thing at the same place before anything counts as delivered.

Two proofs exist. The slot is beyond the place: it moves only when we confirm, so this server had the thing, and shows
only what came later. Or the stream shows it again: the server sends commits in the order of their records, and every
commit whose record starts at or after the slot's confirmed_flush_lsn (PostgreSQL source:
src/backend/replication/logical/snapbuild.c, `SnapBuildXactNeedsSkip`; walsender.c, `XLogSendLogical`).

Only transactions with changes of published tables are remembered, and prepared ones: since version 15 the server leaves
other empty ones out, but not if they were large enough to be streamed, so that it need not show them a second time
(src/backend/replication/pgoutput/pgoutput.c, `pgoutput_commit_txn`, `pgoutput_commit_prepared_txn`).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cdc.core.errors import PositionLostError
from cdc.core.named_tuple import NamedTuple
from cdc.core.position import whole

from .lsn import Lsn

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HINT = ("The server was put back from a copy or a backup, lost the end of its log, or is a standby that was promoted "
         "without it; or publication.name or slot.stream.params were changed. Point the connector to the server that "
         "has this transaction, or reset the connector's offset: a new start then takes a snapshot, or with "
         "snapshot.mode=no_data reads everything that the slot still has.")


class Shown(NamedTuple):
    """A transaction, or a logical message outside of transactions, that the server showed to us.

    `lsn`: where its commit record starts; 0 if unknown. Of a message, the byte before the end of its record: the server
    tells only the end.
    `end_lsn`: where the record ends; 0 if unknown.
    `xid`: 0 if unknown, and for messages.
    `time_us`: when it was committed; 0 for messages.
    `checksum`: of a message's prefix and content; None for transactions.
    """

    lsn: int
    end_lsn: int
    xid: int
    time_us: int
    checksum: int | None = None

    @property
    def place(self) -> int:
        """A byte of its record: the server has passed it if it shows something beyond. 0 if unknown."""
        return self.lsn or max(0, self.end_lsn - 1)

    def offset(self) -> dict[str, Any]:
        out = {"shown_lsn": self.lsn, "shown_end_lsn": self.end_lsn}
        if self.checksum is not None:
            return {**out, "shown_checksum": self.checksum}
        return {**out, "shown_xid": self.xid, "shown_ts_usec": self.time_us}

    @classmethod
    def from_offset(cls, offset: Mapping[str, Any]) -> Shown | None:
        """None if *offset* has nothing of the kind. Raises ValueError, KeyError."""
        if "shown_lsn" not in offset:
            return None
        checksum = offset.get("shown_checksum")
        return cls(whole(offset["shown_lsn"]), whole(offset["shown_end_lsn"]), whole(offset.get("shown_xid", 0)),
                   whole(offset.get("shown_ts_usec", 0)), None if checksum is None else whole(checksum))

    def is_transaction(self, xid: int, time_us: int) -> bool:
        return self.checksum is None and self.xid in (0, xid) and self.time_us == time_us

    def __str__(self) -> str:
        what = f"transaction {self.xid}" if self.xid else "transaction" if self.checksum is None else "logical message"
        at = f" at {Lsn(self.place)}" if self.place else ""
        return f"{what}{at}" + (f", committed {_time(self.time_us)}" if self.time_us else "")


def shown_message(lsn: int, prefix: str, content: bytes) -> Shown:
    """A logical message outside of transactions whose record ends at *lsn*."""
    return Shown(lsn - 1, lsn, 0, 0, zlib.crc32(content, zlib.crc32(prefix.encode())))


class Witness:
    """Waits for *expected* to be shown again. `feed` what the server shows, in order, until one of the methods returns
    True. They raise PositionLostError if the server shows something else in its place, or has passed it.

    Without a place, the first transaction whose commit record starts at *first_lsn* or later must be it.
    """

    def __init__(self, expected: Shown, first_lsn: int) -> None:
        self.expected = expected
        self.first_lsn = first_lsn

    def begins(self, final_lsn: int, xid: int, time_us: int) -> bool:
        """A transaction whose commit record starts at *final_lsn*."""
        expected = self.expected
        if not expected.place:
            if final_lsn < self.first_lsn:
                return False
            if expected.is_transaction(xid, time_us):
                return True
        elif expected.lsn and final_lsn == expected.lsn and expected.is_transaction(xid, time_us):
            return True
        elif final_lsn < expected.place:
            return False
        raise self.lost(str(Shown(final_lsn, 0, xid, time_us)))

    def ends(self, end_lsn: int, xid: int, time_us: int) -> bool:
        """The end of the transaction for which `begins` returned False."""
        expected = self.expected
        if not expected.place or end_lsn <= expected.place:
            return False
        if not expected.lsn and end_lsn == expected.end_lsn and expected.is_transaction(xid, time_us):
            return True
        raise self.lost(str(Shown(0, end_lsn, xid, time_us)))

    def message(self, shown: Shown) -> bool:
        """A logical message outside of transactions."""
        expected = self.expected
        if shown == expected:
            return True
        if not expected.place or shown.lsn < expected.place:
            return False
        raise self.lost(str(shown))

    def passed(self, wal_end: int) -> None:
        """The server has read its log up to *wal_end* and has shown everything before."""
        place = self.expected.place
        if place and wal_end > place:
            raise self.lost(None, server_lsn=str(Lsn(wal_end)))

    def lost(self, found: str | None, **context: Any) -> PositionLostError:
        return PositionLostError(
            "The server's log does not contain the last transaction that was read from it.",
            expected=str(self.expected), found=found, **context, hint=_HINT)


def check_in_snapshot(final_lsn: int, time_us: int, xid: int, snapshot_us: int) -> None:
    """Whether a transaction that lies before the snapshot's LSN was committed before the snapshot was taken."""
    if time_us > snapshot_us:
        raise PositionLostError(
            "The server's log before the snapshot's position is another one than when the snapshot was taken.",
            found=str(Shown(final_lsn, 0, xid, time_us)), snapshot=_time(snapshot_us), hint=_HINT)


def _time(time_us: int) -> str:
    try:
        return (_EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return f"{time_us} µs after 1970"
