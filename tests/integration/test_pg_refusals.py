"""What stands in the way of a stream: the error's class, one paragraph with the fix, and no secret in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cdc.core.errors import (
    CdcError,
    ConfigError,
    PositionLostError,
    SourceConnectionError,
    SourceError,
    SourceRefusedError,
)
from tests.conftest import Database
from tests.integration.pg_source import running, slot_of
from tests.servers.postgres import PostgresServer
from tests.servers.process import free_port, wait_until

SECRET = "s3cr3t-Pass"


@pytest.fixture
def base(database: Database) -> Database:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, x int); CREATE PUBLICATION pub FOR ALL TABLES")
    return database


@pytest.fixture
def login(base: Database) -> Iterator[str]:
    """A user who may log in and read, but not replicate."""
    name = f"u_{base.name}"
    base.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}'; GRANT SELECT ON t TO {name}")
    yield name
    base.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def refusal(database: Database, options: Mapping[str, str] | None = None,
            offset: Mapping[str, Any] | None = None) -> CdcError:
    """The error with which the source does not start."""
    with pytest.raises(CdcError) as caught, running(database, {"database.password": SECRET, **(options or {})}, offset):
        pass
    text = str(caught.value)
    assert SECRET not in text
    assert "\n" not in text
    assert caught.value.hint, text
    return caught.value


def read_once(database: Database) -> dict[str, Any]:
    """An offset that fits: one change was delivered."""
    with running(database) as reading:
        database.execute("INSERT INTO t VALUES (1, 1)")
        reading.to_mark(database)
        assert reading.offset is not None
        return reading.offset


def drop_slot(database: Database) -> None:
    database.execute(f"SELECT pg_drop_replication_slot('{slot_of(database)}')")


def make_slot(database: Database) -> None:
    database.execute(f"SELECT pg_create_logical_replication_slot('{slot_of(database)}', 'pgoutput')")


# -- server, user, objects ---------------------------------------------------------------------------------------------


def test_wal_level_replica() -> None:
    with PostgresServer(15, wal_level="replica") as server:
        database = Database(server, server.create_database("d"))
        error = refusal(database)
    assert isinstance(error, SourceRefusedError)
    assert "wal_level" in error.message
    assert "wal_level = logical" in error.hint


def test_user_without_replication(base: Database, login: str) -> None:
    error = refusal(base, {"database.user": login})
    assert isinstance(error, SourceRefusedError)
    assert "REPLICATION" in error.hint


@pytest.mark.parametrize(("options", "kind", "hint"), [
    ({"database.dbname": "no_such_database"}, SourceRefusedError, "database.dbname"),
    ({"database.hostname": "name.invalid"}, SourceConnectionError, "database.hostname"),
    ({"database.port": str(free_port())}, SourceConnectionError, "database.port"),
])
def test_server_not_reached_or_not_known(base: Database, options: dict[str, str], kind: type[CdcError],
                                         hint: str) -> None:
    error = refusal(base, options)
    assert type(error) is kind
    assert hint in error.hint


def test_wrong_password(base: Database, login: str) -> None:
    error = refusal(base, {"database.user": login, "database.password": "wrong-" + SECRET})
    assert isinstance(error, SourceRefusedError)
    assert "database.password" in error.hint


def test_publication_missing_and_not_to_be_made(base: Database) -> None:
    error = refusal(base, {"publication.name": "nope", "publication.autocreate.mode": "disabled"})
    assert isinstance(error, SourceError | ConfigError)
    assert "nope" in str(error)
    assert "publication.autocreate.mode" in str(error) or "CREATE PUBLICATION" in str(error)


@pytest.mark.parametrize("options", [
    {"publication.autocreate.mode": "filtered", "publication.name": "made"}, {},
    {"snapshot.mode": "initial"}, {"snapshot.mode": "initial_only"},
], ids=["filtered", "no_data", "initial", "initial_only"])
def test_include_list_that_matches_nothing(base: Database, options: dict[str, str]) -> None:
    error = refusal(base, {"table.include.list": "public.no_such_table", **options})
    assert isinstance(error, ConfigError)
    assert "table.include.list" in error.message
    assert base.execute(f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{slot_of(base)}'") == []


# -- slots -------------------------------------------------------------------------------------------------------------


def test_slot_in_use(base: Database) -> None:
    with running(base):
        error = refusal(base)
    assert isinstance(error, SourceConnectionError)
    assert "slot.name" in error.hint


def test_slot_of_another_plugin(base: Database) -> None:
    base.execute(f"SELECT pg_create_physical_replication_slot('{slot_of(base)}')")
    try:
        error = refusal(base)
    finally:
        drop_slot(base)
    assert isinstance(error, SourceRefusedError)
    assert "slot.name" in error.hint


def test_slot_gone(base: Database) -> None:
    offset = read_once(base)
    drop_slot(base)
    error = refusal(base, offset=offset)
    assert isinstance(error, PositionLostError)
    assert "offset" in error.hint
    assert base.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = '" + slot_of(base) + "'") == []


def test_slot_made_again_is_ahead(base: Database) -> None:
    offset = read_once(base)
    drop_slot(base)
    base.execute("INSERT INTO t VALUES (2, 2)")
    make_slot(base)
    error = refusal(base, offset=offset)
    assert isinstance(error, PositionLostError)
    assert "offset.mismatch.strategy" in error.hint
    with running(base, {"offset.mismatch.strategy": "trust_slot"}, offset) as reading:
        base.execute("INSERT INTO t VALUES (3, 3)")
        assert [record.after.raw(0) for record in reading.to_mark(base)] == [b"3"]


def test_slot_invalidated() -> None:
    settings: dict[str, Any] = {"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "min_wal_size": "32MB"}
    with PostgresServer(15, **settings) as server:
        database = Database(server, server.create_database("d"))
        database.execute("CREATE TABLE t (id int PRIMARY KEY, x int); CREATE PUBLICATION pub FOR ALL TABLES")
        offset = read_once(database)
        with database.connect() as conn:
            for _ in range(4):
                conn.execute(b"SELECT pg_switch_wal()")
                conn.execute(b"INSERT INTO t SELECT i, i FROM generate_series(10, 20000) i; TRUNCATE t; CHECKPOINT")
            wait_until(lambda: conn.execute(b"SELECT wal_status FROM pg_replication_slots").fetchall() == [("lost",)],
                       20, "the slot to be lost")
        error = refusal(database, offset=offset)
    assert isinstance(error, PositionLostError)
    assert "snapshot" in error.hint


# -- offsets -----------------------------------------------------------------------------------------------------------


def test_offset_of_another_cluster(base: Database) -> None:
    error = refusal(base, offset={**read_once(base), "system_id": "7000000000000000000"})
    assert isinstance(error, PositionLostError)
    assert error.context["stored_system_id"] == "7000000000000000000"


def test_offset_ahead_of_the_server(base: Database) -> None:
    offset = read_once(base)
    for lsn in ("lsn_commit", "shown_lsn", "shown_end_lsn"):
        offset[lsn] += 1 << 40
    error = refusal(base, offset=offset)
    assert isinstance(error, PositionLostError)
    assert "ahead" in error.message


def test_offset_of_a_timeline_that_was_never(base: Database) -> None:
    error = refusal(base, offset={**read_once(base), "timeline": 99})
    assert isinstance(error, PositionLostError)


def test_what_is_no_offset(base: Database) -> None:
    assert isinstance(refusal(base, offset={"file": "binlog.000001", "pos": 4}), PositionLostError)


# -- in the stream -----------------------------------------------------------------------------------------------------


def test_a_terminated_walsender_is_retriable_and_what_came_before_is_delivered(base: Database) -> None:
    with running(base) as reading:
        base.execute("INSERT INTO t VALUES (1, 1)")
        reading.to_mark(base)
        base.execute("INSERT INTO t VALUES (2, 2)")
        base.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = "
                     f"'{slot_of(base)}'")
        with pytest.raises(SourceConnectionError) as caught:
            reading.until(lambda _: False)
        assert caught.value.retriable
        offset = reading.offset
    with running(base, offset=offset) as reading:
        base.execute("INSERT INTO t VALUES (3, 3)")
        assert [record.after.raw(0) for record in reading.to_mark(base)][-1] == b"3"


def test_a_slot_dropped_in_mid_stream_is_a_lost_position_at_the_next_start(base: Database) -> None:
    with running(base) as reading:
        reading.to_mark(base)
        base.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = "
                     f"'{slot_of(base)}'")
        wait_until(lambda: base.execute("SELECT active FROM pg_replication_slots WHERE slot_name = "
                                        f"'{slot_of(base)}'") == [(False,)], 10, "the slot to be free")
        drop_slot(base)
        with pytest.raises(SourceConnectionError):
            reading.until(lambda _: False)
        offset = reading.offset
    assert isinstance(refusal(base, offset=offset), PositionLostError)


def test_a_new_table_that_cannot_be_read_in_binary_format_says_so(base: Database) -> None:
    base.execute("CREATE TYPE pair AS (a int, b int)")
    with running(base, {"cdc.binary": "true", "include.unknown.datatypes": "true"}) as reading:
        base.execute("CREATE TABLE odd (id int PRIMARY KEY, p pair)")
        base.execute("INSERT INTO odd VALUES (1, ROW(1, 2))")
        with pytest.raises(SourceRefusedError, match=r"cdc\.binary=false"):
            reading.until(lambda _: False)
