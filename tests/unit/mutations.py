"""Damaged and hostile bytes, made from good ones by a seed."""

from __future__ import annotations

import random

from cdc.core.errors import ConvertError, DecodeError, PositionLostError, ProtocolError, SourceRefusedError

ANSWERS = (ProtocolError, DecodeError, ConvertError, SourceRefusedError, PositionLostError)
"""What a parser may raise, whatever its bytes are."""

_TELLING = (0x00, 0x01, 0x7F, 0x80, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF)
"""Bytes that are limits or marks in the databases' formats."""


def mutated(data: bytes, pick: random.Random) -> bytes:
    """*data* with a few bytes changed, removed or added, or with its end cut off."""
    out = bytearray(data)
    for _ in range(pick.choice((1, 1, 1, 2, 4))):
        at = pick.randrange(len(out) + 1)
        width = pick.choice((1, 2, 4, 8))
        match pick.randrange(7):
            case 0:
                out[at:at + 1] = bytes((pick.randrange(256),))
            case 1:
                out[at:at + 1] = bytes((pick.choice(_TELLING),))
            case 2:
                out[at:at + width] = b""
            case 3:
                out[at:at] = bytes(pick.choice(_TELLING) for _ in range(width))
            case 4:
                most = (1 << 8 * width) - 1
                number = pick.choice((most, most >> 1, (most >> 1) + 1, most - 1))
                out[at:at + width] = number.to_bytes(width, pick.choice(("little", "big")))
            case 5:
                other = pick.randrange(len(out) + 1)
                out[at:at + width] = out[other:other + width]
            case _:
                del out[at:]
    return bytes(out)
