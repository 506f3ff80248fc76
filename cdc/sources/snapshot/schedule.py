"""What is read next: one range after the other, of one table after the other. Pure; it never sees SQL.

Whoever is idle takes the next range. Where the server must be asked for it (which of the next tables have rows, how the
next table is divided), that reader asks. So the tables are planned while they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from fractions import Fraction
from typing import Any, Final

from cdc.core.dataclass import dataclass

from .progress import Place

_WHOLE: Final = Fraction(1)
TOGETHER: Final = 100
"""Of so many tables one question finds those that have rows."""


@dataclass(frozen=True)
class Unit:
    """A range of a table, which one reader reads. `read` and `range` are the reader's own. `share`: how much of the
    table is read with it, as far as the ranges tell. `only`: the table has no other range."""

    read: Any
    range: Any
    share: Fraction = _WHOLE
    only: bool = True


@dataclass
class _Part:
    """A part of a table, in *ranges* of which `given` had their turn. Each is *share* of the table."""

    ranges: Sequence[Any]
    share: Fraction
    given: int = 0

    @property
    def over(self) -> bool:
        return self.given == len(self.ranges)


@dataclass(frozen=True)
class TableEnd:
    """All ranges of the table were given out before."""

    read: Any


class Schedule:
    """Gives out *tables* range by range. Not for several threads at a time; each call may come with another reader.

    *after*: where an earlier attempt was in the table of a read; None to read it from its start.
    """

    def __init__(self, tables: Sequence[Any], after: Callable[[Any], Place | None]) -> None:
        self._tables = tables
        self._after = after
        self._at = 0
        self._reads: Iterator[Any] | None = None
        self._read: Any = None
        self._parts: list[_Part] | None = None
        self._share = Fraction(0)

    def next(self, reader: Any) -> Generator[None, None, Unit | TableEnd | int | None]:
        """The next unit; a number stands for so many tables without rows; None at the end. *reader* asks the server for
        it: a None is yielded while that has not answered. After an error of the reader another one may go on."""
        if self._read is None:
            found = yield from self._table(reader)
            if found is None or isinstance(found, int):
                return found
            self._read, self._parts = found, None
        if self._parts is None:
            ranges = yield from reader.ranges(self._read, self._after(self._read))
            self._parts = [_Part(ranges, _WHOLE / max(1, len(ranges)))]
            self._share = Fraction(0)
        while self._parts:
            part = self._parts[-1]
            if part.over:
                self._parts.pop()
                continue
            whole = part.ranges[part.given]
            smaller = yield from reader.divided(self._read, whole)
            part.given += 1
            if not smaller:
                only = not self._share and all(each.over for each in self._parts)
                self._share += part.share
                return Unit(self._read, whole, self._share, only)
            self._parts.append(_Part(smaller, part.share / len(smaller)))
        ended, self._read = self._read, None
        return TableEnd(ended)

    def _table(self, reader: Any) -> Generator[None, None, Any]:
        while True:
            if self._reads is None:
                some = self._tables[self._at:self._at + TOGETHER]
                if not some:
                    return None
                self._reads = iter(reader.reads(some, several=len(self._tables) > TOGETHER))
            try:
                for found in self._reads:
                    if found is None:
                        yield None
                        continue
                    self._at += found if isinstance(found, int) else 1
                    return found
            except BaseException:
                self._reads = None
                raise
            self._reads = None
