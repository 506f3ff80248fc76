"""The SQL that reads a chunk: the rows after a key, in the order of the key's columns.

PostgreSQL docs, "Row and Array Comparisons", "Sorting Rows": nulls are greater than all values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from psycopg import sql

from cdc.core.dataclass import dataclass
from cdc.sources.shared.selection import alone
from cdc.sources.snapshot.copies import Key

from .comparisons import Comparison, compared


@dataclass(frozen=True)
class ChunkQuery:
    """*select* gives *names* (the row's columns), *source* is FROM and WHERE so far, *where* tells whether it has a
    WHERE. *key*: the columns to go by, each with whether it may be null. *condition*: SQL of the user. *own*: how those
    of the key's columns are compared that need other operators."""

    select: sql.Composable
    source: sql.Composable
    where: bool
    key: tuple[tuple[str, bool], ...]
    condition: str | None = None
    own: Mapping[str, Comparison] = field(default_factory=dict)

    def rows(self, after: Key | None, upto: Key, limit: int) -> sql.Composed:
        bounds = [self._not_after(upto)]
        if after is not None:
            bounds.append(self._after(after))
        return self._from(self.select, bounds) + sql.SQL(" ORDER BY {} LIMIT {}").format(
            self._columns(), sql.Literal(limit))

    def count_before(self, after: Key | None, last: Key) -> sql.Composed:
        """How many rows after the key *after* come before all of the key *last*."""
        bounds = [sql.SQL("NOT ") + self._after(last, or_equal=True)]
        if after is not None:
            bounds.append(self._after(after))
        return self._from(sql.SQL("SELECT pg_catalog.count(*)"), bounds)

    def greatest(self) -> sql.Composed:
        """The greatest key, as text."""
        keys = sql.SQL(", ").join(  # not under the columns' names, which would sort by the texts
            sql.SQL("{}::text AS {}").format(sql.Identifier(name), sql.Identifier(f"greatest {number}"))
            for number, (name, _) in enumerate(self.key))
        order = sql.SQL(", ").join(sql.SQL("{} DESC").format(sql.Identifier(name)) for name, _ in self.key)
        return self._from(sql.SQL("SELECT ") + keys, []) + sql.SQL(" ORDER BY {} LIMIT 1").format(order)

    def check(self, condition: str) -> sql.Composed:
        """A SELECT that the server refuses if *condition* is no expression by itself."""
        return sql.SQL("SELECT") + self.source + sql.SQL(" AND " if self.where else " WHERE ") + sql.SQL(
            alone(condition))

    def _columns(self) -> sql.Composed:
        return sql.SQL(", ").join(sql.Identifier(name) for name, _ in self.key)

    def _from(self, select: sql.Composable, bounds: list[sql.Composed]) -> sql.Composed:
        conditions: list[sql.Composable] = list(bounds)
        if self.condition is not None:
            conditions.append(sql.SQL("(") + sql.SQL(self.condition) + sql.SQL("\n)"))  # it may end with a comment
        if not conditions:
            return select + self.source
        return select + self.source + sql.SQL(" AND " if self.where else " WHERE ") + sql.SQL(" AND ").join(conditions)

    @property
    def _as_row(self) -> bool:
        """Whether rows of all columns can be compared at once."""
        return not self.own and not any(nullable for _, nullable in self.key)

    def _after(self, values: Key, *, or_equal: bool = False) -> sql.Composed:
        """Whether a row's key is greater than *values*, or with *or_equal* as great; never null."""
        if self._as_row:
            return _row(self.key, values, ">=" if or_equal else ">")
        parts = []
        for index, ((name, nullable), value) in enumerate(zip(self.key, values, strict=True)):
            equal = [self._equal(other, known) for (other, _), known in zip(
                self.key[:index], values[:index], strict=True)]
            greater = self._greater(name, nullable, value)
            parts.append(sql.SQL("(") + sql.SQL(" AND ").join([*equal, greater]) + sql.SQL(")"))
        if or_equal:
            parts.append(sql.SQL("(") + sql.SQL(" AND ").join(
                [self._equal(name, value) for (name, _), value in zip(self.key, values, strict=True)]) + sql.SQL(")"))
        after = sql.SQL("(") + sql.SQL(" OR ").join(parts) + sql.SQL(")")
        (first, nullable), value = self.key[0], values[0]
        if len(self.key) == 1 or nullable or value is None:
            return after
        return sql.SQL("({} AND {})").format(self._compared(first, ">=", value), after)  # an index begins there

    def _not_after(self, values: Key) -> sql.Composed:
        if self._as_row:
            return _row(self.key, values, "<=")
        return sql.SQL("NOT ") + self._after(values)

    def _equal(self, name: str, value: str | None) -> sql.Composed:
        """Not true for nulls, as the row is not greater then by a later column either; but never null."""
        if value is None:
            return sql.SQL("{} IS NULL").format(sql.Identifier(name))
        return sql.SQL("coalesce({}, false)").format(self._compared(name, "=", value))

    def _greater(self, name: str, nullable: bool, value: str | None) -> sql.Composable:
        if value is None:
            return sql.SQL("false")
        greater = self._compared(name, ">", value)
        if not nullable:
            return greater
        return sql.SQL("({} IS NULL OR ").format(sql.Identifier(name)) + greater + sql.SQL(")")

    def _compared(self, name: str, operator: str, value: str) -> sql.Composed:
        return compared(self.own, name, operator, sql.Literal(value))


def _row(key: tuple[tuple[str, bool], ...], values: Key, operator: str) -> sql.Composed:
    return sql.SQL("ROW({}) " + operator + " ROW({})").format(
        sql.SQL(", ").join(sql.Identifier(name) for name, _ in key), sql.SQL(", ").join(map(sql.Literal, values)))
