"""Reads the body of an event."""

from __future__ import annotations

import cython

from cdc.core.errors import ProtocolError

from .gtid import read_varlen
from .rows import read_length


class Reader:
    """Reads a body from start to end. A read past its end raises ProtocolError."""

    def __init__(self, data: bytes, pos: int, end: int) -> None:
        self.data = data
        self.pos = pos
        self.end = end

    def left(self) -> int:
        return self.end - self.pos

    def take(self, count: int) -> bytes:
        if count > self.end - self.pos:
            self.short(count)
        start = self.pos
        self.pos = start + count
        return self.data[start:self.pos]

    def uint(self, count: int) -> int:
        """An unsigned integer of up to eight bytes."""
        if not cython.compiled:
            return int.from_bytes(self.take(count), "little")
        if count > self.end - self.pos:
            self.short(count)
        p = self.data
        value = 0
        start = self.pos
        self.pos = start + count
        for index in range(start + count - 1, start - 1, -1):
            value = value << 8 | p[index]
        return value

    def short(self, count: int) -> None:
        raise ProtocolError("event ends too early", offset=self.pos, wanted=f"{count} bytes",
                            got=f"{self.end - self.pos} bytes")

    def length(self) -> int:
        value, self.pos = read_length(self.data, self.pos, self.end)
        return value

    def counted(self) -> bytes:
        return self.take(self.length())

    def text(self, raw: bytes) -> str:
        """A name or a message, which the servers store in UTF-8."""
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise ProtocolError("name is not UTF-8", offset=self.pos, wanted="UTF-8", got="other bytes") from exc

    def rest(self) -> bytes:
        return self.take(self.left())

    def varlen(self) -> int:
        value, self.pos = read_varlen(self.data, self.pos, self.end)
        return value

    def signed_varlen(self) -> int:
        value = self.varlen()
        return -(value >> 1) - 1 if value & 1 else value >> 1
