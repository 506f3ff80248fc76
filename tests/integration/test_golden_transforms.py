"""Every record that the real Debezium sends through transforms, and ours: equal but for what is volatile
(tests/golden/README.md). The connector runs once for each script and its options; each case then applies its transforms
to the same records."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from cdc import plugins
from cdc.converters.avro.converter import AvroConverter
from cdc.converters.json import JsonConverter
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.converters.simple import SimpleHeaderConverter
from cdc.converters.views import Views
from cdc.core.interfaces import Outgoing
from cdc.sources.mysql.options import parse_mariadb, parse_mysql
from cdc.sources.mysql.source import MySqlSource
from cdc.sources.postgres.options import parse_postgres
from cdc.sources.postgres.source import PostgresSource
from cdc.transforms.chain import Chain, read_steps
from tests.integration.golden_transforms import CASES, Case
from tests.integration.pg_source import is_mark
from tests.integration.test_golden_mysql import Script, statements
from tests.integration.test_golden_postgres import Pair, decode
from tests.unit.converters.connect_json import golden_records

GOLDEN = Path(__file__).parents[1] / "golden" / "transforms"
VOLATILE = re.compile(
    r"(.*[._])?(ts_ms|ts_us|ts_ns|txId|xmin|lsn|sequence|version|gtid|file|pos|server_id|thread)")
Run = tuple[list[Any], list[tuple[str, str]]]
"""The records of a connector, and its constant headers."""


@pytest.fixture(scope="module")
def runs() -> dict[Any, Run]:
    return {}


@pytest.fixture(params=[(case, database) for case in CASES for database in case.databases],
                ids=lambda param: f"{param[1]}-{param[0].name}")
def case(request: pytest.FixtureRequest, runs: dict[Any, Run]) -> tuple[Case, str, Run]:
    found, database = request.param
    key = (database, found.script, tuple(found.options.items()), found.snapshot)
    if key not in runs:
        server = request.getfixturevalue("postgres15" if database == "postgres" else database)
        run = postgres_run if database == "postgres" else mysql_run
        runs[key] = run(server, database, found)
    return found, database, runs[key]


def postgres_run(server: Any, database: str, case: Case) -> Run:
    setup, data = (GOLDEN / f"postgres-{case.script}.sql").read_text(encoding="utf-8").split("-- data\n")
    server.create_database("golden")
    try:
        with server.connect("golden") as conn:
            for statement in statements(setup) + (statements(data) if case.snapshot else []):
                conn.execute(statement.encode())
            config, _ = parse_postgres({
                "name": "golden", "connector.class": "postgresql", "topic.prefix": "srv", "slot.name": "golden",
                "slot.drop.on.stop": "true", "cdc.debezium.faults": "true", "database.hostname": server.host,
                "database.port": str(server.port), "database.user": "postgres", "database.dbname": "golden",
                "snapshot.mode": "initial_only" if case.snapshot else "no_data", **case.options})
            source = PostgresSource(config)
            try:
                source.start(None)
                if not case.snapshot:
                    for statement in [*statements(data), "SELECT pg_logical_emit_message(true, 'mark', '')"]:
                        conn.execute(statement.encode())
                records = polled(source, lambda found: any(map(is_mark, found)))
                return [each for each in records if not is_mark(each)], source.context_headers("run")
            finally:
                source.stop()
    finally:
        server.drop_database("golden")


def mysql_run(server: Any, database: str, case: Case) -> Run:
    server.create_user("golden", "golden", ["ALL PRIVILEGES ON *.*"])
    script = Script(server, f"transforms/mysql-{case.script}.sql")
    try:
        script.set_up()
        if case.snapshot:
            script.change_data()
        config, _ = (parse_mariadb if database == "mariadb" else parse_mysql)({
            "name": "golden", "topic.prefix": "srv", "database.hostname": server.host,
            "database.port": str(server.port), "database.user": "golden", "database.password": "golden",
            "database.server.id": "7702", "database.include.list": "smt", "include.schema.changes": "false",
            "snapshot.mode": "initial_only" if case.snapshot else "no_data", **case.options})
        source = MySqlSource(config)
        try:
            source.start(None)
            records: list[Any] = []
            if not case.snapshot:
                records += polled(source, lambda _: source.state() == "streaming")
                script.change_data()
            end = server.binlog_end()
            records += polled(source, lambda _: place(source) >= end)
            return records, source.context_headers("run")
        finally:
            source.stop()
    finally:
        script.close()
        server.execute("DROP DATABASE IF EXISTS smt")
        server.drop_user("golden")


_places: dict[int, tuple[str, int]] = {}


def place(source: Any) -> tuple[str, int]:
    return _places.get(id(source), ("", 0))


def polled(source: Any, done: Any) -> list[Any]:
    """All records until *done* says so of them, or the source is finished."""
    records: list[Any] = []
    deadline = time.monotonic() + 120
    while not done(records) and not source.finished():
        assert time.monotonic() < deadline, f"{len(records)} records, and no end"
        batch = source.poll(0.5)
        if batch is not None:
            records += batch.records
            offset = batch.position.offset()
            _places[id(source)] = str(offset.get("file", "")), int(offset.get("pos", 0))
    return records


def transformed(case: Case, run: Run) -> list[Pair]:
    records, headers = run
    avro = AvroConverter()
    sides: list[list[Outgoing]] = []
    for make in (JsonConverter, AvroConverter):
        key, value = make(), avro if make is AvroConverter else make()
        for converter, is_key in ((key, True), (value, False)):
            converter.configure({"schemas.enable": "true", "schema.registry.url": "mock://golden"}, is_key)
        steps, parsed = read_steps(case.config(), lambda kind, name, option: plugins.find(kind, name, option=option))
        parsed.check("test")
        views = Chain(steps, Views(ColumnFailures(), headers).view, shapes=True).apply(
            records, 1_700_000_000_000_000)
        out = RecordConverter(key, value, SimpleHeaderConverter(), ColumnFailures(), headers)
        sides.append(list(out.convert(views, 1_700_000_000_000_000)))
    return [Pair(plain, other, avro) for plain, other in zip(*sides, strict=True)]


def masked(value: Any) -> Any:
    """*value* without what differs from run to run."""
    if isinstance(value, list | tuple):
        return [masked(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: type(each).__name__ if VOLATILE.fullmatch(key) else masked(each)
            for key, each in value.items() if key != "-record"}


def test_every_record_equals_debezium(case: tuple[Case, str, Run]) -> None:
    found, database, run = case
    golden = list(golden_records(GOLDEN / f"{database}-{found.name}.jsonl.gz"))
    ours = transformed(found, run)
    assert [pair.plain.topic for pair in ours] == [record["topic"] for record in golden]
    texts: dict[int, str] = {}
    for number, (pair, record) in enumerate(zip(ours, golden, strict=True)):
        where = f"{database}-{found.name}[{number}] {record['topic']}"
        for side in ("key", "value"):
            check_side(pair, record, side, texts, where)
        wanted = [(each["key"], masked_header(each["key"], each["wire"])) for each in record["headers"]]
        got = [(name, masked_header(name, None if data is None else data.decode()))
               for name, data in pair.plain.headers]
        assert got == wanted, where
        assert pair.plain.kafka_partition == (-1 if record.get("partition") is None else record["partition"]), where
        if record.get("timestamp") is not None:
            assert pair.plain.timestamp_ms == record["timestamp"], where


def masked_header(name: str, text: str | None) -> str | None:
    if name in ("__debezium.context.runId", "__debezium.context.taskId") or VOLATILE.fullmatch(name):
        return "volatile"
    return text


def check_side(pair: Pair, record: dict[str, Any], side: str, texts: dict[int, str], where: str) -> None:
    wanted, got = record.get(side), pair.json(side)
    if wanted is None:
        assert got is None or got["schema"] is None, f"{where} {side}"
        assert pair.avro_of(side) is None, f"{where} {side}"
        return
    assert got is not None, f"{where} {side}"
    assert json.dumps(got["schema"]) == json.dumps(wanted["schema"]), f"{where} {side} schema"
    assert json.dumps(masked(got["payload"])) == json.dumps(masked(wanted["payload"])), f"{where} {side}"
    avro = record.get(f"avro_{side}")
    if avro is None:
        assert pair.avro_of(side) is None, f"{where} {side}"
        return
    texts.setdefault(avro["schema_ref"], avro.get("schema", ""))
    text, value = pair.avro_of(side) or ("", None)
    assert text == texts[avro["schema_ref"]], f"{where} {side} Avro schema"
    assert masked(value) == masked(decode(text, bytes.fromhex(avro["hex"]))), f"{where} {side}"
