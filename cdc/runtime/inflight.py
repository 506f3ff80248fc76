"""How far may we commit: batches in order of arrival, and which of them the sink has answered for.

A position may be committed when its batch and all batches before it are delivered: the acked prefix without a gap.
The idea is that of Kafka Connect's SubmittedRecords, kept per batch, because a source's position belongs to a batch.

Everything here is called from the task's thread; `records`, `size_bytes` and `error` may be read from any.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from cdc.core.position import Position


class Delivery:
    """The Ack of one batch: counts its outgoings down, and keeps the first failure.

    *count* answers are expected, each outgoing's exactly once; one that is dropped on the way is `delivered` as well.
    A batch with a failed outgoing is never acked, whatever becomes of the others.
    """

    def __init__(self, inflight: Inflight, position: Position, count: int, size_bytes: int) -> None:
        self.inflight = inflight
        self.position = position
        self.count = count
        self.size_bytes = size_bytes
        self.remaining = count
        self.error: Exception | None = None
        self.explain: Any = None

    def delivered(self, count: int = 1) -> None:
        self.remaining -= count

    def failed(self, error: Exception) -> None:
        self.remaining -= 1
        if self.error is None:
            self.error = error
        if self.inflight.error is None:
            self.inflight.error = error

    def on_delivery(self, err: Any, msg: Any) -> None:
        """A Kafka client's delivery callback, called for every message, so it does next to nothing.

        *err* None is delivered; else `explain(err, msg)`, set by the sink, gives the failure.
        """
        if err is None:
            self.remaining -= 1
        else:
            self.failed(self.explain(err, msg))

    def acked(self) -> bool:
        """Every outgoing is answered, and none failed."""
        return bool(self.remaining == 0 and self.error is None)


class Inflight:
    """The batches that were handed on and cannot be committed yet, oldest first.

    `error` is the first failure of any batch. `records` and `size_bytes` are of the batches added and not yet part of
    the acked prefix, as `committable` last saw it: whole batches, so a little more than the sink still has to answer.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.records = 0
        self.size_bytes = 0
        self._open: deque[Delivery] = deque()
        self._last: Position | None = None

    def __len__(self) -> int:
        """Batches not yet part of the acked prefix."""
        return len(self._open)

    def add(self, position: Position, count: int, size_bytes: int = 0) -> Delivery:
        """The next batch in order, of *count* outgoings; with none it is acked at once, but waits for its turn."""
        delivery = Delivery(self, position, count, size_bytes)
        self._open.append(delivery)
        self.records += count
        self.size_bytes += size_bytes
        return delivery

    def committable(self) -> Position | None:
        """The position of the acked prefix's last batch; None while the first batch is open.

        The same position is returned until more is acked, so compare by identity with what was committed last.
        """
        while self._open and self._open[0].acked():
            delivery = self._open.popleft()
            self.records -= delivery.count
            self.size_bytes -= delivery.size_bytes
            self._last = delivery.position
        assert not self._open or self._open[0].remaining >= 0, "an outgoing was answered twice"
        return self._last
