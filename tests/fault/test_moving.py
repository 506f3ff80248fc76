"""GIVEN real Debezium connectors in a real Kafka Connect, and a database that is written all the time, WHEN `cdc
import` takes a connector over and later gives it back, THEN no change is missing, and none comes twice on the way
here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cdc.cli.main import cli
from tests.fault.items import Items, fresh_items
from tests.fault.pipeline import JSON, Process
from tests.fault.traffic import LAST, MOST_CHANGES, Writer
from tests.servers import fetch
from tests.servers.connect import ConnectServer
from tests.servers.kafka import KafkaMessage, KafkaServer, consume_all
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


class History:
    """The changes of each row, in order and without repeats: what was done, and the row's version after it (a deleted
    row has none). An update adds 1 to the version, so the versions show what is missing. `repeated`: what came again.
    `rows`: the table that a consumer keeps."""

    def __init__(self, messages: Sequence[KafkaMessage]) -> None:
        self.changes: dict[int, list[tuple[str, int | None]]] = {}
        self.repeated: list[tuple[int, str, int | None]] = []
        self.rows: dict[int, tuple[str, int]] = {}
        for message in messages:
            if message.value is None:
                continue
            id_, event = json.loads(message.key or b"")["id"], json.loads(message.value)
            row = event["after"]
            change = event["op"], row["version"] if row else None
            known = self.changes.setdefault(id_, [])
            if change in known:
                self.repeated.append((id_, *change))
                continue
            known.append(change)
            if row:
                self.rows[id_] = row["name"], row["version"]
            else:
                self.rows.pop(id_, None)

    def wrong(self) -> dict[int, Any]:
        """The rows of which a change is missing, or comes after a later one, or that were copied once more."""
        found: dict[int, Any] = {}
        for id_, changes in self.changes.items():
            ops, versions = "".join(op for op, _ in changes), [each for _, each in changes if each is not None]
            if not re.fullmatch("[cr]u*d?" if id_ <= 0 else "cu*d?", ops) or versions != list(range(len(versions))):
                found[id_] = changes
        written = [id_ for id_ in self.changes if 0 < id_ < LAST]
        return found | dict.fromkeys(set(range(1, max(written) + 1)).difference(written), "never came")


class Topic:
    """The events of the table."""

    def __init__(self, kafka: KafkaServer, name: str) -> None:
        self._kafka = kafka
        self._name = name

    def history(self) -> History:
        return History(consume_all(self._kafka.bootstrap, self._name))

    def wait_for(self, id_: int) -> None:
        wait_until(lambda: id_ in self.history().changes, 60, f"row {id_} in {self._name}", 0.5)


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
    """Rows are inserted, updated and deleted in transactions of several changes all the time."""
    name = f"moving-{topic_prefix}"
    topic = Topic(kafka, f"{topic_prefix}.{items.schema}.items")
    config = debezium(items, kafka, topic_prefix)
    here = Here(tmp_path, kafka, name, service="MariaDb" in config["connector.class"])
    items.add(-2, 0)  # for the snapshot
    connect.put(name, config)
    connect.wait_running(name)
    topic.wait_for(0)
    with here.process, Writer(items, 0.03) as writer:

        def streams(id_: int) -> None:
            """Whoever reads the log now delivers what is written now."""
            writer.goes_on(20)
            items.add(id_, id_)
            topic.wait_for(id_)

        streams(-10)
        wait_until(lambda: any({"messageType", "event"} & each["offset"].keys() for each in connect.offsets(name)), 30,
                   "an offset within a transaction")
        dry = cdc("import", connect.url, "--connector", name, "--dry-run", "--offset-topic", connect.offset_topic,
                  "--bootstrap-servers", kafka.bootstrap)
        assert "can be taken over" in dry
        assert connect.status(name) == ("RUNNING", ["RUNNING"]), "a dry run changes nothing"

        told = here.take(connect)
        assert "offset: it is within" in told
        assert connect.status(name) == ("STOPPED", [])
        streams(-11)
        back = here.give_back()
        found = topic.history()
        assert found.wrong() == {}, "no change is missing"
        assert found.repeated == [], "no change twice"
        assert {id_ for id_, changes in found.changes.items() if changes[0][0] == "r"} == {-2, -1, 0}

        status, answer = connect.request("PATCH", f"/connectors/{name}/offsets", back)
        assert status == 200, answer
        if config["connector.class"] != POSTGRES:
            connect.put(name, {**config, "snapshot.mode": "recovery",
                               "schema.history.internal.kafka.topic": f"{topic_prefix}-history-2"})
        assert connect.request("PUT", f"/connectors/{name}/resume")[0] == 202
        connect.wait_running(name)
        streams(-12)
    items.add(LAST, LAST)
    topic.wait_for(LAST)
    connect.stop_connector(name)
    assert connect.request("DELETE", f"/connectors/{name}")[0] == 204
    found = topic.history()
    assert found.wrong() == {}, "no change is missing after the way back, and nothing was copied again"
    assert len(found.repeated) <= MOST_CHANGES, "at most the transaction in which it ended here"
    assert found.rows == {id_: (text, version) for id_, text, version in items.execute(
        "SELECT id, name, version FROM items")}
