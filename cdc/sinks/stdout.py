"""The standard output sink: lines of JSON, for people and pipes. An ack means written; nothing is synced."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections import deque
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
        self._lines: deque[bytearray | bytes] = deque()
        """Many small lines each, or one that is huge."""
        self._begun = 0
        """Bytes of the first of them that are written."""
        self._queued = 0
        self._written = 0
        self._pending = Pending()

    def start(self) -> None:
        if self._descriptor is None:
            sys.stdout.flush()
        self._fd = sys.stdout.fileno() if self._descriptor is None else self._descriptor
        self._chunk_bytes = _BUFFER_BYTES if stat.S_ISREG(os.fstat(self._fd).st_mode) else _PIPE_BYTES
        self._clear()

    def interrupt(self) -> None:
        """Nothing here waits."""

    def fence(self) -> None:
        """Nothing of another process is on its way here."""

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
        index = first
        while index < len(batch) and self._queued < _BUFFER_BYTES:
            line = json_line(batch[index])
            last = self._lines[-1] if self._lines else b""
            if len(line) >= _BUFFER_BYTES:
                self._lines.append(line)
            elif isinstance(last, bytearray) and len(last) < _BUFFER_BYTES:  # what is written of it stays until its end
                last += line
            else:
                self._lines.append(bytearray(line))
            self._queued += len(line)
            index += 1
        self._pending.add(self._written + self._queued, index - first, ack)
        return index

    def poll(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        try:
            while self._lines and self._writable(deadline - time.monotonic()):
                first = self._lines[0]
                with memoryview(first)[self._begun:self._begun + self._chunk_bytes] as part:
                    count = os.write(self._fd, part)
                self._begun += count
                self._queued -= count
                self._written += count
                if self._begun == len(first):
                    self._lines.popleft()
                    self._begun = 0
                self._pending.delivered(self._written)
        except BlockingIOError:
            pass
        except OSError as exc:
            self._written += self._queued
            self._clear()
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

    def _clear(self) -> None:
        self._lines.clear()
        self._begun = self._queued = 0

    def _writable(self, timeout: float) -> bool:
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        return bool(poller.poll(max(0.0, timeout) * 1000))
