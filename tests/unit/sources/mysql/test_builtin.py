"""Which tables are the server's own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.sources.mysql.builtin import is_builtin


@pytest.mark.parametrize("database", ["mysql", "MySQL", "performance_schema", "sys", "information_schema"])
def test_builtin_tables_are_ignored_unless_asked_for(database: str) -> None:
    id = TableId(database, "", "user")
    assert is_builtin(id)
    assert not Filters.from_config(SimpleNamespace(), is_builtin).table(id)
    assert Filters.from_config(SimpleNamespace(table_ignore_builtin=False), is_builtin).table(id)


def test_other_tables_are_not() -> None:
    assert not is_builtin(TableId("shop", "", "user"))
