"""`cdc snapshot` as a person uses it, on a connector under load: on a terminal, piped, cancelled, resumed, and for a
table that is added while the connector runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Database
from tests.fault.pipeline import Process, source_options
from tests.integration.terminal import Ended, Terminal, piped
from tests.integration.test_pipeline import LINES
from tests.servers.kafka import KafkaServer, consume_all
from tests.servers.process import wait_until

pytestmark = pytest.mark.parametrize("postgres", ["postgres15"], indirect=True)
ROWS = 12_000
_CHANGE = """\
UPDATE {0} SET version = version + 1 WHERE id = {1};
DELETE FROM {0} WHERE id = {2};
INSERT INTO {0} VALUES ({3}, 0);
UPDATE {0} SET id = {3} + 100000 WHERE id = {4}"""


class Shop:
    """A worker with the connector `shop`, and a table with writers."""

    def __init__(self, service: Process, database: Database, kafka: KafkaServer, prefix: str) -> None:
        self.service = service
        self.database = database
        self._kafka = kafka
        self._prefix = prefix
        self._file = service.folder / "shop.json"
        self._config: dict[str, str] = {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            **source_options(database.server, database.name, prefix), "incremental.snapshot.chunk.size": "50",
            "snapshot.mode": "no_data", "publication.autocreate.mode": "filtered"}

    def apply(self, **config: str) -> None:
        """As `cdc apply` does it."""
        self._config |= {key.replace("__", "."): text for key, text in config.items()}
        self._file.write_text(json.dumps({"name": "shop", "config": self._config}))
        assert self("apply", "-f", str(self._file)).code == 0
        self.service.await_state("streaming", 60)

    @property
    def _env(self) -> dict[str, str]:
        return {"CDC_CLI_URL": self.service.url}

    def __call__(self, *arguments: str) -> Ended:
        return piped(*arguments, env=self._env, folder=self.service.folder)

    @contextmanager
    def terminal(self, *arguments: str, columns: int) -> Iterator[Terminal]:
        made = Terminal(*arguments, columns=columns, env=self._env, folder=self.service.folder)
        try:
            yield made
        finally:
            made.close()

    def status(self) -> list[Any]:
        found = self("snapshot", "status", "-o", "json")
        assert found.code == 0, found.err
        return list(json.loads(found.out))

    def copies(self, rows: int) -> bool:
        """Whether a snapshot runs that has read so many rows. Sooner than a command could tell, so that the next one
        comes before the end."""
        found = json.loads(self.service.get("/connectors/shop/snapshots"))["snapshots"]
        return any(each["state"] == "running" and sum(table["rows"] for table in each["tables"]) >= rows
                   for each in found)

    @contextmanager
    def writing(self, table: str) -> Iterator[None]:
        stop = threading.Event()

        def write() -> None:
            with self.database.connect(autocommit=True) as connection:
                number = 0
                while not stop.wait(0.002):  # a load, and not the most that there can be
                    number += 1
                    at = number * 37 % ROWS
                    connection.execute(_CHANGE.format(table, at, at + 1, 2 * ROWS + number, at + 2))

        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def replayed(self, table: str) -> dict[int, int]:
        """The rows that a consumer has who applies each event to the row of its key."""
        rows: dict[int, int] = {}
        for message in consume_all(self._kafka.bootstrap, f"{self._prefix}.public.{table}"):
            key, value = json.loads(message.key or b""), json.loads(message.value or b"null")
            if value is not None and value["after"] is not None:
                rows[key["id"]] = value["after"]["version"]
            else:
                rows.pop(key["id"], None)
        return rows

    def is_replayed(self, table: str) -> bool:
        return self.replayed(table) == dict(self.database.execute(f"SELECT id, version FROM {table}"))


@pytest.fixture(name="shop")
def shop_fixture(database: Database, kafka: KafkaServer, topic_prefix: str, tmp_path: Path) -> Iterator[Shop]:
    database.execute(f"""\
CREATE SCHEMA sales;
CREATE TABLE items (id int PRIMARY KEY, version int NOT NULL);
CREATE TABLE sales.items (id int PRIMARY KEY);
CREATE TABLE added (id int PRIMARY KEY, version int NOT NULL);
INSERT INTO items SELECT number, 0 FROM generate_series(1, {ROWS}) number;
INSERT INTO added SELECT number, 0 FROM generate_series(1, {ROWS}) number;
ANALYZE items, added""")
    worker = {"bootstrap.servers": kafka.bootstrap, "listeners": "http://127.0.0.1:0",
              "offset.flush.interval.ms": "200", "offset.storage.file.filename": str(tmp_path / "offsets"), **LINES}
    with Process(tmp_path, {"worker.properties": worker}) as service:
        service.start()
        wait_until(lambda: bool(service.url), 60, "the worker to listen")
        made = Shop(service, database, kafka, topic_prefix)
        made.apply(table__include__list="public.items,sales.items")
        yield made


def test_a_table_is_copied_under_load_and_looked_after(shop: Shop) -> None:
    with shop.writing("items"):
        for columns in (80, 100):
            with shop.terminal("snapshot", "--table", "PUBLIC.Items", "--where", "id <= 3000", columns=columns) as seen:
                assert seen.end() == 0, seen.text
                assert seen.lines[0] == "PUBLIC.Items is public.items of connector shop."
                assert [line.partition(": copied, ")[0] for line in seen.lines[1:2]] == ["public.items"]
                assert seen.lines[2].startswith("The snapshot is complete: ")
                bars = [frame for frame in seen.frames if "[" in frame]
                assert any("%" in bar and "rows/s" in bar for bar in bars), seen.text
                assert max(map(len, seen.frames)) < columns

        lines = shop("snapshot", "--table", "public.items", "--where", "id <= 500")
        assert (lines.code, "\x1b" in lines.out, "\r" in lines.out) == (0, False, False)
        assert lines.out.splitlines()[-1].startswith("The snapshot is complete: ")
        objects = shop("snapshot", "--table", "public.items", "--where", "id <= 500", "--json")
        assert [(each["state"], each["tables"][0]["name"]) for each in objects.json][-1:] == [
            ("completed", "public.items")]
        assert (objects.code, objects.err) == (0, "")
        assert shop("snapshot", "--table", "items").code == 2, "it is ambiguous"
        assert shop("snapshot", "--table", "itemz").code == 4

        with shop.terminal("snapshot", "--table", "public.items", columns=80) as seen:
            wait_until(lambda: shop.copies(0), 30, "the copy to begin")
            assert shop("snapshot", "pause").out == "shop: paused\n"
            assert "paused" in [each["state"] for each in shop.status()]
            wait_until(lambda: any(frame.endswith("paused") for frame in seen.frames), 30, "the terminal to say so")
            assert shop("snapshot", "resume").out == "shop: resumed\n"
            assert shop("snapshot", "cancel").out == "shop: cancelled\n"
            assert seen.end() == 1
            assert any(line.startswith("public.items: cancelled, ") for line in seen.lines), seen.lines
            assert seen.lines[-2].startswith("The snapshot was cancelled: ")

        with shop.terminal("snapshot", "--table", "public.items", columns=80) as seen:
            wait_until(lambda: shop.copies(1), 30, "rows")
            seen.interrupt()
            assert seen.end() == 130
            assert "The snapshot goes on without this command." in " ".join(seen.lines)
        shop.service.kill()
        shop.service.start()
        wait_until(lambda: bool(shop.service.url), 60, "the worker to listen")
        shop.service.await_state("streaming", 60)
        found = shop("snapshot", "--table", "public.items", "--json")
        assert (found.code, found.json[-1]["state"]) == (0, "completed"), "it waits for the one that goes on"
    wait_until(lambda: shop.is_replayed("items"), 60, "the topic to be like the table", 0.5)


def test_a_table_is_added_under_load(shop: Shop) -> None:
    """The connector is told of it, copies it, and goes on with the others; the command says how."""
    with shop.writing("items"):
        refused = shop("snapshot", "--table", "ADDED")
        assert refused.code == 4
        assert "public.added exists, but connector shop does not capture it. Add it to table.include.list" in " ".join(
            refused.err.split())
        with shop.writing("added"):
            shop.apply(table__include__list="public.items,sales.items,public.added", snapshot__mode="initial",
                       incremental__snapshot__chunk__size="1000")
            followed = shop("snapshot", "--table", "ADDED", "--json")
            assert (followed.code, followed.json[-1]["state"]) == (0, "completed")
        assert shop("snapshot", "--table", "public.items").code == 0
    for table in ("items", "added"):
        wait_until(lambda table=table: shop.is_replayed(table), 60, "the topic to be like the table",  # type: ignore[misc]
                   0.5)
