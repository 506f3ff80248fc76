"""Signals by all their ways, as a running service takes them, and what it tells of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from structlog.testing import capture_logs

from cdc.core.record import Message
from tests.conftest import BinlogDatabase, Database
from tests.fault.pipeline import source_options
from tests.integration.mysql_source import Reading, make_source
from tests.integration.pg_source import make_source as make_postgres
from tests.integration.test_pipeline import LINES
from tests.integration.test_rest_service import Service
from tests.servers.kafka import KafkaServer, create_topic, wait_for_messages
from tests.servers.process import wait_until

TABLES = """\
CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);
CREATE TABLE signals (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048));
INSERT INTO a VALUES (1), (2); INSERT INTO signals VALUES ('0', 'log', '{"message": "from before"}')"""


def log_signal(message: str) -> str:
    return json.dumps({"id": message, "type": "log", "data": {"message": message}})


@pytest.fixture(name="service")
def service_fixture(database: Database, kafka: KafkaServer, topic_prefix: str, tmp_path: Path) -> Iterator[Service]:
    """Not yet started. Signals wait in its topic and its file."""
    database.execute(TABLES)
    create_topic(kafka.bootstrap, f"{topic_prefix}-signal")
    send(kafka, topic_prefix, (topic_prefix, log_signal("kafka 1")), ("another", log_signal("another's")),
         (topic_prefix, "nonsense"))
    (tmp_path / "signals").write_text(log_signal("file 1") + "\n")
    with Service(tmp_path, {"worker.properties": {
        "bootstrap.servers": kafka.bootstrap, "listeners": "http://127.0.0.1:0", "offset.flush.interval.ms": "200",
        "offset.storage.file.filename": str(tmp_path / "offsets"), **LINES, "name": "shop",
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        **source_options(database.server, database.name, topic_prefix), "table.include.list": "public[.][ab]",
        "publication.autocreate.mode": "filtered", "publication.name": topic_prefix.lower(),
        "signal.data.collection": "public.signals", "signal.enabled.channels": "source,kafka,file,jmx",
        "signal.file": str(tmp_path / "signals"), "signal.poll.interval.ms": "100",
        "notification.enabled.channels": "sink,log", "notification.sink.topic.name": f"{topic_prefix}-notes",
    }}) as made:
        yield made


def send(kafka: KafkaServer, topic_prefix: str, *messages: tuple[str, str]) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for key, value in messages:
        producer.produce(f"{topic_prefix}-signal", value, key)
    assert not producer.flush(30)


def logged(service: Service, event: str) -> list[dict[str, Any]]:
    """Lines of *event* since the last start."""
    found = [json.loads(line) for line in service.text().splitlines() if line.endswith("}")]
    return [line for line in found if line["event"] == event]


def messages(service: Service) -> set[str]:
    return {line["message"] for line in logged(service, "signal_log")}


@pytest.mark.parametrize("postgres", ["postgres15"], indirect=True)
def test_each_channel_gives_a_signal_once(service: Service, database: Database, kafka: KafkaServer,
                                          topic_prefix: str, tmp_path: Path) -> None:
    service.begin()
    service.await_state("streaming", 60)
    database.execute("INSERT INTO signals VALUES ('1', 'log', '{}'), ('2', 'nonsense', '')")
    database.execute("""INSERT INTO signals VALUES ('3', 'log', '{"message": "table at {}"}')""")
    assert service.call("POST", "/connectors/shop/signals", json.loads(log_signal("rest"))) == (202, {"id": "rest"})
    wait_until(lambda: {"kafka 1", "file 1", "rest"} < messages(service), 60, "the signals")
    wait_until(lambda: any(each.startswith("table at {") for each in messages(service)), 60, "the table's signal")
    assert "another's" not in messages(service)
    assert [line["why"] for line in logged(service, "signal_ignored")
            if line["channel"] == "kafka"] == ["no JSON: Expecting value: line 1 column 1 (char 0)"]
    assert {line["type"]: line["why"] for line in logged(service, "signal_ignored") if "type" in line} == {
        "log": "its data has no message", "nonsense": "this type is not known"}
    rows = wait_for_messages(kafka.bootstrap, f"{topic_prefix}.public.signals", 3)
    assert [(json.loads(row.value or b"")["op"], json.loads(row.key or b"")["id"]) for row in rows] == [
        ("c", "1"), ("c", "2"), ("c", "3")], "the signal table's rows are events, and in no snapshot"

    wait_until(lambda: {"signal_kafka", "signal_file"} < service.offset().keys(), 30, "the marks")
    last = json.loads(rows[-1].value or b"")["source"]["lsn"]
    wait_until(lambda: service.offset()["lsn"] >= last, 30, "the signals of the table")
    wait_until(lambda: not list(tmp_path.glob("*.taken")), 30, "the file to go")
    assert (tmp_path / "signals").read_text() == ""
    service.kill()
    send(kafka, topic_prefix, (topic_prefix, log_signal("kafka 2")))
    (tmp_path / "signals").write_text(log_signal("file 2") + "\n")
    service.begin()
    wait_until(lambda: {"kafka 2", "file 2"} <= messages(service), 60, "the new signals")
    assert messages(service) == {"kafka 2", "file 2"}

    notes = [(json.loads(note.key or b""), json.loads(note.value or b"")) for note in wait_for_messages(
        kafka.bootstrap, f"{topic_prefix}-notes", 7)]
    assert [note["type"] for _, note in notes] == [
        "STARTED", *["IN_PROGRESS", "TABLE_SCAN_COMPLETED"] * 2, "COMPLETED", "SKIPPED"]
    assert all(key == {"id": note["id"]} for key, note in notes)
    assert notes[2][1]["additional_data"] == {
        "connector_name": topic_prefix, "scanned_collection": "public.a", "total_rows_scanned": "2",
        "status": "SUCCEEDED", "data_collections": "public.a,public.b,public.signals"}
    kept = service.call("GET", "/connectors/shop/notifications")[1]["notifications"]
    assert kept == [{**notes[6][1], "additional_data": {"connector_name": topic_prefix}}]
    assert len(logged(service, "notification")) == 1
    assert service.metric('cdc_notifications_total{connector="shop"') == 1
    assert service.call("GET", "/connectors/shop/snapshots") == (200, {"snapshots": []})

    send(kafka, topic_prefix, (topic_prefix, json.dumps(blocking("kafka"))))
    (tmp_path / "signals").write_text(json.dumps(blocking("file")) + "\n")
    assert service.call("POST", "/connectors/shop/signals", blocking("rest")) == (202, {"id": "rest"})
    data = json.dumps(blocking("source")["data"])
    database.execute(f"INSERT INTO signals VALUES ('table', 'execute-snapshot', '{data}')")
    wait_until(lambda: {line["id"] for line in logged(service, "blocking_snapshot_completed")} == {
        "kafka", "file", "rest", "table"}, 60, "the blocking snapshots")
    found = service.call("GET", "/connectors/shop/snapshots")[1]["snapshots"]
    assert [(each["kind"], each["state"], each["tables"][0]["rows"]) for each in found] == [
        ("blocking", "completed", 2)] * 4
    rows = wait_for_messages(kafka.bootstrap, f"{topic_prefix}.public.a", 2 + 4 * 2)
    assert [json.loads(row.value or b"")["op"] for row in rows] == ["r"] * 10
    wait_until(lambda: "blocking_snapshot" not in service.offset(), 30, "the offset")
    assert service.stop() == 0


def blocking(channel: str) -> dict[str, Any]:
    """A signal; each asks for something else, so that none is merged with another."""
    return {"id": channel, "type": "execute-snapshot", "data": {
        "type": "blocking", "data-collections": ["public.a"],
        "additional-conditions": [{"data-collection": "public.a", "filter": f"SELECT * FROM a /* {channel} */"}]}}


def test_the_signal_table_is_captured_whatever_the_lists_say(mysql_database: BinlogDatabase) -> None:
    database = mysql_database
    for statement in TABLES.split(";"):
        database.execute(statement)
    options = {"database.include.list": "nothing", "signal.data.collection": f"{database.name}.signals"}
    source = make_source(database, options)
    source.prefer_native()
    with capture_logs() as lines:
        try:
            source.start(None)
            reading = Reading(source, database)
            for number in range(4):
                database.execute(f"INSERT INTO a VALUES ({number + 3})")
                database.execute(f"""INSERT INTO signals VALUES ('{number}x', 'log', '{{"message": "{number}"}}')""")
                assert reading.changes(1)[0][2] == {
                    "id": f"{number}x", "type": "log", "data": f'{{"message": "{number}"}}'}
        finally:
            source.stop()
    assert [line["message"] for line in lines if line["event"] == "signal_log"] == ["0", "1", "2", "3"]


def told(records: list[Any]) -> list[str]:
    """Notifications by type and table, snapshot rows by table and marker, other rows by operation and table."""
    found = []
    for each in records:
        if isinstance(each, Message):
            _, type, _, data, _ = each.value
            about = data.get("scanned_collection") or data.get("current_collection_in_progress") or ""
            found.append(f"{type} {about.rpartition('.')[2]}".strip())
        else:
            marker = each.source.values[4]
            found.append(f"{each.table.id.table} {marker or each.op}")
    return found


EXPECTED = ["STARTED", "IN_PROGRESS a", "a first", "TABLE_SCAN_COMPLETED a", "IN_PROGRESS b",
            "a last_in_data_collection", "b first_in_data_collection", "TABLE_SCAN_COMPLETED b", "b last", "COMPLETED"]
NOTES = {"snapshot.mode": "initial", "notification.enabled.channels": "sink", "notification.sink.topic.name": "notes"}
ROWS = "; INSERT INTO b VALUES (1), (2)"


def snapshot_of(source: Any) -> list[Any]:
    """All records until the stream begins, and what is told after a restart."""
    source.prefer_native()
    found: list[Any] = []
    try:
        source.start(None)
        while source.state() != "streaming":
            batch = source.poll(1)
            found += [] if batch is None else batch.records
        assert [each.type for each in source.notifications()] == [
            each.split(" ")[0] for each in EXPECTED if each[0].isupper()]
        status, = source.snapshots()
        assert [(each.name.rpartition(".")[2], each.state, each.rows) for each in status.tables] == [
            ("a", "done", 2), ("b", "done", 2)]
        return found
    finally:
        source.stop()


@pytest.mark.parametrize("postgres", ["postgres15"], indirect=True)
def test_notifications_of_an_initial_snapshot_on_postgres(database: Database) -> None:
    database.execute(TABLES + ROWS)
    options = {**NOTES, "table.include.list": "public[.].*", "signal.data.collection": "public.signals"}
    source = make_postgres(database, options)
    assert told(snapshot_of(source)) == EXPECTED


def test_notifications_of_an_initial_snapshot_on_mysql(mysql_database: BinlogDatabase) -> None:
    for statement in (TABLES + ROWS).split(";"):
        mysql_database.execute(statement)
    options = {**NOTES, "signal.data.collection": f"{mysql_database.name}.signals"}
    assert told(snapshot_of(make_source(mysql_database, options))) == EXPECTED
