"""C reads COPY's lines as `copy_row` does, and its records become the same bytes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cdc import native as native_room
from cdc.core.errors import ProtocolError
from cdc.core.record import READ, Record
from cdc.sources.postgres.copytext import copy_row
from cdc.sources.postgres.native_copy import native_rows
from cdc.sources.postgres.protocol import Relation, RelationColumn
from cdc.sources.postgres.source_block import SourceBlock
from cdc.sources.snapshot.initial import Lines
from tests.unit.mutations import mutated
from tests.unit.sources.postgres import native_world as world
from tests.unit.sources.postgres.test_changes import NAMING

pytestmark = pytest.mark.skipif(native_room.module("copytext") is None, reason="no native modules were built")

NAMES = tuple(world.TYPES)
ESCAPES = {ord(b"\\"): b"\\\\", 8: b"\\b", 12: b"\\f", 10: b"\\n", 13: b"\\r", 9: b"\\t", 11: b"\\v"}


class Read:
    """A table whose fields come in another order than its columns, without one of them."""

    def __init__(self) -> None:
        columns = tuple(RelationColumn(name, 25, -1, name == "id") for name in NAMES)
        self.table: Any = world.Catalog().resolve(Relation(1, "public", "orders", "d", columns)).table
        self.indexes = (*range(1, len(NAMES) - 1), 0)
        self.column_count = len(NAMES)
        self.context = SourceBlock(NAMING, "d", "bytes").snapshot_context("public", "orders", 5_000_000, 9, "true", 77)

    def line(self, pick: random.Random) -> bytes:
        cells = world.cells(pick, NAMES)
        return b"\t".join(_field(cells[index]) for index in self.indexes) + b"\n"


def _field(cell: Any) -> bytes:
    if cell is None:
        return b"\\N"
    data = cell if isinstance(cell, bytes) else cell.encode()
    return b"".join(ESCAPES.get(byte, bytes((byte,))) for byte in data)


def by_python(read: Read, lines: list[bytes]) -> list[Record]:
    rows = [copy_row(line, read.indexes, read.column_count) for line in lines]
    return [Record(READ, read.table, None, row, row, read.context, ()) for row in rows]


def by_c(read: Any, lines: list[bytes]) -> Any:
    rows = native_rows()
    assert rows is not None
    batch = rows.batch()
    for at in range(0, len(lines), 7):
        some = lines[at:at + 7]
        rows.add(batch, read, Lines(some, sum(map(len, some))), read.context)
    return batch


def compare(read: Read, lines: list[bytes]) -> Any:
    error = ""
    try:
        expected = by_python(read, lines)
    except ProtocolError as exc:
        error = str(exc)
    if error:
        with pytest.raises(ProtocolError) as caught:
            by_c(read, lines)
        assert str(caught.value) == error
        return None
    batch = by_c(read, lines)
    python, c, views = (world.Outcome(world.Settings()) for _ in range(3))
    outgoings = python.converter.convert(expected, world.NOW_US, python.failed)
    out = c.converter.encode(batch, world.NOW_US, c.failed)
    assert [out.outgoing(index) for index in range(len(out))] == outgoings
    assert views.converter.convert(batch, world.NOW_US, views.failed) == outgoings
    assert len(c.failed) == len(python.failed) == len(views.failed)
    assert c.tolerated == python.tolerated
    return batch


@pytest.mark.parametrize("seed", range(10))
def test_lines_become_the_same_records(seed: int) -> None:
    pick = random.Random(seed)
    read = Read()
    compare(read, [read.line(pick) for _ in range(50)])


def test_damaged_lines_become_the_same_records_or_the_same_error() -> None:
    pick = random.Random(11)
    read = Read()
    for _ in range(300):
        lines = [read.line(pick) for _ in range(3)]
        place = pick.randrange(3)
        lines[place] = mutated(lines[place], pick)
        compare(read, lines)


def test_c_resolves_the_escapes_that_servers_write() -> None:
    read = Read()
    pick = random.Random(1)
    lines = [read.line(pick) for _ in range(20)]
    batch = compare(read, lines)
    assert any(b"\\\\" in line for line in lines)
    assert batch.foreign_count() == 0
