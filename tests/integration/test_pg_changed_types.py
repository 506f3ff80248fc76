"""Types that were dropped, made again or given new labels since the log was written: what rows of before still give."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.errors import SourceRefusedError
from cdc.core.record import Record
from cdc.core.schema import Schema
from tests.conftest import Database
from tests.integration.pg_source import cells, running


def rows(records: list[Any]) -> list[dict[str, Any]]:
    return [cells(record) or {} for record in records if isinstance(record, Record)]


def schemas(records: list[Any]) -> list[dict[str, Schema]]:
    """The fields' schemas of each row."""
    return [{column.name: column.schema for column in record.table.columns} for record in records
            if isinstance(record, Record)]


def allowed(records: list[Any], column: str) -> list[str]:
    """The labels that each row's schema names for *column*, an enum or an array of one."""
    found = [each[column] for each in schemas(records)]
    return [dict((schema.items or schema).parameters)["allowed"] for schema in found]


def without(offset: dict[str, Any] | None, *names: str) -> dict[str, Any]:
    """The offset as an older version, or Debezium, stored it."""
    return {name: value for name, value in (offset or {}).items() if name not in names}


MADE = """\
CREATE TYPE st AS ENUM ('new', 'paid', 'gone'); CREATE DOMAIN em AS text CHECK (VALUE LIKE '%@%');
CREATE DOMAIN price AS numeric(9,2); CREATE DOMAIN dear AS price; CREATE TYPE span AS RANGE (subtype = int4);
CREATE DOMAIN cost AS dear; CREATE TYPE pair AS (a int, b int);
CREATE TABLE o (id int PRIMARY KEY, s st NOT NULL DEFAULT 'new', arr st[], m em, p cost, n int4range, c pair, r span,
                b dear[], v int)"""
ROW = "INSERT INTO o VALUES (%d, '%s', '{%s}', 'a@b', 12.30, '[1,5)', '(1,2)', '[1,2)', '{1.5}', 0)"
MADE_AGAIN = """\
BEGIN; UPDATE o SET s = 'paid' WHERE s = 'gone'; ALTER TYPE st RENAME TO st_old; CREATE TYPE st AS ENUM ('new', 'paid');
ALTER TABLE o ALTER s DROP DEFAULT, ALTER s TYPE st USING s::text::st,
    ALTER arr TYPE st[] USING array_replace(arr::text[], 'gone', 'paid')::st[], ALTER m TYPE text, ALTER p TYPE float8,
    ALTER c TYPE text, ALTER r TYPE text, ALTER b TYPE text;
DROP TYPE st_old; DROP DOMAIN em; DROP DOMAIN cost; DROP DOMAIN dear; DROP DOMAIN price; DROP TYPE span; DROP TYPE pair;
CREATE DOMAIN price AS text; COMMIT"""


@pytest.mark.parametrize("binary", ["false", "true"])
def test_rows_from_before_a_type_was_dropped_keep_values_and_schemas(database: Database, binary: str) -> None:
    database.execute(MADE)
    options = {"column.exclude.list": "public.o.c,public.o.r,public.o.b", "cdc.binary": binary}
    with running(database, options) as reading:
        database.execute(ROW % (1, "paid", "new"))
        before = reading.to_mark(database)
        offset = reading.offset
    assert reading.source._lookup.binary is (binary == "true")
    database.execute(ROW % (2, "gone", "gone"))
    database.execute("UPDATE o SET v = 7 WHERE id = 1")
    database.execute(MADE_AGAIN)
    database.execute("INSERT INTO o (id, s, arr, m, p) VALUES (3, 'paid', '{paid}', 'e@f', 2)")
    for _ in range(2):
        with running(database, options, offset) as reading:
            found = reading.to_mark(database)
        first = {"id": 1, "s": "paid", "arr": ["new"], "m": "a@b", "n": "[1,5)", "p": b"\x04\xce", "v": 0}
        assert rows(before) == [first]
        second = {**first, "id": 2, "s": "gone", "arr": ["gone"]}
        assert rows(found)[:3] == [second, {**first, "v": 7}, {**second, "s": "paid"}]
        assert schemas(found)[:3] == schemas(before) * 3
        assert rows(found)[3]["p"] == 2.0
        assert allowed(found, "s") == ["new,paid,gone"] * 3 + ["new,paid"]


def test_an_offset_without_types_leaves_what_the_log_names(database: Database) -> None:
    """An offset of Debezium or of an older version: the log names the base types of domains, and a type of the same
    name tells of one that was made again."""
    database.execute(MADE)
    options = {"column.exclude.list": "public.o.c,public.o.r,public.o.b"}
    with running(database, options) as reading:
        database.execute(ROW % (1, "paid", "new"))
        reading.to_mark(database)
        offset = without(reading.offset, "structures")
    database.execute(ROW % (2, "gone", "gone"))
    database.execute(MADE_AGAIN.replace("st_old", "st_before"))
    with running(database, options, offset) as reading:
        found = reading.to_mark(database)
    first = {"id": 2, "m": "a@b", "n": "[1,5)", "v": 0, "p": (1, b"{")}
    assert [{name: row[name] for name in first} for row in rows(found)] == [first, first]
    assert [(row["s"], row["arr"]) for row in rows(found)] == [("gone", ["gone"]), ("paid", ["gone"])]
    assert allowed(found, "s") == ["new,paid,gone"] * 2


def test_a_type_that_nobody_knows_stops_unless_its_text_is_wanted(database: Database) -> None:
    database.execute("CREATE TYPE odd AS ENUM ('x'); CREATE TABLE t (id int PRIMARY KEY, v odd)")
    with running(database) as reading:
        reading.to_mark(database)
        offset = without(reading.offset, "structures")
    database.execute("INSERT INTO t VALUES (1, 'x'); ALTER TABLE t ALTER v TYPE text; DROP TYPE odd")
    refusal = pytest.raises(SourceRefusedError, match=r"Column v of table public\.t")
    with running(database, {}, offset) as reading, refusal:
        reading.to_mark(database)
    for options, expected in (({"include.unknown.datatypes": "true"}, {"id": 1, "v": b"x"}),
                              ({"column.exclude.list": "public.t.v"}, {"id": 1})):
        with running(database, options, offset) as reading:
            assert rows(reading.to_mark(database)) == [expected]


@pytest.mark.parametrize("kept", [True, False])
def test_an_extension_that_was_made_again_leaves_its_rows_readable(database: Database, kept: bool) -> None:
    if not all(map(database.server.has_extension, ("citext", "hstore"))):
        pytest.skip("the server has no contrib extensions")
    database.execute("CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE DOMAIN mail AS citext;"
                     " CREATE TABLE t (id int PRIMARY KEY, c citext, h hstore, a citext[], m mail, ha hstore[])")
    with running(database) as reading:
        reading.to_mark(database)
        offset = reading.offset if kept else without(reading.offset, "structures")
    database.execute("INSERT INTO t VALUES (1, 'Ab', 'k=>v', '{Ab}', 'M', ARRAY['k=>v'::hstore])")
    database.execute("DROP EXTENSION citext CASCADE; DROP EXTENSION hstore CASCADE; INSERT INTO t VALUES (2)")
    for again in ("", "CREATE EXTENSION citext; CREATE EXTENSION hstore"):
        database.execute(again or "SELECT 1")
        with running(database, {}, offset) as reading:
            assert rows(reading.to_mark(database)) == [
                {"id": 1, "c": "Ab", "h": '{"k":"v"}', "a": ["Ab"], "m": "M", "ha": ['{"k":"v"}']}, {"id": 2}]


def test_a_type_that_is_dropped_while_its_rows_stream_is_known(database: Database) -> None:
    """Made after the start, and dropped before its rows are read."""
    with running(database) as reading:
        database.execute("CREATE TYPE st AS ENUM ('a'); CREATE DOMAIN em AS varchar(9);"
                         " CREATE TABLE o (id int PRIMARY KEY, s st, m em)")
        database.execute("INSERT INTO o VALUES (1, 'a', 'x')")
        assert rows(reading.to_mark(database)) == [{"id": 1, "s": "a", "m": "x"}]
        database.execute("INSERT INTO o VALUES (2, 'a', 'y'); ALTER TABLE o ALTER s TYPE text, ALTER m TYPE text;"
                         " DROP TYPE st; DROP DOMAIN em; INSERT INTO o VALUES (3, 'a', 'z')")
        assert rows(reading.to_mark(database)) == [{"id": 2, "s": "a", "m": "y"}, {"id": 3, "s": "a", "m": "z"}]


# -- labels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", ["false", "true"])
def test_labels_added_and_renamed_while_streaming_are_in_the_schema_of_the_rows_that_have_them(
        database: Database, binary: str) -> None:
    database.execute("CREATE TYPE mood AS ENUM ('a', 'b,b'); CREATE DOMAIN moody AS mood;"
                     " CREATE TABLE m (id int PRIMARY KEY, x mood, y mood[], z moody);"
                     " ALTER TABLE m REPLICA IDENTITY FULL")
    with running(database, {"cdc.binary": binary}) as reading:
        database.execute("INSERT INTO m VALUES (1, 'a'), (2, 'b,b')")
        found = reading.to_mark(database)
        assert allowed(found, "x") == ["a,b,b"] * 2
        database.execute("ALTER TYPE mood ADD VALUE 'c'")
        database.execute("INSERT INTO m VALUES (3, 'c'), (4, 'a')")
        found = reading.to_mark(database)
        assert allowed(found, "x") == allowed(found, "y") == allowed(found, "z") == ["a,b,b,c"] * 2
        assert found[0].table is found[1].table
        database.execute("ALTER TYPE mood ADD VALUE 'd' BEFORE 'a'")
        database.execute("INSERT INTO m (id, y) VALUES (5, '{a,d}'), (6, '{}')")
        found = reading.to_mark(database)
        assert allowed(found, "x") == allowed(found, "y") == ["d,a,b,b,c"] * 2
        database.execute("ALTER TYPE mood RENAME VALUE 'a' TO 'z'")
        database.execute("INSERT INTO m (id, z) VALUES (7, 'z')")
        assert allowed(reading.to_mark(database), "z") == ["d,z,b,b,c"]
        database.execute("DELETE FROM m WHERE id = 1")
        assert allowed(reading.to_mark(database)[:1], "x") == ["d,z,b,b,c"]


def test_a_label_that_was_renamed_since_is_in_the_schema_of_its_rows(database: Database) -> None:
    database.execute("CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE m (id int PRIMARY KEY, x mood)")
    with running(database) as reading:
        reading.to_mark(database)
        offset = reading.offset
    database.execute("INSERT INTO m VALUES (1, 'a'); ALTER TYPE mood RENAME VALUE 'a' TO 'z'")
    database.execute("INSERT INTO m VALUES (2, 'z'), (3, 'b')")
    with running(database, {}, offset) as reading:
        found = reading.to_mark(database)
    assert [row["x"] for row in rows(found)] == ["a", "z", "b"]
    assert allowed(found, "x") == ["z,b,a"] * 3


def test_a_label_added_while_the_connector_was_down_is_in_the_schema(database: Database) -> None:
    database.execute("CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE m (id int PRIMARY KEY, x mood)")
    with running(database) as reading:
        reading.to_mark(database)
        offset = reading.offset
    database.execute("ALTER TYPE mood ADD VALUE 'c'")
    database.execute("INSERT INTO m VALUES (1, 'c')")
    with running(database, {}, offset) as reading:
        assert allowed(reading.to_mark(database), "x") == ["a,b,c"]
