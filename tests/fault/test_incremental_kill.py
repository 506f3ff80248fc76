"""GIVEN a table that is copied beside the stream while it is written to, WHEN the copy is paused, stopped and asked for
again, the table altered, and the process killed in all of that, THEN the replayed topic is the table, and each start
goes on behind the last chunk.

How many rows and kills: tests/fault/copied.py.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.fault.copied import LONG, SEED, Kills, Table, Writer, await_last, fresh_table, is_the_table, repeated
from tests.fault.pipeline import Pipeline, Reader
from tests.servers.kafka import KafkaServer, create_topic
from tests.servers.process import wait_until
from tests.servers.registry import RegistryServer

ROWS = 400_000 if LONG else 20_000
KILLS = 20 if LONG else 5
CHUNK = 1000 if LONG else 200
KEY = "incremental_snapshot_collections"


_CASES = [("postgres18", "source"), ("mysql", "kafka"), ("mariadb", "source")]
_MORE = [("postgres18", "kafka"), ("mysql", "source"), ("mariadb", "kafka"), ("mysql", "file")] if LONG else []
_ACTIONS = ("stops", "pauses", "alters", "none")


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    with fresh_table(request.getfixturevalue(request.param), request.param, ROWS) as made:
        yield made


class Operator:
    """Somebody who sends signals by *channel* and looks at the answer."""

    def __init__(self, table: Table, pipeline: Pipeline, channel: str, kafka: KafkaServer, topic_prefix: str) -> None:
        self._table = table
        self._pipeline = pipeline
        self._prefix = topic_prefix
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap}) if channel == "kafka" else None
        self._file = pipeline.folder / "signals" if channel == "file" else None
        self._numbers = count(1)
        self.copy = ""
        """The id of the newest request."""

    def send(self, type: str, data: Mapping[str, Any]) -> str:
        id, text = f"s{next(self._numbers)}", json.dumps(data)
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"id": id, "type": type, "data": data}) + "\n")
        elif self._producer is None:
            self._table.execute(f"INSERT INTO signals VALUES ('{id}', '{type}', '{text}')")
        else:
            body = json.dumps({"id": id, "type": type, "data": text})
            self._producer.produce(f"{self._prefix}-signal", body, self._prefix, partition=0)
            assert self._producer.flush(30) == 0
        return id

    def asks(self) -> None:
        self.copy = self.send("execute-snapshot", {"data-collections": [f"{self._table.schema}.items"]})
        wait_until(self.state, 60, "the request to be taken")

    def stops_and_asks_again(self) -> None:
        self.send("stop-snapshot", {})
        self.awaits("stopped")
        self.asks()

    def pauses(self) -> None:
        self.send("pause-snapshot", {})
        self.awaits("paused")

    def awaits(self, state: str) -> None:
        """Until the copy is in this *state*, or complete."""
        wait_until(lambda: self.state() == state or self.complete(), 60, f"the copy to be {state}")

    def complete(self) -> bool:
        """Whether some attempt has read the last row of the newest request."""
        return any("incremental_snapshot_table" in line and f'"id": "{self.copy}"' in line and "SUCCEEDED" in line
                   for line in self._pipeline.text(0).splitlines())

    def resumes(self) -> None:
        self.send("resume-snapshot", {})

    def alters(self) -> None:
        self._table.execute(f"ALTER TABLE items ADD COLUMN more_{next(self._numbers)} int DEFAULT 7")

    def state(self) -> str:
        """Of the newest request; empty if it is not known, or while there is no answer."""
        try:
            answer = json.loads(self._pipeline.get("/connectors/shop/snapshots"))
        except (OSError, ValueError):
            return ""
        return next((str(each["state"]) for each in answer["snapshots"] if each["id"] == self.copy), "")


@pytest.mark.parametrize(("table", "channel"), _CASES + _MORE, indirect=["table"])
def test_a_copy_beside_the_stream_killed_anywhere_is_completed(
    table: Table, channel: str, kafka: KafkaServer, registry: RegistryServer, topic_prefix: str, tmp_path: Path,
) -> None:
    print(f"CDC_TEST_SEED={SEED}")
    topic = f"{topic_prefix}.{table.schema}.items"
    reader = Reader(kafka.bootstrap, registry.url)
    create_topic(kafka.bootstrap, f"{topic_prefix}-signal")
    table.execute("CREATE TABLE signals (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048))")
    signals = {"source": {"signal.data.collection": f"{table.schema}.signals"}, "kafka": {},
               "file": {"signal.file": str(tmp_path / "signals"), "signal.poll.interval.ms": "100"}}[channel]
    pick = random.Random(SEED)
    with Pipeline(tmp_path, kafka.bootstrap, registry.url, {
        **table.options(topic_prefix), **signals, "signal.enabled.channels": channel, "snapshot.mode": "no_data",
        "incremental.snapshot.watermarking.strategy": pick.choice(("INSERT_INSERT", "INSERT_DELETE")),
        "incremental.snapshot.chunk.size": str(CHUNK), "offset.flush.interval.ms": "60000"}) as pipeline:
        kills = Kills(pipeline, reader, topic, pick)
        operator = Operator(table, pipeline, channel, kafka, topic_prefix)
        pipeline.start()
        pipeline.await_state("streaming", 60)
        with Writer(table):
            operator.asks()
            begin = 0
            for number in range(KILLS):
                kills.wait(2 * ROWS // KILLS, lambda offset: operator.complete())
                action = _ACTIONS[number % 4] if number < 4 else pick.choice(_ACTIONS)
                if action == "stops" and number < KILLS // 3:
                    operator.stops_and_asks_again()
                    begin = reader.count(topic)
                elif action == "alters":
                    operator.alters()
                elif action == "pauses":
                    operator.pauses()
                kills.kill()
                if action == "pauses":
                    operator.awaits("paused")
                    operator.resumes()
            wait_until(lambda: operator.complete() and KEY not in kills.offset(), 300, "the copy to be complete")
        await_last(table, reader, topic)
        assert pipeline.stop() == 0
    events = list(reader.events(topic))
    is_the_table(table, events)
    again = repeated((each for each in events if each.kafka_offset >= begin), kills.ends)
    interrupted = sum(KEY in each for each in kills.committed)
    print(f"copied again after each kill: {again}, interrupted where it had progressed: {interrupted}")
    assert interrupted >= KILLS // 4, "the copy was interrupted where it had progressed"
    assert max(again) <= CHUNK, "each start repeats one chunk at most"
