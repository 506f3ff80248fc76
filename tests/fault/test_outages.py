"""GIVEN a running pipeline and somebody who writes, WHEN a part of it goes away, THEN it waits, recovers by itself,
loses nothing, and answers meanwhile.

Outages last CDC_TEST_LONG=1: 90 s, else some seconds.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cdc.kafka.client import unavailable
from cdc.runtime.runner import STARTUP_GRACE_S
from tests.fault.items import Items, fresh_items
from tests.fault.pipeline import Pipeline, Reader
from tests.fault.traffic import Watch, Writer, await_end, is_whole
from tests.servers.kafka import KafkaServer, consume_all
from tests.servers.postgres import PostgresServer
from tests.servers.process import wait_until
from tests.servers.proxy import Proxy
from tests.servers.registry import RegistryServer
from tests.servers.server import Server

LONG = os.environ.get("CDC_TEST_LONG") == "1"
OUTAGE_S = 90.0 if LONG else 12.0
BACKLOG_ROWS = 300_000
MOST_MEMORY_MB = 110
"""Measured with 300,000 rows behind a queue that is full: 82 to 91."""

MakeProxy = Callable[[Server], Proxy]

elsewhere = pytest.mark.parametrize("items", ["postgres18", "mysql"], indirect=True)
"""For faults that are not the database's: one binary log is as good as the other."""


@pytest.fixture(name="items", params=["postgres18", "mysql", "mariadb"])
def items_fixture(request: pytest.FixtureRequest) -> Iterator[Items]:
    """A database with the table, on a server that soon drops replication connections that do not report, and that
    survives being killed."""
    server: Any = request.getfixturevalue(request.param)
    postgres = isinstance(server, PostgresServer)
    settings = {"wal_sender_timeout": "5s"} if postgres else {"innodb_flush_log_at_trx_commit": 1}
    server.set(**settings)
    with fresh_items(server) as items:
        yield items
        if not server.running:
            server.start()
        server.set(**(dict.fromkeys(settings) if postgres else {"innodb_flush_log_at_trx_commit": 0}))


@pytest.fixture(name="topic")
def topic_fixture(topic_prefix: str, items: Items) -> str:
    return f"{topic_prefix}.{items.schema}.items"


@pytest.fixture(name="reader")
def reader_fixture(kafka: KafkaServer, registry: RegistryServer) -> Reader:
    return Reader(kafka.bootstrap, registry.url)


@pytest.fixture(name="client")
def client_fixture(request: pytest.FixtureRequest) -> str:
    """Which Kafka client sends."""
    return str(getattr(request, "param", "auto"))


LIBRDKAFKA = "python" if unavailable() else "native"


def kafka_faults(*served: str) -> pytest.MarkDecorator:
    """For faults that are Kafka's: on each of the databases the client of our own, where it was compiled, and on one of
    them librdkafka, which does not know where records come from."""
    cases = [*((each, "auto") for each in served), (served[0], LIBRDKAFKA)]
    return pytest.mark.parametrize(("items", "client"), cases, indirect=True)


@pytest.fixture(name="pipeline")
def pipeline_fixture(items: Items, kafka: KafkaServer, registry: RegistryServer, topic_prefix: str,
                     tmp_path: Path, client: str) -> Iterator[Pipeline]:
    """Not yet started."""
    options = {**items.options(topic_prefix), "sink.kafka.client": client}
    with Pipeline(tmp_path, kafka.bootstrap, registry.url, options) as pipeline:
        yield pipeline


@pytest.fixture(name="watch")
def watch_fixture(pipeline: Pipeline, items: Items, topic_prefix: str) -> Watch:
    return Watch(pipeline, items, topic_prefix)


def begin(pipeline: Pipeline, writer: Writer, reader: Reader, topic: str) -> None:
    """Started, streaming, and some changes have arrived."""
    pipeline.start()
    pipeline.await_state("streaming")
    writer.goes_on(10)
    before = reader.count(topic)
    wait_until(lambda: reader.count(topic) > before, 60, "changes to arrive")


def report(what: str, seconds: float, pipeline: Pipeline) -> None:
    print(f"{what}: caught up in {seconds:.1f} s, peak {pipeline.peak_memory_mb():.0f} MB")


@kafka_faults("postgres18", "mysql", "mariadb")
def test_kafka_stopped(items: Items, kafka: KafkaServer, reader: Reader, pipeline: Pipeline, watch: Watch,
                       topic: str) -> None:
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
        kafka.stop()
        until = time.monotonic() + OUTAGE_S
        watch.during(3)
        for first in range(1_000_000, 1_000_000 + BACKLOG_ROWS, 10_000):
            items.add(first, first + 9_999)
            watch.look()
        watch.during(until - time.monotonic(), 20)
        assert pipeline.state() == "streaming"
        assert json.loads(pipeline.get("/connectors/shop/status"))["tasks"][0]["state"] == "RUNNING"
        assert pipeline.metric("cdc_sink_unreachable") == 1
        lag_bytes = pipeline.metric("cdc_lag_bytes")
        assert lag_bytes is not None
        assert lag_bytes > BACKLOG_ROWS
        kafka.start()
        watch.look()
    report("Kafka stopped", await_end(items, reader, topic), pipeline)
    watch.look()
    watch.always_answered()
    watch.kept_its_stream()
    assert pipeline.peak_memory_mb() < MOST_MEMORY_MB
    assert pipeline.stop() == 0
    assert is_whole(items, reader.events(topic)) == 0, "nothing was restarted, so nothing is sent twice"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_database_restarted(items: Items, reader: Reader, pipeline: Pipeline, watch: Watch, topic: str,
                            how: str) -> None:
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
        getattr(items.server, how)()
        wait_until(lambda: pipeline.state() == "retrying", 20, "the loss to be noticed")
        watch.during(3)
        items.server.start()
        pipeline.await_state("streaming")
        writer.goes_on(10)
    report(f"database: {how}", await_end(items, reader, topic), pipeline)
    watch.always_answered()
    assert pipeline.stop() == 0
    is_whole(items, reader.events(topic))


@elsewhere
def test_registry_stopped_while_a_table_is_made(items: Items, kafka: KafkaServer, topic_prefix: str,
                                                topic: str, tmp_path: Path) -> None:
    options = items.options(topic_prefix)
    with (RegistryServer(persistent=True) as registry,
          Pipeline(tmp_path, kafka.bootstrap, registry.url, options) as pipeline):
        reader = Reader(kafka.bootstrap, registry.url)
        watch = Watch(pipeline, items, topic_prefix)
        with Writer(items) as writer:
            begin(pipeline, writer, reader, topic)
            registry.stop()
            writer.goes_on(50)
            items.execute("CREATE TABLE more (id int PRIMARY KEY)")
            items.execute("INSERT INTO more VALUES (1)")
            wait_until(lambda: pipeline.metric('cdc_errors_total{connector="shop",stage="registry"'), 60,
                       "the registry to be missed")
            watch.during(OUTAGE_S)
            assert pipeline.state() == "streaming"
            registry.start()
        report("registry stopped", await_end(items, reader, topic), pipeline)
        watch.look()
        watch.always_answered()
        watch.kept_its_stream()
        assert pipeline.stop() == 0
        assert [event.row for event in reader.events(f"{topic_prefix}.{items.schema}.more")] == [{"id": 1}]
        assert is_whole(items, reader.events(topic)) == 0


def test_database_link_cut(items: Items, reader: Reader, pipeline: Pipeline, watch: Watch, topic: str,
                           proxy: MakeProxy) -> None:
    link = proxy(items.server)
    pipeline.files["pipeline.properties"]["database.port"] = str(link.port)
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
        for down_bytes in (0, 5_000, 100_001):
            link.cut_after(down_bytes) if down_bytes else link.cut()
            wait_until(lambda: pipeline.state() == "retrying", 60, "the loss to be noticed", 0.01)
            watch.during(1, 2)
            link.restore()
            pipeline.await_state("streaming")
            writer.goes_on(10)
    report("link to the database cut", await_end(items, reader, topic), pipeline)
    watch.always_answered()
    assert pipeline.stop() == 0
    is_whole(items, reader.events(topic))


def test_database_link_frozen(items: Items, reader: Reader, pipeline: Pipeline, watch: Watch, topic: str,
                              proxy: MakeProxy) -> None:
    """For longer than one side waits. PostgreSQL drops the connection, and the pipeline hears of it late; the others
    would wait for ever, and the pipeline misses their heartbeats."""
    link = proxy(items.server)
    options = pipeline.files["pipeline.properties"]
    options["database.port"] = str(link.port)
    options["connect.keep.alive.interval.ms"] = "1000"
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
        watch.look()
        link.freeze()
        wait_until(lambda: pipeline.state() in ("retrying", "starting") or not items.streams(watch.topic_prefix), 40,
                   "one side to drop the connection")
        watch.during(2)
        link.restore()
        writer.goes_on(10)
    report("link to the database frozen", await_end(items, reader, topic), pipeline)
    watch.look()
    watch.always_answered()
    assert len(watch.streams) >= 2
    assert pipeline.stop() == 0
    is_whole(items, reader.events(topic))


@kafka_faults("postgres18", "mysql")
@pytest.mark.parametrize("how", ["cut", "freeze"])
def test_kafka_link_lost(items: Items, kafka: KafkaServer, reader: Reader, pipeline: Pipeline, watch: Watch,
                         topic: str, proxy: MakeProxy, how: str) -> None:
    link = proxy(kafka)
    pipeline.files["pipeline.properties"]["bootstrap.servers"] = kafka.proxied_bootstrap
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
        getattr(link, how)()
        watch.during(8)
        link.restore()
    report(f"link to Kafka {how}", await_end(items, reader, topic), pipeline)
    watch.always_answered()
    watch.kept_its_stream()
    assert pipeline.stop() == 0
    assert is_whole(items, reader.events(topic)) == 0


@kafka_faults("postgres18", "mysql", "mariadb")
def test_killed_while_kafka_is_stopped(items: Items, kafka: KafkaServer, reader: Reader, pipeline: Pipeline,
                                       topic: str) -> None:
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
        kafka.stop()
        writer.goes_on(100)
        wait_until(lambda: pipeline.metric("cdc_sink_unreachable") == 1, 30, "the outage to be noticed")
        pipeline.kill()
        kafka.start()
        pipeline.start()
        pipeline.await_state("streaming")
        writer.goes_on(10)
    report("killed while Kafka is stopped", await_end(items, reader, topic), pipeline)
    assert pipeline.stop() == 0
    is_whole(items, reader.events(topic))


@kafka_faults("postgres18", "mysql", "mariadb")
def test_stopped_while_kafka_is_stopped(items: Items, kafka: KafkaServer, reader: Reader, pipeline: Pipeline,
                                        topic: str) -> None:
    """A stop does not wait for Kafka but says with its exit code that something is open; the next start goes on."""
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
        kafka.stop()
        writer.goes_on(100)
        assert pipeline.stop(timeout_s=40) == 1
        kafka.start()
        pipeline.start()
        pipeline.await_state("streaming")
    await_end(items, reader, topic)
    assert pipeline.stop() == 0
    is_whole(items, reader.events(topic))


@pytest.mark.parametrize("items", ["postgres18"], indirect=True)
def test_registry_that_stops_answering(items: Items, reader: Reader, registry: RegistryServer, pipeline: Pipeline,
                                       topic: str, topic_prefix: str, proxy: MakeProxy) -> None:
    """It takes the request and says nothing. A stop ends that wait, and says that something is open."""
    link = proxy(registry)
    options = pipeline.files["pipeline.properties"]
    options |= {key: text.replace(f":{registry.port}", f":{link.port}") for key, text in options.items()
                if key.endswith("schema.registry.url")}
    options |= {f"{side}.converter.http.read.timeout.ms": "3000" for side in ("key", "value")}
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
    link.freeze()
    items.execute("CREATE TABLE more (id int PRIMARY KEY)")
    items.execute("INSERT INTO more VALUES (1)")
    wait_until(lambda: "no complete answer within 3 s" in pipeline.text(), 60, "a warning")
    assert pipeline.stop(timeout_s=40) == 1
    assert '"tasks_abandoned"' not in pipeline.text()
    link.restore()
    pipeline.start()
    await_end(items, reader, topic)
    assert pipeline.stop() == 0
    assert [event.row for event in reader.events(f"{topic_prefix}.{items.schema}.more")] == [{"id": 1}]


WITH_FEW_FILES = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
sys.argv[:1] = ["cdc", "run"]
runpy.run_module("cdc", run_name="__main__")
"""


@pytest.mark.parametrize("items", ["postgres18"], indirect=True)
def test_idle_http_clients_do_not_take_the_descriptors_of_the_stream(items: Items, reader: Reader, pipeline: Pipeline,
                                                                     topic: str) -> None:
    """400 clients that send half a header, where the process may open 256 files; then the database ends the stream."""
    pipeline.program = ["-c", WITH_FEW_FILES]
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
    port = int(pipeline.url.rpartition(":")[2])
    with ExitStack() as stack:
        for _ in range(400):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        items.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
        await_end(items, reader, topic)
        assert pipeline.state() == "streaming", "a probe is answered while they are there"
    assert "Too many open files" not in pipeline.text()
    assert pipeline.stop() == 0


# Starts during an outage

GRACE_S = STARTUP_GRACE_S + 1
"""After so long, the next attempt of a start that knows of no offset is the last one."""


def starts_and_waits(pipeline: Pipeline, watch: Watch) -> None:
    """Starts, and still waits when a start without an offset would have failed; says why in its status."""
    pipeline.start()
    wait_until(lambda: pipeline.state() in ("starting", "retrying"), 20, "an answer")
    watch.during(max(OUTAGE_S if LONG else 0.0, GRACE_S))
    tried = pipeline.text().count('"task_retrying"')
    wait_until(lambda: pipeline.text().count('"task_retrying"') > tried, 60, "one more attempt to fail")
    watch.look()
    assert pipeline.process is not None
    assert pipeline.process.poll() is None
    wait_until(lambda: pipeline.state() == "retrying", 40, "the next attempt to fail")
    (task,) = json.loads(pipeline.get("/connectors/shop/status"))["tasks"]
    assert task["state"] == "RUNNING"
    assert pipeline.metric('cdc_errors_total{connector="shop",stage=') is not None


@elsewhere
def test_started_while_the_database_is_stopped(items: Items, reader: Reader, pipeline: Pipeline, watch: Watch,
                                               topic: str) -> None:
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
        assert pipeline.stop() == 0
        items.server.stop()
        starts_and_waits(pipeline, watch)
        items.server.start()
        pipeline.await_state("streaming")
        writer.goes_on(10)
    await_end(items, reader, topic)
    assert pipeline.stop() == 0
    is_whole(items, reader.events(topic))


@pytest.mark.parametrize("items", ["postgres18"], indirect=True)
@pytest.mark.parametrize("where", ["file", "topic"])
def test_started_while_kafka_is_stopped(items: Items, kafka: KafkaServer, reader: Reader, pipeline: Pipeline,
                                        watch: Watch, topic: str, topic_prefix: str, where: str) -> None:
    if where == "topic":
        keep_offsets_in_kafka(pipeline, f"{topic_prefix}-offsets")
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
        assert pipeline.stop() == 0
        kafka.stop()
        starts_and_waits(pipeline, watch)
        assert pipeline.stop(timeout_s=40) == 0, "nothing was read, so nothing is open"
        pipeline.start()
        kafka.start()
        pipeline.await_state("streaming", 60)
        writer.goes_on(10)
    await_end(items, reader, topic)
    assert pipeline.stop() == 0
    is_whole(items, reader.events(topic))


@pytest.mark.parametrize("items", ["postgres18"], indirect=True)
def test_started_while_the_slot_is_in_use(items: Items, reader: Reader, pipeline: Pipeline, watch: Watch, topic: str,
                                          topic_prefix: str) -> None:
    """As after a crash behind a dead link: the server has not yet noticed that the former reader is gone."""
    options = pipeline.files["pipeline.properties"]
    options |= {"slot.max.retries": "60", "slot.retry.delay.ms": "1000"}
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
        assert pipeline.stop() == 0
        with closing(hold_slot(options, topic_prefix.lower())):
            starts_and_waits(pipeline, watch)
        pipeline.await_state("streaming")
        writer.goes_on(10)
    await_end(items, reader, topic)
    assert pipeline.stop() == 0
    is_whole(items, reader.events(topic))


@pytest.mark.parametrize("items", ["postgres18"], indirect=True)
def test_slot_max_retries_are_an_end(items: Items, reader: Reader, pipeline: Pipeline, topic: str,
                                     topic_prefix: str) -> None:
    options = pipeline.files["pipeline.properties"]
    options |= {"slot.max.retries": "2", "slot.retry.delay.ms": "300"}
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
        assert pipeline.stop() == 0
        with closing(hold_slot(options, topic_prefix.lower())):
            pipeline.start()
            assert "is in use" in pipeline.complaint(1)
    assert pipeline.text().count('"task_retrying"') == 2


def hold_slot(options: dict[str, str], slot: str) -> psycopg.Connection[Any]:
    """A connection that streams from *slot* until it is closed."""
    connection = psycopg.connect(
        host=options["database.hostname"], port=options["database.port"], user=options["database.user"],
        password=options.get("database.password"), dbname=options["database.dbname"], replication="database",
        options="-c wal_sender_timeout=0", autocommit=True)
    publication = options.get("publication.name", "dbz_publication")
    connection.pgconn.send_query(f"START_REPLICATION SLOT {slot} LOGICAL 0/0 (proto_version '1', "
                                 f"publication_names '{publication}')".encode())
    while connection.pgconn.is_busy():
        connection.pgconn.consume_input()
    result = connection.pgconn.get_result()
    assert result is not None
    assert result.status == psycopg.pq.ExecStatus.COPY_BOTH, result.error_message
    return connection


# Offsets in a topic


def keep_offsets_in_kafka(pipeline: Pipeline, topic: str) -> None:
    options = pipeline.files["pipeline.properties"]
    del options["offset.storage.file.filename"]
    options |= {"offset.storage.topic": topic, "offset.storage.partitions": "3",
                "offset.storage.replication.factor": "1"}


@elsewhere
def test_offsets_in_kafka_carry_on(items: Items, kafka: KafkaServer, reader: Reader, pipeline: Pipeline,
                                   topic: str, topic_prefix: str) -> None:
    """The records of the offset topic are Kafka Connect's, byte for byte in their form. One more says who writes them;
    its key has three elements, and Kafka Connect leaves such out."""
    offsets = f"{topic_prefix}-offsets"
    keep_offsets_in_kafka(pipeline, offsets)
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
        assert pipeline.stop() == 0
        pipeline.start()
        pipeline.await_state("streaming")
        writer.goes_on(10)
    await_end(items, reader, topic)
    assert pipeline.stop() == 0
    assert is_whole(items, reader.events(topic)) == 0, "an orderly stop has committed all it delivered"
    stored = consume_all(kafka.bootstrap, offsets)
    key = b'["shop",{"server":"%s"}]' % topic_prefix.encode()
    assert {message.key for message in stored} == {key, key[:-1] + b',"owner"]'}
    values = [message.value or b"" for message in stored if message.key == key]
    assert all(value == json.dumps(json.loads(value), separators=(",", ":")).encode() for value in values)
    place = {"lsn", "lsn_proc", "lsn_commit", "ts_usec"} if items.schema == "public" else {"file", "pos", "ts_sec"}
    assert place <= json.loads(values[-1]).keys()


@elsewhere
def test_offsets_in_kafka_wait_for_kafka(items: Items, kafka: KafkaServer, reader: Reader, pipeline: Pipeline,
                                         watch: Watch, topic: str, topic_prefix: str) -> None:
    keep_offsets_in_kafka(pipeline, f"{topic_prefix}-offsets")
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
        kafka.stop()
        watch.during(8)
        kafka.start()
        before = reader.count(topic)
        wait_until(lambda: reader.count(topic) > before + 100, 60, "changes to arrive again")
        watch.always_answered()
        watch.kept_its_stream()
        kafka.stop()
        writer.goes_on(10)
        assert pipeline.stop(timeout_s=40) == 1
        kafka.start()
        pipeline.start()
        pipeline.await_state("streaming")
    await_end(items, reader, topic)
    assert pipeline.stop() == 0
    is_whole(items, reader.events(topic))
