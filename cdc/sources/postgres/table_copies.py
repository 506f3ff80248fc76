"""Makes the snapshots of one connector: on which connections the tables are read, with what, and by whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import psycopg

from cdc.core.table import TableId
from cdc.sources.shared.selection import RangeCounts, SnapshotSelection
from cdc.sources.shared.warnings import Warnings
from cdc.sources.snapshot.initial import InitialSnapshot
from cdc.sources.snapshot.progress import Progress
from cdc.sources.snapshot.requests import Request
from cdc.sources.snapshot.told import Told

from . import checks, connection, publication
from .catalog import CatalogSnapshot, RelationCatalog
from .chunks import Chunks
from .native_copy import NativeCopy
from .options import PostgresConfig
from .position import PostgresPosition
from .readers import several_readers
from .snapshot import CopyReader
from .snapshot_plan import Plan, lock_tables, snapshot_connection
from .source_block import SourceBlock
from .tables import TableBuilder
from .waits import WaitWatch


class Telling(Protocol):
    """`LogSource._telling`."""

    def __call__(self, names: Sequence[str], captured: Sequence[str], estimates: Mapping[str, int],
                 request: Request | None = None) -> Told: ...


class TableCopies:
    """*streams*: whether a stream follows. `native`: what takes the rows, where C reads them."""

    def __init__(self, config: PostgresConfig, block: SourceBlock, warnings: Warnings, telling: Telling, *,
                 streams: bool) -> None:
        self.native: NativeCopy | None = None
        self._config = config
        self._block = block
        self._warnings = warnings
        self._telling = telling
        self._streams = streams
        self._waits: WaitWatch | None = None
        self._conn: psycopg.Connection[Any] | None = None

    def connect(self, snapshot: str | None) -> psycopg.Connection[Any]:
        """As `snapshot_connection`. Until `stop_watch`, a warning tells whom it waits for."""
        conn = self._conn = snapshot_connection(self._config, snapshot)
        self._waits = WaitWatch(self._config, conn.info.backend_pid, "snapshot", self._warnings)
        self._waits.start()
        return conn

    def interrupt(self) -> None:
        """End what the server is doing for the newest of these connections. From any thread."""
        connection.interrupt(self._conn)

    def stop_watch(self) -> None:
        """Idempotent."""
        if self._waits is not None:
            self._waits.stop()

    def name(self, table: RelationCatalog) -> str:
        """As `TableSchema.id` prints it."""
        return str(self.id(table))

    def id(self, table: RelationCatalog) -> TableId:
        return TableId(self._config.database_dbname, table.namespace, table.name)

    def left(self, progress: Progress, captured: Sequence[RelationCatalog],
             tables: Sequence[RelationCatalog]) -> tuple[Progress, list[RelationCatalog]]:
        """What of *progress* still holds, and those of *tables* that are left."""
        progress = progress.of_same({self.name(each): str(each.oid) for each in captured})
        return progress, progress.left(tables, self.name)

    def plan(self, conn: psycopg.Connection[Any], catalog: CatalogSnapshot, builder: TableBuilder,
             tables: Sequence[RelationCatalog], selection: SnapshotSelection) -> Plan:
        """How *tables* are read. Raises SourceRefusedError if the user may not read them, or SourceError."""
        config = self._config
        parts = {} if not self._streams or config.cdc_debezium_faults else publication.published_parts(
            conn, config.publication_name, [each.oid for each in tables])
        plan = Plan(catalog, builder, tables, selection, conn, parts)
        doubtful = checks.not_readable_whole(conn, [each.oid for each in tables if not plan.override(each)])
        checks.check_select(conn, {each.oid: plan.read(each).names for each in tables if each.oid in doubtful})
        if config.snapshot_locking_mode == "shared":
            lock_tables(conn, tables, config.snapshot_lock_timeout_ms)
        return plan

    def reading(self, conn: psycopg.Connection[Any], plan: Plan, lsn: int, captured: Sequence[RelationCatalog],
                final: PostgresPosition, during: Callable[[Progress], PostgresPosition], progress: Progress | None,
                request: Request | None = None) -> InitialSnapshot[PostgresPosition]:
        """The snapshot of *plan*, read on *conn* and on connections beside it. Source blocks have *lsn*. Raises
        SourceError, and closes all."""
        fewest = RangeCounts.from_config(self._config).fewest
        try:
            make = partial(CopyReader, plan=plan, block=self._block, lsn=lsn, chunks=Chunks(conn, self._config),
                           gives_lines=self.native is not None, fewest=fewest)
        except BaseException:
            conn.close()
            raise
        assert self._waits is not None
        tables, reader = plan.tables, make(conn)
        return InitialSnapshot(
            reader, tables, during=during, final=final, max_records=self._config.max_batch_size, native=self.native,
            progress=progress, identity=lambda read: str(read.oid), parts=lambda read: fewest(read.table.id),
            several=several_readers(self._config, reader, make, self._waits) if tables else None,
            told=self._telling([*map(self.name, tables)], [*map(self.name, captured)], {
                self.name(each): each.row_estimate for each in tables if each.row_estimate >= 0}, request))
