# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Rows of the text protocol: MySQL Source Code Documentation, "Text Resultset Row". Each column is a length-encoded
string, or 0xfb for NULL."""

from __future__ import annotations

import cython

from cdc.core.errors import ProtocolError
from cdc.core.row import NULL, TEXT, Row


def text_row(packet: bytes, indexes: tuple[int, ...], count: int) -> Row:
    """A row of *count* columns whose values, in the order of the packet, are columns *indexes*.

    Raises ProtocolError when the packet does not hold exactly that many.
    """
    row = Row(packet, count)
    p = packet
    pos = 0
    end = len(packet)
    for index in indexes:
        if pos >= end:
            raise short(pos)
        length = p[pos]
        pos += 1
        if length == 251:
            row.put(index, NULL, 0, 0)
            continue
        if length > 251:
            size = 2 if length == 252 else 3 if length == 253 else 8
            if length == 255 or pos + size > end:
                raise short(pos)
            length = little_endian(p, pos, size)
            pos += size
        if length < 0 or length > end - pos:
            raise short(pos)
        row.put(index, TEXT, pos, pos + length)
        pos += length
    if pos != end:
        raise ProtocolError("row packet with bytes after its last column", offset=pos, wanted="end of packet",
                            got=f"{end - pos} bytes")
    return row


def little_endian(p: bytes, pos: int, size: int) -> int:
    if cython.compiled:
        number = 0
        for place in range(size):
            number = number * 256 + p[pos + size - 1 - place]
        return number
    return int.from_bytes(p[pos:pos + size], "little")


def short(pos: int) -> ProtocolError:
    return ProtocolError("row packet ends within a column", offset=pos, wanted="a length-encoded string", got="less")
