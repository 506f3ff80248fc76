# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Row images as the bytes they came in.

A `Row` owns one message's bytes and knows the place of each column's value in them. It decodes nothing: a codec runs
when a column is written as Avro, or when somebody reads its value. Three kinds of column have no bytes: NULL; UNCHANGED
(the log left the value out because it did not change); ABSENT (the image lacks the column, as in a key-only old
image).
"""

from __future__ import annotations

import cython

TEXT = 0
BINARY = 1
NULL = 2
UNCHANGED = 3
ABSENT = 4


class Row:
    """*count* columns within *data*. A column is `kind` and, for TEXT and BINARY, the half-open range of its bytes.

    Whoever builds a row has checked every range against the length of *data*.
    """

    def __init__(self, data: bytes, count: int) -> None:
        self.data = data
        self.count = count
        if cython.compiled:
            make_columns(self)
        else:
            kinds, starts, ends = [ABSENT] * count, [0] * count, [0] * count
            self.kinds: list[int] = kinds
            self.starts: list[int] = starts
            self.ends: list[int] = ends

    def __dealloc__(self) -> None:
        if cython.compiled:
            free_columns(self)

    def put(self, index: int, kind: int, start: int, end: int) -> None:
        """Set the place of column *index*. Raises IndexError or ValueError on a range outside the data."""
        if index < 0 or index >= self.count:
            raise IndexError("column index out of range")
        if start < 0 or end < start or end > len(self.data):
            raise ValueError("column outside its message")
        self.kinds[index] = kind
        self.starts[index] = start
        self.ends[index] = end

    def kind(self, index: int) -> int:
        """TEXT, BINARY, NULL, UNCHANGED or ABSENT."""
        if index < 0 or index >= self.count:
            return ABSENT
        return self.kinds[index]

    def raw(self, index: int) -> bytes | None:
        """The bytes of a TEXT or BINARY column, None for the other kinds."""
        if index < 0 or index >= self.count or self.kinds[index] > BINARY:
            return None
        return self.data[self.starts[index]:self.ends[index]]

    def same(self, index: int, other: Row) -> bool:
        """Whether column *index* has the same kind and bytes in both rows."""
        kind = self.kind(index)
        return kind == other.kind(index) and (kind > BINARY or self.raw(index) == other.raw(index))


def row_of(values: list[bytes | None], kind: int = TEXT) -> Row:
    """A row made of separate values (None is NULL), for sources whose messages are not used in place."""
    data = b"".join([value for value in values if value is not None])
    row = Row(data, len(values))
    at = 0
    for index, value in enumerate(values):
        if value is None:
            row.put(index, NULL, 0, 0)
        else:
            row.put(index, kind, at, at + len(value))
            at += len(value)
    return row


def patched(row: Row, other: Row, indexes: list[int]) -> Row:
    """*row*, but with columns *indexes* as *other* has them. Raises IndexError for an index that *row* lacks."""
    made = Row(row.data + other.data, row.count)
    for index in range(row.count):
        kind = row.kinds[index]
        if kind <= BINARY:
            made.put(index, kind, row.starts[index], row.ends[index])
        else:  # its place may be anything
            made.put(index, kind, 0, 0)
    shift = len(row.data)
    for index in indexes:
        kind = other.kind(index)
        if kind <= BINARY:
            made.put(index, kind, shift + other.starts[index], shift + other.ends[index])
        else:
            made.put(index, kind, 0, 0)
    return made
