"""Long texts in a form that an offset can hold: what a source remembers of the tables it reads."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Final

from cdc.core.errors import PositionLostError

MAX_STRUCTURES_BYTES: Final = 256 << 20
"""More than the tables of any server need. A stored text that claims more is damaged."""


def pack(text: str) -> str:
    """*text* in a form that an offset can hold: zlib, then base64."""
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode("ascii")


def unpack(packed: str) -> str:
    """The text that `pack` got. Raises PositionLostError on other input."""
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(packed, validate=True), MAX_STRUCTURES_BYTES)
        if not unpacker.eof:
            raise ValueError("too large or cut")
        return data.decode()
    except (binascii.Error, zlib.error, ValueError) as exc:
        raise PositionLostError(
            "The table structures stored with the offset are damaged.",
            hint="Reset the connector's offset to start with a new snapshot.") from exc
