"""Damaged pgoutput messages, COPY lines and column values: the answer is a value or an error of ours."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from cdc.core.avro import Writer, write_value
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError, ProtocolError
from cdc.sources.postgres.capture import read_capture
from cdc.sources.postgres.changes import ChangeReader
from cdc.sources.postgres.copytext import copy_row
from tests.unit.codecs.postgres import test_binary, test_text
from tests.unit.converters.test_records import json_converter
from tests.unit.converters.test_records import made as converter_of
from tests.unit.mutations import ANSWERS, mutated
from tests.unit.sources.postgres import pgoutput_frames as frames
from tests.unit.sources.postgres.test_changes import make

ROUNDS = 1000
HOSTILE = (1 << 63, (1 << 64) - 1)
"""Counts that no server has."""
CAPTURE = Path(__file__).parent / "captures" / "orders.txt"


def recorded() -> list[bytes]:
    """What a server sent, as XLogData messages."""
    found = read_capture(CAPTURE.read_text(encoding="utf-8").splitlines())
    return [frames.xlog(lsn, message) for lsn, message in found]


def by_hand() -> list[bytes]:
    """Transactions of every form: plain, in stream blocks with a subtransaction rolled back, and prepared."""
    relation = frames.relation(1, "t", [("id", 23, True), ("note", 25, False)])
    block = [frames.relation(1, "t", [("id", 23, True), ("note", 25, False)], xid=8), frames.insert(1, "1", "a", xid=8),
             frames.insert(1, "2", "b", xid=9)]
    bodies = [
        frames.begin(100, 5), frames.origin("other"), relation, frames.type_(16390, "mood"), frames.insert(1, "1", "x"),
        frames.update(1, "1", frames.UNCHANGED, key=("2", None)), frames.update(1, "1", "y", old=("1", "x")),
        frames.delete(1, "1", "x", full=True), frames.truncate(1), frames.message("p", b"\0", 90, transactional=True),
        frames.commit(100, 110),
        frames.stream_start(8, first=True), *block, frames.STREAM_STOP, frames.stream_abort(8, 9),
        frames.stream_commit(8, 200, 210),
        frames.begin_prepare(300, 310, 11, "gid"), frames.insert(1, "3", "c"), frames.prepare(300, 310, 11, "gid"),
        frames.commit_prepared(400, 410, 11, "gid"),
        frames.message("p", b"\0", 500, transactional=False),
    ]
    return [frames.xlog(1000 + number, body) for number, body in enumerate(bodies)] + [keepalive(2000)]


def keepalive(wal_end: int, asked: int = 0) -> bytes:
    return b"k" + wal_end.to_bytes(8) + frames.TIME.to_bytes(8) + bytes((asked,))


def run(reader: ChangeReader, stream: list[bytes], *, as_json: bool) -> None:
    converter = converter_of(json_converter(), json_converter()) if as_json else converter_of()
    with contextlib.suppress(*ANSWERS):
        reader.run(stream, 0, 1 << 60, 1 << 60)
    reader.position().offset()
    with contextlib.suppress(*ANSWERS):
        converter.convert(reader.emitter.take(), 1)


@pytest.mark.parametrize("stream", [recorded(), by_hand()], ids=["recorded", "by hand"])
def test_every_stream_becomes_records_or_an_error(stream: list[bytes]) -> None:
    pick = random.Random(3)
    for turn in range(ROUNDS):
        place = pick.randrange(len(stream))
        damaged = stream[place][:1] + mutated(stream[place][1:], pick)
        run(make(metadata=turn % 4 < 2), [*stream[:place], damaged, *stream[place + 1:]], as_json=turn % 2 == 0)


@pytest.mark.parametrize("number", HOSTILE)
def test_an_impossible_count_at_any_place(number: int) -> None:
    stream = by_hand()
    for place, frame in enumerate(stream):
        for at in range(1, len(frame) - 7):
            damaged = frame[:at] + number.to_bytes(8) + frame[at + 8:]
            run(make(metadata=True), [*stream[:place], damaged, *stream[place + 1:]], as_json=False)


@pytest.mark.parametrize("number", HOSTILE)
def test_an_impossible_lsn_is_a_protocol_error(number: int) -> None:
    bodies = [frames.begin(number, 5), frames.message("p", b"", number, transactional=False),
              frames.begin_prepare(number, 5, 6, "g"), frames.stream_commit(6, number, 5)]
    for stream in ([frames.xlog(number, frames.begin(100, 5))], [keepalive(number)], [keepalive(5)[:-1]], [b"k"], [b""],
                   *([frames.xlog(1, body)] for body in bodies)):
        with pytest.raises(ProtocolError):
            make().run(stream, 0, 10, 1000)


def test_a_stream_block_of_no_transaction_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="no transaction"):
        make().run([frames.xlog(1, frames.stream_start(0, first=True)), frames.xlog(2, b"M")], 0, 10, 1000)


def test_every_copy_line_is_a_row_or_an_error() -> None:
    pick = random.Random(4)
    for _ in range(ROUNDS):
        line = mutated(b"12\tcaf\\303\\251\\x41\t\\N\t\\\\x\\t\n", pick)
        with contextlib.suppress(ProtocolError):
            copy_row(line, (0, 1, 2, 3), 4)


def by_value(codec: Codec, data: bytes) -> bytes | None:
    """The Avro of the codec's value; None if it refuses."""
    out = Writer()
    try:
        write_value(out, codec.schema, codec.value(data, 0, len(data)))
    except (DecodeError, ValueError):
        return None
    return out.take()


def at_once(codec: Codec, data: bytes) -> bytes | None:
    """The Avro that the codec writes without a value; None if it refuses."""
    out = Writer()
    try:
        codec.encode(out, data, 0, len(data))
    except (DecodeError, ValueError):
        return None
    return out.take()


@pytest.mark.parametrize(("name", "codec", "sent"), [(name, codec, sent) for name, codec, _, sent in test_binary.PAIRS])
def test_two_readings_of_the_same_binary_value_agree(name: str, codec: Codec, sent: str) -> None:
    pick = random.Random(5)
    both = test_binary.binary_of(name, codec)
    for _ in range(ROUNDS // 5):
        damaged = mutated(bytes.fromhex(sent), pick)
        assert at_once(both, damaged) == by_value(both, damaged), damaged.hex()


@pytest.mark.parametrize("name", test_text.BY_NAME)
def test_two_readings_of_the_same_text_agree(name: str) -> None:
    pick = random.Random(6)
    codec = test_text.BY_NAME[name]
    good = [text for known, _, text, _ in test_text.TEXTS if known == name]
    for _ in range(ROUNDS // 5):
        damaged = mutated(pick.choice(good), pick)
        assert at_once(codec, damaged) == by_value(codec, damaged), damaged.hex()
