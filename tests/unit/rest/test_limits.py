"""What HTTP clients may take: connections, time and memory. Real sockets on loopback; times are short, and the tests
wait for what they cause."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn

from cdc.rest.app import App
from cdc.rest.limits import Gate, LimitedProtocol, Limits, Server, protocol
from cdc.rest.server import RestServer

from .fakes import Plugins, Worker
from .test_app import Client, Stream, wait_until

HALF = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: "
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
NEVER_S = 3600.0


class Served:
    """A worker's HTTP side with its own limits, and the sockets that a test opens to it."""

    def __init__(self, limits: Limits) -> None:
        self.worker = Worker()
        self.server = RestServer(lambda: App(self.worker, Plugins()), "http://127.0.0.1:0", limits)
        self.url = self.server.start()[0]
        self.client = Client(self.url)
        self.sockets: list[socket.socket] = []

    def open(self, first: bytes = b"") -> socket.socket:
        made = socket.create_connection(("127.0.0.1", urlsplit(self.url).port or 0), 10)
        self.sockets.append(made)
        if first:
            made.sendall(first)
        return made

    @property
    def gate(self) -> Gate:
        found: Any = self.server._server
        gate: Gate = found.config.http.gate
        return gate

    def held(self) -> int:
        return len(self.gate.open)

    def close(self) -> None:
        for each in self.sockets:
            each.close()
        self.server.stop()


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    made: list[Served] = []

    def start(**limits: Any) -> Served:
        made.append(Served(Limits(**{"request_s": NEVER_S, "stuck_s": NEVER_S, **limits})))
        return made[-1]

    yield start
    for each in made:
        each.close()


def is_ended(sock: socket.socket) -> bool:
    """Wait until the server has closed *sock*; what it sent before is read."""
    with contextlib.suppress(ConnectionError):
        while sock.recv(65536):
            pass
    return True


@pytest.mark.parametrize("sent", [
    b"", HALF, b"GET", b"\r\n", WHOLE, WHOLE + HALF, WHOLE + WHOLE,
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nxx",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
], ids=["nothing", "half a header", "three bytes", "an empty line", "idle", "half a second one", "two", "half a body",
        "half a chunk", "waits for continue"])
def test_a_connection_without_a_request_ends_at_the_limit(serve: Serve, sent: bytes) -> None:
    served = serve(request_s=0.05)
    assert is_ended(served.open(sent))
    wait_until(lambda: served.held() == 0)


@pytest.mark.parametrize("first", [
    HALF, b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n",
], ids=["header", "body"])
def test_bytes_that_drip_do_not_move_the_limit(serve: Serve, first: bytes) -> None:
    served = serve(request_s=0.1)
    dripping = served.open(first)
    wait_until(lambda: served.held() == 1)
    with contextlib.suppress(ConnectionError):
        while served.held():
            dripping.sendall(b"x")
    assert is_ended(dripping)


def test_at_the_limit_who_waits_longest_makes_room(serve: Serve) -> None:
    served = serve(connections=3)
    first, second, third = (served.open(HALF) for _ in range(3))
    wait_until(lambda: served.held() == 3)
    assert served.client.get("/healthz").status == 200
    assert is_ended(first)
    for each in (second, third):
        each.sendall(b"x\r\n\r\n")
        assert each.recv(100).startswith(b"HTTP/1.1 200")


def test_an_answer_does_not_wait_for_the_client_to_confirm_its_head(serve: Serve) -> None:
    """Head and body are two segments; without this option the second one waits 40 ms."""
    served = serve()
    served.open(WHOLE)
    wait_until(lambda: served.held() == 1)
    accepted = next(iter(served.gate.open)).transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_hundreds_of_idle_connections_hold_few_descriptors_and_keep_nobody_out(serve: Serve) -> None:
    served = serve(connections=8)
    peak = 0
    for _ in range(400):
        served.open(HALF)
        peak = max(peak, served.held())
    for _ in range(20):
        assert served.client.get("/readyz").status == 200
    assert peak <= 8
    assert served.held() <= 8


def test_connections_with_a_request_are_not_ended_for_new_ones(serve: Serve) -> None:
    served = serve(connections=2)
    streams = [Stream(served.client) for _ in range(2)]
    assert is_ended(served.open(WHOLE)), "there is no room"
    assert served.held() == 2
    streams[0].close()
    wait_until(lambda: served.held() == 1)
    assert served.client.get("/healthz").status == 200
    streams[1].close()


def test_events_are_streamed_beyond_the_limit_for_requests(serve: Serve) -> None:
    served = serve(request_s=0.05)
    stream = Stream(served.client)
    assert is_ended(served.open(HALF)), "the limit has passed"
    assert is_ended(served.open(HALF))
    assert served.held() >= 1
    assert served.worker.tap.active
    stream.close()


def test_a_client_that_reads_nothing_is_ended(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve(stuck_s=0.05)
    ended, end = threading.Event(), served.gate.end

    def told(old: LimitedProtocol) -> None:
        end(old)
        ended.set()

    monkeypatch.setattr(served.gate, "end", told)
    for index in range(20_000):
        served.worker.configs[f"connector-{index:01000}"] = {}  # 20 MB, more than the system keeps for a socket
    deaf = served.open(b"GET /connectors HTTP/1.1\r\nHost: x\r\n\r\n")
    assert ended.wait(10)
    assert served.held() == 0
    assert deaf.fileno() >= 0, "it was not the client that closed"


def test_a_header_beyond_the_limit_is_refused(serve: Serve) -> None:
    served = serve()
    long = served.open()
    with contextlib.suppress(ConnectionError):
        long.sendall(HALF + b"x" * 200_000)
    assert is_ended(long)
    assert served.client.get("/healthz").status == 200


def test_a_kept_connection_is_used_again(serve: Serve) -> None:
    served = serve()
    kept = http.client.HTTPConnection("127.0.0.1", urlsplit(served.url).port, timeout=10)
    for _ in range(3):
        kept.request("GET", "/healthz")
        assert kept.getresponse().read() == b'{"status":"alive"}'
    assert served.held() == 1
    kept.close()


def test_the_server_stops_while_clients_idle(serve: Serve) -> None:
    served = serve()
    for first in (b"", HALF, WHOLE):
        served.open(first)
    wait_until(lambda: served.held() == 3)
    served.server.stop()
    thread = served.server._thread
    assert thread is not None
    assert not thread.is_alive()


@pytest.mark.parametrize(("soft", "most"), [
    (256, 64), (128, 32), (64, 16), (8, 4), (1_048_576, 1200), (resource.RLIM_INFINITY, 1200),
])
def test_connections_may_take_a_quarter_of_the_descriptors(monkeypatch: pytest.MonkeyPatch, soft: int,
                                                           most: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert Limits().most() == most
    assert Limits(connections=5).most() == 5


def test_what_clients_cause_is_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now, logged = [100.0], []
    monkeypatch.setattr("cdc.rest.limits.log", SimpleNamespace(warning=lambda event, **_: logged.append(event)))
    gate = Gate(Limits(), clock=lambda: now[0])
    for seconds in (0, 10, 49, 1, 30, 31):
        now[0] += seconds
        gate.tell("rest_cannot_accept")
    assert len(logged) == 3
    gate.tell("rest_connections_limited")
    assert logged[-1] == "rest_connections_limited", "each event has its own minute"


def test_without_descriptors_the_accept_loop_does_not_flood_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr("cdc.rest.limits.log", SimpleNamespace(warning=lambda event, **_: logged.append(event)))
    error = OSError(errno.EMFILE, "Too many open files")

    async def start() -> None:
        app = App(Worker(), Plugins())
        made = Server(uvicorn.Config(app, http=protocol(Limits()), lifespan="off", log_config=None))
        made.config.load()
        made.lifespan = made.config.lifespan_class(made.config)
        await made.startup([])
        for _ in range(1000):
            asyncio.get_running_loop().call_exception_handler({"message": "out of resources", "exception": error})

    asyncio.run(start())
    assert logged == ["rest_cannot_accept"]
