"""What stands in the way of MySQL and MariaDB, as users meet it: `cdc run` ends with one paragraph that says the fix.

The servers here belong to these tests, which take away their logs.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fault.pipeline import PrintingPipeline, Process, binlog_options
from tests.servers.mariadb import MariaDbServer
from tests.servers.mysql import BinlogServer, MySqlServer
from tests.servers.process import wait_until
from tests.servers.proxy import Proxy

USER, PASSWORD = "cdc_refusals", "pa55-w0rd-of-nobody"
WRONG_PASSWORD = "wrong-password-of-nobody"
ALL = "SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.*"
EXPECTED = {"database_not_verified", "replica_status_not_readable"}
"""Warnings of every start: TLS is not verified, and on MariaDB SLAVE MONITOR is not granted."""
NO_GTID = "mysql-without-gtid"
NEWER_ROW = '"name":"newer"'

Start = Callable[..., PrintingPipeline]


class Servers:
    """Started when first asked for, with an empty table `shop.items`."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._made: dict[str, BinlogServer] = {}

    def get(self, kind: str) -> BinlogServer:
        if kind not in self._made:
            self._made[kind] = self.new(kind)
        server = self._made[kind]
        server.create_user(USER, PASSWORD, (ALL,))
        server.execute("CREATE OR REPLACE DATABASE shop" if kind == "mariadb" else "DROP DATABASE IF EXISTS shop")
        server.execute("CREATE DATABASE IF NOT EXISTS shop")
        server.execute("CREATE TABLE shop.items (id int PRIMARY KEY AUTO_INCREMENT, name varchar(20))")
        return server

    def new(self, kind: str, *, log: bool = True) -> BinlogServer:
        settings: dict[str, Any] = {} if log else {"skip_log_bin": True}
        server = MariaDbServer(**settings) if kind == "mariadb" else MySqlServer(gtid=kind == "mysql", **settings)
        self._stack.enter_context(server)
        server.create_user(USER, PASSWORD, (ALL,))
        return server


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(params=["mysql", "mariadb"])
def server(request: pytest.FixtureRequest, servers: Servers) -> BinlogServer:
    return servers.get(request.param)


@pytest.fixture(params=["mysql", NO_GTID, "mariadb"])
def any_server(request: pytest.FixtureRequest, servers: Servers) -> BinlogServer:
    """With GTIDs and with files for positions."""
    return servers.get(request.param)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `cdc run` for a server; `new=False` goes on with what the one before stored."""
    with contextlib.ExitStack() as runs:
        folder = tmp_path
        started: list[PrintingPipeline] = []

        def run(server: BinlogServer, *, new: bool = True, **options: str) -> PrintingPipeline:
            nonlocal folder
            if new:
                folder = tmp_path / str(len(list(tmp_path.iterdir())))
                folder.mkdir()
            made = runs.enter_context(PrintingPipeline(folder, options_for(server, **options)))
            made.start()
            started.append(made)
            return made

        yield run
        for made in started:
            assert PASSWORD not in made.text(0)
            assert WRONG_PASSWORD not in made.text(0)


def options_for(server: BinlogServer, **more: str) -> dict[str, str]:
    return {**binlog_options(server, USER, PASSWORD), "database.include.list": "shop",
            **{key.replace("__", "."): text for key, text in more.items()}}


def add(server: BinlogServer, *names: str) -> None:
    for name in names:
        server.execute(f"INSERT INTO shop.items (name) VALUES ('{name}')")


def delivered(run: PrintingPipeline, server: BinlogServer, name: str = "older") -> None:
    """Once *run* streams, it delivers a row that is written now."""
    run.await_state("streaming")
    add(server, name)
    wait_until(lambda: f'"name":"{name}"' in run.printed(), 20, f"the row {name}")


# -- user and address --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "wanted"), [
    ({"database.password": WRONG_PASSWORD}, "Check database.user and database.password"),
    ({"database.user": "nobody"}, "Check database.user and database.password"),
    ({"database.server.id": "1"}, "own database.server.id"),
], ids=["password", "user", "server id"])
def test_a_server_that_refuses(server: BinlogServer, start: Start, options: dict[str, str], wanted: str) -> None:
    assert wanted in start(server, **options).complaint(1)


@pytest.mark.parametrize(("lacking", "mode"), [
    ("SELECT", "initial"), ("RELOAD", "no_data"), ("REPLICATION SLAVE", "initial"), ("REPLICATION CLIENT", "no_data"),
])
def test_a_grant_that_is_missing(server: BinlogServer, start: Start, lacking: str, mode: str) -> None:
    """And what the error says mends it."""
    if server.flavor == "mariadb" and lacking == "RELOAD":
        pytest.skip("MariaDB's snapshot needs no lock")
    grants = ALL.removesuffix(" ON *.*").split(", ")
    server.create_user(USER, PASSWORD, (", ".join(name for name in grants if name != lacking) + " ON *.*",))
    said = start(server, snapshot__mode=mode).complaint(1)
    grant = f"GRANT {lacking} ON *.* TO '{USER}'@'%';"
    assert grant in said
    server.execute(grant.rstrip(";"))
    again = start(server, new=False, snapshot__mode=mode)
    again.await_state("streaming")


def test_a_table_that_may_not_be_read(server: BinlogServer, start: Start) -> None:
    server.create_user(USER, PASSWORD, (ALL.replace("SELECT, ", ""), "INSERT ON shop.items"))
    said = start(server).complaint(1)
    assert "may not read shop.items" in said
    assert f"GRANT SELECT ON `shop`.* TO '{USER}'@'%';" in said


# -- the log -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["STATEMENT", "MIXED"])
def test_a_wrong_binlog_format(server: BinlogServer, start: Start, name: str) -> None:
    server.set(binlog_format=name)
    try:
        said = start(server).complaint(1)
    finally:
        server.set(binlog_format="ROW")
    assert f"binlog_format is {name}" in said
    assert "SET GLOBAL binlog_format = 'ROW'" in said


@pytest.mark.parametrize("kind", ["mysql", "mariadb"])
def test_no_binary_log(servers: Servers, start: Start, kind: str) -> None:
    with contextlib.ExitStack() as stack:
        said = start(Servers(stack).new(kind, log=False)).complaint(1)
    assert "The server writes no binary log. Start it with log_bin" in said


@pytest.mark.parametrize("statement", [
    "INSERT INTO shop.items (name) VALUES ('as text')", "UPDATE shop.items SET name = 'other'",
    "LOAD DATA LOCAL INFILE '{file}' INTO TABLE shop.items (name)",
    "CREATE TABLE shop.copy AS SELECT * FROM shop.items",
], ids=["insert", "update", "load data", "copy"])
def test_a_session_that_logs_statements(server: BinlogServer, start: Start, tmp_path: Path, statement: str) -> None:
    """Nothing is passed over: a new start meets it again."""
    (tmp_path / "0").mkdir()
    (tmp_path / "rows").write_text("loaded\n")
    run = start(server)
    delivered(run, server)
    with server.connect(local_infile=True) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_format = STATEMENT")
        cursor.execute(statement.format(file=tmp_path / "rows"))
    add(server, "newer")
    for again in (run, None):
        said = (again or start(server, new=False)).complaint(1)
        assert "logged as a statement instead of rows" in said
        assert "Set binlog_format=ROW" in said
    assert NEWER_ROW not in run.printed()


def test_row_images_that_are_not_full(server: BinlogServer, start: Start) -> None:
    server.set(binlog_row_image="MINIMAL")
    try:
        run = start(server)
        run.await_state("streaming")
    finally:
        server.set(binlog_row_image="FULL")
    told = [entry["why"] for entry in run.warnings() if entry["event"] == "binlog_row_image_not_full"]
    assert len(told) == 1
    assert "is MINIMAL" in told[0]


@pytest.mark.parametrize("options", [{"database.include.list": "no_such"}, {"table.include.list": "shop.no_such"}],
                         ids=["database", "table"])
def test_a_list_that_matches_nothing(server: BinlogServer, start: Start, options: dict[str, str]) -> None:
    """It may match what is made later."""
    run = start(server, **options)
    run.await_state("streaming")
    (option, item), = options.items()
    assert [(entry["option"], entry["entry"]) for entry in run.warnings()
            if entry["event"] == "include_list_entry_matches_nothing"] == [(option, item)]
    assert any(entry["event"] == "no_table_captured" for entry in run.warnings())


# -- positions ---------------------------------------------------------------------------------------------------------


def test_logs_that_were_reset_while_we_were_away(any_server: BinlogServer, start: Start) -> None:
    """The same names and numbers stand for other transactions then."""
    run = start(any_server)
    delivered(run, any_server)
    assert run.stop() == 0
    any_server.reset_binlogs()
    add(any_server, *["newer"] * 40)
    said = start(any_server, new=False).complaint(1)
    assert "reset" in said
    assert "snapshot" in said
    assert NEWER_ROW not in run.printed()


def test_logs_that_were_reset_and_are_empty(any_server: BinlogServer, start: Start) -> None:
    run = start(any_server)
    delivered(run, any_server)
    assert run.stop() == 0
    any_server.reset_binlogs()
    assert "reset" in start(any_server, new=False).complaint(1)


def test_logs_that_are_reset_while_we_stream(any_server: BinlogServer, start: Start) -> None:
    run = start(any_server)
    delivered(run, any_server)
    any_server.reset_binlogs()
    add(any_server, *["newer"] * 40)
    said = run.complaint(1)
    assert "reset" in said
    assert "snapshot" in said


def test_logs_that_were_purged(any_server: BinlogServer, start: Start) -> None:
    run = start(any_server)
    delivered(run, any_server)
    assert run.stop() == 0
    add(any_server, "newer")
    any_server.purge_binlogs()
    said = start(any_server, new=False).complaint(1)
    assert "purged" in said
    assert "binlog_expire_logs_seconds" in said
    assert "new snapshot" in said


def test_another_server(any_server: BinlogServer, servers: Servers, start: Start,
                        request: pytest.FixtureRequest) -> None:
    run = start(any_server)
    delivered(run, any_server)
    assert run.stop() == 0
    # MariaDB numbers transactions alike everywhere: only a server that has fewer is known to be another one.
    other = servers.new("mariadb") if any_server.flavor == "mariadb" else request.getfixturevalue("mysql")
    other.create_user(USER, PASSWORD, (ALL,))
    said = start(other, new=False).complaint(1)
    other.drop_user(USER)
    assert "another" in said
    assert "new snapshot" in said


# -- two clients of one number -----------------------------------------------------------------------------------------


def test_the_older_of_two_clients_gives_way(server: BinlogServer, start: Start) -> None:
    """And says so, instead of the two throwing each other out for ever."""
    older = start(server)
    delivered(older, server)
    newer = start(server)
    newer.await_state("streaming")
    said = older.complaint(1)
    assert "Another client or replica with this connector's server id connected" in said
    assert "its own database.server.id" in said
    delivered(newer, server, "newer")
    assert {each["event"] for each in newer.warnings()} <= EXPECTED


def test_what_is_left_of_a_killed_process_is_in_nobodys_way(server: BinlogServer, start: Start) -> None:
    with Proxy(server.host, server.port) as link:
        killed = start(server, database__port=str(link.port))
        delivered(killed, server)
        wait_until(killed.committed, 20, "a stored position")
        link.freeze()
        killed.kill()
        again = start(server, new=False)
        delivered(again, server, "newer")
        assert {each["event"] for each in again.warnings()} <= EXPECTED
        link.restore()


# -- the REST interface ------------------------------------------------------------------------------------------------


def test_a_refused_connector_shows_why_while_others_run(server: BinlogServer, tmp_path: Path) -> None:
    pipeline = PrintingPipeline(tmp_path, options_for(server)).config
    worker = {key: text for key, text in pipeline.items() if text and key.startswith(
        ("sink.", "key.", "value.", "offset.", "listeners"))}
    good = {key: text for key, text in pipeline.items() if text and key not in worker}
    bad = {**good, "name": "refused", "topic.prefix": "bad", "database.password": WRONG_PASSWORD}
    with Process(tmp_path, {"worker.properties": worker, "good.properties": good, "bad.properties": bad}) as process:
        process.start()
        process.await_state("streaming")
        process.await_state("failed", connector="refused")
        status = json.loads(process.get("/connectors/refused/status"))
        assert status["tasks"][0]["state"] == "FAILED"
        assert "Check database.user and database.password" in status["tasks"][0]["trace"]
        assert WRONG_PASSWORD not in process.text()
        assert process.stop() in (0, 1)
