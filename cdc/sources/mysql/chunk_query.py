"""The SQL that reads a chunk: the rows after a key, in the order of the key's columns.

A column is compared with its last value in the server's own order: `key_expression` gives a value as text that
`literal` turns into one that the column compares with exactly.

MySQL Reference Manual, "Comparison Functions and Operators", "Working with NULL Values", "The ENUM Type" (an ENUM sorts
by its number, but compares with a text as a text). Nulls sort first.
"""

from __future__ import annotations

from typing import Final

from cdc.core.dataclass import dataclass
from cdc.core.errors import SourceRefusedError
from cdc.core.late_regex import late_regex
from cdc.sources.mysql.ddl.structure import ColumnDef
from cdc.sources.shared.selection import alone
from cdc.sources.snapshot.copies import Key

from .collations import not_as_unicode
from .quoting import quoted

_NUMBER: Final = late_regex(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")
_HEX: Final = late_regex(r"([0-9A-F]{2})*")
_PLAIN: Final = late_regex(r"[-0-9A-Za-z:. ]+")
_NUMBERS: Final = frozenset({
    "TINYINT", "SMALLINT", "MEDIUMINT", "INT", "INTEGER", "BIGINT", "DECIMAL", "DEC", "NUMERIC", "FIXED", "YEAR",
    "BOOL", "BOOLEAN", "SERIAL", "INT1", "INT2", "INT3", "INT4", "INT8", "MIDDLEINT"})
_FLOATS: Final = frozenset({"FLOAT", "DOUBLE", "REAL", "DOUBLE PRECISION", "FLOAT4", "FLOAT8"})
_NUMBERED: Final = frozenset({"ENUM", "SET", "BIT"})
_BYTES: Final = frozenset({"BINARY", "VARBINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB"})
_TIMES: Final = frozenset({"DATE", "DATETIME", "TIMESTAMP", "TIME", "UUID", "INET4", "INET6"})


@dataclass(frozen=True)
class KeyColumn:
    """A column to go by. *kind*: `number`, `bytes`, `text` or `plain`. *compared*: its SQL in comparisons; *shown*: the
    SQL whose result is its text. *charset*: that of `bytes` that are a text."""

    name: str
    kind: str
    compared: str
    shown: str
    nullable: bool
    charset: str = ""

    def literal(self, value: str) -> str:
        """Raises SourceRefusedError if *value* cannot be the column's."""
        if self.kind == "text":
            return f"_utf8mb4 X'{value.encode().hex()}'"
        pattern, form = {"number": (_NUMBER, "{}"), "bytes": (_HEX, "X'{}'"), "plain": (_PLAIN, "'{}'")}[self.kind]
        if not pattern.fullmatch(value):
            raise SourceRefusedError(f"The place that a copy has reached is no value of column {self.name}.",
                                     hint="Ask for the snapshot again.")
        return (f"_{self.charset} " if self.charset else "") + form.format(value)


def key_column(column: ColumnDef) -> KeyColumn:
    """Raises SourceRefusedError for a type that has no order."""
    name, base = quoted(column.name), column.base
    if base in _NUMBERS:
        return KeyColumn(column.name, "number", name, name, column.nullable)
    if base in _FLOATS:
        return KeyColumn(column.name, "number", name, f"{name} + 0e0", column.nullable)
    if base in _NUMBERED:
        return KeyColumn(column.name, "number", f"({name} + 0)", f"{name} + 0", column.nullable)
    if base in _BYTES:
        return KeyColumn(column.name, "bytes", name, f"HEX({name})", column.nullable)
    if base in _TIMES:
        return KeyColumn(column.name, "plain", name, name, column.nullable)
    if charset := not_as_unicode(column):
        return KeyColumn(column.name, "bytes", name, f"HEX({name})", column.nullable, charset)
    if column.is_character:
        return KeyColumn(column.name, "text", name, f"CONVERT({name} USING utf8mb4)", column.nullable)
    raise SourceRefusedError(f"A snapshot cannot go by column {column.name}, because its type has no order.",
                             type=column.type_name, hint="Name another column as surrogate-key.")


@dataclass(frozen=True)
class ChunkQuery:
    """*fields*: the SELECT list of the row's columns. *condition*: SQL of the user."""

    fields: str
    table: str
    key: tuple[KeyColumn, ...]
    condition: str | None = None

    def rows(self, after: Key | None, upto: Key, limit: int) -> str:
        """The fields, and then the texts of the key."""
        bounds = [f"NOT {self._after(upto)}"]
        if after is not None:
            bounds.append(self._after(after))
        return self._select(self.fields + ", ", bounds) + f" ORDER BY {', '.join(self._names())} LIMIT {int(limit)}"

    def check(self, condition: str) -> str:
        """A SELECT that the server refuses if *condition* is no expression by itself."""
        return f"SELECT 1 FROM {self.table} WHERE {alone(condition)}"

    def greatest(self) -> str:
        order = ", ".join(f"{name} DESC" for name in self._names())
        return self._select("", []) + f" ORDER BY {order} LIMIT 1"

    def count_before(self, after: Key | None, last: Key) -> str:
        """How many rows after the key *after* come before all of the key *last*."""
        bounds = [f"NOT {self._after(last, or_equal=True)}"]
        if after is not None:
            bounds.append(self._after(after))
        return f"SELECT COUNT(*) FROM {self.table} WHERE {' AND '.join(self._conditions(bounds))}"

    def _names(self) -> list[str]:
        return [quoted(each.name) for each in self.key]

    def _select(self, fields: str, bounds: list[str]) -> str:
        conditions = self._conditions(bounds)
        shown = ", ".join(f"{each.shown} AS {quoted(f'key {number}')}" for number, each in enumerate(self.key))
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT {fields}{shown} FROM {self.table}{where}"

    def _conditions(self, bounds: list[str]) -> list[str]:
        return bounds if self.condition is None else [*bounds, f"({self.condition}\n)"]  # it may end in a comment

    def _after(self, values: Key, *, or_equal: bool = False) -> str:
        """Whether a row's key is greater than *values*, or with *or_equal* as great; never null."""
        equal: list[str] = []
        parts = []
        for column, value in zip(self.key, values, strict=True):
            if value is None:
                parts.append([*equal, f"{column.compared} IS NOT NULL"])
                equal.append(f"{column.compared} IS NULL")
                continue
            literal = column.literal(value)
            greater = f"{column.compared} > {literal}"
            parts.append([*equal, f"IFNULL({greater}, FALSE)" if column.nullable else greater])
            equal.append(f"{column.compared} <=> {literal}" if column.nullable else f"{column.compared} = {literal}")
        if or_equal:
            parts.append(equal)
        return "(" + " OR ".join(f"({' AND '.join(each)})" for each in parts) + ")"
