"""How a snapshot begins: one point of the log, the structures there, and the SELECT of each table."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, overload

from cdc.core.errors import SourceConnectionError
from cdc.core.record import Message
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.debezium.naming import TopicNaming
from cdc.log import get_logger
from cdc.sources.mysql.ddl.schema_change_text import SchemaChange
from cdc.sources.shared.selection import SnapshotSelection, captured_tables, unmatched_entries, warn_of_missing
from cdc.sources.snapshot.schedule import TOGETHER

from . import catalog, connection, grants, schema_changes, snapshot
from .lookup import Lookup
from .options import MySqlConfig
from .position import MySqlPosition
from .row_probe import RowProbe
from .source_block import SourceBlock
from .tables import TableBuilder

log = get_logger(__name__)

_ATTEMPTS: Final = 10


class SnapshotPlan:
    """For one connector. `begin` first; `close` closes its connections, unless a snapshot took them over."""

    def __init__(self, config: MySqlConfig, lookup: Lookup, filters: Filters, builder: TableBuilder) -> None:
        self._config = config
        self._lookup = lookup
        self._filters = filters
        self._builder = builder
        self._made_at: Mapping[TableId, Any] = {}
        self._conn: connection.Connection | None = None
        self._locker: connection.Connection | None = None
        self._helpers: list[connection.Connection] = []
        self._marks: Mapping[TableId, Any] = {}
        self.has_rows: Mapping[TableId, bool] = {}
        """Of very many tables, whether they have rows in the snapshot's transaction, as far as that is known."""
        self._checking = threading.Lock()
        self._point: snapshot.Point | None = None

    def begin(self, *, locks: bool = True, helpers: int = 0, copies: Callable[[TableId], bool] = lambda id: False,
              ) -> tuple[list[connection.Connection], snapshot.Point, catalog.Catalog]:
        """A connection with an open transaction, and *helpers* others; the point of the log that they see, and the
        structures at that point. Without *locks*, the point may be too early. *copies*: whether the rows of a captured
        table will be wanted.

        The structures are read once the transaction is open, and `snapshot.locking.mode=minimal` holds no lock by then;
        if one was changed since before it was open, all begins again. Raises SourceConnectionError after ten attempts.
        """
        for _ in range(_ATTEMPTS):
            marks = self._lookup.marks()
            captured = [id for id, mark in marks.items() if not isinstance(mark, str) and self._filters.table(id)]
            copied = [id for id in captured if copies(id)]
            self._made_at = catalog.creation_times(self._lookup.connection(), captured)
            self._conn = conn = self._lookup.connect(query_timeout=False)
            try:
                for _ in range(max(helpers, self._helpers_to_probe(copied))):
                    self._helpers.append(self._lookup.connect(query_timeout=False))
                point = self._point = snapshot.begin(
                    conn, flavor=self._config.flavor,
                    locking_mode=self._config.snapshot_locking_mode if locks else "none",
                    lock_timeout_ms=self._config.snapshot_lock_timeout_ms, tables=captured,
                    connect=self._connect_locker, helpers=self._helpers)
                found = self._lookup.read_catalog(self._probe(conn, point, copied))
                if catalog.same(marks, self._lookup.marks()):
                    self._marks = marks
                    for each in self._helpers[helpers:]:
                        connection.close(each)
                    self._helpers = self._helpers[:helpers]
                    return [conn, *self._helpers], point, found
            except BaseException:
                self.close()
                raise
            self.close()
            log.info("snapshot_begins_again", reason="a table's structure was changed meanwhile")
        raise SourceConnectionError(
            f"The snapshot could not start: table structures changed during each of {_ATTEMPTS} attempts.")

    def _helpers_to_probe(self, copied: Collection[TableId]) -> int:
        """How many connections besides one are to open their transactions at the same point. Where that needs no lock,
        the other one comes later."""
        return 1 if len(copied) > TOGETHER and not self._config.flavor.snapshot_has_position else 0

    def _probe(self, conn: connection.Connection, point: snapshot.Point,
               copied: Collection[TableId]) -> RowProbe | None:
        """Two connections, of which both see the rows if possible; None if it is not worth while."""
        self.has_rows = {}
        if len(copied) <= TOGETHER:
            return None
        sees = True
        if not self._helpers:
            self._helpers.append(self._lookup.connect(query_timeout=False))
            sees = snapshot.joins(self._helpers[0], point.position)
        both = [conn, self._helpers[0]]
        probe = RowProbe(copied, both, both if sees else both[:1],
                         by_handler=not self._config.flavor.savepoints_release_locks)
        self.has_rows = probe.has_rows
        return probe

    def _connect_locker(self) -> connection.Connection:
        locker = self._locker = self._lookup.connect(query_timeout=False)
        return locker

    def check_lists(self, found: catalog.Catalog) -> None:
        """Warn of the entries of the include lists that match nothing; tables may be made later, so the stream goes
        on. Raises SourceRefusedError when the user cannot see any table."""
        warn_of_missing(self._filters.missing_signal_tables(found.creates))
        captured = [str(id) for id in found.creates if self._filters.listed(id)]
        if not captured:
            grants.check_sees_tables(self._lookup.connection(), self._lookup.facts)
            log.warning("no_table_captured", hint="Check the include and exclude lists, and the user's SELECT grants.")
        databases = [each.name for each in found.databases]
        config, filters = self._config, self._filters
        for option, entries, patterns, names in (
                ("database.include.list", config.database_include_list, filters.databases.include, databases),
                ("table.include.list", config.table_include_list, filters.tables.include, captured)):
            for entry in unmatched_entries(entries, patterns, names):
                log.warning("include_list_entry_matches_nothing", option=option, entry=entry,
                            reason="there is no such name yet, or the user may not see it")

    def not_asked(self, tables: Sequence[TableId]) -> Sequence[TableId]:
        """Those of *tables* whose rows the server has not looked for yet, so that the user may lack the right to."""
        return [id for id in tables if id not in self.has_rows]

    def check_same_tables(self) -> None:
        """Whether each table is still the one of the beginning, also those that looked empty: online schema changes
        swap tables. The snapshot's transaction holds the names of those that were read. Raises SourceConnectionError.
        """
        self._check_same(self._made_at)

    def check_same_table(self, id: TableId) -> None:
        """The same for one table, whose rows are being read: a table that took its name after the transaction began may
        look empty to it, or as if it had few rows."""
        if id in self._made_at:
            self._check_same([id])

    def identities(self) -> dict[str, str]:
        """The captured tables and when each was made, for `Progress.of_same`. Empty where the server does not tell."""
        return {str(id): self._identity(id) for id in self._made_at}

    def identity(self, read: snapshot.TableRead) -> str:
        return self._identity(read.table.id)

    def _identity(self, id: TableId) -> str:
        made = self._made_at.get(id)
        return "" if made is None else str(made)

    def another(self) -> tuple[connection.Connection, MySqlPosition]:
        """A connection in place of one that was lost, from any thread. Its transaction sees the rows at present, at the
        position or later. Raises SourceConnectionError if a table's structure was changed since `begin`."""
        conn = self._lookup.connect(query_timeout=False)
        try:
            position = snapshot.open_later(conn)
            if not catalog.same(self._marks, self._lookup.marks(conn)):
                raise SourceConnectionError("A table's structure was changed while the snapshot was taken.",
                                            hint="The snapshot goes on in a new transaction.")
        except BaseException:
            connection.close(conn)
            raise
        self._helpers = [*self._helpers, conn]
        return conn, position

    def _check_same(self, ids: Collection[TableId]) -> None:
        with self._checking:
            now = catalog.creation_times(self._lookup.connection(), ids)
        swapped = [id for id, made in now.items() if made != self._made_at[id]
                   and made is not None and self._made_at[id] is not None]  # None: MariaDB, while it is locked
        if swapped:
            raise SourceConnectionError(
                "A table was swapped for another one while the snapshot was taken, so the snapshot begins again.",
                tables=", ".join(map(str, swapped[:20])))

    def tables(self, found: catalog.Catalog, selection: SnapshotSelection) -> list[TableId]:
        """The tables to copy, in order. Raises SourceRefusedError."""
        return selection.tables(captured_tables(found.creates, self._filters), found.row_estimates)

    def reads(self, found: catalog.Catalog, selection: SnapshotSelection) -> snapshot.ReadPlan:
        return snapshot.ReadPlan(found.structures, self._builder, selection)

    def messages(self, found: catalog.Catalog, position: MySqlPosition, events: SourceBlock, naming: TopicNaming,
                 schemas: schema_changes.SchemaChangeSchemas) -> Sequence[Message]:
        """The schema changes that a snapshot sends: as if everything captured were created at *position*."""
        facts = self._lookup.facts
        names = {id.catalog for id in found.creates}
        databases = [each for each in found.databases if each.name in names]
        tables = [(structure, create) for id, create in found.creates.items()
                  if (structure := found.structures.get(id)) is not None]

        def message(change: SchemaChange) -> Message:
            now_us = time.time_ns() // 1000
            table = change.change.id.table if change.change is not None else None
            values = events.source_values(now_us, database=change.database, table=table, file=position.file,
                                          pos=position.pos, snapshot="true")
            return schema_changes.make_message(
                change, naming.schema_change_topic(), schemas, values, now_us // 1000, flavor=self._config.flavor,
                comments=self._config.keep_comments)

        return Messages(message, schema_changes.snapshot_changes(facts.charset, facts.collation, databases, tables))

    def interrupt(self) -> None:
        """End what the server is doing for the snapshot's connections, or what they wait for. From any thread."""
        for conn in (self._conn, self._locker, *self._helpers):
            if conn is not None:
                connection.interrupt(conn)

    def close(self) -> None:
        """Idempotent."""
        for conn in (self._conn, *self._helpers):
            if conn is not None:
                connection.close(conn)
        self._helpers = []
        if self._point is not None and self._point.locker is not None:
            connection.close(self._point.locker)
        self._conn = self._locker = self._point = None


class Messages(Sequence[Message]):
    """Made one at a time: very many tables have more messages than fit into memory well."""

    def __init__(self, make: Callable[[SchemaChange], Message], changes: Sequence[SchemaChange]) -> None:
        self._make = make
        self._changes = changes

    def __len__(self) -> int:
        return len(self._changes)

    @overload
    def __getitem__(self, place: int) -> Message: ...

    @overload
    def __getitem__(self, place: slice) -> Messages: ...

    def __getitem__(self, place: int | slice) -> Message | Messages:
        if isinstance(place, slice):
            return Messages(self._make, self._changes[place])
        return self._make(self._changes[place])
