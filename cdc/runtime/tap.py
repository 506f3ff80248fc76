"""Lets people look at what passes through, without holding it up.

The task offers what it sends; while nobody listens that is one attribute read. A listener has a bounded queue of its
own: what comes when it is full is dropped and counted, never waited for. Nothing is decoded here: records are kept as
they came and become text in the listener's thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cdc.core.errors import StateError
from cdc.core.named_tuple import NamedTuple
from cdc.core.outcome import Shaped, Transformed
from cdc.core.record import Message
from cdc.core.view import RecordView

QUEUE_RECORDS = 2000
QUEUE_BYTES = 16 * 1024 * 1024
LISTENERS = 8

Item = Transformed


class Taken(NamedTuple):
    items: list[Item]
    dropped: int
    """How many were dropped since the last call."""
    times_ms: list[int]
    """When each item was offered, since the epoch."""


class Listener:
    """One onlooker's queue."""

    def __init__(self, records: int, size_bytes: int) -> None:
        self._records = records
        self._limit_bytes = size_bytes
        self._lock = threading.Lock()
        self._queue: deque[tuple[Item, int, int]] = deque()
        self._bytes = 0
        self._dropped = 0

    def put(self, items: Sequence[Item], now_ms: int) -> None:
        with self._lock:
            for item in items:
                size = _size(item)
                if len(self._queue) >= self._records or (self._queue and self._bytes + size > self._limit_bytes):
                    self._dropped += 1
                    continue
                self._queue.append((item, size, now_ms))
                self._bytes += size

    def take(self, limit: int = QUEUE_RECORDS) -> Taken:
        """Up to *limit* records in order, without waiting."""
        with self._lock:
            taken = [self._queue.popleft() for _ in range(min(limit, len(self._queue)))]
            self._bytes -= sum(size for _, size, _ in taken)
            dropped, self._dropped = self._dropped, 0
        return Taken([item for item, _, _ in taken], dropped, [at_ms for _, _, at_ms in taken])


class EventTap:
    """Broadcasts to whoever listens. `active` says whether anybody does: look at it before calling `offer`."""

    def __init__(self) -> None:
        self.active = False
        self._listeners: tuple[Listener, ...] = ()
        self._lock = threading.Lock()

    def offer(self, items: Sequence[Item]) -> None:
        """What was just given to the sink, in order. Never waits for a listener."""
        now_ms = time.time_ns() // 1_000_000
        for listener in self._listeners:
            listener.put(items, now_ms)

    @contextmanager
    def listen(self, records: int = QUEUE_RECORDS, size_bytes: int = QUEUE_BYTES) -> Iterator[Listener]:
        """A queue that fills until the block ends. Raises StateError when too many listen already."""
        listener = Listener(records, size_bytes)
        self._change(add=listener)
        try:
            yield listener
        finally:
            self._change(remove=listener)

    def _change(self, add: Listener | None = None, remove: Listener | None = None) -> None:
        with self._lock:
            listeners = [listener for listener in self._listeners if listener is not remove]
            if add is not None:
                if len(listeners) >= LISTENERS:
                    raise StateError(f"{LISTENERS} onlookers are connected already.", status=503,
                                     hint="End one of them, or read the topic instead.")
                listeners.append(add)
            self._listeners = tuple(listeners)
            self.active = bool(listeners)


def _size(item: Item) -> int:
    if isinstance(item, RecordView | Shaped):
        return _size(item.record)
    if isinstance(item, Message):
        return 1000 + _held(item.value)
    return 1000 + sum(len(row.data) for row in (item.before, item.after) if row is not None)


def _held(value: Any) -> int:
    """Bytes of what may be large in a message's Connect value: a logical message's content is of any size."""
    if isinstance(value, bytes | str):
        return len(value)
    return sum(map(_held, value)) if isinstance(value, tuple | list) else 0
