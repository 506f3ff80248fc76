"""Headers that a transform adds in place.

In Debezium a delete and its tombstone have one object of headers in common. ExtractChangedRecordState and
ExtractNewRecordState add to it in place, so the tombstone has what they added to the delete, unless an earlier
transform gave one of the two headers of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cdc.core.record import DELETE, TOMBSTONE, Record
from cdc.core.row import Row
from cdc.core.schema import Schema
from cdc.core.view import Header, RecordView

Added = Sequence[tuple[str, Schema | None, Any]]


class InPlaceHeaders:
    """Adds headers to a delete, and the same ones to its tombstone."""

    def __init__(self) -> None:
        self._row: Row | None = None
        self._added: Added = ()

    def add(self, view: RecordView, added: Added) -> None:
        """*added*: name, schema and value of each header, for this record. A tombstone gets those of its delete
        first."""
        record = view.record
        if isinstance(record, Record) and record.op == TOMBSTONE:
            if record.before is not None and record.before is self._row and not _copied(view):
                added = (*self._added, *added)
            self._row = None
        elif isinstance(record, Record) and record.op == DELETE and not _copied(view):
            self._row, self._added = record.before, added
        if added:
            view.extend_headers(Header(*each) for each in added)


def _copied(view: RecordView) -> bool:
    """Whether an earlier transform made a new record, which has headers of its own."""
    record = view.record
    assert isinstance(record, Record)
    return (view.key_replaced or view.value_replaced or view.headers_copied or view.topic != record.table.topic
            or view.kafka_partition is not None or view.timestamp_ms is not None)
