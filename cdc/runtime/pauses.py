"""Notices that the whole process stood still: stopped by a signal, suspended with its machine, starved of CPU.

A thread looks at a clock every quarter of a second, so that a long time between two looks is a pause of the process
and not a slow step of one task. The clock is one that goes on while the machine is suspended, where there is one. It
does not count a pause of a virtual machine whose host stops its clocks too.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

_LOOK_S: Final = 0.25
_NOTED_S: Final = 1.0
"""Shorter pauses are of no interest to anybody."""


def clock_with_pauses() -> float:
    """Seconds, those in which the machine was suspended included. Linux: clock_gettime(2), CLOCK_BOOTTIME."""
    return time.clock_gettime(_CLOCK)


_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class PauseWatch:
    """Any thread may ask. Before `start` nothing is noticed."""

    def __init__(self, clock: Callable[[], float] = clock_with_pauses) -> None:
        self._clock = clock
        self._looked_at: float | None = None
        self._pauses: deque[tuple[float, float]] = deque(maxlen=100)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._looked_at = self._clock()
        self._thread = threading.Thread(target=self._run, name="pause-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Idempotent."""
        self._stop.set()

    def since(self, begin: float) -> float:
        """The longest pause that ended after *begin* (a time of the clock), in seconds.

        It counts one that the thread has not noticed yet: after a pause, the caller may be the first to run.
        """
        looked_at = self._looked_at
        if looked_at is None:
            return 0.0
        now = self._clock() - looked_at
        if not self._pauses:
            return now
        return max([now, *(seconds for end, seconds in self._pauses.copy() if end > begin)])

    def from_now(self) -> Callable[[], float]:
        """Gives the longest pause from this call on."""
        begin = self._clock()
        return lambda: self.since(begin)

    def look(self) -> None:
        """Note how long the process stood still since the last look; called by the thread."""
        now = self._clock()
        before, self._looked_at = self._looked_at, now
        if before is not None and now - before > _NOTED_S:
            self._pauses.append((now, now - before))

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_S):
            self.look()
