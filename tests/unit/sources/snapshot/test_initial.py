"""The loop around every first copy: batches, positions, markers, counts, contexts."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from cdc.core.errors import SourceConnectionError
from cdc.core.packing import pack
from cdc.core.record import Batch, Message, Record, SourceContext
from cdc.core.row import Row, row_of
from cdc.core.schema import INT64, Schema
from cdc.core.table import TableId, TableSchema
from cdc.sources.snapshot.initial import BATCH_BYTES, MOST_AHEAD, InitialSnapshot
from cdc.sources.snapshot.progress import CHUNK_BYTES, CHUNK_ROWS, KEY, Place, Progress

SCHEMA = Schema(INT64)


@dataclass(frozen=True)
class At:
    """A position."""

    name: str

    def offset(self) -> dict[str, Any]:
        return {"at": self.name}


@dataclass(frozen=True)
class Reached(At):
    progress: Progress


def during(reached: Progress) -> At:
    return At("during")


@dataclass(frozen=True)
class Read:
    table: TableSchema
    rows: Sequence[bytes | Exception | Place | None]


class Reader:
    """Gives each read's rows; None is waiting."""

    def __init__(self) -> None:
        self.began = 0
        self.closed = False
        self.contexts: list[tuple[str, str]] = []

    def begin(self) -> None:
        self.began += 1

    def reads(self, tables: Sequence[Read | int | None], *, several: bool) -> Iterator[Read | int | None]:
        return iter(tables)

    def ranges(self, read: Read, after: Place | None) -> Generator[None, None, list[int]]:
        yield from ()
        return [0 if after is None else read.rows.index(after) + 1]

    def divided(self, read: Read, range: int) -> Generator[None, None, list[int]]:
        yield from ()
        return []

    def rows(self, read: Read, range: int) -> Iterator[Row | Place | None]:
        for each in read.rows[range:]:
            if isinstance(each, Exception):
                raise each
            yield each if each is None or isinstance(each, Place) else row(each)

    def context(self, read: Read, marker: str) -> SourceContext:
        self.contexts.append((read.table.id.table, marker))
        return SourceContext(SCHEMA, (read.table.id.table, marker), ())

    def alive(self) -> bool:
        return True

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def row(data: bytes) -> Row:
    return row_of([data])


def read(name: str, *rows: bytes | Exception | Place | None) -> Read:
    return Read(TableSchema(TableId("d", "s", name), name, (), (), None, SCHEMA, SCHEMA), rows)


def snapshot(*reads: Read | int | None, max_records: int = 100, **options: Any) -> InitialSnapshot[At]:
    return InitialSnapshot(Reader(), reads, during=during, final=At("final"), max_records=max_records, **options)


def message(text: str) -> Message:
    return Message("topic", None, None, None, text)


def drain(copying: InitialSnapshot[At], timeout: float = 0) -> list[Batch]:
    found = []
    while not copying.done:
        batch = copying.poll(timeout)
        if batch is not None:
            found.append(batch)
    return found


def said(batches: list[Batch]) -> list[Any]:
    """Messages' values; of records the table, the value's bytes and the marker."""
    return [each.value if isinstance(each, Message) else (*each.source.values, value(each))
            for batch in batches for each in batch.records]


def value(record: Record) -> Any:
    assert record.after is not None
    assert record.key_row is record.after
    return record.after.raw(0)


def test_rows_come_table_by_table_with_their_markers() -> None:
    batches = drain(snapshot(read("a", b"1", b"2"), read("b"), read("c", b"3", b"4")))
    assert said(batches) == [("a", "first", b"1"), ("a", "last_in_data_collection", b"2"),
                             ("c", "first_in_data_collection", b"3"), ("c", "last", b"4")]
    assert [batch.counts for batch in batches] == [{("s.a", "r"): 2, ("s.c", "r"): 2}]
    assert {each.op for each in batches[0].records if isinstance(each, Record)} == {"r"}


def test_only_the_last_batch_has_the_final_position() -> None:
    batches = drain(snapshot(read("a", b"1", b"2", b"3"), max_records=2))
    assert [[value(each) for each in batch.records if isinstance(each, Record)] for batch in batches] == [
        [b"1", b"2"], [b"3"]]
    assert [batch.position for batch in batches] == [At("during"), At("final")]
    assert [batch.counts for batch in batches] == [{("s.a", "r"): 2}, {("s.a", "r"): 1}]


def test_an_end_at_a_batchs_limit_gives_an_empty_last_batch() -> None:
    batches = drain(snapshot(read("a", b"1", b"2"), max_records=2))
    assert [(len(batch.records), batch.position) for batch in batches] == [(2, At("during")), (0, At("final"))]


def test_batches_are_bounded_by_bytes() -> None:
    big = b"x" * (BATCH_BYTES // 2)
    batches = drain(snapshot(read("a", big, big, big)))
    assert [len(batch.records) for batch in batches] == [2, 1]
    assert batches[0].size_bytes >= BATCH_BYTES


def test_nothing_to_read_is_done_at_once() -> None:
    batches = drain(snapshot())
    assert [(batch.records, batch.position) for batch in batches] == [([], At("final"))]


def test_waiting_for_the_server_gives_no_batch() -> None:
    copying = snapshot(read("a", None, b"1", None, b"2", None))
    assert copying.poll(0) is None
    assert copying.poll(0) is None, "a row is held back until the next one is known"
    batch = copying.poll(0)
    assert batch is not None
    assert said([batch]) == [("a", "first", b"1")]
    assert said(drain(copying)) == [("a", "last", b"2")]


def test_a_timeout_is_not_over_while_rows_come() -> None:
    assert len(drain(snapshot(read("a", None, b"1", None, b"2")), timeout=60)) == 1


def test_one_context_serves_all_rows_of_a_table_with_one_marker() -> None:
    reader = Reader()
    reads = [read("a", *[b"1"] * 5), read("b", *[b"1"] * 4)]
    copying = InitialSnapshot(reader, reads, during=during, final=At("final"), max_records=2)
    drain(copying)
    assert reader.contexts == [
        ("a", "first"), ("a", "true"), ("a", "last_in_data_collection"),
        ("b", "first_in_data_collection"), ("b", "true"), ("b", "last")]
    assert reader.began == 1


def test_tables_without_rows_are_passed_over_together() -> None:
    copying = InitialSnapshot(Reader(), [read("a", b"1"), 3, None, read("b", b"2")], during=during,
                              final=At("final"), max_records=9)
    copying.remaining = 5
    assert said(drain(copying)) == [("a", "first", b"1"), ("b", "last", b"2")]
    assert copying.remaining == 0


@pytest.mark.parametrize("empty", [2, read("a")], ids=["found together", "found alone"])
def test_no_row_is_the_first_if_the_first_table_is_empty(empty: Read | int) -> None:
    assert said(drain(snapshot(empty, read("b", b"1", b"2"), read("c", b"3")))) == [
        ("b", "first_in_data_collection", b"1"), ("b", "last_in_data_collection", b"2"), ("c", "last", b"3")]


def test_a_stretch_of_empty_tables_does_not_hold_up_the_task() -> None:
    copying = snapshot(read("a", b"1"), *[1] * 50, read("b", b"2"))
    assert copying.poll(0) is None
    assert len(drain(copying)) == 1


def test_a_stretch_without_rows_does_not_hold_up_the_task() -> None:
    copying = snapshot(read("a", *[Place(str(number)) for number in range(50)], b"1"))
    assert copying.poll(0) is None
    assert copying.row_count == 0
    assert said(drain(copying)) == [("a", "last", b"1")]


def test_numbers_follow_the_tables() -> None:
    copying = snapshot(read("a", b"1"), read("b", b"2", b"3"), max_records=1)
    assert copying.metrics()["cdc_snapshot_tables"] == 2
    assert copying.metrics()["cdc_snapshot_tables_remaining"] == 2
    copying.poll(0)
    assert copying.metrics()["cdc_snapshot_tables_remaining"] == 1
    drain(copying)
    numbers = copying.metrics()
    assert (numbers["cdc_snapshot_tables"], numbers["cdc_snapshot_tables_remaining"]) == (2, 0)
    assert numbers["cdc_snapshot_duration_seconds"] >= 0
    assert copying.row_count == 3


def test_messages_go_before_the_rows() -> None:
    batches = drain(snapshot(read("a", b"1"), messages=[message("m1"), message("m2")]))
    assert said(batches) == ["m1", "m2", ("a", "last", b"1")]
    assert batches[0].counts == {("s.a", "r"): 1}


@pytest.mark.parametrize("reads", [(), (read("a"), read("b"))], ids=["no tables", "empty tables"])
def test_without_rows_the_last_message_is_the_last_record(reads: tuple[Read, ...]) -> None:
    batches = drain(snapshot(*reads, messages=[message("m1"), message("m2")],
                             as_last=lambda each: replace(each, value=f"last {each.value}")))
    assert said(batches) == ["m1", "last m2"]
    assert batches[-1].position == At("final")


def test_an_error_ends_it_before_the_final_position() -> None:
    copying = snapshot(read("a", b"1", b"2"), read("b", SourceConnectionError("swapped")), max_records=1)
    first = copying.poll(0)
    assert first is not None
    assert first.position == At("during")
    with pytest.raises(SourceConnectionError, match="swapped"):
        copying.poll(0)
    assert not copying.done


def test_closing_closes_the_reader() -> None:
    reader = Reader()
    reads: list[Read] = []
    InitialSnapshot(reader, reads, during=during, final=At("final"), max_records=1).close()
    assert reader.closed


# -- progress ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept(At):
    """A position that is stored with the progress, and read again."""

    reached: dict[str, Any]


ROWS = [b"%d" % number for number in range(1, 10)]


def tables() -> list[Read]:
    return [read("a", *ROWS[:3]), read("b"), read("c", *ROWS[3:5], Place("5"), *ROWS[5:7], Place("7"), *ROWS[7:])]


def attempt(stored: dict[str, Any], max_records: int) -> InitialSnapshot[At]:
    progress = Progress.from_offset(stored) or Progress()
    left = progress.left(tables(), lambda each: str(each.table.id))
    return InitialSnapshot(Reader(), left, during=lambda reached: Kept("during", reached.offset()), final=At("final"),
                           max_records=max_records, progress=progress)


@pytest.mark.parametrize("seed", range(40))
def test_a_copy_that_ends_again_and_again_sends_every_row_in_order(seed: int) -> None:
    rng = random.Random(seed)
    stored: dict[str, Any] = {}
    sent: list[Any] = []
    done = False
    while not done:
        copying = attempt(stored, rng.randrange(1, 5))
        for _ in range(rng.randrange(1, 9)):
            batch = copying.poll(60)
            assert batch is not None
            sent += said([batch])
            done = copying.done and rng.random() < 0.5
            if done:
                break
            if isinstance(batch.position, Kept) and rng.random() < 0.8:  # else it was not committed before the end
                stored = batch.position.reached
            if copying.done:
                break
    assert list(dict.fromkeys(value for _, _, value in sent)) == ROWS
    assert {"first", "last"} <= {mark for _, mark, _ in sent}


def test_a_table_goes_on_behind_the_place_that_was_reached() -> None:
    stored = Progress().after_table("s.a").within("s.c", Place("5")).offset()
    batches = drain(attempt(stored, 100))
    assert said(batches) == [("c", "true", b"6"), ("c", "true", b"7"), ("c", "true", b"8"), ("c", "last", b"9")]


def test_a_table_whose_name_another_one_has_is_read_again() -> None:
    stored = Progress().after_table("s.a", "1").after_table("s.b", "2").within("s.c", Place("5"), "3").offset()
    progress = Progress.from_offset(stored)
    assert progress is not None

    def left(**present: str) -> list[tuple[str, str]]:
        same = progress.of_same({f"s.{name}": identity for name, identity in present.items()})
        assert Progress.from_offset(same.offset()) == same
        return [(name, same.place if name == same.table else "") for name in same.left(["s.a", "s.b", "s.c"], str)]

    assert left(a="1", b="2", c="3") == [("s.c", "5")]
    assert left(a="4", b="2", c="3") == [("s.c", "5"), ("s.a", "")]
    assert left(a="1", b="2", c="4") == [("s.c", "")]
    assert left(a="1", c="3") == [("s.c", "5"), ("s.b", "")], "it was dropped, and may be made again"


def test_progress_without_identities_is_of_tables_that_are_read_again() -> None:
    stored = {KEY: pack('{"done":["s.a"],"table":"s.c","place":"5"}')}
    progress = Progress.from_offset(stored)
    assert progress is not None
    assert progress.of_same({"s.a": "1", "s.c": "3"}) == Progress()


def test_a_place_counts_only_with_the_rows_before_it() -> None:
    copying = attempt({}, 1)
    reached = []
    while not copying.done:
        batch = copying.poll(60)
        if batch is not None and isinstance(batch.position, Kept):
            found = Progress.from_offset(batch.position.reached)
            assert found is not None
            reached.append((found.count, found.place, said([batch])[0][2]))
    assert reached[2:] == [(0, "", b"3"), (2, "", b"4"), (2, "", b"5"), (2, "5", b"6"), (2, "5", b"7"), (2, "7", b"8"),
                           (2, "7", b"9")]


def test_progress_is_committed_after_so_many_rows() -> None:
    size = CHUNK_ROWS // 2
    rows = read("a", *[b"1"] * (CHUNK_ROWS + size))
    batches = drain(snapshot(rows, max_records=size))
    assert [batch.commit_soon for batch in batches] == [False, True, False, False]


def test_progress_is_committed_after_so_many_bytes_too() -> None:
    batches = drain(snapshot(read("a", *[b"1" * (CHUNK_BYTES // 4)] * 6)))
    assert [batch.commit_soon for batch in batches] == [False, False, False, True, False, False, False]


def test_no_more_is_sent_ahead_of_the_commits_than_a_restart_may_repeat() -> None:
    parts: list[bytes | Exception | Place | None] = []
    for number in range(8):
        parts += [*[b"%d" % number] * CHUNK_ROWS, Place(str(number))]
    copying: Any = snapshot(read("a", *parts), max_records=CHUNK_ROWS // 2)
    copying._during = lambda progress: Reached("during", progress)
    waited: list[float] = []
    copying.follow_commits(waited.append)
    sent: list[Any] = []

    def polls() -> int:
        """The rows of the batches that come until there are none."""
        before = len(sent)
        while not copying.done and (batch := copying.poll(60)) is not None:
            sent.append(batch)
        return sum(len(batch.records) for batch in sent[before:])

    rows = polls()
    assert MOST_AHEAD * CHUNK_ROWS <= rows <= (MOST_AHEAD + 1) * CHUNK_ROWS
    assert waited == [60], "the whole time, for the store"
    assert polls() == 0
    copying.committed(Progress())
    assert polls() == 0, "that is nothing that was sent"
    copying.committed(sent[2].position.progress)
    assert 0 < polls() <= 2 * CHUNK_ROWS
    while not copying.done:
        copying.committed(sent[-1].position.progress)
        polls()
    assert sum(len(batch.records) for batch in sent) == 8 * CHUNK_ROWS


def test_progress_is_committed_at_the_end_of_a_chunk() -> None:
    size = CHUNK_ROWS // 4
    few = [b"1"] * size
    batches = drain(snapshot(read("a", *few, Place("1"), *few, *few, Place("2"), b"1"), max_records=size))
    assert [batch.commit_soon for batch in batches] == [False, True, False, True]
