"""What a connector would find on its server, and what would come of it: read without changing anything there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from .dataclass import dataclass
from .errors import CdcError
from .named_tuple import NamedTuple
from .table import TableId, TableSchema


@dataclass(frozen=True, eq=False)
class TablePreview:
    """A table that would be captured, with the schemas of its events. `rows`: the server's estimate; None without one.
    """

    table: TableSchema
    rows: int | None


@dataclass(frozen=True, eq=False)
class Preview:
    """`server`: product and version. `problems` would stop the connector, and each has a hint; `notes` are sentences on
    what it would create, and what its events would lack. `topics`: those beside the tables' own, and what is in each.
    """

    server: str
    problems: tuple[CdcError, ...]
    notes: tuple[str, ...]
    tables: tuple[TablePreview, ...]
    topics: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TableNames:
    """The tables of a server that a connector captures, and the others that it could, both sorted. `rows`: the server's
    estimates for captured ones, as far as it has any. `copied`: the captured ones that a first copy reads."""

    captured: tuple[TableId, ...]
    others: tuple[TableId, ...]
    rows: Mapping[TableId, int] = field(default_factory=dict)
    copied: tuple[TableId, ...] = ()


class Look(NamedTuple):
    """A connector class's ways to ask its server; all take the connector's settings, open a connection of their own,
    and raise SourceError. `reader` says who reads the log in the connector's place now, as a part of a sentence; None
    if nobody does, or if the server does not tell."""

    preview: Callable[[Any], Preview]
    tables: Callable[[Any], TableNames]
    reader: Callable[[Any], str | None] = lambda config: None
