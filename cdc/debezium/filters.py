"""Which schemas, tables, columns and message prefixes are captured, and which columns make a key.

Debezium docs, the options `schema.include.list` … `message.key.columns`. Lists are Java regular expressions that must
match the whole name, without case. Debezium sources: RelationalTableFilters, Tables.ColumnNameFilterFactory,
Key.CustomKeyMapper.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from cdc.config.regex import JavaRegex, compile_items
from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex
from cdc.core.table import TableId

Patterns = tuple[JavaRegex, ...]


@dataclass(frozen=True)
class NameFilter:
    """An include or an exclude list. Without either, everything passes; with both, only the include list counts."""

    include: Patterns = ()
    exclude: Patterns = ()

    def __call__(self, *names: str) -> bool:
        """Whether something passes that has any of *names*."""
        if self.include:
            return _any(self.include, names)
        return not _any(self.exclude, names)

    def __bool__(self) -> bool:
        """Whether anything does not pass."""
        return bool(self.include or self.exclude)


@dataclass(frozen=True)
class KeyColumns:
    """`message.key.columns`: for each configured column a regex on `table.column`, in the configured order."""

    patterns: Patterns = ()

    def find(self, id: TableId, columns: Iterable[str]) -> tuple[str, ...]:
        """The columns of *id*'s key, in key order; empty if the option does not name the table."""
        names = tuple(columns)
        found = (name for pattern in self.patterns for name in names
                 if any(pattern.fullmatch(full) for full in column_names(id, name)))
        return tuple(dict.fromkeys(found))


_NO_FILTER: Final = NameFilter()
_NO_KEYS: Final = KeyColumns()


class Filters:
    """What a connector captures. It remembers its answers about tables.

    *builtin* says which tables are the server's own; they are never captured.
    """

    def __init__(self, *, databases: NameFilter = _NO_FILTER, schemas: NameFilter = _NO_FILTER,
                 tables: NameFilter = _NO_FILTER, columns: NameFilter = _NO_FILTER, prefixes: NameFilter = _NO_FILTER,
                 keys: KeyColumns = _NO_KEYS,
                 builtin: Callable[[TableId], bool] | None = None, signals: frozenset[str] = frozenset()) -> None:
        self.databases = databases
        self.schemas = schemas
        self.tables = tables
        self.columns = columns
        self.prefixes = prefixes
        self.keys = keys
        self._builtin = builtin
        self._signals = signals
        self._answers: dict[TableId, bool] = {}

    @classmethod
    def from_config(cls, config: Any, builtin: Callable[[TableId], bool] | None = None) -> Filters:
        """From a connector's options, one attribute per key; keys a connector does not have count as unset. List
        items may be text or compiled patterns. *builtin* has an effect unless `table.ignore.builtin` is false.

        Raises ConfigError for a bad regex, and where both lists of one kind are set.
        """
        return cls(
            databases=_name_filter(config, "database"),
            schemas=_name_filter(config, "schema"),
            tables=_name_filter(config, "table"),
            columns=_name_filter(config, "column"),
            prefixes=_name_filter(config, "message.prefix"),
            keys=_key_columns(getattr(config, "message_key_columns", None)),
            builtin=builtin if getattr(config, "table_ignore_builtin", True) else None,
            signals=signal_tables(config),
        )

    def table(self, id: TableId) -> bool:
        """Whether changes of *id* are captured."""
        answer = self._answers.get(id)
        if answer is None:
            answer = self._answers[id] = self.is_signal_table(id) or self.listed(id)
        return answer

    def listed(self, id: TableId) -> bool:
        """Whether the lists let *id* pass; a signal table is captured without that."""
        if self._builtin is not None and self._builtin(id):
            return False
        if id.schema and not self.schemas(id.schema):
            return False
        if not id.schema and not self.databases(id.catalog):
            return False
        return self.tables(str(id))

    def missing_signal_tables(self, ids: Iterable[TableId]) -> list[str]:
        """The names of signal tables that are not among *ids*."""
        found = {name for id in ids for name in table_names(id)}
        return sorted(self._signals - found)

    def is_signal_table(self, id: TableId) -> bool:
        """Whether *id* is the signal table, which is always captured."""
        return not self._signals.isdisjoint(table_names(id))

    def column(self, id: TableId, column: str) -> bool:
        """Whether a captured table's column is part of its rows. It may be a part of the key in any case."""
        return not self.columns or self.columns(*column_names(id, column))

    def prefix(self, prefix: str) -> bool:
        """Whether logical decoding messages of *prefix* are captured."""
        return self.prefixes(prefix)


def signal_tables(config: Any) -> frozenset[str]:
    """The names of `signal.data.collection`, without quotes."""
    return frozenset(_unquoted(name) for item in _items(getattr(config, "signal_data_collection", None))
                     for name in item.split(",") if name.strip())


def table_names(id: TableId) -> tuple[str, ...]:
    """The names of *id* in a list: `schema.table` (`database.table`), and with the database before it."""
    return (str(id), f"{id.catalog}.{id.schema}.{id.table}") if id.schema and id.catalog else (str(id),)


def column_names(id: TableId, column: str) -> tuple[str, ...]:
    """As `table_names`, for a column of it."""
    return tuple(f"{name}.{column}" for name in table_names(id))


_KEY_ENTRY = late_regex(r"\s*([^:]+):([^:,]+(?:,[^:,]+)*)\s*")


def parse_key_columns(text: str | None) -> KeyColumns:
    """`table-regex:col1,col2;…`. Raises ConfigError."""
    option = "message.key.columns"
    regexes: list[str] = []
    for entry in filter(str.strip, (text or "").split(";")):
        parts = _KEY_ENTRY.fullmatch(entry)
        if not parts:
            raise ConfigError(f"{entry.strip()!r} is not of the form table:column,column.", option=option,
                              hint="Entries are separated by semicolons; the table may be a regular expression.")
        regexes.extend(f"{parts[1].strip()}.{column.strip()}" for column in parts[2].split(","))
    return KeyColumns(compile_items(tuple(regexes), option))


def _key_columns(value: Any) -> KeyColumns:
    """From the option's text, or from entries that have `table` and `columns` already."""
    if value is None or isinstance(value, str):
        return parse_key_columns(value)
    regexes = tuple(f"{entry.table}.{column}" for entry in value for column in entry.columns)
    return KeyColumns(compile_items(regexes, "message.key.columns"))


def _name_filter(config: Any, kind: str) -> NameFilter:
    include_key, exclude_key = f"{kind}.include.list", f"{kind}.exclude.list"
    include, exclude = _patterns(config, include_key), _patterns(config, exclude_key)
    if include and exclude:
        raise ConfigError(f"{include_key} and {exclude_key} are both set.", option=exclude_key,
                          hint="Set one of them.")
    return NameFilter(include, exclude)


def _patterns(config: Any, key: str) -> Patterns:
    items = _items(getattr(config, key.replace(".", "_"), None))
    return tuple(item if isinstance(item, JavaRegex) else compile_items((item,), key)[0] for item in items)


def _items(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def _any(patterns: Patterns, names: Sequence[str]) -> bool:
    return any(pattern.fullmatch(name) for pattern in patterns for name in names)


def _unquoted(name: str) -> str:
    """A table's name without the quotes that Debezium lets its parts have."""
    parts = re.findall(r'"(?:[^"]|"")*"|`(?:[^`]|``)*`|[^.]+', name.strip())
    return ".".join(part[1:-1].replace(part[0] * 2, part[0]) if part[0] in '"`' else part for part in parts)
