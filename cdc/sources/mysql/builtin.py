"""The server's own databases, for `table.ignore.builtin`. Debezium source: BinlogConnectorConfig."""

from __future__ import annotations

from typing import Final

from cdc.core.table import TableId

_DATABASES: Final = frozenset({"mysql", "performance_schema", "sys", "information_schema"})


def is_builtin(id: TableId) -> bool:
    """Whether *id* is a table of such a database."""
    return id.catalog.lower() in _DATABASES
