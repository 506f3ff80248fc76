"""The heartbeat's action query on MySQL and MariaDB; see `sources.monitor`."""

from __future__ import annotations

from cdc.sources.monitor import Monitor

from . import server
from .options import MySqlConfig


class MySqlMonitor(Monitor[server.Connection]):
    """Only worth a connection where there is an action query."""

    def __init__(self, config: MySqlConfig) -> None:
        super().__init__(config.heartbeat_action_query)
        self._config = config

    def _connect(self) -> server.Connection:
        return server.connect(self._config)

    def _usable(self, conn: server.Connection) -> bool:
        return bool(conn.open)

    def _execute(self, conn: server.Connection, query: str) -> None:
        server.query(conn, query)

    def _close(self, conn: server.Connection) -> None:
        server.close(conn)
