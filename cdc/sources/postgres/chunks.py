"""Parts of a table for the first copy: ranges of its blocks, in the order of a sequential scan.

A transaction that is over cannot be opened again. The next one sees rows that were updated meanwhile in other blocks,
perhaps in those that were read already. Such an update comes in the stream with the whole row, so nothing is missing,
if the stream has all updates, and if each tells all values. Otherwise the next attempt reads the table from its start.

PostgreSQL docs, "System Columns" (ctid), "TID Range Scan" (version 14), "Database Physical Storage", "TOAST".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from cdc.sources.snapshot.progress import CHUNK_ROWS, Place

from .connection import query
from .options import PostgresConfig

_VERSION: Final = 140000
_MOST_BLOCKS: Final = 2048
_ROWS_PER_BLOCK: Final = 100
"""Where the server has no estimate."""
_LEAVES_OUT: Final = frozenset({"origin", "publication_names"})
"""Parameters of the stream with which it may have fewer changes than the publication."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A table's heap. `file`: the number of its file, which changes when the table is rewritten. `step`: the blocks
    of a chunk; 0 if the table cannot be divided. `whole`: whether updates in the stream tell all values."""

    file: int
    blocks: int
    step: int
    whole: bool

    def after(self, reached: Place | None) -> Iterator[tuple[sql.Composable | None, Place | None]]:
        """The condition of each chunk after *reached*, None for all rows, and the place behind it.

        The last chunk has no end: the file may have grown since it was measured. Without `whole` there are no places,
        so that one never holds for a time when it was not.
        """
        first = self._first(reached)
        if not self.step or not self.whole or (not first and self.blocks <= self.step):
            yield None, None
            return
        while first + self.step < self.blocks:
            end = first + self.step
            yield _from(first) + sql.SQL(" AND ctid < {}").format(_tid(end)), Place(json.dumps([self.file, end]))
            first = end
        yield _from(first), None

    def _first(self, reached: Place | None) -> int:
        if reached is None:
            return 0
        file, block = json.loads(reached.text)
        return int(block) if file == self.file else 0


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
    (c.relreplident = 'f' OR c.reltoastrelid = 0 OR pg_catalog.pg_relation_size(c.reltoastrelid) = 0)::int
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam WHERE c.oid = {}""").format(sql.Literal(oid))

    def extent(self, answer: Sequence[Sequence[bytes]]) -> Extent:
        """Of the *answer* to `question`."""
        if not answer:
            return Extent(0, 0, 0, False)  # dropped since: the read will tell
        file, blocks, pages, tuples, heap, whole = (int(each or 0) for each in answer[0])
        if not heap or not self._divides:
            return Extent(file, blocks, 0, False)
        per_block = max(1, tuples // pages) if pages and tuples else _ROWS_PER_BLOCK
        step = min(max(1, CHUNK_ROWS // per_block), _MOST_BLOCKS)
        return Extent(file, blocks, step, bool(whole) and self._streams_all)
