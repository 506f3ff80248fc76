"""Captured tables that are in no snapshot, and whose creation is not in the log: the lists were changed after the
snapshot, or a table was made with `sql_log_bin=0`. Rows that they had before have no events.

The monitor lists the tables once for each stream; the task compares when the stream has come to that place.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from cdc.core.dataclass import dataclass
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.sources.mysql.ddl.structure import Structures
from cdc.sources.shared.warnings import Warnings

from . import catalog
from .connection import Connection
from .position import file_number
from .server import log_status

KIND = "table_without_snapshot"
TEXT = "the table is in no snapshot, and its creation is not in the log: it may have rows that have no events"
HINT = "Copy its rows with cdc snapshot --table NAME, or leave the table out."


@dataclass(frozen=True)
class _Listed:
    """The captured tables that are there at a place of the log: number of the file, and byte."""

    place: tuple[int, int]
    names: frozenset[TableId]


class Roll:
    """For one stream. A table counts as missing when two lists in a row say so, because a server can show a table
    before it logs that it was made."""

    def __init__(self, filters: Filters, warnings: Warnings) -> None:
        self._filters = filters
        self._warnings = warnings
        self._lock = threading.Lock()
        self._wanted = True
        self._suspects: frozenset[TableId] | None = None
        self.listed: _Listed | None = None
        """What to compare; None if there is nothing to do."""
        self._copied: frozenset[TableId] = frozenset()

    def copied(self, ids: Iterable[TableId]) -> None:
        """A snapshot beside the stream reads the rows of *ids*. Before the stream begins."""
        self._copied = frozenset(ids)

    def look(self, conn: Connection) -> None:
        """List the tables, if that is due. From the monitor's thread. Raises a SourceError."""
        if not self._wanted:
            return
        before = self._list(conn)
        file, pos = log_status(conn)[:2]
        there = before & self._list(conn)
        with self._lock:
            self._wanted = False
            self.listed = _Listed((file_number(str(file)), int(pos)), there)

    def _list(self, conn: Connection) -> frozenset[TableId]:
        databases = [name for name in catalog.database_names(conn) if self._filters.databases(name)]
        return frozenset(catalog.tables_in(conn, databases, self._filters.table))

    def compare(self, file: str, pos: int, structures: Structures) -> None:
        """The stream has read up to this place, with these *structures*. From the task's thread."""
        listed = self.listed
        if listed is None or (file_number(file), pos) < listed.place:
            return
        missing = frozenset(id for id in listed.names - self._copied if structures.get(id) is None)
        with self._lock:
            self.listed = None
            self._wanted = bool(missing) and self._suspects is None
        if self._suspects is None:
            self._suspects = missing
            return
        for id in sorted(missing & self._suspects, key=str):
            self._warnings.put(KIND, str(id), TEXT, HINT)
