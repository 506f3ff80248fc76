"""How far a snapshot is, table by table: its notifications, in Debezium's order, and its status for operators.

Debezium source: InitialSnapshotNotificationService. As there, what is said of the end of a table comes before the
table's last row, which is held back until it is known whether another one follows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from cdc.core.control import SnapshotStatus, TableCopy
from cdc.core.record import Message

Tell = Callable[[str, Mapping[str, str]], Message | None]
"""Sends a notification of a type, with data; gives its record if it goes to a topic."""

_SUCCEEDED: Final = "SUCCEEDED"


class Told:
    """Of the snapshot of the tables *names*, in that order. The methods are called in the order in which rows come, and
    give the records that go out before the next row; `status` may be asked for by any thread.

    *captured*: the names of all captured tables. *estimates*: numbers of rows by name, as far as they are known.
    *kind* and *id*: as in SnapshotStatus.
    """

    def __init__(self, names: Sequence[str], captured: Sequence[str], tell: Tell, *,
                 estimates: Mapping[str, int] | None = None, kind: str = "initial", id: str = "") -> None:
        self._names = names
        self._tell = tell
        self._estimates = estimates or {}
        self._kind = kind
        self._id = id
        self._at = 0
        self._rows: list[int] = []
        self._reading = 0
        self._begun = False
        self._state = "running"
        self._started_ms = time.time_ns() // 1_000_000
        self._copied = ",".join(names)
        self._captured = ",".join(sorted(captured))

    def started(self) -> Iterator[Message]:
        yield from self._send("STARTED", {})

    def row(self, count: int) -> Iterator[Message]:
        """*count* rows of the present table come next."""
        if not self._begun:
            yield from self._begin()
        self._reading += count

    def table_ends(self) -> Iterator[Message]:
        if not self._begun:
            yield from self._begin()
        name, rows = self._name(), self._reading
        self._rows.append(rows)
        self._at, self._reading, self._begun = self._at + 1, 0, False
        yield from self._send("TABLE_SCAN_COMPLETED", {
            "scanned_collection": name, "total_rows_scanned": str(rows), "status": _SUCCEEDED,
            "data_collections": self._captured})

    def without_rows(self, count: int) -> Iterator[Message]:
        """The next *count* tables have none."""
        for _ in range(count):
            yield from self.table_ends()

    def completed(self) -> Iterator[Message]:
        """All rows went out, and the snapshot holds."""
        self._state = "completed"
        yield from self._send("COMPLETED", {})

    def aborted(self) -> None:
        """The source ends before that. Nothing can go out any more."""
        if self._state == "running":
            self._state = "stopped"
            self._tell("ABORTED", {})

    def status(self) -> SnapshotStatus:
        at, rows, state = self._at, self._rows.copy(), self._state
        tables = []
        for number, name in enumerate(self._names):
            read = rows[number] if number < len(rows) else self._reading if number == at else 0
            how = "done" if number < at else "waiting" if number > at or not self._begun else state
            tables.append(TableCopy(name, how, read, self._estimates.get(name)))
        return SnapshotStatus(self._id, self._kind, state, tuple(tables), self._started_ms)

    def _begin(self) -> Iterator[Message]:
        self._begun = True
        yield from self._send("IN_PROGRESS", {"data_collections": self._copied,
                                              "current_collection_in_progress": self._name()})

    def _name(self) -> str:
        return self._names[self._at] if self._at < len(self._names) else ""

    def _send(self, type: str, data: Mapping[str, str]) -> Iterator[Message]:
        message = self._tell(type, data)
        if message is not None:
            yield message
