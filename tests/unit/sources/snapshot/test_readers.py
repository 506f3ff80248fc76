"""Several readers give what one reader gives, however their threads take turns, whatever is lost, and within bounds."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from cdc.core.errors import SourceConnectionError, SourceRefusedError
from cdc.core.record import Batch, Record, SourceContext
from cdc.core.row import Row, row_of
from cdc.core.schema import INT64, Schema
from cdc.core.table import TableId, TableSchema
from cdc.sources.snapshot import readers as several
from cdc.sources.snapshot.initial import InitialSnapshot, Lines
from cdc.sources.snapshot.progress import Place, Progress
from cdc.sources.snapshot.readers import Readers
from cdc.sources.snapshot.told import Told

SCHEMA = Schema(INT64)
SEEDS = range(60)


@dataclass(frozen=True)
class At:
    reached: dict[str, Any]

    def offset(self) -> dict[str, Any]:
        return self.reached


@dataclass(frozen=True)
class Read:
    table: TableSchema
    rows: range


class Session:
    """A reader of tables that are ranges of numbers; a range of one is (first, end). It divides in halves what has more
    than ten rows, and is lost by chance where a connection may be."""

    def __init__(self, seed: int, lost: float = 0, size: int = 1) -> None:
        self.pick = random.Random(seed)
        self.lost = lost
        self.size = size
        self.living = True
        self.closed = False
        self.began = 0
        self.interrupted = threading.Event()
        self.hangs: Callable[[Any], bool] = lambda unit: False

    def maybe_lost(self) -> None:
        if not self.living or self.pick.random() < self.lost:
            self.living = False
            raise SourceConnectionError("The connection is gone.")

    def begin(self) -> None:
        self.began += 1

    def reads(self, tables: Sequence[Read], *, several: bool) -> Iterator[Read | int | None]:
        self.maybe_lost()
        yield None
        for each in tables:
            yield each if each.rows or not several else 1

    def ranges(self, read: Read, after: Place | None) -> Generator[None, None, list[tuple[int, int]]]:
        self.maybe_lost()
        yield None
        return [(int(after.text) if after is not None else read.rows.start, read.rows.stop)]

    def divided(self, read: Read, part: tuple[int, int]) -> Generator[None, None, list[tuple[int, int]]]:
        self.maybe_lost()
        yield None
        first, end = part
        middle = (first + end) // 2
        return [] if end - first <= 10 else [(first, middle), (middle, end)]

    def rows(self, read: Read, part: tuple[int, int]) -> Iterator[Row | Place | None]:
        self.maybe_lost()
        while self.hangs(part):
            if self.interrupted.wait(0.001):
                raise SourceConnectionError("The connection was closed.")
            yield None
        for number in range(*part):
            if self.pick.random() < 0.1:
                yield None
            yield row_of([b"%d".ljust(self.size) % number])
        yield Place(str(part[1]))

    def context(self, read: Read, marker: str) -> SourceContext:
        return SourceContext(SCHEMA, (read.table.id.table, marker), ())

    def alive(self) -> bool:
        return self.living

    def interrupt(self) -> None:
        self.interrupted.set()

    def close(self) -> None:
        self.closed = True


def table(name: str, first: int, count: int) -> Read:
    return Read(TableSchema(TableId("d", "s", name), name, (), (), None, SCHEMA, SCHEMA), range(first, first + count))


def some_tables(seed: int) -> list[Read]:
    pick = random.Random(seed)
    counts = [pick.choice((0, 1, 3, 40, 150)) for _ in range(pick.randrange(1, 8))]
    return [table(f"t{number}", 1000 * number, count) for number, count in enumerate(counts)]


class Copy:
    """Of *tables*, with *threads* readers; their sessions are in `made`."""

    def __init__(self, tables: Sequence[Read], threads: int, seed: int = 0, *, lost: float = 0,
                 progress: Progress | None = None, max_bytes: int = 3000, max_records: int = 7, size: int = 1,
                 told: Told | None = None) -> None:
        self.made = [Session(seed + number, lost, size) for number in range(threads)]

        def another(left: Sequence[Any]) -> Session:
            self.made.append(Session(seed + len(self.made), 0, size))
            return self.made[-1]

        self.readers = Readers(self.made, another, max_bytes=max_bytes) if threads > 1 else None
        self.snapshot = InitialSnapshot(
            self.made[0], tables, during=lambda reached: At(reached.offset()), final=At({}),
            max_records=max_records, progress=progress, several=self.readers, told=told, parts=lambda read: 4)

    def batch(self) -> Batch | None:
        return self.snapshot.poll(0.02)

    def drain(self) -> list[Any]:
        found: list[Any] = []
        self.drain_to(found)
        return found

    def drain_to(self, found: list[Any]) -> None:
        try:
            while not self.snapshot.done:
                found += said(self.batch())
        finally:
            self.snapshot.close()


def said(batch: Batch | None) -> list[Any]:
    return [(*each.source.values, int(each.after.raw(0) or b"")) for each in (batch.records if batch else ())
            if isinstance(each, Record) and isinstance(each.after, Row)]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_records_are_those_of_one_reader(seed: int) -> None:
    tables = some_tables(seed)
    assert Copy(tables, 1 + seed % 5, seed).drain() == Copy(tables, 1).drain()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_session_that_is_lost_between_ranges_is_replaced(seed: int) -> None:
    tables = some_tables(seed)
    copy = Copy(tables, 4, seed, lost=0.3)
    assert copy.drain() == Copy(tables, 1).drain()
    assert all(each.closed for each in copy.made)
    assert all(each.began <= 1 for each in copy.made)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_copy_that_is_killed_again_and_again_sends_all_and_little_twice(seed: int) -> None:
    tables, pick = some_tables(seed), random.Random(seed)
    wanted = Copy(tables, 1).drain()
    stored: dict[str, Any] = {}
    sent: list[int] = []
    kills, done = 0, False
    while not done:
        progress = Progress.from_offset(stored) or Progress()
        copy = Copy(progress.left(tables, lambda each: str(each.table.id)), 4, seed + kills, progress=progress)
        for _ in range(pick.randrange(1, 12)):
            batch = copy.batch()
            sent += [each[2] for each in said(batch)]
            if batch is not None and not copy.snapshot.done:
                stored = batch.position.offset()
            done = copy.snapshot.done
            if done:
                break
        copy.snapshot.close()
        kills += 1
    assert list(dict.fromkeys(sent)) == [each[2] for each in wanted]
    assert len(sent) <= len(wanted) + kills * (10 + 2 * 7), "a range, and what was held back and in flight"


def test_rows_that_are_read_ahead_are_bounded_over_all_readers() -> None:
    copy = Copy([table("a", 0, 4000)], 4, size=90, max_bytes=40_000)
    found: list[Any] = []
    most = 0
    while not copy.snapshot.done:
        found += said(copy.batch())
        assert copy.readers is not None
        most = max(most, copy.readers._queued_bytes)
        time.sleep(0)
    copy.snapshot.close()
    assert len(found) == 4000
    assert most <= 40_000 + 10 * 200, "at most a range is read beyond it, by the one whose turn it is"


def test_lines_count_with_the_objects_that_hold_them() -> None:
    lines = [b"1\t2"] * 1000
    assert sys.getsizeof(lines[0]) + 8 <= several._size(Lines(lines, 3000)) / 1000 <= 100


def test_a_row_larger_than_all_that_may_be_read_ahead_passes() -> None:
    copy = Copy([table("a", 0, 30)], 4, size=500_000, max_bytes=100_000)
    assert [each[2] for each in copy.drain()] == list(range(30))


def test_a_reader_that_hangs_does_not_hold_up_the_task_and_ends_with_it() -> None:
    copy = Copy([table("a", 0, 100)], 3)
    for each in copy.made:
        each.hangs = lambda unit: bool(unit[0] == 0)
    assert copy.batch() is None
    copy.snapshot.close()
    assert copy.readers is not None
    assert not any(thread.is_alive() for thread in copy.readers._threads)
    assert all(each.closed for each in copy.made)


def test_an_error_comes_behind_the_rows_before_it() -> None:
    def broken(session: Session, read: Read, part: tuple[int, int]) -> Iterator[Row | Place | None]:
        if part[0] >= 50:
            raise SourceRefusedError("Permission denied.")
        return Session.rows(session, read, part)

    copy = Copy([table("a", 0, 100)], 4, max_bytes=1 << 20)
    for each in copy.made:
        each.rows = lambda read, part, each=each: broken(each, read, part)  # type: ignore[method-assign, misc]
    found: list[Any] = []
    with pytest.raises(SourceRefusedError, match="Permission denied"):
        copy.drain_to(found)
    assert [each[2] for each in found] == list(range(len(found)))
    assert len(found) >= 40


def test_a_session_that_is_lost_again_and_again_ends_the_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Copy([table("a", 0, 100)], 2)
    made: list[Session] = []

    def another(left: Sequence[Any]) -> Session:
        made.append(Session(0, lost=1))
        return made[-1]

    assert copy.readers is not None
    monkeypatch.setattr(copy.readers, "_another", another)
    for each in copy.made:
        each.lost = 1
    with pytest.raises(SourceConnectionError, match="connection is gone"):
        copy.drain()
    assert 1 <= len(made) <= 2 * several._REPLACEMENTS


@pytest.mark.parametrize("seed", SEEDS)
def test_parts_of_tables_are_told_of_in_order_however_they_are_divided(seed: int) -> None:
    tables = some_tables(seed)
    heard: dict[str, list[tuple[str, int, int]]] = {}

    def tell(type: str, data: Any) -> None:
        if "CHUNK" in type:
            name = data.get("scanned_collection") or data["current_collection_in_progress"]
            heard.setdefault(name, []).append((type[12:], int(data["chunk_index"]), int(data["total_chunks"])))

    names = [str(each.table.id) for each in tables]
    Copy(tables, 3, seed, told=Told(names, names, tell, parts=True)).drain()
    for name, each in zip(names, tables, strict=True):
        total = 4 if len(each.rows) > 10 else 1
        assert heard[name] == [(what, number, total) for number in range(total)
                               for what in ("IN_PROGRESS", "COMPLETED")]
