"""The replication connection when the server stops, falls silent or goes away."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cdc.core.errors import SourceConnectionError, SourceRefusedError
from cdc.core.interfaces import Ack, Outgoing
from cdc.metrics.task import TaskMetrics
from cdc.runtime.task import Task, TaskParts, TaskSettings
from cdc.sources.postgres.connection import connect_replication
from cdc.sources.postgres.monitor import PostgresMonitor
from cdc.sources.postgres.options import parse_postgres
from cdc.sources.postgres.replication import ReplicationReader, start_command
from cdc.stores.file_offsets import FileOffsetStore
from tests.conftest import Database
from tests.integration.pg_source import given_for, make_source, running, slot_of
from tests.servers.postgres import PostgresServer
from tests.servers.process import wait_until
from tests.servers.proxy import Proxy
from tests.servers.server import Server

TABLE = "CREATE TABLE t (id int PRIMARY KEY, x text); CREATE PUBLICATION pub FOR ALL TABLES"


class Keep:
    """A sink in memory. While `away` nothing is acked."""

    def __init__(self) -> None:
        self.taken: list[Outgoing] = []
        self.away = False
        self.waiting: list[Ack] = []

    def start(self) -> None: ...

    def interrupt(self) -> None: ...

    def fence(self) -> None: ...

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
        self.taken += batch[first:]
        for _ in range(first, len(batch)):
            self.waiting.append(ack) if self.away else ack.delivered()
        return len(batch)

    def poll(self, timeout: float) -> None:
        time.sleep(min(timeout, 0.01))

    def flush(self, timeout: float) -> int:
        return len(self.waiting)

    def close(self) -> None: ...

    def metrics(self) -> Mapping[str, float]:
        return {}


class Convert:
    """Not of interest here."""

    def convert(self, records: Sequence[Any], now_us: int, failed: Any = None) -> list[Outgoing]:
        return [Outgoing("t", None, b"", -1, (), "t") for _ in records]

    def check(self) -> None: ...

    def metrics(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None: ...


class Pipeline:
    """The runtime's task over a database, in a thread."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.sink = Keep()
        self.stop = threading.Event()
        self.error: BaseException | None = None
        self.source = make_source(database)
        self.store = FileOffsetStore(folder / "offsets.db")
        parts = TaskParts(self.source, None, Convert(), self.sink)
        self.task = Task(TaskSettings("c", offset_flush_interval_s=60), parts, self.store, TaskMetrics("c"), self.stop)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        wait_until(lambda: self.task.started or self.error is not None, 20, "the task to start")

    def _run(self) -> None:
        try:
            self.task.run()
        except BaseException as exc:
            self.error = exc

    def end(self) -> None:
        self.stop.set()
        self.thread.join(20)
        self.store.close()  # it holds the connector's offset until then


@pytest.fixture(params=[15, 18])
def own(request: pytest.FixtureRequest) -> Any:
    """A server of its own, which may be stopped."""
    with PostgresServer(request.param) as own_server:
        database = Database(own_server, own_server.create_database("d"))
        database.execute(TABLE)
        yield database


def test_a_server_that_stops_is_not_held_up(own: Database, tmp_path: Path) -> None:
    pipeline = Pipeline(own, tmp_path)
    try:
        own.execute("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 1000) i")
        wait_until(lambda: len(pipeline.sink.taken) >= 1000, 20, "the rows")
        own.server.stop()
        pipeline.thread.join(20)
    finally:
        pipeline.end()
    assert isinstance(pipeline.error, SourceConnectionError)
    assert pipeline.error.retriable


def test_everything_delivered_was_confirmed_when_the_server_stopped(own: Database, tmp_path: Path) -> None:
    pipeline = Pipeline(own, tmp_path)
    own.execute("INSERT INTO t VALUES (1, 'x')")
    wait_until(lambda: len(pipeline.sink.taken) >= 1, 20, "the row")
    own.server.stop()
    pipeline.end()
    own.server.start()
    again = Pipeline(own, tmp_path)
    try:
        own.execute("INSERT INTO t VALUES (2, 'x')")
        wait_until(lambda: len(again.sink.taken) >= 1, 20, "the row")
    finally:
        again.end()
    assert len(again.sink.taken) == 1


def test_a_server_that_stops_does_not_wait_for_a_sink_that_is_away(own: Database) -> None:
    config, _ = parse_postgres(given_for(own, {}))
    own.execute(f"SELECT pg_create_logical_replication_slot('{slot_of(own)}', 'pgoutput')")
    reader = make_reader(config, shutdown_patience_s=2.0)
    reader.start()
    own.execute("INSERT INTO t VALUES (1, 'x')")
    stopping = threading.Thread(target=own.server.stop)
    stopping.start()
    with pytest.raises(SourceConnectionError, match="shutting down"):
        drain(reader, 20)
    reader.stop()
    stopping.join(10)
    assert not own.server.running


# -- the reader --------------------------------------------------------------------------------------------------------


def make_reader(config: Any, *, status_interval_s: float = 1.0, queue_bytes: int = 1 << 20,
                **options: Any) -> ReplicationReader:
    conn = connect_replication(config)
    pgoutput = {"proto_version": "1", "publication_names": '"pub"'}
    return ReplicationReader(conn, start_command(config.slot_name, 0, pgoutput), confirmed=0, queue_bytes=queue_bytes,
                             status_interval_s=status_interval_s, **options)


def start_and_read(reader: ReplicationReader) -> None:
    reader.start()
    drain(reader, 5)


def drain(reader: ReplicationReader, seconds: float) -> list[bytes]:
    frames: list[bytes] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        frames += reader.take(0.1, 1 << 20)
    return frames


@pytest.fixture
def slot(database: Database) -> Database:
    database.execute(TABLE)
    database.execute(f"SELECT pg_create_logical_replication_slot('{slot_of(database)}', 'pgoutput')")
    return database


@pytest.mark.parametrize("native", [False, True], ids=["psycopg", "C"])
def test_a_silent_server_is_asked_and_then_given_up(slot: Database, proxy: Callable[[Server], Proxy],
                                                    native: bool) -> None:
    link = proxy(slot.server)
    config, _ = parse_postgres(given_for(slot, {"database.port": str(link.port)}))
    reader = make_reader(config, native=native, status_interval_s=0.3, silence_s=1.0)
    reader.start()
    try:
        drain(reader, 2.5)  # an idle server answers when asked
        slot.execute("INSERT INTO t VALUES (1, 'x')")
        wait_until(lambda: reader.queued_bytes > 0, 10, "the row")
        link.freeze()
        time.sleep(2.0)
        assert reader.take(0, 1 << 20), "what had arrived comes before the error"
        with pytest.raises(SourceConnectionError, match="does not answer"):
            drain(reader, 10)
    finally:
        reader.stop()


@pytest.mark.parametrize("native", [False, True], ids=["psycopg", "C"])
def test_while_our_queue_is_full_silence_is_our_own(slot: Database, native: bool) -> None:
    config, _ = parse_postgres(given_for(slot, {}))
    slot.execute("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i")
    reader = make_reader(config, native=native, status_interval_s=0.2, silence_s=0.5, queue_bytes=65536)
    reader.start()
    try:
        wait_until(lambda: reader.queued_bytes >= 65536, 10, "a full queue")
        time.sleep(2.0)
        frames: list[bytes] = []
        until = time.monotonic() + 60
        while inserts(frames) < 5000:
            assert time.monotonic() < until
            frames += reader.take(0.1, 1 << 16)
    finally:
        reader.stop()


def inserts(frames: list[bytes]) -> int:
    return sum(1 for frame in frames if frame[:1] == b"w" and frame[25:26] == b"I")


@pytest.mark.parametrize("native", [False, True], ids=["psycopg", "C"])
def test_a_reader_that_stops_leaves_no_descriptors_and_frees_the_slot(slot: Database, native: bool) -> None:
    config, _ = parse_postgres(given_for(slot, {}))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        reader = make_reader(config, native=native)
        reader.start()
        reader.stop()
        reader.stop()
        query = f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot_of(slot)}'"
        assert slot.execute(query) == [(False,)]
    reader = make_reader(config, native=native)
    reader._command = reader._command.replace("proto_version", "no_such_option")
    with pytest.raises(SourceRefusedError, match="no_such_option"):
        start_and_read(reader)
    reader.stop()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_lost_monitor_connection_does_not_end_the_stream(slot: Database) -> None:
    with running(slot, {"heartbeat.interval.ms": "100", "heartbeat.action.query": "SELECT 1"}) as reading:
        reading.to_mark(slot)
        monitor = reading.source._monitor
        assert isinstance(monitor, PostgresMonitor)
        wait_until(lambda: monitor._conn is not None, 10, "the monitor's connection")
        slot.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cdc' "
                     f"AND backend_type = 'client backend' AND datname = '{slot.name}'")
        slot.execute("INSERT INTO t VALUES (7, 'x')")
        found = reading.to_mark(slot)
        wait_until(lambda: bool(reading.batch() or True) and monitor._conn is not None and not monitor._conn.broken, 10,
                   "the monitor to connect again")
    assert any(getattr(record, "op", "") == "c" for record in found)
