"""`cdc run WORKER` alone: a service to which a client posts connectors, which outlive the process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Database
from tests.fault.pipeline import Process, source_options
from tests.integration.test_pipeline import LINES
from tests.servers.kafka import KafkaServer, consume_all, wait_for_messages
from tests.servers.process import wait_until

pytestmark = pytest.mark.parametrize("postgres", ["postgres15"], indirect=True)


class Service(Process):
    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        request = urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode(),
                                         {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as exc:
            status, text = exc.code, exc.read()
        return status, json.loads(text) if text else None

    def begin(self) -> None:
        self.start()
        wait_until(lambda: bool(self.url), 60, "the service to listen")

    def offset(self) -> dict[str, Any]:
        found = self.call("GET", "/connectors/shop/offsets")[1]["offsets"]
        return dict(found[0]["offset"]) if found else {}


@pytest.fixture(name="service", params=["file", "topic"])
def service_fixture(request: pytest.FixtureRequest, database: Database, kafka: KafkaServer, topic_prefix: str,
                    tmp_path: Path) -> Iterator[Service]:
    """Not yet started; connectors and offsets are kept in a file, or in topics."""
    database.execute("CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items VALUES (1)")
    stores = {"offset.storage.file.filename": str(tmp_path / "offsets")} if request.param == "file" else {
        "offset.storage.topic": f"{topic_prefix}-offsets", "offset.storage.replication.factor": "1",
        "offset.storage.partitions": "1", "config.storage.topic": f"{topic_prefix}-configs",
        "config.storage.replication.factor": "1"}
    with Service(tmp_path, {"worker.properties": {
            "bootstrap.servers": kafka.bootstrap, "listeners": "http://127.0.0.1:0", "offset.flush.interval.ms": "200",
            **stores, **LINES}}) as made:
        yield made


def test_a_posted_connector_outlives_the_process(service: Service, database: Database, kafka: KafkaServer,
                                                 topic_prefix: str) -> None:
    topic = f"{topic_prefix}.public.items"
    config = {"connector.class": "io.debezium.connector.postgresql.PostgresConnector",
              **source_options(database.server, database.name, topic_prefix)}
    service.begin()
    assert service.call("GET", "/connectors") == (200, [])
    assert service.call("POST", "/connectors", {"name": "shop", "initial_state": "paused", "config": config})[0] == 201
    assert service.call("PUT", "/connectors/shop/resume")[0] == 202
    service.await_state("streaming", 60)
    wait_for_messages(kafka.bootstrap, topic, 1)
    wait_until(lambda: service.call("GET", "/connectors/shop/topics")[1] == {"shop": {"topics": [topic]}}, 30, "topics")

    service.call("PUT", "/connectors/shop/pause")
    service.await_state("paused")
    if "config.storage.topic" in service.files["worker.properties"]:
        kept = {(message.key or b"").decode(): json.loads(message.value or b"null")
                for message in consume_all(kafka.bootstrap, f"{topic_prefix}-configs")}
        assert kept == {"connector-shop": {"properties": {**config, "name": "shop"}},
                        "target-state-shop": {"state": "PAUSED", "state.v2": "PAUSED"}}, "as Kafka Connect writes them"
    database.execute("INSERT INTO items VALUES (2)")
    wait_until(lambda: bool(service.offset()), 30, "an offset")
    service.kill()
    service.begin()
    wait_until(lambda: service.state() == "paused", 60, "the pause to be known")
    assert len(consume_all(kafka.bootstrap, topic)) == 1, "a paused connector sends nothing"
    service.call("PUT", "/connectors/shop/resume")
    wait_for_messages(kafka.bootstrap, topic, 2)

    assert service.call("PUT", "/connectors/shop/stop")[0] == 204
    before = service.offset()
    assert service.call("PATCH", "/connectors/shop/offsets", {"offsets": [
        {"partition": {"server": topic_prefix}, "offset": {"nonsense": 1}}]})[0] == 400
    assert service.offset() == before
    assert service.call("DELETE", "/connectors/shop/offsets")[0] == 200
    assert service.offset() == {}
    database.execute("INSERT INTO items VALUES (3)")
    service.call("PUT", "/connectors/shop/resume")
    messages = wait_for_messages(kafka.bootstrap, topic, 5)
    ids = [json.loads(message.value or b"")["after"]["id"] for message in messages]
    assert ids == [1, 2, 1, 2, 3], "without an offset there is a snapshot again"

    assert service.call("DELETE", "/connectors/shop")[0] == 204
    assert service.stop() == 0
    service.begin()
    assert service.call("GET", "/connectors") == (200, [])
    assert service.stop() == 0
