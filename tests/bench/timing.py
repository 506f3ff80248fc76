"""W7, from commit to topic at a constant rate, and W8, from `cdc run` to the first event."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers.kafka import consume_all, create_topic

from .common import End, Sinks
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
    topic = database.topic(name).replace("orders", "ticks")
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


def start(sinks: Sinks, database: Database, name: str) -> float:
    """Seconds from the start of the process to the first record, one row being in the log."""
    topic = database.topic(name).replace("orders", "ticks")
    create_topic(sinks.kafka.bootstrap, topic)
    with tempfile.TemporaryDirectory() as folder, database.draining(name, _PLAIN) as connector:
        database.offsets(Path(folder, "offsets"), name)
        written = database.write(0.05, 20)
        began = time.monotonic()
        with sinks.run(Path(folder), {"name": name, **connector}):
            _await(sinks, topic, min(1, written))
            return time.monotonic() - began


def _await(sinks: Sinks, topic: str, count: int) -> None:
    deadline = time.monotonic() + 120
    with contextlib.closing(End(sinks.kafka, topic)) as end:
        while end.offset() < count:
            assert time.monotonic() < deadline, f"{topic} does not get {count} records"
            time.sleep(0.02)


def median(values: Sequence[float]) -> str:
    return f"median {statistics.median(values):.2f} (min {min(values):.2f}, max {max(values):.2f})"
