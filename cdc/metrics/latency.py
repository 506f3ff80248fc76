"""How long changes take from their commit in the database until the sink has them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
                   1800.0, 7200.0, 86400.0)
"""Close together where a healthy connector is, and far enough for a catch-up of a day."""


class Histogram:
    """Counts of seconds by upper bound. One thread adds; any thread may read."""

    def __init__(self, bounds_s: Sequence[float] = BOUNDS_S) -> None:
        self._bounds_s = tuple(bounds_s)
        self._counts = [0] * (len(self._bounds_s) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float, count: int = 1) -> None:
        """Count *count* changes that took *seconds*. Less than 0, from clocks that differ, is 0."""
        seconds = max(0.0, seconds)
        self._counts[bisect_left(self._bounds_s, seconds)] += count
        self._sum_s += seconds * count

    def delivered(self, commits: Iterable[tuple[int, int]], now_us: int) -> None:
        """Changes that were committed at the first of each pair, in µs since the epoch, are delivered *now_us*; the
        second is their number."""
        for commit_us, count in commits:
            self.add((now_us - commit_us) / 1e6, count)

    def buckets(self) -> list[tuple[str, float]]:
        """Prometheus' cumulative buckets: `le` and count, `+Inf` last."""
        found, total = [], 0
        for bound, count in zip((*map(repr, self._bounds_s), "+Inf"), self._counts.copy(), strict=True):
            total += count
            found.append((bound, float(total)))
        return found

    @property
    def sum_s(self) -> float:
        return self._sum_s
