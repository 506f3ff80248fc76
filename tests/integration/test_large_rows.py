"""Tables of as many columns as a server can make, and rows of 50 MB, in both kinds of snapshots and in the stream."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cdc.core import control
from cdc.core.control import Signal
from cdc.core.record import Record
from tests.conftest import BinlogDatabase, Database
from tests.fault.copied import LONG
from tests.fault.pipeline import PrintingPipeline, binlog_options, source_options
from tests.integration import mysql_source, pg_source
from tests.integration.mysql_source import change
from tests.servers.process import wait_until

_numbers = itertools.count()

COLUMNS = {"postgres18": 1600, "mysql": 1017, "mariadb": 1017}
"""PostgreSQL docs, "PostgreSQL Limits"; MySQL Reference Manual, "InnoDB Limits"."""
LARGE_BYTES = 50_000_000
LARGE_ROWS = 15
MOST_MEMORY_MB = 450
"""Of a process through which 1 GB goes, in rows of 50 MB. The one before is held for its marker, while the driver has
the next one in its buffer and as bytes; one is on its way as a line of JSON."""


@pytest.fixture(params=["postgres18", "mysql", "mariadb"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, Database | BinlogDatabase]]:
    server = request.getfixturevalue(request.param)
    name = server.create_database(f"large_{os.getpid()}_{next(_numbers)}")
    yield request.param, (Database if request.param == "postgres18" else BinlogDatabase)(server, name)
    server.drop_database(name)


def make_source(database: Database | BinlogDatabase, options: Mapping[str, str]) -> Any:
    if isinstance(database, BinlogDatabase):
        return mysql_source.make_source(database, options)
    source = pg_source.make_source(database, options)
    source.prefer_native()
    return source


def test_a_table_of_the_most_columns_is_copied_and_streamed(served: tuple[str, Database | BinlogDatabase]) -> None:
    kind, database = served
    count = COLUMNS[kind]
    names = [f"c{number}" for number in range(1, count)]
    database.execute(f"CREATE TABLE t (c0 int PRIMARY KEY, {', '.join(f'{name} int' for name in names)})")
    for id in range(3):
        database.execute(f"INSERT INTO t VALUES ({', '.join(str(id * 10_000 + number) for number in range(count))})")
    schema = "public" if isinstance(database, Database) else database.name
    source = make_source(database, {"snapshot.mode": "initial"})
    found: list[Any] = []

    def until(op: str, rows: int) -> None:
        deadline = time.monotonic() + 60
        while sum(each[0] == op for each in found) < rows:
            assert time.monotonic() < deadline, [each[0] for each in found]
            batch = source.poll(0.2)
            found.extend(change(each) for each in (batch.records if batch else ()) if isinstance(each, Record))

    try:
        source.start(None)
        until("r", 3)
        database.execute(f"UPDATE t SET c{count - 1} = -1 WHERE c0 = 20000")
        until("u", 1)
        source.signal(Signal("s", control.EXECUTE_SNAPSHOT, {"data-collections": [f"{schema}.t"]}, "file"))
        until("r", 6)
    finally:
        source.stop()
    rows = [{f"c{number}": id * 10_000 + number for number in range(count)} for id in range(3)]
    changed = {**rows[2], f"c{count - 1}": -1}
    assert [each[2] for each in found] == [*rows, changed, *rows[:2], changed]


@pytest.mark.parametrize("served", ["postgres18", *(["mysql", "mariadb"] if LONG else [])], indirect=True)
def test_rows_of_50_mb_are_copied_and_streamed_in_bounded_memory(served: tuple[str, Any], topic_prefix: str,
                                                                 tmp_path: Path) -> None:
    _, database = served
    postgres = isinstance(database, Database)
    database.execute(f"CREATE TABLE t (id int PRIMARY KEY, body {'text' if postgres else 'longtext'})")
    for id in range(LARGE_ROWS // 3):
        database.execute(f"INSERT INTO t VALUES ({id}, repeat('x', {LARGE_BYTES}))")
    options = (source_options(database.server, database.name, topic_prefix) | {"slot.drop.on.stop": "true"} if postgres
               else binlog_options(database.server) | {"topic.prefix": topic_prefix, "include.schema.changes": "false",
                                                       "database.include.list": database.name})
    signals = tmp_path / "signals"
    with PrintingPipeline(tmp_path, {**options, "signal.enabled.channels": "file", "signal.file": str(signals),
                                     "signal.poll.interval.ms": "100"}) as pipeline:
        pipeline.start()
        wait_until(lambda: printed(tmp_path) >= LARGE_ROWS // 3, 120, "the first copy")
        for id in range(LARGE_ROWS // 3):
            database.execute(f"INSERT INTO t VALUES ({100 + id}, repeat('y', {LARGE_BYTES}))")
        wait_until(lambda: printed(tmp_path) >= 2 * (LARGE_ROWS // 3), 120, "the stream")
        schema = "public" if postgres else database.name
        signals.write_text(json.dumps({"id": "s", "type": "execute-snapshot", "data": {
            "data-collections": [f"{schema}.t"]}}) + "\n")
        wait_until(lambda: printed(tmp_path) >= 4 * (LARGE_ROWS // 3), 120, "the second copy")
        peak = pipeline.peak_memory_mb()
        assert pipeline.stop() == 0
    print(f"peak {peak:.0f} MB")
    assert peak < MOST_MEMORY_MB
    found: Counter[tuple[str, int]] = Counter()
    with (tmp_path / "stdout").open(encoding="utf-8") as lines:
        for line in lines:
            body = json.loads(line)["value"]["after"]["body"]
            found[body[0], len(body)] += 1
    (tmp_path / "stdout").unlink()
    assert found == {("x", LARGE_BYTES): 2 * LARGE_ROWS // 3, ("y", LARGE_BYTES): 2 * LARGE_ROWS // 3}


def printed(folder: Path) -> int:
    """How many rows there are: each is about as long."""
    path = folder / "stdout"
    return path.stat().st_size // LARGE_BYTES if path.exists() else 0
