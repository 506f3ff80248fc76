"""Whether the server writes the changes of captured tables to its log at all, asked before the first event and again
while the log is read.

A replica without log_replica_updates does not log what it replicates, and binlog_do_db and binlog_ignore_db leave
databases out. Nothing in the log tells so. MySQL Reference Manual, "Replica Server Options and Variables", "Binary
Logging Options and Variables", "How Servers Evaluate Replication Filtering Rules"; MariaDB docs, the same titles.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from cdc.core.dataclass import dataclass
from cdc.core.errors import SourceRefusedError
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.log import get_logger
from cdc.sources.shared.warnings import Warnings

from . import catalog
from .connection import Connection, query, query_named
from .server import MySqlFacts, log_status

log = get_logger(__name__)

_NAMES: Final = 10
_UNNAMED: Final = "captured tables"
_LIST_AGAIN_S: Final = 600.0
_SHOWS_REPLICA_STATUS: Final = 80022
_WAY_OUT: Final = "cdc.unlogged.changes=warn starts without them."


@dataclass(frozen=True)
class Filter:
    """Lists of databases, as binlog_do_db and replicate_do_db work (sql/rpl_filter.cc, `db_ok`)."""

    only: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()

    @classmethod
    def of(cls, only: object, never: object) -> Filter:
        """From two lists as the server prints them."""
        return cls(_names(only), _names(never))

    def passes(self, name: str) -> bool:
        return name in self.only if self.only else name not in self.never


@dataclass(frozen=True)
class Channel:
    """What the server replicates from one other server, as far as it shows its filters."""

    source: str
    databases: Filter = Filter()
    tables: Filter = Filter()
    by_pattern: bool = False
    """Patterns also choose tables (replicate_wild_do_table); we do not evaluate them."""

    def may_write(self, id: TableId) -> bool:
        name = f"{id.catalog}.{id.table}"
        if not self.databases.passes(id.catalog) or name in self.tables.never:
            return False
        return self.by_pattern or not self.tables.only or name in self.tables.only


def read_channel(row: Mapping[str, object]) -> Channel:
    """From a row of SHOW REPLICA STATUS or SHOW ALL SLAVES STATUS, by column name."""
    def column(*names: str) -> object:
        return next((row[name] for name in names if row.get(name)), "")

    return Channel(
        f"{column('Source_Host', 'Master_Host')}:{column('Source_Port', 'Master_Port')}",
        Filter.of(column("Replicate_Do_DB"), column("Replicate_Ignore_DB")),
        Filter.of(column("Replicate_Do_Table"), column("Replicate_Ignore_Table")),
        bool(column("Replicate_Wild_Do_Table")))


class Coverage:
    """Asks whether the changes of all captured tables get into the log. The first answer is for the start; later ones
    list tables only where some may be missing."""

    def __init__(self, filters: Filters, warnings: Warnings, *, fail: bool) -> None:
        """*fail*: `cdc.unlogged.changes`."""
        self._filters = filters
        self._warnings = warnings
        self._fail = fail
        self._replicated: tuple[tuple[Channel, ...] | None, float, Unlogged | None] | None = None

    def check(self, conn: Connection, facts: MySqlFacts) -> None:
        """At the start. Raises SourceRefusedError, which names what is not logged; with `warn`, warns of it."""
        logged = log_filter(conn)
        if logged != Filter():
            log.warning("binlog_filtered", binlog_do_db=",".join(sorted(logged.only)),
                        binlog_ignore_db=",".join(sorted(logged.never)),
                        effect="changes in other databases are not in the log, and no event tells so")
        error = self._judge(conn, facts, logged)
        if error is not None:
            raise error

    def look(self, conn: Connection, facts: MySqlFacts) -> SourceRefusedError | None:
        """While the log is read: the error that the stream must end with, if changes are lost. With `warn`, warns of
        what is not logged, or is again. Raises a SourceError."""
        return self._judge(conn, facts, log_filter(conn))

    def _judge(self, conn: Connection, facts: MySqlFacts, logged: Filter) -> SourceRefusedError | None:
        found = [each for each in (self._left_out(conn, logged), self._not_relogged(conn, facts)) if each is not None]
        if found and self._fail:
            return found[0].error()
        self._warnings.show("changes_not_logged", {
            name: (each.reason, each.hint) for each in found for name in each.names or (_UNNAMED,)})
        return None

    def _left_out(self, conn: Connection, logged: Filter) -> Unlogged | None:
        """Lists the tables of the databases that are not logged, and of no other."""
        if logged == Filter():
            return None
        unlogged = [name for name in catalog.database_names(conn)
                    if not logged.passes(name) and self._filters.databases(name)]
        return filtered(catalog.tables_in(conn, unlogged, self._filters.table), logged)

    def _not_relogged(self, conn: Connection, facts: MySqlFacts) -> Unlogged | None:
        if facts.logs_replicated:
            return None
        channels = read_channels(conn, facts, self._warnings)
        key = None if channels is None else tuple(channels)
        known = self._replicated
        if known is not None and known[0] == key and time.monotonic() < known[1]:
            return known[2]
        found = None
        if key is None or key:
            found = not_relogged(catalog.list_tables(conn, self._filters.table), channels)
        self._replicated = key, time.monotonic() + _LIST_AGAIN_S, found
        return found


def log_filter(conn: Connection) -> Filter:
    """Which databases the server logs."""
    row = log_status(conn)
    return Filter.of(*row[2:4]) if len(row) >= 4 else Filter()


@dataclass(frozen=True)
class Unlogged:
    """Databases or tables whose changes are not logged; without names, tables that are still to come."""

    reason: str
    names: tuple[str, ...]
    hint: str

    def error(self) -> SourceRefusedError:
        more = len(self.names) - _NAMES
        names = ", ".join(self.names[:_NAMES]) + (f" and {more} more" if more > 0 else "")
        return SourceRefusedError(f"{self.reason}{': ' + names if names else ''}.", hint=f"{self.hint} {_WAY_OUT}")


def filtered(tables: Iterable[TableId], logged: Filter) -> Unlogged | None:
    """The databases of *tables* that the server does not log."""
    names = tuple(sorted({id.catalog for id in tables if not logged.passes(id.catalog)}))
    return None if not names else Unlogged(
        "The server leaves databases of captured tables out of its binary log (binlog_do_db, binlog_ignore_db)", names,
        "Remove the filter from the server's configuration and restart it, or name these databases in"
        " database.exclude.list.")


def not_relogged(tables: Collection[TableId], channels: Sequence[Channel] | None) -> Unlogged | None:
    """The tables that a replica with log_replica_updates=OFF gets from other servers and therefore does not
    log. *channels* None: the server is a replica, and does not show from where and with which filters."""
    if channels is not None and not channels:
        return None
    names = tuple(sorted(str(id) for id in tables if channels is None or any(
        channel.may_write(id) for channel in channels)))
    if tables and not names:
        return None
    source = "" if channels is None else " of " + ", ".join(channel.source for channel in channels)
    return Unlogged(
        f"The server is a replica{source} and log_replica_updates (log_slave_updates) is OFF: what it replicates is"
        " not in its binary log", names,
        "Set log_replica_updates=ON (before MySQL 8.0.26 and on MariaDB: log_slave_updates=ON) in the server's"
        " configuration and restart it, or connect to the server that it replicates from.")


def read_channels(conn: Connection, facts: MySqlFacts, warnings: Warnings) -> list[Channel] | None:
    """What the server replicates: empty if it is no replica; None if it is one and does not show us more."""
    statement = facts.flavor.replica_status if facts.version_id >= _SHOWS_REPLICA_STATUS else "SHOW SLAVE STATUS"
    try:
        found = [read_channel(row) for row in query_named(conn, statement)]
    except SourceRefusedError as exc:  # MariaDB wants a privilege for it that nothing else needs
        running = query(conn, "SHOW GLOBAL STATUS LIKE 'Slave_running'")
        if any(str(value).upper() == "ON" for _, value in running):
            return None
        warnings.put("replica_status_not_readable", facts.user,
                     f"{exc.message} Whether the server is a replica is not known; its log would lack what it gets",
                     "Grant the user SLAVE MONITOR (REPLICATION CLIENT on MySQL).")
        return []
    warnings.show("replica_status_not_readable", {})
    return found


def _names(printed: object) -> frozenset[str]:
    text = printed.decode("utf-8", "replace") if isinstance(printed, bytes) else str(printed or "")
    return frozenset(name.strip() for name in text.split(",") if name.strip())
