"""Rows of captured tables that come, go or change without events, as far as the catalog shows it; each is a warning.

The log has no events for what changes a table as a whole. What was seen last goes into the offset, so that a start sees
what happened while nobody looked. VACUUM FULL and the like give a table another file, too; they change no row.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cdc.core.dataclass import dataclass
from cdc.core.errors import PositionLostError
from cdc.core.packing import pack, unpack
from cdc.log import get_logger
from cdc.sources.shared.warnings import Warnings

from .connection import Connection, query

log = get_logger(__name__)

KIND: Final = "rows_without_events"
_SHARE: Final = 100
"""A look takes at most one part in so many of the time, whatever the number of captured tables."""
_HINT: Final = (
    "Consumers of the table's topic do not know of it: take a new snapshot (reset the connector's offset), or change"
    " the rows there too."
)
_TRUNCATE_HINT: Final = "With skipped.operations=none the connector sends an event for it."


@dataclass(frozen=True)
class Table:
    """A captured table, by what changes when its rows change as a whole.

    `file`: pg_class.relfilenode; 0 for a partitioned table. `columns`: how many it has, dropped ones included.
    `leaves`: the partitions whose changes come under its name. `altered`: the number of the first column whose
    definition is as new as the file; 0 if none is. `emptied`: the server has not counted the rows since the table got
    the file. `attached`: those of `leaves` that were made before they became partitions.
    """

    name: str
    file: int
    columns: int
    leaves: Mapping[int, str]
    altered: int = 0
    emptied: bool = False
    attached: frozenset[int] = frozenset()


Tables = Mapping[int, Table]
"""By oid."""


def differences(before: Tables, now: Tables, *, truncates_published: bool) -> list[tuple[str, str]]:
    """What happened to the rows of the tables *before*, with the tables' names. *now* has all of them that exist."""
    found = []
    for oid, old in before.items():
        new = now.get(oid)
        if new is None:
            found.append((old.name, "It was dropped: its rows went away"))
            continue
        if old.file and new.file not in (0, old.file):
            if 0 < new.altered <= old.columns:
                found.append((new.name, "ALTER TABLE rewrote its rows, perhaps with other values"))
            elif new.emptied and not truncates_published:
                found.append((new.name, "It was emptied (TRUNCATE, which the publication does not have)"))
        found += [(new.name, f"Partition {new.leaves[leaf]} was attached, perhaps with rows")
                  for leaf in new.leaves if leaf not in old.leaves and leaf in new.attached]
        found += [(new.name, f"Partition {name} was detached or dropped: its rows went away")
                  for leaf, name in old.leaves.items() if leaf not in new.leaves]
    return found


class UnseenRows:
    """Compares each look with the last one. `look` is called by one thread at a time."""

    def __init__(self, warnings: Warnings) -> None:
        self._warnings = warnings
        self._told: set[str] = set()
        self._before: Tables | None = None
        self._text: str | None = None
        self._next_look = 0.0

    @property
    def text(self) -> str | None:
        """What the offset is to hold. From any thread."""
        return self._text

    def resume(self, stored: str | None) -> None:
        """*stored*: a former `text`. Raises PositionLostError if it is damaged."""
        self._before = _read(stored) if stored is not None else None
        self._text = stored

    def look(self, conn: Connection, oids: Iterable[int], *, via_root: bool, truncates_published: bool) -> None:
        """*oids*: of the captured tables. *via_root*: changes of partitions come under the name of their root. Raises
        SourceError when the server does not tell."""
        began = time.monotonic()
        if began < self._next_look:
            return
        before, captured = self._before or {}, set(oids)
        found = read_tables(conn, captured | before.keys(), via_root=via_root)
        for name, what in differences(before, found, truncates_published=truncates_published):
            self.tell(name, f"{what}, and the log has no events of that.", _HINT)
        now = {oid: table for oid, table in found.items() if oid in captured}
        if self._text is None or self._before is None or _kept(now) != _kept(self._before):
            self._text = pack(json.dumps(_kept(now), separators=(",", ":")))
        self._before = now
        self._next_look = began + _SHARE * (time.monotonic() - began)

    def truncated(self, name: str) -> None:
        """The log has a TRUNCATE of table *name*, and skipped.operations leaves its event out."""
        self.tell(name, "It was emptied (TRUNCATE), and skipped.operations leaves the event out.",
                  f"{_HINT} {_TRUNCATE_HINT}")

    def tell(self, name: str, text: str, hint: str) -> None:
        """One warning of a table lasts until the connector starts again; later ones of the table are only logged."""
        if name in self._told:
            log.warning(KIND, about=name, why=text, hint=hint)
        else:
            self._told.add(name)
            self._warnings.put(KIND, name, text, hint)


def _kept(tables: Tables) -> list[Any]:
    return [[oid, table.name, table.file, table.columns, [[leaf, name] for leaf, name in sorted(table.leaves.items())]]
            for oid, table in sorted(tables.items())]


def _read(stored: str) -> Tables:
    try:
        return {int(oid): Table(str(name), int(file), int(columns), {int(leaf): str(each) for leaf, each in leaves})
                for oid, name, file, columns, leaves in json.loads(unpack(stored))}
    except (TypeError, ValueError) as exc:
        raise PositionLostError(
            "What the stored offset remembers of the tables' files cannot be read.",
            hint="It is damaged. Reset the connector's offset to start with a new snapshot.") from exc


def read_tables(conn: Connection, oids: Iterable[int], *, via_root: bool) -> dict[int, Table]:
    """The tables *oids* that exist, without a lock on any of them. Raises SourceError."""
    wanted = list(oids)
    leaves: dict[int, dict[int, str]] = {}
    attached: dict[int, set[int]] = {}
    for root, leaf, name, late in query(conn, _LEAVES, wanted) if via_root else ():
        leaves.setdefault(root, {})[leaf] = name
        if late:
            attached.setdefault(root, set()).add(leaf)
    return {oid: Table(name, file, columns, leaves.get(oid, {}), altered or 0, emptied,
                       frozenset(attached.get(oid, ())))
            for oid, name, file, columns, altered, emptied in query(conn, _TABLES, wanted)}


# The row of pg_class and those of rewritten columns are new in the same transaction, as are those of columns that are
# added. TRUNCATE forgets the number of rows, until VACUUM or ANALYZE; what copies a table counts them.
_TABLES: Final = """\
SELECT c.oid::int8, n.nspname || '.' || c.relname, CASE c.relkind WHEN 'r' THEN c.relfilenode::int8 ELSE 0 END,
       c.relnatts, (SELECT min(a.attnum) FROM pg_catalog.pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.xmin = c.xmin),
       c.reltuples < 0
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY(%s::oid[]) AND c.relkind IN ('r', 'p')"""

# A partition that was made as one is as old as its row in pg_inherits; its system columns tell how old it is. ATTACH
# changes its columns in the command that makes the row; a partition that is made as one has them before. Casts: cid has
# no order.
_LEAVES: Final = """\
WITH RECURSIVE tree (root, oid, late) AS (
    SELECT c.oid, c.oid, false FROM pg_catalog.pg_class c WHERE c.oid = ANY(%s::oid[]) AND c.relkind = 'p'
    UNION ALL
    SELECT t.root, i.inhrelid, t.late OR EXISTS (
        SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.inhrelid AND CASE a.attnum
            WHEN -1 THEN a.xmin <> i.xmin
            ELSE a.attnum > 0 AND a.xmin = i.xmin AND a.cmin::text::int8 >= i.cmin::text::int8 END)
    FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid)
SELECT t.root::int8, t.oid::int8, n.nspname || '.' || c.relname, t.late
FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.oid AND c.relkind = 'r'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"""
