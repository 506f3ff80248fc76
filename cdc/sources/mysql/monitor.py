"""How much log the server has beyond what we confirmed, and the heartbeat's action query; see `sources.monitor`."""

from __future__ import annotations

from cdc.sources.monitor import Monitor

from . import server
from .options import MySqlConfig


class MySqlMonitor(Monitor[server.Connection]):
    """`numbers` are read by the metrics; `place`, file and byte, is set as positions are confirmed."""

    def __init__(self, config: MySqlConfig, place: tuple[str, int]) -> None:
        super().__init__(config.heartbeat_action_query)
        self.numbers: dict[str, float] = {}
        self.place = place
        self._config = config

    def _connect(self) -> server.Connection:
        return server.connect(self._config)

    def _usable(self, conn: server.Connection) -> bool:
        return bool(conn.open)

    def _execute(self, conn: server.Connection, query: str) -> None:
        server.query(conn, query)

    def _close(self, conn: server.Connection) -> None:
        server.close(conn)

    def _look(self) -> None:
        file, pos = self.place
        sizes = [(str(row[0]), int(row[1])) for row in server.query(self._connection(), "SHOW BINARY LOGS")]
        names = [name for name, _ in sizes]
        if file in names:
            ahead = sum(size for _, size in sizes[names.index(file):])
            self.numbers["cdc_lag_bytes"] = max(0, ahead - pos)
