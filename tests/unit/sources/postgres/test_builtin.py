"""Which tables are the server's own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.sources.postgres.builtin import is_builtin


@pytest.mark.parametrize("id", [
    TableId("d", "pg_catalog", "pg_class"), TableId("d", "information_schema", "tables"),
    TableId("d", "pg_temp_3", "t"), TableId("d", "public", "spatial_ref_sys"),
])
def test_builtin_tables_are_ignored_unless_asked_for(id: TableId) -> None:
    assert is_builtin(id)
    assert not Filters.from_config(SimpleNamespace(), is_builtin).table(id)
    assert Filters.from_config(SimpleNamespace(table_ignore_builtin=False), is_builtin).table(id)


def test_other_tables_are_not() -> None:
    assert not is_builtin(TableId("mysql", "public", "user"))
