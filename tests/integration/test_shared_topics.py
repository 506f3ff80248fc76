"""Two tables whose names become the same topic: an error that names both, at every time at which they can meet."""

from __future__ import annotations

import pytest

from cdc.core.errors import ConfigError
from cdc.core.record import Record
from tests.conftest import BinlogDatabase, Database
from tests.integration import mysql_source, pg_source
from tests.servers.process import wait_until

ONE, TWO = '"c$d"', '"c#d"'
MY_ONE, MY_TWO = "`a``b`", '`a"b`'
MY_NAMES = ("a`b", 'a"b')


def make(table: str) -> str:
    return f"CREATE TABLE {table} (id int PRIMARY KEY, x int); INSERT INTO {table} VALUES (1, 1)"


@pytest.fixture
def base(database: Database) -> Database:
    database.execute(f"{make(ONE)}; CREATE PUBLICATION pub FOR ALL TABLES")
    return database


@pytest.mark.parametrize("mode", ["initial", "initial_only", "no_data"])
def test_postgres_at_start(base: Database, mode: str) -> None:
    base.execute(make(TWO))
    with pytest.raises(ConfigError) as caught, pg_source.running(base, {"snapshot.mode": mode}) as reading:
        reading.until(lambda records: False)
    assert {"public.c$d", "public.c#d"} <= set(caught.value.message.split())


def test_postgres_in_the_stream_and_at_the_next_start(base: Database) -> None:
    with pg_source.running(base) as reading:
        base.execute(f"INSERT INTO {ONE} VALUES (2, 2)")
        assert len(reading.to_mark(base)) == 1
        offset = reading.offset
        base.execute(make(TWO))
        with pytest.raises(ConfigError, match=r"public\.c\$d and public\.c#d"):
            reading.until(lambda records: False)
    with pytest.raises(ConfigError, match="same topic"), pg_source.running(base, offset=offset):
        pass


def test_postgres_renames_are_no_second_table(base: Database) -> None:
    with pg_source.running(base) as reading:
        base.execute(f"INSERT INTO {ONE} VALUES (2, 2); ALTER TABLE {ONE} RENAME TO {TWO}")
        base.execute(f"INSERT INTO {TWO} VALUES (3, 3)")
        found = reading.to_mark(base)
    assert [each.table.topic for each in found if isinstance(each, Record)] == ["srv.public.c_d"] * 2


def test_postgres_where_it_is_allowed(base: Database) -> None:
    base.execute(make(TWO))
    with pg_source.running(base, {"cdc.shared.topics": "allow"}) as reading:
        base.execute(f"INSERT INTO {ONE} VALUES (2, 2); INSERT INTO {TWO} VALUES (2, 2)")
        assert len([each for each in reading.to_mark(base) if isinstance(each, Record)]) == 2


def fill(database: BinlogDatabase, table: str) -> None:
    for statement in make(table).split("; "):
        database.execute(statement)


@pytest.mark.parametrize("mode", ["initial", "initial_only", "no_data"])
def test_mysql_at_start(binlog_database: BinlogDatabase, mode: str) -> None:
    fill(binlog_database, MY_ONE)
    fill(binlog_database, MY_TWO)
    with pytest.raises(ConfigError) as caught, mysql_source.running(binlog_database, {"snapshot.mode": mode}):
        pass
    assert all(f"{binlog_database.name}.{name}" in caught.value.message for name in MY_NAMES)


def test_mysql_in_the_stream_and_at_the_next_start(binlog_database: BinlogDatabase) -> None:
    fill(binlog_database, MY_ONE)
    with mysql_source.running(binlog_database) as reading:
        binlog_database.execute(f"INSERT INTO {MY_ONE} VALUES (2, 2)")
        assert len(reading.changes(1)) == 1
        fill(binlog_database, MY_TWO)
        with pytest.raises(ConfigError, match="same topic"):
            wait_until(lambda: reading.source.poll(0.2) is None and False, 20, "the error")
        offset = reading.offset
    with (pytest.raises(ConfigError, match="same topic"),
          mysql_source.running(binlog_database, offset=offset) as again):
        wait_until(lambda: again.source.poll(0.2) is None and False, 20, "the error")


def test_mysql_where_it_is_allowed(binlog_database: BinlogDatabase) -> None:
    fill(binlog_database, MY_ONE)
    fill(binlog_database, MY_TWO)
    with mysql_source.running(binlog_database, {"cdc.shared.topics": "allow"}) as reading:
        binlog_database.execute(f"INSERT INTO {MY_ONE} VALUES (2, 2)")
        binlog_database.execute(f"INSERT INTO {MY_TWO} VALUES (2, 2)")
        assert len(reading.changes(2)) == 2


@pytest.mark.parametrize("ending", [f"DROP TABLE {MY_ONE}", f"RENAME TABLE {MY_ONE} TO {MY_TWO}",
                                    f"ALTER TABLE {MY_ONE} RENAME {MY_TWO}", "DROP DATABASE `{}`"])
def test_mysql_tables_that_follow_each_other(binlog_database: BinlogDatabase, ending: str) -> None:
    """One is gone when the other is made, and back again: never a collision, until both are there."""
    fill(binlog_database, MY_ONE)
    with mysql_source.running(binlog_database) as reading:
        for table, other in ((MY_ONE, MY_TWO), (MY_TWO, MY_ONE), (MY_ONE, MY_TWO)):
            binlog_database.execute(f"INSERT INTO {table} VALUES (2, 2)")
            assert reading.changes(1)[0][2]["id"] == 2
            statement = ending.format(binlog_database.name).replace(MY_TWO, "`~`").replace(MY_ONE, table)
            binlog_database.execute(statement.replace("`~`", other))
            if "DATABASE" in ending:
                binlog_database.server.create_database(binlog_database.name)
            if "RENAME" in ending:
                binlog_database.execute(f"DELETE FROM {other} WHERE id = 2")
                reading.changes(1)
            else:
                binlog_database.execute(f"CREATE TABLE {other} (id int PRIMARY KEY, x int)")
        binlog_database.execute(f"INSERT INTO {MY_TWO} VALUES (2, 2)")
        reading.changes(1)
        fill(binlog_database, MY_ONE)
        with pytest.raises(ConfigError, match="same topic"):
            wait_until(lambda: reading.source.poll(0.2) is None and False, 20, "the error")
