"""Identifiers in statements. MySQL Reference Manual, "Schema Object Names"."""

from __future__ import annotations

from cdc.core.table import TableId


def quoted(name: str) -> str:
    """*name* as an identifier, in backticks, whatever the sql_mode."""
    return "`" + name.replace("`", "``") + "`"


def quoted_table(id: TableId) -> str:
    """A table with its database."""
    return f"{quoted(id.catalog)}.{quoted(id.table)}"
