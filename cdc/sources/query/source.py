"""All tables of a connector, or its query: one after the other, over one connection, when it is time for each."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping as Map
from collections.abc import Sequence
from typing import Any, Final

from cdc.config.regex import compile_java
from cdc.core.errors import CdcError, ConfigError, SourceConnectionError
from cdc.core.owner import OF_TABLE, claimed_by
from cdc.core.position import Offset
from cdc.core.record import Batch, Message, Record
from cdc.log import get_logger
from cdc.sources.shared.polled import PolledSource

from .columns import Mapping
from .criteria import Criteria, Quoting
from .database import ISOLATIONS, Database, Login, TableName
from .marks import OF_QUERY, QUERY, Mark, QueryPosition, divided, joined, marks_of
from .options import QueryConfig, columns_for
from .table import Plan, TableReader

log = get_logger(__name__)

_BATCH_BYTES: Final = 4 << 20
_UNSEEN: Final = {
    "bulk": "deletes; all other rows come again each time",
    "incrementing": "updates and deletes, and rows of transactions that commit after a greater number was read",
    "timestamp": "deletes, updates that leave the timestamp as it is, and rows that are committed later than "
                 "timestamp.delay.interval.ms after their timestamp",
}


def _database(scheme: str, login: Login) -> Database:
    """The database of a URL's *scheme*. Imports only its driver."""
    if scheme == "postgresql":
        from . import postgres

        return postgres.Database(login)
    if scheme == "sqlite":
        from . import sqlite

        return sqlite.Database(login)
    from . import mysql

    return mysql.Database(login)


class QuerySource(PolledSource):
    """Implements `core.interfaces.Source`."""

    def __init__(self, config: QueryConfig) -> None:
        super().__init__()
        self._config = config
        url = config.url
        login = Login(url.host, url.port, url.database, config.connection_user, config.connection_password,
                      url.properties, config.db_timezone, ISOLATIONS[config.transaction_isolation_mode],
                      config.db_fetch_size)
        self._database = _database(url.scheme, login)
        self._quoting = Quoting(self._database.quotes, config.quote_sql_identifiers == "always")
        self._mapping = Mapping(config.numeric, config.timestamp_granularity, config.db_timezone)
        self._marks: dict[str, Mark] = {}
        self._readers: dict[str, TableReader] = {}
        self._open: TableReader | None = None
        self._next_look = 0.0

    def partition(self) -> Map[str, Any]:
        return OF_QUERY if self._config.sql else OF_TABLE

    def divided(self, offset: Offset) -> Sequence[tuple[Map[str, Any], Offset]]:
        parts = {} if self._config.sql else divided(offset)
        return [({**OF_TABLE, "table": name}, part) for name, part in parts.items()] or [(self.partition(), offset)]

    def joined(self, stored: Sequence[tuple[Map[str, Any], Offset]]) -> dict[str, Any] | None:
        if self._config.sql:
            return next((dict(offset) for partition, offset in stored if partition == self.partition()), None)
        ours = {str(partition["table"]): offset for partition, offset in stored if claimed_by(partition) == OF_TABLE}
        return joined(ours.pop(OF_TABLE["table"], {}), ours) if ours else None

    def check_offset(self, offset: Offset) -> None:
        marks_of(offset)

    def interrupt(self) -> None:
        super().interrupt()
        self._database.cancel()

    def stop(self) -> None:
        super().stop()
        if self._open is not None:
            self._open.close()
        self._database.close()

    def start(self, offset: Offset | None) -> None:
        config = self._config
        self._marks = marks_of(offset or {})
        self._database.connect()
        if self._interrupted.is_set():
            raise SourceConnectionError("The connector was stopped before it began.")
        kind = "bulk" if config.mode == "bulk" else "timestamp" if config.mode.startswith("timestamp") else config.mode
        self.warnings.put("rows_not_seen", f"mode {config.mode}", f"What SELECTs do not find: {_UNSEEN[kind]}.",
                          "A connector that reads the database's log sees all of it.")
        note = self._database.clock_note(config.db_timezone) if kind == "timestamp" else ""
        if note:
            self.warnings.put("time_zones_differ", "db.timezone", note,
                              "If columns without zone are filled by the server's clock, set db.timezone to its zone:"
                              " else their times are wrong, and rows come late or are skipped.")
        if config.sql:
            self._readers = {QUERY: self._reader(None)}
            self._readers[QUERY].check(self._database)
        else:
            self._look()

    # -- tables -------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Find the tables to read, now and every `table.poll.interval.ms`. Raises ConfigError, SourceError."""
        config = self._config
        wanted = [table for table in self._database.tables(config.catalog_pattern, config.schema_pattern)
                  if table.kind in config.table_types and self._is_wanted(table)]
        names = [table.name for table in wanted]
        for table in wanted:
            if names.count(table.name) > 1:
                shown = ", ".join(each.full for each in wanted if each.name == table.name)
                raise ConfigError(f"Several tables have the name {table.name} and so one topic: {shown}.",
                                  option="table.whitelist", hint="Name one of them, or use one connector for each.")
        self.warnings.show("no_tables", {} if wanted else {"tables": (
            "No table has a name and a type that the configuration asks for.",
            "Check the lists of tables, schema.pattern, catalog.pattern and table.types (VIEW for views).")})
        for table in wanted:
            if table.full not in self._readers:
                made = self._reader(table)
                made.check(self._database)
                self._readers[table.full] = made
                log.info("table_found", table=table.full, topic=made.plan.topic)
        kept = {table.full for table in wanted}
        for name in [name for name in self._readers if name not in kept]:
            log.info("table_gone", table=name)
            del self._readers[name]
        self._next_look = time.monotonic() + config.table_poll_interval_ms / 1000

    def _is_wanted(self, table: TableName) -> bool:
        config = self._config
        quoted = (self._quoted(table.full), *(self._quoted(name) for name in table.names))
        if config.table_whitelist:
            return any(name in config.table_whitelist for name in (*table.names, *quoted))
        if config.table_blacklist:
            return not any(name in config.table_blacklist for name in (*table.names, *quoted))
        if config.table_include_list:
            return _matches(config.table_include_list, table, "table.include.list") and not _matches(
                config.table_exclude_list, table, "table.exclude.list")
        return True

    def _quoted(self, name: str) -> str:
        mark = self._database.quotes
        return ".".join(f"{mark}{part}{mark}" for part in name.split("."))

    def _reader(self, table: TableName | None) -> TableReader:
        config = self._config
        name = table.full if table else QUERY
        incrementing, timestamps = config.incrementing_column_name, config.timestamp_column_name
        if table is not None:
            timestamps = self._columns_of(
                table, "timestamp.columns.mapping", config.timestamp_columns_mapping, timestamps)
            counters = self._columns_of(table, "incrementing.column.mapping", config.incrementing_column_mapping,
                                        (incrementing,) if incrementing else ())
            incrementing = counters[0] if counters else None
        base = f"SELECT * FROM {self._quoting.table(table)}" if table else config.sql
        plan = Plan(
            name, f"{config.topic_prefix}{table.name if table else ''}", table.name if table else None,
            Criteria(base, incrementing, timestamps if config.mode.startswith("timestamp") else (),
                     config.query_suffix or ""),
            config.mode, self._mapping, config.timestamp_delay_interval_ms, config.timestamp_initial,
            config.validate_non_null)
        return TableReader(plan, self._mark(table), self._quoting)

    def _mark(self, table: TableName | None) -> Mark:
        """Confluent's connector writes the database's name, too, where its driver tells it."""
        names = [QUERY] if table is None else [table.full, table.names[-1]]
        return next((self._marks[name] for name in names if name in self._marks), Mark())

    @staticmethod
    def _columns_of(table: TableName, key: str, mappings: Any, others: tuple[str, ...]) -> tuple[str, ...]:
        if not mappings:
            return others
        found = columns_for(mappings, lambda regex: _matches((regex,), table, key))
        if found is None:
            raise ConfigError(f"{key}: {table.full} must match one regex, and only one.", option=key)
        return found

    # -- rows ---------------------------------------------------------------------------------------------------------

    def poll(self, timeout: float) -> Batch | None:
        reader = self._open
        if reader is None:
            reader = self._next_due(timeout)
            if reader is None:
                return None
            reader.open(self._database)
            self._open = reader
            self._tell(reader)
        try:
            return self._read(reader)
        except CdcError:
            reader.close()
            raise

    def rest(self) -> None:
        """A cursor on the server would keep its transaction open. The next SELECT begins behind the last row that was
        given away; with mode bulk, at the first row."""
        reader, self._open = self._open, None
        if reader is not None:
            reader.close()

    def _next_due(self, timeout: float) -> TableReader | None:
        """The table whose time has come first, after a wait of up to *timeout* seconds; None if there is none."""
        first = min(self._readers.values(), key=lambda each: each.due, default=None)
        looks = not self._config.sql
        times = [first.due] if first else []
        self._due = min([*times, self._next_look] if looks else times)
        if not self._is_due(timeout):
            return None
        now = time.monotonic()
        if looks and now >= self._next_look:
            self._look()
            return None
        return first if first is not None and first.due <= now else None

    def _read(self, reader: TableReader) -> Batch | None:
        """The next rows of the SELECT that is open; None if there are no more."""
        records: list[Record | Message] = []
        size, began = 0, reader.began
        reader.began = False
        while len(records) < self._config.batch_max_rows and size < _BATCH_BYTES and not self._interrupted.is_set():
            left = min(self._config.db_fetch_size, self._config.batch_max_rows - len(records))
            messages, more = reader.read(self._database, left)
            records += messages
            size += more
            if not reader.is_open:
                self._open = None
                reader.due = time.monotonic() + self._config.poll_interval_ms / 1000
                break
        if not records and not began:
            return None
        self._marks[reader.plan.name] = reader.mark
        counts = {(reader.plan.name or reader.plan.topic, "r"): len(records)} if records else {}
        return Batch(records, QueryPosition(dict(self._marks)), size + 100 * len(records), 0, counts, commit_soon=began)

    def _tell(self, reader: TableReader) -> None:
        """Warnings that last while they are true of a table."""
        about, left_out = reader.plan.name or "query", ", ".join(reader.left_out)
        for kind, true, text, hint in (
                ("columns_left_out", bool(left_out), f"Columns whose types have no form here: {left_out}.", "Read them"
                 " by a query that casts them to text."),
                ("rows_held_back", reader.held_back, "Clocks are about to be set back, or just were: rows of the hour "
                 "that occurs twice come when it is over.", "Columns with a time zone have no such hour.")):
            if true:
                self.warnings.put(kind, about, text, hint)
            else:
                self.warnings.end(kind, about)


def _matches(patterns: tuple[str, ...], table: TableName, option: str) -> bool:
    """Whether one of *patterns* matches a full name of *table*, by case."""
    names = table.names[1:] or table.names
    return any(compile_java(text, re.ASCII, option).fullmatch(name) for text in patterns for name in names)
