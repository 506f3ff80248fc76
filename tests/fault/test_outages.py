"""GIVEN a running pipeline and somebody who writes, WHEN a part of it goes away, THEN it waits, recovers by itself,
loses nothing, and answers meanwhile.

Outages last CDC_TEST_LONG=1: 90 s, else some seconds.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BinlogDatabase, Database
from tests.fault.items import BinlogItems, Items, PostgresItems
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
MOST_MEMORY_MB = 200

MakeProxy = Callable[[Server], Proxy]
_numbers = itertools.count(1)

elsewhere = pytest.mark.parametrize("items", ["postgres18", "mysql"], indirect=True)
"""For faults that are not the database's: one binary log is as good as the other."""


@pytest.fixture(name="items", params=["postgres18", "mysql", "mariadb"])
def items_fixture(request: pytest.FixtureRequest) -> Iterator[Items]:
    """A database with the table, on a server that soon drops replication connections that do not report, and that
    survives being killed."""
    server: Any = request.getfixturevalue(request.param)
    name = server.create_database(f"items_{os.getpid()}_{next(_numbers)}")
    postgres = isinstance(server, PostgresServer)
    settings = {"wal_sender_timeout": "5s"} if postgres else {"innodb_flush_log_at_trx_commit": 1}
    server.set(**settings)
    items = PostgresItems(Database(server, name)) if postgres else BinlogItems(BinlogDatabase(server, name))
    items.create()
    yield items
    if not server.running:
        server.start()
    server.set(**(dict.fromkeys(settings) if postgres else {"innodb_flush_log_at_trx_commit": 0}))
    server.drop_database(name)


@pytest.fixture(name="topic")
def topic_fixture(topic_prefix: str, items: Items) -> str:
    return f"{topic_prefix}.{items.schema}.items"


@pytest.fixture(name="reader")
def reader_fixture(kafka: KafkaServer, registry: RegistryServer) -> Reader:
    return Reader(kafka.bootstrap, registry.url)


@pytest.fixture(name="pipeline")
def pipeline_fixture(items: Items, kafka: KafkaServer, registry: RegistryServer, topic_prefix: str,
                     tmp_path: Path) -> Iterator[Pipeline]:
    """Not yet started."""
    with Pipeline(tmp_path, kafka.bootstrap, registry.url, items.options(topic_prefix)) as pipeline:
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
        began = time.monotonic()
        getattr(items.server, how)()
        if isinstance(items, PostgresItems):  # MySQL gives every replica some seconds to go by itself
            assert time.monotonic() - began < 10, "a stream that is up to date does not hold up the server's stop"
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
        wait_until(lambda: pipeline.state() == "retrying" or not items.streams(watch.topic_prefix), 40,
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


@elsewhere
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


def test_stopped_while_kafka_is_stopped(items: Items, kafka: KafkaServer, reader: Reader, pipeline: Pipeline,
                                        topic: str) -> None:
    """A stop does not wait for what cannot be had, and the next start goes on."""
    with Writer(items) as writer:
        begin(pipeline, writer, reader, topic)
        kafka.stop()
        writer.goes_on(100)
        began = time.monotonic()
        assert pipeline.stop() == 0
        assert time.monotonic() - began < 9
        kafka.start()
        pipeline.start()
        pipeline.await_state("streaming")
    await_end(items, reader, topic)
    assert pipeline.stop() == 0
    is_whole(items, reader.events(topic))


# Offsets in a topic


def keep_offsets_in_kafka(pipeline: Pipeline, topic: str) -> None:
    options = pipeline.files["pipeline.properties"]
    del options["offset.storage.file.filename"]
    options |= {"offset.storage.topic": topic, "offset.storage.partitions": "3",
                "offset.storage.replication.factor": "1"}


@elsewhere
def test_offsets_in_kafka_carry_on(items: Items, kafka: KafkaServer, reader: Reader, pipeline: Pipeline,
                                   topic: str, topic_prefix: str) -> None:
    """The records of the offset topic are Kafka Connect's, byte for byte in their form."""
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
    assert {message.key for message in stored} == {b'["shop",{"server":"%s"}]' % topic_prefix.encode()}
    values = [message.value or b"" for message in stored]
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
        began = time.monotonic()
        assert pipeline.stop() == 0
        assert time.monotonic() - began < 9
        kafka.start()
        pipeline.start()
        pipeline.await_state("streaming")
    await_end(items, reader, topic)
    assert pipeline.stop() == 0
    is_whole(items, reader.events(topic))
