"""Transactions that arrive before their end is known: streamed in progress, or prepared.

Their frames wait here, in memory while small and in an unnamed temporary file beyond, so that memory stays bounded
whatever the size of a transaction. Nothing here survives a restart, and need not: such a transaction was not
confirmed, so the server sends it again.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from cdc.core.errors import SourceError

MEMORY_BYTES = 1 << 20
"""What one transaction keeps in memory before it goes to a file; of several, the later ones keep less."""

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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared transaction that is not decided. `relations` are those that its changes speak of, by oid."""

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
        """Keep *frame*, written by (sub)transaction *subxid* of *xid*. Raises SourceError when there is no room."""
        spooled = self._spooled(xid)
        with self._mapped():
            spooled.file.write(_HEADER.pack(subxid, len(frame)))
            spooled.file.write(frame)
        spooled.size_bytes += len(frame)

    def begin(self, xid: int, lsn: int) -> None:
        """The first block of *xid* begins, at *lsn*."""
        self._spooled(xid).first_lsn = lsn

    def first_lsn(self, xid: int) -> int:
        """Where *xid* begins, 0 when it is not known."""
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
        """The transaction, or one subtransaction of it, was rolled back."""
        if xid == subxid:
            self._drop(xid)
        elif xid in self._transactions:
            self._transactions[xid].aborted.add(subxid)

    def prepare(self, gid: str, prepared: Prepared, streamed: bool) -> None:
        """All of a transaction is here; whether it happens is decided later, under the name *gid*."""
        self._prepared[gid] = prepared
        if prepared.xid in self._transactions:
            self._transactions[prepared.xid].streamed = streamed

    def take_prepared(self, gid: str) -> Prepared | None:
        """What was prepared as *gid* and is committed now; None when it is not known. It is held until its replay
        has ended: before that, the server must not forget it."""
        self._deciding = self._prepared.pop(gid, None)
        return self._deciding

    def drop_prepared(self, gid: str) -> None:
        """It was rolled back."""
        prepared = self._prepared.pop(gid, None)
        if prepared is not None:
            self._drop(prepared.xid)

    def oldest_prepared_lsn(self) -> int:
        """Where the oldest undecided transaction was prepared, 0 when there is none."""
        deciding = [self._deciding] if self._deciding is not None else []
        return min((each.prepare_lsn for each in (*self._prepared.values(), *deciding)), default=0)

    def replay(self, xid: int) -> Iterator[tuple[bytes, bool]]:
        """The frames of *xid* that count, with whether each carries an xid; forgets the transaction at the end."""
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
        """OSError as SourceError: retriable, for a full disk may be cleared."""
        try:
            yield
        except OSError as exc:
            raise SourceError(
                f"A transaction in progress cannot be kept in a temporary file: {exc.strerror}.", retriable=True,
                folder=self._directory or tempfile.gettempdir(), spilled_bytes=self.size_bytes,
                hint="Make room there, or name another folder with cdc.spool.directory.") from exc
