"""The acks of outgoings that a sink has taken and not written yet, oldest first."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from cdc.core.errors import SinkConnectionError
from cdc.core.interfaces import Ack


class Pending:
    """Outgoings taken and not answered. A *place* is where an outgoing ends, in bytes since the sink was made."""

    def __init__(self) -> None:
        self._runs: deque[tuple[int, int, Ack]] = deque()
        self._count = self._taken_count = self._failure_count = self._size_bytes = 0

    def __len__(self) -> int:
        """Outgoings not yet answered."""
        return self._count

    def add(self, place: int, count: int, ack: Ack) -> None:
        """*count* outgoings were taken with *ack*; the last of them ends at *place*."""
        if count:
            self._runs.append((place, count, ack))
            self._count += count
            self._taken_count += count
            self._size_bytes = place

    def delivered(self, place: int) -> None:
        """Ack all outgoings that end at or before *place*."""
        while self._runs and self._runs[0][0] <= place:
            _, count, ack = self._runs.popleft()
            self._count -= count
            ack.delivered(count)

    def failed(self, error: Exception) -> None:
        """Answer all outgoings with *error*."""
        while self._runs:
            _, count, ack = self._runs.popleft()
            self._count -= count
            self._failure_count += count
            for _ in range(count):
                ack.failed(error)

    def closed(self) -> None:
        """Answer all outgoings: the sink was closed."""
        self.failed(SinkConnectionError("The sink was closed before the record was written."))

    def metrics(self) -> Mapping[str, float]:
        return {
            "cdc_sink_queued_messages": self._count,
            "cdc_sink_messages_total": self._taken_count,
            "cdc_sink_bytes_total": self._size_bytes,
            "cdc_sink_failures_total": self._failure_count,
        }
