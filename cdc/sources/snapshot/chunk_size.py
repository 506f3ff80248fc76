"""How many rows a chunk beside the stream is to have."""

from __future__ import annotations

from typing import Final

CHUNK_BYTES: Final = 8 << 20
"""A chunk ends with the row that makes it larger."""
DEFAULT_ROWS: Final = 1024
"""`incremental.snapshot.chunk.size`. Who sets another number wants chunks of just that."""
_LARGER: Final = 16
_AIM_BYTES: Final = 7 << 20
"""Of the chunks to come: a row too much costs a connection."""
_MOST_VALUES: Final = 1 << 20
"""Of a chunk that has more rows than were configured: each costs some bytes beyond its own."""
_SHORT_S: Final = 0.1
_LONG_S: Final = 0.3


class ChunkSize:
    """`rows`: of the next chunk. *rows*: as configured; the default grows where a chunk takes the stream little time.
    """

    def __init__(self, rows: int) -> None:
        self._least = rows
        self._most = self._most_here = rows * _LARGER if rows == DEFAULT_ROWS else rows
        self._limit = self._fit = self.rows = rows

    def begins(self, columns: int) -> None:
        """A table with so many *columns* is to be read."""
        self._most_here = max(self._least, min(self._most, _MOST_VALUES // max(1, columns)))
        self._limit = self._fit = self.rows = self._least

    def halve(self) -> None:
        self.rows = max(1, self.rows // 2)

    def double(self) -> None:
        """Also beyond the limit."""
        self.rows *= 2

    def read(self, rows: int, size_bytes: int) -> None:
        """A chunk of so many *rows* was read."""
        self._fit = max(1, _AIM_BYTES * rows // max(1, size_bytes))
        most = min(self._limit, self._fit)
        if self.rows < self._limit // 2 and rows >= self.rows:
            most = min(most, self.rows * 2)  # it was made smaller, for what may be over
        self.rows = most

    def sent(self, seconds: float) -> None:
        """To take, convert and send a chunk has taken so long, in which the stream waited."""
        if seconds < _SHORT_S:
            limit = min(self._most_here, self._limit * 2)
        elif seconds > _LONG_S:
            limit = max(self._least, self._limit // 2)
        else:
            return
        if self.rows == self._limit or self.rows > limit:
            self.rows = min(limit, self._fit)
        self._limit = limit
