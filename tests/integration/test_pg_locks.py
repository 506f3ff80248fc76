"""Look-ups in the catalog wait for nobody's lock of a table."""

from __future__ import annotations

import threading

import pytest

from cdc.core.errors import SourceConnectionError
from cdc.core.record import Record
from cdc.sources.postgres.connection import connect
from cdc.sources.postgres.options import parse_postgres
from cdc.sources.postgres.publication import Part, find_publication, published_parts
from cdc.sources.postgres.source import PostgresSource
from tests.conftest import Database
from tests.integration.pg_source import brief, given_for, make_source, running, slot_of
from tests.servers.process import wait_until

TABLES = """\
CREATE TABLE other (id int PRIMARY KEY, v text DEFAULT 'q');
CREATE TABLE t (id int PRIMARY KEY);
CREATE TABLE u (id int PRIMARY KEY, v text DEFAULT 'u', g text GENERATED ALWAYS AS (v || 'x') STORED);
CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
"""
OPTIONS = {"table.include.list": "public[.](t|u|part|part_1)", "database.query.timeout.ms": "5000"}


@pytest.mark.parametrize("publication", ["FOR ALL TABLES", "FOR TABLE t, u, part"])
def test_a_lock_of_a_table_holds_up_neither_start_nor_stream(database: Database, publication: str) -> None:
    """Without a snapshot we need no table, and the event of one table does not wait for the lock of another."""
    database.execute(TABLES)
    database.execute(f"CREATE PUBLICATION pub {publication}")
    with running(database, OPTIONS) as reading:  # a new slot waits for open transactions, so make it first
        reading.to_mark(database)
    with database.connect(autocommit=False) as theirs:
        theirs.execute("LOCK TABLE other, u, part_1 IN ACCESS EXCLUSIVE MODE")
        with running(database, OPTIONS, reading.offset) as again:
            theirs.rollback()
            database.execute("BEGIN; ALTER TABLE u ADD k int; INSERT INTO u VALUES (1, 'a', DEFAULT, 1); COMMIT")
            theirs.execute("LOCK TABLE u, part IN ACCESS EXCLUSIVE MODE")
            database.execute("INSERT INTO t VALUES (1)")
            found = [each for each in again.to_mark(database) if isinstance(each, Record)]
    assert brief(found) == [("c", "u", 1), ("c", "t", 1)]
    assert {column.name: column.schema.default for column in found[0].table.columns}["v"] == "u"


PUBLICATIONS = {
    "all tables": "FOR ALL TABLES", "leaves": "FOR TABLE part, t", "one partition": "FOR TABLE part_1",
    "root and partition": "FOR TABLE part, part_1, sub", "schema": "FOR TABLES IN SCHEMA s, public",
    "schema and table": "FOR TABLE t, TABLES IN SCHEMA s", "nothing": "",
}


@pytest.mark.parametrize("via_root", [False, True])
@pytest.mark.parametrize("what", PUBLICATIONS.values(), ids=PUBLICATIONS)
def test_a_publications_tables_are_those_of_the_servers_view(database: Database, what: str, via_root: bool) -> None:
    if "SCHEMA" in what and database.server.version < 15:
        pytest.skip("PostgreSQL 15 or later")
    database.execute(TABLES)
    database.execute("""\
CREATE SCHEMA s;
CREATE UNLOGGED TABLE unlogged (id int); CREATE TABLE s.a (id int); CREATE TABLE s.child () INHERITS (t);
CREATE TABLE sub PARTITION OF part FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
CREATE TABLE s.leaf PARTITION OF sub FOR VALUES FROM (10) TO (15);
CREATE VIEW v AS SELECT 1 AS one; CREATE MATERIALIZED VIEW m AS SELECT 1 AS one; CREATE SEQUENCE q;
""")
    database.execute(f"CREATE PUBLICATION pub {what} WITH (publish_via_partition_root = {via_root})")
    wanted = database.execute("SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = 'pub'")
    with connect(parse_postgres(given_for(database, {}))[0]) as conn:
        found = find_publication(conn, "pub")
    assert found is not None
    assert found.tables == set(wanted)
    assert len(found.tables) > 0 or not what


# -- what cannot do without a lock says for whom it waits --------------------------------------------------------------


def waiting(source: PostgresSource) -> list[tuple[str, str]]:
    return [(each.about, each.text) for each in source.warnings.active() if each.kind == "waiting_for_others"]


def starting(source: PostgresSource) -> threading.Thread:
    thread = threading.Thread(target=source.start, args=(None,), daemon=True)
    thread.start()
    return thread


def test_a_new_slot_says_for_whom_it_waits(database: Database) -> None:
    database.execute(TABLES)
    source = make_source(database, OPTIONS)
    with database.connect(autocommit=False, application_name="nightly") as theirs:
        theirs.execute("LOCK TABLE other IN ACCESS EXCLUSIVE MODE; INSERT INTO other VALUES (1)")
        said = f"process {theirs.info.backend_pid} of user postgres (nightly), idle in transaction, in a transaction"
        thread = starting(source)
        wait_until(lambda: waiting(source), 60, "the warning")
        (about, text), = waiting(source)
        theirs.rollback()
    thread.join(60)
    assert (about, said in text) == (slot_of(database), True)
    assert not waiting(source)
    source.stop()


def test_a_snapshot_says_for_whom_it_waits(database: Database) -> None:
    database.execute(TABLES + "INSERT INTO t VALUES (1)")
    with running(database, {**OPTIONS, "snapshot.mode": "initial"}) as reading:
        with database.connect(autocommit=False) as theirs:
            theirs.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            said = f"process {theirs.info.backend_pid} "
            reading.until(lambda _: bool(waiting(reading.source)), timeout=60)
            (about, text), = waiting(reading.source)
            theirs.rollback()
        assert (about, said in text) == ("snapshot", True)
        assert brief(reading.to_mark(database)) == [("r", "t", 1)]
        assert not waiting(reading.source)


def test_a_publication_says_for_whom_it_waits(database: Database) -> None:
    database.execute(TABLES)
    with running(database, OPTIONS):
        pass
    database.execute("DROP PUBLICATION pub")
    source = make_source(database, {**OPTIONS, "publication.autocreate.mode": "filtered"})
    with database.connect(autocommit=False) as theirs:
        theirs.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        thread = starting(source)
        wait_until(lambda: waiting(source), 60, "the warning")
        (about, _), = waiting(source)
        theirs.rollback()
    thread.join(60)
    assert about == "pub"
    assert not waiting(source)
    source.stop()


def test_a_filtered_publication_waits_for_no_lock_of_a_partition(database: Database) -> None:
    database.execute(TABLES + "CREATE PUBLICATION pub FOR TABLE t, u, part")
    options = {**OPTIONS, "publication.autocreate.mode": "filtered"}
    with running(database, options) as reading:
        reading.to_mark(database)
    with database.connect(autocommit=False) as theirs:
        theirs.execute("LOCK TABLE part, part_1 IN ACCESS EXCLUSIVE MODE")
        with running(database, options, reading.offset) as reading:
            reading.to_mark(database)


def test_row_filters_of_other_tables_are_not_read(database: Database) -> None:
    database.execute(TABLES + "CREATE PUBLICATION pub FOR TABLE t WHERE (id > 5), other WHERE (id > 6)")
    (oid,), = database.execute("SELECT 't'::regclass::oid::int8")
    with database.connect(autocommit=False) as theirs, connect(parse_postgres(given_for(database, {}))[0]) as conn:
        theirs.execute("LOCK TABLE other IN ACCESS EXCLUSIVE MODE")
        assert published_parts(conn, "pub", [oid]) == {oid: Part((), "(id > 5)")}


def test_a_replica_identity_that_cannot_be_set_soon_holds_up_nobody(database: Database) -> None:
    """Behind a waiting ALTER TABLE, readers of the table wait too."""
    database.execute(TABLES)
    with database.connect(autocommit=False) as theirs:
        theirs.execute("SELECT * FROM t")
        options = {**OPTIONS, "replica.identity.autoset.values": "public.t:FULL", "snapshot.lock.timeout.ms": "200"}
        with pytest.raises(SourceConnectionError, match="lock timeout"), running(database, options):
            pass
