"""How many rows chunks beside the stream have."""

from __future__ import annotations

from cdc.sources.snapshot.chunk_size import CHUNK_BYTES, DEFAULT_ROWS, ChunkSize


def sizes(size: ChunkSize, chunks: int, *, seconds: float, row_bytes: int = 100) -> list[int]:
    found = []
    for _ in range(chunks):
        found.append(size.rows)
        size.read(size.rows, size.rows * row_bytes)
        size.sent(seconds)
    return found


def begun(rows: int = DEFAULT_ROWS, columns: int = 5) -> ChunkSize:
    size = ChunkSize(rows)
    size.begins(columns)
    return size


def test_chunks_that_take_little_time_grow_to_sixteen_times_the_default() -> None:
    assert sizes(begun(), 6, seconds=0.01) == [1024, 2048, 4096, 8192, 16384, 16384]


def test_chunks_that_take_long_become_smaller_again_but_not_below_the_default() -> None:
    size = begun()
    sizes(size, 6, seconds=0.01)
    assert sizes(size, 6, seconds=0.5) == [16384, 8192, 4096, 2048, 1024, 1024]
    assert sizes(size, 2, seconds=0.2) == [1024, 1024]


def test_another_number_than_the_default_is_kept() -> None:
    for rows in (1, 3, 1000, 50_000):
        assert sizes(begun(rows), 4, seconds=0.001) == [rows] * 4


def test_rows_of_many_columns_come_in_smaller_chunks() -> None:
    assert sizes(begun(columns=500), 3, seconds=0.001) == [1024, 2048, 2097]
    assert sizes(begun(columns=5000), 3, seconds=0.001) == [1024] * 3


def test_chunks_of_wide_rows_stay_below_the_most_bytes() -> None:
    for row_bytes, rows in ((1000, 7340), (9000, 815), (40_000, 183), (3_000_000, 2)):
        found = sizes(begun(), 20, seconds=0.001, row_bytes=row_bytes)
        assert found[-1] == rows
        assert all(each * row_bytes < CHUNK_BYTES for each in found[1:])
    assert sizes(begun(), 3, seconds=0.001, row_bytes=CHUNK_BYTES * 6)[1:] == [1, 1]


def test_after_a_huge_row_chunks_grow_step_by_step() -> None:
    size = begun()
    size.read(1, CHUNK_BYTES * 6)
    assert sizes(size, 12, seconds=0.2) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024]


def test_chunks_that_were_made_smaller_grow_again() -> None:
    size = begun(100)
    size.halve()
    size.halve()
    assert sizes(size, 4, seconds=0.2) == [25, 50, 100, 100]
    size.double()
    assert size.rows == 200, "more rows than the limit may have the same key"
