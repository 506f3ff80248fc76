"""Transactions that arrive before their end is known: streamed in progress, or prepared.

A `Spill` keeps their frames: in memory while they are small, beyond that in an unnamed temporary file. So memory stays
bounded for a transaction of any size. The frames are lost at a restart. That is safe: such a transaction was not
confirmed, so the server sends it again.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from cdc.core.dataclass import dataclass
from cdc.core.errors import SourceError

MEMORY_BYTES = 1 << 20
"""How much one transaction keeps in memory before it uses a file. If there are several, the later ones keep less."""

LEAST_MEMORY_BYTES = 1 << 15

_HEADER = struct.Struct("<II")


class _Spooled:
    def __init__(self, directory: str | None, memory_bytes: int) -> None:
        self.memory_bytes = memory_bytes
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(memory_bytes, dir=directory)  # noqa: SIM115
        self.aborted: set[int] = set()
        self.size_bytes = 0
        self.streamed = True
        self.first_lsn = 0


@dataclass(frozen=True)
class Prepared:
    """A prepared transaction that is not decided. `relations`: by oid, the relations of its changes."""

    xid: int
    prepare_lsn: int
    first_lsn: int
    relations: Mapping[int, Any]


class Spill:
    """Frames by top-level xid, in order of arrival."""

    def __init__(self, directory: str | None = None) -> None:
        self._directory = directory
        self._transactions: dict[int, _Spooled] = {}
        self._prepared: dict[str, Prepared] = {}
        self._deciding: Prepared | None = None

    @property
    def size_bytes(self) -> int:
        return sum(each.size_bytes for each in list(self._transactions.values()))  # any thread

    def append(self, xid: int, subxid: int, frame: bytes) -> None:
        """Keeps *frame*, which (sub)transaction *subxid* of *xid* wrote. Raises SourceError if the disk is full."""
        spooled = self._spooled(xid)
        with self._mapped():
            spooled.file.write(_HEADER.pack(subxid, len(frame)))
            spooled.file.write(frame)
        spooled.size_bytes += len(frame)

    def begin(self, xid: int, lsn: int) -> None:
        """The first block of *xid* starts at *lsn*."""
        self._spooled(xid).first_lsn = lsn

    def first_lsn(self, xid: int) -> int:
        """The LSN where *xid* starts; 0 if unknown."""
        spooled = self._transactions.get(xid)
        return spooled.first_lsn if spooled is not None else 0

    def _spooled(self, xid: int) -> _Spooled:
        spooled = self._transactions.get(xid)
        if spooled is None:
            memory_bytes = max(LEAST_MEMORY_BYTES, MEMORY_BYTES // (1 + len(self._transactions)))
            with self._mapped():
                spooled = self._transactions[xid] = _Spooled(self._directory, memory_bytes)
        return spooled

    def abort(self, xid: int, subxid: int) -> None:
        """The transaction *xid* was rolled back, or if *subxid* differs, only that subtransaction."""
        if xid == subxid:
            self._drop(xid)
        elif xid in self._transactions:
            self._transactions[xid].aborted.add(subxid)

    def prepare(self, gid: str, prepared: Prepared, streamed: bool) -> None:
        """The whole transaction was received. It will be committed or rolled back later, by the name *gid*."""
        self._prepared[gid] = prepared
        if prepared.xid in self._transactions:
            self._transactions[prepared.xid].streamed = streamed

    def take_prepared(self, gid: str) -> Prepared | None:
        """The transaction *gid*, which is committed now; None if unknown. It stays held until its replay has ended:
        before that, the server must keep its log."""
        self._deciding = self._prepared.pop(gid, None)
        return self._deciding

    def drop_prepared(self, gid: str) -> None:
        """The transaction *gid* was rolled back."""
        prepared = self._prepared.pop(gid, None)
        if prepared is not None:
            self._drop(prepared.xid)

    def oldest_prepared_lsn(self) -> int:
        """The LSN where the oldest undecided transaction was prepared; 0 without one."""
        deciding = [self._deciding] if self._deciding is not None else []
        return min((each.prepare_lsn for each in (*self._prepared.values(), *deciding)), default=0)

    def replay(self, xid: int) -> Iterator[tuple[bytes, bool]]:
        """The frames of *xid* without those that were rolled back, each with whether it came in a stream block. At the
        end all frames of *xid* are removed."""
        spooled = self._transactions.get(xid)
        try:
            if spooled is not None:
                yield from self._frames(spooled)
        finally:
            self._deciding = None
            self._drop(xid)

    def _frames(self, spooled: _Spooled) -> Iterator[tuple[bytes, bool]]:
        with self._mapped():
            spooled.file.seek(0)
        while True:
            with self._mapped():
                header = spooled.file.read(_HEADER.size)
                if not header:
                    return
                subxid, length = _HEADER.unpack(header)
                frame = spooled.file.read(length)
            if subxid not in spooled.aborted:
                yield frame, spooled.streamed

    def clear(self) -> None:
        for xid in list(self._transactions):
            self._drop(xid)
        self._prepared.clear()
        self._deciding = None

    def _drop(self, xid: int) -> None:
        spooled = self._transactions.pop(xid, None)
        if spooled is not None:
            spooled.file.close()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Turns OSError into SourceError. It is retriable: somebody may make room on a full disk."""
        try:
            yield
        except OSError as exc:
            raise SourceError(
                f"A transaction in progress cannot be kept in a temporary file: {exc.strerror}.", retriable=True,
                folder=self._directory or tempfile.gettempdir(), spilled_bytes=self.size_bytes,
                hint="Make room there, or name another folder with cdc.spool.directory.") from exc
