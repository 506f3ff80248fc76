"""Writes the SELECT for what is new in a table, or of a query. Identifiers are quoted, values are literals of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .database import Database, TableName


@dataclass(frozen=True, slots=True)
class Quoting:
    """`quote.sql.identifiers`."""

    mark: str
    always: bool = True

    def name(self, name: str) -> str:
        return f"{self.mark}{name.replace(self.mark, self.mark * 2)}{self.mark}" if self.always else name

    def table(self, table: TableName) -> str:
        parts = (table.schema, table.name) if table.schema else (table.catalog, table.name)
        return ".".join(self.name(part) for part in parts if part)


@dataclass(frozen=True, slots=True)
class Criteria:
    """A SELECT and the columns that order its rows: *incrementing* may be None, *timestamps* empty."""

    base: str
    incrementing: str | None
    timestamps: tuple[str, ...]
    suffix: str

    def probe(self) -> str:
        """A SELECT without rows, for its columns."""
        return f"{self.base} WHERE 1 = 0"

    def everything(self) -> str:
        return self._with(self.base)

    def after(self, quoting: Quoting, last: int | None, *, nulls: bool = True) -> str:
        """What comes after *last* of the incrementing column; None for all rows, with *nulls* also those without a
        number, which are an error."""
        column = quoting.name(self.incrementing or "")
        where = f" WHERE {column} > {last}" if last is not None else "" if nulls else f" WHERE {column} IS NOT NULL"
        return self._with(f"{self.base}{where} ORDER BY {column} ASC")

    def between(self, quoting: Quoting, database: Database, kind: str, low: int | None, high: int, *,
                from_low: bool = True) -> str:
        """What has a timestamp from *low* (if *from_low*, else greater) up to *high*, which is not included."""
        at = database.comparable(_first_of([quoting.name(each) for each in self.timestamps]))
        where = "" if low is None else f"{at} {'>=' if from_low else '>'} {database.moment(low, kind)} AND "
        order = f"{at}, {quoting.name(self.incrementing)}" if self.incrementing else at
        return self._with(f"{self.base} WHERE {where}{at} < {database.moment(high, kind)} ORDER BY {order} ASC")

    def exactly(self, quoting: Quoting, database: Database, kind: str, at_us: int) -> str:
        """What has this timestamp."""
        at = database.comparable(_first_of([quoting.name(each) for each in self.timestamps]))
        return f"{self.base} WHERE {at} = {database.moment(at_us, kind)}"

    def _with(self, sql: str) -> str:
        return f"{sql} {self.suffix}" if self.suffix else sql


def _first_of(columns: Sequence[str]) -> str:
    return columns[0] if len(columns) == 1 else f"COALESCE({', '.join(columns)})"
