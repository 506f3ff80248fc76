"""Each server starts, works, keeps port and data over a restart, and ends when told."""

from __future__ import annotations

import psycopg
import pytest

from tests.conftest import Database
from tests.servers.postgres import PostgresServer


def test_postgres_decodes_logically(database: Database) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    database.execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
    database.execute("CREATE PUBLICATION p FOR TABLE t")
    database.execute("INSERT INTO t VALUES (1)")
    options = "'proto_version', '1', 'publication_names', 'p'"
    changes = database.execute(f"SELECT data FROM pg_logical_slot_get_binary_changes('s', NULL, NULL, {options})")
    assert [bytes(data)[:1] for (data,) in changes] == [b"B", b"R", b"I", b"C"]


def test_postgres_keeps_port_and_data_over_restart_and_crash(database: Database) -> None:
    database.execute("CREATE TABLE t AS SELECT 1 AS id")
    server, port = database.server, database.server.port
    server.restart()
    server.kill()
    with pytest.raises(psycopg.OperationalError):
        server.connect()
    server.start()
    assert (server.port, database.execute("SELECT id FROM t")) == (port, [(1,)])


def test_postgres_asks_other_users_for_a_password(postgres: PostgresServer) -> None:
    postgres.execute("CREATE USER guarded PASSWORD 'right'")
    try:
        psycopg.connect(postgres.dsn(user="guarded", password="right")).close()
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(postgres.dsn(user="guarded", password="wrong"))
    finally:
        postgres.execute("DROP USER guarded")


def test_postgres_setting_is_in_force_at_once(postgres: PostgresServer) -> None:
    postgres.set(wal_sender_timeout="7s")
    assert postgres.execute("SHOW wal_sender_timeout") == [("7s",)]
    postgres.set(wal_sender_timeout=None)


def test_postgres15_has_hstore(postgres15: PostgresServer) -> None:
    assert postgres15.has_extension("hstore")


def test_postgres16_serves(postgres16: PostgresServer) -> None:
    assert postgres16.execute("SHOW wal_level") == [("logical",)]
