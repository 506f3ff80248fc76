"""Options of MySQL and MariaDB that show in `cdc run` as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BinlogDatabase
from tests.fault.pipeline import PrintingPipeline, binlog_options
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
