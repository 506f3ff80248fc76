"""A server that is not what it was: put back from a copy, crashed, promoted. LSNs are used again for other rows."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cdc.core.errors import PositionLostError
from tests.conftest import Database
from tests.integration.pg_source import brief, is_mark, running, slot_of
from tests.servers.postgres import PostgresServer
from tests.servers.process import wait_until


@pytest.fixture(params=[15, 18])
def base(request: pytest.FixtureRequest) -> Iterator[Database]:
    with PostgresServer(request.param, autovacuum=False) as server:
        yield made(server)


def made(server: PostgresServer) -> Database:
    database = Database(server, server.create_database("d"))
    database.execute("CREATE TABLE t (id int PRIMARY KEY, s text); CREATE PUBLICATION pub FOR ALL TABLES")
    return database


def data_of(server: PostgresServer) -> Path:
    assert server.folder is not None
    return server.folder / "data"


def copy(server: PostgresServer) -> Path:
    """A cold copy. The server runs afterwards."""
    server.stop()
    to = data_of(server).with_name("copy")
    subprocess.run(["cp", "-a", str(data_of(server)), str(to)], check=True)
    server.start()
    return to


def put_back(server: PostgresServer, kept: Path) -> None:
    server.stop()
    subprocess.run(["rm", "-r", str(data_of(server))], check=True)
    subprocess.run(["cp", "-a", str(kept), str(data_of(server))], check=True)
    server.start()


def insert(database: Database, first: int, last: int, size: int = 1) -> None:
    database.execute(f"INSERT INTO t SELECT i, repeat('x', {size}) FROM generate_series({first}, {last}) i")


def wal_end(database: Database) -> int:
    return int(database.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")[0][0])


def confirmed(database: Database) -> int:
    return int(database.execute("SELECT confirmed_flush_lsn - '0/0'::pg_lsn FROM pg_replication_slots "
                                f"WHERE slot_name = '{slot_of(database)}'")[0][0])


def deliver(database: Database, offset: Mapping[str, Any] | None = None, *, confirm: bool = True,
            options: Mapping[str, str] | None = None) -> tuple[list[int], dict[str, Any]]:
    """Starts at *offset*, and returns the ids of all that is committed now, and the offset then. With *confirm* the
    server learns of it, as from a pipeline whose sink has acknowledged everything."""
    with running(database, options, offset) as reading:
        records = reading.to_mark(database)
        reading.until(lambda _: reading.source._changes.between_transactions())
        position = reading.source._changes.position()
        if confirm:
            reading.source.confirm(position)
            wait_until(lambda: confirmed(database) >= position.end_lsn, 20, "the slot to move on")
        return [key for _, _, key in brief(records)], dict(position.offset())


def grow_past(database: Database, lsn: int) -> None:
    """Commits 2000, 2001, … until the log is longer than *lsn*."""
    number = 2000
    while wal_end(database) <= lsn:
        insert(database, number, number + 99, 2000)
        number += 100


def test_what_was_written_before_the_old_position_was_passed_is_not_skipped(base: Database) -> None:
    insert(base, 0, 0)
    _, offset = deliver(base)
    insert(base, 1, 50)
    ids, offset = deliver(base, offset)
    assert ids == list(range(1, 51))
    kept = copy(base.server)
    insert(base, 101, 400)
    ids, offset = deliver(base, offset)
    assert ids == list(range(101, 401))
    put_back(base.server, kept)
    insert(base, 1001, 1200)
    with pytest.raises(PositionLostError, match="ahead of the server"):
        deliver(base, offset)
    grow_past(base, offset["lsn_commit"])
    slot = confirmed(base)
    for _ in range(2):  # and it stays an error
        with pytest.raises(PositionLostError, match="last transaction that was read") as caught:
            deliver(base, offset)
        assert caught.value.context["expected"].startswith(f"transaction {offset['shown_xid']} at ")
        assert "snapshot.mode=no_data" in caught.value.hint
        assert confirmed(base) == slot
    with running(base) as reading:  # the way out that the hint tells
        wanted = {*range(1001, 1201), 2000}
        reading.until(lambda records: wanted <= {key for _, _, key in brief(records)})


def test_log_that_only_other_tables_wrote_is_not_missed(base: Database) -> None:
    """The position went on with the log of another database. All that was delivered is there, and what is new arrives.
    """
    _, offset = deliver(base)
    insert(base, 1, 5)
    _, offset = deliver(base, offset)
    kept = copy(base.server)
    with running(base, None, offset) as reading:
        before = wal_end(base)
        base.server.execute("CREATE TABLE other AS SELECT repeat('y', 2000) AS s FROM generate_series(1, 100)")
        reading.until(lambda _: reading.source._changes.stream.end_lsn > before + 1000)
        moved = dict(reading.source._changes.position().offset())
    assert moved["shown_lsn"] == offset["shown_lsn"]
    put_back(base.server, kept)
    insert(base, 11, 20)
    ids, moved = deliver(base, moved)
    assert ids == list(range(11, 21))
    insert(base, 21, 30)
    assert deliver(base, moved)[0] == list(range(21, 31))


def test_a_crash_that_forgets_how_far_the_slot_was_goes_on(base: Database) -> None:
    insert(base, 1, 10)
    _, offset = deliver(base)
    base.execute("CHECKPOINT")
    at_checkpoint = confirmed(base)
    for first in (11, 21, 31):
        insert(base, first, first + 9)
        ids, offset = deliver(base, offset)
        assert ids == list(range(first, first + 10))
    base.server.kill()
    base.server.start()
    assert confirmed(base) <= at_checkpoint or confirmed(base) <= offset["lsn_commit"]
    insert(base, 41, 50)
    ids, offset = deliver(base, offset)
    assert ids == list(range(41, 51))
    assert deliver(base, offset)[0] == []


def test_a_restart_without_confirmation_goes_on(base: Database) -> None:
    _, offset = deliver(base)
    for first in (1, 11, 21, 31):
        insert(base, first, first + 9)
        ids, offset = deliver(base, offset, confirm=False)
        assert ids == [*range(first, first + 10)]
        base.execute("SELECT pg_logical_emit_message(false, 'p', 'outside')")


def test_a_snapshot_beside_an_older_slot_is_told_from_a_copy(base: Database) -> None:
    insert(base, 1, 5)
    _, older = deliver(base)
    kept = copy(base.server)
    insert(base, 6, 300, 2000)
    with running(base, {"snapshot.mode": "initial"}) as reading:
        reading.until(lambda records: len(brief(records)) >= 300)
        wait_until(lambda: reading.source.state() == "streaming", 20, "the stream")
        offset = dict(reading.source._changes.stream.resumed.offset())
    assert "begin_ts_usec" in offset
    assert deliver(base, offset, confirm=False)[0] == []  # what the slot has is in the snapshot
    put_back(base.server, kept)
    grow_past(base, offset["lsn_commit"])
    with pytest.raises(PositionLostError, match="snapshot"):
        deliver(base, offset)
    with running(base, None, older) as reading:
        reading.until(lambda records: 2099 in {key for _, _, key in brief(records)})


def test_a_row_that_is_committed_right_after_a_message_survives_a_restart(base: Database) -> None:
    with running(base, {"max.batch.size": "1"}) as reading:
        reading.to_mark(base)
        base.execute("BEGIN; INSERT INTO t VALUES (1, 'a'); SELECT pg_logical_emit_message(false, 'mark', ''); COMMIT")
        assert reading.until(lambda records: any(map(is_mark, records)))[0].key == ("mark",)
        position = reading.source._changes.position()
        reading.source.confirm(position)
        wait_until(lambda: confirmed(base) >= position.end_lsn, 20, "the slot to move on")
    assert deliver(base, position.offset())[0] == [1]


# -- standbys ----------------------------------------------------------------------------------------------------------


class Standby(PostgresServer):
    """Begins with a cold copy of *primary*, which streams to it. *name*: its slot on the primary."""

    def __init__(self, primary: Database, kept: Path, name: str) -> None:
        super().__init__(primary.server.version)
        self.primary, self.kept, self.name = primary, kept, name

    def _prepare(self, folder: Path) -> list[str]:
        server = self.primary.server
        self.bindir = server.bindir
        data = folder / "data"
        subprocess.run(["cp", "-a", str(self.kept), str(data)], check=True)
        for slot in (data / "pg_replslot").iterdir():
            shutil.rmtree(slot)  # as pg_basebackup leaves them out
        (data / "standby.signal").touch()
        settings = {"port": self.port, "unix_socket_directories": folder, "primary_slot_name": self.name,
                    "primary_conninfo": server.dsn(self.primary.name), "hot_standby_feedback": "on",
                    "sync_replication_slots": "on"}
        with (data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        return [str(self.bindir / "postgres"), "-D", str(data)]

    def wait_replayed(self, lsn: int) -> None:
        query = f"SELECT pg_last_wal_replay_lsn() - '0/0'::pg_lsn >= {lsn}"
        wait_until(lambda: self.execute(query) == [(True,)], 60, f"standby {self.name} to replay")

    def has_slot(self) -> bool:
        return self.execute("SELECT 1 FROM pg_replication_slots WHERE synced AND NOT temporary") == [(1,)]

    def keep_slot_as_it_is(self) -> None:
        self.set(sync_replication_slots=False)
        query = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'slotsync worker'"
        wait_until(lambda: not self.execute(query), 30, "the slot's synchronisation to end")

    def promote(self) -> Database:
        assert self.execute("SELECT pg_promote()") == [(True,)]
        return Database(self, self.primary.name)


def test_of_two_standbys_of_the_same_timeline_one_goes_on_and_the_other_does_not() -> None:
    with PostgresServer(18, autovacuum=False) as primary:
        base = made(primary)
        for name in "ab":
            base.execute(f"SELECT pg_create_physical_replication_slot('{name}', true)")
        _, offset = deliver(base, options={"slot.failover": "true"})
        kept = copy(primary)
        with Standby(base, kept, "a") as first, Standby(base, kept, "b") as second:
            standbys = (first, second)
            for _ in range(100):  # they take a slot when it has moved on
                base.execute("SELECT pg_log_standby_snapshot()")
                _, offset = deliver(base, offset)
                if all(standby.has_slot() for standby in standbys):
                    break
            for standby in standbys:
                standby.keep_slot_as_it_is()
                standby.wait_replayed(wal_end(base))
            second.stop()
            (data_of(second) / "postgresql.auto.conf").write_text("primary_conninfo = ''\n")
            second.start()  # it receives nothing any more
            insert(base, 11, 20)
            ids, offset = deliver(base, offset)
            assert ids == list(range(11, 21))
            first.wait_replayed(wal_end(base))
            primary.kill()
            new, other = first.promote(), second.promote()
            assert confirmed(new) < offset["shown_lsn"], "the standby's slot is not behind: the stream proves nothing"
            insert(new, 21, 30)
            insert(other, 101, 110)
            grow_past(other, offset["lsn_commit"])
            with pytest.raises(PositionLostError, match="timeline"):
                deliver(other, offset)
            ids, offset = deliver(new, offset)
            assert ids == list(range(21, 31))
            assert offset["timeline"] == 2
            grow_past(other, offset["lsn_commit"])
            with pytest.raises(PositionLostError, match="last transaction that was read"):
                deliver(other, offset)
