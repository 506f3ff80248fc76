"""How soon one chunk beside the stream may follow the other, so that the stream keeps most of its speed.

A chunk costs the stream time: the same process reads, decodes and sends its rows, and while it is on its way the
changes of its table are read one by one. As long as the stream has moments without work, that time is to spare. A
stream that has none gets `SHARE` times as long for itself as the chunk before took. While a chunk waits for the stream,
it takes only time if there are many changes of its table: else a stream that is far behind would get almost all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

SHARE: Final = 9.0
BEHIND_S: Final = 10.0
"""How long the first chunk waits for a stream that is behind: it would wait for the stream's place anyway, and have the
changes of its table read one by one meanwhile."""
_IDLE_S: Final = 1.0
_TURNS: Final = 50
"""A stream counts as busy when it had no moment without work for so long, and in so many turns."""
_SPARE_SHARE: Final = 2.0
_MOST_SPARE_S: Final = 5.0
MANY: Final = 5000.0
"""Changes of the table in a second that are worth being read in C while the snapshot rests."""


class Pace:
    """Of one stream. *clock*: seconds. *many*: see `MANY`."""

    def __init__(self, clock: Callable[[], float], many: float = MANY) -> None:
        self._clock = clock
        self._many = many
        self._idle_at = -_IDLE_S
        self._turns = _TURNS
        self._spare_s = 0.0
        self._needed_s = 0.0
        self._until = 0.0
        self._began = 0.0
        self._read_at = 0.0
        self._ends_at = 0.0
        self._changes = 0
        self._sending = False
        self.heavy = False
        """Whether the stream changed many rows of the table during the last chunk."""

    def turn(self, *, idle: bool, spare_s: float) -> None:
        """The stream had nothing to read at all, or waited *spare_s* seconds for what it read since the last call."""
        self._turns += 1
        if idle:
            self._idle_at = self._clock()
            self._turns = 0
        if self._sending:
            self._sending = False
            self._rest()
        self._spare_s += spare_s

    def begins(self) -> None:
        """A snapshot begins, or goes on after a restart."""
        self._sending = False
        self._until = self._clock() + BEHIND_S
        self._needed_s = BEHIND_S
        self._spare_s = 0.0

    def asks(self) -> None:
        """A chunk is about to be read."""
        self._sending = False
        self._began = self._clock()
        self._changes = 0

    def change(self) -> None:
        """The stream changed a row of the table."""
        self._changes += 1

    def waits(self) -> None:
        """The chunk was read, and waits for the stream."""
        self._read_at = self._clock()

    def ends(self) -> None:
        """The chunk goes out. Until the next turn its rows are converted and sent."""
        self._sending = True
        self._ends_at = self._clock()
        self._rest()

    def _rest(self) -> None:
        now = self._clock()
        took = now - self._began
        self.heavy = self._changes > self._many * took
        if not self.heavy:
            took -= self._ends_at - self._read_at
        self._until = now + SHARE * took
        self._needed_s = min(_MOST_SPARE_S, _SPARE_SHARE * took)
        self._spare_s = 0.0

    @property
    def rests(self) -> bool:
        """Whether the next chunk has to wait."""
        now = self._clock()
        busy = self._turns >= _TURNS and now >= self._idle_at + _IDLE_S
        return busy and now < self._until and self._spare_s < self._needed_s
