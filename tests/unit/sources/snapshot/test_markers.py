"""The marker of each row that a snapshot reads: by its place in its table, and in all tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from cdc.sources.snapshot.markers import marked
from cdc.sources.snapshot.progress import Progress

FIRST, LAST = "first", "last"
TABLE_FIRST, TABLE_LAST, BETWEEN = "first_in_data_collection", "last_in_data_collection", "true"


def markers(*counts: int) -> list[list[str]]:
    """Of tables with so many rows each, in order."""
    tables = [(object(), count) for count in counts]
    rows = [(table, number) for table, count in tables for number in range(count)]
    found = [each for each in marked(rows) if isinstance(each, tuple)]
    assert [each[:2] for each in found] == rows
    return [[marker for of, _, marker in found if of is table] for table, _ in tables]


@pytest.mark.parametrize(("counts", "wanted"), [
    ((), []),
    ((0,), [[]]),
    ((1,), [[LAST]]),
    ((2,), [[FIRST, LAST]]),
    ((3,), [[FIRST, BETWEEN, LAST]]),
    ((5,), [[FIRST, BETWEEN, BETWEEN, BETWEEN, LAST]]),
    ((1, 1), [[FIRST], [LAST]]),
    ((1, 1, 1), [[FIRST], [TABLE_LAST], [LAST]]),
    ((2, 1), [[FIRST, TABLE_LAST], [LAST]]),
    ((1, 2), [[FIRST], [TABLE_FIRST, LAST]]),
    ((2, 2, 2), [[FIRST, TABLE_LAST], [TABLE_FIRST, TABLE_LAST], [TABLE_FIRST, LAST]]),
    ((3, 4, 3), [[FIRST, BETWEEN, TABLE_LAST], [TABLE_FIRST, BETWEEN, BETWEEN, TABLE_LAST],
                 [TABLE_FIRST, BETWEEN, LAST]]),
    ((2, 0, 0, 2), [[FIRST, TABLE_LAST], [], [], [TABLE_FIRST, LAST]]),
    ((0, 1, 0), [[], [LAST], []]),
    ((0, 2, 0, 1, 0), [[], [FIRST, TABLE_LAST], [], [LAST], []]),
], ids=str)
def test_each_place(counts: tuple[int, ...], wanted: list[list[str]]) -> None:
    assert markers(*counts) == wanted


def test_of_any_tables_one_row_is_the_last_and_at_most_one_the_first() -> None:
    for counts in itertools.product(range(4), repeat=4):
        found = list(itertools.chain(*markers(*counts)))
        assert found.count(LAST) == (len(found) > 0)
        assert found.count(FIRST) == (len(found) > 1)
        assert found[-1:] == [LAST] * (len(found) > 0)
        assert found[:1] == [FIRST] * (len(found) > 1) + [LAST] * (len(found) == 1)


def test_tables_are_known_by_identity_and_not_by_equality() -> None:
    one, another = ["t"], ["t"]
    found = marked([(one, 1), (another, 2), (another, 3)])
    assert [each[2] for each in found if isinstance(each, tuple)] == [FIRST, TABLE_FIRST, LAST]


def test_nothing_yet_is_passed_on_where_it_came_and_changes_no_marker() -> None:
    table, other = object(), object()
    rows = [None, (table, 1), None, None, (table, 2), (other, 3), None, (other, 4), None]
    found = list(marked(rows))
    assert [each for each in found if each is not None] == [
        (table, 1, FIRST), (table, 2, TABLE_LAST), (other, 3, TABLE_FIRST), (other, 4, LAST)]
    assert found.count(None) == 5
    assert list(marked([None, None])) == [None, None]


def test_a_row_is_held_back_until_the_next_is_there() -> None:
    asked: list[int] = []

    def rows() -> Iterator[tuple[str, int] | None]:
        for number in range(3):
            asked.append(number)
            yield "t", number
        yield None

    found = marked(rows())
    assert next(found) == ("t", 0, FIRST)
    assert asked == [0, 1]
    assert next(found) == ("t", 1, BETWEEN)
    assert asked == [0, 1, 2]
    assert next(found) is None  # so the wait for the snapshot's end is not silent
    assert next(found) == ("t", 2, LAST)


def test_an_error_of_the_reader_makes_no_row_the_last() -> None:
    def rows() -> Iterator[tuple[str, int]]:
        yield "t", 0
        yield "t", 1
        raise ConnectionError

    found = marked(rows())
    assert next(found) == ("t", 0, FIRST)
    with pytest.raises(ConnectionError):
        next(found)


def test_progress_comes_behind_the_row_before_it() -> None:
    before, within, last = Progress(), Progress(count=1), Progress(count=2)
    found = list(marked([before, ("t", 0), within, None, ("t", 1), last]))
    assert found == [before, None, ("t", 0, FIRST), within, ("t", 1, LAST), last]


def test_a_copy_that_goes_on_has_no_first_row_again() -> None:
    rows = [("t", 0), ("t", 1), ("u", 2), ("u", 3)]
    assert [each[2] for each in marked(rows, resumed=True, within=True) if isinstance(each, tuple)] == [
        BETWEEN, TABLE_LAST, TABLE_FIRST, LAST]
    assert [each[2] for each in marked(rows, resumed=True) if isinstance(each, tuple)] == [
        TABLE_FIRST, TABLE_LAST, TABLE_FIRST, LAST]
