"""Which rows of the last timestamp were delivered.

Rows with the same timestamp can be committed after the first of them was read. So the next SELECT begins with that
timestamp again, and this leaves out what was delivered. It is lost when the process ends: after a restart the rows of
the last timestamp are repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

MOST_ROWS: Final = 100_000
"""So many rows of one timestamp are known one by one. Of more, only whether they are still the same."""


def digest(row: Sequence[Any]) -> bytes:
    """Stands for the content of *row*."""
    return hashlib.blake2b(repr(tuple(row)).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Boundary:
    """`at`: the last timestamp; None before the first row. Rows come in the order of their timestamps."""

    def __init__(self, at: int | None, most_rows: int = MOST_ROWS) -> None:
        self.at = at
        self._most = most_rows
        self._delivered: dict[bytes, int] | None = {}
        self._met: dict[bytes, int] = {}
        self._sum = self._count = 0
        self._met_sum = self._met_count = 0

    @property
    def is_full(self) -> bool:
        """Whether the rows are too many to be known one by one."""
        return self._delivered is None

    def same(self, count: int, total: int) -> bool:
        """Whether *count* rows with the sum *total* of their digests are those that were delivered."""
        return (count, total) == (self._count, self._sum)

    def begin(self) -> None:
        """A SELECT begins again with `at`."""
        self._met, self._met_sum, self._met_count = {}, 0, 0

    def forget(self) -> None:
        """The next SELECT repeats all rows of `at`."""
        self._delivered, self._sum, self._count = {}, 0, 0

    def is_new(self, at: int, row: Sequence[Any]) -> bool:
        """Whether *row*, with timestamp *at*, is to be delivered. It then counts as delivered."""
        if self.at is None or at > self.at:
            self.at = at
            self.forget()
            self.begin()
        if at < self.at:
            return True
        mark = digest(row)
        self._met_count += 1
        self._met_sum += int.from_bytes(mark, "big")
        if self._delivered is None:
            self._count, self._sum = self._met_count, self._met_sum
            return True
        self._met[mark] = found = self._met.get(mark, 0) + 1
        new = found > self._delivered.get(mark, 0)
        if new:
            self._delivered[mark] = found
            self._count += 1
            self._sum += int.from_bytes(mark, "big")
            if len(self._delivered) > self._most:
                self._delivered, self._met = None, {}
                self._count, self._sum = self._met_count, self._met_sum
        return new

    def end(self) -> None:
        """The SELECT that began with `at`, or came to it, is read to its end: what it did not find is gone, and would
        be new again."""
        if self._delivered is not None:
            self._delivered = self._met
            self._met = {}
            self._count, self._sum = self._met_count, self._met_sum
