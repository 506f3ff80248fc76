"""Which transactions that the log has are visible to others (see `chunk_marks`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cdc.core.record import Record
from cdc.sources.mysql.binlog.gtid import GtidSet
from cdc.sources.shared.visible import wait_until_visible

from .chunk_marks import By, Place, by, place_of
from .connection import Connection, query
from .lookup import Lookup
from .server import MySqlFacts
from .snapshot import snapshot_place

_HINT: Final = "Do all semisynchronous replicas answer? See SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync%'."


class Visible:
    """What the sessions of one connection see at least. Only for the task's thread."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._gtids: GtidSet | None = None
        self._place: Place | None = None

    def forget(self) -> None:
        """The connection is another one."""
        self._gtids = self._place = None

    def wait(self, conn: Connection, record: Record, stopped: Callable[[], bool]) -> None:
        """Until *conn* sees the transaction of *record*. Nothing tells that on MySQL without GTIDs, so nothing is
        waited for there. Raises NotVisibleError, and SourceError."""
        facts, wanted = self._lookup.facts, by(record)
        if not facts.flavor.snapshot_has_position and wanted.gtid is None:
            return
        wait_until_visible(lambda: self._sees(wanted), lambda: self._look(conn, facts), stopped, hint=_HINT)

    def _sees(self, wanted: By) -> bool:
        if self._place is not None:
            return wanted.place < self._place
        return self._gtids is not None and self._gtids.contains(GtidSet.parse(wanted.gtid or ""))

    def _look(self, conn: Connection, facts: MySqlFacts) -> None:
        if facts.flavor.snapshot_has_position:
            query(conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
            try:
                self._place = place_of(*snapshot_place(conn))
            finally:
                query(conn, "COMMIT")
        else:
            (text,), = query(conn, "SELECT @@GLOBAL.gtid_executed")
            self._gtids = GtidSet.parse(str(text))
