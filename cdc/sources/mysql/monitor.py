"""Looks again, while the log is read, at what was checked at the start, and at how far the log is ahead of us; see
`sources.shared.monitor`. One look costs the same however many tables there are."""

from __future__ import annotations

import time
from typing import ClassVar, Final

from cdc.core.errors import SourceConnectionError
from cdc.sources.shared.monitor import LOOK_EVERY_S, Monitor
from cdc.sources.shared.warnings import Warnings

from . import connection, server, watched
from .cascades import CascadeWatch
from .locks import SHORT_WAITS
from .options import MySqlConfig
from .roll import Roll
from .server import MySqlFacts
from .unlogged import Coverage

_ELSEWHERE_TWICE: Final = 2


class MySqlMonitor(Monitor[connection.Connection]):
    """`numbers` are for the metrics. `place`, file and byte, is the confirmed position, and `place_time_s` the time of
    the last event before it (0: unknown); set them from any thread."""

    every_s: ClassVar[float] = LOOK_EVERY_S

    def __init__(self, config: MySqlConfig, place: tuple[str, int], *, place_time_s: int, facts: MySqlFacts,
                 warnings: Warnings, coverage: Coverage, cascades: CascadeWatch, roll: Roll) -> None:
        super().__init__(config.heartbeat_action_query, self.every_s, warnings)
        self.numbers: dict[str, float] = {}
        self.place = place
        self.place_time_s = place_time_s
        self._config = config
        self._facts = facts
        self._warnings = warnings
        self._coverage = coverage
        self._cascades = cascades
        self._roll = roll
        self._elsewhere = 0

    def _connect(self) -> connection.Connection:
        conn = connection.connect(self._config)
        connection.query(conn, SHORT_WAITS)
        return conn

    def _usable(self, conn: connection.Connection) -> bool:
        return bool(conn.open)

    def _execute(self, conn: connection.Connection, query: str) -> None:
        connection.query(conn, query)

    def _close(self, conn: connection.Connection) -> None:
        connection.close(conn)

    def _look(self) -> None:
        conn = self._connection()
        facts = server.read_facts(conn)
        if not self._is_same_server(facts):
            return
        watched.show_settings(self._warnings, facts, self._config, self._facts)
        watched.show_grants(self._warnings, conn, facts, self._config)
        missing = self._coverage.look(conn, facts)
        if missing is not None:
            self.fail(missing)
        self._look_at_logs(conn, facts)
        self._roll.look(conn)
        self._cascades.look(conn, facts)

    def _is_same_server(self, facts: MySqlFacts) -> bool:
        """A proxy or an address may lead to another server by now, while the stream goes on from the one before,
        where perhaps nothing is written any more: then all begins again, on one server."""
        if facts.server_uuid == self._facts.server_uuid:
            self._elsewhere = 0
            self._warnings.show("another_server", {})
            return True
        self._elsewhere += 1
        text = (f"a new connection reached server {facts.server_uuid}, and the stream comes from"
                f" {self._facts.server_uuid}")
        self._warnings.put("another_server", self._config.database_hostname, text,
                           "Without a failover: let database.hostname lead to one server only.")
        self._forget()
        if self._elsewhere >= _ELSEWHERE_TWICE:
            self.fail(SourceConnectionError(f"Two times in a row {text}, so the stream begins again."))
        return False

    def _look_at_logs(self, conn: connection.Connection, facts: MySqlFacts) -> None:
        sizes = {str(row[0]): int(row[1]) for row in connection.query(conn, "SHOW BINARY LOGS")}
        place = self.place
        behind = watched.lag_bytes(sizes, place)
        if behind is not None:
            self.numbers["cdc_lag_bytes"] = behind
        watched.show_logs(self._warnings, list(sizes), place, self.place_time_s, facts, time.time())
