"""The sink that sends to the demo's screen. An event counts as delivered once it is shown."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from cdc.core.interfaces import Ack, Outgoing
from cdc.sinks.pending import Pending

_WAITING: Final = 500


class ScreenSink:
    """The task adds outgoings in its thread, and the screen takes them in another. `shown` acks them."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[int, Outgoing]] = queue.Queue(_WAITING)
        self._pending = Pending()
        self._taken = 0
        self._shown = 0
        self._progress = threading.Event()

    # The screen's side

    def take(self, timeout: float) -> tuple[int, Outgoing] | None:
        """The next outgoing and its place, or None after *timeout* seconds."""
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            return None

    def shown(self, place: int) -> None:
        """The outgoing at *place*, and all before it, were shown."""
        self._shown = place
        self._progress.set()

    # The task's side: core.interfaces.Sink

    def start(self) -> None:
        """Nothing to open."""

    def interrupt(self) -> None:
        """Nothing here waits."""

    def fence(self) -> None:
        """Nothing of another process is on its way here."""

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
        index = first
        while index < len(batch) and not self._queue.full():
            self._taken += 1
            self._queue.put((self._taken, batch[index]))
            index += 1
        self._pending.add(self._taken, index - first, ack)
        return index

    def poll(self, timeout: float) -> None:
        if timeout and self._shown < self._taken:
            self._progress.wait(timeout)
        self._progress.clear()
        self._pending.delivered(self._shown)

    def flush(self, timeout: float) -> int:
        """Does not wait: it is called when the demo ends, and the screen takes no more events then."""
        self.poll(0)
        return len(self._pending)

    def close(self) -> None:
        """An outgoing that is not shown yet will not be shown."""
        while self.take(0.001) is not None:
            pass
        self._pending.closed()

    def metrics(self) -> Mapping[str, float]:
        return self._pending.metrics()
