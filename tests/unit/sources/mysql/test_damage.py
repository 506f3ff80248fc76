"""Recorded logs with damaged events: whatever the bytes are, the answer is a value or an error of ours."""

from __future__ import annotations

import contextlib
import random

import pytest

from cdc.core.errors import ProtocolError
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.decoder import BinlogDecoder
from cdc.sources.mysql.binlog.events import TableMap, TransactionPayload
from cdc.sources.mysql.binlog.json_diff import apply_diffs, parse_document
from cdc.sources.mysql.binlog.rows import RowsEvent, uncompress_column
from tests.unit.codecs.mysql.test_json import DOCUMENTS
from tests.unit.converters.test_records import json_converter
from tests.unit.converters.test_records import made as converter_of
from tests.unit.mutations import ANSWERS, mutated
from tests.unit.sources.mysql.binlog_files import ALL, MYSQL, frames, messages, resized
from tests.unit.sources.mysql.test_changes import EVERYTHING, reader_of

EVENTS, LOGS = 2000, 25
"""How many damaged events, and how many whole logs with one, each log gives."""


def damaged(frame: bytes, pick: random.Random) -> bytes:
    """The checksum and the length in the header are right: damage in the server, not on the way."""
    head = bytearray(frame[:19])
    if pick.random() < 0.1:
        head[4] = pick.randrange(180)
    if pick.random() < 0.1:
        head[17:19] = pick.randbytes(2)
    return resized(bytes(head), mutated(frame[19:-4], pick), checksum=True)


def read(decoder: BinlogDecoder, event: bytes, maps: list[TableMap]) -> None:
    _, message = decoder.decode(event)
    inner = list(message.events()) if isinstance(message, TransactionPayload) else []
    for _, each in [(None, message), *map(decoder.decode_inner, inner)]:
        if isinstance(each, RowsEvent):
            for known in maps:
                with contextlib.suppress(*ANSWERS):
                    each.split(known.layout)


@pytest.mark.parametrize("name", ALL)
def test_every_event_is_a_message_or_an_error(name: str) -> None:
    pick = random.Random(7)
    first, *rest = frames(name)
    maps = [message for _, message in messages(name) if isinstance(message, TableMap)]
    refused = 0
    for _ in range(EVENTS):
        decoder = BinlogDecoder()
        decoder.decode(first)
        try:
            read(decoder, damaged(pick.choice(rest), pick), maps)
        except ProtocolError:
            refused += 1
    assert refused > EVENTS // 10


@pytest.mark.parametrize("name", ALL)
def test_every_format_description_is_a_message_or_an_error(name: str) -> None:
    pick = random.Random(8)
    first = frames(name)[0]
    for _ in range(EVENTS // 10):
        with contextlib.suppress(ProtocolError):
            BinlogDecoder().decode(resized(first[:19], mutated(first[19:-4], pick), checksum=True))


@pytest.mark.parametrize("name", ALL)
def test_every_log_becomes_records_or_an_error(name: str) -> None:
    """Up to the bytes for the sink, as JSON and as Avro."""
    pick = random.Random(9)
    events = frames(name)
    for turn in range(LOGS):
        place = pick.randrange(1, len(events))
        reader = reader_of(name)
        converter = converter_of() if turn % 2 else converter_of(json_converter(), json_converter())
        log = [*events[:place], damaged(events[place], pick), *events[place + 1:]]
        with contextlib.suppress(*ANSWERS):
            reader.run(log, 0, EVERYTHING, EVERYTHING)
        with contextlib.suppress(*ANSWERS):
            converter.convert(reader.emitter.take(), 1)


def test_a_commit_time_that_no_event_can_hold_is_an_error() -> None:
    """2^55 - 1 µs is the year 3111; events have times in nanoseconds, too."""
    first, *rest = frames(MYSQL)
    event = next(each for each in rest if each[4] == const.GTID_LOG_EVENT)
    body = event[19:-4]
    decoder = BinlogDecoder()
    decoder.decode(first)
    decoder.decode(resized(event[:19], body, checksum=True))
    with pytest.raises(ProtocolError, match="commit time"):
        decoder.decode(resized(event[:19], body[:42] + b"\xff" * 6 + b"\x7f" + body[49:], checksum=True))


def test_every_json_document_and_diff_is_read_or_an_error() -> None:
    pick = random.Random(10)
    documents = [bytes.fromhex(raw) for raw, _, _ in DOCUMENTS]
    diffs = b"\0\6$.b[1]\3\5\2\0\1\14$.a[last-1]\3\5\2\0\2\3$.b"
    for _ in range(EVENTS):
        document = mutated(pick.choice(documents), pick)
        with contextlib.suppress(ProtocolError):
            parse_document(document)
        with contextlib.suppress(ProtocolError):
            apply_diffs(pick.choice(documents), mutated(diffs, pick))


def test_every_compressed_column_is_read_or_an_error() -> None:
    pick = random.Random(11)
    good = bytes.fromhex("810778da4b04000062006200")
    for _ in range(EVENTS):
        with contextlib.suppress(ProtocolError):
            uncompress_column(mutated(good, pick))
