"""No made-up key or value, and a snapshot that equals the stream: what the server's log and catalog really have."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from cdc.converters.plan import ColumnFailures, ValuePlan
from cdc.core.errors import ConfigError, ConvertError
from cdc.core.record import Record
from cdc.core.table import TableId
from cdc.sources.postgres.moved import rewritten
from tests.conftest import Database
from tests.integration.pg_source import Reading, brief, cells, make_source, running
from tests.integration.test_pg_binary_stream import converted

INITIAL = {"snapshot.mode": "initial"}


def keyed(records: list[Any]) -> list[tuple[str, tuple[Any, ...] | str | None]]:
    """The operation (empty for a tombstone) and key of each record; the column that is missing in place of a key."""
    found: list[tuple[str, tuple[Any, ...] | str | None]] = []
    for record in records:
        if isinstance(record, Record):
            other = record.other
            if other is None and record.key_row is record.after:
                other = record.before
            try:
                found.append((record.op, ValuePlan(record.table, ColumnFailures()).key(record.key_row, other)))
            except ConvertError as exc:
                found.append((record.op, exc.message.split("'")[1]))
    return found


def written(record: Record) -> dict[str, Any]:
    """The new row as an event has it."""
    row = ValuePlan(record.table, ColumnFailures()).value(record, 0)[1]
    return dict(zip((column.name for column in record.table.columns), row, strict=True))


# -- keys ------------------------------------------------------------------------------------------------------------


def test_a_replica_identity_without_the_key_makes_up_no_key(database: Database) -> None:
    database.execute("""\
CREATE TABLE t (id int PRIMARY KEY, code text NOT NULL, v text); CREATE UNIQUE INDEX t_code ON t (code);
ALTER TABLE t REPLICA IDENTITY USING INDEX t_code; INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y');
CREATE TABLE c (a int, b int, n int NOT NULL, PRIMARY KEY (a, b)); CREATE UNIQUE INDEX c_an ON c (a, n);
ALTER TABLE c REPLICA IDENTITY USING INDEX c_an; INSERT INTO c VALUES (1, 0, 8), (1, 5, 9);
CREATE TABLE m (id int PRIMARY KEY, tenant int NOT NULL, v text); INSERT INTO m VALUES (1, 7, 'a')""")
    with running(database, {"message.key.columns": "public.m:tenant,id"}) as reading:
        database.execute("UPDATE t SET code = 'aa' WHERE id = 1")
        database.execute("DELETE FROM t WHERE id = 2")
        database.execute("DELETE FROM c WHERE b = 5")
        database.execute("UPDATE m SET v = 'b'; DELETE FROM m")
        records = reading.to_mark(database)
    assert keyed(records) == [("u", (1,)), ("d", "id"), ("", "id"), ("d", "b"), ("", "b"), ("u", (7, 1)),
                              ("d", "tenant"), ("", "tenant")]
    assert records[0].before is None


def test_full_identity_has_every_key(database: Database) -> None:
    database.execute("""\
CREATE TABLE m (id int PRIMARY KEY, tenant int NOT NULL, v text); ALTER TABLE m REPLICA IDENTITY FULL;
INSERT INTO m VALUES (1, 7, 'a')""")
    with running(database, {"message.key.columns": "public.m:tenant"}) as reading:
        database.execute("UPDATE m SET v = 'b'; UPDATE m SET tenant = 8; DELETE FROM m")
        assert keyed(reading.to_mark(database)) == [
            ("u", (7,)), ("d", (7,)), ("", (7,)), ("c", (8,)), ("d", (8,)), ("", (8,))]


def test_an_unchanged_key_that_is_out_of_line_is_never_a_placeholder(database: Database) -> None:
    database.execute("""\
CREATE TABLE t (id int PRIMARY KEY, k text, n int); ALTER TABLE t ALTER k SET STORAGE EXTERNAL;
INSERT INTO t SELECT i, repeat(i::text, 6000), 0 FROM generate_series(1, 3) i;
CREATE TABLE p (k text PRIMARY KEY, n int); ALTER TABLE p ALTER k SET STORAGE EXTERNAL;
INSERT INTO p VALUES (repeat('x', 2500), 0)""")
    with running(database, {"message.key.columns": "public.t:k"}) as reading:
        database.execute("UPDATE t SET n = 1")
        assert keyed(reading.to_mark(database)) == [("u", "k")] * 3
        database.execute("UPDATE p SET n = 1")
        assert keyed(reading.to_mark(database)) == [("u", ("x" * 2500,))]
        database.execute("ALTER TABLE t REPLICA IDENTITY FULL")
        database.execute("UPDATE t SET n = 2 WHERE id = 2")
        assert keyed(reading.to_mark(database)) == [("u", ("2" * 6000,))]


@pytest.mark.parametrize("definition", [
    "email text, deleted boolean, v int); CREATE UNIQUE INDEX n_u ON n (email) WHERE NOT deleted",
    "email text UNIQUE, deleted boolean, v int)",
    "email text NOT NULL UNIQUE DEFERRABLE, deleted boolean, v int)",
    "email text, deleted boolean, v int); CREATE UNIQUE INDEX n_u ON n (lower(email), v)",
])
def test_a_unique_index_that_is_no_key_is_not_taken_for_one(database: Database, definition: str) -> None:
    database.execute(f"CREATE TABLE n ({definition}; ALTER TABLE n REPLICA IDENTITY FULL;"
                     " INSERT INTO n VALUES ('a@x', false, 1)")
    with running(database, INITIAL) as reading:
        records = reading.until(lambda found: len(found) == 1)
        database.execute("DELETE FROM n")
        records += reading.to_mark(database)
    assert keyed(records) == [("r", None), ("d", None), ("", None)]


def test_nulls_not_distinct_makes_a_key_and_an_unvalidated_not_null_does_not(database: Database) -> None:
    database.execute("CREATE TABLE a (x int); CREATE UNIQUE INDEX a_x ON a (x) NULLS NOT DISTINCT;"
                     " INSERT INTO a VALUES (NULL)")
    if database.server.version >= 18:
        database.execute("CREATE TABLE b (x int UNIQUE); INSERT INTO b VALUES (NULL);"
                         " ALTER TABLE b ADD CONSTRAINT later NOT NULL x NOT VALID")
    with running(database, INITIAL) as reading:
        records = reading.until(lambda found: len(found) == (2 if database.server.version >= 18 else 1))
    assert keyed(records) == [("r", (None,)), ("r", None)][:len(records)]
    assert all(written(record) == {"x": None} for record in records)


# -- values ----------------------------------------------------------------------------------------------------------

COLUMNS = "f8 float8[], num numeric, b bool[], bits bit(20000), i2 int2[], ts timestamp[]"
VALUES = """(SELECT array_agg(random()) FROM generate_series(1, 1500)), repeat('12345678', 5000)::numeric,
(SELECT array_agg(random() > .5) FROM generate_series(1, 20000)), repeat('10', 10000)::bit(20000),
(SELECT array_agg(i::int2) FROM generate_series(1, 5000) i),
(SELECT array_agg(now()::timestamp + i * interval '1 second') FROM generate_series(1, 2000) i)"""


@pytest.mark.parametrize("required", [False, True])
def test_an_unchanged_value_of_any_type_has_a_placeholder(database: Database, required: bool) -> None:
    columns = COLUMNS.replace(",", " NOT NULL,") + " NOT NULL" if required else COLUMNS
    outside = ", ".join(f"ALTER {each.split()[0]} SET STORAGE EXTERNAL" for each in COLUMNS.split(", "))
    database.execute(f"CREATE TABLE d (id int PRIMARY KEY, note text, {columns}); ALTER TABLE d {outside};"
                     f" INSERT INTO d SELECT 1, 'a', {VALUES}")
    with running(database) as reading:
        database.execute("UPDATE d SET note = 'b'")
        updated, = reading.to_mark(database)
    found = written(updated)
    raw = b"__debezium_unavailable_value"
    unchanged = {name for name, value in (cells(updated) or {}).items() if value == "unchanged"}
    assert unchanged == found.keys() - {"id", "note"}
    assert found == {
        "id": 1, "note": "b", "f8": list(raw), "num": (0, raw), "bits": raw, "i2": list(raw), "ts": list(raw),
        "b": [digit == "1" for byte in raw for digit in f"{byte:08b}"]}


@pytest.mark.parametrize(("type_name", "value", "option", "mode"), [
    ("numeric(10,2)", "NaN", "decimal.handling.mode", "string"),
    ("numeric(10,2)", "NaN", "decimal.handling.mode", "double"), ("numeric", "NaN", "decimal.handling.mode", "string"),
    ("interval", "infinity", "interval.handling.mode", "string"),
])
def test_a_value_that_the_schema_cannot_hold_has_a_way_out_that_keeps_it(
        database: Database, type_name: str, value: str, option: str, mode: str) -> None:
    if type_name == "interval" and database.server.version < 17:
        pytest.skip("infinite intervals came with PostgreSQL 17")
    database.execute(f"CREATE TABLE nn (id int PRIMARY KEY, a {type_name} NOT NULL)")
    with running(database) as reading:
        reading.to_mark(database)
        offset = reading.offset
        database.execute(f"INSERT INTO nn VALUES (2, '{value}'), (3, '3'); UPDATE nn SET a = '0' WHERE id = 2")
        records = reading.to_mark(database)
    with pytest.raises(ConvertError, match="column 'a' cannot be converted") as caught:
        converted(records)
    assert f"set {option}=" in caught.value.hint
    assert "errors.tolerance=all" in caught.value.hint
    assert "the log keeps the value" in caught.value.hint
    with running(database, {option: mode}, offset) as reading:
        records = reading.to_mark(database)
    assert len(converted(records)) == 3
    assert str(written(records[0])["a"]).lower() in (value.lower(), "nan")


# -- snapshots ---------------------------------------------------------------------------------------------------------


def test_inherited_rows_are_in_the_snapshot_under_their_own_table_only(database: Database) -> None:
    database.execute("""\
CREATE TABLE p (id int PRIMARY KEY, v text); CREATE TABLE c (extra int, PRIMARY KEY (id)) INHERITS (p);
INSERT INTO p VALUES (1, 'parent'); INSERT INTO c VALUES (2, 'child', 9);
CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (9); INSERT INTO part VALUES (3)""")
    with running(database, INITIAL) as reading:
        records = reading.until(lambda found: len(found) == 4)
        database.execute("DELETE FROM p WHERE id = 2")
        records += reading.to_mark(database)
    assert sorted(brief(records[:4])) == [("r", "c", 2), ("r", "p", 1), ("r", "part", 3), ("r", "part_1", 3)]
    assert [(op, table) for op, table, _ in brief(records[4:])] == [("d", "c"), ("", "c")]


def test_virtual_generated_columns_are_in_neither_snapshot_nor_stream(database: Database) -> None:
    if database.server.version < 18:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    database.execute("CREATE TABLE g (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL, v text);"
                     " INSERT INTO g (id, v) VALUES (1, 'a')")
    with running(database, INITIAL) as reading:
        records = reading.until(lambda found: len(found) == 1)
        database.execute("INSERT INTO g (id, v) VALUES (2, 'b')")
        records += reading.to_mark(database)
    assert [cells(record) for record in records] == [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]


def test_the_check_for_rewritten_tables_uses_an_index(database: Database) -> None:
    """The cost of a table must not depend on how many there are."""
    database.execute("".join(f"CREATE TABLE t{number} (id int);" for number in range(300)) + "ANALYZE pg_class")
    (oid,), = database.execute("SELECT 't7'::regclass::oid::int8")
    plan = "\n".join(row[0] for row in database.execute("EXPLAIN " + rewritten(oid, False).as_string()))
    assert "pg_class_oid_index" in plan
    assert "Seq Scan on pg_class" not in plan


# -- publications ------------------------------------------------------------------------------------------------------


def test_a_table_that_is_not_captured_keeps_its_updates(database: Database) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (a int, b int);"
                     " INSERT INTO other VALUES (1, 1)")
    with running(database, {"table.include.list": "public.t"}) as reading:
        database.execute("UPDATE other SET b = 2; DELETE FROM other; INSERT INTO t VALUES (1)")
        assert brief(reading.to_mark(database)) == [("c", "t", 1)]


def test_all_tables_that_were_asked_for_are_published(database: Database) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (a int); INSERT INTO other VALUES (1)")
    with running(database, {"table.include.list": "public.t", "publication.autocreate.mode": "all_tables"}), \
            pytest.raises(psycopg.Error, match="does not have a replica identity"):
        database.execute("UPDATE other SET a = 2")


PARTS = "SELECT tablename, attnames::text[], rowfilter FROM pg_publication_tables WHERE pubname = 'pub' ORDER BY 1"


def test_what_was_made_by_hand_stays_in_a_filtered_publication_and_the_snapshot_follows_it(database: Database) -> None:
    database.execute("""\
CREATE TABLE a (id int PRIMARY KEY, region text NOT NULL, secret text);
CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY);
INSERT INTO a VALUES (1, 'eu', 'secret 1'), (150, 'us', 'secret 150');
CREATE PUBLICATION pub FOR TABLE a (id, region) WHERE (id < 100), TABLE b""")
    options = {**INITIAL, "publication.autocreate.mode": "filtered"}
    with running(database, {**options, "table.include.list": "public.a,public.b"}) as reading:
        records = reading.until(lambda found: len(found) == 1)
        database.execute("INSERT INTO a VALUES (3, 'eu', 'secret 3'), (200, 'us', 'secret 200')")
        records += reading.to_mark(database)
        offset = reading.offset
    assert [cells(record) for record in records] == [{"id": 1, "region": "eu"}, {"id": 3, "region": "eu"}]
    with running(database, {**options, "table.include.list": "public.a,public.c"}, offset) as reading:
        database.execute("INSERT INTO a VALUES (201, 'us', 'x'); INSERT INTO b VALUES (1); INSERT INTO c VALUES (1)")
        assert brief(reading.to_mark(database)) == [("c", "c", 1)]
    assert database.execute(PARTS) == [("a", ["id", "region"], "(id < 100)"), ("c", ["id"], None)]
    copying = make_source(database, {**options, "table.include.list": "public.a", "heartbeat.interval.ms": "1"})
    copying.copy_once({TableId(database.name, "public", "a"): "secret <> 'secret 3'"})
    try:
        copying.start(None)
        assert [cells(record) for record in Reading(copying).to_end()] == [{"id": 1, "region": "eu"}]
    finally:
        copying.stop()


def test_schemas_stay_in_a_filtered_publication(database: Database) -> None:
    database.execute("""\
CREATE SCHEMA s; CREATE TABLE s.one (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);
CREATE TABLE c (id int PRIMARY KEY); CREATE PUBLICATION pub FOR TABLES IN SCHEMA s, TABLE b""")
    with running(database, {"publication.autocreate.mode": "filtered",
                            "table.include.list": r"s\..*,public.b,public.c"}) as reading:
        database.execute("CREATE TABLE s.two (id int PRIMARY KEY); INSERT INTO s.two VALUES (1);"
                         " INSERT INTO c VALUES (1)")
        assert brief(reading.to_mark(database)) == [("c", "two", 1), ("c", "c", 1)]
    assert [row[0] for row in database.execute(PARTS)] == ["b", "c", "one", "two"]


@pytest.mark.parametrize(("definition", "said"), [
    ("CREATE UNLOGGED TABLE x (id int PRIMARY KEY)", "public.x is unlogged"),
    ("CREATE MATERIALIZED VIEW x AS SELECT 1 AS id", "public.x is a materialized view"),
    ("CREATE VIEW x AS SELECT 1 AS id", "public.x is a view"),
])
def test_what_has_no_log_is_called_what_it_is(database: Database, definition: str, said: str) -> None:
    database.execute(definition)
    with pytest.raises(ConfigError, match=said), running(database, {"table.include.list": "public.x"}):
        pass
