"""What a server notices of a connection that was ended here, while it waits until it can write more."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from cdc.sources.mysql import connection
from cdc.sources.query.database import Login
from cdc.sources.query.mysql import Database
from cdc.sources.shared.hangup import hang_up


def cancel(sock: socket.socket) -> None:
    database = Database(Login("here", 1, "", None, None, {}))
    database._conn = SimpleNamespace(_sock=sock)
    database.cancel()


def interrupt(sock: socket.socket) -> None:
    conn: Any = SimpleNamespace(_sock=sock)
    connection.interrupt(conn)


@pytest.fixture(name="pair")
def pair_fixture() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Ours and the server's, of which neither takes one more byte."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.socket()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        ours.connect(listener.getsockname())
        theirs, _ = listener.accept()
    with ours, theirs:
        theirs.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                theirs.send(bytes(1 << 16))
        yield ours, theirs


@pytest.mark.parametrize("end", [hang_up, interrupt, cancel])
@pytest.mark.parametrize("reads_on", [False, True])
def test_the_server_no_longer_waits(pair: tuple[socket.socket, socket.socket], end: Callable[[socket.socket], None],
                                    reads_on: bool) -> None:
    """Also if another thread of ours reads what has arrived, before it closes the connection."""
    ours, theirs = pair
    end(ours)
    while reads_on and ours.recv(1 << 20):
        pass
    ours.close()
    ends = select.poll()
    ends.register(theirs, 0)  # errors alone
    assert ends.poll(10_000)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        theirs.send(b"more")
