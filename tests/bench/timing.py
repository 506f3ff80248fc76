"""W7, from commit to topic at a constant rate, and W8, from `cdc run` to the first event."""

from __future__ import annotations

import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

from confluent_kafka import Producer

from tests.servers.kafka import consume_all, create_topic

from .common import End, Measured, Sinks, cpu_seconds
from .gate import decoder
from .workloads import WORKLOADS, Database

_PLAIN: Final = WORKLOADS["W1"]
_LEAD_S: Final = 20.0
"""So long W7 writes before it counts: while the broker's JVM still compiles the code of small requests, on our two
cores, single records take up to 200 ms there."""


@dataclass(frozen=True, slots=True)
class Latency:
    """In ms, from the statement that wrote a row to the broker's timestamp of its record, whole ms."""

    count: int
    p50: float
    p99: float

    def __str__(self) -> str:
        return f"{self.count} transactions: p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms"


def latency(sinks: Sinks, database: Database, name: str, seconds: float, per_second: int) -> Latency:
    """All rows that were written must arrive, each once."""
    topic = _topic(database, name)
    create_topic(sinks.kafka.bootstrap, topic, config={"message.timestamp.type": "LogAppendTime"})
    with tempfile.TemporaryDirectory() as folder, database.draining(name, _PLAIN) as connector:
        database.offsets(Path(folder, "offsets"), name)
        with sinks.run(Path(folder), {"name": name, **connector}):
            skipped = written = database.write(_LEAD_S, per_second)
            _await(sinks, topic, written)
            written += database.write(seconds, per_second)
            _await(sinks, topic, written)
    decode = decoder(_PLAIN, sinks.registry.url)
    found = [(decode(each.value)["after"], each.timestamp_ms) for each in consume_all(sinks.kafka.bootstrap, topic)]
    assert len({after["id"] for after, _ in found}) == len(found) == written, "rows are missing, or came twice"
    took = sorted(arrived_ms - after["at"] / 1000 for after, arrived_ms in found[skipped:])
    return Latency(len(took), took[len(took) // 2], took[int(len(took) * 0.99)])


def start(sinks: Sinks, database: Database, name: str) -> Measured:
    """From the start of the process to the first record, which is in a topic that exists. A row or two are in the
    log."""
    topic = _topic(database, name)
    create_topic(sinks.kafka.bootstrap, topic)
    with tempfile.TemporaryDirectory() as folder, database.draining(name, _PLAIN) as connector:
        database.offsets(Path(folder, "offsets"), name)
        written = database.write(0.05, 20)
        with contextlib.closing(End(sinks.kafka, topic)) as end:
            end.offset()  # so that it has connected
            began = time.monotonic()
            with sinks.run(Path(folder), {"name": name, **connector}) as process:
                _until(end, min(1, written), 0.005)
                return Measured(1, time.monotonic() - began, cpu_seconds(process.pid))


def requests_s(sinks: Sinks, database: Database, name: str) -> float:
    """Seconds that registry and broker take for the first record of `start`, from a client that does nothing else: two
    new subjects, and the record."""
    topic = _topic(database, name)
    with contextlib.closing(End(sinks.kafka, topic)) as end:
        key, value = end.last_message()
    assert key is not None
    assert value is not None
    schemas = [_asked(f"{sinks.registry.url}/schemas/ids/{int.from_bytes(each[1:5], 'big')}")["schema"]
               for each in (key, value)]
    began = time.monotonic()
    for part, schema in zip(("key", "value"), schemas, strict=True):
        _asked(f"{sinks.registry.url}/subjects/{name}_bare-{part}/versions", schema.replace(name, f"{name}_bare"))
    # Idempotent, librdkafka would wait half a second before it asks for its producer's number.
    producer = Producer({"bootstrap.servers": sinks.kafka.bootstrap, "acks": "all", "linger.ms": 0})
    producer.produce(topic, value, key)
    assert producer.flush(30) == 0
    return time.monotonic() - began


def _topic(database: Database, name: str) -> str:
    """Of the table that `Database.write` fills."""
    return database.topic(name).replace("orders", "ticks")


def _asked(url: str, schema: str | None = None) -> Any:
    """What the registry answers; it registers *schema*, if one is given."""
    body = None if schema is None else json.dumps({"schema": schema}).encode()
    with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=30) as answer:
        return json.load(answer)


def _await(sinks: Sinks, topic: str, count: int) -> None:
    with contextlib.closing(End(sinks.kafka, topic)) as end:
        _until(end, count, 0.02)


def _until(end: End, count: int, look_s: float) -> None:
    deadline = time.monotonic() + 120
    while end.offset() < count:
        assert time.monotonic() < deadline, f"the topic does not get {count} records"
        time.sleep(look_s)


def median(values: Sequence[float]) -> str:
    return f"median {statistics.median(values):.2f} (min {min(values):.2f}, max {max(values):.2f})"
