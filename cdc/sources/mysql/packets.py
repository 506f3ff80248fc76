"""The replication stream's bytes to events; no I/O.

MySQL Source Code Documentation, "MySQL Packets" and "Binlog Event": three bytes of length, one of sequence; a packet
of the greatest length goes on in the next. The payload is 0 and an event, or an error, or the end.
"""

from __future__ import annotations

import io
from typing import Any

import cython

from cdc.core.errors import ProtocolError

OK, EOF, ERR = 0x00, 0xFE, 0xFF
READ_BYTES = 1 << 18
_HEAD = 4
_MAX_PACKET = 0xFFFFFF


class PacketReader:
    """Takes packets apart as they come in. A packet that fits the buffer is waited for; a longer one, and with it the
    event that may go on in further packets, is put together as its bytes come, so that it is in memory once."""

    def __init__(self) -> None:
        self._room = bytearray(READ_BYTES)
        self._filled = 0
        self._sequence = 1
        self._long: io.BytesIO | None = None
        self._missing = 0
        self._last = True

    def wanted(self) -> memoryview:
        """Where the next bytes go: all that is free of the buffer."""
        return memoryview(self._room)[self._filled:]

    def received(self, count: int, events: list[bytes]) -> bytes | None:
        """*count* bytes were put there; what is complete goes to *events*. Returns the payload that is no event, if
        one came: an error, the end, or of no known kind; nothing is to be received after it. Raises ProtocolError."""
        filled = self._filled + count
        room = self._room
        p: Any = room
        at = 0
        if self._missing:
            at = self._continue(0, filled, events)
        while filled - at >= _HEAD:
            length = p[at] | p[at + 1] << 8 | p[at + 2] << 16
            start = at + _HEAD
            goes_on = length == _MAX_PACKET
            whole = filled - start >= length
            if not whole and (_HEAD + length <= READ_BYTES or filled == start):
                break
            last_word = p[at + 3] == 0 and length > 0 and p[start] == ERR  # MariaDB's, when it shuts down
            if p[at + 3] != self._sequence and not last_word:
                raise ProtocolError("packet out of order", offset=3, wanted=self._sequence, got=p[at + 3])
            self._sequence = (self._sequence + 1) & 0xFF
            if self._long is None:
                if length == 0 or p[start] != OK:
                    return bytes(room[start:min(start + length, filled)])
                start += 1
                length -= 1
            if whole and self._long is None and not goes_on:
                at = start + length
                events.append(p[start:at] if cython.compiled else bytes(room[start:at]))
                continue
            if self._long is None:
                self._long = io.BytesIO()
            self._last = not goes_on
            self._missing = length
            at = self._continue(start, filled, events)
        self._room[:filled - at] = self._room[at:filled]
        self._filled = filled - at
        return None

    def _continue(self, start: int, filled: int, events: list[bytes]) -> int:
        """More of the long event, from *start*; the place after what belongs to its packet."""
        assert self._long is not None
        end = min(filled, start + self._missing)
        with memoryview(self._room) as view:
            self._long.write(view[start:end])
        self._missing -= end - start
        if not self._missing and self._last:
            events.append(self._long.getvalue())
            self._long = None
        return end
