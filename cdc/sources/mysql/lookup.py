"""Questions to the server beside the log: its facts, the catalog, single tables. All on one connection of their own."""

from __future__ import annotations

import gc
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from cdc.core.errors import SourceConnectionError
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.log import get_logger
from cdc.sources.mysql.ddl.structure import Structures, TableStructure

from . import catalog, connection, indirect, server
from .connection import Connection
from .locks import SHORT_WAITS, LockWaits, is_locked
from .options import MySqlConfig
from .row_probe import RowProbe
from .schema_changes import Scope

log = get_logger(__name__)

IDLE_S: Final = 30.0
"""A connection that was idle for longer is not used again: something on the way may have dropped it."""


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the cyclic garbage collector. It goes through all objects that stay, again and again while they are made:
    a sixth of the time that very many structures take."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Lookup:
    """Only for the task's thread, except `interrupt`."""

    def __init__(self, config: MySqlConfig, filters: Filters, scope: Scope, waits: LockWaits) -> None:
        self._config = config
        self._waits = waits
        self._filters = filters
        self._scope = scope
        self._conn: Connection | None = None
        self._helper: Connection | None = None
        self._used_at = 0.0
        self._facts: server.MySqlFacts | None = None

    @property
    def facts(self) -> server.MySqlFacts:
        """What the server said of itself when `read_facts` asked last."""
        assert self._facts is not None
        return self._facts

    def connection(self) -> Connection:
        """An open connection: a new one where the last was lost, or was idle during a long snapshot or stream."""
        if self._conn is not None and time.monotonic() - self._used_at > IDLE_S:
            connection.close(self._conn)
        if self._conn is None or not self._conn.open:
            self._conn = self.connect()
        self._used_at = time.monotonic()
        return self._conn

    def connect(self, *, query_timeout: bool = True) -> Connection:
        """A new connection, which the caller closes; it waits for locks of tables as `locks` says. Raises
        SourceConnectionError if it leads to another server than the one that `facts` are of: behind a proxy that could
        be, and positions and structures would not match."""
        conn = connection.connect(self._config, query_timeout=query_timeout)
        try:
            connection.query(conn, SHORT_WAITS)
            if self._facts is not None:
                self._check_identity(conn, self._facts)
        except BaseException:
            connection.close(conn)
            raise
        return conn

    def _check_identity(self, conn: Connection, facts: server.MySqlFacts) -> None:
        found = server.read_identity(conn)
        if found != facts.server_uuid:
            raise SourceConnectionError(
                "A new connection reached another server.", expected=facts.server_uuid, found=found,
                hint="Let database.hostname lead to one server, except for a failover.")

    def read_facts(self) -> server.MySqlFacts:
        """Ask the server, and remember the answer as `facts`."""
        self._facts = server.read_facts(self.connection())
        return self._facts

    def gtid_mode(self) -> str | None:
        """The present gtid_mode, None where the server has none; `facts` stay as they are."""
        return server.read_facts(self.connection()).gtid_mode

    def read_catalog(self, probe: RowProbe | None = None) -> catalog.Catalog:
        """All tables that are captured, or whose changes are sent, as they are now. *probe* gets to know which of its
        tables have rows."""
        with _uncollected():
            return catalog.read_catalog(self.connection(), self.facts, self._scope.table, self._filters.table,
                                        self._waits, helper=self._open_helper, probe=probe,
                                        counted=self._config.snapshot_tables_order_by_row_count != "disabled")

    def _open_helper(self) -> Connection:
        self._helper = self.connect()
        return self._helper

    def marks(self, conn: Connection | None = None) -> dict[TableId, Any]:
        """What differs after a structure in `read_catalog` was changed."""
        return catalog.marks(conn or self.connection(), self._scope.table, self._filters.table, self._waits)

    def present_structures(self) -> Structures:
        """The structures as they are now, for an offset that has none."""
        file, pos = server.log_status(self.connection())[:2]
        found = self.read_catalog().structures
        log.info("structures_as_of_now", tables=len(found), file=file, pos=pos, reason="the offset has none")
        return replace(found, as_of=(str(file), int(pos)))

    def reread(self, ids: Collection[TableId], known: Structures, *,
               patient: bool = True) -> dict[TableId, TableStructure]:
        """The tables *ids* as they are now; a table that does not exist is left out, and so is one that is locked if
        it is not captured, or if not *patient*. *known* gives the databases' character sets."""
        found: dict[TableId, TableStructure] = {}
        for id in ids:
            try:
                read = catalog.read_table(self.connection(), self.facts, id, known, needed=self._filters.table(id),
                                          waits=self._waits if patient else None)
            except SourceConnectionError as exc:
                if patient or not is_locked(exc):
                    raise
                log.info("table_not_shown", table=str(id), reason=exc.message)
                continue
            if read is not None:
                found[id] = read[0]
        return found

    def changed_besides(self, id: TableId, known: Structures) -> str | None:
        """As `indirect.changed_besides`, for the captured tables among *known*."""
        captured = [each.id for each in known if self._filters.table(each.id)]
        return indirect.changed_besides(self.connection(), id, captured)

    def interrupt(self) -> None:
        """End what the server is doing for us. From any thread."""
        for conn in (self._conn, self._helper):
            if conn is not None:
                connection.interrupt(conn)

    def close(self) -> None:
        if self._conn is not None:
            connection.close(self._conn)
