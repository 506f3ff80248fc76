"""A text result that C takes from the connection's buffer gives the rows and the errors of packets one by one."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pymysql
import pytest

from cdc import native
from cdc.core.errors import CdcError
from cdc.core.record import Record, SourceContext
from cdc.core.row import Row
from cdc.core.schema import INT32, STRING, Schema, struct
from cdc.core.table import TableId, TableSchema
from cdc.sources.mysql.native_text import native_text
from cdc.sources.mysql.snapshot import TableRead, TextReader
from cdc.sources.snapshot.initial import InitialSnapshot

pytestmark = pytest.mark.skipif(native.module("mysql") is None, reason="no native modules were built")

KEY = struct("Key", [("a", Schema(INT32))])
TABLE = TableSchema(TableId("d", "", "t"), "s.d.t", (), (), KEY, struct("Value", []), struct("Envelope", []))
READ = TableRead(TABLE, "SELECT …", (0, 2, 3), 5)
EOF = b"\xfe\0\0\2\0"
LOST = b"\xff" + (2013).to_bytes(2, "little") + b"#HY000Lost"


def packet(payload: bytes, number: int) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes((number % 256,)) + payload


def row(*values: bytes | None) -> bytes:
    def lengthy(value: bytes | None) -> bytes:
        if value is None:
            return b"\xfb"
        for limit, head, size in ((251, b"", 1), (1 << 16, b"\xfc", 2), (1 << 24, b"\xfd", 3), (1 << 62, b"\xfe", 8)):
            if len(value) < limit:
                return head + len(value).to_bytes(size, "little") + value
        raise AssertionError

    return b"".join(map(lengthy, values))


def result(rows: list[bytes], end: bytes = EOF) -> bytes:
    """Field count, three definitions and an EOF, then the rows."""
    return b"".join(packet(each, number) for number, each in enumerate([b"\3", b"x", b"y", b"z", EOF, *rows, end], 1))


class Silent:
    """Waits for nothing, and asks nothing."""

    def patiently(self, id: TableId, ask: Any, *, limited: bool) -> Any:
        return ask()


class Unordered:
    """No table has an order to go on by."""

    def order(self, table: TableSchema, read: tuple[int, ...]) -> None:
        return None


class Reader(TextReader):
    def begin(self) -> None:
        pass

    def context(self, read: TableRead, marker: str) -> SourceContext:
        return SourceContext(struct("Source", [("snapshot", Schema(STRING))]), (marker,), ())

    def reads(self, tables: Any, *, several: bool) -> Iterator[Any]:
        yield from tables

    def close(self) -> None:
        pass


@contextmanager
def reader(sent: bytes, *, native_modules: bool, pieces: int = 0, cut: bool = False) -> Iterator[Reader]:
    """Of a connection that has asked, and gets *sent*, in *pieces* of random sizes. *cut*: the server then hangs up."""
    ours, theirs = socket.socketpair()
    conn: Any = pymysql.Connection(defer_connect=True)
    conn._sock, conn._rfile, conn._next_seq_id = ours, ours.makefile("rb"), 1
    conn._execute_command = lambda command, text: None
    conn._current_timeout = conn._read_timeout
    pick = random.Random(pieces)

    def send() -> None:
        at = 0
        while at < len(sent):
            size = pick.randrange(1, 2 * len(sent) // pieces) if pieces else len(sent)
            theirs.sendall(sent[at:at + size])
            at += size
        if cut:
            theirs.close()

    thread = threading.Thread(target=send)
    thread.start()
    made = Reader(conn, None, cast(Any, None), cast(Any, None), cast(Any, None), cast(Any, Silent()),
                  cast(Any, Unordered()), native_text(conn) if native_modules else None,
                  check_same=lambda id: None)
    try:
        yield made
    finally:
        thread.join(10)
        ours.close()
        theirs.close()


def told(sent: bytes, *, native_modules: bool, limit: int = 1000, **more: Any) -> tuple[list[Any], list[Any], str]:
    """The records; the batches' sizes and counts; the error."""
    found: list[Any] = []
    batches: list[Any] = []
    with reader(sent, native_modules=native_modules, **more) as made:
        snapshot = InitialSnapshot(made, [READ], during=cast(Any, lambda reached: "during"), final=cast(Any, "final"),
                                   max_records=limit, native=made._native)
        try:
            while not snapshot.done:
                batch = snapshot.poll(10)
                assert batch is not None
                assert batch.native is None or native_modules
                found += map(shown, batch.records)
                batches.append((len(batch.records), batch.size_bytes, batch.counts, batch.position))
        except CdcError as exc:
            return found, batches, f"{type(exc).__name__} {exc}"
    return found, batches, f"{snapshot.row_count} rows"


def shown(record: Any) -> Any:
    assert isinstance(record, Record)
    assert isinstance(record.after, Row)
    assert record.before is None
    assert record.key_row is record.after
    return (record.op, record.source.values, record.table.topic,
            [(record.after.kind(index), record.after.raw(index)) for index in range(record.after.count)])


def some_rows(count: int, seed: int = 1) -> list[bytes]:
    pick = random.Random(seed)
    lengths = (0, 1, 5, 250, 251, 252, 255, 1000)
    return [row(str(number).encode(), *(
        None if pick.random() < 0.2 else bytes([pick.randrange(256)]) * pick.choice(lengths) for _ in range(2)))
        for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 700])
@pytest.mark.parametrize("limit", [1, 7, 300, 1000])
def test_all_rows_come_in_order_with_their_markers(count: int, limit: int) -> None:
    sent = result(some_rows(count))
    plain = told(sent, native_modules=False, limit=limit)
    assert told(sent, native_modules=True, limit=limit) == plain
    assert told(sent, native_modules=True, limit=limit, pieces=9) == plain
    assert len(plain[0]) == count


def test_a_row_keeps_no_bytes_of_other_rows() -> None:
    """Whoever looks at a few rows would else hold what the connection had received, once for each."""
    rows = some_rows(50)
    with reader(result(rows), native_modules=True) as made:
        snapshot = InitialSnapshot(made, [READ], during=cast(Any, lambda reached: "during"), final=cast(Any, "final"),
                                   max_records=1000, native=made._native)
        batch = snapshot.poll(10)
    assert batch is not None
    after = [record.after for record in batch.records if isinstance(record, Record) and record.after]
    assert [len(each.data) <= len(row) for each, row in zip(after, rows, strict=True)] == [True] * 50


def test_no_text_is_left_to_python_for_what_follows_it() -> None:
    """C looks at up to 32 bytes at a time, and at none behind the text: a NULL that follows is no part of it."""
    records, mysql = native.module("records"), native.module("mysql")
    sizes = range(251)
    sent = bytearray(b"".join(packet(row(b"x" * size, None), size) for size in sizes))
    rows, _, _ = mysql.text_rows(mysql.Select((0, 1), 2), sent, 0, len(sent), 0)
    batch, context = mysql.Batch([]), SourceContext(struct("Source", []), (), ())
    batch.add_text(rows, records.Table(TABLE, context, (), None), context)
    plan = records.Plan(b"", b"", b"", [(0, 1, b"", None, ("text",), None)], None, [b""], [], "after")
    refused: list[Any] = []
    out = records.encode(batch, lambda table, op: (plan, "t", "t", []), refused.append, b"", 0, True)
    assert not refused
    assert [len(out.outgoing(size).value) - (1 if size < 64 else 2) for size in sizes] == [*sizes]


def test_rows_of_a_packet_that_is_cut_and_of_16_megabytes() -> None:
    large = row(b"1", b"x" * 70_000, b"y" * (1 << 20))
    huge = row(b"2", b"x" * (1 << 24), None)
    head, middle, tail = some_rows(5), packet(huge[:0xFFFFFF], 12), packet(huge[0xFFFFFF:], 13)
    begin = result([*head, large])[:-len(packet(EOF, 1))]
    rest = b"".join(packet(each, number) for number, each in enumerate([*some_rows(3), EOF], 14))
    sent = begin + middle + tail + rest
    plain = told(sent, native_modules=False)
    assert told(sent, native_modules=True) == plain
    assert len(plain[0]) == 10


@pytest.mark.parametrize("sent", [
    result(some_rows(40), LOST), result(some_rows(40))[:-12], result(some_rows(40))[:-3],
    result([*some_rows(20), row(b"1", b"2"), *some_rows(2)]), result([*some_rows(20), row(b"1", b"2", b"3", b"4")]),
    result([*some_rows(20), b"\1" + b"1" + b"\xfc\xff", *some_rows(2)]),
    result(some_rows(20)).replace(packet(some_rows(20)[10], 16), packet(some_rows(20)[10], 99)),
], ids=["error", "cut between packets", "cut within a packet", "a column less", "a column more", "a cut length",
        "a wrong number"])
def test_a_broken_result_ends_with_the_same_error(sent: bytes) -> None:
    """Rows that were not delivered before it come again with the next snapshot."""
    plain, _, plain_error = told(sent, native_modules=False, limit=1, cut=True)
    fast, _, fast_error = told(sent, native_modules=True, limit=1, cut=True)
    assert fast_error == plain_error
    assert "Error" in plain_error
    assert fast == plain[:len(fast)]
