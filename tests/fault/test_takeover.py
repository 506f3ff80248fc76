"""GIVEN a process whose queue is full of changes, WHEN it is paused and a second one is started, THEN only one of them
goes on, and the replayed topic is the table."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fault.items import Items, fresh_items
from tests.fault.pipeline import JSON, Pipeline
from tests.servers.kafka import KafkaServer, consume_all
from tests.servers.postgres import PostgresServer
from tests.servers.process import wait_until

BACKLOG = 20_000


@pytest.fixture(name="items", params=["postgres18", "mysql", "mariadb"])
def items_fixture(request: pytest.FixtureRequest) -> Iterator[Items]:
    """On a server that soon drops a replication connection that does not report."""
    server: Any = request.getfixturevalue(request.param)
    postgres = isinstance(server, PostgresServer)
    if postgres:
        server.set(wal_sender_timeout="4s")
    with fresh_items(server) as items:
        yield items
        if postgres:
            server.set(wal_sender_timeout=None)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that does nothing within the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Two:
    """Two processes with one configuration, each in a folder of its own."""

    def __init__(self, folder: Path, kafka: KafkaServer, items: Items, topic_prefix: str, options: dict[str, str],
                 ) -> None:
        self.topic = f"{topic_prefix}.{items.schema}.items"
        self.items = items
        self.kafka = kafka
        self.offsets = folder / "offsets"
        plain = {f"{side}.converter{key}": text for side in ("key", "value") for key, text in (
            ("", JSON), (".schemas.enable", "false"), (".schema.registry.url", ""))}
        keys = {**items.options(topic_prefix), **plain, "snapshot.mode": "no_data",
                "offset.storage.file.filename": str(self.offsets), "offset.flush.interval.ms": "1000",
                "tombstones.on.delete": "false", **options}
        (folder / "a").mkdir()
        (folder / "b").mkdir()
        self.a = Pipeline(folder / "a", kafka.bootstrap, "", keys)
        self.b = Pipeline(folder / "b", kafka.bootstrap, "", keys)

    def values(self) -> list[tuple[int, Any]]:
        """Key and row of each committed record of the topic, in order; None for a deleted row."""
        return [(json.loads(message.key or b"")["id"], json.loads(message.value or b"")["after"])
                for message in consume_all(self.kafka.bootstrap, self.topic, timeout_s=60)]

    def await_row(self, key: int) -> None:
        wait_until(lambda: any(found == key for found, _ in self.values()), 120, f"row {key} to arrive", 0.5)

    def pid_of(self, pipeline: Pipeline) -> int:
        assert pipeline.process is not None
        return pipeline.process.pid

    def b_waits(self, why: str) -> None:
        """B says that A runs the connector, and *why* it waits."""
        assert self.b.process is not None
        wait_until(lambda: f"is run by process {self.pid_of(self.a)} on host" in self._status_of_b()
                   and why in self._status_of_b(), 60, "the second process to wait")

    def _status_of_b(self) -> str:
        try:
            return self.b.get("/connectors/shop/status")
        except (OSError, ValueError):
            return ""

    def is_whole(self) -> None:
        replayed: dict[int, Any] = {}
        for key, row in self.values():
            replayed[key] = row
        rows = {key: (row["name"], row["version"]) for key, row in replayed.items() if row is not None}
        assert rows == {row[0]: (row[1], row[2]) for row in
                        self.items.execute("SELECT id, name, version FROM items")}

    def fill_and_pause(self) -> None:
        """A has a full queue of changes that Kafka has not got, and is paused; Kafka goes on."""
        self.a.start()
        self.a.await_state("streaming", 60)
        self.items.execute("INSERT INTO items (id, name) VALUES (1, 'the first')")
        self.await_row(1)
        with stopped(self.kafka.pid):
            self.items.add(100, BACKLOG)
            wait_until(lambda: (self.a.metric("cdc_inflight_records") or 0) > 1000, 60, "a full queue")
            with self._uncommitting():
                os.kill(self.pid_of(self.a), signal.SIGSTOP)

    @contextmanager
    def _uncommitting(self) -> Iterator[None]:
        """While nobody writes to the offset file: who is stopped there keeps everybody from reading it."""
        if not self.offsets.exists():
            yield
            return
        with closing(sqlite3.connect(self.offsets, timeout=30, isolation_level=None)) as store:
            store.execute("BEGIN IMMEDIATE")
            yield
            store.execute("ROLLBACK")

    def change(self) -> None:
        self.items.execute("UPDATE items SET version = 7 WHERE id BETWEEN 19000 AND 19999")
        self.items.execute("DELETE FROM items WHERE id BETWEEN 18000 AND 18999")

    def __enter__(self) -> Two:
        self._stack = ExitStack()
        self._stack.enter_context(self.a)
        self._stack.enter_context(self.b)
        return self

    def __exit__(self, *exc: Any) -> None:
        for pipeline in (self.a, self.b):
            if pipeline.process is not None and pipeline.process.poll() is None:
                pipeline.process.send_signal(signal.SIGCONT)
        self._stack.__exit__(*exc)


def in_topic(topic_prefix: str) -> dict[str, str]:
    return {"offset.storage.file.filename": "", "offset.storage.topic": f"{topic_prefix}.offsets",
            "offset.storage.partitions": "3", "offset.storage.replication.factor": "1"}


def test_with_offsets_in_a_topic_the_second_takes_over_and_the_first_ends(
        tmp_path: Path, kafka: KafkaServer, items: Items, topic_prefix: str) -> None:
    with Two(tmp_path, kafka, items, topic_prefix, in_topic(topic_prefix)) as two:
        two.fill_and_pause()
        two.b.start()
        two.b.await_state("streaming", 90)
        two.change()
        items.execute("INSERT INTO items (id, name) VALUES (200000, 'after the changes')")
        two.await_row(200_000)
        os.kill(two.pid_of(two.a), signal.SIGCONT)
        assert "was taken over by process" in two.a.complaint(1, 90)
        items.execute("INSERT INTO items (id, name) VALUES (200001, 'the end')")
        two.await_row(200_001)
        assert two.b.state() == "streaming"
        two.is_whole()


def test_with_an_offset_file_the_second_waits_and_says_for_whom(
        tmp_path: Path, kafka: KafkaServer, items: Items, topic_prefix: str) -> None:
    with Two(tmp_path, kafka, items, topic_prefix, {}) as two:
        two.fill_and_pause()
        two.b.start()
        two.b_waits("stopped by a signal")
        two.change()
        os.kill(two.pid_of(two.a), signal.SIGCONT)
        items.execute("INSERT INTO items (id, name) VALUES (200000, 'the end')")
        two.await_row(200_000)
        two.is_whole()
        two.b_waits("starts as soon as")
        assert two.a.stop() == 0
        two.b.await_state("streaming", 60)
        items.execute("INSERT INTO items (id, name) VALUES (200001, 'by the second')")
        two.await_row(200_001)
        two.is_whole()


@pytest.mark.parametrize("place", ["file", "topic"])
def test_a_second_process_beside_a_live_one_changes_nothing(
        tmp_path: Path, kafka: KafkaServer, items: Items, topic_prefix: str, place: str) -> None:
    with Two(tmp_path, kafka, items, topic_prefix, in_topic(topic_prefix) if place == "topic" else {}) as two:
        two.a.start()
        two.a.await_state("streaming", 60)
        wait_until(lambda: len(items.streams(topic_prefix)) == 1, 60, "what was read beside the stream to end")
        streams = items.streams(topic_prefix)
        two.b.start()
        two.b_waits("starts as soon as")
        for number in range(1, 4):
            items.execute(f"INSERT INTO items (id, name) VALUES ({number}, 'x')")
            two.await_row(number)
        two.b_waits("starts as soon as")
        assert {number for number, _ in items.streams(topic_prefix)} == {number for number, _ in streams}
        two.a.kill()
        two.b.await_state("streaming", 60)
        items.execute("INSERT INTO items (id, name) VALUES (9, 'x')")
        two.await_row(9)
        two.is_whole()
