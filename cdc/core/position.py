"""Where a source resumes.

A position names whole transactions, and how many records of the next one were delivered. Only the source understands
it. Here it is opaque: it gives JSON (`offset`), and is compared only by order of arrival. Where Debezium has an offset
key, ours has the same name, so that either can continue from the other's offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Offset = Mapping[str, Any]
"""A position as JSON for the offset store: string keys, primitive values (KIP-875)."""


class Position(Protocol):
    """Immutable. Each batch has one; it becomes JSON only when it is committed."""

    def offset(self) -> dict[str, Any]:
        """JSON for the offset store."""
        ...


def whole(value: Any) -> int:
    """A count, an LSN or a time of a stored offset: a whole number from 0 to 2^63-1, or its digits. Raises ValueError
    for anything else, which no source ever stored."""
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20 else value
    if type(number) is not int or not 0 <= number < 1 << 63:
        raise ValueError("not a number of an offset")
    return number
