"""The server's own tables, as `table.ignore.builtin` means them. Debezium source: PostgresConnectorConfig,
SystemTablesPredicate."""

from __future__ import annotations

from typing import Final

from cdc.core.table import TableId

_SCHEMAS: Final = frozenset({"pg_catalog", "information_schema"})
_POSTGIS: Final = frozenset({"spatial_ref_sys"})


def is_builtin(id: TableId) -> bool:
    """Whether *id* is a system table, a temporary table, or the table that PostGIS brings."""
    return (id.schema.lower() in _SCHEMAS or id.schema.startswith("pg_temp") or id.table.lower() in _POSTGIS)
