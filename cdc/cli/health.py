"""`cdc health`. Containers run it every few seconds, so it imports little and speaks HTTP itself."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import click

from .output import FILES, NO_ANSWER, NOT_READY, OK, printable

_DEFAULT: Final = "http://127.0.0.1:8083"
_MOST_BYTES: Final = 1 << 20


@click.command(short_help="Ask a running worker whether it is ready.")
@FILES
@click.option("--url", help="Where the worker listens. Without it: CDC_LISTENERS, `listeners` in FILE…, or "
                            f"{_DEFAULT}.")
@click.option("--live", is_flag=True, help="Ask only whether the process answers.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), default=5.0, show_default=True,
              help="Seconds to wait for the whole answer.")
def health(files: tuple[str, ...], url: str | None, live: bool, timeout_s: float) -> int:
    """Ask the worker that runs on this machine whether it is ready, and print what it waits for.

    Exit codes: 0 if it is ready, 3 if it is not, 4 if nothing answers. FILE… are those of `cdc run`.

    \b
    cdc health worker.properties
    """
    address = _address(url or os.environ.get("CDC_LISTENERS") or _listeners(files) or _DEFAULT)
    try:
        status, body = _get(address, "/healthz" if live else "/readyz", timeout_s)
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
        click.echo(f"There is no answer from {address.text}: {printable(reason)}.", err=True)
        return NO_ANSWER
    if status == 200:
        click.echo("alive" if live else "ready")
        return OK
    if status != 503:
        click.echo(f"{address.text} answers with HTTP status {status}, so it is no worker of cdc.", err=True)
        return NO_ANSWER
    click.echo("not ready" + "".join(f"\n  {printable(reason)}" for reason in _reasons(body)))
    return NOT_READY


class Address(NamedTuple):
    host: str
    port: int

    @property
    def text(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def _address(listeners: str) -> Address:
    """The first of *listeners* as a client reaches it from this machine. Raises UsageError."""
    first = listeners.split(",")[0].strip()
    try:
        parts = urlsplit(first)
        port = parts.port
    except ValueError:
        port = None
    if not port or parts.scheme != "http":
        raise click.UsageError(f"{first} is no address of the form http://host:port. Write it after --url.")
    host = parts.hostname or "127.0.0.1"
    return Address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)


def _listeners(files: tuple[str, ...]) -> str:
    if not files:
        return ""
    from cdc.config.files import read_file

    return read_file(Path(files[0])).get("listeners", "").strip()


def _get(address: Address, path: str, timeout_s: float) -> tuple[int, bytes]:
    """Status and body. Raises OSError, or ValueError if the answer is no HTTP."""
    until = time.monotonic() + timeout_s
    with socket.create_connection(address, timeout_s) as sock:
        host = address.text.removeprefix("http://")
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while len(answer) < _MOST_BYTES:
            sock.settimeout(max(0.001, until - time.monotonic()))
            part = sock.recv(65536)
            if not part:
                break
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise ValueError("the answer is no HTTP")
    return int(words[1]), body


def _reasons(body: bytes) -> list[str]:
    """One line for each reason in the answer of /readyz."""
    import json

    try:
        reasons: Any = json.loads(body)["reasons"]
        return [": ".join(str(part) for part in (each.get("connector"), each.get("state"), each.get("reason")) if part)
                for each in reasons]
    except (ValueError, LookupError, TypeError, AttributeError):
        return []
