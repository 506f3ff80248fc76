"""What was right at the start and goes wrong while the log is read: an error where changes are lost, else a warning
that lasts until it is right again. The servers here belong to these tests, which change their settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from cdc.core.errors import SourceConnectionError, SourceError, SourceRefusedError
from cdc.core.record import Record
from cdc.sources.mysql.monitor import MySqlMonitor
from tests.conftest import BinlogDatabase
from tests.integration.mysql_source import Reading, make_source, running
from tests.servers.mariadb import MariaDbServer
from tests.servers.mysql import BinlogServer, MySqlServer
from tests.servers.process import wait_until
from tests.servers.proxy import Proxy

KINDS: dict[str, type[MySqlServer] | type[MariaDbServer]] = {"mysql": MySqlServer, "mariadb": MariaDbServer}
USER, PASSWORD = "cdc_watched", "pa55-w0rd-of-nobody"
ALL = "SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.*"
CHANNEL = {"mysql": ("CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1", "RESET REPLICA ALL"),
           "mariadb": ("CHANGE MASTER TO master_host = '127.0.0.1', master_port = 1", "RESET SLAVE ALL")}
SECONDS = 60


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MySqlMonitor, "every_s", 0.1)


class Made:
    """Servers by kind and settings, started when first asked for."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._made: dict[tuple[str, tuple[tuple[str, Any], ...]], BinlogServer] = {}

    def get(self, kind: str, **settings: Any) -> BinlogServer:
        key = kind, tuple(sorted(settings.items()))
        if key not in self._made:
            self._made[key] = self._stack.enter_context(KINDS[kind](**settings))
        return self._made[key]


@pytest.fixture(scope="module")
def servers() -> Iterator[Made]:
    with contextlib.ExitStack() as stack:
        yield Made(stack)


@pytest.fixture(params=["mysql", "mariadb"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextlib.contextmanager
def database_of(server: BinlogServer, name: str = "watched") -> Iterator[BinlogDatabase]:
    server.create_database(name)
    try:
        yield BinlogDatabase(server, name)
    finally:
        server.drop_database(name)


@pytest.fixture
def database(servers: Made, kind: str) -> Iterator[BinlogDatabase]:
    with database_of(servers.get(kind)) as made:
        made.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
        yield made


def warned(reading: Reading, kind: str) -> dict[str, str]:
    return {each.about: each.text for each in reading.source.warnings.active() if each.kind == kind}


def begins(reading: Reading, kind: str) -> dict[str, str]:
    """What it is about, once the stream has such a warning."""
    wait_until(lambda: reading.source.poll(0.05) is None and warned(reading, kind), SECONDS, f"the warning {kind}")
    return warned(reading, kind)


def ends(reading: Reading, kind: str) -> None:
    wait_until(lambda: reading.source.poll(0.05) is None and not warned(reading, kind), SECONDS, f"{kind} to end")


def error_of(reading: Reading) -> SourceError:
    with pytest.raises(SourceError) as caught:
        wait_until(lambda: reading.source.poll(0.05) and False, SECONDS, "the error")
    return caught.value


SETTINGS: list[tuple[str, str, dict[str, Any], dict[str, Any], str]] = [
    ("mysql", "binlog_format_not_row", {"binlog_format": "MIXED"}, {"binlog_format": "ROW"}, "MIXED"),
    ("mariadb", "binlog_format_not_row", {"binlog_format": "STATEMENT"}, {"binlog_format": "ROW"}, "STATEMENT"),
    ("mysql", "binlog_row_image_not_full", {"binlog_row_image": "MINIMAL"}, {"binlog_row_image": "FULL"}, "MINIMAL"),
    ("mariadb", "binlog_row_image_not_full", {"binlog_row_image": "NOBLOB"}, {"binlog_row_image": "FULL"}, "NOBLOB"),
    ("mysql", "gtid_mode_changed", {"gtid_mode": "ON_PERMISSIVE"}, {"gtid_mode": "ON"}, "was ON"),
    ("mysql", "gtid_mode_in_transition", {"gtid_mode": "ON_PERMISSIVE"}, {"gtid_mode": "ON"}, "ON_PERMISSIVE"),
    ("mariadb", "binlog_kept_briefly", {"binlog_expire_logs_seconds": 3600}, {"binlog_expire_logs_seconds": 0},
     "3600 s"),
]


@pytest.mark.parametrize(("kind", "warning", "wrong", "right", "text"), SETTINGS,
                         ids=[f"{kind}-{warning}" for kind, warning, *_ in SETTINGS])
def test_a_setting_that_is_changed_and_put_right(servers: Made, kind: str, warning: str, wrong: dict[str, Any],
                                                 right: dict[str, Any], text: str) -> None:
    with database_of(servers.get(kind)) as database, running(database) as reading:
        try:
            database.server.set(**wrong)
            assert text in "".join(begins(reading, warning).values())
        finally:
            database.server.set(**right)
        ends(reading, warning)


def test_grants_that_are_lost_and_given_back(database: BinlogDatabase) -> None:
    database.server.create_user(USER, PASSWORD, (ALL,))
    source = make_source(database, {"database.user": USER, "database.password": PASSWORD})
    try:
        source.start(None)
        reading = Reading(source, database)
        database.execute(f"REVOKE REPLICATION SLAVE ON *.* FROM '{USER}'@'%'")
        (about, text), = begins(reading, "grants_lost").items()
        assert USER in about
        assert "lacks REPLICATION SLAVE" in text
        database.execute(f"GRANT REPLICATION SLAVE ON *.* TO '{USER}'@'%'")
        ends(reading, "grants_lost")
        database.execute("INSERT INTO t VALUES (1, 1)")
        assert len(reading.changes(1)) == 1
    finally:
        source.stop()
        database.server.drop_user(USER)


@pytest.mark.parametrize("mode", ["fail", "warn"])
def test_a_server_that_becomes_a_replica(servers: Made, kind: str, mode: str) -> None:
    server = servers.get(kind, log_slave_updates="OFF")
    become, leave = CHANNEL[kind]
    with database_of(server) as database:
        database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        with running(database, {"cdc.unlogged.changes": mode}) as reading:
            try:
                server.execute(become)
                if mode == "fail":
                    error = error_of(reading)
                    assert isinstance(error, SourceRefusedError)
                    assert "a replica of 127.0.0.1:1" in error.message
                    assert "watched.t" in error.message
                    return
                assert list(begins(reading, "changes_not_logged")) == ["watched.t"]
            finally:
                server.execute(leave)
            ends(reading, "changes_not_logged")


@pytest.mark.parametrize("mode", ["fail", "warn"])
def test_a_table_that_is_made_in_a_database_that_is_not_logged(servers: Made, kind: str, mode: str) -> None:
    """Nothing in the log tells of it."""
    server = servers.get(kind, binlog_ignore_db="hidden")
    options = {"database.include.list": "watched,hidden", "table.include.list": ".*[.]t", "cdc.unlogged.changes": mode}
    with database_of(server) as database, database_of(server, "hidden") as hidden, running(
            database, options) as reading:
        hidden.execute("CREATE TABLE other (id int PRIMARY KEY)")
        database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        database.execute("INSERT INTO t VALUES (1)")
        assert len(reading.changes(1)) == 1
        hidden.execute("CREATE TABLE t (id int PRIMARY KEY)")
        if mode == "fail":
            assert "binlog_ignore_db): hidden." in error_of(reading).message
        else:
            assert list(begins(reading, "changes_not_logged")) == ["hidden"]


def test_a_server_that_is_exchanged_under_its_address(servers: Made, kind: str) -> None:
    """The stream goes on from the first one, where perhaps nothing is written any more."""
    first, second = servers.get(kind), servers.get(kind, binlog_ignore_db="hidden")
    with (database_of(first) as database, Proxy(first.host, first.port) as link,
          running(database, {"database.port": str(link.port)}) as reading):
        monitor = reading.source._watcher
        assert monitor is not None
        wait_until(lambda: monitor._conn is not None, SECONDS, "the monitor's connection")
        link.lead_to(second.host, second.port)
        assert monitor.failure is None
        # As after a failover; only the replication connection stays.
        for (number,) in first.execute("SELECT id FROM information_schema.processlist WHERE command = 'Sleep'"):
            with contextlib.suppress(pymysql.MySQLError):
                first.execute(f"KILL {number}")
        error = error_of(reading)
        assert isinstance(error, SourceConnectionError)
        assert list(warned(reading, "another_server")) == [link.host]


def test_connections_of_one_start_that_reach_two_servers(servers: Made, kind: str) -> None:
    """A position of one server is not looked for on the other."""
    first, second = servers.get(kind), servers.get(kind, binlog_ignore_db="hidden")
    with database_of(first) as database, Proxy(first.host, first.port) as link:
        source = make_source(database, {"database.port": str(link.port)})
        read = source._lookup.read_facts

        def read_facts() -> Any:
            facts = read()
            link.lead_to(second.host, second.port)
            return facts

        source._lookup.read_facts = read_facts  # type: ignore[method-assign]
        try:
            with pytest.raises(SourceConnectionError, match="reached another server"):
                source.start(None)
        finally:
            source.stop()


def test_logs_that_the_server_removes_before_the_position_is_stored(database: BinlogDatabase) -> None:
    with running(database) as reading:
        place = reading.source._watcher
        assert place is not None
        file = place.place[0]
        database.server.purge_binlogs()
        assert list(begins(reading, "log_expires")) == [file]
        place.place = (database.server.binlog_end()[0], 4)
        ends(reading, "log_expires")


# -- foreign keys ------------------------------------------------------------------------------------------------------

PARENT = "CREATE TABLE parent (id int PRIMARY KEY, v int)"
CHILD = "CREATE TABLE {} (id int PRIMARY KEY, p int, CONSTRAINT {}_fk FOREIGN KEY (p) REFERENCES parent (id) ON {})"


def child_changes(reading: Reading, database: BinlogDatabase) -> list[str]:
    end, found = database.server.binlog_end(), []
    for _ in range(600):
        found += [each.op for each in reading._batch(0.1) if isinstance(each, Record)
                  and each.table.id.table != "parent"]
        if reading._place() >= end:
            return found
    raise AssertionError("the stream does not come to the log's end")


@pytest.mark.parametrize(("kind", "settings", "logged"), [
    ("mysql", {}, True), ("mysql", {"innodb_native_foreign_keys": "ON"}, False), ("mariadb", {}, False)])
def test_rows_that_foreign_keys_change(servers: Made, kind: str, settings: dict[str, str], logged: bool) -> None:
    """They have events, or a warning names their table."""
    with database_of(servers.get(kind, **settings)) as database:
        database.execute(PARENT)
        for name, rule in (("a", "DELETE CASCADE"), ("b", "DELETE SET NULL ON UPDATE CASCADE"),
                           ("c", "DELETE RESTRICT"), ("d", "UPDATE CASCADE")):
            database.execute(CHILD.format(name, name, rule))
        with running(database, {"table.exclude.list": f"{database.name}.d"}) as reading:
            if not logged:
                assert set(begins(reading, "cascades_not_logged")) == {"watched.a", "watched.b"}
                assert "a_fk to parent (ON DELETE CASCADE)" in warned(reading, "cascades_not_logged")["watched.a"]
            database.execute("INSERT INTO parent VALUES (1, 1)")
            database.execute("INSERT INTO a VALUES (1, 1)")
            database.execute("INSERT INTO b VALUES (1, 1)")
            assert child_changes(reading, database) == ["c", "c"]
            database.execute("DELETE FROM parent")
            assert sorted(child_changes(reading, database)) == (["d", "u"] if logged else [])
            database.execute("ALTER TABLE a DROP FOREIGN KEY a_fk")
            database.execute("DROP TABLE b")
            database.execute(CHILD.format("e", "e", "UPDATE SET NULL"))
            reading.changes(0)
            if logged:
                assert warned(reading, "cascades_not_logged") == {}
            else:
                wait_until(lambda: reading.source.poll(0.05) is None and set(warned(
                    reading, "cascades_not_logged")) == {"watched.e"}, SECONDS, "the changed keys")


# -- tables that nobody told of ----------------------------------------------------------------------------------------


def test_a_table_that_the_lists_take_in_later(database: BinlogDatabase) -> None:
    """Its rows of before are in no snapshot. Tables that are made while nobody reads are told by the log."""
    database.execute("CREATE TABLE old (id int PRIMARY KEY)")
    database.execute("INSERT INTO old VALUES (1)")
    with running(database, {"table.include.list": "watched[.]t"}) as reading:
        database.execute("INSERT INTO t VALUES (1, 1)")
        reading.changes(1)
        offset = reading.offset
    database.execute("CREATE TABLE new (id int PRIMARY KEY)")
    database.execute("CREATE TABLE gone (id int PRIMARY KEY)")
    options = {"connect.keep.alive.interval.ms": "200"}
    with running(database, options, offset) as reading:
        database.execute("DROP TABLE gone")
        assert list(begins(reading, "table_without_snapshot")) == ["watched.old"]
        database.execute("INSERT INTO old VALUES (2)")
        assert [each[2] for each in reading.changes(1)] == [{"id": 2}]


def test_a_table_that_the_log_does_not_tell_of(database: BinlogDatabase) -> None:
    with running(database) as reading:
        database.execute("CREATE TABLE made (id int PRIMARY KEY)")
        with database.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET sql_log_bin = 0")
            cursor.execute("CREATE TABLE secret (id int PRIMARY KEY)")
            cursor.execute("INSERT INTO secret VALUES (1)")
        database.execute("INSERT INTO secret VALUES (2)")
        database.execute("INSERT INTO made VALUES (2)")
        assert [each[2] for each in reading.changes(2)] == [{"id": 2}] * 2
        assert list(warned(reading, "table_without_snapshot")) == ["watched.secret"]
