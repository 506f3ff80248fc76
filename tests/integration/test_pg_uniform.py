"""The same rows in a snapshot, a stream and a binary stream: equal values and equal schemas, for types × options.

Values are generated from a seed (CDC_TEST_SEED), as in test_pg_binary.py.
"""

from __future__ import annotations

import json
import random
from typing import Any

import psycopg
import pytest

from cdc.core.record import Record
from tests.conftest import Database
from tests.integration.pg_source import running, slot_of
from tests.integration.test_pg_binary import ARRAYS, SCALARS, SEED, Generator, array_of, integer, range_of
from tests.integration.test_pg_binary import text as any_text
from tests.integration.test_pg_binary_stream import converted

ROWS = 24
SETUP = """\
CREATE TYPE mood AS ENUM ('sad', 'o''k', 'hap,py'); CREATE DOMAIN posint AS int4; CREATE DOMAIN price AS numeric(9,2);
CREATE DOMAIN moody AS mood; CREATE DOMAIN small AS posint CHECK (VALUE < 50); CREATE DOMAIN cheap AS price;
CREATE DOMAIN code AS varchar(5); CREATE DOMAIN codes AS text[]; CREATE DOMAIN flags AS bit(8);
CREATE TYPE pair AS (a int, b text); CREATE TYPE floats AS RANGE (subtype = float8);
CREATE DOMAIN moodier AS moody; CREATE DOMAIN stamp AS timestamp(3);
"""
EXTENSIONS = ("hstore", "citext", "ltree", "vector")


def matrix(rng: random.Random) -> str:
    return rng.choice(["{{1,2},{3,4}}", "{{NULL,1}}", "{}", "[0:1][2:3]={{1,2},{3,4}}", "{{{1}}}"])


def special(*values: str) -> Generator:
    return lambda rng: rng.choice(values)


FURTHER: dict[str, Generator] = {
    "int4[][]": matrix, "text[][]": special('{{a,"b,c"},{NULL,"d\\"e"}}', "{{x}}"),
    "mood[][]": special('{{sad},{"hap,py"}}'), "mood[]": array_of(special("sad", "o'k", "hap,py")),
    "small": integer(1, 49), "small[]": array_of(integer(1, 49)),
    "cheap": special("0.01", "-9999999.99", "NaN", "12.3"),
    "moodier": special("sad", "hap,py"), "moodier[]": array_of(special("sad")), "code": special("", "abcde", "é"),
    "codes": special("{}", "{a,NULL}", '{"NULL",b}'), "flags": special("10101010", "00000000"),
    "stamp": special("2001-02-03 04:05:06.789", "infinity", "0044-03-15 12:00:00 BC"),
    "pair": special("(1,x)", '(,"a,b")', "(2,)"), "pair[]": special('{"(1,x)"}', "{}"),
    "floats": special("[1.5,2.5)", "empty", "(,)"), "int4multirange": special("{}", "{[1,3),[5,9)}"),
    "daterange": special("[2020-01-01,infinity)", "empty", "(,2000-01-01)"),
    "numrange[]": special("{}", '{"[1,2)",empty}'),
    "interval(0)": special("1 year 2 mons -3 days 04:05:06", "-00:00:01", "178000000 years"),
    "interval day to second": special("1 day 02:03:04.5"), "date": special("infinity", "-infinity", "0001-01-01 BC"),
    "timestamptz": special("infinity", "2000-01-01 00:00:00+05:30", "0001-06-01 00:00:00+00 BC"),
    "numeric(5,-2)": special("12300", "-100", "0"), "numeric(2,4)": special("0.0012", "-0.0099"),
    "money": special("-92233720368547758.08", "0.01"), "box": special("(1,1),(0,0)"), "path": special("[(0,0),(1,1)]"),
    "circle": special("<(1,2),3>"), "line": special("{1,2,3}"), "box[]": special("{(1,1),(0,0);(2,2),(1,1)}"),
    "oidvector": special("1 2 3", ""), "int2vector": special("1 -2"), "name": any_text, "name[]": special("{a,b}"),
    "xid": special("3"), "regclass": special("pg_class"), "tsquery": special("'a' & 'b'"),
    "txid_snapshot": special("10:20:10,14,15"), "bytea": special("\\x", "\\x00ff5c27", "\\xdeadbeef"),
    "bytea[]": special('{"\\\\x00","\\\\xff"}'),
    "varbit[]": special("{101,1}"), "bit(3)[]": special("{101,111}"), "money[]": special("{1.00,2.00}"),
    "interval[]": special('{"1 day","02:00:00"}'), "xml[]": special("{<a/>}"), "json[]": special('{"{\\"a\\": 1}"}'),
    "time[]": special("{24:00:00,00:00:00.123456}"), "int8range[]": array_of(range_of(integer(-9, 9), int)),
    "float4": special("1e-45", "3.4028235e+38", "0.1"), "float8": special("5e-324", "1.7976931348623157e+308", "0.3"),
}
OPTIONS: list[dict[str, str]] = [
    {}, {"include.unknown.datatypes": "true", "binary.handling.mode": "base64"},
    {"decimal.handling.mode": "string", "time.precision.mode": "connect", "interval.handling.mode": "string",
     "hstore.handling.mode": "map", "binary.handling.mode": "hex", "include.unknown.datatypes": "true"},
    {"decimal.handling.mode": "double", "time.precision.mode": "isostring", "binary.handling.mode": "base64-url-safe"},
    {"time.precision.mode": "microseconds", "cdc.debezium.faults": "true"},
    {"time.precision.mode": "nanoseconds", "money.fraction.digits": "0"},
]


def columns(conn: psycopg.Connection[Any], rng: random.Random) -> dict[str, tuple[str, list[str]]]:
    """Type and valid values of each column, as far as the server has the type."""
    generators = [*SCALARS.items(), *((f"{name}[]", array_of(SCALARS[name])) for name in ARRAYS), *FURTHER.items()]
    found = {}
    for number, (type_name, generate) in enumerate(generators):
        values = []
        for _ in range(ROWS):
            value = generate(rng)
            try:
                with conn.transaction():
                    conn.execute(f"SELECT %s::text::{type_name}".encode(), [value])
            except (psycopg.errors.DataError, psycopg.errors.SyntaxError):
                continue  # the generators are simpler than some types' rules
            except (psycopg.errors.UndefinedObject, psycopg.errors.FeatureNotSupported):
                break
            values.append(value)
        if values:
            found[f"c{number}"] = (type_name, values)
    return found


def fill(conn: psycopg.Connection[Any], table: str, chosen: dict[str, tuple[str, list[str]]]) -> None:
    definitions = ", ".join(f"{name} {type_name}" for name, (type_name, _) in chosen.items())
    conn.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, {definitions})".encode())
    places = ", ".join(f"%s::text::{type_name}" for type_name, _ in chosen.values())
    for row in range(ROWS):
        values = [None if row == ROWS - 1 else values[row % len(values)] for _, values in chosen.values()]
        conn.execute(f"INSERT INTO {table} VALUES ({row}, {places})".encode(), values)


def rows_of(records: list[Any]) -> list[tuple[Any, Any]]:
    """The schema and the values of each new row, without the id."""
    found = []
    for out in converted([record for record in records if isinstance(record, Record)]):
        said = json.loads(out.value or b"")
        schema, = (each for each in said["schema"]["fields"] if each["field"] == "after")
        found.append((schema, {name: value for name, value in said["payload"]["after"].items() if name != "id"}))
    return found


@pytest.mark.parametrize("options", OPTIONS, ids=lambda each: "-".join(each.values()) or "defaults")
def test_snapshot_stream_and_binary_stream_give_the_same(database: Database, options: dict[str, str]) -> None:
    with database.connect(autocommit=True) as conn:
        conn.execute(SETUP.encode())
        for name in filter(database.server.has_extension, EXTENSIONS):
            conn.execute(f"CREATE EXTENSION {name}".encode())
        chosen = columns(conn, random.Random(SEED))
        types = {name: type_name for name, (type_name, _) in chosen.items()}
        fill(conn, "every", chosen)
        given = {"snapshot.mode": "initial", "cdc.name.columns": "value", **options}
        given["table.include.list"] = "public.every"
        with running(database, given) as reading:
            snapshot = rows_of(reading.until(lambda found: len(found) == ROWS))
            conn.execute(b"INSERT INTO every SELECT e.id + 1000, " + columns_of(chosen) + b" FROM every e ORDER BY id")
            stream = rows_of(reading.to_mark(database))
            text_only = {column.name for each in [reading.source._builder] for column in captured(each)
                         if column.binary_codec is None}
        assert len(chosen) > 100
        assert differing(snapshot, stream, types) == []

        binary = {name: each for name, each in chosen.items() if name not in text_only and name in stream[0][1]}
        fill(conn, "b", binary)
        given |= {"table.include.list": "public.b", "slot.name": f"{slot_of(database)}_b", "cdc.binary": "true"}
        with running(database, given) as reading:
            snapshot = rows_of(reading.until(lambda found: len(found) == ROWS))
            conn.execute(b"INSERT INTO b SELECT e.id + 1000, " + columns_of(binary) + b" FROM b e ORDER BY id")
            stream = rows_of(reading.to_mark(database))
            assert reading.source._lookup.binary
        assert len(binary) > 60
        assert differing(snapshot, stream, types) == []


def columns_of(chosen: dict[str, Any]) -> bytes:
    return ", ".join(f"e.{name}" for name in chosen).encode()


def captured(builder: Any) -> list[Any]:
    return [column for _, table in builder._made.values() for column in table.columns]


def differing(snapshot: list[tuple[Any, Any]], stream: list[tuple[Any, Any]], types: dict[str, str]) -> list[Any]:
    """Where they differ, by type."""
    assert len(snapshot) == len(stream) == ROWS
    found: list[Any] = []
    for (schema, row), (other_schema, other_row) in zip(snapshot, stream, strict=True):
        fields = {each["field"]: each for each in schema["fields"]}
        others = {each["field"]: each for each in other_schema["fields"]}
        found += [(types.get(name, name), fields.get(name), others.get(name)) for name in fields.keys() | others.keys()
                  if fields.get(name) != others.get(name)]
        found += [(types[name], row.get(name), other_row.get(name)) for name in row.keys() | other_row.keys()
                  if row.get(name) != other_row.get(name)]
    return found
