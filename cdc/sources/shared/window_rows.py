"""The rows of the signal table with which a snapshot beside the stream marks its chunks, as Debezium writes them.

Debezium sources: SignalBasedIncrementalSnapshotChangeEventSource, OpenIncrementalSnapshotWindow.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from cdc.codecs.wrappers import unconverted
from cdc.core.control import WINDOW_CLOSE, WINDOW_OPEN
from cdc.core.dataclass import dataclass
from cdc.core.errors import DecodeError
from cdc.core.record import CREATE, DELETE, Record
from cdc.core.row import BINARY


@dataclass(frozen=True)
class WindowRows:
    """The two rows of one chunk. `id`: a random UUID."""

    id: str
    opened: str

    @classmethod
    def new(cls) -> WindowRows:
        return cls(str(uuid.uuid4()), _now())

    @property
    def open_id(self) -> str:
        return f"{self.id}-open"

    def open(self) -> tuple[str, str, str]:
        """id, type and data."""
        return self.open_id, WINDOW_OPEN, json.dumps({"openWindowTimestamp": self.opened})

    def close(self) -> tuple[str, str, str]:
        data = {"openWindowTimestamp": self.opened, "closeWindowTimestamp": _now()}
        return f"{self.id}-close", WINDOW_CLOSE, json.dumps(data)

    def closed_by(self, record: Record) -> bool:
        """Whether *record*, of the signal table, is the second row, or the deletion of the first."""
        row = record.after if record.op == CREATE else record.before if record.op == DELETE else None
        if row is None or not record.table.columns:
            return False
        column = record.table.columns[0]
        data = row.raw(column.index)
        if data is None:
            return False
        binary = row.kind(column.index) == BINARY and column.key_binary_codec
        codec = column.key_binary_codec if binary and column.key_binary_codec else column.key_codec
        try:
            value = unconverted(codec).value(data, 0, len(data))
        except (DecodeError, ValueError):
            return False
        return bool(value == (f"{self.id}-close" if record.op == CREATE else self.open_id))


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def signal_table_of(listed: Sequence[str]) -> tuple[str, str] | None:
    """Schema (database) and name of the table of `signal.data.collection`; None if there is none."""
    parts = [part.strip().strip('"`') for part in listed[0].split(".")] if listed else []
    return (parts[-2], parts[-1]) if len(parts) > 1 else None
