"""Ranges of a table for the first copy: ranges of its blocks, in the order of a sequential scan.

A transaction that is over cannot be opened again. The next one sees rows that were updated meanwhile in other blocks,
perhaps in those that were read already. Such an update comes in the stream with the whole row, so nothing is missing,
if the stream has all updates, and if each tells all values. Otherwise the next attempt reads the table from its start.

PostgreSQL docs, "System Columns" (ctid), "TID Range Scan" (version 14), "Database Physical Storage", "TOAST".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, overload

import psycopg
from psycopg import sql

from cdc.core.dataclass import dataclass
from cdc.core.named_tuple import NamedTuple
from cdc.sources.snapshot.progress import CHUNK_BYTES, CHUNK_ROWS, Place

from .connection import query
from .options import PostgresConfig

_VERSION: Final = 140000
_MOST_BLOCKS: Final = 2048
_BLOCK_BYTES: Final = 8192
RANGE_BYTES: Final = 1 << 19
"""Of a range for several readers: they read ahead by whole ranges, and hold what they read."""
SMALLEST_BLOCKS: Final = 32
_ROWS_PER_BLOCK: Final = 100
"""Where the server has no estimate."""
_LEAVES_OUT: Final = frozenset({"origin", "publication_names"})
"""Parameters of the stream with which it may have fewer changes than the publication."""


class Blocks(NamedTuple):
    """The rows in blocks `first` to before `end` of a table; with `end` None to the end of its file, which may have
    grown since it was measured. `file`: the number of that file; 0 if the table is not divided. `place`: the one behind
    the range."""

    first: int = 0
    end: int | None = None
    file: int = 0
    place: Place | None = None

    def condition(self) -> sql.Composed | None:
        """None for all rows."""
        if self.end is None:
            return _from(self.first) if self.first else None
        below = sql.SQL("ctid < {}").format(_tid(self.end))
        return _from(self.first) + sql.SQL(" AND ") + below


@dataclass(frozen=True)
class Extent:
    """A table's heap. `file`: the number of its file, which changes when the table is rewritten. `step`: the blocks
    of a range; 0 if the table cannot be divided. `whole`: whether updates in the stream tell all values."""

    file: int
    blocks: int
    step: int
    whole: bool

    def after(self, reached: Place | None, *, several: bool = False) -> Ranges:
        """The ranges after *reached*. Without `whole` there are no places, so that one never holds for a time when it
        was not; then the table is divided for *several* readers only."""
        first = self._first(reached)
        divides = self.step and (self.whole or several)
        return Ranges(self, first, max(0, self.blocks - first - 1) // self.step if divides else 0)

    def _first(self, reached: Place | None) -> int:
        if reached is None or not self.whole:
            return 0
        file, block = json.loads(reached.text)
        return int(block) if file == self.file else 0


class Ranges(Sequence[Blocks]):
    """The blocks of *extent* from *first* on, in *count* ranges and one to the end of the file. Each is made when its
    turn comes: a large table has very many."""

    def __init__(self, extent: Extent, first: int, count: int) -> None:
        self._extent = extent
        self._first = first
        self._count = count

    def __len__(self) -> int:
        return self._count + 1

    @overload
    def __getitem__(self, place: int) -> Blocks: ...

    @overload
    def __getitem__(self, place: slice) -> list[Blocks]: ...

    def __getitem__(self, place: int | slice) -> Blocks | list[Blocks]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        if not 0 <= place <= self._count:
            raise IndexError(place)
        extent = self._extent
        first = self._first + place * extent.step
        if place == self._count:
            return Blocks(first, None, extent.file)
        end = first + extent.step
        return Blocks(first, end, extent.file, Place(json.dumps([extent.file, end])) if extent.whole else None)


def _from(block: int) -> sql.Composed:
    return sql.SQL("ctid >= {}").format(_tid(block))


def _tid(block: int) -> sql.Composed:
    return sql.SQL("{}::tid").format(sql.Literal(f"({block},0)"))


class Chunks:
    """How the tables of one connector are divided."""

    def __init__(self, conn: psycopg.Connection[Any], config: PostgresConfig) -> None:
        """Raises SourceError."""
        self._divides = conn.info.server_version >= _VERSION and not config.cdc_debezium_faults
        published = query(conn, "SELECT pubinsert AND pubupdate AND pubdelete FROM pg_catalog.pg_publication"
                                " WHERE pubname = %s", config.publication_name)
        left_out = {"c", "u", "d"} & set(config.skipped_operations) or (
            _LEAVES_OUT & dict(config.slot_stream_params).keys())
        self._streams_all = bool(published and published[0][0]) and not (
            left_out or config.skip_messages_without_change)

    def question(self, oid: int) -> sql.Composed:
        """Asks for the extent of table *oid*."""
        return sql.SQL("""\
SELECT pg_catalog.pg_relation_filenode(c.oid)::int8,
    pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8,
    c.relpages::int8, greatest(c.reltuples, 0)::int8, (a.amname = 'heap')::int,
    (c.relreplident = 'f' OR c.reltoastrelid = 0 OR pg_catalog.pg_relation_size(c.reltoastrelid) = 0)::int,
    CASE c.reltoastrelid WHEN 0 THEN 0 ELSE pg_catalog.pg_relation_size(c.reltoastrelid) END
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam WHERE c.oid = {}""").format(sql.Literal(oid))

    def extent(self, answer: Sequence[Sequence[bytes]], fewest: int = 1) -> Extent:
        """Of the *answer* to `question`. *fewest*: the number of ranges that a table is divided into if it has
        SMALLEST_BLOCKS for each."""
        if not answer:
            return Extent(0, 0, 0, False)  # dropped since: the read will tell
        file, blocks, pages, tuples, heap, whole, toast_bytes = (int(each or 0) for each in answer[0])
        if not heap or not self._divides:
            return Extent(file, blocks, 0, False)
        per_block = max(1, tuples // pages) if pages and tuples else _ROWS_PER_BLOCK
        step = min(max(1, CHUNK_ROWS // per_block), _MOST_BLOCKS)
        if fewest > 1:
            step = min(step, max(SMALLEST_BLOCKS, -(-blocks // fewest)))
        most_bytes = RANGE_BYTES if fewest > 1 else CHUNK_BYTES
        step = min(step, max(1, most_bytes * blocks // max(1, _BLOCK_BYTES * blocks + toast_bytes)))
        return Extent(file, blocks, step, bool(whole) and self._streams_all)
