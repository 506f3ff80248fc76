"""How far a snapshot is, table by table: its notifications, in Debezium's order, and its status for operators.

Debezium sources: InitialSnapshotNotificationService, RelationalSnapshotChangeEventSource. As there, what is said of the
end of a table comes before the table's last row, which is held back until it is known whether another one follows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

from cdc.core.control import SnapshotStatus, TableCopy
from cdc.core.record import Message

Tell = Callable[[str, Mapping[str, str]], Message | None]
"""Sends a notification of a type, with data; gives its record if it goes to a topic."""

_SUCCEEDED: Final = "SUCCEEDED"
_WHOLE: Final = Fraction(1)
_FAILED: Final = "SQL_EXCEPTION"


class Told:
    """Of the snapshot of the tables *names*, in that order. The methods are called in the order in which rows come, and
    give the records that go out before the next row; `status` may be asked for by any thread.

    *captured*: the names of all captured tables. *estimates*: numbers of rows by name, as far as they are known.
    *kind* and *id*: as in SnapshotStatus. *parts*: whether parts of tables are announced, as with several readers.
    """

    def __init__(self, names: Sequence[str], captured: Sequence[str], tell: Tell, *,
                 estimates: Mapping[str, int] | None = None, kind: str = "initial", id: str = "",
                 parts: bool = False) -> None:
        self.names = names
        self._tell = tell
        self._estimates = estimates or {}
        self._kind = kind
        self._id = id
        self._at = 0
        self._rows: list[int] = []
        self._reading = 0
        self._begun = False
        self._failed = False
        self._tells_parts = parts
        self._parts = 1
        self._part = 0
        self._part_begun = False
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
        if self._tells_parts and not self._part_begun:
            yield from self._begin_part()
        self._reading += count

    def unit_begins(self, parts: int) -> Iterator[Message]:
        """The rows of a range follow. The table is announced in so many *parts*."""
        if not self._begun:
            yield from self._begin()
        if not self._part and not self._part_begun:
            self._parts = parts

    def unit_ends(self, share: Fraction) -> Iterator[Message]:
        """So much of the table was read."""
        while self._tells_parts and self._part < share * self._parts // 1:
            if not self._part_begun:
                yield from self._begin_part()
            yield from self._send("TABLE_CHUNK_COMPLETED", {
                "scanned_collection": self._name(), "data_collections": self._captured,
                "chunk_index": str(self._part), "total_chunks": str(self._parts), "status": _SUCCEEDED})
            self._part, self._part_begun = self._part + 1, False

    def _begin_part(self) -> Iterator[Message]:
        self._part_begun = True
        yield from self._send("TABLE_CHUNK_IN_PROGRESS", {
            "current_collection_in_progress": self._name(), "chunk_index": str(self._part),
            "total_chunks": str(self._parts), "total_rows_scanned": str(self._reading)})

    def table_ends(self) -> Iterator[Message]:
        if not self._begun:
            yield from self._begin()
        yield from self.unit_ends(_WHOLE)
        self._parts, self._part, self._part_begun = 1, 0, False
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

    def aborted(self) -> Iterator[Message]:
        """The source ends before that, or the snapshot is given up."""
        if self._state == "running":
            self._state = "stopped"
            yield from self._send("ABORTED", {})

    def cancelled(self) -> Iterator[Message]:
        """An operator has stopped it. Perhaps it had not begun."""
        self._state = "stopped"
        yield from self._send("ABORTED", {"data_collections": self._copied})

    def failed(self) -> Iterator[Message]:
        """The server refuses to read the present table, so the snapshot is given up."""
        if self._state == "running" and self._begun:
            self._failed = True
            yield from self._send("TABLE_SCAN_COMPLETED", {"scanned_collection": self._name(), "status": _FAILED})
        yield from self.aborted()

    def status(self) -> SnapshotStatus:
        at, rows, state = self._at, self._rows.copy(), self._state
        tables = []
        for number, name in enumerate(self.names):
            read = rows[number] if number < len(rows) else self._reading if number == at else 0
            how = "done" if number < at else _FAILED if self._failed and number == at else (
                state if number == at and self._begun else "stopped" if state == "stopped" else "waiting")
            tables.append(TableCopy(name, how, read, self._estimates.get(name)))
        return SnapshotStatus(self._id, self._kind, state, tuple(tables), self._started_ms)

    def _begin(self) -> Iterator[Message]:
        self._begun = True
        yield from self._send("IN_PROGRESS", {"data_collections": self._copied,
                                              "current_collection_in_progress": self._name()})

    def _name(self) -> str:
        return self.names[self._at] if self._at < len(self.names) else ""

    def _send(self, type: str, data: Mapping[str, str]) -> Iterator[Message]:
        message = self._tell(type, data)
        if message is not None:
            yield message
