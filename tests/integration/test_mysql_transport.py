"""The binlog reader against real servers; their own binlog tools are the oracle."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cdc.core.errors import PositionLostError, SourceConnectionError, SourceError, SourceRefusedError
from cdc.core.row import NULL, Row
from cdc.sources.mysql.binlog.decoder import BinlogDecoder
from cdc.sources.mysql.binlog.events import Gtid, Heartbeat, MariaGtid, Message, Query, TableMap, TransactionPayload
from cdc.sources.mysql.binlog.gtid import GtidSet, MariaGtidSet
from cdc.sources.mysql.binlog.header import Header
from cdc.sources.mysql.binlog.rows import RowsEvent
from cdc.sources.mysql.flavor import flavor_of
from cdc.sources.mysql.transport import BinlogReader, DumpFrom
from tests.servers.mysql import BinlogServer
from tests.servers.process import wait_until
from tests.servers.proxy import Proxy

DATABASE = "transport"
WAIT_S = 60.0
DUMPS = "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"


@pytest.fixture(params=["mysql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[BinlogServer]:
    found: BinlogServer = request.getfixturevalue(request.param)
    found.drop_database(DATABASE)
    found.create_database(DATABASE)
    yield found
    found.drop_database(DATABASE)


class Stream:
    """A reader with a decoder behind it; rows are split as they come."""

    def __init__(self, server: BinlogServer, begin: DumpFrom, *, server_id: int = 5001, heartbeat_s: float = 0.5,
                 queue_bytes: int = 1 << 24, port: int | None = None, grace_s: float = 5.0, **options: Any) -> None:
        conn = server.connect(port=port or server.port, **options)
        self.reader = BinlogReader(conn, begin, server_id=server_id, flavor=flavor_of(server.flavor),
                                   queue_bytes=queue_bytes, heartbeat_s=heartbeat_s, grace_s=grace_s)
        self.decoder = BinlogDecoder()
        self.maps: dict[int, TableMap] = {}
        self.messages: list[tuple[Header, Message]] = []
        self.rows: list[tuple[str, str, Row | None, Row | None]] = []

    def __enter__(self) -> Stream:
        self.reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.stop()

    def read(self, timeout: float = 0.2) -> None:
        for frame in self.reader.take(timeout, 1 << 20):
            self._note(*self.decoder.decode(frame))

    def _note(self, header: Header, message: Message) -> None:
        self.messages.append((header, message))
        if isinstance(message, TransactionPayload):
            for inner in message.events():
                self._note(*self.decoder.decode_inner(inner))
        elif isinstance(message, TableMap):
            self.maps[message.table_id] = message
        elif isinstance(message, RowsEvent):
            table = self.maps[message.table_id]
            self.rows += [(message.op, table.table, *pair) for pair in message.split(table.layout)]

    def until_rows(self, count: int) -> None:
        deadline = time.monotonic() + WAIT_S
        while len(self.rows) < count:
            assert time.monotonic() < deadline, f"{len(self.rows)} of {count} rows"
            self.read()

    def until_heartbeat(self) -> None:
        deadline = time.monotonic() + WAIT_S
        while not any(isinstance(message, Heartbeat) for _, message in self.messages):
            assert time.monotonic() < deadline
            self.read()

    def error(self) -> SourceError:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            try:
                self.read()
            except SourceError as exc:
                return exc
        raise AssertionError("no error came")


def here(server: BinlogServer) -> DumpFrom:
    return DumpFrom(*server.binlog_end())


def executed(server: BinlogServer) -> GtidSet | MariaGtidSet:
    if server.flavor == "mariadb":
        return MariaGtidSet.parse(server.execute("SELECT @@gtid_current_pos")[0][0])
    return GtidSet.parse(server.execute("SELECT @@gtid_executed")[0][0])


def run(server: BinlogServer, *statements: str) -> None:
    with server.connect(DATABASE) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def filled(server: BinlogServer, count: int, width: int = 100) -> None:
    """Table `t` with *count* more rows of *width* bytes, in statements of up to a thousand."""
    with server.connect(DATABASE) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY AUTO_INCREMENT, v longtext)")
        for at in range(0, count, 1000):
            cursor.execute("INSERT INTO t (v) VALUES " + ",".join([f"(repeat('x', {width}))"] * min(1000, count - at)))


SHAPES = (
    "CREATE TABLE s (id int PRIMARY KEY, a varchar(300), b text, c decimal(30,10), d datetime(6), e enum('p','q'),"
    " f json)",
    "INSERT INTO s VALUES (1,'a','b',1.5,'2024-01-02 03:04:05.6','q','[1]'),(2,NULL,NULL,NULL,NULL,NULL,NULL)",
    "UPDATE s SET a = repeat('y', 300), b = NULL",
    "INSERT INTO s (id, a) SELECT id + 10, a FROM s",
    "DELETE FROM s WHERE id = 1",
    "SET binlog_row_image = MINIMAL", "UPDATE s SET a = 'm' WHERE id = 2", "DELETE FROM s WHERE id = 2",
    "SET binlog_row_image = NOBLOB", "UPDATE s SET c = 7 WHERE id = 11", "INSERT INTO s (id, b) VALUES (50, 'b')",
)


def test_rows_are_those_that_the_servers_tool_reads(server: BinlogServer) -> None:
    """Operation, table, and for each column of each image whether it is there and whether it is NULL."""
    begin = here(server)
    run(server, *SHAPES)
    file, stop = server.binlog_end()
    assert file == begin.file
    wanted = told(server.binlog_text(file, begin.position, stop))
    assert len(wanted) == 11
    with Stream(server, begin) as stream:
        stream.until_rows(len(wanted))
    assert [(op, table, *(image(row) for row in pair if row is not None)) for op, table, *pair in stream.rows] == wanted


def image(row: Row) -> tuple[tuple[int, bool], ...]:
    """(number of the column, NULL) of what the image has."""
    return tuple((index + 1, row.kind(index) == NULL) for index in range(row.count) if row.kind(index) <= NULL)


def told(text: str) -> list[tuple[Any, ...]]:
    """The same from `mysqlbinlog -vv`."""
    ops = {"INSERT INTO": "c", "UPDATE": "u", "DELETE FROM": "d"}
    out: list[tuple[Any, ...]] = []
    for line in text.splitlines():
        if head := re.match(r"### (INSERT INTO|UPDATE|DELETE FROM) `\w+`\.`(\w+)`", line):
            out.append((ops[head[1]], head[2]))
        elif line in ("### SET", "### WHERE"):
            out[-1] = (*out[-1], ())
        elif cell := re.match(r"###   @(\d+)=(NULL)?", line):
            out[-1] = (*out[-1][:-1], (*out[-1][-1], (int(cell[1]), cell[2] is not None)))
    return out


def test_a_stream_goes_on_after_the_gtids_it_is_given(server: BinlogServer) -> None:
    filled(server, 5)
    known = executed(server)
    filled(server, 3)
    with Stream(server, DumpFrom(gtids=known)) as stream:
        stream.until_rows(3)
        stream.until_heartbeat()
    assert len(stream.rows) == 3
    after = known
    for _, message in stream.messages:
        if isinstance(message, Gtid) and isinstance(after, GtidSet):
            after = after.with_gtid(message.uuid, message.tag, message.gno)
        elif isinstance(message, MariaGtid) and isinstance(after, MariaGtidSet):
            after = after.with_gtid(message.domain, message.server_id, message.sequence)
    assert after == executed(server)


def test_nothing_is_lost_over_files(server: BinlogServer) -> None:
    begin = here(server)
    for _ in range(3):
        filled(server, 2)
        server.execute("FLUSH BINARY LOGS")
    filled(server, 1)
    with Stream(server, begin) as stream:
        stream.until_rows(7)
    assert [row.raw(0) for _, _, _, row in stream.rows if row] == [number.to_bytes(4, "little")
                                                                   for number in range(1, 8)]


def test_an_event_larger_than_a_packet_arrives_whole(server: BinlogServer) -> None:
    begin = here(server)
    filled(server, 1, width=40_000_000)
    filled(server, 1)
    with Stream(server, begin) as stream:
        stream.until_rows(2)
    sizes = [len(row.raw(1) or b"") for _, _, _, row in stream.rows if row]
    assert sizes == [40_000_000, 100]


def test_a_full_queue_makes_the_server_wait(server: BinlogServer) -> None:
    begin = here(server)
    filled(server, 20_000, width=500)
    bound = 1 << 20
    with Stream(server, begin, queue_bytes=bound) as stream:
        deadline = time.monotonic() + WAIT_S
        while stream.reader.queued_bytes < bound:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        assert stream.reader.queued_bytes < bound + (1 << 19)
        stream.until_rows(20_000)
        assert stream.reader.queued_bytes < bound + (1 << 19)


def test_an_idle_server_sends_heartbeats(server: BinlogServer) -> None:
    begin = here(server)
    with Stream(server, begin) as stream:
        stream.until_heartbeat()
    heartbeat = next(message for _, message in stream.messages if isinstance(message, Heartbeat))
    assert (heartbeat.file, heartbeat.position) == (begin.file, begin.position)


def test_a_silent_server_is_noticed(server: BinlogServer) -> None:
    with (Proxy(server.host, server.port) as proxy,
          Stream(server, here(server), port=proxy.port, heartbeat_s=0.2, grace_s=0.4) as stream):
        stream.until_heartbeat()
        proxy.freeze()
        error = stream.error()
        assert isinstance(error, SourceConnectionError)
        assert "heartbeat" in str(error)
        proxy.restore()


def test_a_lost_connection_is_an_error_after_what_was_received(server: BinlogServer) -> None:
    begin = here(server)
    filled(server, 10)
    with Proxy(server.host, server.port) as proxy, Stream(server, begin, port=proxy.port) as stream:
        stream.until_rows(5)
        proxy.cut()
        error = stream.error()
    assert isinstance(error, SourceConnectionError)
    assert error.retriable
    assert len(stream.rows) == 10


def test_a_killed_dump_is_an_error_and_never_a_reconnect(server: BinlogServer) -> None:
    with Stream(server, here(server)) as stream:
        stream.until_heartbeat()
        for number, in server.execute(DUMPS):
            server.execute(f"KILL {number}")
        assert isinstance(stream.error(), SourceConnectionError)
        with pytest.raises(SourceConnectionError):
            stream.read()


def test_two_streams_with_one_server_id_clash(server: BinlogServer) -> None:
    with Stream(server, here(server), server_id=5002) as first:
        first.until_heartbeat()
        with Stream(server, here(server), server_id=5002) as second:
            filled(server, 1)
            second.until_rows(1)
            error = first.error()
    assert isinstance(error, SourceRefusedError)
    assert "database.server.id" in error.hint


def test_a_purged_log_is_a_lost_position(server: BinlogServer) -> None:
    filled(server, 1)
    begin, known = here(server), executed(server)
    server.execute("FLUSH BINARY LOGS")
    filled(server, 1)
    server.purge_binlogs()
    deadline = time.monotonic() + WAIT_S
    while len(files := server.binlog_files()) > 1:  # those in use or not yet checkpointed are kept without a word
        assert time.monotonic() < deadline
        server.execute(f"PURGE BINARY LOGS TO '{files[-1]}'")
        time.sleep(0.05)
    for each in (begin, DumpFrom(gtids=known)):
        with pytest.raises(PositionLostError) as caught, Stream(server, each) as stream:
            raise stream.error()
        assert "snapshot" in caught.value.hint


def test_a_file_the_server_never_had_is_a_lost_position(server: BinlogServer) -> None:
    with pytest.raises(PositionLostError), Stream(server, DumpFrom("nothing.000042")) as stream:
        raise stream.error()


def test_a_stream_over_tls_is_the_same(server: BinlogServer) -> None:
    if server.flavor == "mariadb":
        pytest.skip("this server has no certificates")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    begin = here(server)
    filled(server, 3000)
    with Stream(server, begin, ssl=context) as stream:
        stream.until_rows(3000)


def test_stopping_ends_the_thread(server: BinlogServer) -> None:
    stream = Stream(server, here(server), heartbeat_s=60)
    stream.reader.start()
    thread = stream.reader._thread
    stream.reader.stop()
    stream.reader.stop()
    assert thread is not None
    assert not thread.is_alive()


class Held:
    """A socket that does not read the stream until `goes_on` is set."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.goes_on = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv_into(self, view: memoryview) -> int:
        self.goes_on.wait(WAIT_S)
        return self._sock.recv_into(view)


def test_the_server_lets_go_of_the_log_when_we_stop_in_the_middle_of_it(server: BinlogServer) -> None:
    """Also while it waits until it can send more, and we still read what has arrived: nothing else tells it then."""
    begin = here(server)
    filled(server, 16, width=1 << 20)
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)  # so that one read empties it
    small.connect((server.host, server.port))
    stream = Stream(server, begin, defer_connect=True, ssl_disabled=True)
    conn: Any = stream.reader._conn
    conn.connect(small)
    number = conn.thread_id()
    conn._sock = held = Held(small)
    stream.reader.start()
    thread = stream.reader._thread
    assert thread is not None
    stream.reader.stop(timeout=0)
    assert thread.is_alive()
    held.goes_on.set()
    wait_until(lambda: (number,) not in server.execute(DUMPS), 10, "the server to end its side")


def test_compression_may_change_in_mid_stream(server: BinlogServer) -> None:
    begin = here(server)
    filled(server, 10, width=1000)
    switch = ("SET GLOBAL log_bin_compress = {}" if server.flavor == "mariadb"
              else "SET GLOBAL binlog_transaction_compression = {}")
    with Stream(server, begin) as stream:
        stream.until_rows(10)
        server.execute(switch.format("ON"))
        try:
            filled(server, 10, width=1000)
            stream.until_rows(20)
        finally:
            server.execute(switch.format("OFF"))
        filled(server, 10, width=1000)
        stream.until_rows(30)
    assert {row.raw(1) for _, _, _, row in stream.rows if row} == {b"x" * 1000}
    kinds = {header.type for header, _ in stream.messages}
    assert kinds & {40, 166}


def test_statements_of_the_schema_are_told(server: BinlogServer) -> None:
    begin = here(server)
    run(server, "CREATE TABLE x (a int)", "INSERT INTO x VALUES (1)")
    with Stream(server, begin) as stream:
        stream.until_rows(1)
    texts = [message.sql for _, message in stream.messages if isinstance(message, Query)]
    assert b"CREATE TABLE x (a int)" in texts
