"""What `cdc run` says and how it ends when it cannot begin, and that SIGTERM ends it whatever it is doing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Database
from tests.fault.pipeline import Pipeline, source_options
from tests.servers.kafka import KafkaServer, consume_all
from tests.servers.process import free_port, wait_until
from tests.servers.proxy import Proxy
from tests.servers.registry import RegistryServer
from tests.servers.server import Server

PASSWORD = "pa55-w0rd-of-nobody"
REGISTRY_PASSWORD = "pa55-w0rd-of-the-registry"
SASL_PASSWORD = "pa55-w0rd-of-the-broker"
MOST_S = 25

pytestmark = pytest.mark.parametrize("postgres", ["postgres18"], indirect=True)
Options = dict[str, str]


@pytest.fixture(name="pipeline")
def pipeline_fixture(database: Database, kafka: KafkaServer, registry: RegistryServer, topic_prefix: str,
                     tmp_path: Path) -> Iterator[Pipeline]:
    """Not yet started; a table with one row is there."""
    database.execute("CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items VALUES (1, 'one')")
    with Pipeline(tmp_path, kafka.bootstrap, registry.url, {
            **source_options(database.server, database.name, topic_prefix), "database.password": PASSWORD}) as pipeline:
        yield pipeline


@pytest.fixture(name="options")
def options_fixture(pipeline: Pipeline) -> Options:
    return pipeline.files["pipeline.properties"]


def complaint(pipeline: Pipeline, code: int) -> str:
    """The paragraph that a process ends with, which is to exit soon with *code*, and no secret anywhere."""
    pipeline.start()
    said = pipeline.complaint(code, MOST_S)
    for secret in (PASSWORD, REGISTRY_PASSWORD, SASL_PASSWORD):
        assert secret not in pipeline.text()
    return said


def test_no_kafka(pipeline: Pipeline, options: Options) -> None:
    options["bootstrap.servers"] = f"127.0.0.1:{free_port()}"
    said = complaint(pipeline, 1)
    assert options["bootstrap.servers"] in said
    assert "Check that bootstrap.servers is right" in said


def test_no_kafka_with_credentials(pipeline: Pipeline, options: Options) -> None:
    options |= {"bootstrap.servers": f"127.0.0.1:{free_port()}", "producer.security.protocol": "SASL_PLAINTEXT",
                "producer.sasl.mechanism": "PLAIN",
                "producer.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required "
                                             f'username="cdc" password="{SASL_PASSWORD}";'}
    assert "Check that bootstrap.servers is right" in complaint(pipeline, 1)


def test_no_registry(pipeline: Pipeline, options: Options, database: Database) -> None:
    """And nothing is left at the server by a start that failed."""
    address = f"127.0.0.1:{free_port()}"
    for side in ("key", "value"):
        options |= {f"{side}.converter.schema.registry.url": f"http://{address}",
                    f"{side}.converter.basic.auth.credentials.source": "USER_INFO",
                    f"{side}.converter.basic.auth.user.info": f"cdc:{REGISTRY_PASSWORD}"}
    said = complaint(pipeline, 1)
    assert address in said
    assert "Check schema.registry.url" in said
    assert database.execute("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()") == []


def test_no_database(pipeline: Pipeline, options: Options) -> None:
    options["database.port"] = str(free_port())
    said = complaint(pipeline, 1)
    assert options["database.port"] in said
    assert "Check database.hostname and database.port." in said


def test_a_database_that_does_not_answer(pipeline: Pipeline, options: Options, database: Database,
                                         proxy: Callable[[Server], Proxy]) -> None:
    link = proxy(database.server)
    link.freeze()
    options["database.port"] = str(link.port)
    assert "Check database.hostname and database.port." in complaint(pipeline, 1)


@pytest.mark.parametrize(("changes", "wanted"), [
    ({"database.dbname": "nowhere"}, "Check database.dbname"),
    ({"database.user": "nobody_at_all"}, "Check database.user"),
    ({"publication.name": "missing", "publication.autocreate.mode": "disabled"}, "CREATE PUBLICATION"),
])
def test_a_database_that_refuses(pipeline: Pipeline, options: Options, changes: Options, wanted: str) -> None:
    options |= changes
    assert wanted in complaint(pipeline, 1)
    assert "task_retrying" not in pipeline.text(), "a refusal is not tried again"


@pytest.mark.parametrize(("changes", "wanted"), [
    ({"connector.class": "io.debezium.connector.postgresql.Postgres"}, "connector.class"),
    ({"decimal.handling.mode": "precisely"}, "decimal.handling.mode"),
    ({"table.include.list": "public.(items"}, "table.include.list"),
    ({"database.port": "many"}, "database.port"),
    ({"offset.flush.interval.ms": "soon"}, "offset.flush.interval.ms"),
    ({"listeners": "ftp://127.0.0.1:0"}, "listeners"),
    ({"value.converter": "io.confluent.connect.avro.Avro"}, "value.converter"),
    ({"value.converter.schema.registry.url": ""}, "schema.registry.url"),
    ({"database.hostname": ""}, "database.hostname"),
    ({"bootstrap.servers": ""}, "bootstrap.servers"),
    ({"name": ""}, "name"),
    ({"sink.type": "drain"}, "sink.type"),
    ({"database.password": "${file:/no/such/file:key}"}, "database.password"),
])
def test_a_bad_configuration(pipeline: Pipeline, options: Options, changes: Options, wanted: str) -> None:
    options |= changes
    pipeline.files["pipeline.properties"] = {key: text for key, text in options.items() if text}
    assert wanted in complaint(pipeline, 2)


def test_no_file(pipeline: Pipeline) -> None:
    pipeline.start()
    pipeline.kill()
    (pipeline.folder / "pipeline.properties").unlink()
    pipeline.files = {}
    pipeline.start()
    assert pipeline.end(MOST_S) == 2
    assert "Traceback" not in pipeline.text()


# SIGTERM


def stop_is_quick(pipeline: Pipeline) -> None:
    """Well before any wait of the task is over."""
    assert pipeline.stop(15) == 0
    assert "Traceback" not in pipeline.text()


def test_stop_within_a_snapshot(pipeline: Pipeline, database: Database, kafka: KafkaServer, topic_prefix: str) -> None:
    """The next start goes on with it."""
    database.execute("INSERT INTO items SELECT g, repeat('x', 1000) FROM generate_series(2, 100000) g")
    pipeline.start()
    pipeline.await_state("snapshotting")
    wait_until(lambda: pipeline.metric("cdc_sink_messages_total"), 20, "rows to be sent")
    stop_is_quick(pipeline)
    if "snapshot_completed" not in pipeline.text():
        assert json.loads(pipeline.committed() or "{}").get("snapshot") in (None, "INITIAL", True)
    pipeline.start()
    pipeline.await_state("streaming", 60)
    topic = f"{topic_prefix}.public.items"
    wait_until(lambda: len(consume_all(kafka.bootstrap, topic)) >= 100_000, 30, "all rows", 0.5)
    stop_is_quick(pipeline)


@pytest.mark.parametrize("what", ["bootstrap.servers", "database.port", "value.converter.schema.registry.url"])
def test_stop_within_the_first_tries(pipeline: Pipeline, options: Options, what: str) -> None:
    port = free_port()
    options[what] = {"bootstrap.servers": f"127.0.0.1:{port}", "database.port": str(port)}.get(
        what, f"http://127.0.0.1:{port}")
    pipeline.start()
    wait_until(lambda: "task_starting" in pipeline.text(), 20, "the first try")
    stop_is_quick(pipeline)


def test_stop_within_back_off(pipeline: Pipeline, options: Options, database: Database,
                              proxy: Callable[[Server], Proxy]) -> None:
    link = proxy(database.server)
    options |= {"database.port": str(link.port), "retriable.restart.connector.wait.ms": "60000"}
    pipeline.start()
    pipeline.await_state("streaming")
    link.cut()
    wait_until(lambda: pipeline.text().count("task_retrying") >= 4, 30, "some tries")
    stop_is_quick(pipeline)


def test_stop_while_a_slot_waits_for_a_transaction(pipeline: Pipeline, database: Database) -> None:
    with database.connect() as conn, conn.transaction():
        conn.execute("SELECT pg_current_xact_id()")
        pipeline.start()
        wait_until(lambda: database.execute("SELECT pid FROM pg_stat_activity WHERE query LIKE "
                                            "'CREATE_REPLICATION_SLOT%' AND state = 'active'"), 20, "the wait")
        stop_is_quick(pipeline)
