"""What a table looks like at one moment: columns as its DDL declares them, keys, charset; immutable, JSON in and out.

A structure comes from SHOW CREATE TABLE or from a statement in the binary log, both read by `ddl.py`, so that a table
looks the same however it became known. The JSON is kept with the offset: after a restart the structures are those of
the position, not those of now.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from cdc.core.schema import TableId

NOW: Final = "1970-01-01 00:00:00"
"""What Debezium writes for a default of CURRENT_TIMESTAMP in any of its forms."""

CHARACTER_TYPES: Final = frozenset({
    "CHAR", "CHARACTER", "VARCHAR", "CHARACTER VARYING", "CHAR VARYING", "TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT",
    "LONG", "LONG VARCHAR", "LONG CHAR VARYING", "ENUM", "SET", "NCHAR", "NVARCHAR", "NATIONAL CHAR",
    "NATIONAL CHARACTER", "NATIONAL VARCHAR", "NATIONAL CHAR VARYING", "NATIONAL CHARACTER VARYING", "NCHAR VARCHAR",
    "NCHAR VARYING",
})
"""Types whose columns have a character set, by `ColumnDef.base`."""

_MODIFIERS: Final = frozenset({"SIGNED", "UNSIGNED", "ZEROFILL", "BINARY"})


@dataclass(frozen=True, slots=True)
class ColumnDef:
    """One column. `type_name` is the declared type in upper case with its modifiers and without parentheses:
    `INT UNSIGNED ZEROFILL`, `CHAR BINARY`, `DOUBLE PRECISION`, `BOOLEAN`."""

    name: str
    type_name: str
    length: int | None = None
    """The first number in parentheses: display width, characters, bytes, bits, precision, fraction digits. Of an ENUM
    and a SET the count Debezium gives; None where the statement says none and the type has no default."""
    scale: int | None = None
    charset: str | None = None
    """Of character types: the column's own or the table's when it was declared; None for others."""
    collation: str | None = None
    enum_values: tuple[str, ...] = ()
    """Labels of an ENUM or SET as the server means them: unquoted, unescaped."""
    nullable: bool = True
    default: str | None = None
    """Text of a literal default, without its outer quotes and otherwise as written (`it''s`, `101` of b'101'), `NOW`
    for CURRENT_TIMESTAMP; None for no default, NULL and expressions."""
    auto_increment: bool = False
    on_update: bool = False
    """ON UPDATE CURRENT_TIMESTAMP."""
    generated: bool = False
    """GENERATED ALWAYS AS (…), virtual or stored."""
    comment: str | None = None
    invisible: bool = False

    @property
    def base(self) -> str:
        """The type without its modifiers; BINARY stays where it is the type."""
        words = self.type_name.split(" ")
        while len(words) > 1 and words[-1] in _MODIFIERS:
            words.pop()
        return " ".join(words)

    @property
    def unsigned(self) -> bool:
        return " UNSIGNED" in self.type_name or " ZEROFILL" in self.type_name or self.type_name == "SERIAL"

    @property
    def zerofill(self) -> bool:
        return " ZEROFILL" in self.type_name

    @property
    def is_character(self) -> bool:
        return self.base in CHARACTER_TYPES


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """`columns` in key order; empty when a part of the key is an expression."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableStructure:
    """One table. `id.catalog` is the database, `id.schema` is empty. Columns in the order of row images."""

    id: TableId
    columns: tuple[ColumnDef, ...]
    primary_key: tuple[str, ...] = ()
    """Names in key order."""
    unique_keys: tuple[UniqueKey, ...] = ()
    charset: str | None = None
    collation: str | None = None
    comment: str | None = None
    versioned: bool = False
    """MariaDB: row images have `row_start` and `row_end` behind these columns (implicit system versioning)."""

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row: the primary key, or the first unique key without nullable columns."""
        if self.primary_key:
            return self.primary_key
        required = {column.name for column in self.columns if not column.nullable}
        return next((key.columns for key in self.unique_keys if key.columns and required.issuperset(key.columns)), ())

    def column(self, name: str) -> ColumnDef | None:
        """By name; the server compares them without case."""
        folded = name.lower()
        return next((column for column in self.columns if column.name.lower() == folded), None)

    def to_json(self) -> dict[str, Any]:
        """Without what has its default."""
        return {
            "database": self.id.catalog, "table": self.id.table,
            "columns": [_sparse(column) for column in self.columns],
            **({"primary_key": list(self.primary_key)} if self.primary_key else {}),
            **({"unique_keys": [[key.name, *key.columns] for key in self.unique_keys]} if self.unique_keys else {}),
            **{name: value for name in _TABLE_TEXTS if (value := getattr(self, name)) is not None},
            **({"versioned": True} if self.versioned else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TableStructure:
        """Raises KeyError, TypeError or ValueError when *data* is not what `to_json` gives."""
        return cls(
            TableId(data["database"], "", data["table"]),
            tuple(_column(item) for item in data["columns"]),
            tuple(data.get("primary_key", ())),
            tuple(UniqueKey(name, tuple(columns)) for name, *columns in data.get("unique_keys", ())),
            data.get("charset"), data.get("collation"), data.get("comment"), data.get("versioned", False),
        )


_TABLE_TEXTS: Final = ("charset", "collation", "comment")
_COLUMN_DEFAULTS: Final = {each.name: each.default for each in fields(ColumnDef)}


def _sparse(column: ColumnDef) -> dict[str, Any]:
    values = ((name, getattr(column, name)) for name in _COLUMN_DEFAULTS)
    return {name: list(value) if isinstance(value, tuple) else value
            for name, value in values if value != _COLUMN_DEFAULTS[name]}


def _column(data: Mapping[str, Any]) -> ColumnDef:
    values: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in data.items()}
    return ColumnDef(**values)


@dataclass(slots=True)
class Structures:
    """The tables known at one position, and the charsets that tables made later inherit. `ddl.py` changes it.

    `folds` says that the server compares names of tables without case (`lower_case_table_names` 1 or 2).
    """

    server_charset: str = "utf8mb4"
    database_charsets: dict[str, str] = field(default_factory=dict)
    folds: bool = False
    as_of: tuple[str, int] | None = None
    """File and byte of the log where the tables looked like this; None: at the position they are kept with."""
    _tables: dict[tuple[str, str], TableStructure] = field(default_factory=dict)

    def _place(self, id: TableId) -> tuple[str, str]:
        return (id.catalog.lower(), id.table.lower()) if self.folds else (id.catalog, id.table)

    def get(self, id: TableId) -> TableStructure | None:
        return self._tables.get(self._place(id))

    def put(self, structure: TableStructure) -> None:
        self._tables[self._place(structure.id)] = structure

    def drop(self, id: TableId) -> TableStructure | None:
        return self._tables.pop(self._place(id), None)

    def rename(self, old: TableId, new: TableId) -> TableStructure | None:
        """The table under its new name; None where *old* is not known, and then *new* is not known either."""
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

    def charset_of(self, database: str) -> str:
        """What a table made in *database* without saying more gets."""
        return self.database_charsets.get(database, self.server_charset)

    def __iter__(self) -> Iterator[TableStructure]:
        return iter(tuple(self._tables.values()))

    def __len__(self) -> int:
        return len(self._tables)

    def copy(self) -> Structures:
        return Structures(self.server_charset, dict(self.database_charsets), self.folds, self.as_of, dict(self._tables))


_FORMAT: Final = 1


def dump(structures: Structures, tables: Iterable[TableStructure] | None = None) -> str:
    """*structures* as the offset keeps them; of the tables only *tables* where given. One line, keys sorted, so that
    equal structures give equal text."""
    kept = structures if tables is None else tables
    return json.dumps({
        "format": _FORMAT, "server_charset": structures.server_charset, "folds": structures.folds,
        "database_charsets": structures.database_charsets,
        **({"as_of": list(structures.as_of)} if structures.as_of is not None else {}),
        "tables": [table.to_json() for table in sorted(kept, key=lambda table: (table.id.catalog, table.id.table))],
    }, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def load(text: str) -> Structures:
    """What `dump` wrote. Raises ValueError when it is something else."""
    try:
        data = json.loads(text)
        if data["format"] != _FORMAT:
            raise ValueError(f"structures of format {data['format']} are not known here")
        as_of = data.get("as_of")
        made = Structures(data["server_charset"], dict(data["database_charsets"]), data["folds"],
                          None if as_of is None else (str(as_of[0]), int(as_of[1])))
        for table in data["tables"]:
            made.put(TableStructure.from_json(table))
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError("the stored structures are damaged") from exc
    return made
