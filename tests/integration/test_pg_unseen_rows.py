"""Rows that come, go or change without events: a warning names the table, while streaming and after a restart."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.sources.postgres.source import PostgresSource
from tests.conftest import Database
from tests.integration.pg_source import brief, running

OFTEN = {"xmin.fetch.interval.ms": "100", "publish.via.partition.root": "true"}
"""The monitor looks every 100 ms."""
TABLES = """\
CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1);
CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
CREATE TABLE part_3 PARTITION OF part_2 FOR VALUES FROM (10) TO (15);
CREATE TABLE loose (id int PRIMARY KEY); INSERT INTO loose VALUES (25);
"""


def told(source: PostgresSource) -> dict[str, str]:
    return {each.about: each.text for each in source.warnings.active() if each.kind == "rows_without_events"}


UNSEEN = {
    "attached": ("ALTER TABLE part ATTACH PARTITION loose FOR VALUES FROM (20) TO (30)", "public.part",
                 "Partition public.loose was attached"),
    "attached below": ("ALTER TABLE part_2 ATTACH PARTITION loose FOR VALUES FROM (15) TO (20)", "public.part",
                       "Partition public.loose was attached"),
    "attached as a tree": ("CREATE TABLE tree (id int PRIMARY KEY) PARTITION BY RANGE (id);"
                           " CREATE TABLE leaf PARTITION OF tree FOR VALUES FROM (40) TO (50);"
                           " INSERT INTO tree VALUES (41);"
                           " ALTER TABLE part ATTACH PARTITION tree FOR VALUES FROM (40) TO (50)", "public.part",
                           "Partition public.leaf was attached"),
    "detached": ("ALTER TABLE part DETACH PARTITION part_1", "public.part", "Partition public.part_1 was detached"),
    "partition dropped": ("DROP TABLE part_3", "public.part", "Partition public.part_3 was detached or dropped"),
    "dropped": ("DROP TABLE t", "public.t", "It was dropped"),
    "made again": ("DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY)", "public.t", "It was dropped"),
    "rewritten": ("ALTER TABLE t ALTER v TYPE int USING v * 100", "public.t", "ALTER TABLE rewrote its rows"),
    "of another type": ("ALTER TABLE t ALTER v TYPE text", "public.t", "ALTER TABLE rewrote its rows"),
}


@pytest.mark.parametrize("postgres", ["postgres18"], indirect=True)
@pytest.mark.parametrize("while_down", [False, True], ids=["streaming", "down"])
@pytest.mark.parametrize("what", UNSEEN)
def test_rows_that_change_as_a_whole_are_told(database: Database, what: str, while_down: bool) -> None:
    statement, table, text = UNSEEN[what]
    database.execute(TABLES.replace("VALUES (25)", "VALUES (15)") if what == "attached below" else TABLES)
    options = {**OFTEN, "table.include.list": "public.(t|part)"}
    with running(database, options) as reading:
        reading.to_mark(database)
        if not while_down:
            database.execute(statement)
            reading.until(lambda _: bool(told(reading.source)), timeout=60)
    if while_down:
        database.execute(statement)
        with running(database, options, reading.offset) as reading:
            found = told(reading.source)
    else:
        found = told(reading.source)
    assert list(found) == [table]
    assert found[table].startswith(text)
    assert found[table].endswith("and the log has no events of that.")


def test_what_changes_no_row_or_has_events_is_not_told(database: Database) -> None:
    database.execute(TABLES + "ANALYZE t")
    options = {**OFTEN, "table.include.list": "public.(t|part|x)"}
    with running(database, options) as reading:
        reading.to_mark(database)
    database.execute("VACUUM FULL t")
    database.execute("CLUSTER t USING t_pkey")
    database.execute("REINDEX TABLE t")
    database.execute("ALTER TABLE t ALTER v SET NOT NULL; ALTER TABLE t RENAME v TO vv")
    database.execute("""\
ALTER TABLE t ADD COLUMN w int DEFAULT 7;
CREATE TABLE part_4 PARTITION OF part FOR VALUES FROM (30) TO (40); INSERT INTO part VALUES (31);
CREATE TABLE x AS SELECT 1 AS id""")
    database.execute("CREATE TABLE other (id int); DROP TABLE other; DROP TABLE loose")
    with running(database, options, reading.offset) as reading:
        records = reading.to_mark(database)
        assert told(reading.source) == {}
    assert brief(records) == [("c", "part", 31), ("c", "x", 1)]


def test_tables_that_the_lists_leave_out_now_are_not_told(database: Database) -> None:
    database.execute(TABLES)
    with running(database, OFTEN) as reading:
        reading.to_mark(database)
    with running(database, {**OFTEN, "table.include.list": "public.part"}, reading.offset) as reading:
        assert told(reading.source) == {}


@pytest.mark.parametrize(("options", "text"), [
    ({}, "skipped.operations leaves the event out"),
    ({"skipped.operations": "none", "publication": "insert, update, delete"}, "which the publication does not have"),
    ({"skipped.operations": "none"}, ""),
])
def test_a_truncate_without_an_event_is_told(database: Database, options: dict[str, str], text: str) -> None:
    database.execute(TABLES)
    given: dict[str, Any] = {**OFTEN, "table.include.list": "public.t", **options}
    publish = given.pop("publication", "insert, update, delete, truncate")
    database.execute(f"CREATE PUBLICATION pub FOR TABLE t WITH (publish = '{publish}')")
    with running(database, given) as reading:
        database.execute("TRUNCATE t")
        if text:
            reading.until(lambda _: bool(told(reading.source)), timeout=60)
        records = reading.to_mark(database)
        found = told(reading.source)
    assert [record.op for record in records] == ([] if text else ["t"])
    assert list(found) == (["public.t"] if text else [])
    assert text in "".join(found.values())


def test_a_stream_without_replicated_changes_is_told(database: Database) -> None:
    if database.server.version < 16:
        pytest.skip("origin came with PostgreSQL 16")
    database.execute(TABLES)
    with running(database, {"slot.stream.params": "origin=none"}) as reading:
        assert [each.kind for each in reading.source.warnings.active()] == ["replicated_changes_left_out"]
