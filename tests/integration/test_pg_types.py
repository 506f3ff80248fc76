"""The server prints, we decode, Debezium's recorded events say what it has to be.

scenarios/postgres_types.sql makes the tables and rows, scenarios/postgres_types.json is what the real connector
(Debezium 3.6.3, default options) sent for their inserts: each column's schema, each row's payload.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import pq, sql

from cdc.core.avro import Writer, write_value
from cdc.core.schema import ARRAY, BYTES, FLOAT32, FLOAT64, MAP, STRUCT, Schema
from cdc.sources.postgres.catalog import CatalogSnapshot, read_catalog
from cdc.sources.postgres.types import ColumnType, resolve
from tests.conftest import Database

SCENARIOS = Path(__file__).parent / "scenarios"
GOLDEN: dict[str, Any] = json.loads((SCENARIOS / "postgres_types.json").read_text(encoding="utf-8"))
SESSION = ("-c DateStyle=ISO -c IntervalStyle=postgres -c extra_float_digits=3 -c bytea_output=hex -c TimeZone=UTC"
           " -c client_encoding=UTF8 -c lc_monetary=C")


@dataclass(frozen=True)
class Config:
    """The options that types depend on, as they are by default."""

    decimal_handling_mode: str = "precise"
    time_precision_mode: str = "adaptive"
    binary_handling_mode: str = "bytes"
    interval_handling_mode: str = "numeric"
    hstore_handling_mode: str = "json"
    money_fraction_digits: int = 2
    include_unknown_datatypes: bool = False
    unavailable_value_placeholder: str = "__debezium_unavailable_value"
    cdc_debezium_faults: bool = False


@pytest.fixture
def conn(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with database.connect(options=SESSION, autocommit=True) as connection:
        yield connection


@pytest.fixture
def scenario(conn: psycopg.Connection[Any]) -> CatalogSnapshot:
    script = (SCENARIOS / "postgres_types.sql").read_bytes()
    conn.execute(script if has_xml(conn) else script.replace(b" x xml,", b" x text,"))
    return read_catalog(conn)


def has_xml(conn: psycopg.Connection[Any]) -> bool:
    """Some servers are built without libxml."""
    try:
        conn.execute("SELECT '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:
        return False
    return True


def columns(snapshot: CatalogSnapshot, table: str, config: Config) -> dict[str, tuple[bool, ColumnType]]:
    """Nullability and type of the columns that have one."""
    relation = next(found for found in snapshot.relations.values() if found.name == table)
    resolved = {
        column.name: (column.nullable, resolve(snapshot.types[column.type_oid], column.typmod, config=config,
                                               types=snapshot.types))
        for column in relation.columns
    }
    return {name: (nullable, found) for name, (nullable, found) in resolved.items() if found is not None}


def texts(conn: psycopg.Connection[Any], table: sql.Composable, names: list[str]) -> list[dict[str, bytes | None]]:
    """All rows as the server prints them, by the first column."""
    query = sql.SQL("SELECT {} FROM {} ORDER BY 1").format(sql.SQL(", ").join(map(sql.Identifier, names)), table)
    result = conn.pgconn.exec_(query.as_bytes(conn))
    assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message
    return [{name: result.get_value(row, at) for at, name in enumerate(names)} for row in range(result.ntuples)]


_JSON_TYPES = {FLOAT32: "float", FLOAT64: "double"}


def schema_json(schema: Schema, field: str | None = None) -> dict[str, Any]:
    """As Kafka Connect's JsonConverter writes it, without a default."""
    said: dict[str, Any] = {"type": _JSON_TYPES.get(schema.type, schema.type.lower()), "optional": schema.optional}
    if schema.type == STRUCT:
        said["fields"] = [schema_json(member.schema, member.name) for member in schema.fields]
    if schema.type == ARRAY:
        said["items"] = schema_json(inner(schema.items))
    if schema.type == MAP:
        said |= {"keys": schema_json(inner(schema.keys)), "values": schema_json(inner(schema.items))}
    said |= {key: value for key, value in (("name", schema.name), ("version", schema.version), ("doc", schema.doc),
                                           ("parameters", dict(schema.parameters)), ("field", field)) if value}
    return said


def inner(schema: Schema | None) -> Schema:
    assert schema is not None
    return schema


def payload_json(schema: Schema, value: Any) -> Any:
    if value is None:
        return None
    if schema.type == BYTES:
        return base64.b64encode(value).decode()
    if schema.type == STRUCT:
        return {member.name: payload_json(member.schema, item) for member, item in zip(schema.fields, value)}
    if schema.type == ARRAY:
        return [payload_json(inner(schema.items), item) for item in value]
    return value


NAMES_WE_KEEP = {"t_text": "n"}
"""Columns of the type `name`: Debezium's stream gives null (its snapshot the value), we always give the value."""


@pytest.mark.parametrize("table", GOLDEN)
def test_schemas_and_values_are_debeziums(conn: psycopg.Connection[Any], scenario: CatalogSnapshot, table: str) -> None:
    found = columns(scenario, table, Config())
    fields = [{key: value for key, value in field.items() if key != "default"} for field in GOLDEN[table]["fields"]]
    schemas = [schema_json(replace(kind.schema, optional=nullable), name) for name, (nullable, kind) in found.items()]
    if not has_xml(conn):
        schemas, fields = ([field for field in listed if field["field"] != "x"] for listed in (schemas, fields))
    assert schemas == fields
    defaults = {field["field"]: field["default"] for field in GOLDEN[table]["fields"] if "default" in field}
    rows = [
        {name: defaults.get(name) if text is None else decoded(found[name][1], text) for name, text in row.items()}
        for row in texts(conn, sql.Identifier("inv", table), list(found))
    ]
    for row, golden in zip(rows, GOLDEN[table]["rows"], strict=True):
        kept = NAMES_WE_KEEP.get(table)
        assert row == golden | ({kept: row[kept]} if kept else {})


def decoded(kind: ColumnType, text: bytes) -> Any:
    """The payload, after a look that both ways to Avro agree."""
    value = kind.codec.value(b"--" + text + b"--", 2, 2 + len(text))
    straight, by_value = Writer(), Writer()
    kind.codec.encode(straight, b"--" + text + b"--", 2, 2 + len(text))
    write_value(by_value, kind.schema, value)
    assert straight.take() == by_value.take()
    return payload_json(kind.schema, value)


ORACLES = [
    # type, values as SQL over a random `r` in 0..1 and `g` = 1.., what the server says the codec has to give
    ("date", "date '4713-01-01 BC' + (r * 2145031948)::int", "v - date '1970-01-01'"),
    ("date", "date '1990-01-01' + (r * 20000)::int", "v - date '1970-01-01'"),
    ("time", "time '00:00' + r * interval '24 hours'", "(extract(epoch FROM v) * 1000000)::int8"),
    ("time(3)", "time '00:00' + r * interval '24 hours'", "(extract(epoch FROM v) * 1000)::int8"),
    ("timestamp", "timestamp '4713-01-01 BC' + r * interval '298000 years'", "(extract(epoch FROM v) * 1000000)::int8"),
    ("timestamp", "timestamp '1960-01-01' + r * interval '80 years'", "(extract(epoch FROM v) * 1000000)::int8"),
    ("timestamp(3)", "timestamp '1960-01-01' + r * interval '80 years'", "floor(extract(epoch FROM v) * 1000)::int8"),
    ("timestamptz", "timestamptz '1960-01-01' + r * interval '80 years'",
     """to_char(v, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""),
    ("timestamptz(2)", "timestamptz '1960-01-01' + r * interval '80 years'",
     """left(to_char(v, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 22) || 'Z'"""),
    ("int8", "(r * 18446744073709551615 - 9223372036854775808)::numeric::int8", "v"),
    ("float8", "(r - 0.5) * 10::float8 ^ (g % 600 - 300)", "v"),
    ("bool", "r < 0.5", "v"),
    ("oid", "(r * 4294967295)::int8::oid", "v::int8"),
    ("text", "repeat(chr(32 + (r * 50000)::int), g % 9)", "v"),
    ("bytea", "decode(repeat(md5(r::text), g % 5), 'hex')", "v"),
    ("uuid", "md5(r::text)::uuid", "v::text"),
    ("int4[]", "array[g, NULL, (r * 1000)::int]", "to_json(v)"),
    ("text[]", """array[md5(r::text), NULL, 'NULL', '', '"', E'\\\\', '{', '}', ',', ' ', chr(1 + (r * 50000)::int)]""",
     "to_json(v)"),
    ("inv.codes[]", "array['', 'a b', 'c,d', 'e\"f']::inv.codes[]", "to_json(v)"),
    ("interval", "(r * 1000000)::int * interval '1 min 1 sec' - interval '500 days'",
     "(extract(epoch FROM v) * 1000000)::int8"),
    ("bit(19)", "(r * 524287)::int::bit(19)", "v::bit(19)::int"),
]


@pytest.mark.parametrize(("type_name", "make", "oracle"), ORACLES)
def test_values_are_what_the_server_says(conn: psycopg.Connection[Any], type_name: str, make: str, oracle: str) -> None:
    seed = random.randrange(1 << 30) / (1 << 30)
    conn.execute("CREATE SCHEMA inv; CREATE TYPE inv.codes AS ENUM ('', 'a b', 'c,d', 'e\"f')")
    conn.execute(f"CREATE TABLE t (g int, v {type_name})".encode())
    conn.execute("SELECT setseed(%s)", [seed])
    numbers = "(SELECT g, random()::float8 r FROM generate_series(1, 500) g) s"
    conn.execute(f"INSERT INTO t SELECT g, {make} FROM {numbers}".encode())
    _, kind = columns(read_catalog(conn), "t", Config())["v"]
    said = conn.execute(f"SELECT {oracle} FROM t ORDER BY g".encode()).fetchall()
    for row, (wanted,) in zip(texts(conn, sql.Identifier("t"), ["g", "v"]), said, strict=True):
        text = row["v"]
        assert text is not None
        decoded(kind, text)
        value = kind.codec.value(text, 0, len(text))
        if type_name.startswith("bit"):
            value = int.from_bytes(value, "little")
        assert value == wanted, f"seed {seed}, row {row['g']!r}, {text!r}"


@pytest.mark.parametrize(("precision", "scale"), [(5, 2), (18, 9), (19, 0), (38, 10), (1000, 500)])
def test_decimals_are_exact(conn: psycopg.Connection[Any], precision: int, scale: int) -> None:
    conn.execute(f"CREATE TABLE t (g int, v numeric({precision},{scale}), n numeric)".encode())
    conn.execute(f"""INSERT INTO t SELECT g, n, n FROM (
        SELECT g, trim_scale(((random() - 0.5)::numeric * 10::numeric ^ (g %% %s + 1))::numeric({precision},{scale})) n
        FROM generate_series(1, 500) g) s""".encode(), [precision - scale])
    found = columns(read_catalog(conn), "t", Config())
    said = conn.execute(f"SELECT trim_scale(v * 10::numeric ^ {scale})::text, n, scale(n) FROM t ORDER BY g".encode())
    for row, (wanted, number, digits) in zip(texts(conn, sql.Identifier("t"), ["g", "v", "n"]), said, strict=True):
        fixed, free = row["v"], row["n"]
        assert fixed is not None
        assert free is not None
        decoded(found["v"][1], fixed)
        assert str(int.from_bytes(found["v"][1].codec.value(fixed, 0, len(fixed)), "big", signed=True)) == wanted
        free_scale, unscaled = found["n"][1].codec.value(free, 0, len(free))
        assert (free_scale, int.from_bytes(unscaled, "big", signed=True)) == (digits, int(number.scaleb(digits)))


def test_extension_types_have_their_own_schemas(conn: psycopg.Connection[Any], database: Database) -> None:
    samples: dict[str, list[tuple[str, str, Any]]] = {
        "hstore": [("hstore", """'a=>1, "b c"=>NULL, "q\\"q"=>"x\\\\y"'""",
                    '{"a":"1","q\\"q":"x\\\\y","b c":null}'),
                   ("hstore[]", "array['a=>1'::hstore]", ['{"a":"1"}'])],
        "citext": [("citext", "'Ab'", "Ab"), ("citext[]", "array['Ab'::citext]", ["Ab"])],
        "ltree": [("ltree", "'a.b'", "a.b"), ("ltree[]", "array['a.b'::ltree]", ["a.b"])],
        "isn": [("isbn", "'978-0-393-04002-9'", "0-393-04002-X")],
        "vector": [("vector(3)", "'[1,2.5,-3]'", [1.0, 2.5, -3.0]),
                   ("sparsevec(5)", "'{1:1.5,3:2}/5'", (5, {1: 1.5, 3: 2.0}))],
    }
    for name in filter(database.server.has_extension, samples):
        conn.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(name)))
        for number, (type_name, literal, wanted) in enumerate(samples[name]):
            table = f"{name}_{number}"
            conn.execute(f"CREATE TABLE {table} (v {type_name}); INSERT INTO {table} VALUES ({literal})".encode())
            _, kind = columns(read_catalog(conn), table, Config())["v"]
            text = texts(conn, sql.Identifier(table), ["v"])[0]["v"]
            assert text is not None
            decoded(kind, text)
            assert kind.codec.value(text, 0, len(text)) == wanted
