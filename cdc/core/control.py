"""What passes between operators and a running source: signals in, notifications out, and how far snapshots are.

Debezium docs, "Sending signals to a Debezium connector" and "Receiving notifications from a Debezium connector".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

from .dataclass import dataclass

EXECUTE_SNAPSHOT: Final = "execute-snapshot"
STOP_SNAPSHOT: Final = "stop-snapshot"
PAUSE_SNAPSHOT: Final = "pause-snapshot"
RESUME_SNAPSHOT: Final = "resume-snapshot"
WINDOW_OPEN: Final = "snapshot-window-open"
WINDOW_CLOSE: Final = "snapshot-window-close"
LOG: Final = "log"
SCHEMA_CHANGES: Final = "schema-changes"
SET_BINLOG_POSITION: Final = "set-binlog-position"

INITIAL: Final = "Initial Snapshot"
INCREMENTAL: Final = "Incremental Snapshot"
"""The aggregate types of notifications. A blocking snapshot has that of an initial one."""


@dataclass(frozen=True)
class Signal:
    """A wish of an operator. *id* may be empty. *channel* is where it came from: `source` (the signal table), `kafka`,
    `file` or `rest`.

    *mark*: keys and values that the offset has from then on, once the signal was acted upon. A channel that can give a
    signal twice finds there how far it was.
    """

    id: str
    type: str
    data: Mapping[str, Any]
    channel: str
    mark: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Notification:
    """Something that happened. *aggregate_type* and *type* are Debezium's names; all values are text."""

    id: str
    aggregate_type: str
    type: str
    additional_data: Mapping[str, str]
    timestamp_ms: int


@dataclass(frozen=True)
class TableCopy:
    """How far the copy of one table is. *name* is `schema.table` or `database.table`. *state*: `waiting`, `running`,
    `done`, `stopped`, or why it could not be read, as in Debezium's notifications (`NO_PRIMARY_KEY`, …).

    *estimated_rows* is None if it is unknown. *current_key* and *maximum_key* are the key parts as text, joined by
    commas; None before the first chunk, and for a copy without keys.
    """

    name: str
    state: str
    rows: int = 0
    estimated_rows: int | None = None
    current_key: str | None = None
    maximum_key: str | None = None


@dataclass(frozen=True)
class SnapshotStatus:
    """How far a snapshot is. *id* is that of the signal that asked for it, empty for the initial one. *kind*:
    `initial`, `incremental` or `blocking`. *state*: `waiting`, `running`, `paused`, `completed` or `stopped`."""

    id: str
    kind: str
    state: str
    tables: tuple[TableCopy, ...] = ()
    started_ms: int = 0


def parse_signal(parts: Any, channel: str, mark: Mapping[str, str] | None = None) -> Signal:
    """The signal of a JSON object with `type`, and perhaps `id` and `data`; `data` is an object, or the text of one.
    Raises ValueError, which says what is wrong."""
    if not isinstance(parts, Mapping):
        raise ValueError("a signal is a JSON object with id, type and data")
    type = parts.get("type")
    if not isinstance(type, str) or not type.strip():
        raise ValueError("the signal has no type")
    id = parts.get("id")
    if id is not None and not isinstance(id, str | int):
        raise ValueError("the signal's id is no text")
    return Signal("" if id is None else str(id), type.strip(), parse_data(parts.get("data")), channel, mark or {})


def parse_data(data: Any) -> Mapping[str, Any]:
    """A signal's data: an object, or the text of one; nothing is an empty object. Raises ValueError."""
    if isinstance(data, str):
        if not data.strip():
            return {}
        try:
            data = json.loads(data)
        except (ValueError, RecursionError) as exc:
            raise ValueError(f"the signal's data is no JSON: {exc}") from exc
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise ValueError("the signal's data is no JSON object")
    return data
