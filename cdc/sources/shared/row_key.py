"""The key of a row that is read again (`core.interfaces.ReadsRows`): its columns, with their values by the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cdc.core.errors import SourceRefusedError
from cdc.core.record import Record
from cdc.core.row import NULL, UNCHANGED


class KeyValue(NamedTuple):
    """The value of the column *name*, which has *place* in a row. *kind*: TEXT, BINARY or NULL, for which *data* is
    None."""

    name: str
    place: int
    kind: int
    data: bytes | None


def key_values(names: Sequence[str], places: Mapping[str, int], record: Record, *, event_key: bool) -> list[KeyValue]:
    """The values of the columns *names* in *record*: in the row of its message key with *event_key*, else in its new
    image, and in the old one where that leaves them out. *places*: where each column is in a row. Raises
    SourceRefusedError."""
    if not names:
        raise SourceRefusedError(
            "The table has no key of its own to find the row by.",
            hint="Name columns in message.key.columns, and set reselect.use.event.key=true.")
    row = record.key_row if event_key else record.after
    old = record.other if record.before is None else record.before
    assert row is not None, "an insert or an update with a key"
    found = []
    for name in names:
        index = places[name]
        image, kind = row, row.kind(index)
        if kind == UNCHANGED and old is not None:
            image, kind = old, old.kind(index)
        if kind > NULL:
            raise SourceRefusedError("The log does not have the value of a key column.", column=name)
        found.append(KeyValue(name, index, kind, image.raw(index)))
    return found


def several(names: Sequence[str]) -> SourceRefusedError:
    """The error for a key that several rows have."""
    return SourceRefusedError("Several rows have the key.", key=", ".join(names),
                              hint="Set message.key.columns to columns that no two rows share.")
