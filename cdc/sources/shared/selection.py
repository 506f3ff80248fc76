"""Which of the tables that a database has are captured or copied, and in what order. Pure.

Debezium docs, the options `table.include.list`, `snapshot.include.collection.list`,
`snapshot.select.statement.overrides` and `snapshot.tables.order.by.row.count`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import field, replace

from cdc.config.regex import compile_items
from cdc.core.dataclass import dataclass
from cdc.core.errors import SourceRefusedError
from cdc.core.table import TableId
from cdc.debezium.filters import Filters, NameFilter, Patterns, signal_tables, table_names
from cdc.log import get_logger
from cdc.sources.snapshot.requests import Request, matches

from .options import SourceConfig

log = get_logger(__name__)


def captured_tables(ids: Iterable[TableId], filters: Filters) -> list[TableId]:
    """The captured tables among *ids*, in Debezium's order: by the first entry of the include list that matches, then
    by name."""
    include = filters.tables.include

    def rank(id: TableId) -> tuple[int, str, str, str]:
        first = next((number for number, pattern in enumerate(include) if pattern.fullmatch(str(id))), len(include))
        return first, id.catalog, id.schema, id.table

    return sorted((id for id in ids if filters.table(id)), key=rank)


def unmatched_entries(entries: Sequence[str], patterns: Patterns, names: Collection[str]) -> list[str]:
    """The *entries* of an include list, compiled to *patterns*, that match none of *names*."""
    return [entry for entry, pattern in zip(entries, patterns, strict=True)
            if not any(pattern.fullmatch(name) for name in names)]


def warn_of_missing(signal_tables: Sequence[str]) -> None:
    """Warn of the *signal_tables* that the database does not have."""
    for name in signal_tables:
        log.warning("signal_table_missing", table=name, hint=(
            "Create it, with the text columns id, type and data, and restart the connector."))


@dataclass(frozen=True)
class SnapshotSelection:
    """Which captured tables a snapshot copies, in what order, and which with a SELECT of the user's own."""

    only: Callable[..., bool]
    """Whether a table of any of these names is copied."""
    order: str
    overrides: Mapping[str, str]
    signals: frozenset[str] = frozenset()
    """Names of signal tables, which are never copied."""
    asked: Mapping[TableId, str | None] = field(default_factory=dict)
    """If there are any: these tables instead of `only`, each perhaps with a condition in SQL."""

    @classmethod
    def from_config(cls, config: SourceConfig) -> SnapshotSelection:
        """Raises ConfigError for a bad regular expression."""
        only = NameFilter(compile_items(config.snapshot_include_collection_list, "snapshot.include.collection.list"))
        return cls(only, config.snapshot_tables_order_by_row_count, dict(config.snapshot_select_statement_overrides),
                   signal_tables(config))

    @classmethod
    def of_request(cls, request: Request, captured: Iterable[TableId], config: SourceConfig) -> SnapshotSelection:
        """The tables among *captured* that *request* names; its filters are whole SELECTs. As in Debezium, what is
        configured for initial snapshots does not count, apart from the order."""
        names = [str(id) for id in captured]
        unknown = [each for each in request.patterns if not any(matches(each, name) for name in names)]
        if unknown:
            log.warning("snapshot_tables_unknown", id=request.id, tables=unknown,
                        hint="No captured table has such a name; names are schema.table or database.table.")
        chosen = [name for name in names if request.chooses(name)]
        overrides = {name: text for name in chosen if (text := request.condition(name)) is not None}
        only = frozenset(chosen)
        return cls(lambda *of_table: not only.isdisjoint(of_table), config.snapshot_tables_order_by_row_count,
                   overrides, signal_tables(config))

    def tables(self, captured: Iterable[TableId], row_counts: Mapping[TableId, int]) -> list[TableId]:
        """The tables to copy among *captured*, whose order decides where row counts do not. *row_counts* are the
        database's estimates; a table without one counts as the smallest. Raises SourceRefusedError if a table that was
        asked for is not among them."""
        chosen = [id for id in captured if self.copies(id)]
        missing = sorted(map(str, self.asked.keys() - set(chosen)))
        if missing:
            raise SourceRefusedError(
                f"{', '.join(missing)} cannot be copied.",
                hint="It was dropped, it is not captured, or it is the signal table, which no snapshot copies.")
        if self.order != "disabled":
            chosen.sort(key=lambda id: row_counts.get(id, -1), reverse=self.order == "descending")
        return chosen

    def asked_for(self, tables: Mapping[TableId, str | None]) -> SnapshotSelection:
        """The same for *tables* only, in the same order; for all that are configured if there are none."""
        return replace(self, asked=dict(tables))

    def condition(self, id: TableId) -> str | None:
        """What the rows of *id* must fulfil, in parentheses. It may end in a comment."""
        asked = self.asked.get(id)
        return f"({asked}\n)" if asked else None

    def checks(self, id: TableId) -> tuple[str, ...]:
        """The forms of that condition that the server must take before any row is read; none without a condition."""
        asked, condition = self.asked.get(id), self.condition(id)
        return (alone(asked), condition) if asked and condition else ()

    def copies(self, id: TableId) -> bool:
        """Whether the captured table *id* is copied."""
        wanted = id in self.asked if self.asked else self.only(*table_names(id))
        return wanted and self.signals.isdisjoint(table_names(id))

    def override(self, id: TableId) -> str | None:
        """The SELECT that was configured for the rows of *id*, without a semicolon at its end."""
        statement = next((self.overrides[name] for name in table_names(id) if self.overrides.get(name)), None)
        return statement.strip().rstrip(";") if statement else None


def alone(condition: str) -> str:
    """SQL that a server takes only if *condition* is an expression by itself. `id = 1) OR (id = 2` is none, but within
    parentheses it becomes two, and what stands beside them then limits only one of the two."""
    return f"(CASE WHEN {condition}\nTHEN TRUE END)"


def condition_refused(table: str, error: SourceRefusedError) -> SourceRefusedError:
    """For *error*, which a condition of *table* has met."""
    return SourceRefusedError(f"The server does not take the condition for the rows of {table}.", reason=error.message,
                              hint="It is SQL as after WHERE, over the columns of that table.")


@dataclass(frozen=True)
class RangeCounts:
    """How many ranges a table is divided into at least, if it is not small (`snapshot.max.threads.multiplier`)."""

    threads: int
    multiplier: int
    multipliers: Mapping[str, int]

    @classmethod
    def from_config(cls, config: SourceConfig) -> RangeCounts:
        return cls(config.snapshot_max_threads, config.snapshot_max_threads_multiplier,
                   dict(config.snapshot_max_threads_multipliers))

    def fewest(self, id: TableId) -> int:
        """1 with one reader."""
        if self.threads == 1:
            return 1
        own = next((self.multipliers[name] for name in table_names(id) if name in self.multipliers), self.multiplier)
        return self.threads * own
