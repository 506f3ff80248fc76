"""`cdc health`: which address it asks, and what becomes of each answer."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.cli.main import main

REASONS = {"status": "not ready", "reasons": [
    {"connector": "shop", "task": 0, "state": "retrying", "reason": "the server is away\x1b[2J"},
    {"state": "unhealthy"}]}


def http(status: int, body: bytes = b"{}") -> bytes:
    return b"HTTP/1.1 %d Whatever\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


class Answering:
    """A listening socket that gives one answer, or none; `asked` is what it was asked."""

    def __init__(self, family: int = socket.AF_INET) -> None:
        self.socket = socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)
        self.port: int = self.socket.getsockname()[1]
        self.asked = b""
        self._thread = threading.Thread()

    def answer(self, parts: list[bytes], *, and_hang: bool = False) -> None:
        def work() -> None:
            client, _ = self.socket.accept()
            with client:
                self.asked = client.recv(65536)
                for part in parts:
                    client.sendall(part)
                if and_hang:
                    client.recv(1)

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.socket.close()
        if self._thread.is_alive():
            self._thread.join(10)


@pytest.fixture
def server() -> Iterator[Answering]:
    with contextlib.closing(Answering()) as made:
        yield made


@pytest.fixture
def health(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.delenv("CDC_LISTENERS", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["health", *arguments])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_ready_gives_0(server: Answering, health: Any) -> None:
    server.answer([b"HTTP/1.1 2", b"00 OK\r\n\r\n", b"{}"])
    assert health("--url", f"http://127.0.0.1:{server.port}") == (0, "ready\n", "")
    assert server.asked.startswith(f"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n".encode())


def test_live_asks_for_the_process_only(server: Answering, health: Any) -> None:
    server.answer([http(200)])
    assert health("--live", "--url", f"http://127.0.0.1:{server.port}/") == (0, "alive\n", "")
    assert server.asked.startswith(b"GET /healthz ")


def test_not_ready_gives_3_and_the_reasons(server: Answering, health: Any) -> None:
    server.answer([http(503, json.dumps(REASONS).encode())])
    assert health("--url", f"http://127.0.0.1:{server.port}") == (
        3, "not ready\n  shop: retrying: the server is away\\x1b[2J\n  unhealthy\n", "")


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'{"reasons": [1]}', b"\xff"])
def test_not_ready_without_reasons_that_can_be_read_gives_3_too(server: Answering, health: Any, body: bytes) -> None:
    server.answer([http(503, body)])
    assert health("--url", f"http://127.0.0.1:{server.port}") == (3, "not ready\n", "")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1\r\n", http(404), http(302)])
def test_what_is_no_worker_gives_4(server: Answering, health: Any, answer: bytes) -> None:
    server.answer([answer])
    code, out, err = health("--url", f"http://127.0.0.1:{server.port}")
    assert (code, out) == (4, "")
    assert f"http://127.0.0.1:{server.port}" in err


def test_nobody_there_gives_4(server: Answering, health: Any) -> None:
    server.close()
    code, _, err = health("--url", f"http://127.0.0.1:{server.port}")
    assert (code, "Connection refused" in err) == (4, True)


def test_an_answer_that_does_not_end_gives_4(server: Answering, health: Any) -> None:
    server.answer([b"HTTP/1.1 200 OK\r\n"], and_hang=True)
    assert health("--timeout", "0.1", "--url", f"http://127.0.0.1:{server.port}")[0] == 4


def test_the_address_comes_from_the_environment_or_the_file(server: Answering, health: Any, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "worker.properties"
    file.write_text(f"listeners = http://:{server.port},http://127.0.0.1:1\n")
    server.answer([http(200)])
    assert health(str(file))[0] == 0
    file.write_text("listeners = http://:1\n")
    monkeypatch.setenv("CDC_LISTENERS", f"http://0.0.0.0:{server.port}")
    server.answer([http(200)])
    assert health(str(file))[0] == 0
    monkeypatch.setenv("CDC_LISTENERS", "http://:1")
    server.answer([http(200)])
    assert health("--url", f"http://127.0.0.1:{server.port}", str(file))[0] == 0


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_address_of_version_6(health: Any) -> None:
    with contextlib.closing(Answering(socket.AF_INET6)) as server:
        server.answer([http(200)])
        assert health("--url", f"http://[::]:{server.port}")[0] == 0
        assert f"Host: [::1]:{server.port}".encode() in server.asked


@pytest.mark.parametrize("url", ["https://127.0.0.1:8083", "http://127.0.0.1", "http://:0", "8083", "http://:99999"])
def test_what_is_no_address_is_wrong_usage(health: Any, url: str) -> None:
    code, _, err = health("--url", url)
    assert (code, "http://host:port" in err) == (2, True)
