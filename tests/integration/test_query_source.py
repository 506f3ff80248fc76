"""The query source on PostgreSQL and MySQL: values and schemas of their types, and no row skipped over kill -9."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cdc.core.errors import ConfigError, SourceRefusedError
from cdc.core.record import Message
from cdc.core.schema import Schema
from cdc.sources.query.options import parse_query
from cdc.sources.query.source import QuerySource
from cdc.stores.file_offsets import FileOffsetStore
from tests.conftest import BinlogDatabase, Database
from tests.fault.pipeline import JSON, Process
from tests.servers.postgres import PostgresServer
from tests.servers.process import wait_until

POSTGRES = """CREATE TABLE "odd ""name" (id serial PRIMARY KEY, i2 int2, b bool NOT NULL, r real, f float8,
  n numeric(9,2), n0 numeric(12), free numeric, t text, c char(3), by bytea, d date, tm time, ts timestamp,
  tz timestamptz, u uuid, j jsonb, arr int[], inf timestamptz, neg numeric(5,-2))"""
POSTGRES_ROW = """INSERT INTO "odd ""name" VALUES (DEFAULT, -2, true, 1.5, 0.1, -12.30, 123456789012, 1.000000000001,
  'é', 'ab', '\\x00ff', '2024-02-29', '23:59:59.123456', '2024-05-01 10:00:00.5', '2024-05-01 10:00:00.5+02',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a": 1}', '{1}', 'infinity', 12300)"""
MYSQL = """CREATE TABLE `odd ``name` (id bigint unsigned PRIMARY KEY AUTO_INCREMENT, t1 tinyint(1), tu tinyint unsigned,
  m mediumint, iu int unsigned, f float, d double, n decimal(9,2) NOT NULL, v varchar(9), b varbinary(9), e enum('x'),
  j json, dd date, y year, tm time(3), ts timestamp(6) NULL, dt datetime(6), bit1 bit(1), bits bit(16))"""
MYSQL_ROW = """INSERT INTO `odd ``name` VALUES (NULL, -1, 255, -5, 4000000000, 1.5, 0.1, -12.30, 'é', x'00ff', 'x',
  '{"a": 1}', '2024-02-29', 2024, '23:59:59.123', '2024-05-01 10:00:00.5', '2024-05-01 10:00:00.5', b'1',
  b'100000001')"""


def made(url: str, user: str, **keys: str) -> QuerySource:
    config, _ = parse_query({"name": "q", "connection.url": url, "connection.user": user, "topic.prefix": "p-",
                             "poll.interval.ms": "1", **{key.replace("_", "."): text for key, text in keys.items()}})
    return QuerySource(config)


def first(source: QuerySource) -> Message:
    try:
        source.start(None)
        for _ in range(20):
            batch = source.poll(0.1)
            if batch is not None and batch.records:
                record = batch.records[0]
                assert isinstance(record, Message)
                return record
        raise AssertionError("no row came")
    finally:
        source.stop()


def shown(record: Message) -> dict[str, tuple[str, Any]]:
    schema = record.value_schema
    assert schema is not None
    return {field.name: (_type(field.schema), value)
            for field, value in zip(schema.fields, record.value, strict=True)}


def _type(schema: Schema) -> str:
    name = (schema.name or schema.type).rpartition(".")[2]
    return f"{name}{schema.parameter('scale') or ''}{'?' if schema.optional else ''}"


def postgres_url(database: Database) -> str:
    parts = dict(item.split("=", 1) for item in database.dsn().split())
    return f"jdbc:postgresql://{parts['host']}:{parts['port']}/{parts['dbname']}"


@pytest.fixture
def pg(postgres18: PostgresServer, tmp_path: Path) -> Iterator[Database]:
    name = postgres18.create_database(f"q_{tmp_path.name}"[:60])
    yield Database(postgres18, name)
    postgres18.drop_database(name)


def test_values_of_postgres(pg: Database) -> None:
    pg.execute(POSTGRES)
    pg.execute(POSTGRES_ROW)
    record = first(made(postgres_url(pg), "postgres", mode="incrementing", numeric_mapping="best_fit"))
    assert (record.topic, record.value_schema.name if record.value_schema else "") == ('p-odd "name', 'odd "name')
    at = 1_714_557_600_500
    assert shown(record) == {
        "id": ("INT32", 1), "i2": ("INT16?", -2), "b": ("BOOLEAN", True), "r": ("FLOAT32?", 1.5),
        "f": ("FLOAT64?", 0.1), "n": ("FLOAT64?", -12.3), "n0": ("INT64?", 123456789012),
        "free": ("STRING?", "1.000000000001"), "t": ("STRING?", "é"), "c": ("STRING?", "ab "),
        "by": ("BYTES?", b"\0\xff"), "d": ("Date?", 19782), "tm": ("Time?", 86399123), "ts": ("Timestamp?", at),
        "tz": ("Timestamp?", at - 7_200_000), "u": ("STRING?", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        "j": ("STRING?", '{"a": 1}'), "inf": ("Timestamp?", 9223372036825200000), "neg": ("INT32?", 12300)}
    joined = first(made(postgres_url(pg), "postgres", mode="bulk", query="SELECT one.id, other.b FROM"
                        ' "odd ""name" one LEFT JOIN "odd ""name" other ON other.id < one.id'))
    assert shown(joined) == {"id": ("INT32?", 1), "b": ("BOOLEAN?", None)}


def read_with_a_pause(source: QuerySource, look: Callable[[], Any]) -> tuple[Any, Any]:
    """Ten numbers, with a pause after four; what *look* gave before the pause and in it."""
    found: list[int] = []
    seen: tuple[Any, Any] = None, None
    try:
        source.start(None)
        while len(found) < 10:
            batch = source.poll(0.1)
            if batch is not None:
                found += [each.value[0] for each in batch.records if isinstance(each, Message)]
            if len(found) == 4:
                before = look()
                source.rest()
                seen = before, look()
    finally:
        source.stop()
    assert found == list(range(1, 11))
    return seen


PAUSED = {"mode": "incrementing", "incrementing_column_name": "id", "batch_max_rows": "4", "db_fetch_size": "2"}


def test_a_paused_connector_keeps_no_transaction_open(pg: Database) -> None:
    """It would hold back VACUUM for as long as the connector is paused."""
    pg.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)")

    def states() -> list[tuple[str]]:
        return pg.execute("SELECT state FROM pg_stat_activity WHERE application_name = 'cdc' AND datname = "
                          "current_database()")

    assert read_with_a_pause(made(postgres_url(pg), "postgres", **PAUSED), states) == (
        [("idle in transaction",)], [("idle",)])


def test_a_paused_connector_keeps_no_select_open(binlog_database: BinlogDatabase) -> None:
    """The server would end it after its net_write_timeout."""
    rows = ", ".join(f"({number})" for number in range(1, 11))
    binlog_database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    binlog_database.execute(f"INSERT INTO t VALUES {rows}")

    def connections() -> int:
        found = binlog_database.execute("SELECT count(*) FROM information_schema.processlist WHERE db = "
                                        f"'{binlog_database.name}' AND id <> connection_id()")
        return int(found[0][0])

    def soon_gone() -> int:
        """The server needs a moment to see that a connection was closed."""
        if looks:
            wait_until(lambda: not connections(), 20, "the connection to end")
        looks.append(1)
        return connections()

    looks: list[int] = []
    assert read_with_a_pause(made(mysql_url(binlog_database), "root", **PAUSED), soon_gone) == (1, 0)


def mysql_url(database: BinlogDatabase) -> str:
    return f"jdbc:mysql://127.0.0.1:{database.server.port}/{database.name}"


def test_values_of_mysql_and_mariadb(binlog_database: BinlogDatabase) -> None:
    binlog_database.execute(MYSQL)
    binlog_database.execute(MYSQL_ROW)
    record = first(made(mysql_url(binlog_database), "root", mode="incrementing"))
    at = 1_714_557_600_500
    assert shown(record) == {
        "id": ("INT64", 1), "t1": ("INT8?", -1), "tu": ("INT16?", 255), "m": ("INT32?", -5),
        "iu": ("INT64?", 4000000000), "f": ("FLOAT32?", 1.5), "d": ("FLOAT64?", 0.1), "n": ("Decimal2", b"\xfb\x32"),
        "v": ("STRING?", "é"), "b": ("BYTES?", b"\0\xff"), "e": ("STRING?", "x"), "j": ("STRING?", '{"a": 1}'),
        "dd": ("Date?", 19782), "y": ("Date?", 19723), "tm": ("Time?", 86399123), "ts": ("Timestamp?", at),
        "dt": ("Timestamp?", at), "bit1": ("INT8?", 1), "bits": ("BYTES?", b"\x01\x01")}
    binlog_database.execute("CREATE TABLE z (a datetime, b datetime NOT NULL)")
    binlog_database.execute("INSERT IGNORE INTO z VALUES ('0000-00-00', '0000-00-00')")
    record = first(made(mysql_url(binlog_database), "root", mode="timestamp", table_whitelist="z",
                        timestamp_column_name="a,b"))
    assert shown(record) == {"a": ("Timestamp?", None), "b": ("Timestamp", 0)}


class Writer(threading.Thread):
    """Inserts numbered rows with the time of the insert in whole seconds, and updates some, until it is ended."""

    def __init__(self, database: Database | BinlogDatabase, now: str) -> None:
        super().__init__(daemon=True)
        self._database = database
        self._now = now
        self._ended = threading.Event()
        self.count = 0

    def run(self) -> None:
        connection: Any = self._database.connect(autocommit=True)
        with connection.cursor() as cursor:
            for number in itertools.count(1):
                cursor.execute(f"INSERT INTO t (id, v, ts) VALUES ({number}, 0, {self._now})")
                cursor.execute(f"UPDATE t SET v = {number}, ts = {self._now} WHERE id = {number // 2}")
                self.count = number
                if self._ended.wait(0.005):
                    break
        connection.close()

    def end(self) -> None:
        self._ended.set()
        self.join()


@pytest.mark.parametrize("kind", ["postgres18", "mysql"])
def test_no_row_is_skipped_over_kills(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Timestamps have whole seconds, so each poll and each kill comes within one, and more rows than a batch has are of
    one second. MySQL's are local times of a zone. The last version of each row is the last that was written to the
    file."""
    server = request.getfixturevalue(kind)
    name = server.create_database(f"query_{tmp_path.name}"[:60])
    database: Any = (Database if kind == "postgres18" else BinlogDatabase)(server, name)
    postgres = kind == "postgres18"
    now = "date_trunc('second', clock_timestamp())" if postgres else "utc_timestamp() + INTERVAL 330 MINUTE"
    kind_of_time = "timestamptz" if postgres else "datetime"
    database.execute(f"CREATE TABLE t (id int PRIMARY KEY, v int, ts {kind_of_time} NOT NULL)")
    rows = tmp_path / "rows"
    worker = {"sink.type": "file", "sink.file.path": str(rows), "key.converter": JSON, "value.converter": JSON,
              "value.converter.schemas.enable": "false", "offset.storage.file.filename": str(tmp_path / "offsets"),
              "offset.flush.interval.ms": "100", "listeners": "http://127.0.0.1:0"}
    connector = {"name": "q", "connector.class": "io.confluent.connect.jdbc.JdbcSourceConnector",
                 "connection.url": postgres_url(database) if postgres else mysql_url(database),
                 "connection.user": "postgres" if postgres else "root", "mode": "timestamp+incrementing",
                 "incrementing.column.name": "id", "timestamp.column.name": "ts", "topic.prefix": "p-",
                 "table.whitelist": "t", "poll.interval.ms": "50", "batch.max.rows": "7", "db.fetch.size": "3",
                 "db.timezone": "Asia/Kolkata"}
    writer = Writer(database, now)

    def written() -> dict[int, int]:
        """The last version of each row."""
        lines = rows.read_text(encoding="utf-8").rpartition("\n")[0].splitlines() if rows.exists() else []
        return {value["id"]: value["v"] for value in (json.loads(line)["value"] for line in lines)}

    try:
        writer.start()
        with Process(tmp_path, {"worker.properties": worker, "q.properties": connector}) as process:
            for _ in range(3):
                process.start()
                seen = len(written())
                wait_until(partial(lambda before: len(written()) > before + 40, seen), 30, "more rows")
                process.kill()
            process.start()
            writer.end()
            truth = dict(database.execute("SELECT id, v FROM t"))
            wait_until(lambda: written() == truth, 30, "the last version of each row")
            assert process.stop() == 0
            assert "What SELECTs do not find: deletes, updates that leave the timestamp as it is" in process.text()
    finally:
        writer.end()
        server.drop_database(name)
    with closing(FileOffsetStore(tmp_path / "offsets")) as store:
        store.start()
        (partition, offset), = store.load_all("q")
    assert partition == {"protocol": "1", "table": "public.t" if postgres else f"{name}.t"}
    assert offset.keys() == {"incrementing", "timestamp", "timestamp_nanos"}


def test_what_cannot_work_is_said_at_the_start(pg: Database) -> None:
    pg.execute("CREATE TABLE t (id int, ts timestamp); CREATE SCHEMA s; CREATE TABLE s.t (id int)")
    url = postgres_url(pg)
    public = {"schema_pattern": "public"}
    timed = {"mode": "timestamp", **public}
    cases: list[tuple[dict[str, str], type[Exception], str]] = [
        ({"mode": "incrementing"}, ConfigError, "Several tables have the name t"),
        ({"mode": "incrementing", **public}, ConfigError, "no column that the database counts"),
        ({**timed, "timestamp_column_name": "ts"}, ConfigError, "can be null"),
        ({**timed, "timestamp_column_name": "id"}, ConfigError, "with a time"),
        ({"mode": "bulk", "query": "SELECT 1 AS x, 2 AS x"}, SourceRefusedError, "Two columns"),
        ({"mode": "bulk", "query": "SELECT nope"}, SourceRefusedError, "PostgreSQL says"),
    ]
    for keys, error, says in cases:
        with pytest.raises(error, match=says):
            first(made(url, "postgres", **keys))
