"""Publication and captured tables, watched while the stream runs and compared at a start: loss is an error, a table
that is not captured a warning with its name, and what is lawful gives neither."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from cdc.core.errors import PositionLostError, SourceError, SourceRefusedError
from tests.conftest import Database
from tests.integration.pg_source import Reading, brief, running
from tests.servers.process import wait_until

FILTERED = {"table.include.list": "public.a,public.b,public.c", "publication.autocreate.mode": "filtered",
            "xmin.fetch.interval.ms": "50"}
"""The last option makes the monitor look often."""
ALL = {"table.include.list": "public.a,public.b,public.c", "publication.autocreate.mode": "all_tables",
       "xmin.fetch.interval.ms": "50"}
ACCEPTED = {"offset.mismatch.strategy": "trust_slot"}


@pytest.fixture
def base(database: Database) -> Database:
    database.execute("".join(f"CREATE TABLE {name} (id int PRIMARY KEY, v text);" for name in "abc"))
    return database


@contextmanager
def streaming(base: Database, options: Mapping[str, str] = FILTERED,
              offset: Mapping[str, Any] | None = None) -> Iterator[Reading]:
    """A running source whose monitor has looked."""
    with running(base, options, offset) as reading:
        reading.to_mark(base)
        looked(reading)
        yield reading


def looked(reading: Reading) -> None:
    """Wait for two looks that begin after this call: the second sees all that is committed now."""
    watch, monitor = reading.source._watch, reading.source._monitor
    assert monitor is not None
    looks = watch._looks
    wait_until(lambda: watch._looks >= looks + 2 or monitor.failure, 30, "a look")


def warned(reading: Reading) -> set[tuple[str, str]]:
    """What is told of publication, tables and rights; rows that come or go without events are another subject."""
    return {(each.kind, each.about) for each in reading.source.warnings.active() if each.kind != "rows_without_events"}


def failure(reading: Reading) -> SourceError:
    with pytest.raises(SourceError) as caught:
        reading.until(lambda _: False)
    assert caught.value.hint
    return caught.value


def offset_of(base: Database, options: Mapping[str, str] = FILTERED) -> dict[str, Any]:
    """What is stored after one change was delivered."""
    with streaming(base, options) as reading:
        base.execute("INSERT INTO a VALUES (1, 'x')")
        reading.to_mark(base)
        assert reading.offset is not None
        return reading.offset


def restarted(base: Database, offset: Mapping[str, Any], options: Mapping[str, str] = FILTERED) -> Any:
    """The warnings after a start at *offset*, or the error."""
    try:
        with streaming(base, options, offset) as reading:
            return warned(reading)
    except SourceError as exc:
        return exc


# -- losses ------------------------------------------------------------------------------------------------------------

LOSSES = {
    "the publication is dropped": ("DROP PUBLICATION pub", PositionLostError, "pub"),
    "the publication is made again": ("DROP PUBLICATION pub; CREATE PUBLICATION pub FOR TABLE a, b, c",
                                      PositionLostError, "pub"),
    "a table is taken out": ("ALTER PUBLICATION pub DROP TABLE b", PositionLostError, "public.b"),
    "a table is taken out by SET": ("ALTER PUBLICATION pub SET TABLE a, c", PositionLostError, "public.b"),
    "a table is taken out and put back": ("ALTER PUBLICATION pub DROP TABLE b; ALTER PUBLICATION pub ADD TABLE b",
                                          PositionLostError, "public.b"),
    "an operation is switched off": ("ALTER PUBLICATION pub SET (publish = 'insert, delete')", SourceRefusedError,
                                     "update"),
}


@pytest.mark.parametrize("situation", LOSSES)
def test_a_loss_ends_the_stream_and_each_start_after_it(base: Database, situation: str) -> None:
    statements, kind, named = LOSSES[situation]
    with streaming(base) as reading:
        base.execute("INSERT INTO a VALUES (1, 'x')")
        reading.to_mark(base)
        offset = dict(reading.offset or {})
        for statement in statements.split("; "):
            base.execute(statement)
        error = failure(reading)
    assert type(error) is kind
    assert named in error.message
    for _ in range(2):
        again = restarted(base, offset)
        assert type(again) is kind
        assert named in again.message


@pytest.mark.parametrize("situation", LOSSES)
def test_a_gap_that_the_operator_accepts_is_a_warning_once(base: Database, situation: str) -> None:
    offset = offset_of(base)
    for statement in LOSSES[situation][0].split("; "):
        base.execute(statement)
    with streaming(base, FILTERED | ACCEPTED, offset) as reading:
        assert [kind for kind, _ in warned(reading)].count("gap_accepted") == 1
        base.execute("INSERT INTO b VALUES (9, 'x')")
        assert brief(reading.to_mark(base)) == [("c", "b", 9)]
        after = dict(reading.offset or {})
    wanted = {("operations_not_published", "pub")} if "operation" in situation else set()
    assert restarted(base, after) == wanted


def test_an_unlogged_table_of_a_publication_for_all_tables_is_a_loss(base: Database) -> None:
    with streaming(base, ALL) as reading:
        base.execute("INSERT INTO a VALUES (1, 'x')")
        reading.to_mark(base)
        offset = dict(reading.offset or {})
        base.execute("ALTER TABLE b SET UNLOGGED")
        error = failure(reading)
    assert isinstance(error, SourceRefusedError)
    assert "public.b" in error.message
    again = restarted(base, offset, ALL)
    assert isinstance(again, SourceRefusedError)
    base.execute("ALTER TABLE b SET LOGGED")
    assert restarted(base, offset, ALL) == set()


def test_partitions_under_a_root_that_is_not_captured_any_more_are_a_loss(base: Database) -> None:
    base.execute("CREATE TABLE m (id int PRIMARY KEY) PARTITION BY RANGE (id);"
                 "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);"
                 "CREATE PUBLICATION pub FOR TABLE m")
    options = {**FILTERED, "table.include.list": "public.m1"}
    with streaming(base, options) as reading:
        assert warned(reading) == set()
        base.execute("INSERT INTO m VALUES (1)")
        assert brief(reading.to_mark(base)) == [("c", "m1", 1)]
        base.execute("ALTER PUBLICATION pub SET (publish_via_partition_root = true)")
        error = failure(reading)
    assert "public.m1" in error.message


def test_a_publication_that_has_to_be_made_with_an_offset_of_others_is_a_gap(base: Database) -> None:
    offset = {key: value for key, value in offset_of(base).items() if key != "published"}
    base.execute("DROP PUBLICATION pub")
    assert isinstance(restarted(base, offset), PositionLostError)
    assert base.execute("SELECT count(*) FROM pg_publication") == [(0,)], "and nothing was made"


# -- what is not captured ----------------------------------------------------------------------------------------------


def test_a_table_that_is_made_again_is_told_while_it_is_not_captured_and_when_it_joins(base: Database) -> None:
    with streaming(base) as reading:
        base.execute("DROP TABLE c; CREATE TABLE c (id int PRIMARY KEY, v text, n int)")
        base.execute("CREATE TABLE b_new (id int PRIMARY KEY, v text); INSERT INTO b_new VALUES (20, 'staged')")
        base.execute("BEGIN; ALTER TABLE b RENAME TO b_old; ALTER TABLE b_new RENAME TO b; COMMIT")
        looked(reading)
        assert {("table_not_published", "public.b"), ("table_not_published", "public.c")} <= warned(reading)
        base.execute("INSERT INTO a VALUES (1, 'x')")
        assert brief(reading.to_mark(base)) == [("c", "a", 1)]
        offset = dict(reading.offset or {})
    assert restarted(base, offset) >= {("table_joined", "public.b"), ("table_joined", "public.c")}


def test_with_all_tables_a_swapped_table_is_told_and_one_that_is_made_again_is_not(base: Database) -> None:
    with streaming(base, ALL) as reading:
        base.execute("DROP TABLE c")
        base.execute("CREATE TABLE c (id int PRIMARY KEY, v text, n int)")
        base.execute("CREATE TABLE b_new (id int PRIMARY KEY, v text); INSERT INTO b_new VALUES (20, 'staged')")
        looked(reading)
        assert warned(reading) == set()
        base.execute("BEGIN; ALTER TABLE b RENAME TO b_old; ALTER TABLE b_new RENAME TO b; COMMIT")
        looked(reading)
        assert warned(reading) == {("table_joined", "public.b"), ("table_renamed", "public.b_old")}
        base.execute("INSERT INTO b VALUES (1, 'x'); INSERT INTO c VALUES (2, 'x', 3)")
        assert brief(reading.to_mark(base)) == [("c", "b", 1), ("c", "c", 2)]


def test_new_tables_that_the_lists_name_are_told_until_they_are_published(base: Database) -> None:
    options = {**FILTERED, "table.include.list": r"public\.[a-c],s\..*", "skipped.operations": "none"}
    with streaming(base, options) as reading:
        base.execute("CREATE SCHEMA s; CREATE TABLE s.d (id int PRIMARY KEY); CREATE TABLE public.e (id int)")
        looked(reading)
        assert warned(reading) == {("table_not_published", "s.d")}
        base.execute("ALTER PUBLICATION pub ADD TABLE s.d")
        looked(reading)
        assert warned(reading) == {("table_joined", "s.d")}
        offset = dict(reading.offset or {})
    base.execute("CREATE UNLOGGED TABLE s.u (id int)")
    assert restarted(base, offset, options) >= {("table_cannot_be_captured", "s.u")}


def test_a_table_that_is_renamed_into_the_lists_is_found(base: Database) -> None:
    base.execute("CREATE TABLE other (id int PRIMARY KEY)")
    options = {**ALL, "table.include.list": r"public\.(a|orders.*)"}
    with streaming(base, options) as reading:
        base.execute("ALTER TABLE other RENAME TO orders_1")
        wait_until(lambda: ("table_joined", "public.orders_1") in warned(reading), 30, "the warning")


def test_partitions_that_come_under_no_captured_name_are_told(base: Database) -> None:
    base.execute("CREATE TABLE m (id int PRIMARY KEY) PARTITION BY RANGE (id);"
                 "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10)")
    options = {**ALL, "table.include.list": "public.m"}
    with streaming(base, options) as reading:
        assert warned(reading) == {("partitioned_table_not_published", "public.m")}
        base.execute("ALTER PUBLICATION pub SET (publish_via_partition_root = true)")
        looked(reading)
        assert warned(reading) == {("publication_altered", "pub")}
        base.execute("INSERT INTO m VALUES (1)")
        assert brief(reading.to_mark(base)) == [("c", "m", 1)]


def test_a_detached_partition_is_told_and_no_loss(base: Database) -> None:
    base.execute("CREATE TABLE m (id int PRIMARY KEY) PARTITION BY RANGE (id);"
                 "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);"
                 "CREATE PUBLICATION pub FOR TABLE m")
    options = {**FILTERED, "table.include.list": r"public\.m.*", "publication.autocreate.mode": "disabled"}
    with streaming(base, options) as reading:
        base.execute("CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20); INSERT INTO m VALUES (1), (11)")
        looked(reading)
        assert warned(reading) == set()
        assert brief(reading.to_mark(base)) == [("c", "m1", 1), ("c", "m2", 11)]
        base.execute("ALTER TABLE m DETACH PARTITION m1")
        looked(reading)
        assert warned(reading) == {("table_not_published", "public.m1")}
        base.execute("DROP TABLE m1")
        looked(reading)
        assert warned(reading) == set()


def test_row_filters_and_column_lists_that_change_are_told(base: Database) -> None:
    offset = offset_of(base)
    with streaming(base, FILTERED, offset) as reading:
        base.execute("ALTER PUBLICATION pub SET TABLE a WHERE (id < 100), b (id), c")
        looked(reading)
        assert warned(reading) == {("table_publication_changed", "public.a"),
                                   ("table_publication_changed", "public.b")}
    assert restarted(base, offset) == {("table_publication_changed", "public.a"),
                                       ("table_publication_changed", "public.b")}


def test_a_replica_identity_that_is_taken_away_is_told(base: Database) -> None:
    with streaming(base) as reading:
        base.execute("ALTER TABLE a REPLICA IDENTITY NOTHING")
        base.execute("ALTER TABLE b DROP CONSTRAINT b_pkey")
        looked(reading)
        assert warned(reading) == {("table_without_replica_identity", "public.a"),
                                   ("table_without_replica_identity", "public.b")}
        base.execute("ALTER TABLE a REPLICA IDENTITY FULL; ALTER TABLE b ADD PRIMARY KEY (id)")
        looked(reading)
        assert warned(reading) == set()


def test_operations_that_were_off_for_a_moment_are_told(base: Database) -> None:
    offset = offset_of(base)
    base.execute("ALTER PUBLICATION pub SET (publish = 'insert')")
    base.execute("ALTER PUBLICATION pub SET (publish = 'insert, update, delete, truncate')")
    assert restarted(base, offset) == {("publication_altered", "pub")}


def test_a_right_that_is_taken_away_is_told(base: Database) -> None:
    user = f"u_{base.name}"
    base.execute(f"CREATE ROLE {user} LOGIN REPLICATION PASSWORD 'p'; GRANT SELECT ON a, b, c TO {user};"
                 "CREATE PUBLICATION pub FOR TABLE a, b, c")
    try:
        with streaming(base, {**FILTERED, "database.user": user, "database.password": "p"}) as reading:
            assert warned(reading) == set()
            base.execute(f"ALTER ROLE {user} NOREPLICATION")
            looked(reading)
            assert warned(reading) == {("replication_not_permitted", user)}
    finally:
        base.execute(f"DROP OWNED BY {user}; DROP ROLE {user}")


# -- what is lawful ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [FILTERED, ALL], ids=["filtered", "all_tables"])
def test_lawful_changes_give_neither_error_nor_warning(base: Database, options: dict[str, str]) -> None:
    offset = offset_of(base, options)
    with streaming(base, options, offset) as reading:
        base.execute("CREATE TABLE other (id int); CREATE TABLE other2 (id int PRIMARY KEY)")
        base.execute("ALTER TABLE a ADD COLUMN n int; ALTER TABLE a RENAME COLUMN v TO w; CREATE INDEX ON a (n)")
        base.execute("ALTER TABLE b REPLICA IDENTITY FULL; TRUNCATE b; CLUSTER a USING a_pkey; ANALYZE")
        base.execute("VACUUM FULL a")
        if options is FILTERED:
            base.execute("ALTER PUBLICATION pub ADD TABLE other2")
            base.execute("ALTER PUBLICATION pub SET TABLE a, b, c, other2")
        base.execute("DROP TABLE c")
        looked(reading)
        assert warned(reading) == set()
        base.execute("INSERT INTO a VALUES (5, 'x')")
        assert brief(reading.to_mark(base)) == [("c", "a", 5)]
        offset = dict(reading.offset or {})
    assert restarted(base, offset, options) == set()


def test_a_new_table_that_gets_an_owner_joins_without_a_word(base: Database) -> None:
    user = f"u_{base.name}"
    base.execute(f"CREATE ROLE {user}; DROP TABLE c")
    try:
        with streaming(base, ALL) as reading:
            base.execute("CREATE TABLE c (id int PRIMARY KEY)")
            base.execute(f"ALTER TABLE c OWNER TO {user}")
            looked(reading)
            assert warned(reading) == set()
            base.execute("CREATE TABLE b_new (id int PRIMARY KEY); DROP TABLE b")
            base.execute(f"ALTER TABLE b_new OWNER TO {user}")
            base.execute("ALTER TABLE b_new RENAME TO b")
            looked(reading)
            assert warned(reading) == {("table_joined", "public.b")}
    finally:
        base.execute(f"DROP OWNED BY {user}; DROP ROLE {user}")


def test_catalogs_that_are_rewritten_look_the_same(base: Database) -> None:
    offset = offset_of(base)
    for table in ("pg_publication", "pg_publication_rel", "pg_class", "pg_type", "pg_attribute"):
        base.execute(f"VACUUM FREEZE pg_catalog.{table}")
        base.execute(f"VACUUM FULL pg_catalog.{table}")
    assert restarted(base, offset) == set()


def test_a_table_that_the_operator_adds_to_the_lists_goes_on(base: Database) -> None:
    offset = offset_of(base, {**FILTERED, "table.include.list": "public.a,public.b"})
    with streaming(base, FILTERED, offset) as reading:
        assert warned(reading) == set()
        base.execute("INSERT INTO c VALUES (5, 'x')")
        assert brief(reading.to_mark(base)) == [("c", "c", 5)]


def test_a_table_that_is_taken_from_the_lists_may_leave_the_publication(base: Database) -> None:
    offset = offset_of(base)
    base.execute("ALTER PUBLICATION pub DROP TABLE b")
    assert restarted(base, offset, {**FILTERED, "table.include.list": "public.a,public.c"}) == set()


def test_tables_that_come_in_with_their_schema_join_without_a_word(base: Database) -> None:
    base.execute("CREATE SCHEMA s; CREATE PUBLICATION pub FOR TABLES IN SCHEMA s, TABLE a")
    options = {**FILTERED, "table.include.list": r"public\.a,s\..*", "publication.autocreate.mode": "disabled"}
    with streaming(base, options) as reading:
        base.execute("CREATE TABLE s.d (id int PRIMARY KEY); INSERT INTO s.d VALUES (1)")
        looked(reading)
        assert warned(reading) == set()
        assert brief(reading.to_mark(base)) == [("c", "d", 1)]
        offset = dict(reading.offset or {})
    base.execute("CREATE TABLE s.e (id int PRIMARY KEY)")
    assert restarted(base, offset, options) == set()
