"""A database in memory with a log, for snapshots beside its stream: who sees which transaction when, is all chance.

A transaction is in the log before others can see it, as on a server that waits for a synchronous standby. Its rows are
locked until then. A chunk is read at one moment; the stream lags behind the log.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdc.core.codec import Codec
from cdc.core.errors import SourceConnectionError
from cdc.core.record import CREATE, DELETE, READ, TOMBSTONE, TRUNCATE, UPDATE, Record, SourceContext
from cdc.core.row import BINARY, TEXT, Row, row_of
from cdc.core.schema import INT32, STRING, Schema, struct
from cdc.core.table import Column, TableId, TableSchema
from cdc.sources.snapshot.chunk import Chunk, StructureChangedError, UnreadRows
from cdc.sources.snapshot.copies import Copy, Key


class TextInt(Codec):
    def value(self, data: bytes, start: int, end: int) -> int:
        return int(data[start:end])


class BinaryInt(Codec):
    def value(self, data: bytes, start: int, end: int) -> int:
        return int.from_bytes(data[start:end], signed=True)


def column(index: int, name: str) -> Column:
    schema = Schema(INT32)
    text, binary = TextInt(schema), BinaryInt(schema)
    return Column(index, name, name, "int", schema, text, binary, schema, text, binary)


EMPTY_SCHEMA = struct("empty", (("a", Schema(STRING)),))


def table_schema(name: str, keyed: bool = True) -> TableSchema:
    columns = (column(0, "id"), column(1, "v"), column(2, "s"))
    return TableSchema(TableId("db", "", name), f"t.{name}", columns, columns[:1] if keyed else (), None, EMPTY_SCHEMA,
                       EMPTY_SCHEMA)


def text_row(values: Sequence[int]) -> Row:
    return row_of([str(each).encode() for each in values], TEXT)


def binary_row(values: Sequence[int]) -> Row:
    return row_of([each.to_bytes(4, signed=True) for each in values], BINARY)


def values_of(record: Record) -> tuple[int, ...]:
    row = record.after if record.after is not None else record.before
    assert row is not None
    out = []
    for each in record.table.columns:
        raw = row.raw(each.index)
        assert raw is not None
        codec = each.binary_codec if row.kind(each.index) == BINARY else each.codec
        assert codec is not None
        out.append(codec.value(raw, 0, len(raw)))
    return tuple(out)


Change = tuple[str, str, int, tuple[int, ...] | None]
"""The operation, the table, the key and the new row."""


@dataclass
class Tx:
    number: int
    changes: list[Change] = field(default_factory=list)


class Server:
    """`rows`: what is visible, by table and key. `log`: transactions in the order of their commits."""

    def __init__(self, random_: random.Random, tables: Sequence[str]) -> None:
        self.random = random_
        self.rows: dict[str, dict[int, tuple[int, ...]]] = {each: {} for each in tables}
        self.schemas = {each: table_schema(each) for each in tables}
        self.log: list[Tx] = []
        self.invisible: list[Tx] = []
        self.open: list[Tx] = []
        self.number = 0
        self.version = 0
        self.structure = 0
        self.made = dict.fromkeys(tables, "1")

    def locked(self, table: str, key: int) -> bool:
        return any(change[1] == table and (change[2] == key or change[0] == "t")
                   for tx in (*self.open, *self.invisible) for change in tx.changes)

    def write(self, most_key: int, *, truncates: bool = False) -> None:
        """One step of some transaction."""
        kind = self.random.random()
        if kind < 0.35 or not self.open:
            if len(self.open) < 4:
                self.number += 1
                self.open.append(Tx(self.number))
            return
        tx = self.random.choice(self.open)
        if kind < 0.75:
            self.change(tx, most_key, truncates=truncates)
        elif kind < 0.95:
            self.open.remove(tx)
            if tx.changes:
                self.log.append(tx)
                self.invisible.append(tx)
        else:
            self.open.remove(tx)
        self.show()

    def change(self, tx: Tx, most_key: int, *, truncates: bool) -> None:
        table = self.random.choice(list(self.rows))
        key = self.random.randrange(most_key)
        if truncates and self.random.random() < 0.05 and not any(
                change[1] == table for each in (*self.open, *self.invisible) for change in each.changes):
            tx.changes.append(("t", table, -1, None))
            return
        if self.locked(table, key):
            return
        self.version += 1
        row = (key, self.version, self.random.randrange(5))
        present = key in self.rows[table]
        if not present:
            tx.changes.append(("c", table, key, row))
        elif self.random.random() < 0.3:
            tx.changes.append(("d", table, key, self.rows[table][key]))
        elif self.random.random() < 0.3:
            other = self.random.randrange(most_key)
            if other != key and other not in self.rows[table] and not self.locked(table, other):
                tx.changes.append(("d", table, key, self.rows[table][key]))
                tx.changes.append(("c", table, other, (other, *row[1:])))
        else:
            tx.changes.append(("u", table, key, row))

    def show(self, *, all: bool = False) -> None:
        """Some transactions become visible."""
        for tx in list(self.invisible):
            if all or self.random.random() < 0.4:
                self.invisible.remove(tx)
                for op, table, key, row in tx.changes:
                    if op == "t":
                        self.rows[table].clear()
                    elif op == "d":
                        del self.rows[table][key]
                    else:
                        assert row is not None
                        self.rows[table][key] = row

    def settle(self) -> None:
        for tx in self.open:
            if tx.changes:
                self.log.append(tx)
                self.invisible.append(tx)
        self.open.clear()
        self.show(all=True)


@dataclass(frozen=True)
class Shows:
    log_end: int
    invisible: frozenset[int]
    """Those in the log that the chunk does not show."""
    known_to: int


@dataclass(frozen=True)
class SimulatedPlan:
    table: TableSchema
    surrogate: bool
    structure: int
    made: str = ""
    row_estimate: int = -1

    @property
    def unique(self) -> bool:
        return not self.surrogate

    identity = ("id",)

    def key(self, row: tuple[int, ...]) -> tuple[str, ...]:
        return (str(row[2]),) if self.surrogate else (str(row[0]),)


class Unread(UnreadRows):
    """Rows of which most are never read; `reads` gives the records that a batch would make of its item."""

    def __init__(self, rows: Sequence[tuple[Key, Row]], table: TableSchema) -> None:
        self._rows = rows
        self._table = table

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> tuple[Key, Row]:
        return self._rows[number]

    def reads(self, count: int, gone: Collection[int], context: SourceContext) -> list[Record]:
        rows = [row for number, (_, row) in enumerate(self._rows[:count]) if number not in gone]
        return [Record(READ, self._table, None, row, row, context, ()) for row in rows]


class Reader:
    """`incremental.ChunkReader` on a Server. `stream` is where the stream is: the next transaction of the log.
    *unread*: the rows of chunks are `Unread`."""

    def __init__(self, server: Server, failures: float = 0.0, *, unread: bool = False) -> None:
        self.server = server
        self.unread = unread
        self.failures = failures
        self.stream = 0
        self.began = 0
        self.wanted: tuple[SimulatedPlan, Copy, int] | None = None
        self.found: Chunk | Exception | None = None
        self.watched: str | None = None
        self.seen_structure = 0

    def names(self, patterns: Sequence[str]) -> list[str]:
        return list(patterns)

    def plan(self, copy: Copy) -> SimulatedPlan | str:
        name = copy.name.partition(".")[2]
        if name not in self.server.rows:
            return "UNKNOWN_SCHEMA"
        self.seen_structure = self.server.structure
        return SimulatedPlan(self.server.schemas[name], copy.surrogate is not None, self.server.structure,
                             self.server.made.get(name, ""))

    def release(self, plan: Any) -> None:
        self.watched = None

    def begins(self, plan: Any) -> None:
        self.watched = plan.table.id.table
        self.began = self.stream

    def ask(self, plan: Any, copy: Copy, rows: int, size_bytes: int) -> None:
        self.wanted, self.found = (plan, copy, rows), None

    def forget(self) -> None:
        self.wanted = self.found = None

    def work(self) -> None:
        """The helper's thread runs."""
        if self.wanted is None:
            return
        plan, copy, limit = self.wanted
        self.wanted = None
        server = self.server
        if server.random.random() < self.failures:
            self.found = SourceConnectionError("the helper's connection is lost")
            return
        if plan.structure != server.structure:
            self.found = StructureChangedError()
            return
        rows = sorted(server.rows[plan.table.id.table].values(), key=lambda row: (int(plan.key(row)[0]), row[0]))
        upto = copy.upto or (plan.key(rows[-1]) if rows else None)
        after = -1 if copy.after is None or copy.after[0] is None else int(copy.after[0])
        most = -1 if upto is None or upto[0] is None else int(upto[0])
        rows = [row for row in rows if after < int(plan.key(row)[0]) <= most]
        chosen = [(plan.key(row), text_row(row)) for row in rows[:limit]]
        shows = Shows(len(server.log), frozenset(tx.number for tx in server.invisible), len(server.log))
        found = Unread(chosen, plan.table) if self.unread else chosen
        before_last = sum(key < chosen[-1][0] for key, _ in chosen) if chosen else -1
        self.found = Chunk(found, upto, len(rows) <= limit, 100 * len(chosen), shows, before_last)

    def answer(self, wait_s: float) -> Chunk | None:
        if wait_s:
            self.work()
        found, self.found = self.found, None
        if isinstance(found, Exception):
            raise found
        return found

    def changed(self, plan: Any) -> bool:
        return self.seen_structure != self.server.structure

    def joins(self, chunk: Chunk) -> bool:
        return not any(tx.number in chunk.shows.invisible for tx in self.server.log[:self.began + 1])

    def by(self, record: Record) -> int:
        return int(record.source_values[0])

    def sees(self, chunk: Chunk, by: int) -> bool:
        return by not in chunk.shows.invisible and any(
            tx.number == by for tx in self.server.log[:int(chunk.shows.log_end)])

    def reached(self, chunk: Chunk) -> bool:
        return self.stream >= int(chunk.shows.log_end)

    def patience_s(self, chunk: Chunk) -> float:
        return 1.0

    def closes(self, record: Record) -> bool:
        return False

    def finish(self) -> None:
        pass

    def context(self, plan: Any) -> SourceContext:
        return SourceContext(EMPTY_SCHEMA, (0,), ())

    def close(self) -> None:
        pass


def records_of(server: Server, tx: Tx) -> list[Record]:
    context = SourceContext(EMPTY_SCHEMA, (0,), (0,))
    found = []
    for op, table, _, row in tx.changes:
        schema = server.schemas[table]
        if op == "t":
            found.append(Record(TRUNCATE, schema, None, None, None, context, (tx.number,)))
            continue
        assert row is not None
        image = binary_row(row)
        if op == "d":
            found.append(Record(DELETE, schema, image, None, image, context, (tx.number,)))
            found.append(Record(TOMBSTONE, schema, image, None, image, context, (tx.number,)))
        else:
            found.append(Record(CREATE if op == "c" else UPDATE, schema, None, image, image, context, (tx.number,)))
    return found


def apply(topic: dict[tuple[str, int], tuple[int, ...]], record: Record) -> None:
    """As a consumer that keeps the newest row of each key."""
    table = record.table.id.table
    if record.op == TRUNCATE:
        for each in [key for key in topic if key[0] == table]:
            del topic[each]
        return
    if record.op == TOMBSTONE:
        return
    row = values_of(record)
    if record.op == DELETE:
        topic.pop((table, row[0]), None)
    else:
        topic[table, row[0]] = row


OPS = (CREATE, UPDATE, READ)
