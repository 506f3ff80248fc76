"""Zero dates of MySQL, which come before all times and are none."""

from __future__ import annotations

from datetime import UTC
from types import SimpleNamespace
from typing import Any

import pytest
from pymysql.constants import FIELD_TYPE

from cdc.sources.query import mysql
from cdc.sources.query.columns import ColumnInfo, Mapping
from cdc.sources.query.criteria import Criteria, Quoting
from cdc.sources.query.database import Login
from cdc.sources.query.marks import Mark
from cdc.sources.query.table import Plan, TableReader


class ZeroDates:
    """MySQL with a table whose first rows have zero dates: what a SELECT gives, and which SELECTs ran."""

    quotes = "`"

    def __init__(self, optional: bool, *rows: tuple[int, str]) -> None:
        self.columns = (ColumnInfo("id", "int32", False), ColumnInfo("at", "timestamp", optional))
        field = SimpleNamespace(type_code=FIELD_TYPE.DATETIME)
        self.all = [(str(id), mysql._normal(field, self.columns[1])(at)) for id, at in rows]
        self.left: list[tuple[str, str]] = []
        self.statements: list[str] = []
        base = mysql.Database(Login("h", 1, "d", None, None, {}))
        self.moment, self.comparable, self.domain_us = base.moment, base.comparable, base.domain_us
        self.moment_kind = base.moment_kind

    def now_us(self) -> int:
        return 1_714_557_600_000_000

    def select(self, sql: str) -> Any:
        self.statements.append(sql)
        self.left = [] if "1 = 0" in sql else [row for row in self.all if ">=" not in sql or row[1] > "0001"]
        return self

    def fetch(self, rows: int) -> Any:
        found, self.left = self.left[:rows], self.left[rows:]
        return found

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("optional", "shown"), [(True, None), (False, 0)], ids=["optional", "required"])
def test_zero_dates_of_mysql_do_not_move_the_mark(optional: bool, shown: int | None) -> None:
    zero = "0000-00-00 00:00:00"
    database: Any = ZeroDates(optional, (1, zero), (2, zero), (3, "1969-01-01 00:00:00"))
    mapping = Mapping("none", "connect_logical", UTC)
    plan = Plan("d.t", "t", "t", Criteria("SELECT * FROM t", None, ("at",), ""), "timestamp", mapping, required=False)
    reader = TableReader(plan, Mark(), Quoting("`"))
    reader.open(database)
    found = [reader.read(database, 1)[0][0].value for _ in range(2)]
    assert found == [(1, shown), (2, shown)]
    assert reader.mark == Mark()  # else a restart here would skip rows
    assert reader.read(database, 1)[0][0].value == (3, -31_536_000_000)
    assert reader.mark.moment_us == -31_536_000_000_000


def test_rows_that_have_zero_dates_only_come_once() -> None:
    database: Any = ZeroDates(True, (1, "0000-00-00 00:00:00"))
    mapping = Mapping("none", "connect_logical", UTC)
    plan = Plan("d.t", "t", "t", Criteria("SELECT * FROM t", None, ("at",), ""), "timestamp", mapping, required=False)
    reader = TableReader(plan, Mark(), Quoting("`"))
    counts = []
    for _ in range(2):
        reader.open(database)
        counts.append(len(reader.read(database, 9)[0]))
        if reader.is_open:
            reader.read(database, 9)
    assert counts == [1, 0]
    assert ">= TIMESTAMP'0001-" in database.statements[-1]
