"""The rows of a chunk that wait until the stream has come to where they were read, by what tells rows apart.

A row and a change of it come from different wire formats, so they are compared by the Connect values of their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from cdc.codecs.wrappers import unconverted
from cdc.core.errors import DecodeError, NoValue
from cdc.core.record import DELETE, TOMBSTONE, TRUNCATE, UPDATE, Record
from cdc.core.row import ABSENT, BINARY, NULL, UNCHANGED, Row
from cdc.core.table import Column, TableSchema
from cdc.debezium.emit import HIDDEN

from .chunk import ChunkRows

_JSON: Final = "io.debezium.data.Json"
"""Its texts differ between Debezium's snapshots and streams."""
MOST_TOUCHED: Final = 200_000
"""Keys that are remembered while a chunk is read: some 50 MB."""


class UnknownKeyError(Exception):
    """A change does not tell which row it is of."""


class Identity:
    """Tells rows of one table apart: by the message key, or by the columns *names* of a table that has none, which are
    all that are captured. For one table; it may have several structures."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = tuple(names)
        self._columns: dict[TableSchema, tuple[Column, ...]] = {}

    def of(self, table: TableSchema, row: Row, old: Row | None = None) -> Hashable:
        """*old* has what *row* leaves out. Raises UnknownKeyError."""
        columns = self._columns.get(table)
        if columns is None:
            if len(self._columns) > 100:
                self._columns.clear()
            columns = self._columns[table] = self._columns_of(table)
        return tuple([_value(each, row if old is None or row.kind(each.index) not in (ABSENT, UNCHANGED) else old)
                      for each in columns])

    def _columns_of(self, table: TableSchema) -> tuple[Column, ...]:
        if not self._names:
            return table.key
        found = {each.name: each for each in table.columns}
        missing = [name for name in self._names if name not in found]
        if missing:
            raise UnknownKeyError(missing[0])
        columns = [found[name] for name in self._names]
        return tuple([each for each in columns if each.key_schema.name != _JSON] or columns)

    def touched(self, record: Record) -> list[Hashable]:
        """The rows of which *record* brings something newer, or that it ends. The new row of a change that is skipped
        is none of them: nobody else brings it. Raises UnknownKeyError, also for a change of all rows."""
        if record.op == TRUNCATE:
            raise UnknownKeyError(record.op)
        if record.op == TOMBSTONE:
            return []
        rows = [record.key_row] if record.table.key and not self._names else []
        if not rows or record.op in (UPDATE, DELETE):  # an update may have changed the key without an event for the old
            rows += [record.before, record.after]
        found = []
        for row in rows:
            if row is None:
                continue
            try:
                found.append(self.of(record.table, row, record.before if self._names else None))
            except UnknownKeyError:
                if row is record.key_row or self._names:
                    raise
        if not found or (self._names and record.op == UPDATE and record.before is None):
            raise UnknownKeyError(record.op)
        if record.key_headers is HIDDEN and record.after is not None:
            left = self.of(record.table, record.after, record.before)
            found = [each for each in found if each != left]
        return found


def _value(column: Column, row: Row) -> Hashable:
    kind = row.kind(column.index)
    if kind == NULL:
        return None
    data = row.raw(column.index)
    if kind in (ABSENT, UNCHANGED) or data is None:
        raise UnknownKeyError(column.name)
    codec = column.key_binary_codec if kind == BINARY and column.key_binary_codec else column.key_codec
    codec = unconverted(codec)
    try:
        value = codec.value(data, 0, len(data))
        same = _SHOWN_TWICE.get(codec.schema.name or "")
        return _hashable(value if same is None else same(value))
    except NoValue:
        return None
    except (DecodeError, ValueError) as exc:
        raise UnknownKeyError(column.name) from exc


def _instant(text: str) -> tuple[str, str]:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return whole, fraction.rstrip("0")


def _label(text: str) -> str:
    return text.replace("\\", "")


_SHOWN_TWICE: Final[Mapping[str, Callable[[Any], Hashable]]] = {
    "io.debezium.time.ZonedTimestamp": _instant,
    "io.debezium.time.Year": lambda year: 0 if year in (1900, 2000) else year,
    "io.debezium.data.Enum": _label,
    "io.debezium.data.EnumSet": _label,
}
"""What tells values of a type apart, by the name of its schema, where Debezium's snapshots and streams differ (option
`cdc.uniform.values`)."""


def _hashable(value: Any) -> Hashable:
    """Equal for equal keys; two keys that differ may be equal at worst, as 1 and 1.0 are."""
    if isinstance(value, float) and value != value:
        return "NaN"
    if isinstance(value, Mapping):
        return tuple(sorted((str(name), _hashable(each)) for name, each in value.items()))
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    return bytes(value) if isinstance(value, bytearray | memoryview) else cast(Hashable, value)


class Newest:
    """The first *count* of the *rows* of a chunk: those of them that are still the newest. *identity*: tells a row from
    others, or raises UnknownKeyError; it is asked only once the stream has changed some row. `gone`: the numbers of
    those that are not."""

    def __init__(self, rows: ChunkRows, count: int, identity: Callable[[Row], Hashable]) -> None:
        self.rows = rows
        self.count = count
        self.gone: set[int] = set()
        self._identity = identity
        self._numbers: dict[Hashable, list[int]] | None = None

    def __len__(self) -> int:
        return self.count - len(self.gone)

    def drop(self, key: Hashable) -> None:
        """The stream has what is newer of the row *key*."""
        if self.count:
            self.gone.update(self._by_key().pop(key, ()))

    def drop_all(self, touched: Touched) -> None:
        """The same of all rows in *touched*."""
        if self.count and touched:
            for key in [each for each in self._by_key() if each in touched]:
                self.drop(key)

    def left(self) -> Iterator[Row]:
        for number in range(self.count):
            if number not in self.gone:
                yield self.rows[number][1]

    def _by_key(self) -> dict[Hashable, list[int]]:
        if self._numbers is None:
            self._numbers = {}
            for number in range(self.count):
                try:
                    key = self._identity(self.rows[number][1])
                except UnknownKeyError:
                    key = ("", number)  # an undecodable key: its converter will tell
                self._numbers.setdefault(key, []).append(number)  # several if message.key.columns is not unique
        return self._numbers


class Touched:
    """The rows that the stream has changed since the copy of a table began, as far as a chunk may not show the change.

    `full`: more of them than are remembered.
    """

    def __init__(self, most: int = MOST_TOUCHED) -> None:
        self._most = most
        self._by: dict[Hashable, tuple[int, Any]] = {}
        self._asked_at = 0
        self._number = 0
        self._all_at = -1
        self._all_by: Any = None
        self.full = False

    def add(self, key: Hashable, by: Any) -> None:
        """The transaction *by* has changed the row *key*."""
        self._number += 1
        if not self.full:
            self._by[key] = (self._number, by)
            self.full = len(self._by) > self._most

    def add_all(self, by: Any) -> None:
        """It may have changed any row."""
        self._number += 1
        self._all_at, self._all_by = self._number, by

    def ask(self) -> None:
        """A chunk is about to be read."""
        self._asked_at = self._number

    def settle(self, sees: Callable[[Any], bool]) -> None:
        """A chunk was read that shows what the transactions did for which *sees* is true. Those that were over before
        it was asked for are forgotten."""
        self._by = {key: (number, by) for key, (number, by) in self._by.items()
                    if number > self._asked_at or not sees(by)}
        if 0 <= self._all_at <= self._asked_at and sees(self._all_by):
            self._all_at = -1

    def all(self) -> bool:
        return self._all_at >= 0

    def __bool__(self) -> bool:
        return bool(self._by)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._by
