"""Registries that drip, flood, hang or lie, over real sockets on loopback: no exchange outlives its limits. The clock
is a number that the peer moves on; the tests wait for nothing but events."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from cdc.converters.registry.client import HttpRegistry
from cdc.converters.registry.exchange import MAX_ANSWER_BYTES, STOP_GRACE_S, TlsConnection
from cdc.converters.registry.http import RegistryHttp
from cdc.converters.registry.settings import read_settings
from cdc.core.errors import RegistryConnectionError, RegistryRefusedError

Talk = Callable[[socket.socket, "Peer"], None]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class Peer:
    """A registry in a thread, on loopback. Each connection is handed to *talk* after its first request, or the first
    bytes of a TLS handshake, came."""

    def __init__(self, talk: Talk) -> None:
        self.now = 100.0
        self.talk = talk
        self.asked = threading.Event()
        self.cut = threading.Event()
        """A send or a read failed: the client has closed or cut the connection."""
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def clock(self) -> float:
        return self.now

    def close(self) -> None:
        for each in (self._socket, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            read_request(connection)
            self.asked.set()
            self.talk(connection, self)
        except OSError:
            self.cut.set()


@pytest.fixture
def peers() -> Iterator[Callable[..., Peer]]:
    made: list[Peer] = []

    def make(talk: Talk) -> Peer:
        made.append(Peer(talk))
        return made[-1]

    yield make
    for peer in made:
        peer.close()


def registry(peer: Peer, stop: threading.Event | None = None, scheme: str = "http", **settings: str) -> HttpRegistry:
    found, headers = read_settings({"schema.registry.url": f"{scheme}://127.0.0.1:{peer.port}", "max.retries": "0",
                                    **{key.replace("_", "."): value for key, value in settings.items()}})
    return HttpRegistry(RegistryHttp(found, headers, stop, peer.clock))


def read_request(connection: socket.socket) -> None:
    """Read one POST with a body, or whatever does not begin as one."""
    data = connection.recv(65536)
    while data.startswith(b"POST"):
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if length is not None and len(body) == int(length[1]):
            return
        data += connection.recv(65536)


def answers(*bodies: bytes) -> Talk:
    """Answer each request in turn, on one connection."""
    def talk(connection: socket.socket, _peer: Peer) -> None:
        for index, body in enumerate(bodies):
            if index:
                read_request(connection)
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    return talk


def until_closed(connection: socket.socket, peer: Peer) -> None:
    """Read until the client is gone."""
    while connection.recv(65536):
        pass
    peer.cut.set()


def dripping(head: bytes, drop: bytes = b"x") -> Talk:
    """Send *head*, then *drop* with each second that passes: the time moves on by the drops, not by a clock."""
    def talk(connection: socket.socket, peer: Peer) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            peer.now += 1

    return talk


def hangs(connection: socket.socket, peer: Peer) -> None:
    """Say nothing, while more time passes than the client has."""
    peer.now += 31
    until_closed(connection, peer)


def test_a_registry_that_answers_keeps_its_connection(peers: Callable[..., Peer]) -> None:
    peer = peers(answers(b'{"id": 1}', b'{"id": 2}'))
    made = registry(peer)
    assert [made.register("s", text) for text in ('"int"', '"long"')] == [1, 2]
    assert peer.connections == 1


@pytest.mark.parametrize("head", [
    HEAD + b"Content-Length: 1000000\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n80000\r\n",
    HEAD + b"\r\n",
    HEAD + b"X-Long: ",
    b"",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: ",
], ids=["length", "chunk", "until closed", "header", "status line", "continue"])
def test_an_answer_that_drips_ends_at_the_limit_for_the_whole_of_it(peers: Callable[..., Peer], head: bytes) -> None:
    peer = peers(dripping(head))
    with pytest.raises(RegistryConnectionError, match="no complete answer within 30 s") as caught:
        registry(peer).register("s", '"int"')
    assert caught.value.retriable
    assert f"http://127.0.0.1:{peer.port}" in str(caught.value)
    assert peer.cut.wait(10), "the connection is given up, so its thread ends"


def test_headers_without_end_are_refused(peers: Callable[..., Peer]) -> None:
    peer = peers(dripping(HEAD, b"X-A: b\r\n"))
    with pytest.raises(RegistryConnectionError, match=r"more than 100 headers|no complete answer"):
        registry(peer).register("s", '"int"')
    assert peer.cut.wait(10)


def test_a_registry_that_says_nothing_is_waited_for_until_the_limit(peers: Callable[..., Peer]) -> None:
    peer = peers(hangs)
    with pytest.raises(RegistryConnectionError, match="no complete answer within 30 s"):
        registry(peer).register("s", '"int"')
    assert peer.cut.wait(10)


def test_a_handshake_that_never_ends_counts_as_no_connection(peers: Callable[..., Peer]) -> None:
    def drips(connection: socket.socket, peer: Peer) -> None:
        connection.sendall(b"\x16\x03\x03\x40\x00")  # a TLS record of 16 KiB
        while True:
            connection.sendall(b"\x00")
            peer.now += 1

    peer = peers(drips)
    with pytest.raises(RegistryConnectionError, match=r"no connection within 10 s|SSLError"):
        registry(peer, scheme="https").register("s", '"int"')
    assert peer.cut.wait(10)


def flooding(head: bytes) -> Talk:
    def talk(connection: socket.socket, _peer: Peer) -> None:
        connection.sendall(head)
        piece = b"x" * 65536
        while True:
            connection.sendall(piece)

    return talk


@pytest.mark.parametrize("head", [
    HEAD + b"Content-Length: 3000000000\r\n\r\n",
    HEAD + b"\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
], ids=["length", "until closed", "chunk"])
def test_an_answer_that_floods_is_given_up_at_the_limit_of_its_size(peers: Callable[..., Peer], head: bytes) -> None:
    peer = peers(flooding(head))
    with pytest.raises(RegistryConnectionError, match=f"more than {MAX_ANSWER_BYTES >> 20} MiB"):
        registry(peer).register("s", '"int"')
    assert peer.cut.wait(10)


@pytest.mark.parametrize("size", [b"-1", b"-5", b"zz"])
def test_a_chunk_of_impossible_size_reads_nothing_without_limit(peers: Callable[..., Peer], size: bytes) -> None:
    peer = peers(flooding(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\n"))
    with pytest.raises(RegistryConnectionError):
        registry(peer).register("s", '"int"')
    assert peer.cut.wait(10)


def test_an_answer_that_was_cut_off_is_no_answer(peers: Callable[..., Peer]) -> None:
    def talk(connection: socket.socket, _peer: Peer) -> None:
        connection.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"id": 1}')
        connection.shutdown(socket.SHUT_RDWR)

    with pytest.raises(RegistryConnectionError, match="IncompleteRead"):
        registry(peers(talk)).register("s", '"int"')


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_stop_ends_the_exchange(peers: Callable[..., Peer], scheme: str) -> None:
    def waits(connection: socket.socket, peer: Peer) -> None:
        until_closed(connection, peer)

    peer, stop = peers(waits), threading.Event()
    outcome: list[BaseException] = []

    def ask() -> None:
        try:
            registry(peer, stop, scheme, max_retries="5").register("s", '"int"')
        except BaseException as exc:
            outcome.append(exc)

    thread = threading.Thread(target=ask)
    thread.start()
    assert peer.asked.wait(10)
    stop.set()
    while not peer.cut.wait(0.01):
        peer.now += STOP_GRACE_S / 4
    thread.join(10)
    assert [type(exc) for exc in outcome] == [RegistryConnectionError]
    assert peer.connections == 1, "no further attempt"


def test_a_stop_lets_an_answer_come_that_is_on_its_way(peers: Callable[..., Peer]) -> None:
    stop = threading.Event()
    stop.set()
    assert registry(peers(answers(b'{"id": 9}')), stop).register("s", '"int"') == 9


def test_a_connection_that_is_given_up_stays_open_while_its_thread_uses_it(
        peers: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its number could be that of the next socket of the process, and OpenSSL would read from that one."""
    used, leave, closed = threading.Event(), threading.Event(), threading.Event()
    ours: list[TlsConnection] = []  # threads of other tests may still close theirs

    def handshake(connection: TlsConnection) -> None:
        http.client.HTTPConnection.connect(connection)
        ours.append(connection)
        used.set()
        assert leave.wait(10)
        raise OSError("cut")

    def close(connection: TlsConnection) -> None:
        http.client.HTTPSConnection.close(connection)
        if connection in ours:
            closed.set()

    monkeypatch.setattr(TlsConnection, "connect", handshake)
    monkeypatch.setattr(TlsConnection, "close", close)
    peer = peers(hangs)

    def clock() -> float:
        return 100.0 + 31 * used.is_set()

    found, headers = read_settings({"schema.registry.url": f"https://127.0.0.1:{peer.port}", "max.retries": "0"})
    with pytest.raises(RegistryConnectionError, match="no connection within 10 s"):
        HttpRegistry(RegistryHttp(found, headers, None, clock)).register("s", '"int"')
    assert not closed.is_set()
    leave.set()
    assert closed.wait(10)


def test_after_an_exchange_that_failed_the_next_one_has_a_connection_of_its_own(peers: Callable[..., Peer]) -> None:
    calls: list[int] = []

    def talk(connection: socket.socket, peer: Peer) -> None:
        calls.append(1)
        (hangs if len(calls) == 1 else answers(b'{"id": 3}'))(connection, peer)

    peer = peers(talk)
    made = registry(peer)
    with pytest.raises(RegistryConnectionError):
        made.register("s", '"int"')
    assert made.register("s", '"int"') == 3
    assert peer.connections == 2


def test_what_is_no_http_is_an_error_that_names_the_registry(peers: Callable[..., Peer]) -> None:
    def talk(connection: socket.socket, _peer: Peer) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

    with pytest.raises((RegistryConnectionError, RegistryRefusedError), match=r"BadStatusLine.*|127\.0\.0\.1"):
        registry(peers(talk)).register("s", '"int"')


def test_the_limits_are_those_of_the_options(peers: Callable[..., Peer]) -> None:
    peer = peers(hangs)
    with pytest.raises(RegistryConnectionError, match="no complete answer within 5 s"):
        registry(peer, http_read_timeout_ms="5000").register("s", '"int"')
    assert http.client.HTTPConnection.auto_open == 1, "only our own connections stay closed"


def test_the_limit_of_the_socket_that_ends_first_is_told_the_same_way(peers: Callable[..., Peer]) -> None:
    """The clock of the exchange stands still, so only the socket's own limit can end the wait."""
    def talk(connection: socket.socket, _peer: Peer) -> None:
        connection.recv(1 << 16)
        connection.recv(1 << 16)

    with pytest.raises(RegistryConnectionError, match=r"no complete answer within 0\.1 s"):
        registry(peers(talk), http_read_timeout_ms="100").register("s", '"int"')
