"""The servers of one test session: each started once, in the background, on first use of any of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TypeVar

from tests.servers import fetch
from tests.servers.kafka import KafkaServer
from tests.servers.mariadb import MariaDbServer
from tests.servers.mysql import MySqlServer
from tests.servers.postgres import PostgresServer
from tests.servers.registry import RegistryServer
from tests.servers.server import Server

S = TypeVar("S", bound=Server)

MAKERS: dict[str, Callable[[], Server]] = {
    "postgres15": lambda: PostgresServer(15),
    "postgres16": lambda: PostgresServer(16),
    "postgres18": lambda: PostgresServer(18),
    "mysql": MySqlServer,
    "mariadb": MariaDbServer,
    "kafka": KafkaServer,
    "registry": RegistryServer,
}


class Fleet:
    """`get` starts what is wanted all at once, so that slow starts overlap, and waits only for its own."""

    def __init__(self) -> None:
        self.wanted: set[str] = set()
        self._futures: dict[str, Future[Server]] = {}
        self._servers: list[Server] = []
        self._lock = threading.Lock()

    def get(self, name: str, kind: type[S]) -> S:
        """The running server; raises ServerUnavailableError or ServerFailedError, each time anew."""
        self._launch([name, *sorted(self.wanted - {name})])
        server = self._futures[name].result()
        assert isinstance(server, kind)
        return server

    def revive(self) -> None:
        """Starts again what a test has left stopped."""
        for name, future in self._futures.items():
            if future.done() and future.exception() is None and not future.result().running:
                fetch.say(f"a test left {name} stopped: starting it")
                future.result().start()

    def close(self) -> None:
        with self._lock:
            for server in self._servers:
                server.close()
            self._servers.clear()

    def _launch(self, names: Iterable[str]) -> None:
        with self._lock:
            for name in names:
                if name not in self._futures:
                    future = self._futures[name] = Future()
                    server = MAKERS[name]()
                    self._servers.append(server)
                    # Daemon: an interrupted session need not wait for it, and the reaper has what it started.
                    threading.Thread(target=_start, args=(server, future), name=f"start-{name}", daemon=True).start()


def _start(server: Server, future: Future[Server]) -> None:
    try:
        server.start()
    except BaseException as exc:  # noqa: BLE001  carried to whoever asks for the server
        future.set_exception(exc)
    else:
        future.set_result(server)
