"""Averages, maxima and rates over the last moments, for the names of Kafka Connect, whose metrics work so.

Kafka clients' docs, `metrics.sample.window.ms` and `metrics.num.samples`: two windows of 30 seconds.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 30.0

Clock = Callable[[], float]


class Window:
    """Values seen in this window of 30 seconds and in the one before. For any thread."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since = clock()
        self._now = (0, 0.0, 0.0)
        self._before = (0, 0.0, 0.0)
        self._before_s = 0.0

    def add(self, value: float) -> None:
        with self._lock:
            self._move()
            count, total, most = self._now
            self._now = (count + 1, total + value, max(most, value))

    def average(self) -> float:
        """0 without values."""
        with self._lock:
            self._move()
            count, total = self._now[0] + self._before[0], self._now[1] + self._before[1]
        return total / count if count else 0.0

    def maximum(self) -> float:
        with self._lock:
            self._move()
            return max(self._now[2], self._before[2])

    def rate(self) -> float:
        """Sum of the values per second."""
        with self._lock:
            self._move()
            passed_s = self._clock() - self._since + self._before_s
            return (self._now[1] + self._before[1]) / max(passed_s, 1.0)

    def _move(self) -> None:
        passed_s = self._clock() - self._since
        if passed_s < WINDOW_S:
            return
        recent = passed_s < 2 * WINDOW_S
        self._before = self._now if recent else (0, 0.0, 0.0)
        self._before_s = passed_s if recent else WINDOW_S
        self._now = (0, 0.0, 0.0)
        self._since += passed_s


class Growth:
    """How fast a counter grows, from what each scrape reads of it. For any thread."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: deque[tuple[float, float]] = deque()

    def rate(self, total: float) -> float:
        """*total* is the counter now; the answer is its growth per second over the last two windows, 0 at first."""
        now = self._clock()
        with self._lock:
            if self._seen and total < self._seen[-1][1]:
                self._seen.clear()  # the counter began again
            self._seen.append((now, total))
            while len(self._seen) > 2 and self._seen[1][0] <= now - 2 * WINDOW_S:
                self._seen.popleft()
            first, before = self._seen[0]
        return (total - before) / (now - first) if now > first else 0.0
