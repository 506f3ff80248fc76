"""What a connector would find on its server, and what would come of it: read without changing anything there."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import CdcError
from .table import TableSchema


@dataclass(frozen=True, slots=True, eq=False)
class TablePreview:
    """A table that would be captured, with the schemas of its events. `rows`: the server's estimate; None without one.
    """

    table: TableSchema
    rows: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """`server`: product and version. `problems` would stop the connector, and each has a hint; `notes` are sentences on
    what it would create, and what its events would lack. `topics`: those beside the tables' own, and what is in each.
    """

    server: str
    problems: tuple[CdcError, ...]
    notes: tuple[str, ...]
    tables: tuple[TablePreview, ...]
    topics: tuple[tuple[str, str], ...] = ()
