"""Transactions that arrive before their end is known: streamed in progress, or prepared.

Their frames wait here, in memory while small and in an unnamed temporary file beyond, so that memory stays bounded
whatever the size of a transaction. Nothing here survives a restart, and need not: such a transaction was not
confirmed, so the server sends it again.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from typing import IO

MEMORY_BYTES = 1 << 20
"""What one transaction keeps in memory before it goes to a file."""

_HEADER = struct.Struct("<II")


class _Spooled:
    def __init__(self, directory: str | None) -> None:
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(MEMORY_BYTES, dir=directory)  # noqa: SIM115
        self.aborted: set[int] = set()
        self.size_bytes = 0
        self.streamed = True


class Spill:
    """Frames by top-level xid, in order of arrival."""

    def __init__(self, directory: str | None = None) -> None:
        self._directory = directory
        self._transactions: dict[int, _Spooled] = {}
        self._prepared: dict[str, tuple[int, int]] = {}

    @property
    def size_bytes(self) -> int:
        return sum(each.size_bytes for each in self._transactions.values())

    def append(self, xid: int, subxid: int, frame: bytes) -> None:
        """Keep *frame*, written by (sub)transaction *subxid* of *xid*."""
        spooled = self._transactions.get(xid)
        if spooled is None:
            spooled = self._transactions[xid] = _Spooled(self._directory)
        spooled.file.write(_HEADER.pack(subxid, len(frame)))
        spooled.file.write(frame)
        spooled.size_bytes += len(frame)

    def abort(self, xid: int, subxid: int) -> None:
        """The transaction, or one subtransaction of it, was rolled back."""
        if xid == subxid:
            self._drop(xid)
        elif xid in self._transactions:
            self._transactions[xid].aborted.add(subxid)

    def prepare(self, xid: int, gid: str, prepare_lsn: int, streamed: bool) -> None:
        """All of *xid* is here; whether it happens is decided later, under the name *gid*."""
        self._prepared[gid] = (xid, prepare_lsn)
        if xid in self._transactions:
            self._transactions[xid].streamed = streamed

    def take_prepared(self, gid: str) -> int | None:
        """The xid prepared as *gid*, which is decided now; None when it is not known."""
        found = self._prepared.pop(gid, None)
        return found[0] if found else None

    def drop_prepared(self, gid: str) -> None:
        xid = self.take_prepared(gid)
        if xid is not None:
            self._drop(xid)

    def oldest_prepared_lsn(self) -> int:
        return min((lsn for _, lsn in self._prepared.values()), default=0)

    def replay(self, xid: int) -> Iterator[tuple[bytes, bool]]:
        """The frames of *xid* that count, with whether each carries an xid; forgets the transaction at the end."""
        spooled = self._transactions.get(xid)
        if spooled is None:
            return
        spooled.file.seek(0)
        try:
            while header := spooled.file.read(_HEADER.size):
                subxid, length = _HEADER.unpack(header)
                frame = spooled.file.read(length)
                if subxid not in spooled.aborted:
                    yield frame, spooled.streamed
        finally:
            self._drop(xid)

    def clear(self) -> None:
        for xid in list(self._transactions):
            self._drop(xid)
        self._prepared.clear()

    def _drop(self, xid: int) -> None:
        spooled = self._transactions.pop(xid, None)
        if spooled is not None:
            spooled.file.close()
