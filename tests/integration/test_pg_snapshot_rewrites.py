"""Tables that are changed while a snapshot is read. One that is rewritten looks empty to an older snapshot, and nothing
in the log says what was in it: PostgreSQL docs, "Concurrency Control", "Caveats"."""

from __future__ import annotations

import pytest

from cdc.core.errors import SourceConnectionError
from tests.conftest import Database
from tests.integration.pg_source import Reading, running

OPTIONS = {"snapshot.mode": "initial", "max.batch.size": "1"}
TABLES = """\
CREATE TABLE a (id int PRIMARY KEY, x int);
CREATE TABLE b (id int PRIMARY KEY, x int);
CREATE TABLE p (id int PRIMARY KEY, x int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE empty (id int PRIMARY KEY, x int);
INSERT INTO a VALUES (1, 1), (2, 2);
INSERT INTO b VALUES (3, 3);
INSERT INTO p VALUES (4, 4)"""


def read_all(reading: Reading) -> int:
    return len(reading.until(lambda _: reading.source.state() == "streaming"))


@pytest.mark.parametrize("statement", [
    "ALTER TABLE b ALTER COLUMN x TYPE bigint", "ALTER TABLE p ALTER COLUMN x TYPE bigint", "TRUNCATE b",
    "ALTER TABLE b RENAME COLUMN x TO y", "ALTER TABLE b DROP COLUMN x",
])
def test_a_table_changed_meanwhile_makes_the_snapshot_begin_again(database: Database, statement: str) -> None:
    database.execute(TABLES)
    options = {**OPTIONS, "publication.name": f"pub_{database.name}"}
    with running(database, options) as reading:
        reading.batch()
        database.execute(statement)
        with pytest.raises(SourceConnectionError, match="while the snapshot was taken"):
            read_all(reading)
        offset = reading.offset
    with running(database, options, offset=offset) as reading:
        (expected,), = database.execute("SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)"
                                        " + (SELECT count(*) FROM p) * 2")
        assert read_all(reading) == expected


def test_a_table_stored_anew_without_loss_does_not(database: Database) -> None:
    database.execute(TABLES)
    with running(database, {**OPTIONS, "publication.name": f"pub_{database.name}"}) as reading:
        found = len(reading.batch() or [])
        database.execute("VACUUM FULL b")
        assert found + read_all(reading) == 5
