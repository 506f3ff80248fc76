"""A TCP proxy that breaks links on demand: cut, cut after so many bytes, freeze, restore."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from tests.servers.process import free_port

_CHUNK_BYTES = 1 << 16
T = TypeVar("T")


@dataclass(slots=True)
class Counters:
    """Since the proxy began."""

    connection_count: int = 0
    up_bytes: int = 0
    """From clients to the target."""
    down_bytes: int = 0
    """From the target to clients."""


class Proxy:
    """Listens on `host` and `port` and passes on to the target, from a thread of its own.

    Every method returns once its effect holds. The port stays the same until `close`.
    """

    host = "127.0.0.1"

    def __init__(self, target_host: str, target_port: int, port: int | None = None) -> None:
        self.port = port or free_port()
        self.counters = Counters()
        self._target = target_host, target_port
        self._links: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._down_left: int | None = None
        self._passing = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()
        self.restore()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: object, trace: object) -> None:
        self.close()

    @property
    def open_count(self) -> int:
        """Connections open now."""
        return len(self._links)

    def cut(self) -> None:
        """Drops every connection on both sides and refuses new ones."""
        self._call(self._cut())

    def cut_after(self, down_bytes: int) -> None:
        """Passes that many more bytes from the target to clients, all connections together, then cuts."""
        self._call(self._set(None, down_bytes))

    def drop(self) -> None:
        """Drops every connection, but takes new ones."""
        self._call(self._drop())

    def lead_to(self, host: str, port: int) -> None:
        """New connections go there; those that are open stay where they are."""
        self._target = host, port

    def freeze(self) -> None:
        """Connections stay open and new ones are taken, but no byte passes, nor the news that one side has closed."""
        self._call(self._set(False, None))

    def restore(self) -> None:
        """Takes connections and passes bytes, also those that waited."""
        self._call(self._restore())

    def close(self) -> None:
        if self._thread.is_alive():
            self._call(self._cut())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _set(self, passing: bool | None, down_left: int | None) -> None:
        self._down_left = down_left
        if passing is False:
            self._passing.clear()

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._drop()

    async def _drop(self) -> None:
        links = self._links - {asyncio.current_task()}
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _restore(self) -> None:
        self._down_left = None
        self._passing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, self.host, self.port)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counters.connection_count += 1
        link = asyncio.create_task(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection and its connection to the target, until both sides have ended."""
        writers = [writer]
        try:
            await self._passing.wait()
            target_reader, target_writer = await asyncio.open_connection(*self._target)
            writers.append(target_writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, target_writer, self._count_up))
                pumps.create_task(self._pump(target_reader, writer, self._count_down))
        except (OSError, ExceptionGroup):
            pass  # one side is gone: the other is told by the abort
        finally:
            for each in writers:
                each.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[bytes], bytes]
    ) -> None:
        while True:
            data = await reader.read(_CHUNK_BYTES)
            await self._passing.wait()
            if not data:
                break
            writer.write(count(data))
            await writer.drain()
            if self._down_left == 0:
                # A task of its own, as it ends this one.
                self._down_left = None
                await asyncio.shield(asyncio.create_task(self._cut()))
        with contextlib.suppress(OSError):
            writer.write_eof()

    def _count_up(self, data: bytes) -> bytes:
        self.counters.up_bytes += len(data)
        return data

    def _count_down(self, data: bytes) -> bytes:
        passed = data if self._down_left is None else data[: self._down_left]
        if self._down_left is not None:
            self._down_left -= len(passed)
        self.counters.down_bytes += len(passed)
        return passed
