"""Keys that were changed since the log was written: what the keys of rows of before still are."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.errors import SourceRefusedError
from cdc.core.record import Record
from tests.conftest import Database
from tests.integration.pg_source import running
from tests.integration.test_pg_changed_types import without
from tests.integration.test_pg_true_rows import INITIAL, keyed

Key = tuple[tuple[str, ...], Any]


def keys(records: list[Any]) -> list[Key]:
    """The key's column names and values of each record, without tombstones."""
    changes = [record for record in records if isinstance(record, Record) and record.op]
    return [(tuple(column.name for column in record.table.key), value)
            for record, (_, value) in zip(changes, keyed(changes), strict=True)]


def key_schemas(records: list[Any]) -> list[Any]:
    return [record.table.key_schema for record in records if isinstance(record, Record) and record.op]


TABLE = "CREATE TABLE t (id int, code int NOT NULL, v int, PRIMARY KEY (id)); "
IDENTITIES = {
    "default": "", "full": "ALTER TABLE t REPLICA IDENTITY FULL",
    "index": "CREATE UNIQUE INDEX t_code ON t (code); ALTER TABLE t REPLICA IDENTITY USING INDEX t_code",
}
OLD, NEW = ("id",), ("code",)
CHANGES = {
    "renamed": ("ALTER TABLE t RENAME id TO ident", ("ident",)),
    "renamed twice": ("ALTER TABLE t RENAME id TO x; INSERT INTO t VALUES (5, 5, 5); ALTER TABLE t RENAME x TO y",
                      ("y",)),
    "changed": ("ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (code)", NEW),
    "changed and gone": ("ALTER TABLE t DROP COLUMN id; ALTER TABLE t ADD COLUMN w int, ADD PRIMARY KEY (code)", NEW),
    "dropped": ("ALTER TABLE t DROP CONSTRAINT t_pkey", ()),
    "dropped for FULL": ("ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t REPLICA IDENTITY FULL", ()),
    "of another type": ("ALTER TABLE t ALTER id TYPE text", OLD),
    "the table too": ("DROP TABLE t; CREATE TABLE t (code int PRIMARY KEY, id int, w int)", NEW),
}


@pytest.mark.parametrize("postgres", ["postgres18"], indirect=True)
@pytest.mark.parametrize("while_down", [True, False], ids=["down", "streaming"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("identity", IDENTITIES)
def test_rows_from_before_a_key_was_changed_keep_their_key(database: Database, identity: str, change: str,
                                                           while_down: bool) -> None:
    statement, names = CHANGES[change]
    if identity == "index" and not names:
        names = NEW  # the index that is the replica identity is the key then
    if identity == "full" and change == "renamed twice":
        pytest.skip("the names of the time between are not known: see the test of the refusal")
    database.execute(TABLE + IDENTITIES[identity])
    with running(database) as reading:
        database.execute("INSERT INTO t VALUES (1, 11, 1)")
        first = reading.to_mark(database)
        if while_down:
            offset = reading.offset
        database.execute("INSERT INTO t VALUES (2, 12, 1); UPDATE t SET v = 2 WHERE code = 11")
        if not while_down:
            first += reading.to_mark(database)
        database.execute(statement)
        database.execute("INSERT INTO t VALUES (3, 13, 1)")
        if not while_down:
            second = reading.to_mark(database)
    if while_down:
        with running(database, {}, offset) as reading:
            second = reading.to_mark(database)
        first += second[:2]
        del second[:2]
    assert keys(first) == [(OLD, (1,)), (OLD, (2,)), (OLD, (1,))]
    assert key_schemas(first) == key_schemas(first[:1]) * 3
    by_code = names == NEW and change not in ("changed and gone", "the table too")
    value = "3" if change == "of another type" else 13 if by_code else 3
    assert keys(second)[-1] == (names, (value,) if names else None)


def test_a_key_of_the_time_between_two_changes_is_refused_or_named(database: Database) -> None:
    """With FULL, the log does not say which columns are the key."""
    database.execute(TABLE + IDENTITIES["full"])
    with running(database) as reading:
        reading.to_mark(database)
        offset = reading.offset
    database.execute(CHANGES["renamed twice"][0])
    with running(database, {}, offset) as reading, pytest.raises(SourceRefusedError, match=r"table public\.t .* key"):
        reading.to_mark(database)
    with running(database, {"message.key.columns": "public.t:x"}, offset) as reading:
        assert keys(reading.to_mark(database)) == [(("x",), (5,))]


def test_an_offset_without_keys_makes_no_half_of_a_key(database: Database) -> None:
    """An offset of Debezium or of an older version."""
    database.execute("CREATE TABLE t (a int, b int, PRIMARY KEY (a, b)); ALTER TABLE t REPLICA IDENTITY FULL")
    with running(database) as reading:
        reading.to_mark(database)
        offset = without(reading.offset, "structures")
    database.execute("INSERT INTO t VALUES (1, 2), (1, 3); ALTER TABLE t RENAME b TO c")
    with running(database, {}, offset) as reading, pytest.raises(SourceRefusedError, match=r"table public\.t .* key"):
        reading.to_mark(database)


def test_a_key_that_was_added_is_none_for_rows_of_before(database: Database) -> None:
    database.execute("CREATE TABLE t (id int NOT NULL, v int); CREATE TABLE u (id int NOT NULL UNIQUE, v int NOT NULL)")
    with running(database) as reading:
        reading.to_mark(database)
        offset = reading.offset
    database.execute("INSERT INTO t VALUES (1, 1); INSERT INTO u VALUES (1, 2);"
                     " ALTER TABLE t ADD PRIMARY KEY (id); ALTER TABLE u ADD PRIMARY KEY (v)")
    database.execute("INSERT INTO t VALUES (2, 1); INSERT INTO u VALUES (2, 3)")
    with running(database, {}, offset) as reading:
        assert keys(reading.to_mark(database)) == [((), None), (("id",), (1,)), (("id",), (2,)), (("v",), (3,))]


def test_the_order_of_a_keys_columns_is_remembered(database: Database) -> None:
    database.execute("CREATE TABLE t (a int, b int, v int, PRIMARY KEY (b, a))")
    with running(database) as reading:
        reading.to_mark(database)
        offset = reading.offset
    database.execute("INSERT INTO t VALUES (1, 2, 3); ALTER TABLE t RENAME a TO c; INSERT INTO t VALUES (4, 5, 6)")
    with running(database, {}, offset) as reading:
        assert keys(reading.to_mark(database)) == [(("b", "a"), (2, 1)), (("b", "c"), (5, 4))]


def test_a_table_that_was_dropped_keeps_its_key(database: Database) -> None:
    database.execute(TABLE + IDENTITIES["full"])
    with running(database) as reading:
        reading.to_mark(database)
        offset = reading.offset
    database.execute("INSERT INTO t VALUES (1, 11, 1); DELETE FROM t; DROP TABLE t")
    with running(database, {}, offset) as reading:
        assert keys(reading.to_mark(database)) == [(OLD, (1,)), (OLD, (1,))]


def test_a_key_that_was_changed_within_a_transaction_is_each_rows_own(database: Database) -> None:
    database.execute(TABLE + IDENTITIES["full"])
    with running(database) as reading:
        reading.to_mark(database)
        offset = reading.offset
    database.execute("BEGIN; INSERT INTO t VALUES (1, 11, 1); ALTER TABLE t DROP CONSTRAINT t_pkey;"
                     " ALTER TABLE t ADD PRIMARY KEY (code); INSERT INTO t VALUES (2, 12, 2); COMMIT")
    with running(database, {}, offset) as reading:
        found = keys(reading.to_mark(database))
    assert found == [(OLD, (1,)), (NEW, (12,))]


# -- deferrable --------------------------------------------------------------------------------------------------------


def test_a_deferrable_primary_key_is_no_key_where_rows_may_swap_their_values(database: Database) -> None:
    """The delete of the key that the first row gives up comes after the second has taken it."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY DEFERRABLE, v text); ALTER TABLE t REPLICA IDENTITY FULL;"
                     " INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    with running(database, INITIAL) as reading:
        records = reading.until(lambda found: len(found) == 2)
        database.execute("UPDATE t SET id = 3 - id")
        records += reading.to_mark(database)
    assert [(record.op, keyed([record])[0][1]) for record in records] == [("r", None)] * 2 + [("u", None)] * 2
    with running(database, {**INITIAL, "cdc.debezium.faults": "true"}) as reading:
        assert keys(reading.until(lambda found: len(found) == 2)) == [(("id",), (2,)), (("id",), (1,))]
    with running(database, {**INITIAL, "message.key.columns": "public.t:id"}) as reading:
        assert keys(reading.until(lambda found: len(found) == 2)) == [(("id",), (2,)), (("id",), (1,))]


def test_a_deferrable_primary_key_is_a_key_where_only_inserts_are_possible(database: Database) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED); INSERT INTO t VALUES (1)")
    with running(database, INITIAL) as reading:
        records = reading.until(lambda found: len(found) == 1)
        database.execute("INSERT INTO t VALUES (2)")
        records += reading.to_mark(database)
    assert keys(records) == [(("id",), (1,)), (("id",), (2,))]
