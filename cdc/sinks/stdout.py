"""The standard output sink: lines of JSON, for people and pipes. An ack means written; nothing is synced."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

from cdc.core.errors import SinkRefusedError
from cdc.core.interfaces import Ack, Outgoing, SinkSettings

from .json_lines import json_line
from .pending import Pending

_BUFFER_BYTES: Final = 1 << 20
_PIPE_BYTES: Final = select.PIPE_BUF
"""A pipe that is ready takes this many bytes without blocking (POSIX, `poll` and `write`)."""


def build(_settings: SinkSettings) -> StdoutSink:
    """The sink for `sink.type=stdout`, which has no settings."""
    return StdoutSink()


class StdoutSink:
    """Buffers lines while the reader is slow, so that a paused reader never blocks the task's thread."""

    def __init__(self, descriptor: int | None = None) -> None:
        """*descriptor*: write to this file descriptor instead of standard output's; it stays open."""
        self._descriptor = descriptor
        self._fd = -1
        self._chunk_bytes = _PIPE_BYTES
        self._buffer = bytearray()
        self._written = 0
        self._pending = Pending()

    def start(self) -> None:
        if self._descriptor is None:
            sys.stdout.flush()
        self._fd = sys.stdout.fileno() if self._descriptor is None else self._descriptor
        self._chunk_bytes = _BUFFER_BYTES if stat.S_ISREG(os.fstat(self._fd).st_mode) else _PIPE_BYTES
        self._buffer.clear()

    def interrupt(self) -> None:
        """Nothing here waits."""

    def fence(self) -> None:
        """Nothing of another process is on its way here."""

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
        index = first
        while index < len(batch) and len(self._buffer) < _BUFFER_BYTES:
            self._buffer += json_line(batch[index])
            index += 1
        self._pending.add(self._written + len(self._buffer), index - first, ack)
        return index

    def poll(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        try:
            while self._buffer and self._writable(deadline - time.monotonic()):
                count = os.write(self._fd, self._buffer[: self._chunk_bytes])
                del self._buffer[:count]
                self._written += count
                self._pending.delivered(self._written)
        except BlockingIOError:
            pass
        except OSError as exc:
            self._written += len(self._buffer)
            self._buffer.clear()
            error = SinkRefusedError(f"Standard output cannot be written: {exc.strerror}.")
            error.__cause__ = exc
            self._pending.failed(error)

    def flush(self, timeout: float) -> int:
        self.poll(timeout)
        return len(self._pending)

    def close(self) -> None:
        """Write the rest of a begun line if the reader takes it without waiting."""
        self.poll(0)
        self._pending.closed()

    def metrics(self) -> Mapping[str, float]:
        return self._pending.metrics()

    def _writable(self, timeout: float) -> bool:
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        return bool(poller.poll(max(0.0, timeout) * 1000))
