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
    """Takes packets apart as they come in. An event of many packets is put together in place, so that it is in memory
    once."""

    def __init__(self) -> None:
        self._room = bytearray(READ_BYTES)
        self._filled = 0
        self._sequence = 1
        self._long: io.BytesIO | None = None

    def wanted(self) -> memoryview:
        """Where the next bytes go: all that is free of the buffer, which has room for the packet that has begun."""
        return memoryview(self._room)[self._filled:]

    def received(self, count: int, events: list[bytes]) -> bytes | None:
        """*count* bytes were put there; what is complete goes to *events*. Returns the payload that is no event, if
        one came: an error, the end, or of no known kind; nothing is to be received after it. Raises ProtocolError."""
        filled = self._filled + count
        room = self._room
        p: Any = room
        at = 0
        while filled - at >= _HEAD:
            length = p[at] | p[at + 1] << 8 | p[at + 2] << 16
            if filled - at - _HEAD < length:
                break
            start = at + _HEAD
            last_word = p[at + 3] == 0 and length > 0 and p[start] == ERR  # MariaDB's, when it shuts down
            if p[at + 3] != self._sequence and not last_word:
                raise ProtocolError("packet out of order", offset=3, wanted=self._sequence, got=p[at + 3])
            self._sequence = (self._sequence + 1) & 0xFF
            at = start + length
            if self._long is None:
                if length == 0 or p[start] != OK:
                    return bytes(room[start:at])
                start += 1
            if self._long is not None or length == _MAX_PACKET:
                self._append(start, at, length < _MAX_PACKET, events)
            else:
                events.append(p[start:at] if cython.compiled else bytes(room[start:at]))
        self._keep(at, filled)
        return None

    def _append(self, start: int, end: int, last: bool, events: list[bytes]) -> None:
        """A part of an event of several packets."""
        if self._long is None:
            self._long = io.BytesIO()
        with memoryview(self._room) as view:
            self._long.write(view[start:end])
        if last:
            events.append(self._long.getvalue())
            self._long = None

    def _keep(self, at: int, filled: int) -> None:
        """Bring the rest to the front of a buffer that has room for its packet."""
        left = filled - at
        need = READ_BYTES
        if left >= _HEAD:
            need = max(need, _HEAD + int.from_bytes(self._room[at:at + 3], "little"))
        if need > len(self._room) or len(self._room) > READ_BYTES >= need:
            room = bytearray(need)
            room[:left] = self._room[at:filled]
            self._room = room
        elif at:
            self._room[:left] = self._room[at:filled]
        self._filled = left
