"""Compressed records are what each format's own readers unpack."""

from __future__ import annotations

import gzip
import random

import pytest

from cdc.kafka.wire.compression import LEVELS, compressor, missing
from tests.unit.kafka.wire.fake_cluster import FakeCluster
from tests.unit.kafka.wire.producer import needs_recordsets, numbers, producing, records

KINDS = [pytest.param(kind, marks=pytest.mark.skipif(bool(missing(kind)), reason=f"{missing(kind)} is missing"))
         for kind in ("gzip", "lz4", "zstd")]


def unpack(kind: str, data: bytes) -> bytes:
    if kind == "gzip":
        return gzip.decompress(data)
    if kind == "lz4":
        import lz4.frame

        found: bytes = lz4.frame.decompress(data)
        return found
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from backports import zstd
    whole: bytes = zstd.decompress(data)
    return whole


@pytest.mark.parametrize("kind", KINDS)
def test_each_level_gives_what_a_reader_unpacks(kind: str) -> None:
    rng = random.Random(kind)
    for level in (LEVELS[kind][0], LEVELS[kind][1], LEVELS[kind][-1]):
        pack = compressor(kind, level)
        assert pack is not None
        for data in (b"a", b"ab" * 100_000, rng.randbytes(200_000)):
            assert unpack(kind, pack(memoryview(data))) == data


def test_lz4_blocks_depend_on_no_other() -> None:
    """Java's readers refuse those that do."""
    if missing("lz4"):
        pytest.skip("lz4 is missing")
    pack = compressor("lz4")
    assert pack is not None
    frame = pack(memoryview(b"x" * 300_000))
    assert frame[:4] == b"\x04\x22\x4d\x18"
    assert frame[4] & 0b0010_0000, "blocks are independent"
    assert not frame[4] & 0b0000_1000, "no size of the content"


@needs_recordsets
@pytest.mark.parametrize("kind", KINDS)
def test_a_compressed_batch_arrives(kind: str) -> None:
    with FakeCluster({"t": 1}, unpack=lambda data: unpack(kind, data)) as cluster:
        with producing(cluster.bootstrap, compression_type=kind) as producer:
            producer.deliver(records(300))
        assert cluster.values() == numbers(300)
        attributes = {batch.attributes for request in cluster.requests for batch in request.batches.values()}
        assert attributes == {{"gzip": 1, "lz4": 3, "zstd": 4}[kind]}
