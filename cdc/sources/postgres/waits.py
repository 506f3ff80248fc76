"""Tells whom the server lets us wait for: a lock of a table, or the end of older transactions, for a new slot."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Final

from cdc.core.errors import CdcError
from cdc.log import carry, get_logger
from cdc.sources.shared.warnings import Warnings

from .checks import listed
from .connection import Connection, connect, query
from .options import PostgresConfig

log = get_logger(__name__)

KIND: Final = "waiting_for_others"
_LOOK_EVERY_S: Final = 2.0
_HINT: Final = "End their transactions, or wait: nothing is lost meanwhile."


class WaitWatch:
    """While it runs, a warning lasts as long as the session with process id *pid*, or one that was added, waits for
    others. *what* it does is what the warning is about. It uses a connection of its own."""

    def __init__(self, config: PostgresConfig, pid: int, what: str, warnings: Warnings) -> None:
        self._config = config
        self._pids = [pid]
        self._what = what
        self._warnings = warnings
        self._done = threading.Event()
        self._thread = threading.Thread(target=carry(self._run), name="waits", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, pid: int) -> None:
        """Another session that does the same. From any thread."""
        self._pids = [*self._pids, pid]

    def stop(self) -> None:
        self._done.set()
        self._warnings.show(KIND, {})

    def __enter__(self) -> WaitWatch:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _run(self) -> None:
        conn: Connection | None = None
        while not self._done.wait(_LOOK_EVERY_S):
            try:
                if conn is None or conn.closed:
                    conn = connect(self._config)
                self._look(conn)
            except Exception as exc:  # whatever it is, the next look may work
                log.debug("waits_not_seen", error=exc.message if isinstance(exc, CdcError) else type(exc).__name__)
                conn = None if conn is None or conn.broken else conn
        if conn is not None:
            conn.close()

    def _look(self, conn: Connection) -> None:
        found = blockers(conn, self._pids)
        if not self._done.is_set():
            text = f"It waits for {listed(found, 5)}." if found else ""
            self._warnings.show(KIND, {self._what: (text, _HINT)} if found else {})
        if self._done.is_set():
            self._warnings.show(KIND, {})


def blockers(conn: Connection, pids: list[int]) -> list[str]:
    """The sessions that *pids* wait for, in words. A superuser or a member of pg_read_all_stats sees more of them."""
    rows = query(conn, """\
SELECT DISTINCT b.pid, a.usename, nullif(a.application_name, ''), a.state, a.xact_start
FROM pg_catalog.unnest(%s::int[]) w (pid) CROSS JOIN pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) b (pid)
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid ORDER BY 1""", pids)
    return [_described(*row) for row in rows]


def _described(pid: int, user: str | None, application: str | None, state: str | None,
               since: datetime | None) -> str:
    if pid == 0:
        return "a prepared transaction (see pg_prepared_xacts)"
    by = f" of user {user}" if user else ""
    by += f" ({application})" if application else ""
    began = f", {state or 'active'}, in a transaction since {since:%Y-%m-%d %H:%M:%S}" if since else ""
    return f"process {pid}{by}{began}"
