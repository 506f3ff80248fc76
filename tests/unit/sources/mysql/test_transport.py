from __future__ import annotations

import socket
import struct
from typing import Any

import pytest

from cdc.core.errors import SourceConnectionError
from cdc.sources.mysql.transport import BinlogReader


class Records:
    """A socket as TLS has them: each read brings one of *sizes* bytes, however much has arrived."""

    def __init__(self, sock: socket.socket, sizes: list[int]) -> None:
        self._sock = sock
        self._sizes = sizes

    def fileno(self) -> int:
        return self._sock.fileno()

    def recv_into(self, view: Any) -> int:
        return self._sock.recv_into(view, self._sizes.pop(0) if self._sizes else 1)


class Queue:
    """Ends the reader when the other side has closed."""

    def __init__(self) -> None:
        self.chunks: list[list[bytes]] = []

    def wait_for_room(self) -> bool:
        return True

    def put(self, events: list[bytes], _size: int) -> None:
        self.chunks.append(events)


def test_small_records_that_have_arrived_are_read_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("cdc.sources.mysql.transport.time.sleep", pauses.append)
    packets = [struct.pack("<I", 21)[:3] + bytes([number]) + b"\0" + bytes([number]) * 20 for number in range(1, 6)]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"".join(packets))
        theirs.close()
        reader = BinlogReader.__new__(BinlogReader)
        reader._queue = queue = Queue()  # type: ignore[assignment]
        with pytest.raises(SourceConnectionError, match="closed"):
            reader._serve(Records(ours, [len(each) for each in packets]))
    assert [len(each) for each in queue.chunks] == [1] * 5
    assert pauses == []
