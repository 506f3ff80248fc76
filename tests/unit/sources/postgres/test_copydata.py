"""Frames from a socket, read in C and through psycopg: the same frames, however they arrive."""

from __future__ import annotations

import random
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import pq

from cdc import native as native_room
from cdc.sources.postgres.copydata import CHUNK_BYTES, CopyReader, NativeReader, PlainReader, copy_reader
from cdc.sources.postgres.replication import ReplicationReader
from cdc.sources.shared.handoff import ITEM_OVERHEAD_BYTES
from tests.servers.certificates import write_certificate
from tests.unit.sources.postgres import native_world as world
from tests.unit.sources.postgres.pgoutput_frames import insert, keepalive, text, xlog

_READ_S = 10.0


def packed(kind: bytes, body: bytes = b"") -> bytes:
    """PostgreSQL docs, "Message Formats": the type, the length with its own four bytes, the rest."""
    return kind + struct.pack(">I", len(body) + 4) + body


def sent(*frames: bytes) -> bytes:
    return b"".join(packed(b"d", frame) for frame in frames)


def told(kind: bytes, severity: str, message: str) -> bytes:
    """An ErrorResponse or a NoticeResponse."""
    fields = (b"S", severity), (b"V", severity), (b"C", "01000"), (b"M", message)
    return packed(kind, b"".join(field + text(value) for field, value in fields) + b"\0")


class Walsender:
    """The server's end of a connection on which replication is about to start. *tls*: a folder of
    `write_certificate`."""

    def __init__(self, tls: Path | None = None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self._opening = threading.Thread(target=self._open, args=(listening, tls))
            self._opening.start()
            host, port = listening.getsockname()
            self.conn = psycopg.connect(host=host, port=port, user="u", dbname="d", gssencmode="disable",
                                        sslmode="require" if tls else "disable", autocommit=True)
        self.client = self.conn.pgconn

    def _open(self, listening: socket.socket, tls: Path | None) -> None:
        self.socket, _ = listening.accept()
        if tls is not None:
            self._receive(8)  # SSLRequest
            self.socket.sendall(b"S")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "server.pem")
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self._receive(int.from_bytes(self._receive(4)) - 4)
        self.socket.sendall(packed(b"R", bytes(4)) + packed(b"Z", b"I"))
        self._receive(int.from_bytes(self._receive(5)[1:]) - 4)
        self.socket.sendall(packed(b"W", bytes(3)))

    def _receive(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            data = self.socket.recv(size - len(found))
            assert data, "the client has gone"
            found += data
        return found

    def started(self) -> None:
        """The connection is in COPY BOTH mode then."""
        self.client.nonblocking = 1
        self.client.send_query(b"START_REPLICATION")
        while self.client.is_busy():
            select.select([self.client.socket], [], [], _READ_S)
            self.client.consume_input()
        result = self.client.get_result()
        assert result is not None
        assert result.status == pq.ExecStatus.COPY_BOTH
        self._opening.join()

    def close(self) -> None:
        self.socket.close()
        self.conn.close()


@pytest.fixture
def server() -> Iterator[Walsender]:
    made = Walsender()
    made.started()
    yield made
    made.close()


needs_c = pytest.mark.skipif(native_room.module("libpq") is None or pq.__impl__ not in ("binary", "c"),
                             reason="C cannot call psycopg's libpq here")


@pytest.fixture(params=[False, pytest.param(True, marks=needs_c)], ids=["psycopg", "C"])
def reader(request: pytest.FixtureRequest, server: Walsender) -> CopyReader:
    found = copy_reader(server.client, native=request.param)
    assert isinstance(found, NativeReader if request.param else PlainReader)
    return found


def arrives(server: Walsender) -> None:
    ready, _, _ = select.select([server.client.socket], [], [], _READ_S)
    assert ready, "nothing has arrived"


def read_until(server: Walsender, reader: CopyReader,
               over: Callable[[list[bytes]], bool]) -> tuple[list[bytes], str, int]:
    """The frames until they are enough, or no more can come; how the last read ended; and how often the server
    asked."""
    found: list[bytes] = []
    asked = 0
    while True:
        chunk = reader.begin()
        while (outcome := reader.read(chunk)) == "asked":
            asked += 1
        found += list(chunk)
        assert reader.size(chunk) == sum(len(each) + ITEM_OVERHEAD_BYTES for each in chunk)
        over_now = outcome in ("empty", "short") and over(found)
        if outcome not in ("empty", "short", "full") or over_now:
            return found, outcome, asked
        if outcome != "full":
            arrives(server)


def changes(frames: list[bytes]) -> list[bytes]:
    return [frame for frame in frames if frame[:1] == b"w"]


@pytest.mark.parametrize("seed", range(5))
def test_frames_that_arrive_in_any_pieces(server: Walsender, reader: CopyReader, seed: int) -> None:
    pick = random.Random(seed)
    stream = world.stream_of(pick, transactions=30)
    data = sent(*stream)
    cuts: list[int] = []
    while sum(cuts) < len(data):
        cuts.append(pick.choice((1, 3, 30, 300, 5000, 40_000)))

    def send() -> None:
        at = 0
        for size in cuts:
            server.socket.sendall(data[at:at + size])
            at += size

    sending = threading.Thread(target=send)
    sending.start()
    wanted = changes(stream)
    found, outcome, asked = read_until(server, reader, lambda found: len(changes(found)) >= len(wanted))
    sending.join()
    if len(changes(stream[-1:])) == 0:
        arrives_again = read_until(server, reader, lambda _: reader.wal_end == int.from_bytes(stream[-1][1:9]))
        found, asked = found + arrives_again[0], asked + arrives_again[2]
    alive = [frame for frame in stream if frame[:1] == b"k"]
    assert changes(found) == wanted
    assert outcome in ("empty", "short")
    assert asked == sum(frame[17] for frame in alive)
    assert reader.wal_end == max((int.from_bytes(frame[1:9]) for frame in alive), default=0)


def test_a_keepalive_takes_the_place_of_the_one_before_it(server: Walsender, reader: CopyReader) -> None:
    one = xlog(5, b"B")
    server.socket.sendall(sent(keepalive(7), keepalive(9, asked=True), keepalive(8), one, keepalive(10), keepalive(11)))
    arrives(server)
    chunk = reader.begin()
    assert reader.read(chunk) == "asked"
    assert list(chunk) == [keepalive(9, asked=True)]
    assert reader.read(chunk) == "empty"
    assert list(chunk) == [keepalive(8, asked=True), one, keepalive(11)]
    assert reader.wal_end == 11
    server.socket.sendall(sent(keepalive(6)))
    arrives(server)
    assert reader.read(chunk := reader.begin()) == "short"
    assert (list(chunk), reader.wal_end) == ([keepalive(6)], 11)


@pytest.mark.parametrize("frame", [b"x", b"k", keepalive(1)[:-1], keepalive(1) + b"\0", b"\0w"])
def test_a_frame_of_no_kind_ends_the_read(server: Walsender, reader: CopyReader, frame: bytes) -> None:
    server.socket.sendall(sent(xlog(5, b"B"), keepalive(3), frame, xlog(6, b"C")))
    arrives(server)
    chunk = reader.begin()
    assert reader.read(chunk) == "odd"
    assert list(chunk) == [xlog(5, b"B"), keepalive(3), frame]


@pytest.mark.parametrize("ending", [packed(b"c"), told(b"E", "FATAL", "terminating connection")],
                         ids=["CopyDone", "ErrorResponse"])
def test_frames_before_the_end_of_the_copy_are_given(server: Walsender, reader: CopyReader, ending: bytes) -> None:
    server.socket.sendall(sent(xlog(5, b"B"), xlog(6, b"C")) + ending)
    found, outcome, _ = read_until(server, reader, lambda _: False)
    assert (found, outcome) == ([xlog(5, b"B"), xlog(6, b"C")], "ended")


def test_frames_before_the_connection_was_lost_are_given(server: Walsender, reader: CopyReader) -> None:
    server.socket.sendall(sent(xlog(5, b"B"), xlog(6, b"C")))
    server.socket.close()
    found, outcome, _ = read_until(server, reader, lambda _: False)
    assert (found, outcome) == ([xlog(5, b"B"), xlog(6, b"C")], "broken")
    assert "server closed the connection" in server.client.get_error_message()


def test_a_connection_that_we_have_closed_is_not_read(server: Walsender, reader: CopyReader) -> None:
    server.socket.sendall(sent(xlog(5, b"B")))
    arrives(server)
    server.client.finish()
    chunk = reader.begin()
    assert reader.read(chunk) == "failed"
    assert list(chunk) == []


def test_a_notice_comes_between_the_frames_around_it(server: Walsender, reader: CopyReader) -> None:
    chunk = reader.begin()
    places: list[tuple[int, bytes | None]] = []

    def note(notice: pq.abc.PGresult) -> None:
        places.append((len(chunk), notice.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)))

    server.client.notice_handler = note
    server.socket.sendall(told(b"N", "WARNING", "first") + sent(xlog(5, b"B"), keepalive(6), keepalive(7))
                          + told(b"N", "WARNING", "second") + sent(xlog(8, b"C")))
    arrives(server)
    assert reader.read(chunk) == "short"
    assert places == [(0, b"first"), (2, b"second")]
    assert list(chunk) == [xlog(5, b"B"), keepalive(7), xlog(8, b"C")]


def test_a_chunk_ends_when_it_is_large_enough(server: Walsender, reader: CopyReader) -> None:
    wide = [xlog(number, insert(1, "x" * 5000)) for number in range(300)]
    huge = xlog(400, insert(1, "y" * 5_000_000))
    sending = threading.Thread(target=server.socket.sendall, args=(sent(*wide, huge, wide[0]),))
    sending.start()
    found: list[bytes] = []
    sizes = []
    while len(found) < 302:
        chunk = reader.begin()
        outcome = reader.read(chunk)
        found += list(chunk)
        sizes.append(reader.size(chunk))
        assert (outcome == "full") == (sizes[-1] >= CHUNK_BYTES)
        if outcome != "full" and len(found) < 302:
            arrives(server)
    sending.join()
    assert found == [*wide, huge, wide[0]]
    assert max(sizes) < CHUNK_BYTES + len(huge) + ITEM_OVERHEAD_BYTES


@pytest.mark.parametrize("native", [False, pytest.param(True, marks=needs_c)], ids=["psycopg", "C"])
def test_a_frame_whose_end_tls_has_is_not_waited_for(tmp_path: Path, native: bool) -> None:
    """One record of TLS ends with the frame, and does not fit into libpq's buffer: a libpq before 18 leaves its end
    where `poll` does not see it."""
    server = Walsender(write_certificate(tmp_path))
    reader = ReplicationReader(server.conn, "START_REPLICATION", confirmed=0, queue_bytes=1 << 20,
                               status_interval_s=600.0, native=native)
    reader.start()
    try:
        wanted = [xlog(5, b"B" * 174), xlog(6, b"I" * 16_253)]
        data = sent(*wanted)
        server.socket.sendall(data[:-16_384])
        time.sleep(0.1)  # libpq should have this part alone; else nothing is proved
        server.socket.sendall(data[-16_384:])
        found: list[bytes] = []
        while len(found) < 2 and (more := reader.take(_READ_S, 1 << 20)):
            found += list(more)
        assert found == wanted
    finally:
        server.socket.close()
        reader.stop()  # its thread may be in libpq: the connection is closed by it alone
        server.close()


def test_chunks_of_both_forms_are_joined(reader: CopyReader) -> None:
    assert list(reader.joined([])) == []
    assert list(reader.joined([[b"a", b"b"], [b"c"]])) == [b"a", b"b", b"c"]


@needs_c
def test_blocks_are_joined_without_a_copy_of_a_frame() -> None:
    frames: Any = native_room.module("frames")
    blocks = [frames.Block([b"a", b"bc"]), frames.Block(), frames.Block([b"", b"d"])]
    made = frames.Frames(blocks)
    assert [len(made), *made] == [4, b"a", b"bc", b"", b"d"]
    assert (made[-1], blocks[0][-1], blocks[0][:1], blocks[2].size_bytes) == (b"d", b"bc", [b"a"], 1)
    for at in (4, -5):
        with pytest.raises(IndexError):
            made[at]
    assert not frames.Frames([])
    assert list(NativeReader(None).joined([blocks[0], [b"e"]])) == [b"a", b"bc", b"e"]  # type: ignore[arg-type]


def test_another_psycopg_is_read_through_psycopg(server: Walsender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pq, "__impl__", "python")
    assert isinstance(copy_reader(server.client, native=True), PlainReader)
