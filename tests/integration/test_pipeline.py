"""`cdc run` from a real database to a real broker, or to files, as a consumer sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.conftest import Database
from tests.fault.pipeline import AVRO, JSON, Direct, Event, Pipeline, Process, Reader, source_options
from tests.integration.test_kafka_sink import murmur2
from tests.servers.kafka import KafkaMessage, KafkaServer, consume_all, wait_for_messages
from tests.servers.process import wait_until
from tests.servers.registry import RegistryServer

TABLE = "CREATE TABLE items (id int PRIMARY KEY, name text, price numeric(10,2)); "
pytestmark = pytest.mark.parametrize("postgres", ["postgres15"], indirect=True)
LINES = {"key.converter": JSON, "key.converter.schemas.enable": "false",
         "value.converter": JSON, "value.converter.schemas.enable": "false"}
Options = dict[str, str]


@pytest.fixture(name="pipeline")
def pipeline_fixture(database: Database, kafka: KafkaServer, registry: RegistryServer, topic_prefix: str,
                     tmp_path: Path) -> Iterator[Pipeline]:
    """Not yet started; the table has two rows."""
    database.execute(TABLE + "INSERT INTO items VALUES (1, 'one', 1.10), (2, 'two', NULL)")
    with Pipeline(tmp_path, kafka.bootstrap, registry.url,
                  source_options(database.server, database.name, topic_prefix)) as pipeline:
        yield pipeline


@pytest.fixture(name="options")
def options_fixture(pipeline: Pipeline) -> Options:
    """To be changed before the start."""
    return pipeline.files["pipeline.properties"]


@pytest.fixture(name="topic")
def topic_fixture(topic_prefix: str) -> str:
    return f"{topic_prefix}.public.items"


@pytest.fixture(name="reader")
def reader_fixture(kafka: KafkaServer, registry: RegistryServer) -> Reader:
    return Reader(kafka.bootstrap, registry.url)


def streaming(pipeline: Process) -> None:
    pipeline.start()
    pipeline.await_state("streaming")


def events_of(reader: Reader, topic: str, count: int) -> list[Event]:
    """Exactly *count*."""
    wait_until(lambda: reader.count(topic) >= count, 30, f"{count} events in {topic}", 0.1)
    events = list(reader.events(topic))
    assert len(events) == count
    return events


def test_snapshot_then_stream(pipeline: Pipeline, reader: Reader, database: Database, topic: str) -> None:
    streaming(pipeline)
    database.execute("INSERT INTO items VALUES (3, 'three', 3.30)")
    database.execute("UPDATE items SET name = 'zwei' WHERE id = 2")
    database.execute("DELETE FROM items WHERE id = 1")
    database.execute("UPDATE items SET id = 4 WHERE id = 3")
    events = events_of(reader, topic, 9)
    assert [(event.op, (event.key or {})["id"]) for event in events] == [
        ("r", 1), ("r", 2), ("c", 3), ("u", 2), ("d", 1), ("tombstone", 1), ("d", 3), ("tombstone", 3), ("c", 4)]
    assert [str((event.row or {}).get("price")) for event in events[:4]] == ["1.10", "None", "3.30", "None"]
    assert events[4].value is not None
    assert (events[4].value["before"]["id"], events[4].value["after"]) == (1, None)
    snapshots = [event.value["source"]["snapshot"] for event in events[:3] if event.value]
    assert snapshots == ["first", "last", "false"]
    assert pipeline.stop() == 0
    streaming(pipeline)
    database.execute("INSERT INTO items VALUES (5, 'five', 5)")
    assert events_of(reader, topic, 10)[-1].key == {"id": 5}
    assert pipeline.stop() == 0


def test_a_direct_copy_beside_a_service(pipeline: Pipeline, reader: Reader, database: Database, topic: str,
                                        tmp_path: Path) -> None:
    """It sends what the first copy has sent, is refused while that is not safe, and touches nothing of the service."""
    streaming(pipeline)
    wait_until(lambda: reader.count(topic) == 2 and pipeline.committed() is not None, 30, "the first copy")
    service = list(reader.events(topic))
    with Direct(tmp_path / "direct", pipeline.files) as direct:
        assert "runs: process" in direct.run("--table", "ITEMS", code=5)
        other = ("--set", f"offset.storage.file.filename={tmp_path / 'other'}")
        assert "is in use (server process" in direct.run("--table", "ITEMS", *other, code=5)
        assert not (tmp_path / "other").exists()
        database.execute("INSERT INTO items VALUES (3, 'three', 3.30)")
        wait_until(lambda: reader.count(topic) == 3, 30, "a change of the service")
        database.execute("CREATE FUNCTION early(int) RETURNS boolean LANGUAGE sql AS 'SELECT $1 < 3'")
        assert "can come after a newer change. It runs" in direct.run(
            "--table", "ITEMS", "--where", "name LIKE 'o%' AND early(id) -- 1", "--beside-service", code=0)
        found = events_of(reader, topic, 4)[-1]
        assert plain(found) == {**plain(service[0]), "snapshot": "last"}
        database.execute("INSERT INTO items VALUES (4, 'four', 4)")
        assert events_of(reader, topic, 5)[-1].op == "c", "the service goes on"
        assert pipeline.stop() == 0

        before = stored_things(pipeline, database)
        said = direct.run("--threads", "2", code=0)
        assert "public.items: copied, 4 rows" in said
        assert [plain(each) for each in events_of(reader, topic, 9)[-4:]] == [
            {**plain(service[0]), "snapshot": "first"}, {**plain(service[1]), "snapshot": "true"},
            *({"op": "r", "key": {"id": number}, "row": {"id": number, "name": name, "price": price},
               "snapshot": marker} for number, name, price, marker in (
                (3, "three", Decimal("3.30"), "true"), (4, "four", Decimal("4.00"), "last")))]
        assert len(reader.schema_ids(topic)) == 1, "of the values, whoever has sent them"
        for condition in ("nothing = 1", "id < 1) OR (id > 1", "id > 1 THEN TRUE END); SELECT (CASE WHEN TRUE"):
            assert "The server does not take the condition for the rows of public.items." in direct.run(
                "--table", "items", "--where", condition, code=1)
        assert stored_things(pipeline, database) == before


def plain(event: Event) -> dict[str, Any]:
    return {"op": event.op, "key": event.key, "row": event.row, "snapshot": event.source["snapshot"]}


def stored_things(pipeline: Pipeline, database: Database) -> tuple[Any, ...]:
    """What a service leaves behind: its offsets, its slot and its publication."""
    return (pipeline.offsets.read_bytes(), database.execute(
        "SELECT slot_name::text, restart_lsn::text, confirmed_flush_lsn::text FROM pg_replication_slots"),
        database.execute("SELECT p.oid::int8, r.prrelid::int8 FROM pg_publication p JOIN pg_publication_rel r"
                         " ON r.prpubid = p.oid"))


def test_two_connectors_in_one_process(pipeline: Pipeline, options: Options, reader: Reader, database: Database,
                                       topic_prefix: str) -> None:
    """A worker file and two connectors' files, each with its own table, slot and offsets."""
    worker = {key: text for key, text in options.items()
              if key.startswith(("bootstrap", "offset", "listeners", "key.", "value."))}
    files = {"worker.properties": worker}
    for name in ("west", "east"):
        database.execute(f"CREATE TABLE {name} (id int PRIMARY KEY); INSERT INTO {name} VALUES (1)")
        prefix = f"{topic_prefix}{name}"
        files[f"{name}.properties"] = {
            key: text for key, text in options.items() if key not in worker} | {
            "name": name, "topic.prefix": prefix, "slot.name": prefix, "publication.name": name,
            "publication.autocreate.mode": "filtered", "table.include.list": f"public.{name}"}
    with Process(pipeline.folder, files) as process:
        process.start()
        for name in ("west", "east"):
            process.await_state("streaming", connector=name)
            database.execute(f"INSERT INTO {name} VALUES (2)")
        for name in ("west", "east"):
            events = events_of(reader, f"{topic_prefix}{name}.public.{name}", 2)
            assert [(event.op, event.key) for event in events] == [("r", {"id": 1}), ("c", {"id": 2})]
            assert json.loads(process.get(f"/connectors/{name}/status"))["tasks"][0]["state"] == "RUNNING"
        assert json.loads(process.get("/connectors")) == ["west", "east"]
        assert process.stop() == 0


@pytest.mark.parametrize("schemas", [False, True])
def test_json(pipeline: Pipeline, options: Options, kafka: KafkaServer, topic: str, schemas: bool) -> None:
    options |= LINES | {f"{side}.converter.schemas.enable": str(schemas).lower() for side in ("key", "value")}
    streaming(pipeline)
    messages = wait_for_messages(kafka.bootstrap, topic, 2)
    assert pipeline.stop() == 0
    key, value = (json.loads(part or b"") for part in (messages[0].key, messages[0].value))
    if schemas:
        assert key["schema"]["fields"] == [{"type": "int32", "optional": False, "field": "id"}]
        assert value["schema"]["name"] == f"{topic}.Envelope"
        key, value = key["payload"], value["payload"]
    assert key == {"id": 1}
    assert (value["op"], value["after"]) == ("r", {"id": 1, "name": "one", "price": "bg=="})


def test_keys_are_where_java_puts_them(pipeline: Pipeline, options: Options, kafka: KafkaServer, database: Database,
                                       topic: str) -> None:
    options |= {"topic.creation.default.partitions": "3", "topic.creation.default.replication.factor": "1"}
    database.execute("INSERT INTO items SELECT g, 'row' FROM generate_series(3, 100) g")
    streaming(pipeline)
    messages = wait_for_messages(kafka.bootstrap, topic, 100)
    assert pipeline.stop() == 0
    assert len(AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(topic, 10).topics[topic].partitions) == 3
    assert {message.kafka_partition for message in messages} == {0, 1, 2}
    for message in messages:
        assert message.key is not None
        assert message.kafka_partition == (murmur2(message.key) & 0x7FFFFFFF) % 3


def failed(pipeline: Pipeline) -> str:
    """What is said at the end of a process that ends by itself with code 1."""
    assert pipeline.end(30) == 1
    text = pipeline.text()
    assert "Traceback" not in text
    return " ".join(text[text.rindex("\ncdc: "):].split())


def test_a_record_too_large_ends_the_task(pipeline: Pipeline, options: Options, kafka: KafkaServer,
                                          database: Database, topic: str) -> None:
    """Table, key and the fix are named, the value is not shown; once that is done the pipeline goes on."""
    options |= LINES
    streaming(pipeline)
    database.execute("INSERT INTO items VALUES (7, repeat('huge', 500000))")
    database.execute("INSERT INTO items VALUES (8, 'eight')")
    said = failed(pipeline)
    for part in ("public.items", '{"id":7}', "max.request.size", "max.message.bytes"):
        assert part in said
    assert "hugehuge" not in pipeline.text()
    options |= {"producer.override.max.request.size": "4000000", "topic.creation.default.partitions": "1",
                "topic.creation.default.replication.factor": "1"}
    database.execute("DELETE FROM items WHERE id = 8")
    alter_topic(kafka, topic, "max.message.bytes", "4000000")
    streaming(pipeline)
    wait_for_messages(kafka.bootstrap, topic, 6)
    assert keys(kafka, topic) == [1, 2, 7, 8, 8, 8]
    assert pipeline.stop() == 0


def alter_topic(kafka: KafkaServer, topic: str, name: str, text: str) -> None:
    entry = ConfigEntry(name, text, incremental_operation=AlterConfigOpType.SET)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(10)


def keys(kafka: KafkaServer, topic: str) -> list[int]:
    return [json.loads(message.key or b"")["id"] for message in consume_all(kafka.bootstrap, topic)]


def test_a_failed_task_shows_while_another_runs(pipeline: Pipeline, options: Options, database: Database) -> None:
    """The process stays for the sake of the other, which an old Strimzi resource configures; the status has the reason.
    """
    database.execute("CREATE TABLE other (id int PRIMARY KEY)")
    worker = {key: text for key, text in (options | LINES).items()
              if key.startswith(("bootstrap", "offset", "listeners", "key.", "value."))}
    first = {key: text for key, text in options.items() if key not in worker} | {"table.include.list": "public.items"}
    second = {key: text for key, text in first.items() if key not in (
        "name", "connector.class", "topic.prefix", "table.include.list")}
    second |= {"slot.name": first["slot.name"] + "o", "table.whitelist": "public.other",
               "database.server.name": first["topic.prefix"] + "o"}
    other = {"apiVersion": "kafka.strimzi.io/v1beta2", "kind": "KafkaConnector", "metadata": {"name": "other"},
             "spec": {"class": first["connector.class"], "tasksMax": 1, "config": second}}
    with Process(pipeline.folder, {"worker.properties": worker, "a.properties": first, "b.yaml": other}) as both:
        both.start()
        both.await_state("streaming")
        both.await_state("streaming", connector="other")
        database.execute("INSERT INTO items VALUES (7, repeat('huge', 500000))")
        both.await_state("failed")
        task = json.loads(both.get("/connectors/shop/status"))["tasks"][0]
        assert task["state"] == "FAILED"
        assert "public.items" in task["trace"]
        assert both.state("other") == "streaming"
        assert both.stop() == 1


@pytest.mark.parametrize(("mode", "tolerance"), [("warn", "none"), ("fail", "none"), ("fail", "all")])
def test_a_value_that_cannot_be_converted(pipeline: Pipeline, options: Options, kafka: KafkaServer,
                                          database: Database, topic: str, mode: str, tolerance: str) -> None:
    letters = f"{topic}.dead"
    options |= LINES | {
        "event.converting.failure.handling.mode": mode, "errors.tolerance": tolerance, "errors.log.enable": "true",
        "errors.log.include.messages": "true", "errors.deadletterqueue.topic.name": letters,
        "errors.deadletterqueue.topic.replication.factor": "1", "errors.deadletterqueue.context.headers.enable": "true"}
    streaming(pipeline)
    database.execute("INSERT INTO items VALUES (7, 'secret name', 'NaN')")
    database.execute("INSERT INTO items VALUES (8, 'eight', 8)")
    if (mode, tolerance) == ("fail", "none"):
        said = failed(pipeline)
        assert "public.items" in said
        assert "price" in said
        assert keys(kafka, topic) == [1, 2]
    else:
        wanted = [1, 2, 7, 8] if mode == "warn" else [1, 2, 8]
        wait_for_messages(kafka.bootstrap, topic, len(wanted))
        assert keys(kafka, topic) == wanted
        stage = "column" if mode == "warn" else "convert"
        assert pipeline.metric(f'cdc_errors_total{{connector="shop",stage="{stage}"') == 1
        left_out = mode == "fail"
        assert pipeline.metric('cdc_dead_letters_total{connector="shop"') == left_out
        assert pipeline.stop() == 0
        if left_out:
            (letter,) = wait_for_messages(kafka.bootstrap, letters, 1)
            assert json.loads(letter.key or b"") == {"id": 7}
            assert json.loads(letter.value or b"")["after"] == {"id": 7, "name": "secret name", "price": "NaN"}
            headers = dict(letter.headers)
            assert headers["__connect.errors.topic"] == topic.encode()
            assert headers["__connect.errors.stage"] == b"VALUE_CONVERTER"
            assert headers["__connect.errors.class.name"] == JSON.encode()
    assert "secret name" not in pipeline.text()


def test_transforms_change_what_arrives_until_one_fails(pipeline: Pipeline, options: Options, kafka: KafkaServer,
                                                        database: Database, topic: str) -> None:
    """What precedes the record on which a transform fails arrives; the error has Kafka Connect's words."""
    options |= LINES | {
        "transforms": "site,route,note,mask", "transforms.site.type": "InsertField$Value",
        "transforms.site.static.field": "site", "transforms.site.static.value": "x",
        "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.route.regex": "(.*)items", "transforms.route.replacement": "$1goods",
        "transforms.note.type": "InsertHeader", "transforms.note.header": "n", "transforms.note.value.literal": "3.5",
        "transforms.note.predicate": "goods", "predicates": "goods", "predicates.goods.type": "TopicNameMatches",
        "predicates.goods.pattern": ".*goods", "transforms.mask.type": "MaskField$Value",
        "transforms.mask.fields": "op", "transforms.mask.replacement": "***"}
    streaming(pipeline)
    database.execute("DELETE FROM items WHERE id = 1")
    said = failed(pipeline)
    goods = topic.replace("items", "goods")
    values = [json.loads(message.value or b"") for message in wait_for_messages(kafka.bootstrap, goods, 3)]
    assert [(value["op"], value["site"], (value["after"] or value["before"])["id"]) for value in values] == [
        ("***", "x", 1), ("***", "x", 2), ("***", "x", 1)]
    assert all(("n", b"3.5") in message.headers for message in consume_all(kafka.bootstrap, goods))
    for part in ("Only Map objects supported in absence of schema for [mask fields], found: null", "transform=mask",
                 "TRANSFORMATION", "org.apache.kafka.connect.errors.DataException"):
        assert part in said


# Without a broker


def lines_of(path: Path, count: int) -> list[dict[str, Any]]:
    def text() -> str:
        return path.read_text(encoding="utf-8") if path.exists() else ""

    wait_until(lambda: text().count("\n") >= count, 30, f"{count} lines in {path.name}")
    return [json.loads(line) for line in text().splitlines()]


@pytest.mark.parametrize("sink", ["stdout", "file"])
def test_lines_of_json(pipeline: Pipeline, options: Options, database: Database, topic: str, tmp_path: Path,
                       sink: str) -> None:
    del options["bootstrap.servers"]
    path = tmp_path / ("stdout" if sink == "stdout" else "events.jsonl")
    options |= LINES | {"sink.type": sink} | ({"sink.file.path": str(path)} if sink == "file" else {})
    streaming(pipeline)
    database.execute("DELETE FROM items WHERE id = 2")
    lines = lines_of(path, 4)
    assert pipeline.stop() == 0
    assert [(line["topic"], line["key"]) for line in lines] == [(topic, {"id": 1}), *[(topic, {"id": 2})] * 3]
    assert [line["value"] and line["value"]["op"] for line in lines] == ["r", "r", "d", None]
    streaming(pipeline)
    database.execute("INSERT INTO items VALUES (3)")
    assert lines_of(path, 5)[4]["value"]["after"] == {"id": 3, "name": None, "price": None}
    assert pipeline.stop() == 0


def test_avro_files(pipeline: Pipeline, options: Options, database: Database, topic: str, tmp_path: Path) -> None:
    del options["bootstrap.servers"]
    folder = tmp_path / "events"
    options |= {"sink.type": "file", "sink.file.path": str(folder), "sink.file.format": "avro"}
    for side in ("key", "value"):
        options |= {f"{side}.converter": AVRO, f"{side}.converter.schema.registry.url": "mock://x"}
    streaming(pipeline)
    database.execute("ALTER TABLE items ADD color text")
    database.execute("INSERT INTO items VALUES (3, 'three', 3.30, 'red')")
    wait_until(lambda: pipeline.metric("cdc_records_sent_total") == 3, 30, "three records")
    assert pipeline.stop() == 0
    found: list[Any] = []
    for path in sorted(folder.glob("*.avro")):
        assert path.name.startswith(topic)
        with path.open("rb") as file:
            found += fastavro.reader(file)
    assert [(value["op"], value["after"]["id"], str(value["after"]["price"])) for value in found] == [
        ("r", 1, "1.10"), ("r", 2, "None"), ("c", 3, "3.30")]
    assert found[2]["after"]["color"] == "red"


# What comes beside the changes


def test_heartbeats_and_their_query(pipeline: Pipeline, options: Options, kafka: KafkaServer, database: Database,
                                    topic_prefix: str) -> None:
    """With nothing to capture the position goes on all the same."""
    database.execute("CREATE TABLE beats (at timestamptz)")
    options |= LINES | {"heartbeat.interval.ms": "200", "table.include.list": "public.items",
                        "heartbeat.action.query": "INSERT INTO beats VALUES (now())"}
    streaming(pipeline)
    beats = wait_for_messages(kafka.bootstrap, f"__debezium-heartbeat.{topic_prefix}", 3)
    assert json.loads(beats[0].key or b"") == {"serverName": topic_prefix}
    times = [json.loads(beat.value or b"")["ts_ms"] for beat in beats]
    assert times == sorted(times)
    wait_until(lambda: database.execute("SELECT count(*) FROM beats")[0][0] >= 3, 20, "the query to run")
    slot = f"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{options['slot.name']}'"
    before = database.execute(slot)
    wait_until(lambda: database.execute(slot) != before, 20, "the slot to move on")
    assert pipeline.stop() == 0


def test_transactions(pipeline: Pipeline, options: Options, kafka: KafkaServer, database: Database, topic: str,
                      topic_prefix: str) -> None:
    options |= LINES | {"provide.transaction.metadata": "true", "snapshot.mode": "no_data"}
    streaming(pipeline)
    with database.connect() as conn, conn.transaction():
        conn.execute("INSERT INTO items VALUES (3), (4)")
        conn.execute("DELETE FROM items WHERE id = 1")
    messages = wait_for_messages(kafka.bootstrap, f"{topic_prefix}.transaction", 2)
    begin, end = (json.loads(message.value or b"") for message in messages)
    assert (begin["status"], end["status"]) == ("BEGIN", "END")
    assert {json.loads(message.key or b"")["id"] for message in messages} == {begin["id"], end["id"]}
    assert begin["id"].partition(":")[0] == end["id"].partition(":")[0]
    assert end["event_count"] == 3
    assert end["data_collections"] == [{"data_collection": "public.items", "event_count": 3}]
    changes = [json.loads(message.value) for message in wait_for_messages(kafka.bootstrap, topic, 4) if message.value]
    assert [change["transaction"]["total_order"] for change in changes] == [1, 2, 3]
    assert {change["transaction"]["id"].partition(":")[0] for change in changes} == {begin["id"].partition(":")[0]}
    assert pipeline.stop() == 0


def test_a_message_and_a_truncate(pipeline: Pipeline, options: Options, kafka: KafkaServer, database: Database,
                                  topic: str, topic_prefix: str) -> None:
    options |= LINES | {"skipped.operations": "none", "snapshot.mode": "no_data"}
    streaming(pipeline)
    database.execute("SELECT pg_logical_emit_message(true, 'billing', 'closed')")
    database.execute("TRUNCATE items")
    (message,) = wait_for_messages(kafka.bootstrap, f"{topic_prefix}.message", 1)
    (truncate,) = wait_for_messages(kafka.bootstrap, topic, 1)
    assert pipeline.stop() == 0
    assert op_of(message) == "m"
    assert (op_of(truncate), truncate.key) == ("t", None)


def op_of(message: KafkaMessage) -> str:
    return str(json.loads(message.value or b"")["op"])
