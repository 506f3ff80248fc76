"""Reads PostgreSQL's array texts.

PostgreSQL docs, "Array Input and Output Syntax"; src/backend/utils/adt/arrayfuncs.c, `array_out`."""

from __future__ import annotations

import re
from typing import Any

from cdc.core.codec import Codec
from cdc.core.errors import DecodeError
from cdc.core.late_regex import late_regex
from cdc.core.schema import Schema

from .time import bad_text

_BOUNDS = late_regex(rb"(?:\[-?\d+:-?\d+\])+=")
_LONGEST_BOUNDS = 200
"""Enough bytes for the bounds of six dimensions and the braces after them."""
_ESCAPED = late_regex(rb"\\(.)", re.DOTALL)
_QUOTED = rb'"([^"\\]*(?:\\.[^"\\]*)*)"'


def _element(delimiter: bytes) -> re.Pattern[bytes]:
    mark = re.escape(delimiter)
    return re.compile(rb'(?:%b|([^"\\{}%b]+))(%b|\Z)' % (_QUOTED, mark, mark), re.DOTALL)


_ELEMENTS = {delimiter: _element(delimiter) for delimiter in (b",", b";")}


def split_array(text: bytes, delimiter: bytes = b",") -> list[bytes | None]:
    """The text of each element; None for NULL. DecodeError for more than one dimension: events have no form for it."""
    bounds = _BOUNDS.match(text)
    body = text[bounds.end():] if bounds else text
    if body[:1] != b"{" or body[-1:] != b"}" or len(body) < 2:
        raise bad_text("array", len(text))
    if body[1:2] == b"{":
        raise DecodeError("the array has more than one dimension", length=len(text))
    body = body[1:-1]
    if not body:
        return []
    if b'"' in body or b"\\" in body or b"{" in body or b"}" in body:
        return _split_quoted(body, delimiter, len(text))
    items = body.split(delimiter)
    if b"" in items:
        raise bad_text("array", len(text))
    return [None if item == b"NULL" else item for item in items] if b"NULL" in items else list(items)


def _split_quoted(body: bytes, delimiter: bytes, length: int) -> list[bytes | None]:
    items: list[bytes | None] = []
    pattern = _ELEMENTS[delimiter]
    at = 0
    while found := pattern.match(body, at):
        quoted, bare = found[1], found[2]
        item = quoted if bare is None else bare
        items.append(None if bare == b"NULL" else _ESCAPED.sub(rb"\1", item) if b"\\" in item else item)
        at = found.end()
        if not found[3]:
            break
    if at != len(body) or not items or (found is None and body.endswith(delimiter)):
        raise bad_text("array", length)
    return items


_QUOTED_TEXT = late_regex(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def outer_length(text: bytes) -> int:
    """How many arrays the outer dimension has; 0 if there is only one dimension."""
    plain = _QUOTED_TEXT.sub(b"", _BOUNDS.sub(b"", text, count=1))
    depth = found = 0
    for byte in plain:
        if byte == 123:
            depth += 1
            found += depth == 2
        elif byte == 125:
            depth -= 1
    return found


class ArrayCodec(Codec):
    """Arrays as a list. *element* reads each element; NULL is None.

    As in Debezium, bounds other than 1 are dropped, and with more than one dimension the list has a None for each array
    of the outer one. A NULL is a DecodeError if the elements' schema is required.
   """

    def __init__(self, schema: Schema, element: Codec, delimiter: bytes = b",") -> None:
        Codec.__init__(self, schema)
        self.element = element
        self.delimiter = delimiter

    def value(self, data: bytes, start: int, end: int) -> list[Any]:
        value = self.element.value
        text = data[start:end]
        length = outer_length(text) if b"{{" in text[:_LONGEST_BOUNDS] else 0
        items = [None] * length if length else split_array(text, self.delimiter)
        if None in items and self.schema.items is not None and not self.schema.items.optional:
            raise DecodeError("the array contains a null, but its elements are required", length=end - start)
        return [None if item is None else value(item, 0, len(item)) for item in items]
