"""Defaults of the role, the database, the environment and the user's own statements change no result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from cdc.core.record import Record
from cdc.sources.postgres.catalog import read_catalog
from cdc.sources.postgres.connection import Connection, connect, connect_replication, users_search_path
from cdc.sources.postgres.options import PostgresConfig, parse_postgres
from tests.conftest import Database
from tests.integration.pg_source import Reading, cells, given_for, running
from tests.servers.process import wait_until

TABLE = """\
CREATE TABLE t (id int PRIMARY KEY, ts timestamptz DEFAULT now(), s text DEFAULT upper('q'), x text);
INSERT INTO t VALUES (1, '2024-05-06 07:08:09+00', 'q', 'v');
"""
HIJACK = """\
CREATE FUNCTION public.string_to_array(text, text) RETURNS text[] LANGUAGE sql AS $$ SELECT array['4']::text[] $$;
CREATE FUNCTION public.never(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = public.never);
CREATE TABLE public.pg_publication (pubname name);
"""


@pytest.fixture(name="role")
def role_fixture(database: Database) -> Iterator[str]:
    """A superuser of this test, with the password `right`."""
    name = f"role_{database.name}"
    database.execute(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD 'right'")
    yield name
    database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def login(role: str, **more: str) -> dict[str, str]:
    return {"database.user": role, "database.password": "right", "table.include.list": "public[.]t",
            **{key.replace("__", "."): text for key, text in more.items()}}


def config_of(database: Database, role: str, **more: str) -> PostgresConfig:
    return parse_postgres(given_for(database, login(role, **more)))[0]


def copied(database: Database, options: dict[str, str]) -> list[Record]:
    """The rows of the first copy."""
    with running(database, {"snapshot.mode": "initial_only", **options}) as reading:
        return [each for each in reading.to_end() if isinstance(each, Record)]


def described(record: Record) -> Any:
    """The row, its key, and the defaults of its columns."""
    return (cells(record), [column.name for column in record.table.key],
            [(field.name, field.schema.default) for field in record.table.value_schema.fields])


# -- names and expressions -------------------------------------------------------------------------------------------


def test_the_roles_search_path_and_quoting_change_neither_key_nor_default(database: Database, role: str) -> None:
    database.execute(TABLE)
    wanted = described(copied(database, {"table.include.list": "public[.]t"})[0])
    database.execute(HIJACK)
    database.execute(f"ALTER ROLE {role} SET search_path = public, pg_catalog")
    database.execute(f"ALTER ROLE {role} SET quote_all_identifiers = on")
    assert described(copied(database, login(role))[0]) == wanted
    assert wanted[1] == ["id"]
    assert dict(wanted[2])["s"] == ""


def test_the_catalog_reads_the_same_under_every_search_path(database: Database, role: str) -> None:
    """Names in default expressions come with their schema, wherever the role looks first."""
    database.execute("CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('ok'); CREATE FUNCTION app.f() RETURNS int"
                     " LANGUAGE sql IMMUTABLE AS 'SELECT 1'")
    database.execute("CREATE TABLE app.t (id int PRIMARY KEY DEFAULT app.f(), m app.mood DEFAULT 'ok')")
    found = []
    for path in ("app", "public", "''"):
        database.execute(f"ALTER ROLE {role} SET search_path = {path}")
        with connect(config_of(database, role)) as conn:
            table, = read_catalog(conn).relations.values()
            found.append([column.default for column in table.columns])
    assert found == [["app.f()", "'ok'::app.mood"]] * 3


# -- values ----------------------------------------------------------------------------------------------------------

SPOILT = {"TimeZone": "Asia/Tokyo", "DateStyle": "German", "IntervalStyle": "sql_standard", "extra_float_digits": "-3",
          "bytea_output": "escape", "quote_all_identifiers": "on", "standard_conforming_strings": "off",
          "client_min_messages": "error", "default_transaction_read_only": "on", "lock_timeout": "1",
          "default_transaction_isolation": "serializable", "default_transaction_deferrable": "on"}


def shown(conn: Connection) -> dict[str, str]:
    return {name: conn.execute(f"SHOW {name}".encode()).fetchall()[0][0] for name in SPOILT}


def test_defaults_of_role_and_database_reach_neither_kind_of_connection(database: Database, role: str) -> None:
    for name, value in SPOILT.items():
        database.execute(f"ALTER ROLE {role} SET {name} = '{value}'")
        database.execute(f"ALTER ROLE {role} IN DATABASE {database.name} SET {name} = '{value}'")
    config = config_of(database, role)
    with connect(config) as conn, connect_replication(config) as replication:
        for each in (conn, replication):
            assert shown(each) == {
                "TimeZone": "UTC", "DateStyle": shown(each)["DateStyle"], "IntervalStyle": "postgres",
                "extra_float_digits": "3", "bytea_output": "hex", "quote_all_identifiers": "off",
                "standard_conforming_strings": "on", "client_min_messages": "notice",
                "default_transaction_read_only": "off", "lock_timeout": "0",
                "default_transaction_isolation": "read committed", "default_transaction_deferrable": "off"}
            assert shown(each)["DateStyle"].startswith("ISO")


def test_a_role_with_other_defaults_starts_and_streams(database: Database, role: str) -> None:
    """Also where its transactions are read-only unless they say otherwise: we create the publication."""
    database.execute(TABLE)
    for name, value in SPOILT.items():
        database.execute(f"ALTER ROLE {role} SET {name} = '{value}'")
    with running(database, login(role, snapshot__mode="initial")) as reading:
        database.execute("INSERT INTO t VALUES (2, '2024-05-06 07:08:09+00', 'q', 'v')")
        first, second = (cells(each) for each in rows(reading, 2))
    assert first is not None
    assert second is not None
    assert {**first, "id": 2} == second


def test_the_environment_changes_no_value(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """libpq sends PGTZ and PGDATESTYLE so that they replace the settings of its `options`."""
    database.execute(TABLE)
    wanted = [described(each) for each in copied(database, {"table.include.list": "public[.]t"})]
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    monkeypatch.setenv("PGDATESTYLE", "German")
    assert [described(each) for each in copied(database, {"table.include.list": "public[.]t"})] == wanted


def test_initial_statements_change_no_value(database: Database) -> None:
    database.execute(TABLE)
    options = {"table.include.list": "public[.]t"}
    wanted = [described(each) for each in copied(database, options)]
    spoil = "; ".join(f"SET {name} = '{value}'" for name, value in SPOILT.items() if name != "lock_timeout")
    assert [described(each) for each in copied(database, {**options, "database.initial.statements": spoil})] == wanted


# -- the user's own SQL ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["role", "statement"])
def test_the_users_own_sql_has_the_users_search_path(database: Database, role: str, by: str) -> None:
    """A configured SELECT, the heartbeat's query, and event triggers on what we create."""
    database.execute(TABLE)
    database.execute("CREATE SCHEMA app; CREATE TABLE app.wanted (id int); INSERT INTO app.wanted VALUES (1);"
                     " CREATE TABLE app.beats (at timestamptz); CREATE TABLE app.ddl (tag text)")
    database.execute("CREATE FUNCTION app.note() RETURNS event_trigger LANGUAGE plpgsql AS"
                     " $$ BEGIN INSERT INTO ddl VALUES (tg_tag); END $$")
    database.execute("CREATE EVENT TRIGGER noted ON ddl_command_end WHEN TAG IN ('CREATE PUBLICATION')"
                     " EXECUTE FUNCTION app.note()")
    database.execute("INSERT INTO t VALUES (2)")
    more = {"heartbeat.interval.ms": "100", "heartbeat.action.query": "INSERT INTO beats VALUES (now())",
            "snapshot.select.statement.overrides": "public.t",
            "snapshot.select.statement.overrides.public.t": "SELECT t.* FROM public.t JOIN wanted USING (id)"}
    if by == "role":
        database.execute(f"ALTER ROLE {role} SET search_path = app")
    else:
        more["database.initial.statements"] = "SET search_path = app"
    with running(database, {**login(role, snapshot__mode="initial"), **more}) as reading:
        assert [(cells(each) or {})["id"] for each in rows(reading, 1)] == [1]

        def beaten() -> bool:
            reading.batch(0.1)
            return bool(database.execute("SELECT 1 FROM app.beats"))

        wait_until(beaten, 20, "a heartbeat")
    assert database.execute("SELECT tag FROM app.ddl") == [("CREATE PUBLICATION",)]


def rows(reading: Reading, count: int) -> list[Record]:
    """The first *count* rows."""
    found = reading.until(lambda records: sum(isinstance(each, Record) for each in records) >= count)
    return [each for each in found if isinstance(each, Record)]


def test_our_path_comes_back_after_the_users_sql(database: Database, role: str) -> None:
    with connect(config_of(database, role)) as conn:
        with users_search_path(conn):
            assert conn.execute("SHOW search_path").fetchall() == [('"$user", public',)]
        with pytest.raises(psycopg.Error), users_search_path(conn):
            conn.execute("SELECT nonsense")
        with pytest.raises(psycopg.Error), conn.transaction(), users_search_path(conn):
            conn.execute("SELECT nonsense")
        assert conn.execute("SHOW search_path").fetchall() == [("pg_catalog, pg_temp",)]


# -- logging in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("password", "typed"), [
    ("s\u00e9cret", "s\u00e9cret"), ("\u043f\u0430\u0440\u043e\u043b\u044c", "\u043f\u0430\u0440\u043e\u043b\u044c"),
    ("\U0001f511 '\\ \u5bc6", "\U0001f511 '\\ \u5bc6"), ("\ufb01x", "fix"), ("e\u0301", "\u00e9")])
def test_any_password_logs_in_and_libpq_normalizes_it(database: Database, role: str, password: str, typed: str) -> None:
    """RFC 4013, SASLprep: the server and libpq take compatible characters for the same."""
    with database.connect() as conn:
        conn.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password)))
    config = config_of(database, role, database__password=typed)
    connect(config).close()
    connect_replication(config).close()
