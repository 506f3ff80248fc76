"""Notifications of sources: kept for the REST interface, counted, and logged if it is asked for.

The channel `sink` is not here: those notifications are records of a batch, in order with all others.
Debezium docs, "Receiving notifications from a Debezium connector".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from cdc.core.control import Notification
from cdc.log import get_logger
from cdc.metrics.task import TaskMetrics

log = get_logger(__name__)

KEPT: Final = 500
_COUNTER: Final = "cdc_notifications_total"


class Notifications:
    """Those of one connector, also of its earlier runs in this process. *logs*: whether each gets a line in the log.
    `add` is called by the task's thread, `newest` by any."""

    def __init__(self, metrics: TaskMetrics, *, logs: bool = False) -> None:
        self._numbers = metrics.numbers
        self._numbers.setdefault(_COUNTER, 0)
        self._logs = logs
        self._kept: deque[Notification] = deque(maxlen=KEPT)

    def add(self, told: Sequence[Notification]) -> None:
        self._kept.extend(told)
        self._numbers[_COUNTER] += len(told)
        for each in told if self._logs else ():
            log.info("notification", id=each.id, aggregate_type=each.aggregate_type, type=each.type,
                     at_ms=each.timestamp_ms, data=dict(each.additional_data))

    def newest(self) -> Sequence[Notification]:
        """At most `KEPT`, the oldest first."""
        return list(self._kept)
