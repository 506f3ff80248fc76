from __future__ import annotations

import socket
import struct
import threading
from typing import Any

import pytest

from cdc.core.errors import SourceConnectionError
from cdc.sources.mysql import transport
from cdc.sources.mysql.flavor import MYSQL
from cdc.sources.mysql.transport import BinlogReader, DumpFrom


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


class Slow:
    """A socket whose read goes on for as long as `goes_on` says, whatever becomes of the connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.reads = threading.Event()
        self.goes_on = threading.Event()

    def fileno(self) -> int:
        return self._sock.fileno()

    def settimeout(self, seconds: float) -> None:
        self._sock.settimeout(seconds)

    def recv_into(self, view: Any) -> int:
        self.reads.set()
        self.goes_on.wait(10)
        return self._sock.recv_into(view)


class Connection:
    """As PyMySQL's, as far as the reader goes."""

    def __init__(self, sock: Slow) -> None:
        self._sock = sock
        self.closed_by: list[threading.Thread] = []

    def _execute_command(self, command: int, body: bytes) -> None:
        pass

    def close(self) -> None:
        self.closed_by.append(threading.current_thread())


def test_a_thread_that_still_reads_closes_the_connection_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed by another thread, its file descriptor's number could become another connection's during the read."""
    monkeypatch.setattr(transport, "query", lambda *_: ())
    monkeypatch.setattr(transport, "_SETTLE_S", 0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sock = Slow(ours)
        conn: Any = Connection(sock)
        reader = BinlogReader(conn, DumpFrom("binlog.000001"), server_id=0, flavor=MYSQL, queue_bytes=1 << 20)
        reader.start()
        assert sock.reads.wait(10)
        thread = reader._thread
        assert thread is not None
        reader.stop(timeout=0)
        assert thread.is_alive()
        assert conn.closed_by == []
        assert theirs.recv(1) == b""  # the stream has ended all the same
        sock.goes_on.set()
        thread.join(10)
        assert conn.closed_by == [thread]
        reader.stop()
        assert conn.closed_by == [thread]


def test_a_stream_that_was_not_started_is_closed_by_stop() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        conn: Any = Connection(Slow(ours))
        BinlogReader(conn, DumpFrom("binlog.000001"), server_id=0, flavor=MYSQL, queue_bytes=1 << 20).stop()
        assert conn.closed_by == [threading.current_thread()]
