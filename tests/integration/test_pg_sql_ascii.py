"""Databases of the encoding SQL_ASCII, whose texts are bytes of any kind."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest

from cdc.core.errors import SourceRefusedError
from cdc.core.record import Record
from tests.conftest import Database
from tests.integration.pg_source import cells, running
from tests.servers.postgres import PostgresServer

_numbers = itertools.count(1)

TABLES = """\
SET client_encoding = 'SQL_ASCII';
CREATE TYPE mood AS ENUM ('gut', E'b\\xf6se');
CREATE TABLE other (id int PRIMARY KEY, v text DEFAULT E'\\xff\\xfe');
CREATE TABLE t (id int PRIMARY KEY, v text, w text DEFAULT E'caf\\xe9', a text[], j json, m mood, c char(4));
"""
ROWS = (
    "(%d, 'plain', DEFAULT, NULL, NULL, 'gut', NULL)",
    "(%d, E'caf\\xe9 \\xff', 'x', ARRAY[E'\\xe9', 'b'], E'{\"k\":\"\\xe9\"}', E'b\\xf6se', E'\\xff')",
    "(%d, E'caf\\xc3\\xa9', 'x', ARRAY[E'\\xc3\\xa9'], E'{\"k\":\"\\xc3\\xa9\"}', 'gut', E'\\xc3\\xa9')",
)
BROKEN = "\ufffd"
EXPECTED: list[dict[str, Any]] = [
    {"v": "plain", "w": f"caf{BROKEN}", "a": None, "j": None, "m": "gut", "c": None},
    {"v": f"caf{BROKEN} {BROKEN}", "w": "x", "a": [BROKEN, "b"], "j": f'{{"k":"{BROKEN}"}}', "m": f"b{BROKEN}se",
     "c": f"{BROKEN}   "},
    {"v": "café", "w": "x", "a": ["é"], "j": '{"k":"é"}', "m": "gut", "c": "é  "},
]


@pytest.fixture
def ascii_database(postgres: PostgresServer) -> Iterator[Database]:
    name = f"ascii_{os.getpid()}_{next(_numbers)}"
    postgres.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    found = Database(postgres, name)
    found.execute(TABLES)
    yield found
    postgres.drop_database(name)


def insert(database: Database, first_id: int) -> None:
    values = ", ".join(row % (first_id + number) for number, row in enumerate(ROWS))
    database.execute(f"SET client_encoding = 'SQL_ASCII'; INSERT INTO t VALUES {values}")


def values(records: list[Any]) -> list[dict[str, Any]]:
    found = [cells(record) or {} for record in records if isinstance(record, Record)]
    return [{name: value for name, value in row.items() if name != "id"} for row in found]


@pytest.mark.parametrize("options", [
    {}, {"cdc.binary": "true"}, {"publication.autocreate.mode": "filtered"},
    {"database.initial.statements": "SET client_encoding = 'SQL_ASCII'"},
], ids=str)
def test_what_is_no_utf8_becomes_the_same_in_snapshot_and_stream(ascii_database: Database,
                                                                 options: dict[str, str]) -> None:
    insert(ascii_database, 1)
    given: dict[str, str] = {"snapshot.mode": "initial", "table.include.list": "public.t", **options}
    with running(ascii_database, given) as reading:
        assert values(reading.to_mark(ascii_database)) == EXPECTED
        insert(ascii_database, 4)
        ascii_database.execute("UPDATE t SET v = v || '!' WHERE id = 5")
        *streamed, updated = values(reading.to_mark(ascii_database))
        assert streamed == EXPECTED
        assert updated == {**EXPECTED[1], "v": f"caf{BROKEN} {BROKEN}!"}
        offset: dict[str, Any] | None = reading.offset
    with running(ascii_database, given, offset) as reading:
        insert(ascii_database, 7)
        assert values(reading.to_mark(ascii_database)) == EXPECTED


def test_names_that_are_no_utf8_stop_neither_start_nor_stream_of_other_tables(ascii_database: Database) -> None:
    with ascii_database.connect() as conn:
        conn.execute("SET client_encoding = 'SQL_ASCII'")
        conn.execute(b'CREATE TYPE "m\xf6\xf6d" AS ENUM (\'a\');'
                     b' CREATE TABLE "caf\xe9" (id int PRIMARY KEY, "\xff" int, v "m\xf6\xf6d")')
        given = {"snapshot.mode": "initial", "table.include.list": "public.t"}
        with running(ascii_database, given) as reading:
            conn.execute(b'INSERT INTO "caf\xe9" VALUES (1, 1, \'a\'); INSERT INTO t VALUES (1)')
            assert [(cells(record) or {})["id"] for record in reading.to_mark(ascii_database)] == [1]
        with running(ascii_database, {"table.include.list": "public.caf."}, reading.offset) as reading:
            conn.execute(b'INSERT INTO "caf\xe9" VALUES (2, 5, \'a\')')
            assert [cells(record) for record in reading.to_mark(ascii_database)][-1] == {"id": 2, BROKEN: 5, "v": "a"}
    refusal = pytest.raises(SourceRefusedError, match=r"name of table public\.caf. is no UTF-8")
    with refusal, running(ascii_database, {**given, "table.include.list": "public.caf."}):
        pass
