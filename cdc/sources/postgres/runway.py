"""How long until the server may remove WAL that our slot needs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 900.0


class Runway:
    """Counts with the rate at which the server wrote WAL in the last quarter of an hour. Not for several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def seconds(self, written: int, safe: int | None) -> float | None:
        """*written*: the end of the server's WAL, in bytes. *safe*: how much more may be written (`safe_wal_size`);
        less than nothing once the slot is in danger. None if there is no limit, or while the server writes nothing."""
        now = self._clock()
        if self._seen and written < self._seen[-1][1]:
            self._seen.clear()  # another server has taken over
        self._seen.append((now, written))
        while now - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()
        since, begin = self._seen[0]
        if safe is None:
            return None
        if safe <= 0:
            return 0.0
        grown = written - begin
        return safe * (now - since) / grown if grown else None
