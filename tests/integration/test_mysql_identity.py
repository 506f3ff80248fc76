"""A position is an identity: a log that was reset, put back from a copy or has lost its end is refused, though its
files, places and GTIDs are the same again; and no restart, crash, purge or failover in order is refused.

MySQL and MariaDB, by GTID and by file and position."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from cdc.core.errors import PositionLostError
from cdc.core.record import Record
from tests.conftest import BinlogDatabase
from tests.integration.mysql_source import running
from tests.servers.mariadb import MariaDbServer
from tests.servers.mysql import BinlogServer, MySqlServer
from tests.servers.process import wait_until

Offset = Mapping[str, Any]
LAST = 999
BY_FILE = {"gtid.ignore.on.recovery": "true"}


@dataclass(frozen=True)
class Own:
    """A server whose log may be reset, and how the stream resumes."""

    database: BinlogDatabase
    options: Mapping[str, str]

    @property
    def server(self) -> BinlogServer:
        server = self.database.server
        assert isinstance(server, BinlogServer)
        return server

    def insert(self, *numbers: int, flush_every: int = 0) -> None:
        """Each in a transaction of its own."""
        with self.server.connect(self.database.name) as conn, conn.cursor() as cursor:
            for count, number in enumerate(numbers, 1):
                cursor.execute(f"INSERT INTO t VALUES ({number}, 'text')")
                if flush_every and count % flush_every == 0:
                    cursor.execute("FLUSH BINARY LOGS")

    def deliver(self, *numbers: int, offset: Offset | None = None) -> Offset:
        """Insert them and read them; returns the offset."""
        with running(self.database, self.options, offset) as reading:
            self.insert(*numbers)
            assert [each[3] for each in reading.changes(len(numbers))] == [(number,) for number in numbers]
            return reading.offset

    def copy(self) -> None:
        """A cold copy of the data folder."""
        self.server.stop()
        shutil.copytree(self.server.data, self.server.data.with_name("copy"), symlinks=True)
        self.server.start()

    def put_back(self) -> None:
        self.server.stop()
        shutil.rmtree(self.server.data)
        self.server.data.with_name("copy").rename(self.server.data)
        self.server.start()

    def lose_the_log_after(self, file: str, pos: int) -> None:
        """As a power cut with sync_binlog=0 does: nothing of the log after this place is on the disk."""
        self.server.kill()
        number = int(file.rpartition(".")[2])
        for each in self.server.data.glob("*bin*.[0-9]*"):
            if int(each.name.rpartition(".")[2]) > number:
                each.unlink()
        os.truncate(self.server.data / file, pos)
        index = next(self.server.data.glob("*.index"))
        index.write_text("".join(line for line in index.read_text().splitlines(keepends=True)
                                 if int(line.strip().rpartition(".")[2]) <= number))
        self.server.start()


@pytest.fixture(params=["mysql-gtid", "mysql-without", "mariadb-gtid", "mariadb-file"])
def own(request: pytest.FixtureRequest) -> Iterator[Own]:
    flavor, by = request.param.split("-")
    with make(flavor, gtid=by != "without") as server:
        database = BinlogDatabase(server, server.create_database("d"))
        database.execute("CREATE TABLE t (id int PRIMARY KEY, s text)")
        yield Own(database, BY_FILE if by == "file" else {})


def make(flavor: str, *, gtid: bool = True, **options: Any) -> BinlogServer:
    return MySqlServer(gtid=gtid, **options) if flavor == "mysql" else MariaDbServer(**options)


def refused(own: Own, offset: Offset) -> PositionLostError:
    """Resume from *offset*; nothing must be delivered before the error."""
    own.insert(LAST)
    with pytest.raises(PositionLostError) as caught, running(own.database, own.options, offset) as reading:
        pytest.fail(f"went on: {reading.source.poll(5.0)}")
    assert caught.value.hint
    return caught.value


# -- another history --------------------------------------------------------------------------------------------------


def test_a_log_that_was_reset_is_refused_whatever_gtids_it_gives_again(own: Own) -> None:
    own.database.execute("FLUSH BINARY LOGS")
    own.database.execute("FLUSH BINARY LOGS")
    offset = own.deliver(1, 2, 3, 4)
    own.server.reset_binlogs()
    own.insert(*range(100, 160), flush_every=2)
    refused(own, offset)


def test_a_reset_within_the_same_second_is_seen(own: Own) -> None:
    """The new file and its transactions have the times of the old ones."""
    own.server.reset_binlogs()
    offset = own.deliver(1, 2, 3)
    own.server.reset_binlogs()
    own.insert(4, 5, 6, 7, 8)
    refused(own, offset)


def test_a_server_put_back_from_a_copy_is_refused(own: Own) -> None:
    offset = own.deliver(1)
    own.copy()
    offset = own.deliver(*range(10, 30), offset=offset)
    own.put_back()
    own.database.execute("FLUSH BINARY LOGS")
    own.insert(*range(100, 140), flush_every=4)
    refused(own, offset)


def test_a_server_put_back_after_the_snapshot_alone_is_refused(own: Own) -> None:
    own.copy()
    own.insert(*range(10, 30))
    with running(own.database, own.options) as reading:
        reading.changes(0)
        offset = reading.offset
    own.put_back()
    own.insert(*range(100, 140), flush_every=4)
    refused(own, offset)


def test_a_log_that_lost_its_end_in_a_crash_is_refused(own: Own) -> None:
    offset = own.deliver(1, 2)
    file, pos = own.server.binlog_end()
    offset = own.deliver(*range(10, 20), offset=offset)
    own.lose_the_log_after(file, pos)
    own.insert(*range(100, 120))
    refused(own, offset)


def insert_at_once(own: Own, *numbers: int) -> None:
    with own.server.connect("d") as conn, conn.cursor() as cursor:
        cursor.execute("BEGIN")
        for number in numbers:
            cursor.execute(f"INSERT INTO t VALUES ({number}, 'text')")
        cursor.execute("COMMIT")


def deliver_in_part(own: Own, numbers: range, offset: Offset) -> tuple[int, Offset]:
    """Insert them in one transaction, and read some; returns how many, and the offset."""
    with running(own.database, {**own.options, "max.batch.size": "10", "include.query": "true"}, offset) as reading:
        insert_at_once(own, *numbers)
        count = 0
        while not reading.offset.get("event"):
            batch = reading.source.poll(1.0)
            if batch is not None:
                count += sum(isinstance(each, Record) for each in batch.records)
                reading.offset = dict(batch.position.offset())
        assert 0 < count < len(numbers)
        return count, reading.offset


def test_a_transaction_delivered_in_part_that_a_crash_replaced_is_refused(own: Own) -> None:
    offset = own.deliver(1)
    file, pos = own.server.binlog_end()
    _, offset = deliver_in_part(own, range(100, 140), offset)
    own.lose_the_log_after(file, pos)
    insert_at_once(own, *range(200, 240))
    refused(own, offset)


def test_a_transaction_delivered_in_part_is_gone_on_with(own: Own) -> None:
    """Also where statements' texts stand between the rows, and are asked for or not."""
    if own.server.flavor == "mysql":
        own.server.set(binlog_rows_query_log_events=True)
    offset = own.deliver(1)
    count, offset = deliver_in_part(own, range(100, 140), offset)
    resumed(own, offset, *range(100 + count, 140))


# -- the same history -------------------------------------------------------------------------------------------------


def resumed(own: Own, offset: Offset, *numbers: int) -> Offset:
    with running(own.database, own.options, offset) as reading:
        assert [each[3] for each in reading.changes(len(numbers))] == [(number,) for number in numbers]
        return reading.offset or offset


def crash(own: Own) -> None:
    own.server.kill()
    own.server.start()


def rotate(own: Own) -> None:
    own.database.execute("FLUSH BINARY LOGS")
    own.database.execute("FLUSH BINARY LOGS")


def put_back_as_it_was(own: Own) -> None:
    own.copy()
    own.put_back()


def test_what_keeps_the_log_is_gone_on_from(own: Own) -> None:
    offset = own.deliver(1)
    for number, happens in enumerate((crash, lambda own: own.server.restart(), rotate, put_back_as_it_was), 2):
        happens(own)
        offset = resumed(own, offset)
        own.insert(number)
        offset = resumed(own, offset, number)


def test_logs_that_expired_behind_the_position_are_not_missed(own: Own) -> None:
    """By file and position the position's own file is needed."""
    by_gtid = own.server.flavor == "mariadb" or own.server.execute("SELECT @@gtid_mode")[0][0] == "ON"
    offset = own.deliver(1, 2)
    if by_gtid and not own.options:
        own.server.purge_binlogs()
        offset = resumed(own, offset)
        own.insert(3)
        offset = resumed(own, offset, 3)
    with running(own.database, own.options, offset) as reading:
        own.database.execute("FLUSH BINARY LOGS")
        last = own.server.binlog_files()[-1]
        wait_until(lambda: not reading.changes(0) and reading.offset.get("file") == last, 20, "the rotation to be read")
        offset = reading.offset
    own.database.execute(f"PURGE BINARY LOGS TO '{last}'")
    own.insert(4)
    resumed(own, offset, 4)


# -- another server ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["mysql", "mariadb"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Own, Own]]:
    """A server and its replica, whose files have other names and places."""
    replicas: dict[str, Any] = {"server_id": 2, "log_bin": "other"}
    with make(request.param) as first, make(request.param, log_slave_updates=True, **replicas) as second:
        replicate(first, second)
        first.create_database("d")
        first.execute("CREATE TABLE t (id int PRIMARY KEY, s text)", "d")
        yield Own(BinlogDatabase(first, "d"), {}), Own(BinlogDatabase(second, "d"), {})


def replicate(source: BinlogServer, replica: BinlogServer) -> None:
    if replica.flavor == "mysql":
        replica.execute(f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='{source.host}', SOURCE_PORT={source.port},"
                        " SOURCE_USER='root', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1")
        replica.execute("START REPLICA")
        return
    replica.execute(f"CHANGE MASTER TO MASTER_HOST='{source.host}', MASTER_PORT={source.port}, MASTER_USER='root',"
                    " MASTER_USE_GTID=slave_pos")
    replica.execute("START SLAVE")


def executed(own: Own) -> Any:
    name = "gtid_executed" if own.server.flavor == "mysql" else "gtid_binlog_pos"
    return own.server.execute(f"SELECT @@GLOBAL.{name}")[0][0]


def stop_replica(own: Own) -> None:
    own.server.execute("STOP REPLICA" if own.server.flavor == "mysql" else "STOP SLAVE")


def begin_slowly(cursor: Any) -> None:
    """The commit is later than the rows: MariaDB's replicas log the GTID with another time then."""
    cursor.execute("BEGIN")
    cursor.execute("INSERT INTO t VALUES (2, 'x')")
    cursor.execute("SELECT sleep(1.1)")
    cursor.execute("COMMIT")


def alter(cursor: Any) -> None:
    cursor.execute("ALTER TABLE t ADD COLUMN c int")


def prepare(cursor: Any) -> None:
    for statement in ("XA START 'x'", "INSERT INTO t (id) VALUES (3)", "XA END 'x'", "XA PREPARE 'x'"):
        cursor.execute(statement)
    cursor.execute("XA COMMIT 'x'")


def compress(cursor: Any) -> None:
    cursor.execute("SELECT VERSION()")
    if "MariaDB" in cursor.fetchone()[0]:
        cursor.execute("SET GLOBAL log_bin_compress = ON")
    else:
        cursor.execute("SET SESSION binlog_transaction_compression = ON")
    cursor.execute(f"INSERT INTO t (id, s) VALUES (4, '{'x' * 500}')")


def test_a_failover_to_a_replica_goes_on_whatever_came_last(pair: tuple[Own, Own]) -> None:
    first, second = pair
    offset = first.deliver(1)
    for last, count in ((begin_slowly, 1), (alter, 0), (prepare, 1), (compress, 1)):
        with running(first.database, offset=offset) as reading:
            with first.server.connect("d") as conn, conn.cursor() as cursor:
                last(cursor)
            reading.changes(count)
            offset = reading.offset
        wait_until(lambda: executed(second) == executed(first), 60, "the replica to have it all")
        with running(second.database, offset=offset) as reading:
            assert reading.changes(0) == []
    stop_replica(second)
    second.database.execute("INSERT INTO t (id) VALUES (50)")
    with running(second.database, offset=offset) as reading:
        assert [each[3] for each in reading.changes(1)] == [(50,)]
        offset = reading.offset
    second.database.execute("INSERT INTO t (id) VALUES (51)")
    with running(second.database, offset=offset) as reading:
        assert [each[3] for each in reading.changes(1)] == [(51,)]


def test_another_transaction_with_the_same_gtid_is_refused(pair: tuple[Own, Own]) -> None:
    first, second = pair
    wait_until(lambda: executed(second) == executed(first), 60, "the replica to have it all")
    stop_replica(second)
    offset = first.deliver(1)
    number = int(str(executed(first)).rpartition(":" if first.server.flavor == "mysql" else "-")[2].rpartition("-")[2])
    now = int(second.server.execute("SELECT UNIX_TIMESTAMP()")[0][0])
    wait_until(lambda: second.server.execute("SELECT UNIX_TIMESTAMP()")[0][0] > now, 5, "another second")
    with second.server.connect("d") as conn, conn.cursor() as cursor:
        if second.server.flavor == "mysql":
            uuid = first.server.execute("SELECT @@server_uuid")[0][0]
            cursor.execute(f"SET SESSION gtid_next = '{uuid}:{number}'")
        else:
            cursor.execute(f"SET SESSION server_id = 1, gtid_seq_no = {number}")
        cursor.execute("INSERT INTO t VALUES (100, 'x')")
    error = refused(second, offset)
    assert str(number) in error.message


@pytest.mark.parametrize("goes_on", [False, True], ids=["idle", "in use"])
def test_a_mariadb_made_from_a_backup_at_the_position_is_gone_on_with(goes_on: bool) -> None:
    """A planned move: its own log begins right behind the last transaction that was delivered."""
    with make("mariadb") as old, make("mariadb", server_id=2, log_slave_updates=True) as new:
        first, second = (Own(BinlogDatabase(each, "d"), {}) for each in (old, new))
        old.create_database("d")
        first.database.execute("CREATE TABLE t (id int PRIMARY KEY, s text)")
        offset = first.deliver(1)
        with new.connect() as conn, conn.cursor() as cursor:
            for statement in ("SET SESSION sql_log_bin = 0", "CREATE DATABASE d",
                              "CREATE TABLE d.t (id int PRIMARY KEY, s text)", "INSERT INTO d.t VALUES (1, 'text')",
                              "RESET MASTER", f"SET GLOBAL gtid_slave_pos = '{executed(first)}'"):
                cursor.execute(statement)
        if goes_on:
            second.insert(2)
        with running(second.database, offset=offset) as reading:
            second.insert(3)
            expected = [(2,), (3,)] if goes_on else [(3,)]
            assert [each[3] for each in reading.changes(len(expected))] == expected
