"""The queue between the thread that reads a socket and the task: bounded in bytes, errors in their place.

One thread puts what it reads (frames, events) in chunks; the task takes them. When the queue is full the reader stops
reading, so the server waits. How the reader learns that there is room again is its own choice: it either sleeps in
`wait_for_room`, or has *on_room* called, to leave a `poll` it waits in.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

ITEM_OVERHEAD_BYTES = 64
"""What an item costs beyond its bytes."""
_BUSY_BYTES_S: Final = 4_000_000
"""A stream that brings so many bytes in a second is busy."""
_ENOUGH_BYTES: Final = 327_680
_GATHER_S: Final = 0.01
"""Whoever takes from a busy stream waits so long for so many bytes, because each batch costs the task as much as some
hundred rows."""


def one_list(chunks: Sequence[Sequence[bytes]]) -> list[bytes]:
    """The items of *chunks*."""
    items: list[bytes] = []
    for chunk in chunks:
        items += chunk
    return items


class Handoff:
    """Items from one reader to one taker, in order. Full from *max_bytes* on; the last chunk may go beyond it.

    *on_room* is called by the taker's thread each time the queue stops being full. It must not block.
    *joined(chunks)*: the items of chunks, as the taker gets them.
    """

    def __init__(self, max_bytes: int, on_room: Callable[[], None] | None = None,
                 joined: Callable[[Sequence[Sequence[bytes]]], Sequence[bytes]] = one_list) -> None:
        self._max_bytes = max_bytes
        self._on_room = on_room
        self._joined = joined
        self._chunks: deque[tuple[Sequence[bytes], int]] = deque()
        self._changed = threading.Condition()
        self._error: Exception | None = None
        self._closed = False
        self._wanted_bytes = 0
        self._taken_at = self._counted_at = 0.0
        self._counted_bytes = 0
        self._busy = False
        self.queued_bytes = 0
        """Bytes that were put and not taken yet."""

    @property
    def full(self) -> bool:
        return self.queued_bytes >= self._max_bytes

    # -- the reader's side ---------------------------------------------------------------------------------------

    def put(self, items: Sequence[bytes], size: int) -> None:
        """Add *items*, which count as *size* bytes. Never blocks: the reader asks `full` or `wait_for_room` first."""
        with self._changed:
            self._chunks.append((items, size))
            self.queued_bytes += size
            if self.queued_bytes >= self._wanted_bytes:
                self._changed.notify_all()

    def fail(self, error: Exception) -> None:
        """The reader has ended with *error*: `take` raises it after the last item."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def wait_for_room(self) -> bool:
        """Wait while the queue is full. False when it was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self.full)
            return not self._closed

    # -- the taker's side ----------------------------------------------------------------------------------------

    def wait_for_first(self, timeout: float) -> None:
        """Wait until something was put, at most *timeout* seconds. Raises the reader's error when it came first."""
        with self._changed:
            self._changed.wait_for(self._has_news, timeout)
            if self._error is not None and not self._chunks:
                raise self._error

    def take(self, timeout: float, max_bytes: int) -> Sequence[bytes]:
        """Whole chunks in order until they are *max_bytes* or more; empty when *timeout* seconds brought none. Raises
        the reader's error once everything that was put before it was taken."""
        with self._changed:
            self._gather(timeout)
            self._changed.wait_for(self._has_news, timeout)
            chunks: list[Sequence[bytes]] = []
            taken = 0
            while self._chunks and taken < max_bytes:
                chunk, size = self._chunks.popleft()
                chunks.append(chunk)
                taken += size
            if not chunks and self._error is not None:
                raise self._error
            was_full = self.full
            self.queued_bytes -= taken
            self._count(taken)
            if was_full and not self.full:
                self._changed.notify_all()
                if self._on_room is not None:
                    self._on_room()
        return self._joined(chunks)

    def _gather(self, timeout: float) -> None:
        """Let a busy stream bring more. The taker's thread has the lock."""
        if timeout <= 0 or not self._busy or time.monotonic() - self._taken_at >= _GATHER_S:
            return
        self._wanted_bytes = min(_ENOUGH_BYTES, self._max_bytes)
        self._changed.wait_for(self._has_enough, _GATHER_S)
        self._wanted_bytes = 0

    def _has_enough(self) -> bool:
        return self.queued_bytes >= self._wanted_bytes or self._error is not None or self._closed

    def _count(self, taken: int) -> None:
        """Whether the stream is busy, by what was taken in the last moments."""
        now = self._taken_at = time.monotonic()
        self._counted_bytes += taken
        passed_s = now - self._counted_at
        if passed_s >= _GATHER_S:
            self._busy = self._counted_bytes >= _BUSY_BYTES_S * passed_s
            self._counted_bytes, self._counted_at = 0, now

    def close(self) -> None:
        """Wake the reader out of `wait_for_room`: nobody takes any more. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_news(self) -> bool:
        return bool(self._chunks) or self._error is not None
