"""Resuming: by GTIDs that are known, that become known, of sources not followed; and never in another log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc.core.errors import PositionLostError, SourceConnectionError
from tests.conftest import BinlogDatabase
from tests.integration.mysql_source import running
from tests.servers.mariadb import MariaDbServer
from tests.servers.mysql import BinlogServer, MySqlServer
from tests.servers.process import wait_until

_TABLE = "CREATE TABLE t (id int PRIMARY KEY)"


@pytest.fixture(params=[MySqlServer, MariaDbServer], ids=["mysql", "mariadb"])
def own(request: pytest.FixtureRequest) -> Iterator[BinlogDatabase]:
    """On a server whose logs may be reset."""
    server: BinlogServer
    with request.param() as server:
        server.create_database("d")
        database = BinlogDatabase(server, "d")
        database.execute(_TABLE)
        yield database


def keys(changes: list[tuple[object, ...]]) -> list[object]:
    return [each[3] for each in changes]


def test_an_offset_of_file_and_position_alone_learns_its_gtids(binlog_database: BinlogDatabase) -> None:
    binlog_database.execute(_TABLE)
    file, pos = binlog_database.server.binlog_end()
    binlog_database.execute("INSERT INTO t VALUES (1)")
    with running(binlog_database, offset={"file": file, "pos": pos}) as reading:
        assert keys(reading.changes(1)) == [(1,)]
        binlog_database.execute("FLUSH BINARY LOGS")
        binlog_database.execute("INSERT INTO t VALUES (2)")
        assert keys(reading.changes(1)) == [(2,)]
        offset = reading.offset
    assert offset["gtids"]
    binlog_database.execute("INSERT INTO t VALUES (3)")
    with running(binlog_database, offset=offset) as reading:
        assert keys(reading.changes(1)) == [(3,)]


def test_of_a_transaction_that_debezium_has_in_part_the_rest_is_sent(binlog_database: BinlogDatabase) -> None:
    """Its offset is at BEGIN on MySQL, at the GTID event on MariaDB, and MySQL sends it the statement's text too."""
    server = binlog_database.server
    binlog_database.execute(_TABLE)
    file, end = server.binlog_end()
    with binlog_database.connect() as connection, connection.cursor() as cursor:
        if server.flavor == "mysql":
            cursor.execute("SET SESSION binlog_rows_query_log_events = ON")
        cursor.execute("INSERT INTO t VALUES (1), (2), (3)")
    begin = server.execute(f"SHOW BINLOG EVENTS IN '{file}' FROM {end}")[server.flavor == "mysql"][1]
    event = 3 if server.flavor == "mysql" else 2
    with running(binlog_database, offset={"file": file, "pos": begin, "event": event, "row": 1}) as reading:
        assert keys(reading.changes(2)) == [(2,), (3,)]
    with running(binlog_database, offset={"file": file, "pos": begin, "event": event - 1}) as reading:
        assert keys(reading.changes(3)) == [(1,), (2,), (3,)]


def test_a_log_that_was_reset_is_not_read_on(own: BinlogDatabase) -> None:
    with running(own) as reading:
        own.execute("INSERT INTO t VALUES (1)")
        reading.changes(1)
        offset = reading.offset
    by_file = {**offset, "gtids": None}
    wait_until(lambda: own.execute("SELECT UNIX_TIMESTAMP()")[0][0] > offset["log_created"], 5,
               "a log to be told apart by its time, in seconds")
    own.server.reset_binlogs()
    for number in range(2, 40):  # the new log is longer than the old one was
        own.execute(f"INSERT INTO t VALUES ({number})")
    for stored in (offset, by_file):
        with pytest.raises(PositionLostError) as caught, running(own, offset=stored) as reading:
            reading.changes(1)
        assert "new snapshot" in caught.value.hint or "new snapshot" in caught.value.message


def test_fewer_logs_than_the_stored_position_tells_of_are_other_logs(own: BinlogDatabase) -> None:
    own.execute("FLUSH BINARY LOGS")
    own.execute("FLUSH BINARY LOGS")
    with running(own) as reading:
        own.execute("INSERT INTO t VALUES (1)")
        reading.changes(1)
        offset = reading.offset
    own.server.reset_binlogs()
    for number in range(2, 40):
        own.execute(f"INSERT INTO t VALUES ({number})")
    with pytest.raises(PositionLostError), running(own, offset=offset) as reading:
        reading.changes(1)


def test_transactions_of_sources_not_followed_give_no_events(binlog_database: BinlogDatabase) -> None:
    binlog_database.execute(_TABLE)
    if binlog_database.server.flavor == "mysql":
        (source,), = binlog_database.execute("SELECT @@server_uuid")
    else:
        source = "0-1"
    with running(binlog_database, {"gtid.source.excludes": source}) as reading:
        binlog_database.execute("INSERT INTO t VALUES (1)")
        reading.changes(0)
        offset = reading.offset
    with running(binlog_database, {"gtid.source.includes": source}, offset) as reading:
        binlog_database.execute("INSERT INTO t VALUES (2)")
        assert keys(reading.changes(1)) == [(2,)]
    with running(binlog_database, {"gtid.source.excludes": source, "gtid.source.filter.dml.events": "false"},
                 offset) as reading:
        assert keys(reading.changes(1)) == [(2,)]


@pytest.fixture
def gtid_server() -> Iterator[BinlogDatabase]:
    """A MySQL whose gtid_mode may be changed."""
    with MySqlServer() as server:
        server.create_database("d")
        database = BinlogDatabase(server, "d")
        database.execute(_TABLE)
        yield database


def switch(database: BinlogDatabase, *modes: str) -> None:
    for mode in modes:
        database.execute(f"SET GLOBAL gtid_mode = {mode}")


def test_gtid_mode_may_be_switched_off_and_on_while_others_write(gtid_server: BinlogDatabase) -> None:
    with running(gtid_server) as reading:
        gtid_server.execute("INSERT INTO t VALUES (1)")
        assert keys(reading.changes(1)) == [(1,)]
        offset = reading.offset
        switch(gtid_server, "ON_PERMISSIVE", "OFF_PERMISSIVE")
        gtid_server.execute("INSERT INTO t VALUES (2)")
        with pytest.raises(SourceConnectionError, match="gtid_mode was changed"):  # so that it is started again
            reading.changes(1)
        offset = {**offset, **reading.offset}
    with running(gtid_server, offset=offset) as reading:
        assert keys(reading.changes(1)) == [(2,)]
        switch(gtid_server, "OFF")
        gtid_server.execute("INSERT INTO t VALUES (3)")
        switch(gtid_server, "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON")
        gtid_server.execute("INSERT INTO t VALUES (4)")
        assert keys(reading.changes(2)) == [(3,), (4,)]
        offset = reading.offset
    gtid_server.execute("INSERT INTO t VALUES (5)")
    with running(gtid_server, offset=offset) as reading:
        assert keys(reading.changes(1)) == [(5,)]


def test_a_snapshot_goes_on_by_file_where_gtids_are_of_the_past(gtid_server: BinlogDatabase) -> None:
    switch(gtid_server, "ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF")
    with running(gtid_server, {"snapshot.mode": "initial"}) as reading:
        gtid_server.execute("INSERT INTO t VALUES (1)")
        assert keys(reading.changes(1)) == [(1,)]
