"""Keeps HTTP clients from taking what the data path needs: descriptors above all, then memory and processor time.

uvicorn has no limit for these: its `limit_concurrency` answers 503 only when a whole request has come, and its
keep-alive timer is not set before the first request and ends with the first byte of the next. So a connection that
sends nothing, or half a header, or that does not read its answer, stays open as long as the client wants.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from cdc.log import get_logger

from .descriptors import a_share

log = get_logger(__name__)

ACCEPT_AT_ONCE: Final = 16
"""asyncio takes as many connections before it calls any protocol, so they count in addition to the limit."""
QUEUE: Final = 512
"""Connections that the kernel holds until we accept them. They take no descriptors of this process."""
HEADER_BYTES: Final = 16 << 10
HANDSHAKE_S: Final = 10.0
"""The limit of a TLS handshake. Until its end, the limit of connections does not count it."""
_LOG_EVERY_S: Final = 60.0
_NO_DESCRIPTOR: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take. `connections` 0: chosen by the descriptors that this process may open."""

    connections: int = 0
    request_s: float = 10.0
    """From the connection, or the last answer, to the next request's whole header. An answer must be read in it."""
    stuck_s: float = 30.0
    """How long a client that listens to events may read nothing while its buffer is full."""

    def most(self) -> int:
        return self.connections or a_share()


class Gate:
    """The connections of one server. At the limit a new one takes the place of the one that has waited longest without
    a request, so idle clients cannot keep probes out; when all have requests, the new one is closed."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.most = limits.most()
        self.waiting: dict[LimitedProtocol, None] = {}
        """Those without a request, in the order in which they began to wait."""
        self.open: set[LimitedProtocol] = set()
        self._clock = clock
        self._logged_at: dict[str, float] = {}

    def enter(self, new: LimitedProtocol) -> bool:
        """Whether *new* may stay."""
        if len(self.open) >= self.most:
            self.tell("rest_connections_limited", limit=self.most)
            if not self.waiting:
                return False
            self.end(next(iter(self.waiting)))
        self.open.add(new)
        return True

    def end(self, old: LimitedProtocol) -> None:
        """Close *old* now, whether or not its client reads."""
        self.leave(old)
        old.transport.abort()

    def leave(self, old: LimitedProtocol) -> None:
        self.open.discard(old)
        self.waiting.pop(old, None)

    def tell(self, event: str, **context: Any) -> None:
        """Log a warning, at most once a minute for each *event*."""
        now = self._clock()
        if now - self._logged_at.get(event, -_LOG_EVERY_S) >= _LOG_EVERY_S:
            self._logged_at[event] = now
            log.warning(event, **context)


class LimitedProtocol(H11Protocol):
    """uvicorn's protocol with time limits. It is made by `protocol`."""

    gate: ClassVar[Gate]

    _timer: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.gate.enter(self):
            self._wait()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._stuck):
            if timer is not None:
                timer.cancel()
        self.gate.leave(self)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self.gate.waiting.pop(self, None)
            if self._timer is not None:
                self._timer.cancel()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:  # else the next request has come already
            self._wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(self.gate.limits.stuck_s, self.gate.end, self)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()

    def _wait(self) -> None:
        """For the next request; and while the transport closes, for the client to read the rest."""
        if self in self.gate.open:
            self.gate.waiting[self] = None
            self._timer = self.loop.call_later(self.gate.limits.request_s, self.gate.end, self)


def protocol(limits: Limits) -> type[LimitedProtocol]:
    """A protocol whose connections share one gate."""
    return type("GatedProtocol", (LimitedProtocol,), {"gate": Gate(limits)})


class Server(uvicorn.Server):
    """uvicorn's server with a queue of its own length, for plain and TLS sockets. Without descriptors it says so once a
    minute."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None = None,
                 secure: Collection[socket.socket] = ()) -> None:
        """*secure* are the sockets whose clients speak TLS, with the context *tls*."""
        super().__init__(config)
        self._tls = tls
        self._secure = secure

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        made = self.config.http_protocol_class
        assert issubclass(made, LimitedProtocol)

        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            if isinstance(error, OSError) and error.errno in _NO_DESCRIPTOR:
                made.gate.tell("rest_cannot_accept", error=error.strerror)
            else:
                loop.default_exception_handler(context)

        asyncio.get_running_loop().set_exception_handler(handle)
        await super().startup([each for each in sockets or () if each not in self._secure])
        for each in self._secure:
            self.servers.append(await asyncio.get_running_loop().create_server(
                self._protocol, sock=each, ssl=self._tls, ssl_handshake_timeout=HANDSHAKE_S, backlog=ACCEPT_AT_ONCE))
        for each in sockets or ():
            each.listen(QUEUE)  # asyncio has one number for both

    def _protocol(self) -> asyncio.Protocol:
        made = self.config.http_protocol_class
        assert issubclass(made, LimitedProtocol)
        return made(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
