"""Every record of the real Debezium for the golden scripts, and ours, on MySQL and MariaDB: equal but for what is
volatile, and for zero TIMESTAMPs in MariaDB's, which are null as since Debezium 3.6 (tests/golden/README.md)."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from cdc.converters.avro.converter import AvroConverter
from cdc.converters.json import JsonConverter
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.converters.simple import SimpleHeaderConverter
from cdc.sources.mysql.options import parse_mariadb, parse_mysql
from cdc.sources.mysql.source import MySqlSource
from tests.integration.test_golden_postgres import SHAPES, Pair, decode
from tests.servers.mysql import BinlogServer
from tests.unit.converters.connect_json import golden_records

GOLDEN = Path(__file__).parents[1] / "golden"

VOLATILE = {"ts_ms", "ts_us", "ts_ns", "gtid", "file", "pos", "server_id", "thread", "version", "sequence"}
NOW_COLUMNS = {"def_ts"}
"""Default to the current time."""

ZERO_TIMESTAMPS = {"ts", "ts3", "ts6"}
"""Null since Debezium 3.6; MariaDB's were recorded with 3.5."""

SCENARIOS = {
    "types-stream": ("mysql-types.sql", {"snapshot.mode": "no_data"}),
    "types-snapshot": ("mysql-types.sql", {"snapshot.mode": "initial_only"}),
    "shapes-stream": ("mysql-shapes.sql", {"snapshot.mode": "no_data", **SHAPES}),
}

ADJUSTED = {"schema.name.adjustment.mode": "avro", "field.name.adjustment.mode": "avro"}

MORE_SCENARIOS = {
    "values-stream": ("values", {"snapshot.mode": "no_data"}),
    "values-initial": ("values", {
        "snapshot.mode": "initial", "time.precision.mode": "microseconds", "decimal.handling.mode": "string",
        "bigint.unsigned.handling.mode": "precise", "binary.handling.mode": "hex", "include.schema.comments": "true",
        "column.propagate.source.type": r"inv\.(n|d|tm|s|b|bt|e|dt|ds)\..*",
    }),
    "values-mild-initial": ("values", {
        "snapshot.mode": "initial", "time.precision.mode": "connect", "decimal.handling.mode": "double",
        "binary.handling.mode": "base64-url-safe", "table.include.list": r"inv\.(mild|e|dd|db_|bt|zoned)",
        "column.truncate.to.3.chars": r"inv\.mild\.v,inv\.db_\..*", "column.mask.with.4.chars": r"inv\.e\.e.*",
        "schema.history.internal.store.only.captured.tables.ddl": "true",
    }),
    "values-iso-stream": ("values", {
        "snapshot.mode": "no_data", "time.precision.mode": "isostring", "enable.time.adjuster": "false",
        "table.include.list": r"inv\.(mild|dt|zoned)", "include.schema.changes": "false",
        "column.mask.hash.v2.SHA-256.with.salt.CzQMA0cB5K": r"inv\.mild\.v",
    }),
    "tables-stream": ("tables", {
        "snapshot.mode": "no_data", "provide.transaction.metadata": "true", "skipped.operations": "none", **ADJUSTED,
    }),
    "tables-initial": ("tables", {
        "snapshot.mode": "initial",
        "message.key.columns": r"inv.pk2:c,d;inv.nopk:b;(.*).sec:ssn,em,d;inv.wide:c0,id;shp.*:v",
        "column.mask.with.5.chars": r"inv\.sec\.(ssn|em|e|d|bin|id)",
        "column.truncate.to.2.chars": r"inv\.sec\.(nm|t|j),inv\.pk2\.b",
        "column.mask.hash.SHA-256.with.salt.abc": r"inv\.pk2\.d,inv\.nopk\.b",
        "topic.naming.strategy": "io.debezium.schema.DefaultRegexTopicNamingStrategy",
        "topic.regex": r"srv\.(inv|shp)\.(.*)", "topic.replacement": "srv.all.$1",
        **ADJUSTED,
    }),
    "tables-filtered-stream": ("tables", {
        "snapshot.mode": "no_data", "table.include.list": r"inv\.(pk2|sec|uq|nopk|gen),shp\..*",
        "column.exclude.list": r"inv\.sec\.(d|j),inv\.uq\.b,inv\.gen\.v", "skipped.operations": "c,d",
        "tombstones.on.delete": "false", "skip.messages.without.change": "true",
        "column.truncate.to.5.chars": r"inv\.sec\..*", "extended.headers.enabled": "false", **ADJUSTED,
    }),
    "statements-stream": ("statements", {
        "snapshot.mode": "no_data", "table.include.list": r"inv\.(a|b|n.|odd.*|lat),oth\..*",
        "database.include.list": "inv,oth,newdb", "include.schema.comments": "true", **ADJUSTED,
    }),
}
"""Recorded with Debezium 3.6 and the servers' own settings; each flavor has scripts of its own."""


def statements(script: str) -> list[str]:
    """As the command-line client runs them: one by one."""
    text = "\n".join(line for line in script.splitlines() if not line.startswith("--"))
    found, current, quote, escaped = [], "", "", False
    for char in text:
        if quote:
            quote = "" if char == quote and not escaped else quote
            escaped = char == "\\" and not escaped and quote != "`"
        elif char in "'`\"":
            quote = char
        elif char == ";":
            found.append(current)
            current = ""
            continue
        current += char
    return [each for each in found if each.strip()]


class Script:
    """A golden script on a server, in one session."""

    def __init__(self, server: BinlogServer, name: str) -> None:
        before, self._data = (GOLDEN / name).read_text(encoding="utf-8").split("-- data\n")
        self._setup, _, self._rows = before.partition("-- rows\n")
        self._conn = server.connect()

    def _run(self, script: str) -> None:
        with self._conn.cursor() as cursor:
            for statement in statements(script):
                cursor.execute(statement)

    def set_up(self) -> None:
        self._run(self._setup)

    def insert_rows(self) -> None:
        self._run(self._rows)

    def change_data(self) -> None:
        self._run(self._data)

    def run(self, statement: str) -> None:
        self._run(statement + ";")

    def close(self) -> None:
        self._conn.close()


@pytest.fixture(params=["mysql", "mariadb"])
def flavor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(flavor: str, request: pytest.FixtureRequest) -> BinlogServer:
    found: BinlogServer = request.getfixturevalue(flavor)
    return found


@pytest.fixture(params=SCENARIOS)
def scenario(request: pytest.FixtureRequest, flavor: str, server: BinlogServer) -> Any:
    name = request.param
    script_name, options = SCENARIOS[name]
    server.create_user("golden", "golden", ["ALL PRIVILEGES ON *.*"])
    if flavor == "mariadb":  # its default then, of which the first record tells
        server.set(character_set_server="latin1", collation_server="latin1_swedish_ci")
    script = Script(server, script_name)
    try:
        script.set_up()
        snapshot = name.endswith("snapshot")
        if snapshot:
            script.change_data()
            if flavor == "mariadb":  # as for the recording
                script.run("UPDATE inv.t_time SET y = 1970 WHERE y = 0")
        source = make_source(server, flavor, options)
        try:
            source.start(None)
            golden = list(golden_records(GOLDEN / f"{flavor}-{name}.jsonl.gz"))
            yield name, flavor, golden, collect(source, None if snapshot else script, len(golden))
        finally:
            source.stop()
    finally:
        script.close()
        clean(server)
        server.set(character_set_server=None, collation_server=None)


def clean(server: BinlogServer) -> None:
    for database in ("inv", "shp", "oth", "newdb"):
        server.execute(f"DROP DATABASE IF EXISTS {database}")
    server.drop_user("golden")


@pytest.fixture(params=MORE_SCENARIOS)
def more(request: pytest.FixtureRequest, flavor: str, server: BinlogServer) -> Any:
    """As `scenario`; of an `initial` one the rows are there first, and the changes come while the log is streamed."""
    name = request.param
    kind, options = MORE_SCENARIOS[name]
    server.create_user("golden", "golden", ["ALL PRIVILEGES ON *.*"])
    script = Script(server, f"{flavor}-{kind}.sql")
    try:
        script.set_up()
        initial = options["snapshot.mode"] == "initial"
        if initial:
            script.insert_rows()
        source = make_source(server, flavor, options)
        try:
            source.start(None)
            golden = list(golden_records(GOLDEN / f"{flavor}-{name}.jsonl.gz"))
            yield name, flavor, golden, collect(source, script, len(golden), rows_too=not initial)
        finally:
            source.stop()
    finally:
        script.close()
        clean(server)


def make_source(server: BinlogServer, flavor: str, options: dict[str, str]) -> MySqlSource:
    given = {
        "name": "golden", "topic.prefix": "srv", "database.hostname": server.host, "database.port": str(server.port),
        "database.user": "golden", "database.password": "golden", "database.server.id": "7701",
        "database.include.list": "inv,shp", "schema.history.internal.store.only.captured.databases.ddl": "true",
        **options,
    }
    config, _ = (parse_mariadb if flavor == "mariadb" else parse_mysql)(given)
    source = MySqlSource(config)
    source.prefer_native()
    return source


def collect(source: MySqlSource, script: Script | None, wanted: int, *, rows_too: bool = False) -> list[Pair]:
    """Until *wanted* records came and nothing follows; *script*'s data part runs once the log is streamed, behind its
    rows where *rows_too*."""
    records: list[Any] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not source.finished():
        batch = source.poll(0.5)
        if script is not None and source.state() == "streaming":
            if rows_too:
                script.insert_rows()
            script.change_data()
            script = None
        if batch is not None:
            records += batch.records
        elif len(records) >= wanted:
            break
    headers = source.context_headers("run") if source.config.extended_headers_enabled else []
    return converted(records, headers)


def converted(records: list[Any], headers: list[tuple[str, str]]) -> list[Pair]:
    both, avro_value = [], AvroConverter()
    for make in (JsonConverter, AvroConverter):
        key, value = make(), avro_value if make is AvroConverter else make()
        for converter, is_key in ((key, True), (value, False)):
            converter.configure({"schemas.enable": "true", "schema.registry.url": "mock://golden"}, is_key)
        both.append(RecordConverter(key, value, SimpleHeaderConverter(), ColumnFailures(), headers))
    return [Pair(plain, avro, avro_value)
            for plain, avro in zip(*(each.convert(records, 1) for each in both), strict=True)]


def masked(value: Any, zero_timestamps: bool) -> Any:
    """*value* without what differs from run to run."""
    if isinstance(value, list | tuple):
        return [masked(each, zero_timestamps) for each in value]
    if not isinstance(value, dict):
        return value
    out: dict[str, Any] = {}
    for key, each in value.items():
        if key in VOLATILE:
            out[key] = type(each).__name__
        elif key in NOW_COLUMNS and each is not None:
            out[key] = re.sub(r"\d", "0", str(each)) if not str(each).startswith(("2001", "1970")) else each
        elif zero_timestamps and key in ZERO_TIMESTAMPS and str(each).startswith("1970-01-01T00:00:00"):
            out[key] = None
        elif key == "id" and isinstance(each, str):
            out[key] = "volatile"
        elif key != "-record":
            out[key] = masked(each, zero_timestamps)
    return out


Found = tuple[str, str, list[dict[str, Any]], list[Pair]]


def test_every_mysql_record_equals_debezium(scenario: Found) -> None:
    check_equal(*scenario, zero=scenario[1] == "mariadb")


def test_every_mysql_record_equals_debezium_in_other_modes_tables_and_statements(more: Found) -> None:
    check_equal(*more, zero=False)


def check_equal(name: str, flavor: str, golden: list[dict[str, Any]], ours: list[Pair], *, zero: bool) -> None:
    """*zero*: zero TIMESTAMPs count as null."""
    assert [pair.plain.topic for pair in ours] == [record["topic"] for record in golden]
    texts: dict[int, str] = {}
    for number, (pair, record) in enumerate(zip(ours, golden, strict=True)):
        where = f"{flavor}-{name}[{number}] {record['topic']}"
        for side in ("key", "value"):
            wanted, got = record.get(side), pair.json(side)
            if wanted is None:
                assert got is None or got["schema"] is None, f"{where} {side}"
                continue
            assert json.dumps(got["schema"]) == json.dumps(wanted["schema"]), f"{where} {side} schema"
            assert json.dumps(masked(got["payload"], zero)) == json.dumps(masked(wanted["payload"], zero)), \
                f"{where} {side}"
            avro = record[f"avro_{side}"]
            texts.setdefault(avro["schema_ref"], avro.get("schema", ""))
            text, value = pair.avro_of(side) or ("", None)
            assert text == texts[avro["schema_ref"]], f"{where} {side} Avro schema"
            assert masked(value, zero) == masked(decode(text, bytes.fromhex(avro["hex"])), zero), f"{where} {side}"
        assert [header for header, _ in pair.plain.headers] == [each["key"] for each in record["headers"]], where
        assert pair.plain.kafka_partition == (-1 if record.get("partition") is None else record["partition"]), where
