"""The server's defaults for new sessions, and its init_connect, change no result and leave no lock behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from cdc.core import control
from cdc.core.control import Signal
from cdc.core.record import Record
from cdc.sources.mysql import connection
from tests.conftest import BinlogDatabase
from tests.integration.mysql_source import change, make_source, running
from tests.servers.process import wait_until

USER, PASSWORD = "sessions", "s\u00e9cret"
GRANTS = ("SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.*",)
LOGIN = {"database.user": USER, "database.password": PASSWORD}
PASSWORDS = {"latin": "s\u00e9cret", "cyrillic": "\u043f\u0430\u0440\u043e\u043b\u044c",
             "beyond the BMP": "\U0001f511 \u5bc6", "not normalized": "e\u0301 \ufb01 \u00a0."}


@pytest.fixture(name="pair")
def pair_fixture(binlog_database: BinlogDatabase) -> Iterator[BinlogDatabase]:
    """With a user to whom init_connect applies: it is no administrator."""
    binlog_database.server.create_user(USER, PASSWORD, GRANTS)
    yield binlog_database
    binlog_database.server.drop_user(USER)


@pytest.fixture(name="defaults")
def defaults_fixture(pair: BinlogDatabase) -> Iterator[Any]:
    """Sets global variables, and puts them back."""
    former: dict[str, Any] = {}

    def set_globals(**settings: Any) -> None:
        for name, value in settings.items():
            former.setdefault(name, admin.execute(f"SELECT @@GLOBAL.{name}")[0][0])
            admin.set(**{name: value})

    admin = pair.server
    yield set_globals
    with admin.connect() as conn, conn.cursor() as cursor:  # one connection, because new ones would be cut short
        for name, value in former.items():
            cursor.execute(f"SET GLOBAL {name} = {conn.escape(value)}")


def alter(pair: BinlogDatabase, statement: str) -> None:
    """Fails at once where somebody holds a lock of the table."""
    with pair.connect() as conn, conn.cursor() as cursor:
        cursor.execute("SET SESSION lock_wait_timeout = 1")
        cursor.execute(statement)


def copied(pair: BinlogDatabase, **more: str) -> list[tuple[Any, ...]]:
    """The first copy's rows."""
    source = make_source(pair, {**LOGIN, "snapshot.mode": "initial_only", **more})
    found: list[tuple[Any, ...]] = []
    try:
        source.start(None)
        while not source.finished():
            batch = source.poll(0.5)
            found += [change(each) for each in (batch.records if batch else []) if isinstance(each, Record)]
    finally:
        source.stop()
    return found


# -- cases -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", [{"autocommit": 0}, {"init_connect": "SET autocommit=0"}, {"completion_type": 1}],
                         ids=["autocommit", "init_connect", "completion_type"])
def test_an_idle_stream_holds_no_lock_of_a_table(pair: BinlogDatabase, defaults: Any, setting: dict[str, Any]) -> None:
    pair.execute("CREATE TABLE t (id int PRIMARY KEY)")
    pair.execute("INSERT INTO t VALUES (1)")
    pair.execute("COMMIT")
    defaults(**setting)
    with running(pair, {**LOGIN, "snapshot.mode": "initial"}) as reading:
        alter(pair, "ALTER TABLE t ADD d varchar(10)")
        with pair.connect() as conn, conn.cursor() as cursor:
            cursor.execute("INSERT INTO t VALUES (2, 'x')")
            conn.commit()
        assert [row[2] for row in reading.changes(1)] == [{"id": 2, "d": "x"}]
        alter(pair, "ALTER TABLE t DROP d")  # also after the stream looked the table up


@pytest.mark.parametrize("limit", [60, 5])
def test_no_limit_cuts_a_snapshot(pair: BinlogDatabase, defaults: Any, limit: int) -> None:
    pair.execute("CREATE TABLE t (id int PRIMARY KEY)")
    pair.execute(f"INSERT INTO t VALUES {', '.join(f'({number})' for number in range(200))}")
    defaults(sql_select_limit=limit)
    assert [row[2]["id"] for row in copied(pair)] == list(range(200))


def test_no_select_is_refused_for_its_size(pair: BinlogDatabase, defaults: Any) -> None:
    pair.execute("CREATE TABLE t (id int PRIMARY KEY)")
    pair.execute(f"INSERT INTO t VALUES {', '.join(f'({number})' for number in range(50))}")
    defaults(max_join_size=5, sql_big_selects=0)
    assert len(copied(pair)) == 50


def test_init_connect_changes_no_value(pair: BinlogDatabase, defaults: Any) -> None:
    pair.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamp NOT NULL, c char(5), note text)")
    pair.execute("INSERT INTO t VALUES (1, '2024-05-06 07:08:09', 'ab', 'z\u00fc\u0416')")
    wanted = copied(pair)
    defaults(init_connect="SET time_zone='+05:00', sql_mode='ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES',"
                          " NAMES latin1, sql_select_limit=0, group_concat_max_len=4, sql_quote_show_create=0")
    assert copied(pair) == wanted
    assert wanted[0][2]["c"] == "ab"
    own = "SET sql_select_limit=0, autocommit=0, NAMES latin1"
    assert copied(pair, **{"database.initial.statements": own}) == wanted


def test_a_long_lock_may_be_waited_for(pair: BinlogDatabase, defaults: Any) -> None:
    defaults(lock_wait_timeout=1)
    config = make_source(pair, LOGIN).config
    for query_timeout, wanted in ((True, config.database_query_timeout_ms // 1000), (False, 31_536_000)):
        conn = connection.connect(config, query_timeout=query_timeout)
        assert connection.query(conn, "SELECT @@SESSION.lock_wait_timeout") == ((wanted,),)
        connection.close(conn)


def test_a_generated_invisible_key_is_seen_though_it_is_hidden(mysql_database: BinlogDatabase) -> None:
    server = mysql_database.server
    with mysql_database.connect() as conn, conn.cursor() as cursor:
        cursor.execute("SET SESSION sql_generate_invisible_primary_key = ON")
        cursor.execute("CREATE TABLE t (v int)")
        cursor.execute("INSERT INTO t VALUES (7)")
    server.set(show_gipk_in_create_table_and_information_schema="OFF")
    try:
        with running(mysql_database, {"snapshot.mode": "initial"}) as reading:
            mysql_database.execute("INSERT INTO t VALUES (8)")
            assert [row[2] for row in reading.changes(1)] == [{"my_row_id": 2, "v": 8}]
    finally:
        server.set(show_gipk_in_create_table_and_information_schema=None)


def test_a_system_versioned_table_is_read_as_it_is_now(mariadb_database: BinlogDatabase) -> None:
    server = mariadb_database.server
    mariadb_database.execute("CREATE TABLE t (id int PRIMARY KEY) WITH SYSTEM VERSIONING")
    mariadb_database.execute("INSERT INTO t VALUES (1)")
    server.set(system_versioning_asof="2001-01-01 00:00:00")
    server.create_user(USER, PASSWORD, GRANTS)
    try:
        assert [row[2]["id"] for row in copied(mariadb_database)] == [1]
    finally:
        server.set(system_versioning_asof=None)
        server.drop_user(USER)


# -- logging in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
def test_any_password_logs_in(pair: BinlogDatabase, password: str) -> None:
    pair.server.create_user(USER, password, GRANTS)
    mode = "disabled" if pair.server.flavor == "mysql" else "disable"
    for more in ({}, {"database.ssl.mode": mode}):
        config = make_source(pair, {**LOGIN, "database.password": password, **more}).config
        conn = connection.connect(config)
        assert connection.query(conn, "SELECT 1") == ((1,),)
        connection.close(conn)


@pytest.mark.parametrize("plugin", ["caching_sha2_password", "sha256_password"])
def test_every_login_method_of_mysql_takes_it(mysql_database: BinlogDatabase, plugin: str) -> None:
    server = mysql_database.server
    server.execute(f"DROP USER IF EXISTS '{USER}'@'%'")
    server.execute(f"CREATE USER '{USER}'@'%' IDENTIFIED WITH {plugin} BY '{PASSWORDS['cyrillic']}'")
    try:
        for mode in ("disabled", "preferred", "disabled"):  # caching_sha2: first the whole exchange, then the short one
            connection.close(connection.connect(make_source(mysql_database, {
                **LOGIN, "database.password": PASSWORDS["cyrillic"], "database.ssl.mode": mode}).config))
    finally:
        server.drop_user(USER)


ENDLESS = "BENCHMARK(100000000000, SHA2('endless', 512)) = 0"
"""The server does not look for its client meanwhile."""


@pytest.mark.parametrize("kind", ["incremental", "blocking"])
def test_a_statement_of_a_snapshot_ends_with_the_source(pair: BinlogDatabase, kind: str) -> None:
    def running_statements() -> list[int]:
        return [int(number) for number, in pair.execute(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE '%ENDLESS%' AND ID <> CONNECTION_ID()"
            .replace("ENDLESS", "BENCHMARK(100000000000"))]

    pair.execute("CREATE TABLE t (id int PRIMARY KEY)")
    pair.execute("INSERT INTO t VALUES (1), (2)")
    name = f"{pair.name}.t"
    data = {"type": kind, "data-collections": [name],
            "additional-conditions": [{"data-collection": name, "filter": f"SELECT * FROM {name} WHERE {ENDLESS}"
                                       if kind == "blocking" else ENDLESS}]}
    source = make_source(pair, LOGIN)
    source.start(None)
    try:
        deadline = time.monotonic() + 60
        asked = False
        while not running_statements():
            assert time.monotonic() < deadline
            source.poll(0.1)
            if source.state() == "streaming" and not asked:
                asked = True
                source.signal(Signal("s", control.EXECUTE_SNAPSHOT, data, "file"))
        source.interrupt()
        source.stop()
        wait_until(lambda: not running_statements(), 60, "the statement to end")
    finally:
        source.stop()
        for number in running_statements():
            pair.execute(f"KILL {number}")
