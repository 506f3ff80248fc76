"""Requests as Kafka's protocol has them, and answers that are damaged: a clear error, never anything else."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from functools import partial

import pytest

from cdc.kafka.wire import protocol
from cdc.kafka.wire.protocol import Piece, ProtocolError, Reader
from tests.unit.kafka.wire.fake_cluster import NEWEST, Cursor, text


def produce_answer(version: int) -> bytes:
    each = struct.pack(">ihqq", 3, 87, 7, -1) + (struct.pack(">q", 0) if version >= 5 else b"")
    if version >= 8:
        each += struct.pack(">ii", 1, 2) + text("bad record") + text("why")
    return struct.pack(">i", 1) + text("t") + struct.pack(">i", 1) + each + struct.pack(">i", 50)


def metadata_answer(version: int) -> bytes:
    partition = struct.pack(">hii", 5, 0, -1) + (struct.pack(">i", 4) if version >= 7 else b"")
    partition += struct.pack(">iii", 2, 1, 2) + struct.pack(">ii", 1, 1)
    partition += struct.pack(">ii", 1, 2) if version >= 5 else b""
    topic = struct.pack(">h", 0) + text("t") + b"\0" + struct.pack(">i", 1) + partition
    topic += struct.pack(">i", -(1 << 31)) if version >= 8 else b""
    return (struct.pack(">iii", 0, 1, 1) + text("host") + struct.pack(">i", 9092) + text("rack") + text(None)
            + struct.pack(">ii", 1, 1) + topic + (struct.pack(">i", 0) if version >= 8 else b""))


ANSWERS: dict[str, tuple[bytes, Callable[[Reader], object]]] = {
    **{f"produce {version}": (produce_answer(version), partial(protocol.produce_answer, version=version))
       for version in (3, 5, 8)},
    **{f"metadata {version}": (metadata_answer(version), partial(protocol.metadata_answer, version=version))
       for version in (4, 5, 7, 8)},
    "versions": (struct.pack(">hihhh", 0, 1, 0, 0, 9), protocol.api_versions_answer),
    "producer id": (struct.pack(">ihqh", 0, 0, 5, 0), protocol.init_producer_id_answer),
    "handshake": (struct.pack(">hi", 33, 1) + text("PLAIN"), protocol.sasl_handshake_answer),
    "login": (struct.pack(">h", 0) + text(None) + struct.pack(">i", 2) + b"ab" + struct.pack(">q", 9),
              lambda reader: protocol.sasl_authenticate_answer(reader, 1)),
}


def test_answers_are_read() -> None:
    found, throttle_ms = protocol.produce_answer(Reader(produce_answer(8)), 8)
    assert (found, throttle_ms) == ([("t", 3, 87, [(2, "bad record")], "why")], 50)
    cluster = protocol.metadata_answer(Reader(metadata_answer(8)), 8)
    assert cluster == ({1: ("host", 9092)}, [(0, "t", [(5, 0, -1)])], 0)
    assert protocol.init_producer_id_answer(Reader(ANSWERS["producer id"][0])) == (0, 5, 0)
    assert protocol.sasl_authenticate_answer(Reader(ANSWERS["login"][0]), 1) == (0, "", b"ab", 9)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_cut_short_is_an_error_at_each_byte(name: str) -> None:
    whole, read = ANSWERS[name]
    read(Reader(whole))
    for size in range(len(whole)):
        with pytest.raises(ProtocolError):
            read(Reader(whole[:size]))
    with pytest.raises(ProtocolError):
        read(Reader(whole + b"\0"))


@pytest.mark.parametrize("name", ANSWERS)
def test_a_damaged_answer_is_read_or_an_error(name: str) -> None:
    whole, read = ANSWERS[name]
    rng = random.Random(name)
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        try:
            read(Reader(damaged))
        except ProtocolError:
            pass


@pytest.mark.parametrize("size", [2**31 - 1, -2, 1000])
def test_a_length_that_cannot_be_is_refused_before_anything_is_made_of_it(size: int) -> None:
    with pytest.raises(ProtocolError, match=str(size)):
        Reader(struct.pack(">i", size) + b"\0" * 8).count(1)


def test_a_produce_request_has_its_own_size_and_each_topic_once() -> None:
    pieces = [Piece(b"a", 1, b"h" * 61, memoryview(b"xyz")), Piece(b"a", 0, b"i" * 61, b""), Piece(b"b", 2, b"j", b"k")]
    whole = b"".join(protocol.produce_request(8, 77, b"me", 30_000, pieces))
    at = Cursor(whole)
    assert at.take("i") == len(whole) - 4
    assert (at.take("h"), at.take("h"), at.take("i"), at.text()) == (0, 8, 77, "me")
    assert (at.text(), at.take("h"), at.take("i"), at.take("i")) == (None, -1, 30_000, 2)
    found = {}
    for _ in range(2):
        topic = at.text()
        for _ in range(at.take("i")):
            number = at.take("i")
            found[topic, number] = at.raw(at.take("i"))
    assert at.at == len(whole)
    assert found == {("a", 1): b"h" * 61 + b"xyz", ("a", 0): b"i" * 61, ("b", 2): b"jk"}


def test_the_newest_version_that_both_know_is_used() -> None:
    assert protocol.version_of(protocol.PRODUCE, NEWEST) == 8
    assert protocol.version_of(protocol.PRODUCE, {0: (0, 5)}) == 5
    with pytest.raises(ProtocolError, match="the broker versions 9 to 12"):
        protocol.version_of(protocol.PRODUCE, {0: (9, 12)})
    with pytest.raises(ProtocolError, match="the broker none"):
        protocol.version_of(protocol.INIT_PRODUCER_ID, {})
