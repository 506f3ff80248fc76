"""Statements that change structures, while rows are written: the stream never stops, and the very next row has the
schema and the values the server has for it. Three readers, each on both servers and with much and little metadata in
the log: one that reads while the statements run; one that comes later, with the structures of where it starts; and one
with the offset of another program, which has none."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cdc.core.errors import SourceRefusedError
from cdc.core.record import Message, Record
from cdc.core.row import NULL, Row
from cdc.core.schema import Schema
from cdc.core.table import TableId, TableSchema
from cdc.sources.mysql import catalog, connection, server
from cdc.sources.mysql.ddl.structure import Structures, TableStructure
from cdc.sources.mysql.options import parse_mariadb, parse_mysql
from cdc.sources.mysql.source import MySqlSource
from tests.integration.test_mysql_values import shown
from tests.servers.mysql import BinlogServer

SCENARIO = Path(__file__).parent / "scenarios" / "mysql_ddl_rows.txt"
DATABASE = "d"
OPTIONS = {"cdc.uniform.values": "true", "database.include.list": "d,busy", "tombstones.on.delete": "false"}
SECONDS = 120
LITTLE_METADATA = {"mysql": "MINIMAL", "mariadb": "NO_LOG"}
STOPS = ("ALTER TABLE t ADD f enum", "CREATE TABLE p (", "CREATE TABLE gen", "CREATE TABLE cs", "CREATE TABLE kinds",
         "ALTER TABLE hashed ADD SYSTEM VERSIONING")
"""After these statements a reader with a foreign offset starts."""
TYPED = {
    "tinyint": "{n} % 100", "smallint": "{n}", "mediumint": "{n}", "int": "{n}", "bigint": "{n}", "decimal": "{n}.25",
    "float": "{n}.5", "double": "{n}.125", "bit": "{n} % 2", "year": "2000 + {n} % 100", "date": "'2024-02-29'",
    "time": "'12:34:56.123456'", "datetime": "'2024-02-29 12:34:56.123456'",
    "timestamp": "'2024-02-29 12:34:56.123456'",
    "char": "LEFT('ä{n}', {size})", "varchar": "LEFT('ä{n}', {size})", "text": "'tä{n}'", "tinytext": "'tä{n}'",
    "mediumtext": "'tä{n}'", "longtext": "'[{n}]'", "json": "'[{n}]'", "enum": "2", "set": "3",
    "binary": "LEFT('b{n}', {size})", "varbinary": "LEFT('b{n}', {size})", "blob": "'b{n}'", "mediumblob": "'b{n}'",
    "geometry": "ST_GeomFromText('POINT({n} 2)')", "point": "ST_GeomFromText('POINT({n} 2)')",
    "vector": "STRING_TO_VECTOR('[1,2,{n}]')", "uuid": "UUID()", "inet6": "'::{n}'", "inet4": "'10.0.0.{n}'",
    "longblob": "'b{n}'", "tinyblob": "'b{n}'",
}
"""A value of each type, for the row with number n."""


@dataclass(frozen=True)
class Step:
    statement: str
    counts: bool
    """Whether rows are written after it."""


def steps(flavor: str) -> Iterator[Step]:
    for line in SCENARIO.read_text(encoding="utf-8").splitlines():
        mark, _, statement = line.partition(" ")
        if mark in (">", f">{flavor}", "~", f"~{flavor}"):
            yield Step(statement, mark.startswith(">"))


@dataclass(frozen=True)
class Change:
    """What is compared: `schema` is (topic, row schema, key schema), values are by name."""

    op: str
    schema: tuple[Any, ...]
    values: dict[str, Any]
    statement: str
    """Before it."""
    defaults: bool = True
    """Whether the fields' defaults are compared."""


class Oracle:
    """What the server has: its structures as a fresh snapshot reads them, its rows as SELECT gives them."""

    def __init__(self, database: BinlogServer, source: MySqlSource) -> None:
        self.source = source
        self.builder = source._builder
        self.conn = connection.connect(source.config)
        self.facts = server.read_facts(self.conn)
        self.texts: Any = database.connect(use_unicode=False)
        self.texts.decoders = {}
        with self.texts.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00', character_set_results = NULL")
        self._schemas: dict[str, tuple[TableSchema, str]] = {}

    def close(self) -> None:
        self.texts.close()
        connection.close(self.conn)

    def tables(self) -> list[TableId]:
        return list(catalog.list_tables(self.conn, lambda id: id.catalog == DATABASE))

    def select(self, id: TableId) -> tuple[TableSchema, list[dict[str, Any]]]:
        """Schema and rows."""
        structures = Structures(self.facts.charset, {}, self.facts.folds_names)
        found = catalog.read_table(self.conn, self.facts, id, structures)
        assert found is not None
        structure = as_stated(*found)
        table = self.builder.build(structure)
        selects = self.builder.selects(structure)
        fields = ", ".join(selects[column.index].format(quoted(column.name)) for column in table.columns)
        with self.texts.cursor() as cursor:
            cursor.execute(f"SELECT {fields} FROM {quoted(id.catalog)}.{quoted(id.table)}".encode())
            rows = cursor.fetchall()
        return table, [
            {column.name: shown(column.codec, data)[0] for column, data in zip(table.columns, row, strict=True)}
            for row in rows]


def as_stated(structure: TableStructure, create: str) -> TableStructure:
    """MariaDB's JSON, a LONGTEXT with a check, under the name that statements and Debezium's streams have for it."""
    return replace(structure, columns=tuple(
        replace(each, type_name="JSON") if f"json_valid(`{each.name}`)" in create else each
        for each in structure.columns))


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def schema_of(table: TableSchema) -> tuple[Any, ...]:
    """But for what Debezium reads otherwise in MariaDB's statements than in its SHOW CREATE TABLE: JSON, comments."""
    return table.topic, *(_common(each) for each in (table.value_schema, table.key_schema))


def _common(schema: Schema | None) -> Schema | None:
    if schema is None or schema.name == "io.debezium.data.Json":
        return schema and replace(schema, name=None, version=None)
    return replace(schema, doc=None, fields=tuple(
        replace(each, schema=_common(each.schema) or each.schema) for each in schema.fields))


def values_of(table: TableSchema, row: Row) -> dict[str, Any]:
    found = {}
    for column in table.columns:
        data = None if row.kind(column.index) == NULL else row.raw(column.index)
        assert column.binary_codec is not None
        found[column.name] = shown(column.binary_codec, data)[0]
    return found


class Play:
    """Runs the scenario's statements on one connection and notes what each change must look like."""

    def __init__(self, database: BinlogServer, oracle: Oracle) -> None:
        self.oracle = oracle
        self.database = database
        self.conn = database.connect(DATABASE)
        self.admin = database.connect(DATABASE)  # its session is not changed by the scenario
        self.changes: list[Change] = []
        self.places: list[tuple[int, tuple[str, int]]] = []
        """Some places in the log, and how many changes come before."""
        self.numbers = itertools.count(10)

    def run(self) -> int:
        """How many statements there were."""
        count = 0
        with self.conn.cursor() as cursor:
            cursor.execute("SET sql_mode = '', time_zone = '+00:00'")
            for step in steps(self.database.flavor):
                if step.counts:
                    self.step(cursor, step.statement)
                    count += 1
                else:
                    cursor.execute(step.statement)
        return count

    def step(self, cursor: Any, statement: str) -> None:
        """The statement, and new rows in all tables."""
        known = set(self.oracle.tables())
        cursor.execute(statement)
        if statement.startswith("CREATE"):  # perhaps with rows
            for id in self.oracle.tables():
                if id not in known or statement.startswith(f"CREATE OR REPLACE TABLE {id.table} "):
                    self.note("c", id, statement)
        self.write(statement)
        if statement.startswith(STOPS):
            self.places.append((len(self.changes), self.database.binlog_end()))

    def write(self, statement: str) -> None:
        with self.admin.cursor() as cursor:
            cursor.execute("SET sql_mode = '', time_zone = '+00:00', foreign_key_checks = 0")
            for id in self.oracle.tables():
                self.note("d", id, statement)
                cursor.execute(f"DELETE FROM {quoted(id.table)}")
                cursor.execute(self.insert(cursor, id, next(self.numbers)))
                self.note("c", id, statement)

    def note(self, op: str, id: TableId, statement: str) -> None:
        table, rows = self.oracle.select(id)
        self.changes += [Change(op, schema_of(table), row, statement) for row in rows]

    def insert(self, cursor: Any, id: TableId, n: int) -> str:
        cursor.execute("SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH FROM information_schema.COLUMNS"
                       " WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND GENERATION_EXPRESSION IN ('', 'NULL')"
                       " OR TABLE_SCHEMA = %s AND TABLE_NAME = %s AND GENERATION_EXPRESSION IS NULL",
                       (id.catalog, id.table) * 2)
        columns = [(str(name), str(type_.decode() if isinstance(type_, bytes) else type_), size)
                   for name, type_, size in cursor.fetchall()]
        names = ", ".join(quoted(name) for name, _, _ in columns)
        values = ", ".join(TYPED[type_].format(n=n, size=size) for _, type_, size in columns)
        return f"INSERT INTO {quoted(id.table)} ({names}) VALUES ({values})"

    def close(self) -> None:
        self.conn.close()
        self.admin.close()


class Writer:
    """Keeps writing rows to tables of another database until it is stopped; `count` are committed."""

    def __init__(self, database: BinlogServer) -> None:
        self.count = 0
        self._conn = database.connect("busy")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with self._conn.cursor() as cursor:
            while not self._stop.wait(0.002):
                cursor.execute("BEGIN")
                cursor.execute(f"INSERT INTO one VALUES ({self.count}, 'x')")
                cursor.execute(f"INSERT INTO two VALUES ({self.count}, {self.count})")
                cursor.execute("COMMIT")
                self.count += 1

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._conn.close()


class Reading:
    """A source in a thread of its own, until it has read to a place in the log."""

    def __init__(self, source: MySqlSource, offset: dict[str, Any] | None) -> None:
        self.source = source
        self.records: list[Record] = []
        self.messages: list[Message] = []
        self.first: dict[str, Any] = {}
        self.error: BaseException | None = None
        self.streaming = threading.Event()
        self._last: tuple[str, int] | None = None
        self._thread = threading.Thread(target=self._run, args=(offset,))
        self._thread.start()

    def _run(self, offset: dict[str, Any] | None) -> None:
        try:
            self.source.start(offset)
            while not self._done():
                batch = self.source.poll(0.1)
                if batch is not None:
                    self.first = self.first or batch.position.offset()
                    self._at = batch.position
                    self.records += [each for each in batch.records if isinstance(each, Record)]
                    self.messages += [each for each in batch.records if isinstance(each, Message)]
                if self.source.state() == "streaming":
                    self.streaming.set()
        except BaseException as exc:
            self.error = exc
        finally:
            self.streaming.set()
            self.source.stop()

    def _done(self) -> bool:
        at = getattr(self, "_at", None)
        return self._last is not None and at is not None and (at.file, at.pos) >= self._last

    def until(self, end: tuple[str, int]) -> list[Record]:
        """All records up to *end*."""
        self._last = end
        self._thread.join(SECONDS)
        if self.error is not None:
            raise self.error
        assert not self._thread.is_alive(), "the source did not reach the end"
        return self.records


def make_source(database: BinlogServer, **options: str) -> MySqlSource:
    given = {
        "name": "ddl", "topic.prefix": "srv", "database.hostname": database.host, "database.port": str(database.port),
        "database.user": database.user, "database.server.id": "7702", "snapshot.mode": "no_data", **OPTIONS, **options,
    }
    config, _ = (parse_mariadb if database.flavor == "mariadb" else parse_mysql)(given)
    return MySqlSource(config)


@pytest.fixture(params=["mysql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[BinlogServer]:
    found: BinlogServer = request.getfixturevalue(request.param)
    found.create_database(DATABASE)
    found.create_database("busy")
    found.execute("CREATE TABLE one (id int PRIMARY KEY, a varchar(10))", "busy")
    found.execute("CREATE TABLE two (id int PRIMARY KEY, b bigint)", "busy")
    yield found
    for name in (DATABASE, "busy"):
        found.drop_database(name)
    found.set(binlog_row_metadata="FULL")


def without_defaults(change: Change) -> Change:
    return replace(change, schema=tuple(plain(each) for each in change.schema), defaults=False)


def plain(schema: Any) -> Any:
    """*schema* without what a log does not tell."""
    if not isinstance(schema, Schema):
        return schema
    return replace(schema, fields=tuple(
        replace(each, schema=replace(each.schema, default=None, **_AS_TEXT.get(each.schema.name, {})))
        for each in schema.fields))


_AS_TEXT: dict[str | None, dict[str, Any]] = {"io.debezium.data.Json": {"name": None, "version": None}}
"""Nor does a log, or a catalog, of MariaDB know JSON."""


def check(records: list[Record], expected: list[Change], written: int | None) -> None:
    changes = [each for each in records if each.table.id.catalog == DATABASE and each.op != "t"]
    wrong = []
    for record, change in zip(changes, expected, strict=False):
        row = record.after if record.op == "c" else record.before
        assert row is not None
        got = Change(record.op, schema_of(record.table), values_of(record.table, row), "")
        wrong += differences(got if change.defaults else without_defaults(got), change)
    assert not wrong, "\n".join(wrong[:20])
    assert len(changes) == len(expected)
    for table in ("one", "two") if written is not None else ():
        ids = [values_of(each.table, each.after)["id"] for each in records
               if each.table.id == TableId("busy", "", table) and each.after is not None]
        assert ids == list(range(written or 0))


def differences(got: Change, wanted: Change) -> list[str]:
    """In words; the places in the schemas where they differ."""
    where = f"{wanted.statement}: {wanted.op} in {wanted.schema[0]}"
    pairs = [("op", got.op, wanted.op), ("topic", got.schema[0], wanted.schema[0]),
             ("values", got.values, wanted.values)]
    for name, ours, theirs in zip(("row", "key"), got.schema[1:], wanted.schema[1:], strict=True):
        fields, wanted_fields = ([str(each) for each in schema.fields] if schema else [] for schema in (ours, theirs))
        pairs += [(name, ours, theirs)] if len(fields) != len(wanted_fields) else [
            (name, *pair) for pair in zip(fields, wanted_fields, strict=True)]
    return [f"{where}: {name}: {ours} instead of {theirs}" for name, ours, theirs in pairs if ours != theirs]


@pytest.fixture
def little_metadata(database: BinlogServer) -> BinlogServer:
    database.set(binlog_row_metadata=LITTLE_METADATA[database.flavor])
    return database


CLIENTS = {
    "latin1": ("CREATE TABLE `tä` (`ä` int, e enum('ü','x') CHARACTER SET utf8mb4 DEFAULT 'ü')",
               "ALTER TABLE `tä` ADD `ß` varchar(9) DEFAULT 'ö' COMMENT 'é', RENAME COLUMN `ä` TO `Ä`",
               "CREATE TABLE `kopie ä` AS SELECT * FROM `tä`",
               "DROP TABLE `kopie ä`"),
    "gbk": ("ALTER TABLE plain ADD `列` enum('乗','大') COMMENT '乗', ADD b int",
            "ALTER TABLE plain CHANGE `列` `乗` varchar(9) DEFAULT '乗', ADD c int"),
}
"""Statements by the character set of the client; in gbk the second byte of 乗 is a backslash."""


def test_statements_are_read_in_the_clients_character_set(little_metadata: BinlogServer) -> None:
    database = little_metadata
    database.execute("CREATE TABLE plain (id int)", DATABASE)
    live = Reading(make_source(database), None)
    assert live.streaming.wait(SECONDS)
    oracle = Oracle(database, make_source(database))
    play = Play(database, oracle)
    for charset, statements in CLIENTS.items():
        with database.connect(DATABASE, charset=charset) as client, client.cursor() as cursor:
            for statement in statements:
                play.step(cursor, statement)
    end = database.binlog_end()
    play.close()
    oracle.close()
    check(live.until(end), play.changes, None)
    later = Reading(make_source(database), live.first)  # when it is too late to read a table again
    check(later.until(end), play.changes, None)


@pytest.mark.parametrize("mode", ["fail", "warn", "skip"])
def test_rows_that_no_structure_fits(little_metadata: BinlogServer, mode: str) -> None:
    """`inconsistent.schema.handling.mode`: the task stops, or the rows are left out and the others come."""
    database = little_metadata
    database.execute("CREATE TABLE lost (id int, a int)", DATABASE)
    database.execute("CREATE TABLE kept (id int)", DATABASE)
    file, pos = database.binlog_end()
    database.execute("INSERT INTO lost VALUES (1, 1)", DATABASE)
    with database.connect(DATABASE) as conn, conn.cursor() as cursor:
        cursor.execute("SET sql_log_bin = 0")
        cursor.execute("ALTER TABLE lost DROP a")
    database.execute("INSERT INTO lost VALUES (2)", DATABASE)
    database.execute("INSERT INTO kept VALUES (3)", DATABASE)
    source = make_source(database, **{"inconsistent.schema.handling.mode": mode})
    reading = Reading(source, {"file": file, "pos": pos})
    end = database.binlog_end()
    if mode == "fail":
        with pytest.raises(SourceRefusedError, match=r"d\.lost .*is not known"):
            reading.until(end)
    else:
        records = reading.until(end)
        assert [values_of(each.table, each.after) for each in records if each.after is not None] == [
            {"id": 2}, {"id": 3}]
        assert source.metrics()["cdc_events_filtered_total"] == 1


@pytest.mark.parametrize("metadata", ["much", "little"])
def test_the_row_after_every_statement_is_as_the_server_has_it(database: BinlogServer, metadata: str) -> None:
    database.set(binlog_row_metadata="FULL" if metadata == "much" else LITTLE_METADATA[database.flavor])
    live = Reading(make_source(database), None)
    assert live.streaming.wait(SECONDS)
    oracle = Oracle(database, make_source(database))
    play = Play(database, oracle)
    with Writer(database) as writer:
        assert play.run() >= 150
    end = database.binlog_end()
    play.close()
    oracle.close()
    check(live.until(end), play.changes, writer.count)
    later = Reading(make_source(database), live.first)
    check(later.until(end), play.changes, writer.count)
    if metadata == "much":
        for place, (file, pos) in play.places:
            foreign = Reading(make_source(database), {"file": file, "pos": pos})
            check(foreign.until(end), [without_defaults(each) for each in play.changes[place:]], None)
