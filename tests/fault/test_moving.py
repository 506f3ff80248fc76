"""GIVEN real Debezium connectors in a real Kafka Connect, and a database that is written all the time, WHEN `cdc
import` takes a connector over and later gives it back, THEN no row is missing, and none comes twice on the way here."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from click.testing import CliRunner

from cdc.cli.main import cli
from tests.fault.items import Items, fresh_items
from tests.fault.pipeline import JSON, Process
from tests.servers import fetch
from tests.servers.connect import ConnectServer
from tests.servers.kafka import KafkaServer, consume_all
from tests.servers.process import ServerUnavailableError, wait_until

PLAIN = {f"{side}.converter{key}": text for side in ("key", "value")
         for key, text in (("", JSON), (".schemas.enable", "false"))}
POSTGRES = "io.debezium.connector.postgresql.PostgresConnector"


@pytest.fixture(scope="module")
def connect(kafka: KafkaServer) -> Iterator[ConnectServer]:
    """One for all tests of this module: it takes 5 s to start."""
    try:
        with ConnectServer(kafka.bootstrap, "moving") as server:
            yield server
    except ServerUnavailableError as exc:
        if fetch.in_ci():
            pytest.fail(f"Kafka Connect: {exc}", pytrace=False)
        pytest.skip(f"Kafka Connect: {exc}")


@pytest.fixture(name="items", params=["postgres18", "mysql", "mariadb"])
def items_fixture(request: pytest.FixtureRequest) -> Iterator[Items]:
    with fresh_items(request.getfixturevalue(request.param)) as items:
        yield items


class Writer:
    """Adds rows, three in a transaction, until it is left. `last` is the last id that was committed."""

    def __init__(self, items: Items) -> None:
        self._items = items
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.last = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: object, trace: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.01):
            self._items.add(self.last + 1, self.last + 3)
            self.last += 3


class Topic:
    """The events of the table."""

    def __init__(self, kafka: KafkaServer, name: str) -> None:
        self._kafka = kafka
        self._name = name

    def times(self) -> Counter[int]:
        """How often each row was delivered."""
        found = [json.loads(message.value or b"") for message in consume_all(self._kafka.bootstrap, self._name)]
        assert {each["op"] for each in found} <= {"r", "c"}
        return Counter(each["after"]["id"] for each in found)

    def wait_for(self, id_: int) -> None:
        wait_until(lambda: id_ in self.times(), 60, f"row {id_} in {self._name}", 0.3)


def cdc(*arguments: str) -> str:
    """What the command printed on standard output; it must end well and quietly."""
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert result.exception is None, result.output
    assert result.return_value in (0, None), result.output
    return result.stdout


def debezium(items: Items, kafka: KafkaServer, topic_prefix: str) -> dict[str, str]:
    """A connector as Debezium takes it."""
    config = {"connector.class": POSTGRES, **items.options(topic_prefix), **PLAIN}
    if config["connector.class"] == POSTGRES:
        return {**config, "publication.name": topic_prefix, "publication.autocreate.mode": "filtered"}
    disabled = "disabled" if "MySql" in config["connector.class"] else "disable"
    return {**config, "database.ssl.mode": disabled, "schema.history.internal.kafka.bootstrap.servers": kafka.bootstrap,
            "schema.history.internal.kafka.topic": f"{topic_prefix}-history"}


class Here:
    """`cdc run`, with the connector in a file, or as a service that gets it over REST."""

    def __init__(self, folder: Path, kafka: KafkaServer, name: str, *, service: bool) -> None:
        self.service = service
        self.folder = folder
        self.name = name
        worker = {"bootstrap.servers": kafka.bootstrap, "offset.storage.file.filename": str(folder / "offsets"),
                  "offset.flush.interval.ms": "1000", "listeners": "http://127.0.0.1:0"}
        self.process = Process(folder, {"worker.properties": worker})
        self.worker = str(folder / "worker.properties")

    def take(self, connect: ConnectServer) -> str:
        """What `cdc import` printed; the connector runs here then."""
        if self.service:
            self.process.start()
            wait_until(lambda: self.process.url, 30, "the service to listen")
            told = cdc("import", connect.url, "--connector", self.name, "--to", self.process.url)
            assert "It runs in" in told
            return told
        Path(self.worker).write_text("".join(f"{key}={text}\n" for key, text in
                                             self.process.files["worker.properties"].items()))
        told = cdc("import", connect.url, "--connector", self.name, "--worker", self.worker, "--out", str(self.folder))
        file = self.folder / f"{self.name}.json"
        assert f"cdc run {self.worker} {file}" in told
        assert file.stat().st_mode & 0o777 == 0o600
        self.process.files[file.name] = json.loads(file.read_text())
        self.process.start()
        return told

    def give_back(self) -> dict[str, Any]:
        """Stop it here. What `cdc offsets export` prints for Kafka Connect."""
        form = ("--connector", self.name, "--format", "connect")
        if self.service:
            cdc("stop", self.name, "--url", self.process.url)
            told = cdc("offsets", "export", "--url", self.process.url, *form)
            self.process.stop()
        else:
            assert self.process.stop() == 0
            told = cdc("offsets", "export", self.worker, *form)
        return dict(json.loads(told))


def test_a_connector_is_taken_over_and_given_back(items: Items, connect: ConnectServer, kafka: KafkaServer,
                                                   topic_prefix: str, tmp_path: Path) -> None:
    name = f"moving-{topic_prefix}"
    topic = Topic(kafka, f"{topic_prefix}.{items.schema}.items")
    config = debezium(items, kafka, topic_prefix)
    binlog = config["connector.class"] != POSTGRES
    here = Here(tmp_path, kafka, name, service="MariaDb" in config["connector.class"])
    items.add(-2, 0)  # for the snapshot
    connect.put(name, config)
    connect.wait_running(name)
    with Writer(items) as writer, here.process:
        topic.wait_for(0)
        wait_until(lambda: writer.last > 60, 30, "some rows")
        topic.wait_for(60)
        wait_until(lambda: any({"messageType", "event"} & each["offset"].keys() for each in connect.offsets(name)), 30,
                   "an offset within a transaction")
        dry = cdc("import", connect.url, "--connector", name, "--dry-run", "--offset-topic", connect.offset_topic,
                  "--bootstrap-servers", kafka.bootstrap)
        assert "can be taken over" in dry
        assert connect.status(name) == ("RUNNING", ["RUNNING"]), "a dry run changes nothing"

        told = here.take(connect)
        assert "offset: it is within" in told
        assert connect.status(name) == ("STOPPED", [])
        streamed = writer.last
        wait_until(lambda: writer.last > streamed + 30, 30, "more rows")
        topic.wait_for(streamed + 30)
        back = here.give_back()
        times = topic.times()
        assert sorted(times) == list(range(-2, max(times) + 1)), "no row is missing"
        assert set(times.values()) == {1}, f"no row twice: {[id_ for id_, count in times.items() if count > 1]}"

        status, answer = connect.request("PATCH", f"/connectors/{name}/offsets", back)
        assert status == 200, answer
        if binlog:
            connect.put(name, {**config, "snapshot.mode": "recovery",
                               "schema.history.internal.kafka.topic": f"{topic_prefix}-history-2"})
        assert connect.request("PUT", f"/connectors/{name}/resume")[0] == 202
        connect.wait_running(name)
        given_back = writer.last
        wait_until(lambda: writer.last > given_back + 30, 30, "more rows")
        writer.end()
        topic.wait_for(writer.last)
        connect.stop_connector(name)
    assert connect.request("DELETE", f"/connectors/{name}")[0] == 204
    times = topic.times()
    assert sorted(times) == list(range(-2, writer.last + 1)), "no row is missing after the way back"
