"""One connection to a broker: connect, TLS, login, then requests and their answers, in order. Its socket never blocks.

Whoever owns it asks `wants` for what to wait, calls `serve` when that is there, and takes what came out of `answered`.
Whatever is wrong with the connection is raised as a Broken; the owner then takes `answered`, which counts all the same,
and `pending`, and closes it.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import ssl
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError

from . import protocol
from .login import Login, Refused, Session, login
from .protocol import ProtocolError, Reader
from .settings import WireSettings

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
CONNECTING, HANDSHAKE, LOGIN, UP = "CONNECT", "SSL_HANDSHAKE", "AUTH", "UP"
"""The states, by librdkafka's names in its statistics."""
_SIZE = struct.Struct(">ii")
_RECEIVE_BYTES: Final = 65_536
_MOST_BUFFERS: Final = 64
_QUICK_S: Final = 10.0
"""Requests other than Produce are answered sooner; of those nobody should wait for a broker that is gone silently."""
_LIFETIME_SHARE: Final = 0.85
"""Of a login's lifetime: then the connection is used no more (Java: `SaslClientAuthenticator`, 85 to 95 percent)."""
_GONE: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)

Address = tuple[socket.AddressFamily, Any]


class Broken(Exception):
    """The connection is of no use any more. *code*: KafkaError's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Request:
    """One that was sent. *about*: what its owner keeps with it."""

    __slots__ = ("about", "answer_by", "api", "correlation", "sent_at", "version")

    def __init__(self, api: int, version: int, correlation: int, now: float, answer_by: float, about: Any) -> None:
        self.api, self.version, self.correlation = api, version, correlation
        self.sent_at, self.answer_by, self.about = now, answer_by, about


class Connection:
    """Raises Broken if it cannot even begin. *owner*: whose connection it is; for its owner only."""

    def __init__(self, owner: Any, host: str, address: Address, settings: WireSettings, now: float) -> None:
        self.owner = owner
        self.state = CONNECTING
        self.pending: deque[Request] = deque()
        self.session: Session | None = None
        self.used_at = self.opened_at = now
        self.retire_at = float("inf")
        self.quiet_until = 0.0
        self.sent_bytes = self.received_bytes = 0
        self.registered = 0
        self.answered: list[tuple[Request, Reader]] = []
        self._settings, self._host, self._address = settings, host, address
        self._ready_by = now + settings.connect_s
        self._login: Login | None = None
        self._correlation = 0
        self._out: deque[memoryview] = deque()
        self._in = bytearray()
        family, where = address
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            self._configure(self._socket)
            code = self._socket.connect_ex(where)
        except OSError as exc:
            raise Broken(KafkaError._TRANSPORT, f"cannot connect to {self.place}: {exc.strerror or exc}") from exc
        if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR):
            self.close()
            raise Broken(KafkaError._TRANSPORT, f"cannot connect to {self.place}: {os.strerror(code)}")

    @property
    def place(self) -> str:
        """The address, such as 127.0.0.1:9092."""
        where = self._address[1]
        return f"[{where[0]}]:{where[1]}" if ":" in where[0] else f"{where[0]}:{where[1]}"

    def _configure(self, made: socket.socket) -> None:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._settings.keepalive:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._settings.send_buffer_bytes:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._settings.send_buffer_bytes)
        if self._settings.receive_buffer_bytes:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._settings.receive_buffer_bytes)

    def fileno(self) -> int:
        return self._socket.fileno()

    def wants(self) -> int:
        """Of selectors' events."""
        if self.state == CONNECTING:
            return WRITE
        return self._handshake_wants if self.state == HANDSHAKE else READ | WRITE if self._out else READ

    def is_free(self, now: float) -> bool:
        """Whether a Produce request may be sent."""
        return (self.state == UP and len(self.pending) < self._settings.in_flight and now >= self.quiet_until
                and now < self.retire_at)

    def close(self) -> None:
        """What was not sent is not sent any more."""
        self._out.clear()
        self._socket.close()

    # -- sending --------------------------------------------------------------------------------------------------

    def ask(self, api: int, body: bytes, about: Any, now: float, version: int | None = None) -> None:
        """Sends a request other than Produce. Raises Broken."""
        if version is None:
            version = self._version(api)
        self._correlation += 1
        data = protocol.request(api, version, self._correlation, self._settings.client_id, body)
        self._expect(api, version, about, now, [data])

    def produce(self, pieces: Sequence[protocol.Piece], about: Any, now: float) -> None:
        """Raises Broken."""
        version = self._version(protocol.PRODUCE)
        self._correlation += 1
        buffers = protocol.produce_request(version, self._correlation, self._settings.client_id,
                                           int(self._settings.request_s * 1000), pieces)
        self._expect(protocol.PRODUCE, version, about, now, buffers)

    def _version(self, api: int) -> int:
        assert self.session is not None
        return self.session.versions[api]

    def _expect(self, api: int, version: int, about: Any, now: float, buffers: Iterable[bytes | memoryview]) -> None:
        limit_s = self._settings.answer_s if api == protocol.PRODUCE else min(self._settings.answer_s, _QUICK_S)
        self.pending.append(Request(api, version, self._correlation, now, now + limit_s, about))
        self.used_at = now
        self._out.extend(memoryview(each).cast("B") for each in buffers)
        self._send()

    def _send(self) -> None:
        out = self._out
        try:
            while out:
                if self._settings.tls is not None or len(out) == 1:
                    count = self._socket.send(out[0])
                else:
                    count = self._socket.sendmsg([out[at] for at in range(min(len(out), _MOST_BUFFERS))])
                self.sent_bytes += count
                while out and count >= len(out[0]):
                    count -= len(out.popleft())
                if count:
                    out[0] = out[0][count:]
        except (BlockingIOError, InterruptedError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return
        except OSError as exc:
            raise self._disconnected(exc) from exc

    # -- receiving ------------------------------------------------------------------------------------------------

    def serve(self, events: int, now: float) -> None:
        """Goes on with what *events* allow, and adds answers that came to `answered`. Raises Broken."""
        if self.state == CONNECTING:
            self._connected(now)
        elif self.state == HANDSHAKE:
            self._shake_hands(now)
        else:
            if events & WRITE:
                self._send()
            if events & READ:
                self._receive(now)

    def _connected(self, now: float) -> None:
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise Broken(KafkaError._TRANSPORT, f"cannot connect to {self.place}: {os.strerror(code)}")
        if self._settings.tls is None:
            self._begin_login(now)
            return
        try:
            self._socket = self._settings.tls.wrap_socket(self._socket, do_handshake_on_connect=False,
                                                          server_hostname=self._host)
        except (OSError, ValueError) as exc:
            raise Broken(KafkaError._SSL, f"TLS cannot begin: {exc}") from exc
        self.state = HANDSHAKE
        self._shake_hands(now)

    def _shake_hands(self, now: float) -> None:
        assert isinstance(self._socket, ssl.SSLSocket)
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            self._handshake_wants = READ
        except ssl.SSLWantWriteError:
            self._handshake_wants = WRITE
        except ssl.SSLCertVerificationError as exc:
            raise Broken(KafkaError._SSL, f"the broker's certificate is not accepted: {exc.verify_message}") from exc
        except OSError as exc:
            # Who only goes away has refused nothing: a broker, or what stands before it, may be starting. librdkafka:
            # `rd_kafka_transport_ssl_handshake`.
            if not isinstance(exc, ssl.SSLError) or isinstance(exc, _GONE):
                raise Broken(KafkaError._TRANSPORT, f"the TLS handshake failed: {exc.strerror or exc}; is it a "
                                                    "listener with TLS?") from exc
            raise Broken(KafkaError._SSL, _refusal(exc)) from exc
        else:
            self._begin_login(now)

    def _begin_login(self, now: float) -> None:
        self.state = LOGIN
        self._login = login(self._settings.credentials, self._settings.compression == "zstd")
        self._go_on(None, now)

    def _go_on(self, answer: Reader | None, now: float) -> None:
        """With the login."""
        assert self._login is not None
        try:
            asked = next(self._login) if answer is None else self._login.send(answer)
        except StopIteration as end:
            session: Session = end.value
            self.session, self._login, self.state = session, None, UP
            if session.lifetime_ms:
                self.retire_at = now + session.lifetime_ms / 1000 * _LIFETIME_SHARE
        except Refused as exc:
            raise Broken(exc.code, str(exc)) from exc
        except ProtocolError as exc:
            raise Broken(KafkaError._UNSUPPORTED_FEATURE, str(exc)) from exc
        else:
            self.ask(asked.api, asked.body, None, now, asked.version)

    def _receive(self, now: float) -> None:
        try:
            while data := self._socket.recv(_RECEIVE_BYTES):
                self.received_bytes += len(data)
                self._in += data
                self._take_answers(now)
                if len(data) < _RECEIVE_BYTES and self._settings.tls is None:
                    return
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as exc:
            raise self._disconnected(exc) from exc
        raise Broken(KafkaError._TRANSPORT, "disconnected by the broker")

    def _disconnected(self, exc: OSError) -> Broken:
        """What *exc* of a read or write means. With TLS 1.3 our handshake is over before a broker has seen our
        certificate, or that we have none. So its refusal comes in place of the first answer, or is still to be read
        when a write has failed."""
        if isinstance(self._socket, ssl.SSLSocket) and not self.received_bytes:
            if not isinstance(exc, ssl.SSLError) or isinstance(exc, _GONE):
                try:
                    self._socket.recv(1)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass
                except OSError as first:
                    exc = first
            if isinstance(exc, ssl.SSLError) and not isinstance(exc, _GONE):
                return Broken(KafkaError._SSL, _refusal(exc))
        return Broken(KafkaError._TRANSPORT, f"disconnected: {exc.strerror or exc}")

    def _take_answers(self, now: float) -> None:
        data, at = self._in, 0
        while len(data) - at >= 8:
            size, correlation = _SIZE.unpack_from(data, at)
            if not 4 <= size <= protocol.MOST_ANSWER_BYTES:
                raise Broken(KafkaError._BAD_MSG, f"an answer of {size} bytes: that is not Kafka's protocol")
            if len(data) - at < 4 + size:
                break
            if not self.pending or self.pending[0].correlation != correlation:
                raise Broken(KafkaError._BAD_MSG, f"an answer to request {correlation}, which nobody waits for")
            request, reader = self.pending.popleft(), Reader(bytes(data[at + 8:at + 4 + size]))
            at += 4 + size
            self.used_at = now
            if self._login is None:
                self.answered.append((request, reader))
            else:
                self._go_on(reader, now)
        if at:
            del data[:at]

    def check(self, now: float) -> float:
        """When to check again. Raises Broken if something takes too long."""
        if self.state != UP:
            if now >= self._ready_by:
                raise Broken(KafkaError._TRANSPORT, f"no connection to {self.place} within {self._settings.connect_s:g}"
                                                    f" s, in state {self.state}")
            return self._ready_by
        if not self.pending:
            return now + 3600
        request = self.pending[0]
        if now >= request.answer_by:
            raise Broken(KafkaError._TIMED_OUT, f"no answer to a {protocol.NAMES[request.api]} request within "
                                                f"{request.answer_by - request.sent_at:.3g} s: disconnected")
        return request.answer_by

    _handshake_wants = READ | WRITE


def _refusal(exc: ssl.SSLError) -> str:
    """Why TLS failed, and what may help."""
    text = exc.strerror or str(exc)
    if "ALERT" in (exc.reason or ""):
        return f"the broker ended the TLS handshake: {text}; it may want a certificate of ours (ssl.keystore.location)"
    return f"the TLS handshake failed: {text}; is it a listener with TLS?"
