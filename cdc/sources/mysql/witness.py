"""What an offset remembers of the log before it, so that a restart can see whether the log is still the same one.

A file name, a place and a GTID are given again by a server that was reset, restored from a copy, or lost the end of its
log in a crash. The bytes of an event are not: they have its time, and its transaction's number or rows. Nor is a
transaction's time: MySQL keeps the time of the first commit on every replica (`original_commit_timestamp`), MariaDB the
time of the statement behind the first rows (the time in its GTID event differs between servers).

The offset's keys: `witness_file`, `witness_pos`, `witness_crc`, `witness_gtids`. `proof.py` asks the server.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from cdc.core.dataclass import dataclass
from cdc.core.named_tuple import NamedTuple
from cdc.core.position import whole
from cdc.sources.mysql.binlog import const

_MOST_SOURCES: Final = 16
_OLDEST_US: Final = 86_400_000_000
"""Another server is asked for no transaction that is a day older than the newest one: it reads its log from there."""
MADE_UP: Final = frozenset((
    const.ROTATE_EVENT, const.FORMAT_DESCRIPTION_EVENT, const.HEARTBEAT_LOG_EVENT, const.HEARTBEAT_LOG_EVENT_V2,
    const.PREVIOUS_GTIDS_LOG_EVENT, const.GTID_LIST_EVENT, const.START_ENCRYPTION_EVENT))
"""Types of events that are of files and connections, not of transactions."""


class Seen(NamedTuple):
    """A transaction that was read: its GTID, and its time in µs since 1970 (0: unknown)."""

    gtid: str
    time_us: int

    @property
    def source(self) -> str | int:
        """What gives the numbers: a server's UUID on MySQL, a domain on MariaDB."""
        uuid, mysql, _ = self.gtid.partition(":")
        return uuid if mysql else int(self.gtid.partition("-")[0])


@dataclass(frozen=True)
class Witness:
    """The last event before the position, and the last transaction of each source.

    `file`, `pos`: where the event begins; empty if its place is not known, or is on another server.
    `crc`: of the event's bytes.
    """

    file: str = ""
    pos: int = 0
    crc: int = 0
    seen: tuple[Seen, ...] = ()

    def elsewhere(self) -> Witness | None:
        """What of it holds on another server."""
        return replace(self, file="", pos=0, crc=0) if self.seen else None

    def offset(self) -> dict[str, Any]:
        return {"witness_file": self.file, "witness_pos": self.pos, "witness_crc": self.crc,
                "witness_gtids": ",".join(f"{each.gtid}@{each.time_us}" for each in self.seen)}

    @classmethod
    def from_offset(cls, offset: Mapping[str, Any]) -> Witness | None:
        """None if *offset* has none. Raises ValueError, TypeError."""
        file, pos = str(offset.get("witness_file") or ""), whole(offset.get("witness_pos") or 0)
        seen = tuple(Seen(gtid, whole(time_us)) for gtid, _, time_us in (
            each.partition("@") for each in str(offset.get("witness_gtids") or "").split(",") if each))
        if not seen and not file:
            return None
        for each in seen:
            _ = each.source  # raises ValueError if it is no GTID
        return cls(file, pos, whole(offset.get("witness_crc") or 0), seen)


class LastRead:
    """What was read last, as the stream goes on; `witness` makes it a Witness, once for each batch."""

    def __init__(self) -> None:
        self._given: Witness | None = None
        self._file = ""
        self._event = b""
        self._end = 0
        self._latest: dict[str | int, tuple[Any, int]] = {}
        self._sum: tuple[bytes, int] = (b"", 0)

    def resume(self, given: Witness | None, *, same_server: bool) -> None:
        """Until something was read, *given* holds."""
        if given is not None:
            self._latest = {each.source: each for each in given.seen}
            self._given = given if same_server else given.elsewhere()

    def transaction(self, source: str | int, gtid: Any, time_us: int) -> None:
        """The last one of *source* is *gtid*, an event or a text. *time_us* as in `Seen`."""
        self._latest[source] = gtid, time_us

    def event(self, event: bytes, file: str, end: int) -> None:
        """A transaction ended with *event*, which ends at *end* of *file*."""
        self._event, self._file, self._end = event, file, end

    def witness(self) -> Witness | None:
        """Of a position behind the last whole transaction."""
        return self._made(self._event, self._file, self._end) if self._file else self._given

    def within(self, event: bytes, file: str, end: int) -> Witness | None:
        """Of a position behind *event*, within a transaction."""
        made_up = len(event) < const.HEADER_LEN or event[4] in MADE_UP
        return self.witness() if made_up else self._made(event, file, end)

    def _made(self, event: bytes, file: str, end: int) -> Witness:
        if self._sum[0] is not event:
            self._sum = event, checksum(event)
        return Witness(file, end - len(event), self._sum[1], _newest(self._latest.values()))


def _newest(seen: Iterable[tuple[Any, int]]) -> tuple[Seen, ...]:
    found = sorted(seen, key=lambda each: each[1], reverse=True)[:_MOST_SOURCES]
    return tuple(Seen(str(gtid), time_us) for gtid, time_us in found
                 if not time_us or time_us > found[0][1] - _OLDEST_US)


def checksum(event: bytes) -> int:
    """Of an event's bytes, but the last four: if they are its own CRC32, the CRC32 of all would be the same for all
    events."""
    return zlib.crc32(memoryview(event)[:-const.CHECKSUM_LEN])
