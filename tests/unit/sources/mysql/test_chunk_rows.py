"""The rows of a chunk beside the stream that C takes together are those of packets one by one, without those that are
left out."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cdc import native
from cdc.core.record import CREATE, READ, Record, SourceContext
from cdc.core.row import Row
from cdc.core.schema import STRING, Schema, struct
from cdc.sources.mysql import connection
from cdc.sources.mysql.chunk_rows import ChunkParts, Fields
from tests.unit.sources.mysql.test_native_text import TABLE, reader, result, row, shown

pytestmark = pytest.mark.skipif(native.module("mysql") is None, reason="no native modules were built")

FIELDS = Fields((0, 3), 5, 1)
CONTEXT = SourceContext(struct("Source", [("snapshot", Schema(STRING))]), ("incremental",), ())
LARGE = 300_000


def packets(count: int, seed: int, large: int = 0) -> list[bytes]:
    """Rows of three texts, the last of which is the key; *large* of them do not fit into the buffer of a connection."""
    pick = random.Random(seed)
    wide = pick.sample(range(count), min(large, count))
    return [row(pick.choice((None, b"", b"x" * 300)),
                b"w" * LARGE if number in wide else pick.choice((None, b"y" * 100)), str(number).encode())
            for number in range(count)]


def parts(sent: list[bytes], size_bytes: int = 1 << 30, pieces: int = 0) -> tuple[ChunkParts, int]:
    with reader(result(sent), native_modules=True, pieces=pieces) as made:
        text = made.native
        assert text is not None
        found, size = ChunkParts(text, FIELDS, TABLE), 0
        connection.ask(made._conn, "SELECT …")
        for part in text.blocks(FIELDS.indexes, FIELDS.width):
            if size <= size_bytes:
                size += found.add(part, size_bytes - size)
    return found, size


def cells(row: Row) -> list[Any]:
    return [(row.kind(index), row.raw(index)) for index in range(row.count)]


@pytest.mark.parametrize("pieces", [0, 7])
@pytest.mark.parametrize(("count", "large"), [(1, 0), (1, 1), (5, 2), (700, 0), (700, 3)])
def test_each_row_can_be_asked_for_with_its_key(count: int, large: int, pieces: int) -> None:
    sent = packets(count, count, large)
    found, size = parts(sent, pieces=pieces)
    assert (len(found), size) == (count, sum(map(len, sent)))
    pick = random.Random(pieces)
    for number in [*range(count), *pick.choices(range(count), k=50), -1]:
        key, row = found[number]
        assert key == (str(number % count),)
        assert cells(row) == cells(FIELDS.row(sent[number]))


@pytest.mark.parametrize("seed", range(12))
def test_what_the_stream_has_changed_is_left_out(seed: int) -> None:
    pick = random.Random(seed)
    count, large = pick.choice((1, 2, 30, 900)), pick.choice((0, 0, 1, 4))
    sent = packets(count, seed, large)
    found, _ = parts(sent, pieces=pick.choice((0, 9)))
    taken = pick.choice((count, pick.randrange(1, count + 1)))
    gone = set(pick.sample(range(count), pick.choice((0, 0, 1, count // 2, count)) or 0))
    assert len(found[count - 1]) == 2, "a key was asked for before"
    expected = []
    for number in range(taken):
        if number not in gone:
            row = FIELDS.row(sent[number])
            expected.append(shown(Record(READ, TABLE, None, row, row, CONTEXT, ())))
    item = found.reads(taken, gone, CONTEXT)
    assert len(item) == len(expected)
    image = Row(b"", 0)
    change = Record(CREATE, TABLE, None, image, image, CONTEXT, ())
    mysql: Any = native.module("mysql")
    batch = mysql.Batch([change, item, change])
    assert [shown(each) for each in batch][1:-1] == expected
    assert (batch[0], batch[len(batch) - 1]) == (change, change)
    assert batch.foreign_count() == 2 + sum(
        number not in gone and len(sent[number]) > LARGE for number in range(taken))


@pytest.mark.parametrize("size_bytes", [0, 1, 5_000, 50_000, 400_000])
def test_a_chunk_ends_with_the_row_that_makes_it_too_large(size_bytes: int) -> None:
    sent = packets(900, 3, 2)
    count = expected = 0
    while count < len(sent) and expected <= size_bytes:
        expected += len(sent[count])
        count += 1
    found, size = parts(sent, size_bytes)
    assert (len(found), size) == (count, expected)
    assert found[-1][0] == (str(count - 1),)
