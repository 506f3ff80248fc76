"""The end of a connection that another thread may be reading, so that the server notices it at once too."""

from __future__ import annotations

import socket
import struct
from typing import Final

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with 0 s: the last close resets the connection (socket(7))."""


def hang_up(below: socket.socket) -> None:
    """Wake whoever waits in a read or a write of *below*, the socket under any TLS. Raises OSError.

    The close that follows resets the connection. Without that, a server that waits until it can write more may not
    notice for two minutes: after the shutdown, Linux does not tell it that a read made room, and a close after which no
    byte is left unread does not tell it either. Its Linux asks for room at intervals that double, and ours answers for
    a minute. Until then a dump thread keeps its log file from being purged, and a SELECT keeps its locks.
    """
    below.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    below.shutdown(socket.SHUT_RDWR)
