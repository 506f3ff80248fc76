"""pgoutput messages, whole and broken: a broken one is a ProtocolError, never a crash, an over-read or a guess."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from cdc.core.errors import ProtocolError
from cdc.core.row import ABSENT, BINARY, NULL, TEXT, UNCHANGED, Row
from cdc.sources.postgres.protocol import (
    POSTGRES_EPOCH_US,
    XLOG_HEADER,
    Begin,
    BeginPrepare,
    Commit,
    CommitPrepared,
    Cursor,
    LogicalMessage,
    Origin,
    Prepare,
    Relation,
    RelationColumn,
    RollbackPrepared,
    StreamAbort,
    StreamCommit,
    StreamStart,
    StreamStop,
    Truncate,
    Type,
    absent_where_null,
    parse_control,
)
from tests.unit.sources.postgres import pgoutput_frames as frames

TIME = frames.TIME + POSTGRES_EPOCH_US
MESSAGES = frames.one_of_each()
ROWS = {"I": [b"N"], "U": [b"K", b"N"], "D": [b"O"]}


def control(body: bytes) -> object:
    return parse_control(Cursor(body, 1), body[0], False)


def rows(body: bytes) -> list[Row]:
    """The tuples of an Insert, Update or Delete, whose markers are as in ROWS."""
    cursor = Cursor(body, 1)
    cursor.u32()
    found = []
    for marker in ROWS[chr(body[0])]:
        if cursor.u8() != marker[0]:
            raise ProtocolError("other marker")
        found.append(cursor.row())
    cursor.finish("tuple")
    return found


def parse(body: bytes) -> object:
    return rows(body) if chr(body[0]) in ROWS else control(body)


@pytest.mark.parametrize(("body", "wanted"), [
    ("B", Begin(100, TIME, 5)),
    ("C", Commit(100, 110, TIME)),
    ("O", Origin(7, "other")),
    ("R", Relation(16384, "public", "t", "d", (RelationColumn("id", 23, -1, True),
                                               RelationColumn("naïve", 25, -1, False)))),
    ("Y", Type(16390, "public", "mood")),
    ("T", Truncate(True, True, (16384, 16385))),
    ("M", LogicalMessage(True, 90, "p", b"\0\xff")),
    ("S", StreamStart(5, True)),
    ("E", StreamStop()),
    ("c", StreamCommit(5, 100, 110, TIME)),
    ("A", StreamAbort(5, 6)),
    ("b", BeginPrepare(100, 110, TIME, 5, "gid")),
    ("P", Prepare(100, 110, TIME, 5, "gid", False)),
    ("p", Prepare(100, 110, TIME, 5, "gid", True)),
    ("K", CommitPrepared(120, 130, TIME, 5, "gid")),
    ("r", RollbackPrepared(110, 130, 5, "gid")),
])
def test_messages_are_read(body: str, wanted: object) -> None:
    assert control(MESSAGES[body]) == wanted


def test_the_abort_of_a_parallel_stream_is_longer() -> None:
    assert control(frames.stream_abort(5, 6, parallel=True)) == StreamAbort(5, 6)


def test_an_empty_namespace_is_pg_catalog() -> None:
    body = b"Y" + bytes(4) + b"\0int4\0"
    assert control(body) == Type(0, "pg_catalog", "int4")


def test_rows_are_ranges_of_the_message() -> None:
    before, after = rows(MESSAGES["U"])
    assert (before.raw(0), before.kind(1)) == (b"2", NULL)
    assert (after.raw(0), after.kind(1)) == (b"1", UNCHANGED)
    assert after.data is MESSAGES["U"]
    absent_where_null(before)
    assert [before.kind(index) for index in range(3)] == [TEXT, ABSENT, ABSENT]
    binary, = rows(frames.insert(1, b"\0\1", kind=b"b"))
    assert (binary.kind(0), binary.raw(0)) == (BINARY, b"\0\1")


@pytest.mark.parametrize("kind", MESSAGES)
def test_every_truncation_is_an_error(kind: str) -> None:
    body = MESSAGES[kind]
    for length in range(1, len(body)):
        with pytest.raises(ProtocolError):
            parse(body[:length])


@pytest.mark.parametrize("kind", [kind for kind in MESSAGES if kind != "A"])
def test_bytes_after_the_end_are_an_error(kind: str) -> None:
    with pytest.raises(ProtocolError):
        parse(MESSAGES[kind] + b"\0")


def test_an_unknown_type_is_an_error_that_says_where() -> None:
    with pytest.raises(ProtocolError) as caught:
        control(b"?")
    assert caught.value.offset == XLOG_HEADER


@pytest.mark.parametrize("body", [
    b"C\1" + bytes(24), b"c" + bytes(4) + b"\1" + bytes(24), b"K\1" + bytes(32), b"P\2" + bytes(32),
])
def test_unknown_flags_are_an_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        control(body)


@pytest.mark.parametrize("length", [2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_column_longer_than_its_message_is_an_error(length: int) -> None:
    body = b"I" + bytes(4) + b"N" + b"\0\1t" + length.to_bytes(4) + b"x"
    with pytest.raises(ProtocolError):
        rows(body)


@pytest.mark.parametrize("body", [
    b"I" + bytes(4) + b"N" + b"\xff\xff",  # more columns than bytes
    b"I" + bytes(4) + b"N" + b"\0\1z",  # a kind that does not exist
    b"T" + b"\xff\xff\xff\xff\0" + bytes(8),
    b"T" + b"\x40\0\0\0\0",  # times four it is nothing in 32 bits
    b"R" + bytes(4) + b"a\0b\0d\xff\xff",
    b"M\0" + bytes(8) + b"p\0\xff\xff\xff\xffx",
])
def test_hostile_counts_are_errors(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse(body)


def test_changed_bytes_are_read_or_refused() -> None:
    seed = int(os.environ.get("CDC_TEST_SEED", "1"))
    rng = random.Random(seed)
    for _ in range(4000):
        body = bytearray(rng.choice(list(MESSAGES.values())))
        for _ in range(rng.randint(1, 3)):
            body[rng.randrange(len(body))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        try:
            parse(bytes(body))
        except ProtocolError:
            continue


def test_negative_times_are_before_2000() -> None:
    begin = control(b"B" + bytes(8) + (-1).to_bytes(8, signed=True) + bytes(4))
    assert isinstance(begin, Begin)
    assert begin.commit_time_us == POSTGRES_EPOCH_US - 1


@pytest.mark.skipif(os.environ.get("CDC_PURE") == "1", reason="this is the plain core")
def test_the_plain_core_passes_the_same_tests() -> None:
    ran = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
                         env={**os.environ, "CDC_PURE": "1"}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
