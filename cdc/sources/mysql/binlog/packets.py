"""Splits the replication stream's bytes into events. No I/O.

MySQL Source Code Documentation, "MySQL Packets" and "Binlog Event": three bytes of length, one of sequence. A packet
of the highest length continues in the next one. The payload is 0 and an event, or an error, or the end.
"""

from __future__ import annotations

import io

from cdc.core.errors import ProtocolError
from cdc.native import module

OK, EOF, ERR = 0x00, 0xFE, 0xFF
READ_BYTES = 1 << 18
_HEAD = 4
_MAX_PACKET = 0xFFFFFF


class PacketReader:
    """Splits packets as they arrive. A packet that fits into the buffer is processed when it is complete. A longer one,
    with the packets that continue its event, is assembled while its bytes arrive, so that it is in memory only once."""

    def __init__(self) -> None:
        self._room = bytearray(READ_BYTES)
        self._filled = 0
        self._sequence = 1
        self._long: io.BytesIO | None = None
        self._missing = 0
        self._last = True
        native = module("binlog")
        self._split = native.split if native is not None else None

    def wanted(self) -> memoryview:
        """The free part of the buffer, for the next bytes."""
        return memoryview(self._room)[self._filled:]

    def received(self, count: int, events: list[bytes]) -> bytes | None:
        """Take *count* bytes that were put there, and append complete events to *events*. If a payload is no event (an
        error, the end, or an unknown kind), it is returned, and nothing more must be received. Raises ProtocolError."""
        filled = self._filled + count
        room = self._room
        at = 0
        if self._missing:
            at = self._continue(0, filled, events)
        while filled - at >= _HEAD:
            if self._split is not None and self._long is None:
                at, self._sequence = self._split(room, at, filled, self._sequence, events)
                if filled - at < _HEAD:
                    break
            length = room[at] | room[at + 1] << 8 | room[at + 2] << 16
            start = at + _HEAD
            goes_on = length == _MAX_PACKET
            whole = filled - start >= length
            if not whole and (_HEAD + length <= READ_BYTES or filled == start):
                break
            last_word = room[at + 3] == 0 and length > 0 and room[start] == ERR  # sent by MariaDB when it shuts down
            if room[at + 3] != self._sequence and not last_word:
                raise ProtocolError("packet out of order", offset=3, wanted=self._sequence, got=room[at + 3])
            self._sequence = (self._sequence + 1) & 0xFF
            if self._long is None:
                if length == 0 or room[start] != OK:
                    return bytes(room[start:min(start + length, filled)])
                start += 1
                length -= 1
            if whole and self._long is None and not goes_on:
                at = start + length
                events.append(bytes(room[start:at]))
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
        """Add bytes from *start* to the long event. Returns the place after the bytes that belong to its packet."""
        assert self._long is not None
        end = min(filled, start + self._missing)
        with memoryview(self._room) as view:
            self._long.write(view[start:end])
        self._missing -= end - start
        if not self._missing and self._last:
            events.append(self._long.getvalue())
            self._long = None
        return end
