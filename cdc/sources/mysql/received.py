"""What a connection has received and nobody has taken, in a buffer of ours: C finds rows in it (`native_text.py`), and
PyMySQL reads its packets through it.

A buffered reader of Python shows what one read of the socket brought, and no more until all of that is taken. So each
read would end within a row, which then had to be read by itself; and over TLS a read brings 16 KB.
"""

from __future__ import annotations

import io
import select
from typing import Any, Final

from .connection import Connection

_ROOM_BYTES: Final = 1 << 18
_ENOUGH_BYTES: Final = 1 << 17
"""From so many bytes on, what else has arrived can wait."""
_HEAD: Final = 4


class Received:
    """The bytes room[start:end] of *conn*, which waits for nothing now. It is there in the place of PyMySQL's file."""

    def __init__(self, conn: Connection) -> None:
        own: Any = conn
        self._sock = own._sock
        self._more = select.poll()
        self._more.register(self._sock, select.POLLIN)
        self.room = bytearray(_ROOM_BYTES)
        self._view = memoryview(self.room)
        self.start = self.end = 0
        own._rfile = self

    def receive(self) -> bool:
        """Wait for bytes, and take those that have arrived. False if there will be none. Raises OSError."""
        rest = self.end - self.start
        self._view[:rest] = self._view[self.start:self.end]
        self.start, self.end = 0, rest
        while True:
            count = self._sock.recv_into(self._view[self.end:])
            self.end += count
            if not count or self.end >= _ENOUGH_BYTES or not self._more.poll(0):
                return bool(self.end > rest)

    def lacks(self) -> bool:
        """Whether the next packet is not whole, and fits into the room."""
        there = self.end - self.start
        if there < _HEAD:
            return True
        return there < _HEAD + int.from_bytes(self._view[self.start:self.start + 3], "little") <= _ROOM_BYTES

    def read(self, count: int) -> bytes:
        """The next *count* bytes; fewer if the server has closed the connection. Raises OSError."""
        if count > _ROOM_BYTES:
            return self._read_long(count)
        while self.end - self.start < count and self.receive():
            pass
        found = bytes(self._view[self.start:min(self.start + count, self.end)])
        self.start += len(found)
        return found

    def _read_long(self, count: int) -> bytes:
        long = io.BytesIO()  # so that the bytes are in memory only once
        taken = long.write(self._view[self.start:self.end])
        self.start = self.end = 0
        long.seek(count - 1)
        long.write(b"\0")
        with long.getbuffer() as room:
            while taken < count and (more := self._sock.recv_into(room[taken:])):
                taken += more
        long.truncate(taken)
        return long.getvalue()

    def close(self) -> None:
        """The socket is PyMySQL's."""
