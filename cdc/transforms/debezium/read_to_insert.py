"""ReadToInsertEvent: rows of a snapshot as inserts.

Debezium sources: `io.debezium.connector.mysql.transforms.ReadToInsertEvent`.
"""

from __future__ import annotations

from collections.abc import Mapping

from cdc.config.table import NO_OPTIONS
from cdc.core.record import CREATE, READ
from cdc.core.view import RecordView, places

from .envelope import is_envelope, operation, struct_schema


class ReadToInsertEvent:
    """Changes `op` from r to c."""

    options = NO_OPTIONS

    def __init__(self, settings: Mapping[str, str]) -> None:
        """There is nothing to configure."""

    def apply(self, view: RecordView) -> RecordView:
        """Raises TransformError."""
        if view.is_tombstone or not is_envelope(view.value_schema) or operation(view) != READ:
            return view
        schema = struct_schema(view)
        at = places(schema)["op"]
        view.set_value(schema, (*view.value[:at], CREATE, *view.value[at + 1:]))
        return view
