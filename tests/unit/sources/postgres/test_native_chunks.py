"""Lines of COPY that go out between the changes of a stream give the messages of records that Python has read."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from cdc import native as native_room
from cdc.core.record import READ, Record, SourceContext
from cdc.core.table import TableSchema
from cdc.sources.postgres.native_changes import native_changes
from cdc.sources.postgres.native_copy import ChunkLines, ReadLines
from cdc.sources.postgres.protocol import Relation, RelationColumn
from tests.unit.sources.postgres import native_world as world
from tests.unit.transforms import test_outcomes

pytestmark = pytest.mark.skipif(native_room.module("pgoutput") is None, reason="no native modules were built")

ESCAPES = {ord(each): f"\\{letter}" for each, letter in zip("\b\f\n\r\t\v\\", "bfnrtv\\", strict=True)}
UNUSUAL = ("\\101bc", "\\x41", "\\N", "\\q")
"""Of which C refuses a line, apart from the null."""


@dataclass(frozen=True)
class Plan:
    table: TableSchema
    indexes: tuple[int, ...]
    key_indexes: tuple[int, ...]
    column_count: int


def plan_of(outcome: world.Outcome, oid: int) -> Plan:
    name, columns, key = world.TABLES[oid]
    relation = Relation(oid, "public", name, "d", tuple(RelationColumn(each, 25, -1, each in key) for each in columns))
    table = world.Catalog().resolve(relation).table
    assert table is not None
    return Plan(table, tuple(range(len(columns))), (0,), len(columns))


def line(pick: random.Random, oid: int) -> bytes:
    fields = []
    for name in world.TABLES[oid][1]:
        text = pick.choice(world.TYPES[name][1])
        raw = text if isinstance(text, bytes) else text.translate(ESCAPES).encode()
        optional = name not in world.REQUIRED
        fields.append(pick.choice(UNUSUAL).encode() if optional and pick.random() < 0.05 else raw)
    return b"\t".join(fields) + b"\n"


class Beside:
    """Puts chunks between what the stream brings, as `Control.passed` does. *read*: as records."""

    def __init__(self, outcome: world.Outcome, seed: int, *, read: bool) -> None:
        self._plans = {oid: plan_of(outcome, oid) for oid in (1, 2, 3)}
        self._events = outcome.reader.events
        self._pick = random.Random(seed)
        self._read = read
        self.count = 0

    def passed(self, items: list[Any]) -> list[Any]:
        found: list[Any] = [*self._chunk()]
        for item in items:
            found += [item, *self._chunk()]
        return found

    def _chunk(self) -> Iterator[Any]:
        pick = self._pick
        if pick.random() < 0.7:
            return
        oid = pick.choice(list(self._plans))
        plan = self._plans[oid]
        rows = ChunkLines([line(pick, oid) for _ in range(pick.choice((1, 3, 40)))], plan)
        gone = {number for number in range(len(rows)) if pick.random() < 0.2}
        values = self._events.source_values(world.NOW_US + self.count, schema="public", table=plan.table.id.table,
                                            snapshot="incremental")
        context = SourceContext(self._events.source_schema, tuple(values), ())
        self.count += len(rows) - len(gone)
        if not self._read:
            yield rows.reads(len(rows), gone, context)
            return
        for number in range(len(rows)):
            if number not in gone:
                row = rows[number][1]
                yield Record(READ, plan.table, None, row, row, context, ())


def outgoings(stream: list[bytes], settings: world.Settings, seed: int, *, read: bool,
              views: bool = False) -> list[Any]:
    pick = random.Random(seed)
    outcome = world.Outcome(settings)
    beside = Beside(outcome, seed, read=read)
    changes = native_changes(outcome.reader, beside.passed)
    assert changes is not None
    frames: Any = stream if pick.random() < 0.5 else world.in_blocks(stream, pick)
    most, at = pick.choice((1, 17, 1000)), 0
    found: list[Any] = []
    kept = []
    try:
        while at < len(stream) or outcome.reader.replay is not None:
            at, size, batch = changes.run(frames, at, most, 5000)
            if views:
                found.append(outcome.told(outcome.one_by_one(batch), at, size))
            else:
                out = outcome.converter.encode(batch, world.NOW_US, outcome.failed, outcome.chain)
                found.append(outcome.told([out.outgoing(index) for index in range(len(out))], at, size))
            kept.append(batch)
    except Exception as exc:
        found.append((type(exc), str(exc)))
    assert beside.count
    return found


@pytest.mark.parametrize("metadata", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_lines_between_changes_give_what_records_give(seed: int, metadata: bool) -> None:
    stream = world.stream_of(random.Random(seed))
    settings = world.Settings(metadata=metadata)
    expected = outgoings(stream, settings, seed, read=True)
    assert outgoings(stream, settings, seed, read=False) == expected
    assert outgoings(stream, settings, seed, read=False, views=True) == expected


@pytest.mark.parametrize("name", ["route", "unwrap-rewrite", "unwrap-tombstone"])
def test_the_same_behind_transforms(name: str) -> None:
    settings = world.Settings(transforms=test_outcomes.config(test_outcomes.CHAINS[name]))
    for seed in range(4):
        stream = world.stream_of(random.Random(seed))
        assert outgoings(stream, settings, seed, read=False) == outgoings(stream, settings, seed, read=True)


def test_very_many_chunks_do_not_make_the_list_of_tables_long() -> None:
    outcome = world.Outcome(world.Settings())
    plan = plan_of(outcome, 2)
    context = SourceContext(outcome.reader.events.source_schema, tuple(outcome.reader.events.source_values(
        world.NOW_US, schema="public", table="pairs", snapshot="incremental")), ())
    changes = native_changes(outcome.reader, lambda items: [ReadLines([b"1\tx\t2\n"], plan, context), *items])
    assert changes is not None
    most = 0
    for _ in range(3000):
        _, _, batch = changes.run([], 0, 1000, 5000)
        out = outcome.converter.encode(batch, world.NOW_US, outcome.failed)
        assert (len(out), batch.foreign_count()) == (1, 0)
        most = max(most, len(batch.tables))
    assert most < 1100
