"""Row images: what is where, and that nothing outside the bytes can be said or asked."""

from __future__ import annotations

import pytest

from cdc.core.row import ABSENT, BINARY, NULL, TEXT, UNCHANGED, Row, patched, row_of

KINDS = (TEXT, BINARY, NULL, UNCHANGED, ABSENT)


def test_columns_are_absent_until_they_are_put() -> None:
    row = Row(b"abc", 2)
    assert [(row.kind(index), row.raw(index)) for index in range(2)] == [(ABSENT, None)] * 2


def test_bytes_are_those_of_the_range() -> None:
    row = Row(b"abcdef", 5)
    for index, (kind, start, end) in enumerate([(TEXT, 0, 2), (BINARY, 2, 6), (TEXT, 6, 6), (NULL, 0, 0),
                                                (UNCHANGED, 0, 0)]):
        row.put(index, kind, start, end)
    assert [row.raw(index) for index in range(5)] == [b"ab", b"cdef", b"", None, None]
    assert [row.kind(index) for index in range(5)] == [TEXT, BINARY, TEXT, NULL, UNCHANGED]


@pytest.mark.parametrize("index", [-1, 2, 1 << 30])
def test_a_column_that_is_not_there_is_absent_and_cannot_be_put(index: int) -> None:
    row = Row(b"abc", 2)
    assert (row.kind(index), row.raw(index)) == (ABSENT, None)
    with pytest.raises(IndexError):
        row.put(index, TEXT, 0, 1)


@pytest.mark.parametrize(("start", "end"), [(-1, 1), (2, 1), (0, 4), (4, 5)])
def test_a_range_outside_the_bytes_is_refused(start: int, end: int) -> None:
    row = Row(b"abc", 1)
    with pytest.raises(ValueError, match="outside"):
        row.put(0, TEXT, start, end)
    assert row.kind(0) == ABSENT


@pytest.mark.parametrize(("one", "other", "same"), [
    (b"a", b"a", True), (b"a", b"b", False), (b"a", None, False), (None, None, True), (b"", b"", True),
    (b"", None, False)])
def test_columns_are_the_same_by_kind_and_bytes(one: bytes | None, other: bytes | None, same: bool) -> None:
    assert row_of([b"x", one]).same(1, row_of([b"longer", other])) is same


def test_equal_bytes_of_another_format_are_not_the_same() -> None:
    assert not row_of([b"1"], TEXT).same(0, row_of([b"1"], BINARY))


def test_kinds_without_bytes_are_the_same_as_themselves_only() -> None:
    for one in KINDS[2:]:
        for other in KINDS[2:]:
            left, right = Row(b"", 1), Row(b"", 1)
            left.put(0, one, 0, 0)
            right.put(0, other, 0, 0)
            assert left.same(0, right) is (one == other)


@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_a_row_of_loose_values(kind: int) -> None:
    row = row_of([b"ab", None, b"", b"c"], kind)
    assert (row.count, row.data) == (4, b"abc")
    assert [row.raw(index) for index in range(4)] == [b"ab", None, b"", b"c"]
    assert [row.kind(index) for index in range(4)] == [kind, NULL, kind, kind]
    assert row_of([]).count == 0


def test_columns_of_another_row_take_the_place_of_some() -> None:
    row = row_of([b"ab", None, b"c", b"d"])
    row.put(3, UNCHANGED, 0, 0)
    other = row_of([b"x", b"new", None, b"", b"more"], BINARY)
    made = patched(row, other, [1, 2, 3])
    assert [made.raw(index) for index in range(4)] == [b"ab", b"new", None, b""]
    assert [made.kind(index) for index in range(5)] == [TEXT, BINARY, NULL, BINARY, ABSENT]
    assert [row.kind(index) for index in range(4)] == [TEXT, NULL, TEXT, UNCHANGED], "it stays as it was"
    assert patched(row, row_of([]), [0]).kind(0) == ABSENT
    with pytest.raises(IndexError):
        patched(row, other, [4])
