"""MySQL and MariaDB start with their binary log on, keep port and data, and their own tool reads their log."""

from __future__ import annotations

import pymysql
import pytest

from tests.conftest import BinlogDatabase
from tests.servers.mariadb import MariaDbServer
from tests.servers.mysql import MySqlServer


def test_binlog_text_shows_a_row_between_two_places(binlog_database: BinlogDatabase) -> None:
    server = binlog_database.server
    binlog_database.execute("CREATE TABLE t (id int PRIMARY KEY, v varchar(20))")
    file, start = server.binlog_end()
    binlog_database.execute("INSERT INTO t VALUES (7, 'a%sb')")
    text = server.binlog_text(file, start, server.binlog_end()[1])
    assert [line for line in text.splitlines() if line.startswith("###   @")] == [
        "###   @1=7 /* INT meta=0 nullable=0 is_null=0 */",
        "###   @2='a%sb' /* VARSTRING(80) meta=80 nullable=1 is_null=0 */",
    ]
    assert "CREATE TABLE" not in text


def test_port_and_data_are_kept_over_restart_and_crash(binlog_database: BinlogDatabase) -> None:
    server, port = binlog_database.server, binlog_database.server.port
    binlog_database.execute("CREATE TABLE t AS SELECT 1 AS id")
    server.restart()
    server.kill()
    with pytest.raises(pymysql.OperationalError):
        server.connect()
    server.start()
    assert (server.port, binlog_database.execute("SELECT id FROM t")) == (port, [(1,)])


def test_other_users_need_their_password_and_have_their_grants(binlog_database: BinlogDatabase) -> None:
    server = binlog_database.server
    server.create_user("guarded", "ri'ght", [f"SELECT ON `{binlog_database.name}`.*"])
    try:
        binlog_database.connect(user="guarded", password="ri'ght").close()
        with pytest.raises(pymysql.OperationalError, match="Access denied"):
            binlog_database.connect(user="guarded", password="wrong")
        with pytest.raises(pymysql.OperationalError, match="denied"):
            server.connect("mysql", user="guarded", password="ri'ght")
    finally:
        server.drop_user("guarded")


def test_purge_leaves_one_new_file_and_reset_the_first(binlog_database: BinlogDatabase) -> None:
    server = binlog_database.server
    before = server.binlog_files()
    server.purge_binlogs()
    (left,) = server.binlog_files()
    assert left not in before
    server.reset_binlogs()
    assert server.binlog_files() == ["binlog.000001"]


def test_setting_holds_for_new_connections(binlog_database: BinlogDatabase) -> None:
    server = binlog_database.server
    server.set(binlog_row_image="MINIMAL")
    assert server.execute("SELECT @@binlog_row_image") == [("MINIMAL",)]
    server.set(binlog_row_image=None)
    assert server.execute("SELECT @@binlog_row_image") == [("FULL",)]


def test_times_are_utc_and_text_is_utf8mb4(binlog_database: BinlogDatabase) -> None:
    query = "SELECT @@time_zone, @@character_set_server, TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), NOW())"
    assert binlog_database.execute(query) == [("+00:00", "utf8mb4", 0)]


def test_a_database_in_use_is_dropped(binlog_database: BinlogDatabase) -> None:
    server = binlog_database.server
    name = server.create_database("in_use")
    with server.connect(name, autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id int)")
        cursor.execute("INSERT INTO t VALUES (1)")
        server.drop_database(name)
    assert (name,) not in server.execute("SHOW DATABASES")


def test_mysql_names_its_transactions_and_columns(mysql: MySqlServer) -> None:
    query = "SELECT @@gtid_mode, @@binlog_format, @@binlog_row_metadata, @@binlog_row_image"
    assert mysql.execute(query) == [("ON", "ROW", "FULL", "FULL")]


def test_mariadb_has_no_anonymous_user(mariadb: MariaDbServer) -> None:
    assert mariadb.execute("SELECT count(*) FROM mysql.user WHERE user = ''") == [(0,)]
    assert mariadb.execute("SELECT @@binlog_format, @@binlog_row_metadata") == [("ROW", "FULL")]


@pytest.mark.usefixtures("mysql")  # skips where there is none
def test_mysql_without_gtids_serves() -> None:
    with MySqlServer(gtid=False, binlog_row_image="MINIMAL", row_metadata="MINIMAL") as server:
        assert server.execute("SELECT @@gtid_mode, @@binlog_row_image") == [("OFF", "MINIMAL")]
