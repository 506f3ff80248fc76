"""COPY's text format to rows. Column bytes are as in pgoutput's text mode, so that the same codecs read both.

PostgreSQL docs, "COPY", "Text Format": tabs separate columns, `\\N` is NULL, and a backslash escapes. One CopyData
message is one row, and ends with a newline.
"""

from __future__ import annotations

import re

import cython  # noqa: F401

from cdc.core.errors import ProtocolError
from cdc.core.late_regex import late_regex
from cdc.core.row import NULL, TEXT, Row

_ESCAPE = late_regex(rb"\\(?:([bfnrtv])|([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def copy_row(line: bytes, indexes: tuple[int, ...], count: int) -> Row:
    """A row of *count* columns from one line, whose fields are the columns at *indexes*, in that order.

    Raises ProtocolError if the line has another number of fields.
    """
    end = len(line)
    if end and line[end - 1] == 10:
        end -= 1
    if line.find(b"\\", 0, end) < 0:
        return _plain(line, end, indexes, count)
    return _escaped(line, end, indexes, count)


def _plain(line: bytes, end: int, indexes: tuple[int, ...], count: int) -> Row:
    """A line without a backslash: the row refers to the line's own bytes."""
    row = Row(line, count)
    start = 0
    last = len(indexes) - 1
    for position in range(last + 1):
        stop = line.find(b"\t", start, end)
        if stop < 0:
            stop = end
        if (stop == end) != (position == last):
            raise _field_count(line[:end].count(b"\t") + 1, last + 1)
        row.put(indexes[position], TEXT, start, stop)
        start = stop + 1
    return row


def _escaped(line: bytes, end: int, indexes: tuple[int, ...], count: int) -> Row:
    fields = line[:end].split(b"\t")
    if len(fields) != len(indexes):
        raise _field_count(len(fields), len(indexes))
    values = [None if field == b"\\N" else field if field.find(b"\\") < 0 else _ESCAPE.sub(_unescape, field)
              for field in fields]
    row = Row(b"".join([value for value in values if value is not None]), count)
    start = 0
    for index, value in zip(indexes, values):
        if value is None:
            row.put(index, NULL, 0, 0)
        else:
            row.put(index, TEXT, start, start + len(value))
            start += len(value)
    return row


def _unescape(found: re.Match[bytes]) -> bytes:
    letter, octal, hexadecimal, other = found.groups()
    if letter:
        return _LETTERS[letter]
    if octal:
        return bytes((int(octal, 8) & 0xFF,))
    if hexadecimal:
        return bytes((int(hexadecimal, 16),))
    return bytes(other)


def _field_count(got: int, wanted: int) -> ProtocolError:
    return ProtocolError("COPY line with the wrong number of fields", offset=0, wanted=wanted, got=got)
