"""One HTTP exchange, with a time limit for the whole of it and a limit for the size of the answer.

The timeout of `http.client` is one for each call of the socket: a peer that sends a byte now and then is waited for
without end, and looking up a name has no limit at all. So the exchange runs in a thread of its own, and the caller
waits for that thread no longer than it wants to. When it gives up, it cuts the connection, which ends the thread.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from cdc.core.dataclass import dataclass

MAX_ANSWER_BYTES: Final = 6 << 20
"""Answers are ids, one schema, or a report with two of them. Kafka keeps a registry's schemas in records, by default of
1 MiB at most. Parsed, JSON of this size takes up to 160 MB."""
STOP_GRACE_S: Final = 1.0
"""A healthy registry answers within this time, so a stop does not throw away what is almost done."""
_LOOK_S: Final = 0.05
_PIECE: Final = 64 << 10


class Stop(Protocol):
    """The methods of `threading.Event` that a waiting thread needs."""

    def wait(self, timeout: float) -> bool: ...

    def is_set(self) -> bool: ...


class AnswerTooLarge(http.client.HTTPException):
    """The answer exceeds MAX_ANSWER_BYTES."""


class TlsConnection(http.client.HTTPSConnection):
    """As its base class, but `sock` is the TLS socket already during the handshake, so that a cut can end it."""

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        named: Any = self  # typeshed does not have these two attributes
        self.sock = named._context.wrap_socket(self.sock, server_hostname=named._tunnel_host or self.host,
                                               do_handshake_on_connect=False)
        self.sock.do_handshake()


@dataclass(frozen=True)
class Limits:
    """Seconds for the connection, its TLS handshake included, and then for the whole answer; bytes of the answer."""

    connect_s: float
    answer_s: float
    answer_bytes: int = MAX_ANSWER_BYTES


class Exchange:
    """One request on *connection* and its answer. `run` it once."""

    def __init__(self, connection: http.client.HTTPConnection, limits: Limits, clock: Callable[[], float] | None = None,
                 ) -> None:
        self._connection = connection
        self._limits = limits
        self._clock = clock or time.monotonic
        self._until = self._clock() + limits.connect_s
        self._phase = "no connection"
        self._socket: socket.socket | None = None
        self._done = threading.Event()
        self._given_up = False
        self._answer: tuple[int, bytes] | BaseException = TimeoutError()

    def run(self, stop: Stop, method: str, target: str, payload: bytes | None, headers: Mapping[str, str],
            ) -> tuple[int, bytes]:
        """The answer's status and body. Raises OSError, at a time limit TimeoutError, and HTTPException.

        After an error the connection is closed, or will be by the thread that still uses it.
        """
        thread = threading.Thread(target=self._work, args=(method, target, payload, dict(headers)), daemon=True,
                                  name="registry")
        thread.start()
        try:
            self._wait(stop)
        except BaseException:
            self._given_up = True
            self._cut()
            self._close_if_left()
            raise
        if isinstance(self._answer, BaseException):
            self._connection.close()
            raise self._answer
        return self._answer

    def _wait(self, stop: Stop) -> None:
        stop_at: float | None = None
        while not self._done.wait(_LOOK_S):
            now = self._clock()
            if now >= self._until:
                raise self._too_late()
            if stop.is_set():
                stop_at = stop_at or now + STOP_GRACE_S
                if now >= stop_at:
                    raise TimeoutError("the task stops")

    def _cut(self) -> None:
        """End what the thread does; it closes the connection itself.

        A socket that one thread closes while another uses it leaves the other waiting. Or the system gives its number
        to the next socket of the process, and the other thread, within OpenSSL, reads from that one."""
        opened = self._socket or self._connection.sock
        if opened is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(opened, socket.SHUT_RDWR)  # not that of TLS, which is not for two threads

    def _too_late(self) -> TimeoutError:
        within_s = self._limits.answer_s if self._phase == "no complete answer" else self._limits.connect_s
        return TimeoutError(f"{self._phase} within {within_s:g} s")

    def _work(self, method: str, target: str, payload: bytes | None, headers: dict[str, str]) -> None:
        try:
            self._answer = self._talk(method, target, payload, headers)
        except TimeoutError:  # the socket's own limit, which may end a moment before ours
            self._answer = self._too_late()
        except BaseException as exc:
            self._answer = exc
        finally:
            self._done.set()
            self._close_if_left()

    def _close_if_left(self) -> None:
        """Close the connection if the caller has given up and the thread is done with it. Whoever is second closes."""
        if self._given_up and self._done.is_set():
            self._connection.close()

    def _talk(self, method: str, target: str, payload: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        connection, limits = self._connection, self._limits
        if connection.sock is None:
            connection.connect()
            _socket_of(connection).settimeout(limits.answer_s)
        self._socket = _socket_of(connection)  # the connection forgets it when an answer ends with its connection
        self._phase, self._until = "no complete answer", self._clock() + limits.answer_s
        if self._given_up:
            raise TimeoutError
        connection.request(method, target, payload, headers)
        with connection.getresponse() as response:
            return response.status, read_body(response, limits.answer_bytes)


def read_body(response: http.client.HTTPResponse, most: int) -> bytes:
    """The whole body, of *most* bytes at most. Raises AnswerTooLarge, IncompleteRead, OSError.

    It is read in pieces of a fixed size: `read()` would first take what the peer's lengths promise, and a negative
    length of a chunk would even mean everything up to the end.
    """
    found = bytearray()
    piece = bytearray(_PIECE)
    try:
        while count := response.readinto(piece):
            found += memoryview(piece)[:count]
            if len(found) > most:
                raise AnswerTooLarge(f"the answer has more than {most >> 20} MiB")
    except ValueError as exc:
        raise http.client.HTTPException("the answer has a length that is none") from exc
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return bytes(found)


def _socket_of(connection: http.client.HTTPConnection) -> socket.socket:
    assert connection.sock is not None
    return connection.sock
