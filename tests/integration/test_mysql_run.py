"""Options of MySQL and MariaDB that show in `cdc run` as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BinlogDatabase
from tests.fault.pipeline import Direct, PrintingPipeline, binlog_options
from tests.servers.process import wait_until

MARKED = "INSERT INTO items /* the statement: ä */ VALUES (1), (2)"


def pipeline_of(database: BinlogDatabase, folder: Path, **more: str) -> PrintingPipeline:
    return PrintingPipeline(folder, {
        **binlog_options(database.server, "root", ""), "database.include.list": database.name,
        **{key.replace("__", "."): text for key, text in more.items()}})


def changes(pipeline: PrintingPipeline) -> list[dict[str, Any]]:
    values = [json.loads(line)["value"] for line in pipeline.printed().splitlines() if line.endswith("}")]
    return [value for value in values if value and value.get("op")]


@pytest.mark.parametrize("wanted", [True, False])
def test_a_change_tells_its_statement_if_asked_to(binlog_database: BinlogDatabase, tmp_path: Path,
                                                  wanted: bool) -> None:
    database = binlog_database
    database.execute("CREATE TABLE items (id int PRIMARY KEY)")
    setting = "binlog_rows_query_log_events" if database.server.flavor == "mysql" else "binlog_annotate_row_events"
    with pipeline_of(database, tmp_path, include__query=str(wanted).lower(), snapshot__mode="no_data") as pipeline:
        pipeline.start()
        pipeline.await_state("streaming")
        with database.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SET SESSION {setting} = ON")
            cursor.execute(MARKED)
            cursor.execute("DELETE FROM items WHERE id = 2")
        wait_until(lambda: len(changes(pipeline)) == 3, 20, "three changes")
    told = [value["source"]["query"] for value in changes(pipeline)]
    assert told == ([MARKED, MARKED, "DELETE FROM items WHERE id = 2"] if wanted else [None, None, None])


@pytest.mark.parametrize("option", ["snapshot.delay.ms", "streaming.delay.ms"])
def test_a_delay_does_not_hold_up_the_end(mysql_database: BinlogDatabase, tmp_path: Path, option: str) -> None:
    mysql_database.execute("CREATE TABLE items (id int PRIMARY KEY)")
    with pipeline_of(mysql_database, tmp_path, **{option: "600000"}) as pipeline:
        pipeline.start()
        wait_until(lambda: ("task_starting" if option.startswith("snapshot") else "snapshot_completed")
                   in pipeline.text(), 20, "the delay")
        assert pipeline.stop() == 0


def test_a_direct_copy_beside_a_service(binlog_database: BinlogDatabase, tmp_path: Path) -> None:
    """It prints what the first copy of the service has printed, also with several readers and a condition, and is
    refused for Kafka while the service reads the log."""
    database = binlog_database
    database.execute("CREATE TABLE items (id int PRIMARY KEY, price decimal(5,2), at timestamp NULL, j json)")
    database.execute("CREATE TABLE bare (name varchar(20), hidden int INVISIBLE)")
    values = ", ".join(f"({number}, {number} / 7, '2026-01-02 03:04:05', '[1]')" for number in range(1, 3001))
    database.execute(f"INSERT INTO items VALUES {values}")
    database.execute("INSERT INTO bare (name, hidden) VALUES ('ä', 1), (NULL, 2)")
    database.execute("ANALYZE TABLE items, bare")
    with pipeline_of(database, tmp_path, include__schema__changes="true", heartbeat__interval__ms="60000") as pipeline:
        pipeline.start()
        pipeline.await_state("streaming")
        service = rows(changes(pipeline))
        assert len(service) == 3002
        with Direct(tmp_path / "direct", pipeline.files) as direct:
            kafka = ("--set", "sink.type=kafka", "--set", "bootstrap.servers=127.0.0.1:1",
                     "--set", f"offset.storage.file.filename={tmp_path / 'other'}")
            said = direct.run(*kafka, "--table", "ITEMS", code=5)
            assert "a client reads the binary log with database.server.id 4721" in said

            copied = written(direct, tmp_path / "all.jsonl", "--threads", "3")
            assert {line["topic"] for line in copied} == {f"srv.{database.name}.items", f"srv.{database.name}.bare"}
            assert rows([line["value"] for line in copied]) == service
            some = written(direct, tmp_path / "some.jsonl", "--table", "Items", "--threads", "2",
                           "--where", "`id` BETWEEN 1000 AND 2999 # all")
            assert rows([line["value"] for line in some]) == [
                row for row in service if 1000 <= row["after"].get("id", 0) < 3000]
            few = written(direct, tmp_path / "few.jsonl", "--table", "bare", "--where", "hidden > 1")
            assert [line["value"]["after"] for line in few] == [{"name": None, "hidden": 2}]
            for condition in ("nothing = 1", "hidden < 1) OR (hidden > 1"):
                assert "The server does not take the condition" in direct.run(
                    "--table", "bare", "--where", condition, "--to", str(tmp_path / "none.jsonl"), code=1)
        database.execute("INSERT INTO items VALUES (5000, 1, NULL, NULL)")
        wait_until(lambda: changes(pipeline)[-1]["op"] == "c", 20, "a change: the service goes on")


def written(direct: Direct, path: Path, *options: str) -> list[dict[str, Any]]:
    direct.run(*options, "--to", str(path), code=0)
    return [json.loads(line) for line in path.read_text().splitlines()]


def rows(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a copy in a fixed order, without what depends on its time."""
    read = [{"table": value["source"]["table"], "after": value["after"], "op": value["op"],
             "source": sorted(value["source"])} for value in found]
    return sorted(read, key=lambda row: (row["table"], row["after"].get("id", row["after"].get("hidden"))))
