"""Connections, errors, slots and publications against real servers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cdc.core.errors import CdcError, ConfigError, SourceConnectionError, SourceRefusedError
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.sources.postgres import publication
from cdc.sources.postgres.builtin import is_builtin
from cdc.sources.postgres.catalog import read_catalog
from cdc.sources.postgres.checks import check_select, check_server, check_slot
from cdc.sources.postgres.connection import Connection, connect, connect_replication, query
from cdc.sources.postgres.lsn import Lsn
from cdc.sources.postgres.options import PostgresConfig, ReplicaIdentity
from cdc.sources.postgres.published import read_names, read_publication, read_seen
from cdc.sources.postgres.server import ServerFacts, read_facts, timeline_history
from cdc.sources.postgres.slots import advance_slot, create_slot, drop_slot, find_slot, retained_wal_bytes, slot_lag
from tests.conftest import Database
from tests.servers.postgres import PostgresServer
from tests.servers.process import free_port

TABLES = """\
CREATE SCHEMA inv;
CREATE TABLE inv.orders (id int PRIMARY KEY, note text);
CREATE TABLE inv.items (id int PRIMARY KEY);
CREATE TABLE inv.log (line text);
CREATE TABLE inv.part (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE inv.part_1 PARTITION OF inv.part FOR VALUES FROM (0) TO (10);
CREATE TABLE public.other (id int PRIMARY KEY);
"""


def config_of(database: Database, **options: Any) -> PostgresConfig:
    basics = {"topic_prefix": "srv", "database_hostname": "127.0.0.1", "database_port": database.server.port,
              "database_user": "postgres", "database_dbname": database.name}
    return PostgresConfig(**{**basics, **options})


@pytest.fixture
def config(database: Database) -> PostgresConfig:
    return config_of(database)


@pytest.fixture
def conn(config: PostgresConfig) -> Iterator[Connection]:
    with connect(config) as connection:
        connection.execute(TABLES.encode())
        yield connection


@pytest.fixture
def replication(config: PostgresConfig) -> Iterator[Connection]:
    connection = connect_replication(config)
    yield connection
    connection.close()


@pytest.fixture
def facts(replication: Connection) -> ServerFacts:
    return read_facts(replication)


@pytest.fixture
def user(conn: Connection, database: Database) -> Iterator[str]:
    """A login without any privilege, password `right`."""
    name = f"u_{database.name}"
    conn.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'right'".encode())
    yield name
    conn.execute(f"DROP OWNED BY {name}".encode())
    conn.execute(f"DROP ROLE {name}".encode())


def setting(conn: Connection, name: str) -> str:
    return str(conn.execute(f"SHOW {name}".encode()).fetchall()[0][0])


# -- connections and errors ------------------------------------------------------------------------------------------


def test_both_kinds_of_connection_print_values_as_the_codecs_expect(
        conn: Connection, replication: Connection) -> None:
    for each in (conn, replication):
        shown = [setting(each, name) for name in ("IntervalStyle", "TimeZone", "bytea_output", "extra_float_digits",
                                                  "lc_monetary", "row_security", "client_encoding")]
        assert shown == ["postgres", "UTC", "hex", "3", "C", "off", "UTF8"]
        assert setting(each, "DateStyle").startswith("ISO")


def test_own_parameters_and_statements_reach_every_connection(database: Database) -> None:
    config = config_of(database, driver=(("options", "-c work_mem=5MB"), ("connect_timeout", "7")),
                       database_initial_statements=("SET maintenance_work_mem = '3MB'",),
                       database_query_timeout_ms=1234)
    with connect(config, application_name="me") as conn, connect_replication(config) as replication:
        assert (setting(conn, "work_mem"), setting(conn, "maintenance_work_mem")) == ("5MB", "3MB")
        assert (setting(replication, "work_mem"), setting(replication, "maintenance_work_mem")) == ("5MB", "3MB")
        assert (setting(conn, "statement_timeout"), setting(replication, "statement_timeout")) == ("1234ms", "0")
        assert (setting(conn, "application_name"), setting(replication, "application_name")) == ("me", "cdc")


@pytest.mark.parametrize(("options", "kind", "hint"), [
    ({"database_user": "nobody_here", "database_password": "secret"}, SourceRefusedError, "database.password"),
    ({"database_dbname": "nothing_here"}, SourceRefusedError, "database.dbname"),
    ({"database_sslmode": "require"}, SourceRefusedError, "database.sslmode"),
    ({"database_sslmode": "verify-full", "database_sslrootcert": "/nowhere/ca.pem"}, SourceRefusedError,
     "database.sslmode"),
    ({"driver": (("no_such_option", "x"),)}, SourceRefusedError, "driver."),
    ({"database_hostname": "name.invalid"}, SourceConnectionError, "database.hostname"),
])
def test_refused_connection_says_what_to_check(database: Database, options: dict[str, Any], kind: type[CdcError],
                                               hint: str) -> None:
    with pytest.raises(kind) as caught:
        connect(config_of(database, **options))
    assert hint in caught.value.hint
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nobody_listening_is_retriable(database: Database) -> None:
    with pytest.raises(SourceConnectionError) as caught:
        connect(config_of(database, database_port=free_port()))
    assert caught.value.retriable
    assert "database.port" in caught.value.hint


def test_wrong_and_missing_passwords_are_told(database: Database, user: str) -> None:
    for options in ({"database_password": "wrong"}, {}):
        with pytest.raises(SourceRefusedError) as caught:
            connect(config_of(database, database_user=user, **options))
        assert "database.password" in caught.value.hint
    connect(config_of(database, database_user=user, database_password="right")).close()


def test_connection_cut_by_the_server_is_retriable(conn: Connection, database: Database) -> None:
    database.execute(f"SELECT pg_terminate_backend({conn.info.backend_pid})")
    with pytest.raises(SourceConnectionError):
        query(conn, "SELECT 1")
    with pytest.raises(SourceConnectionError):
        query(conn, "SELECT 1")


def test_statement_timeout_is_retriable_and_missing_table_is_not(conn: Connection) -> None:
    conn.execute("SET statement_timeout = '20ms'")
    with pytest.raises(SourceConnectionError):
        query(conn, "SELECT pg_sleep(5)")
    with pytest.raises(SourceRefusedError):
        query(conn, "SELECT * FROM nothing_here")


# -- facts and checks ------------------------------------------------------------------------------------------------


def test_facts_are_the_servers(conn: Connection, facts: ServerFacts, database: Database) -> None:
    (system_id, timeline), = conn.execute(
        "SELECT system_identifier::text, timeline_id FROM pg_control_system(), pg_control_checkpoint()").fetchall()
    assert (facts.system_id, facts.timeline) == (system_id, timeline)
    assert (facts.version, facts.wal_level, facts.in_recovery) == (conn.info.server_version, "logical", False)
    assert (facts.user, facts.database) == ("postgres", database.name)
    check_server(conn, facts, new_slot=True)


def test_wrong_wal_level_and_old_server_are_refused(conn: Connection, facts: ServerFacts) -> None:
    with pytest.raises(SourceRefusedError, match="wal_level is replica") as caught:
        check_server(conn, replace(facts, wal_level="replica"), new_slot=False)
    assert "ALTER SYSTEM SET wal_level" in caught.value.hint
    with pytest.raises(SourceRefusedError, match="13 is too old"):
        check_server(conn, replace(facts, version=130004), new_slot=False)


def test_user_without_replication_is_told_how_to_get_it(
        database: Database, conn: Connection, facts: ServerFacts, user: str) -> None:
    config = config_of(database, database_user=user, database_password="right")
    with connect(config) as theirs, pytest.raises(SourceRefusedError) as caught:
        check_server(theirs, replace(facts, user=user), new_slot=False)
    assert f'ALTER ROLE "{user}" REPLICATION' in caught.value.hint
    with pytest.raises(SourceRefusedError) as caught:
        connect_replication(config)
    assert "REPLICATION" in caught.value.hint
    conn.execute(f"ALTER ROLE {user} REPLICATION".encode())
    with connect(config) as theirs:
        check_server(theirs, replace(facts, user=user), new_slot=False)


def test_full_slot_table_is_told_before_a_slot_is_made(conn: Connection, facts: ServerFacts) -> None:
    conn.execute("""\
SELECT pg_create_physical_replication_slot('filler_' || n)
FROM generate_series(1, current_setting('max_replication_slots')::int
                        - (SELECT count(*) FROM pg_replication_slots)::int) n""")
    try:
        with pytest.raises(SourceRefusedError, match="replication slots of the server are in use"):
            check_server(conn, facts, new_slot=True)
        check_server(conn, facts, new_slot=False)
    finally:
        conn.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                     " WHERE slot_name LIKE 'filler%'")


def test_unreadable_tables_are_named(database: Database, conn: Connection, user: str) -> None:
    oids = {r.name: r.oid for r in read_catalog(conn).relations.values()}
    wanted = {oids["orders"]: ("id", "note"), oids["items"]: ("id",), oids["log"]: ("line",)}
    conn.execute(f"GRANT USAGE ON SCHEMA inv TO {user}; GRANT SELECT ON inv.items TO {user};"
                 f" GRANT SELECT (id) ON inv.orders TO {user}".encode())
    with connect(config_of(database, database_user=user, database_password="right")) as theirs:
        with pytest.raises(SourceRefusedError, match=r"inv\.log, inv\.orders"):
            check_select(theirs, wanted)
        check_select(theirs, {oids["orders"]: ("id",), oids["items"]: ("id",)})


def test_rows_that_a_policy_hides_are_an_error(database: Database, conn: Connection, user: str) -> None:
    conn.execute(f"""GRANT USAGE ON SCHEMA inv TO {user}; GRANT SELECT ON inv.items TO {user};
        ALTER TABLE inv.items ENABLE ROW LEVEL SECURITY""".encode())
    config = config_of(database, database_user=user, database_password="right")
    with connect(config) as theirs, pytest.raises(SourceRefusedError):
        query(theirs, "SELECT * FROM inv.items")


# -- slots -----------------------------------------------------------------------------------------------------------


def test_slot_is_made_found_and_dropped(conn: Connection, replication: Connection,
                                        database: Database) -> None:
    name = database.name
    assert find_slot(conn, name) is None
    made = create_slot(replication, name, failover=True, two_phase=True)
    slot = find_slot(conn, name)
    assert slot is not None
    assert (made.name, made.snapshot) == (name, None)
    assert (slot.plugin, slot.kind, slot.database, slot.lost) == ("pgoutput", "logical", database.name, None)
    assert slot.confirmed_flush_lsn == made.consistent_point
    version = conn.info.server_version
    assert (slot.two_phase, slot.failover) == (version >= 150000, version >= 170000)
    check_slot(slot, database.name)
    lag = slot_lag(conn, name)
    assert lag is not None
    assert lag.retained_wal_bytes is not None
    assert lag.retained_wal_bytes > 0
    drop_slot(replication, name)
    drop_slot(replication, name)
    assert find_slot(conn, name) is None
    assert slot_lag(conn, name) is None
    assert retained_wal_bytes(conn, name) is None


def test_temporary_slot_goes_with_its_connection(conn: Connection, config: PostgresConfig,
                                                 database: Database) -> None:
    with connect_replication(config) as owner:
        create_slot(owner, database.name, temporary=True)
        slot = find_slot(conn, database.name)
        assert slot is not None
        assert slot.temporary
    deadline = time.monotonic() + 60
    while find_slot(conn, database.name) is not None and time.monotonic() < deadline:
        pass
    assert find_slot(conn, database.name) is None


def test_exported_snapshot_sees_the_moment_of_the_slot(conn: Connection, replication: Connection,
                                                       config: PostgresConfig, database: Database) -> None:
    conn.execute("INSERT INTO inv.items VALUES (1)")
    made = create_slot(replication, database.name, export_snapshot=True)
    conn.execute("INSERT INTO inv.items VALUES (2)")
    with connect(config, query_timeout=False) as reader, reader.transaction():
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        reader.execute(f"SET TRANSACTION SNAPSHOT '{made.snapshot}'".encode())
        assert reader.execute("SELECT id FROM inv.items").fetchall() == [(1,)]
        assert "items" in {r.name for r in read_catalog(reader).relations.values()}


def test_slot_in_use_is_retriable_and_names_the_process(conn: Connection, replication: Connection,
                                                        database: Database) -> None:
    name = database.name
    create_slot(replication, name)
    conn.execute(f"CREATE PUBLICATION {name} FOR ALL TABLES".encode())
    pgconn = replication.pgconn
    pgconn.send_query(f"START_REPLICATION SLOT {name} LOGICAL 0/0 (proto_version '1', publication_names '{name}')"
                      .encode())
    slot = None
    deadline = time.monotonic() + 60
    while (slot is None or slot.active_pid is None) and time.monotonic() < deadline:
        slot = find_slot(conn, name)
    assert slot is not None
    with pytest.raises(SourceConnectionError, match=f"pid={replication.info.backend_pid}"):
        check_slot(slot, name)


def test_slots_of_another_kind_are_refused(conn: Connection, database: Database) -> None:
    name = database.name
    conn.execute("SELECT pg_create_physical_replication_slot(%s)", [name])
    try:
        slot = find_slot(conn, name)
        assert slot is not None
        with pytest.raises(SourceRefusedError, match="exists, but for physical"):
            check_slot(slot, name)
    finally:
        conn.execute("SELECT pg_drop_replication_slot(%s)", [name])


def test_slot_of_another_database_is_refused(conn: Connection, replication: Connection,
                                             database: Database) -> None:
    create_slot(replication, database.name)
    slot = find_slot(conn, database.name)
    assert slot is not None
    with pytest.raises(SourceRefusedError, match="in database"):
        check_slot(slot, "elsewhere")


def test_making_a_slot_gives_up_on_open_transactions(conn: Connection, replication: Connection,
                                                     database: Database) -> None:
    with database.connect() as busy:
        busy.execute("BEGIN; INSERT INTO inv.items VALUES (9)")
        with pytest.raises(SourceConnectionError, match="could not be created within") as caught:
            create_slot(replication, database.name, timeout_s=0.3)
        assert "pg_stat_activity" in caught.value.hint
        busy.execute("ROLLBACK")
    assert find_slot(conn, database.name) is None
    create_slot(replication, database.name)


def test_slot_is_advanced(conn: Connection, replication: Connection, database: Database) -> None:
    create_slot(replication, database.name)
    conn.execute("INSERT INTO inv.items VALUES (1)")
    target = Lsn.parse(conn.execute("SELECT pg_current_wal_lsn()::text").fetchall()[0][0])
    assert advance_slot(conn, database.name, target) == target


def test_standby_and_timelines(postgres15: PostgresServer) -> None:
    """Its own server: it becomes a standby of nobody and is then promoted."""
    del postgres15  # asked for so that the programs are there
    with PostgresServer(15) as own:
        database = Database(own, "postgres")
        config = config_of(database)
        with connect_replication(config) as replication:
            assert timeline_history(replication, 1) == ()
        own.stop()
        (Path(str(own.folder)) / "data" / "standby.signal").touch()
        own.start()
        with connect_replication(config) as replication, connect(config) as conn:
            facts = read_facts(replication)
            assert facts.in_recovery
            with pytest.raises(SourceRefusedError, match="a standby cannot create it"):
                publication.ensure_publication(conn, config, Filters(builtin=is_builtin), facts)
            read_catalog(conn)
            assert slot_lag(conn, "none") is None
            conn.execute("SELECT pg_promote()")
        with connect_replication(config) as replication:
            facts = read_facts(replication)
            assert (facts.in_recovery, facts.timeline) == (False, 2)
            ((timeline, left_at),) = timeline_history(replication, 2)
            assert timeline == 1
            assert 0 < left_at <= facts.flushed_lsn


# -- publications ----------------------------------------------------------------------------------------------------


def only(*items: str) -> Filters:
    return Filters.from_config(type("Options", (), {"table_include_list": items})(), is_builtin)


def test_publication_for_all_tables(conn: Connection, config: PostgresConfig,
                                    facts: ServerFacts) -> None:
    found = publication.ensure_publication(conn, config, Filters(builtin=is_builtin), facts)
    assert (found.name, found.all_tables, found.via_root) == ("dbz_publication", True, False)
    assert found.operations == {"c", "u", "d", "t"}
    assert ("inv", "orders") in found.tables
    assert publication.ensure_publication(conn, config, Filters(builtin=is_builtin), facts) == found


def test_filtered_publication_follows_the_filters(conn: Connection, database: Database,
                                                  facts: ServerFacts) -> None:
    config = config_of(database, publication_autocreate_mode="filtered")
    found = publication.ensure_publication(conn, config, only("inv.orders", "inv.items"), facts)
    assert not found.all_tables
    assert found.tables == {("inv", "orders"), ("inv", "items")}
    found = publication.ensure_publication(conn, config, only("inv.orders", "inv.log"), facts)
    assert found.tables == {("inv", "orders"), ("inv", "log")}
    with pytest.raises(ConfigError, match="No table passes"):
        publication.ensure_publication(conn, config, only("inv.nothing"), facts)


def test_filtered_publication_with_partitions_is_not_altered_again(conn: Connection, database: Database,
                                                                   facts: ServerFacts) -> None:
    config = config_of(database, publication_autocreate_mode="filtered")
    chosen = only(r"inv\.part.*")
    found = publication.ensure_publication(conn, config, chosen, facts)
    assert found.tables == {("inv", "part_1")}
    members = "SELECT array_agg(oid ORDER BY oid) FROM pg_publication_rel"
    before = conn.execute(members).fetchall()
    publication.ensure_publication(conn, config, chosen, facts)
    assert conn.execute(members).fetchall() == before


def test_filtered_mode_refuses_a_publication_for_all_tables(conn: Connection, database: Database,
                                                            facts: ServerFacts) -> None:
    publication.ensure_publication(conn, config_of(database), Filters(builtin=is_builtin), facts)
    with pytest.raises(SourceRefusedError, match="is for all tables"):
        publication.ensure_publication(conn, config_of(database, publication_autocreate_mode="filtered"),
                                       only("inv.orders"), facts)


def test_disabled_mode_says_what_to_run(conn: Connection, database: Database,
                                        facts: ServerFacts) -> None:
    config = config_of(database, publication_autocreate_mode="disabled", publication_name='odd "name')
    with pytest.raises(SourceRefusedError) as caught:
        publication.ensure_publication(conn, config, Filters(builtin=is_builtin), facts)
    assert 'CREATE PUBLICATION "odd ""name" FOR ALL TABLES' in caught.value.hint


def test_publication_without_tables(conn: Connection, database: Database, facts: ServerFacts) -> None:
    config = config_of(database, publication_autocreate_mode="no_tables")
    assert publication.ensure_publication(conn, config, Filters(builtin=is_builtin), facts).tables == frozenset()


def test_publication_takes_skipped_operations_and_partition_root(conn: Connection, database: Database,
                                                                 facts: ServerFacts) -> None:
    config = config_of(database, skipped_operations=("t", "d"), published_operations=("c", "u"),
                       publish_via_partition_root=True)
    found = publication.ensure_publication(conn, config, Filters(builtin=is_builtin), facts)
    assert found.operations == {"c", "u"}
    assert found.via_root
    assert ("inv", "part") in found.tables


def test_user_who_may_not_publish_is_told_the_statement(database: Database, conn: Connection, user: str,
                                                        facts: ServerFacts) -> None:
    config = config_of(database, database_user=user, database_password="right")
    with connect(config) as theirs, pytest.raises(SourceRefusedError) as caught:
        publication.ensure_publication(theirs, config, Filters(builtin=is_builtin), facts)
    assert 'CREATE PUBLICATION "dbz_publication" FOR ALL TABLES' in caught.value.hint


# -- replica identities ----------------------------------------------------------------------------------------------


def test_replica_identities_are_set_where_they_differ(conn: Connection, facts: ServerFacts) -> None:
    entries = (ReplicaIdentity("inv.log", "FULL"), ReplicaIdentity(r"inv\.it.*", "INDEX", "items_pkey"),
               ReplicaIdentity("inv.orders", "DEFAULT"))
    relations = read_catalog(conn).relations.values()
    assert publication.set_replica_identities(conn, entries, relations, facts)
    letters = {r.name: r.replica_identity for r in read_catalog(conn).relations.values()}
    assert (letters["log"], letters["items"], letters["orders"], letters["other"]) == ("f", "i", "d", "d")
    again = read_catalog(conn).relations.values()
    assert not publication.set_replica_identities(conn, (entries[0], entries[2]), again, facts)


def test_two_entries_for_one_table_are_refused(conn: Connection, facts: ServerFacts) -> None:
    entries = (ReplicaIdentity("inv.log", "FULL"), ReplicaIdentity("inv.*", "FULL"))
    with pytest.raises(ConfigError) as caught:
        publication.set_replica_identities(conn, entries, read_catalog(conn).relations.values(), facts)
    assert caught.value.option == "replica.identity.autoset.values"


def test_tables_without_identity_are_the_ones_the_server_refuses(conn: Connection, config: PostgresConfig,
                                                                 facts: ServerFacts) -> None:
    filters = Filters(builtin=is_builtin)
    publication.ensure_publication(conn, config, filters, facts)
    seen = read_seen(conn, read_publication(conn, config.publication_name), read_names(conn),
                     lambda name: filters.table(TableId("d", *name)))
    assert [name for name, table in seen.tables.items() if table.kind == "r" and not table.identity] == [("inv", "log")]
    conn.execute("INSERT INTO inv.log VALUES ('x')")
    with pytest.raises(psycopg.Error, match="does not have a replica identity"):
        conn.execute("UPDATE inv.log SET line = 'y'")
