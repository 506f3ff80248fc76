"""Compressed records are what each format's own readers unpack."""

from __future__ import annotations

import gzip
import random
import threading

import pytest

from cdc.kafka.wire.compression import LEVELS, compressor, decompressor, missing
from tests.unit.kafka.wire.fake_cluster import FakeCluster, Step
from tests.unit.kafka.wire.producer import needs_recordsets, numbers, producing, record, records

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
            assert decompressor(kind)(pack(memoryview(data))) == data


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


@needs_recordsets
@pytest.mark.parametrize("kind", KINDS)
def test_a_compressed_batch_above_the_topics_limit_is_split(kind: str) -> None:
    """Its records are unpacked for that."""
    rng = random.Random(kind)
    batch = [record(number, value=rng.randbytes(200)) for number in range(64)]
    with FakeCluster({"t": 1}, most_batch=2000, unpack=lambda data: unpack(kind, data)) as cluster:
        with producing(cluster.bootstrap, compression_type=kind) as producer:
            producer.deliver(batch)
            assert producer.client._sets.held_bytes == 0
        assert cluster.values() == [each.value for each in batch]
        assert len(cluster.requests) > 8


@needs_recordsets
@pytest.mark.parametrize("kind", KINDS)
def test_compressed_records_that_are_given_up_are_named(kind: str) -> None:
    gate = threading.Event()
    with (FakeCluster({"t": 1}, unpack=lambda data: unpack(kind, data)) as cluster,
          producing(cluster.bootstrap, compression_type=kind) as producer):
        producer.deliver(records(1))
        cluster.steps.append(Step(until=gate))
        delivery = producer.send(records(200, 1))
        connection = producer.client._sender.cluster.nodes[0].connection
        producer.until(lambda: connection is not None and len(connection.pending) > 0)
        producer.client.purge()
        producer.until(lambda: len(producer.client) == 0)
        gate.set()
        assert delivery.error is not None
        assert [message for _, message in producer.owner.failures] == [
            ("t", each.key, len(each.key or b""), len(each.value or b"")) for each in records(200, 1)]
        assert producer.client._sets.held_bytes == 0
