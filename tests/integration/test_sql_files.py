"""`sql/`: who runs what it says can stream with the user it makes, and needs nothing more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import Database
from tests.fault.pipeline import PrintingPipeline, binlog_options, source_options
from tests.servers.mysql import BinlogServer
from tests.servers.process import wait_until

SQL = Path(__file__).parents[2] / "sql"
PASSWORD = "change me"


def statements(text: str) -> list[str]:
    lines = (line.partition("-- ")[0] for line in text.splitlines() if not line.startswith("--"))
    return [statement for each in "\n".join(lines).split(";") if (statement := each.strip())]


def heartbeat(text: str) -> dict[str, str]:
    """The options that the file proposes, but for the interval."""
    found = re.search(r"heartbeat\.action\.query=(.*)", text)
    assert found is not None
    return {"heartbeat.interval.ms": "200", "heartbeat.action.query": found[1]}


def test_the_statements_are_found() -> None:
    assert statements("-- a; b\nSET x = 1;  -- why; not\nGRANT y\n  TO z;\n") == ["SET x = 1", "GRANT y\n  TO z"]


@pytest.mark.parametrize("flavor", ["mysql", "mariadb"])
def test_binlog_servers(flavor: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server: BinlogServer = request.getfixturevalue(flavor)
    text = (SQL / f"{flavor}.sql").read_text(encoding="utf-8")
    server.create_database("shop")
    try:
        for statement in statements(text):
            server.execute(statement)
        server.execute("CREATE TABLE shop.items (id int PRIMARY KEY)")
        server.execute("INSERT INTO shop.items VALUES (1)")
        options = {**binlog_options(server, "cdc", PASSWORD), "database.include.list": "shop", **heartbeat(text)}
        with PrintingPipeline(tmp_path, options) as pipeline:
            pipeline.start()
            pipeline.await_state("streaming")
            server.execute("INSERT INTO shop.items VALUES (2)")
            wait_for_rows(pipeline)
            assert pipeline.stop() == 0
            told = [] if flavor == "mariadb" else ["database_not_verified"]  # MariaDB's default uses no TLS
            assert [each["event"] for each in pipeline.warnings()] == told
    finally:
        server.drop_database("shop")
        server.drop_user("cdc")


@pytest.mark.parametrize("postgres", ["postgres18"], indirect=True)
def test_postgres(database: Database, tmp_path: Path) -> None:
    text = (SQL / "postgres.sql").read_text(encoding="utf-8")
    database.execute("CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items VALUES (1)")
    try:
        for statement in statements(text):
            database.execute(statement)
        options = {**source_options(database.server, database.name, "sql"), "database.user": "cdc",
                   "database.password": PASSWORD, "publication.autocreate.mode": "disabled", **heartbeat(text)}
        with PrintingPipeline(tmp_path, options) as pipeline:
            pipeline.start()
            pipeline.await_state("streaming")
            database.execute("INSERT INTO items VALUES (2)")
            wait_for_rows(pipeline)
            assert pipeline.stop() == 0
            assert [(each["event"], each["mode"]) for each in pipeline.warnings()] == [
                ("database_not_verified", "prefer")]
    finally:
        database.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                         "WHERE slot_name = 'sql' AND NOT active")
        database.execute("DROP OWNED BY cdc CASCADE; DROP ROLE cdc")


def wait_for_rows(pipeline: PrintingPipeline) -> None:
    """One by the snapshot, one by the stream, and what the heartbeats write."""
    for row in ('"after":{"id":1}', '"after":{"id":2}', '"after":{"id":1,"at":'):
        wait_until(lambda row=row: row in pipeline.printed(), 20, row)  # type: ignore[misc]
