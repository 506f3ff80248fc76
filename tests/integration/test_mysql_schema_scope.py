"""Whose statements the schema change topic tells of: `schema.history.internal.store.only.captured.tables.ddl` and
`….databases.ddl`, in snapshot and stream. Debezium sources: BinlogDatabaseSchema.parseDdl, skipSchemaChangeEvent;
EventDispatcher.dispatchSchemaChangeEvent."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.integration.test_mysql_ddl_stream import SECONDS, Reading, make_source
from tests.servers.mysql import BinlogServer

TABLES = ("told.captured", "told.other", "elsewhere.third")
STATEMENTS = ("ALTER TABLE told.captured ADD b int", "ALTER TABLE told.other ADD b int",
              "ALTER TABLE elsewhere.third ADD b int", "RENAME TABLE elsewhere.third TO told.third",
              "CREATE DATABASE created", "DROP DATABASE created")
ONLY = "schema.history.internal.store.only.captured"
CASES = {
    "all": ({}, TABLES, STATEMENTS),
    "tables": ({f"{ONLY}.tables.ddl": "true"}, TABLES[:1], STATEMENTS[:1]),
    "databases": ({f"{ONLY}.databases.ddl": "true"}, TABLES[:2], (*STATEMENTS[:2], STATEMENTS[3])),
}


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[BinlogServer]:
    found: BinlogServer = request.getfixturevalue(request.param)
    for name in ("told", "elsewhere"):
        found.create_database(name)
    for table in TABLES:
        found.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    yield found
    for name in ("told", "elsewhere", "created"):
        found.drop_database(name)


@pytest.mark.parametrize("server", ["mysql", "mariadb"], indirect=True)
@pytest.mark.parametrize("case", CASES)
def test_statements_are_told_of_what_is_to_be_stored(server: BinlogServer, case: str) -> None:
    options, tables, statements = CASES[case]
    source = make_source(server, **{"database.include.list": "told", "table.include.list": "told.captured", **options})
    reading = Reading(source, None)
    assert reading.streaming.wait(SECONDS)
    snapshot = told(reading)
    for statement in STATEMENTS:
        server.execute(statement)
    reading.until(server.binlog_end())
    created = [match[1] for ddl in snapshot if (match := re.match("CREATE TABLE `(.*?)`", ddl))]
    ours = [name for name in created if any(table.endswith(f".{name}") for table in TABLES)]
    assert sorted(ours) == sorted(table.partition(".")[2] for table in tables)
    assert told(reading)[len(snapshot):] == list(statements)


def told(reading: Reading) -> list[str]:
    """The statements so far."""
    return [str(message.value[4]) for message in tuple(reading.messages)]
