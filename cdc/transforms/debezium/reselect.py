"""ReselectColumnsPostProcessor: reads columns again that the log left out, or whose value is null.

Debezium documentation, "Reselect columns"; debezium/debezium, `ReselectColumnsPostProcessor`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from cdc.config.options import option, settings
from cdc.config.regex import JavaRegex, compile_list
from cdc.config.table import OptionTable
from cdc.core.errors import (
    ConfigError,
    SourceConnectionError,
    SourceError,
    SourceRefusedError,
    SourceStoppedError,
)
from cdc.core.interfaces import ReadsRows
from cdc.core.outcome import Outcome
from cdc.core.record import CREATE, UPDATE, Record
from cdc.core.row import ABSENT, NULL, UNCHANGED, patched
from cdc.core.table import Column, TableSchema
from cdc.core.view import RecordView
from cdc.log import get_logger

from ..part import configured

log = get_logger(__name__)

PAUSE_S: Final = 10.0
"""After a connection that failed, or a lock that was not given, no row is read for so long."""
_QUIET_S: Final = 60.0
"""A table's warning is logged again after this time, with how often it was."""
_MAX_TABLES: Final = 10_000
"""How many table versions, or warnings, are remembered. When there are more, all are forgotten."""


def _patterns(key: str) -> Callable[[str], tuple[JavaRegex, ...]]:
    return lambda text: compile_list(text, key)


@settings
class ReselectSettings:
    """The keys of ReselectColumnsPostProcessor."""

    reselect_columns_include_list: tuple[JavaRegex, ...] = option(
        "reselect.columns.include.list", "LIST", default="", convert=_patterns("reselect.columns.include.list"),
        doc="Columns to read again, as a list of regular expressions of schema.table:column (MySQL and MariaDB:"
            " database.table:column). Without it, all columns.")
    reselect_columns_exclude_list: tuple[JavaRegex, ...] = option(
        "reselect.columns.exclude.list", "LIST", default="", convert=_patterns("reselect.columns.exclude.list"),
        doc="Columns not to read again, in the same form. It has no effect beside an include list.")
    reselect_unavailable_values: bool = option(
        "reselect.unavailable.values", "BOOLEAN", default="true",
        doc="Read values again that the log left out, for which unavailable.value.placeholder would stand.")
    reselect_null_values: bool = option(
        "reselect.null.values", "BOOLEAN", default="true", doc="Read values again that are null.")
    reselect_use_event_key: bool = option(
        "reselect.use.event.key", "BOOLEAN", default="false",
        doc="Find the row by the columns of the message key, instead of the table's own key.")
    reselect_error_handling_mode: str = option(
        "reselect.error.handling.mode", default="warn", one_of=("warn", "fail"), importance="LOW",
        doc="If the row is not there any more or cannot be read: keep what the event has and log a warning, or stop.")
    reselect_cache_enabled: bool = option(
        "reselect.cache.enabled", "BOOLEAN", default="false", importance="LOW", effect="inert",
        why="each row is read as it is at that moment", doc="Keep what was read, for later events of the row.")


OPTIONS = OptionTable.of(ReselectSettings)


class ReselectColumnsPostProcessor:
    """Puts the present values of columns into the row `after` of inserts and updates. For one task."""

    options = OPTIONS

    def __init__(self, config: Mapping[str, str]) -> None:
        """Raises ConfigError."""
        self._settings = s = configured(ReselectSettings, OPTIONS, config, "ReselectColumnsPostProcessor")
        self._source: ReadsRows | None = None
        self._columns: dict[TableSchema, tuple[Column, ...]] = {}
        self._told: dict[tuple[str, str], tuple[float, int]] = {}
        self._paused: tuple[float, str] = (0.0, "")
        if not (s.reselect_null_values or s.reselect_unavailable_values):
            log.warning("reselects_nothing", hint="Set reselect.null.values or reselect.unavailable.values to true.")

    def read_from(self, source: object) -> None:
        """Rows are read from *source* from now on. Raises ConfigError if it has none to read."""
        if not isinstance(source, ReadsRows):
            raise ConfigError("ReselectColumnsPostProcessor works with PostgreSQL, MySQL and MariaDB only.",
                              option="post.processors", hint="Take it out of post.processors.")
        self._source = source

    def outcome(self, known: Outcome) -> Outcome | None:
        return known if known.op not in (CREATE, UPDATE) or not self._columns_of(known.table) else None

    def apply(self, view: RecordView) -> None:
        """Raises SourceStoppedError, and with `fail` SourceConnectionError and SourceRefusedError."""
        record = view.record
        if not isinstance(record, Record) or record.op not in (CREATE, UPDATE):
            return
        row = record.after
        if row is None or record.key_row is None or self._source is None:
            return
        columns = [column for column in self._columns_of(record.table) if self._is_missing(record, column)]
        if not columns:
            return
        try:
            self._check_pause()
            found = self._source.read_row(record, columns, event_key=self._settings.reselect_use_event_key)
            if found is None:
                raise SourceRefusedError("There is no such row any more.")
        except SourceStoppedError:
            raise  # the event comes again after the next start, so it need not do without
        except SourceError as exc:
            self._failed(record.table, exc)
            return
        view.set_after(patched(row, found, [column.index for column in columns]))

    def _columns_of(self, table: TableSchema) -> tuple[Column, ...]:
        """The columns that may be read again."""
        found = self._columns.get(table)
        if found is None:
            if len(self._columns) >= _MAX_TABLES:
                self._columns.clear()
            reads = self._source is not None and table.key_schema is not None and self._source.reads(table)
            found = tuple(column for column in table.columns if self._selects(table, column)) if reads else ()
            self._columns[table] = found
        return found

    def _selects(self, table: TableSchema, column: Column) -> bool:
        name = f"{table.id}:{column.name}"
        include, exclude = self._settings.reselect_columns_include_list, self._settings.reselect_columns_exclude_list
        if include:
            return any(each.fullmatch(name) for each in include)
        return not any(each.fullmatch(name) for each in exclude)

    def _is_missing(self, record: Record, column: Column) -> bool:
        s, index = self._settings, column.index
        row, old = record.after, record.other if record.before is None else record.before
        assert row is not None
        kind = row.kind(index)
        if kind == UNCHANGED and old is not None and old.kind(index) <= NULL:
            kind = old.kind(index)
        if kind == UNCHANGED and not column.unchanged_in_key:
            return s.reselect_unavailable_values or (s.reselect_null_values and column.unchanged is None)
        if kind == UNCHANGED and column.unchanged is not None:
            return False  # an insert's default
        return (s.reselect_null_values and kind in (NULL, ABSENT, UNCHANGED) and column.schema.default is None
                and column.null_value is None)

    def _check_pause(self) -> None:
        until, reason = self._paused
        if time.monotonic() < until:
            raise SourceRefusedError(reason)

    def _failed(self, table: TableSchema, error: SourceError) -> None:
        lost = isinstance(error, SourceConnectionError)
        if self._settings.reselect_error_handling_mode == "fail":
            made = SourceConnectionError if lost else SourceRefusedError
            raise made(f"Columns of a row cannot be read again: {error.message}", hint=error.hint or _HINT,
                       **{"table": str(table.id), **error.context}) from error
        if lost:
            self._paused = time.monotonic() + PAUSE_S, error.message
        self._tell(str(table.id), error.message)

    def _tell(self, table: str, reason: str) -> None:
        now = time.monotonic()
        at, times = self._told.get((table, reason), (-_QUIET_S, 0))
        times += 1
        if now - at >= _QUIET_S:
            log.warning("columns_not_read_again", table=table, reason=reason, events=times,
                        effect="the events keep what the log has")
            at, times = now, 0
        if len(self._told) >= _MAX_TABLES:
            self._told.clear()
        self._told[table, reason] = at, times


_HINT: Final = "reselect.error.handling.mode=warn keeps what the log has and goes on."
