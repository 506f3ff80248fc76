"""The first snapshot sees one point of the log, with whatever lock the user may take, while others write."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cdc.core.errors import SourceRefusedError
from cdc.core.record import Record
from tests.conftest import BinlogDatabase
from tests.integration.mysql_source import change, make_source

USER = "snapper"
ACCOUNTS = 40
TOTAL = 1000 * ACCOUNTS


@pytest.fixture
def bank(binlog_database: BinlogDatabase) -> Iterator[BinlogDatabase]:
    """Two tables whose balances sum up to the same at all times."""
    for table in ("a", "b"):
        binlog_database.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, balance int NOT NULL)")
        rows = ", ".join(f"({number}, 500)" for number in range(ACCOUNTS))
        binlog_database.execute(f"INSERT INTO {table} VALUES {rows}")
    yield binlog_database
    binlog_database.server.drop_user(USER)


class Transfers:
    """From one table to the other, one transaction each, from several clients at once."""

    def __init__(self, database: BinlogDatabase) -> None:
        self._database = database
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(3)]

    def __enter__(self) -> Transfers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        pick = random.Random(seed)
        with self._database.connect() as conn, conn.cursor() as cursor:
            while not self._stop.is_set():
                low, amount = pick.randrange(seed, ACCOUNTS, 3), pick.randrange(1, 50)
                for statement in ("BEGIN", f"UPDATE a SET balance = balance - {amount} WHERE id = {low}",
                                  f"UPDATE b SET balance = balance + {amount} WHERE id = {low}", "COMMIT"):
                    cursor.execute(statement)


MODES = [("SELECT, RELOAD", "minimal"), ("SELECT, RELOAD", "extended"), ("SELECT, LOCK TABLES", "minimal"),
         ("SELECT, LOCK TABLES", "extended")]


@pytest.mark.parametrize(("grants", "mode"), MODES, ids=lambda value: str(value).rpartition(" ")[2].lower())
def test_snapshot_and_stream_join_without_a_gap(bank: BinlogDatabase, grants: str, mode: str) -> None:
    bank.server.create_user(USER, "secret", [f"{grants}, REPLICATION SLAVE, REPLICATION CLIENT ON *.*"])
    options = {"database.user": USER, "database.password": "secret", "snapshot.locking.mode": mode,
               "snapshot.mode": "initial", "database.include.list": bank.name}
    with Transfers(bank):
        for _ in range(4):
            check_one(bank, options)


def check_one(bank: BinlogDatabase, options: dict[str, str]) -> None:
    source = make_source(bank, options)
    tables: dict[str, dict[int, int]] = {"a": {}, "b": {}}
    try:
        source.start(None)
        while source.state() == "snapshotting":
            apply(tables, source.poll(1))
        assert [len(rows) for rows in tables.values()] == [ACCOUNTS, ACCOUNTS]
        assert sum(sum(rows.values()) for rows in tables.values()) == TOTAL
        seen = 0
        while seen < 200:  # of each update what was before is what we have
            seen += apply(tables, source.poll(1))
    finally:
        source.stop()


def apply(tables: dict[str, dict[int, int]], batch: Any) -> int:
    count = 0
    for record in batch.records if batch is not None else ():
        if isinstance(record, Record):
            op, before, after, _ = change(record)
            rows = tables[record.table.id.table]
            assert op == "r" or rows[after["id"]] == before["balance"]
            rows[after["id"]] = after["balance"]
            count += 1
    return count


def test_whoever_may_lock_nothing_is_told_what_to_grant(mysql_database: BinlogDatabase) -> None:
    mysql_database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    server = mysql_database.server
    server.create_user(USER, "secret", ["SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.*",
                                        f"LOCK TABLES ON `{mysql_database.name}_other`.*"])
    source = make_source(mysql_database, {"database.user": USER, "database.password": "secret",
                                          "snapshot.mode": "initial"})
    try:
        with pytest.raises(SourceRefusedError, match="neither take the global read lock nor lock") as caught:
            source.start(None)
        assert "LOCK TABLES" in caught.value.hint
    finally:
        source.stop()
        server.drop_user(USER)
