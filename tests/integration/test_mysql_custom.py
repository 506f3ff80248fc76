"""Debezium's converter of TINYINT(1) to boolean, the same in snapshot and stream."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from cdc.converters.json import JsonConverter
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.core.schema import BOOLEAN, INT16
from tests.conftest import BinlogDatabase
from tests.integration.test_mysql_ddl_stream import SECONDS, Reading, make_source
from tests.integration.test_mysql_values import shown

TABLE = ("CREATE TABLE flags (id tinyint(1) PRIMARY KEY, a tinyint(1), b tinyint(1) NOT NULL DEFAULT 1, c tinyint(4),"
         " d tinyint, e smallint)")
EXAMPLE = Path(__file__).parents[1] / "unit" / "example_package"
CONVERTER = "io.debezium.connector.{}.converters.TinyIntOneToBooleanConverter"


@pytest.mark.parametrize(("options", "booleans"), [
    ({"bools.type": CONVERTER.format("mysql")}, "id a b"),
    ({"bools.type": CONVERTER.format("binlog"), "bools.length.checker": "false"}, "id a b c d"),
    ({"bools.type": CONVERTER.format("binlog"), "bools.selector": r".*\.(flags|copied)\.[AC], nothing"}, "a"),
])
def test_tinyints_become_booleans_in_snapshot_and_stream(binlog_database: BinlogDatabase, options: dict[str, str],
                                                         booleans: str) -> None:
    database = binlog_database
    database.execute(TABLE)
    database.execute("INSERT INTO flags VALUES (1, 0, 1, 2, -1, 0), (0, NULL, -128, NULL, 0, NULL)")
    source = make_source(database.server, **{
        "snapshot.mode": "initial", "database.include.list": database.name, "converters": "bools", **options})
    reading = Reading(source, None)
    assert reading.streaming.wait(SECONDS)
    database.execute("CREATE TABLE copied LIKE flags")
    database.execute("INSERT INTO copied SELECT * FROM flags")
    records = reading.until(database.server.binlog_end())
    found = [(each.table, values(each)) for each in records]
    names = booleans.split()
    assert [row for _, row in found[:2]] == [row for _, row in found[2:]]
    rows = ({"id": 1, "a": 0, "b": 1, "c": 2, "d": -1, "e": 0},
            {"id": 0, "a": None, "b": -128, "c": None, "d": 0, "e": None})
    for row in rows:
        wanted = {name: bool(value) if name in names and value is not None else value for name, value in row.items()}
        assert wanted in [row for _, row in found]
    for table, _ in found:
        assert [column.name for column in table.columns if column.schema.type == BOOLEAN] == names
        assert (table.columns[2].schema.type, table.columns[2].schema.default) in ((BOOLEAN, True), (INT16, 1))
        assert table.key[0].key_schema.type == (BOOLEAN if "id" in names else INT16)



def test_a_converter_of_another_package_in_snapshot_and_stream(
        binlog_database: BinlogDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    database = binlog_database
    database.execute("CREATE TABLE books (isbn varchar(20) PRIMARY KEY DEFAULT 'a-b', title varchar(20))")
    database.execute("INSERT INTO books VALUES ('978-0', 'x-y')")
    source = make_source(database.server, **{
        "snapshot.mode": "initial", "database.include.list": database.name, "converters": "isbn",
        "isbn.type": "com.acme.kafka.Isbn", "isbn.schema.name": "com.acme.Isbn", "isbn.selector": r".*\.books\.isbn"})
    reading = Reading(source, None)
    assert reading.streaming.wait(SECONDS)
    database.execute("INSERT INTO books VALUES ('978-1', 'x-y')")
    records = reading.until(database.server.binlog_end())
    converter = RecordConverter(*json_converters(), ColumnFailures("fail"))
    sent = [(json.loads(each.key or b""), json.loads(each.value or b"")["after"])
            for each in converter.convert(records, 0)]
    assert sent == [({"isbn": isbn}, {"isbn": isbn, "title": "x-y"}) for isbn in ("9780", "9781")]
    for table in (each.table for each in records):
        isbn = table.columns[0].schema
        assert (isbn.name, isbn.default, table.key[0].key_schema) == ("com.acme.Isbn", "ab", isbn)


def values(record: Any) -> dict[str, Any]:
    found = {}
    for column in record.table.columns:
        codec = column.codec if record.op == "r" else column.binary_codec
        found[column.name] = shown(codec, record.after.raw(column.index))[0]
    return found


def json_converters() -> tuple[JsonConverter, JsonConverter, JsonConverter]:
    made = JsonConverter(threading.Event()), JsonConverter(threading.Event()), JsonConverter(threading.Event())
    for converter in made:
        converter.configure({"schemas.enable": "false"}, False)
    return made
