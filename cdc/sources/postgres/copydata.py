"""What has arrived on a replication connection: CopyData frames, read by C into a block where that can be, else one by
one through psycopg into a list. Both readers have the same rules, and neither waits.

PostgreSQL docs, "Streaming Replication Protocol", and libpq's "Asynchronous Command Processing".
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol, cast

import psycopg
from psycopg import pq

from cdc.log import get_logger
from cdc.native import module
from cdc.sources.shared.handoff import ITEM_OVERHEAD_BYTES, one_list

log = get_logger(__name__)

KEEPALIVE: Final = struct.Struct(">cQqB")
"""A keepalive: `k`, the end of the server's WAL, its time, and whether it wants an answer."""
XLOGDATA: Final = ord("w")
PRIMARY_KEEPALIVE: Final = ord("k")
CHUNK_BYTES: Final = 1 << 18
SHORT_READ_BYTES: Final = 8192
"""The server sends row by row, so after a read that brought less there is not enough yet to be worth the next one. A
read that completes no frame does not prove that nothing is there: with TLS, a part of what was decrypted may wait where
`poll` does not see it. So it is tried again once. As in `native/pg_read.c`."""

Outcome = Literal["empty", "short", "full", "asked", "odd", "ended", "failed", "broken"]
"""How a read ended.

`empty`: nothing more has arrived. `short`: little has arrived; with TLS, a libpq before 18 may have more, which `poll`
does not see. `full`: there may be more. `asked`: the last frame is a keepalive in which the server
wants an answer; go on with the same chunk. `odd`: the last frame is no message of the protocol. `ended`: the server has
ended the COPY. `failed`, `broken`: libpq could not give data, or could not read the socket; it has an error message.
"""


class CopyReader(Protocol):
    """Frames in order. A keepalive right behind another one takes its place, and wants an answer if either did."""

    wal_end: int
    """The greatest end of the server's WAL that keepalives have told."""

    def begin(self) -> Any:
        """An empty chunk."""
        ...

    def read(self, chunk: Any) -> Outcome:
        """Add what has arrived to *chunk*, until it has `CHUNK_BYTES`. What it has then was received, whatever the
        outcome is."""
        ...

    def size(self, chunk: Any) -> int:
        """The bytes of *chunk*, with what each frame costs beyond its own."""
        ...

    def joined(self, chunks: Sequence[Any]) -> Sequence[bytes]:
        """The frames of *chunks*, each of `begin`, or a list."""
        ...


def copy_reader(pgconn: pq.abc.PGconn, *, native: bool) -> CopyReader:
    """What reads *pgconn*: with *native* in C, if this installation can."""
    if native and _has_libpq():
        return NativeReader(pgconn)
    return PlainReader(pgconn)


def _has_libpq() -> bool:
    """Whether C can call the libpq that psycopg itself calls: its C implementation is linked with it."""
    libpq = module("libpq")
    linked = sys.modules.get(f"psycopg_{pq.__impl__}.pq")
    if libpq is None or linked is None or linked.__file__ is None:
        return False
    try:
        libpq.load(linked.__file__)
    except (OSError, AttributeError) as exc:
        log.debug("libpq_not_found", path=linked.__file__, error=str(exc))
        return False
    return True


class PlainReader:
    """Through psycopg. The interpreter lock is held, and each frame is an object."""

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        self._pg = pgconn
        self._size = 0
        self.wal_end = 0

    def begin(self) -> list[bytes]:
        self._size = 0
        return []

    def size(self, chunk: list[bytes]) -> int:
        return self._size

    def joined(self, chunks: Sequence[list[bytes]]) -> list[bytes]:
        return one_list(chunks)

    def read(self, chunk: list[bytes]) -> Outcome:
        brought, empty = SHORT_READ_BYTES, False
        while self._size < CHUNK_BYTES:
            try:
                count, view = self._pg.get_copy_data(1)
            except psycopg.OperationalError:
                return "failed"
            if count < 0:
                return "ended"
            if count == 0:
                if empty or 0 < brought < SHORT_READ_BYTES:
                    return "short" if brought else "empty"
                empty, brought = not brought, 0
                try:
                    self._pg.consume_input()
                except psycopg.OperationalError:
                    return "broken"
                continue
            brought, empty = brought + count, False
            outcome = self._add(chunk, bytes(view))
            if outcome is not None:
                return outcome
        return "full"

    def _add(self, chunk: list[bytes], frame: bytes) -> Outcome | None:
        """The outcome if *frame* ends the read."""
        if frame[0] == PRIMARY_KEEPALIVE and len(frame) == KEEPALIVE.size:
            return "asked" if self._add_keepalive(chunk, frame) else None
        chunk.append(frame)
        self._size += len(frame) + ITEM_OVERHEAD_BYTES
        return None if frame[0] == XLOGDATA else "odd"

    def _add_keepalive(self, chunk: list[bytes], frame: bytes) -> bool:
        """Whether it wants an answer."""
        self.wal_end = max(self.wal_end, int.from_bytes(frame[1:9]))
        if chunk and chunk[-1][0] == PRIMARY_KEEPALIVE:
            chunk[-1] = frame[:17] + max(frame[17:], chunk[-1][17:])
        else:
            chunk.append(frame)
            self._size += len(frame) + ITEM_OVERHEAD_BYTES
        return frame[17] > 0


class NativeReader:
    """In C, without the interpreter lock: so nobody may close the connection meanwhile."""

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        self._pg: Any = pgconn  # the protocol lacks `pgconn_ptr`, which its documentation has
        self._libpq = cast(Any, module("libpq"))
        self._frames = cast(Any, module("frames"))
        self.wal_end = 0

    def begin(self) -> Any:
        return self._frames.Block()

    def size(self, chunk: Any) -> int:
        return cast(int, chunk.size_bytes + len(chunk) * ITEM_OVERHEAD_BYTES)

    def joined(self, chunks: Sequence[Any]) -> Sequence[bytes]:
        """As `native.frames.Frames`; as a list if one of *chunks* is a list."""
        if any(isinstance(each, list) for each in chunks):
            return one_list(chunks)
        return cast(Sequence[bytes], self._frames.Frames(chunks))

    def read(self, chunk: Any) -> Outcome:
        """Raises MemoryError."""
        conn = self._pg.pgconn_ptr
        if conn is None:
            return "failed"  # we have closed the connection
        outcome, self.wal_end = self._libpq.read(conn, chunk, CHUNK_BYTES, ITEM_OVERHEAD_BYTES, self.wal_end)
        return cast(Outcome, outcome)
