"""Runs the HTTP side in a thread of its own, on the addresses of the worker's `listeners`, within `limits`."""

from __future__ import annotations

import errno
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex
from cdc.core.named_tuple import NamedTuple
from cdc.log import get_logger

if TYPE_CHECKING:
    from .app import App
    from .limits import Limits, Server

log = get_logger(__name__)

DEFAULT_LISTENERS = "http://127.0.0.1:8083"
_LISTENER = late_regex(r"(?P<scheme>[A-Za-z][\w+.-]*)://(?:\[(?P<ipv6>[^\]]*)\]|(?P<host>[^:/\[\]]*)):(?P<port>\d{1,5})/?")
_ANY = ("", "0.0.0.0", "::")

QUIET_S: Final = 2.0
"""So long a start waits for a client before it loads the interface, which takes a core for half a second: the tasks
that start meanwhile have it for themselves."""
_LOOK_S: Final = 0.05


class Listener(NamedTuple):
    """`host` is empty for all interfaces; `port` 0 lets the system pick one; `tls` is for https."""

    host: str
    port: int
    tls: bool = False


def parse_listeners(text: str) -> list[Listener]:
    """Parse Kafka Connect's `listeners`: `http://host:port`, comma-separated; an empty host means all interfaces.

    Raises ConfigError.
    """
    found = [_parse(part.strip()) for part in text.split(",") if part.strip()]
    if not found:
        raise ConfigError("listeners names no address.", option="listeners", hint=f"For example {DEFAULT_LISTENERS}.")
    return found


def _parse(text: str) -> Listener:
    match = _LISTENER.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(f"listeners: {text!r} is not of the form http://host:port.", option="listeners",
                          hint=f"For example {DEFAULT_LISTENERS}; port 0 picks a free one.")
    if match["scheme"].lower() not in ("http", "https"):
        raise ConfigError(f"listeners: {match['scheme']} is not supported here.", option="listeners",
                          hint="Use http or https.")
    return Listener(match["ipv6"] or match["host"] or "", int(match["port"]), match["scheme"].lower() == "https")


class RestServer:
    """Serves an App in a thread. `stop` takes about a second at most, even while clients are connected."""

    def __init__(self, make_app: Callable[[], App], listeners: str | Iterable[str] = DEFAULT_LISTENERS,
                 limits: Limits | None = None, tls: Callable[[], ssl.SSLContext] | None = None) -> None:
        """*make_app* is called in the server's thread. *tls* makes the context of the https listeners, when the ports
        are opened."""
        self._make_app = make_app
        self._tls = tls
        self._limits = limits
        self._listeners = parse_listeners(listeners if isinstance(listeners, str) else ",".join(listeners))
        self._sockets: list[socket.socket] = []
        self._context: ssl.SSLContext | None = None
        self._app: App | None = None
        self._server: Server | None = None
        self._ready = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.urls: list[str] = []

    def start(self) -> list[str]:
        """Open the ports, serve, and return the URLs. Raises ConfigError when an address cannot be opened."""
        self.listen()
        self.serve(quiet_s=0)
        self._ready.wait()
        return self.urls

    def listen(self) -> list[str]:
        """Open the ports and return the URLs. A client that connects now is answered after `serve`. Raises
        ConfigError when an address cannot be opened."""
        secure = any(each.tls for each in self._listeners)
        if secure and self._tls is None:
            raise ConfigError("listeners: https needs a key.", option="listeners")
        self._context = self._tls() if secure and self._tls is not None else None
        self._sockets = _open_all(self._listeners)
        self.urls = [_url(listener, opened) for listener, opened in zip(self._listeners, self._sockets, strict=True)]
        for url in self.urls:
            log.info("rest_listening", url=url)
        return self.urls

    def serve(self, quiet_s: float = QUIET_S) -> None:
        """Begin to answer, in a thread of its own; return at once. The interface is loaded when the first client
        connects, at the latest after *quiet_s* seconds."""
        self._thread = threading.Thread(target=self._run, args=(quiet_s,), name="rest", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Close the ports and end all answers. Does nothing when it was not started or has stopped."""
        self._stopping = True
        if self._app is not None and self._server is not None:
            self._app.closing = True
            self._server.should_exit = True
        if self._thread is None:
            self._close()
        else:
            self._thread.join(timeout)

    def _run(self, quiet_s: float) -> None:
        self._await_client(quiet_s)
        if self._stopping:
            self._ready.set()
            self._close()
            return
        try:
            server = self._made()
        except BaseException:
            self._close()  # who asks would wait without end
            raise
        finally:
            self._ready.set()
        if self._stopping:  # perhaps before there was a server to tell
            self._close()
        else:
            server.run(self._sockets)

    def _await_client(self, seconds: float) -> None:
        """Wait until a client connects or the server is to stop, at most so many *seconds*."""
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as arriving:
            for opened in self._sockets:
                arriving.register(opened, selectors.EVENT_READ)
            while not self._stopping and (left := until - time.monotonic()) > 0:
                if arriving.select(min(left, _LOOK_S)):
                    return

    def _made(self) -> Server:
        import uvicorn  # it takes long to import, as the App does, and nothing else waits for them here

        from . import limits

        self._app = self._make_app()
        self._server = limits.Server(uvicorn.Config(
            self._app, loop="asyncio", http=limits.protocol(self._limits or limits.Limits()), ws="none", lifespan="off",
            interface="asgi3", log_config=None, access_log=False, server_header=False, proxy_headers=False,
            timeout_graceful_shutdown=1, backlog=limits.ACCEPT_AT_ONCE,
            h11_max_incomplete_event_size=limits.HEADER_BYTES,
        ), self._context, {opened for listener, opened in zip(self._listeners, self._sockets, strict=True)
                           if listener.tls})
        return self._server

    def _close(self) -> None:
        for opened in self._sockets:
            opened.close()


def _open_all(listeners: Sequence[Listener]) -> list[socket.socket]:
    opened: list[socket.socket] = []
    try:
        for listener in listeners:
            opened.append(_open(listener))
    except BaseException:
        for sock in opened:
            sock.close()
        raise
    return opened


def _open(listener: Listener) -> socket.socket:
    opened = _bound(listener)
    # What is accepted from it inherits this. asyncio sets it on none of these sockets, because their protocol number is
    # 0 (bpo-27456): then an answer's body waits 40 ms for the client to confirm its head.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def _bound(listener: Listener) -> socket.socket:
    host, port, _ = listener
    try:
        if host == "" and socket.has_dualstack_ipv6():
            try:
                return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
            except OSError as exc:
                if exc.errno == errno.EADDRINUSE:
                    raise
        found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)
        family = min((info[0] for info in found), key=lambda known: known != socket.AF_INET)
        return socket.create_server((host, port), family=family)
    except OSError as exc:
        raise _refused(listener, exc) from exc


def _refused(listener: Listener, exc: OSError) -> ConfigError:
    if exc.errno == errno.EADDRINUSE:
        other = f"http://{listener.host or '127.0.0.1'}:{listener.port + 1 if listener.port < 65535 else 0}"
        return ConfigError(f"listeners: another process uses port {listener.port}.", option="listeners",
                           hint=f"Stop that process, or set another port: listeners={other} (port 0 picks a free one).")
    if exc.errno == errno.EACCES:
        return ConfigError(f"listeners: this user may not open port {listener.port}.", option="listeners",
                           hint="Use a port above 1023.")
    return ConfigError(f"listeners: {listener.host or 'all interfaces'}:{listener.port} cannot be opened: "
                       f"{exc.strerror or type(exc).__name__}.", option="listeners",
                       hint="Use an address of this machine, or no host for all of them: http://:8083.")


def _url(listener: Listener, opened: socket.socket) -> str:
    host = "127.0.0.1" if listener.host in _ANY else listener.host
    scheme = "https" if listener.tls else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{opened.getsockname()[1]}"
