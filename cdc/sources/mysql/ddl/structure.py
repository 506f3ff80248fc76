"""A table's structure at one moment: columns as the DDL declares them, keys, charset. Immutable; from and to JSON.

A structure comes from SHOW CREATE TABLE or from a statement in the binary log. The same code reads both, so that a
table looks the same in both cases. The JSON is stored with the offset: after a restart, the structures are those of the
position, not today's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, fields, replace
from functools import lru_cache
from operator import attrgetter
from sys import intern
from typing import Any, Final
from zlib import crc32

from cdc.core.dataclass import dataclass
from cdc.core.table import TableId

NOW: Final = "1970-01-01 00:00:00"
"""Debezium's text for a default of CURRENT_TIMESTAMP, in any form."""

CHARACTER_TYPES: Final = frozenset({
    "CHAR", "CHARACTER", "VARCHAR", "CHARACTER VARYING", "CHAR VARYING", "TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT",
    "LONG", "LONG VARCHAR", "LONG CHAR VARYING", "ENUM", "SET", "NCHAR", "NVARCHAR", "NATIONAL CHAR",
    "NATIONAL CHARACTER", "NATIONAL VARCHAR", "NATIONAL CHAR VARYING", "NATIONAL CHARACTER VARYING", "NCHAR VARCHAR",
    "NCHAR VARYING",
})
"""The types (`ColumnDef.base`) whose columns have a character set."""

_MODIFIERS: Final = frozenset({"SIGNED", "UNSIGNED", "ZEROFILL", "BINARY"})


@lru_cache(maxsize=1024)
def _base(type_name: str) -> str:
    words = type_name.split(" ")
    while len(words) > 1 and words[-1] in _MODIFIERS:
        words.pop()
    return " ".join(words)


@dataclass(frozen=True)
class ColumnDef:
    """One column. `type_name`: the declared type in upper case, with its modifiers and without parentheses:
    `INT UNSIGNED ZEROFILL`, `CHAR BINARY`, `DOUBLE PRECISION`, `BOOLEAN`."""

    name: str
    type_name: str
    length: int | None = None
    """The first number in parentheses: display width, characters, bytes, bits, precision, fraction digits. ENUM and SET
    have the number that Debezium gives. None if the statement has no number and the type has no default one."""
    scale: int | None = None
    charset: str | None = None
    """For character types: the column's own charset, or the table's at the time of the declaration. None for other
    types."""
    collation: str | None = None
    enum_values: tuple[str, ...] = ()
    """The labels of an ENUM or SET, without quotes and escapes."""
    nullable: bool = True
    default: str | None = None
    """The text of a literal default, as written but without its outer quotes (`it''s`, `101` of b'101'); `NOW` for
    CURRENT_TIMESTAMP; None for no default, for NULL and for expressions."""
    auto_increment: bool = False
    on_update: bool = False
    """ON UPDATE CURRENT_TIMESTAMP."""
    generated: bool = False
    """GENERATED ALWAYS AS (…), virtual or stored."""
    comment: str | None = None
    invisible: bool = False

    @property
    def base(self) -> str:
        """The type without its modifiers. BINARY stays if it is the type itself."""
        return _base(self.type_name)

    @property
    def unsigned(self) -> bool:
        return " UNSIGNED" in self.type_name or " ZEROFILL" in self.type_name or self.type_name == "SERIAL"

    @property
    def zerofill(self) -> bool:
        return " ZEROFILL" in self.type_name

    @property
    def is_character(self) -> bool:
        return self.base in CHARACTER_TYPES

    def named(self, name: str) -> ColumnDef:
        """The same column under another name."""
        return ColumnDef(name, *_BUT_NAME(self))


_BUT_NAME: Final = attrgetter(*(each.name for each in fields(ColumnDef)[1:]))


@dataclass(frozen=True)
class UniqueKey:
    """The columns, in key order; empty if a part of the key is an expression."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class TableStructure:
    """One table. `id.catalog` is the database; `id.schema` is empty. The columns are in the order of row images."""

    id: TableId
    columns: tuple[ColumnDef, ...]
    primary_key: tuple[str, ...] = ()
    """Names of the primary key's columns, in key order."""
    unique_keys: tuple[UniqueKey, ...] = ()
    charset: str | None = None
    collation: str | None = None
    comment: str | None = None
    versioned: bool = False
    """MariaDB: row images have `row_start` and `row_end` after these columns (implicit system versioning)."""
    period_end: str | None = None
    """MariaDB: the column that ends a row's period, if the table declares it (explicit system versioning)."""
    sequence: bool = False
    """MariaDB: a sequence, which the log has as a table. Its rows are a generator's state and no data."""

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row: the primary key, or the first unique key without nullable columns."""
        if self.primary_key:
            return self.primary_key
        required = {column.name for column in self.columns if not column.nullable}
        return next((key.columns for key in self.unique_keys if key.columns and required.issuperset(key.columns)), ())

    def column(self, name: str) -> ColumnDef | None:
        """The column by name. The server compares names without case."""
        folded = name.lower()
        return next((column for column in self.columns if column.name.lower() == folded), None)

    def to_json(self) -> dict[str, Any]:
        """JSON data, without attributes that have their default."""
        return {
            "database": self.id.catalog, "table": self.id.table,
            "columns": [_sparse(column) for column in self.columns],
            **({"primary_key": list(self.primary_key)} if self.primary_key else {}),
            **({"unique_keys": [[key.name, *key.columns] for key in self.unique_keys]} if self.unique_keys else {}),
            **{name: value for name in _TABLE_TEXTS if (value := getattr(self, name)) is not None},
            **{name: True for name in _TABLE_FLAGS if getattr(self, name)},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TableStructure:
        """Raises KeyError, TypeError or ValueError if `to_json` cannot have made *data*."""
        return cls(
            TableId(data["database"], "", data["table"]),
            tuple(_column(item) for item in data["columns"]),
            tuple(data.get("primary_key", ())),
            tuple(UniqueKey(name, tuple(columns)) for name, *columns in data.get("unique_keys", ())),
            data.get("charset"), data.get("collation"), data.get("comment"), data.get("versioned", False),
            data.get("period_end"), data.get("sequence", False),
        )


_TABLE_TEXTS: Final = ("charset", "collation", "comment", "period_end")
_REPEATED: Final = ("type_name", "charset", "collation")
"""The same few texts for very many columns, which share them in memory."""
_TABLE_FLAGS: Final = ("versioned", "sequence")
_COLUMN_DEFAULTS: Final = {each.name: each.default for each in fields(ColumnDef)}
_ALL: Final = attrgetter(*_COLUMN_DEFAULTS)


def _sparse(column: ColumnDef) -> dict[str, Any]:
    return {name: value for (name, default), value in zip(_COLUMN_DEFAULTS.items(), _ALL(column), strict=True)
            if value != default}


def _column(data: Mapping[str, Any]) -> ColumnDef:
    values: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in data.items()}
    for name in _REPEATED:
        if values.get(name) is not None:
            values[name] = intern(values[name])
    return ColumnDef(**values)


BUCKETS: Final = 256
"""Tables are kept in so many groups, so that a copy, and the text of the offset, cost no more than what changed."""
_Bucket = dict[tuple[str, str], TableStructure]


@dataclass
class Structures:
    """The known tables at one position, and the charsets that new tables inherit. `statements.py` changes them.

    `folds`: whether the server compares table names without case (`lower_case_table_names` 1 or 2).
    """

    server_charset: str = "utf8mb4"
    database_charsets: dict[str, str] = field(default_factory=dict)
    folds: bool = False
    as_of: tuple[str, int] | None = None
    """The file and byte of the log where the tables had these structures; None: at the position they are stored
    with."""
    _buckets: list[_Bucket] = field(default_factory=lambda: [{} for _ in range(BUCKETS)])
    _own: set[int] = field(default_factory=lambda: set(range(BUCKETS)), compare=False, repr=False)
    """The buckets that no copy has too."""
    _successors: dict[tuple[str, str], int] = field(default_factory=dict, compare=False, repr=False)

    def succeeded(self, id: TableId) -> None:
        """A statement has made, dropped or renamed a table, so the name *id* may lead to another one."""
        place = self._place(id)[1]
        self._successors[place] = self._successors.get(place, 0) + 1

    def successors(self, id: TableId) -> int:
        """How often that happened since these structures were loaded."""
        return self._successors.get(self._place(id)[1], 0)

    def _place(self, id: TableId) -> tuple[int, tuple[str, str]]:
        place = (id.catalog.lower(), id.table.lower()) if self.folds else (id.catalog, id.table)
        return crc32("\0".join(place).encode("utf-8", "surrogatepass")) % BUCKETS, place

    def _writable(self, number: int) -> _Bucket:
        if number not in self._own:
            self._buckets[number] = self._buckets[number].copy()
            self._own.add(number)
        return self._buckets[number]

    def get(self, id: TableId) -> TableStructure | None:
        number, place = self._place(id)
        return self._buckets[number].get(place)

    def put(self, structure: TableStructure) -> None:
        number, place = self._place(structure.id)
        self._writable(number)[place] = structure

    def drop(self, id: TableId) -> TableStructure | None:
        number, place = self._place(id)
        return self._writable(number).pop(place) if place in self._buckets[number] else None

    def rename(self, old: TableId, new: TableId) -> TableStructure | None:
        """Renames a table and returns it; None if *old* is unknown, and then *new* is unknown too."""
        found = self.drop(old)
        if found is None:
            self.drop(new)
            return None
        renamed = replace(found, id=new)
        self.put(renamed)
        return renamed

    def drop_database(self, database: str) -> tuple[TableId, ...]:
        ids = tuple(table.id for table in self if table.id.catalog == database)
        for id in ids:
            self.drop(id)
        self.database_charsets.pop(database, None)
        return ids

    def id_of(self, database: str, table: str) -> TableId:
        """The table of a name as a statement writes it."""
        return TableId(database.lower(), "", table.lower()) if self.folds else TableId(database, "", table)

    def charset_of(self, database: str) -> str:
        """The charset and collation of a table that is created in *database* without its own."""
        return self.database_charsets.get(database, self.server_charset)

    def __iter__(self) -> Iterator[TableStructure]:
        """In no particular order."""
        return iter([table for bucket in self._buckets for table in bucket.values()])

    def __len__(self) -> int:
        return sum(map(len, self._buckets))

    def copy(self) -> Structures:
        """As they are now. It shares every bucket that neither side changes afterwards."""
        self._own.clear()
        return Structures(self.server_charset, dict(self.database_charsets), self.folds, self.as_of,
                          list(self._buckets), set())

    def buckets(self) -> tuple[Mapping[Any, TableStructure], ...]:
        """The tables in groups. A group of a copy that was not changed since is the same object."""
        return tuple(self._buckets)


_WHOLE: Final = 1
_PARTED: Final = 2


def dump(structures: Structures, tables: Iterable[TableStructure] | None = None) -> str:
    """*structures* as text for the offset; only the tables in *tables*, if given. One line with sorted keys, so that
    equal structures give equal text."""
    return _json({**_head(structures, _WHOLE), "tables": _listed(structures if tables is None else tables)})


def dump_head(structures: Structures, parts: int) -> str:
    """*structures* without their tables, which follow in so many texts of `dump_tables`."""
    return _json({**_head(structures, _PARTED), "parts": parts})


def dump_tables(tables: Iterable[TableStructure]) -> str:
    return _json(_listed(tables))


def load(text: str, part: Callable[[int], str] | None = None) -> Structures:
    """Reads the text of `dump`; or of `dump_head`, with those of `dump_tables` from *part*. Raises ValueError on other
    text."""
    try:
        data = json.loads(text)
        if data["format"] not in (_WHOLE, _PARTED) or (data["format"] == _PARTED) == (part is None):
            raise ValueError(f"structures of format {data['format']} are not known here")
        as_of = data.get("as_of")
        made = Structures(data["server_charset"], dict(data["database_charsets"]), data["folds"],
                          None if as_of is None else (str(as_of[0]), int(as_of[1])))
        groups = [data["tables"]] if part is None else (json.loads(part(number)) for number in range(data["parts"]))
        for group in groups:
            for table in group:
                made.put(TableStructure.from_json(table))
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as exc:
        raise ValueError("the stored structures are damaged") from exc
    return made


def _head(structures: Structures, format: int) -> dict[str, Any]:
    return {"format": format, "server_charset": structures.server_charset, "folds": structures.folds,
            "database_charsets": structures.database_charsets,
            **({"as_of": list(structures.as_of)} if structures.as_of is not None else {})}


def _listed(tables: Iterable[TableStructure]) -> list[dict[str, Any]]:
    return [table.to_json() for table in sorted(tables, key=lambda table: (table.id.catalog, table.id.table))]


def _json(data: Any) -> str:
    import msgspec  # several times as fast as json; it takes 4 ms to load, and no start needs it

    return msgspec.json.encode(data, order="sorted").decode()
