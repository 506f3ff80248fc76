"""The SQL that reads a chunk: the rows after a key, in the order of the key's columns.

PostgreSQL docs, "Row and Array Comparisons", "Sorting Rows": nulls are greater than all values.
"""

from __future__ import annotations

from psycopg import sql

from cdc.core.dataclass import dataclass
from cdc.sources.snapshot.copies import Key


@dataclass(frozen=True, slots=True)
class ChunkQuery:
    """*select* gives *names* (the row's columns), *source* is FROM and WHERE so far, *where* tells whether it has a
    WHERE. *key*: the columns to go by, each with whether it may be null. *condition*: SQL of the user."""

    select: sql.Composable
    source: sql.Composable
    where: bool
    key: tuple[tuple[str, bool], ...]
    condition: str | None = None

    def rows(self, after: Key | None, upto: Key, limit: int) -> sql.Composed:
        bounds = [_not_after(self.key, upto)]
        if after is not None:
            bounds.append(_after(self.key, after))
        return self._from(self.select, bounds) + sql.SQL(" ORDER BY {} LIMIT {}").format(
            self._columns(), sql.Literal(limit))

    def greatest(self) -> sql.Composed:
        """The greatest key, as text."""
        keys = sql.SQL(", ").join(  # not under the columns' names, which would sort by the texts
            sql.SQL("{}::text AS {}").format(sql.Identifier(name), sql.Identifier(f"greatest {number}"))
            for number, (name, _) in enumerate(self.key))
        order = sql.SQL(", ").join(sql.SQL("{} DESC").format(sql.Identifier(name)) for name, _ in self.key)
        return self._from(sql.SQL("SELECT ") + keys, []) + sql.SQL(" ORDER BY {} LIMIT 1").format(order)

    def _columns(self) -> sql.Composed:
        return sql.SQL(", ").join(sql.Identifier(name) for name, _ in self.key)

    def _from(self, select: sql.Composable, bounds: list[sql.Composed]) -> sql.Composed:
        conditions: list[sql.Composable] = list(bounds)
        if self.condition is not None:
            conditions.append(sql.SQL("(") + sql.SQL(self.condition) + sql.SQL("\n)"))  # it may end with a comment
        if not conditions:
            return select + self.source
        return select + self.source + sql.SQL(" AND " if self.where else " WHERE ") + sql.SQL(" AND ").join(conditions)


def _row(key: tuple[tuple[str, bool], ...], values: Key, operator: str) -> sql.Composed:
    return sql.SQL("ROW({}) " + operator + " ROW({})").format(
        sql.SQL(", ").join(sql.Identifier(name) for name, _ in key), sql.SQL(", ").join(map(sql.Literal, values)))


def _after(key: tuple[tuple[str, bool], ...], values: Key) -> sql.Composed:
    """Whether a row's key is greater than *values*; never null."""
    if not any(nullable for _, nullable in key):
        return _row(key, values, ">")
    parts = []
    for index, ((name, nullable), value) in enumerate(zip(key, values, strict=True)):
        equal = [_equal(other, known) for (other, _), known in zip(key[:index], values[:index], strict=True)]
        parts.append(sql.SQL("(") + sql.SQL(" AND ").join([*equal, _greater(name, nullable, value)]) + sql.SQL(")"))
    return sql.SQL("(") + sql.SQL(" OR ").join(parts) + sql.SQL(")")


def _not_after(key: tuple[tuple[str, bool], ...], values: Key) -> sql.Composed:
    if not any(nullable for _, nullable in key):
        return _row(key, values, "<=")
    return sql.SQL("NOT ") + _after(key, values)


def _equal(name: str, value: str | None) -> sql.Composed:
    """Not true for nulls, as the row is not greater then by a later column either; but never null."""
    if value is None:
        return sql.SQL("{} IS NULL").format(sql.Identifier(name))
    return sql.SQL("coalesce({} = {}, false)").format(sql.Identifier(name), sql.Literal(value))


def _greater(name: str, nullable: bool, value: str | None) -> sql.Composable:
    if value is None:
        return sql.SQL("false")
    greater = sql.SQL("{} > {}").format(sql.Identifier(name), sql.Literal(value))
    if not nullable:
        return greater
    return sql.SQL("({} IS NULL OR ").format(sql.Identifier(name)) + greater + sql.SQL(")")
