"""Every record of the real Debezium for the golden scripts, and ours for the same scripts: equal but for what is
volatile (tests/golden/README.md).

A script has the tables first, then rows that a snapshot finds (`-- rows`), then what is streamed (`-- data`). The
scripts of tests/integration/scenarios were recorded from Debezium 3.6.3.Final on PostgreSQL 15 too.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest

from cdc.converters.avro.converter import AvroConverter
from cdc.converters.json import JsonConverter
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.converters.simple import SimpleHeaderConverter
from cdc.core.interfaces import Outgoing
from cdc.sources.postgres.options import parse_postgres
from cdc.sources.postgres.source import PostgresSource
from tests.servers.postgres import PostgresServer
from tests.unit.converters.connect_json import golden_records

GOLDEN = Path(__file__).parents[1] / "golden"
SCRIPTS = Path(__file__).parent / "scenarios"

VOLATILE = {"ts_ms", "ts_us", "ts_ns", "txId", "xmin", "lsn", "sequence", "version"}
"""Of the envelope and its source block."""

SHAPES = {"provide.transaction.metadata": "true", "skipped.operations": "none",
          "schema.name.adjustment.mode": "avro", "field.name.adjustment.mode": "avro"}

AVRO_NAMES = {"schema.name.adjustment.mode": "avro", "field.name.adjustment.mode": "avro"}

VALUES, TABLES = "postgres-values.sql", "postgres-tables.sql"

SCENARIOS = {
    "types-stream": ("postgres-types.sql", {"snapshot.mode": "no_data"}),
    "types-snapshot": ("postgres-types.sql", {"snapshot.mode": "initial_only"}),
    "shapes-stream": ("postgres-shapes.sql", {"snapshot.mode": "no_data", **SHAPES}),
    "values-stream": (VALUES, {"snapshot.mode": "no_data"}),
    "values-initial": (VALUES, {
        "snapshot.mode": "initial", "time.precision.mode": "isostring", "decimal.handling.mode": "string",
        "interval.handling.mode": "string", "hstore.handling.mode": "map", "binary.handling.mode": "hex",
        "money.fraction.digits": "4", "include.unknown.datatypes": "true"}),
    "values-mapped-initial": (VALUES, {
        "snapshot.mode": "initial", "time.precision.mode": "microseconds", "decimal.handling.mode": "double",
        "column.truncate.to.3.chars": ".*_text.*", "column.mask.with.4.chars": ".*t_arr.*",
        "column.mask.hash.SHA-256.with.salt.CzQMA0cB5K": ".*t_tdef.*",
        "column.propagate.source.type": ".*t_(num|ndef|time|bits|range).*"}),
    "tables-stream": (TABLES, {
        "snapshot.mode": "no_data", "provide.transaction.metadata": "true", "skipped.operations": "none",
        **AVRO_NAMES}),
    "tables-initial": (TABLES, {
        "snapshot.mode": "initial",
        "topic.naming.strategy": "io.debezium.schema.SchemaRegexTopicNamingStrategy",
        "topic.regex": r"srv\.s\.(part|toast|uq)_(.*)", "topic.replacement": "srv.s.all_$1",
        "message.key.columns": r"s\.secret:ssn,id;s\.nopk:a;s\.pk_comp:v",
        "column.mask.with.5.chars": r"s\.secret\.(ssn|em|n|id)",
        "column.truncate.to.2.chars": r"s\.secret\.(nm|by|opt),s\.toast_.\..*", **AVRO_NAMES}),
    "tables-filtered-stream": (TABLES, {
        "snapshot.mode": "no_data", "table.include.list": r"s\.uq.*,s\.toast_[df],s\.secret,public.*,s\.part.*",
        "column.exclude.list": r"s\.secret\.(id|nm),s\.toast_d\.[^itn].*", "skipped.operations": "d",
        "tombstones.on.delete": "false", "message.prefix.exclude.list": "pre.*", "extended.headers.enabled": "false",
        "publish.via.partition.root": "true", **AVRO_NAMES}),
}


class Pair:
    """One record through both converters."""

    def __init__(self, plain: Outgoing, avro: Outgoing, schemas: AvroConverter) -> None:
        self.plain = plain
        self.avro = avro
        self.schemas = schemas

    def json(self, side: str) -> Any:
        data = self.plain.key if side == "key" else self.plain.value
        return None if data is None else json.loads(data)

    def avro_of(self, side: str) -> tuple[str, Any] | None:
        """Schema text and decoded value."""
        data = self.avro.key if side == "key" else self.avro.value
        if data is None:
            return None
        assert data[0] == 0
        text = self.schemas.schema_text(int.from_bytes(data[1:5]))
        return text, decode(text, data[5:])


def decode(text: str, data: bytes) -> Any:
    """The value, having checked that fastavro writes the same bytes for it."""
    schema = fastavro.parse_schema(json.loads(text))
    stream = io.BytesIO(data)
    value = fastavro.schemaless_reader(stream, schema, schema, return_record_name=True,
                                       return_record_name_override=True)
    assert stream.read() == b"", "bytes after the value"
    return value


@pytest.fixture(params=SCENARIOS)
def scenario(request: pytest.FixtureRequest, postgres15: PostgresServer) -> Iterator[tuple[str, list[Pair]]]:
    name = request.param
    script, options = SCENARIOS[name]
    setup, rows, data = _parts(script)
    if "hstore" in setup and not postgres15.has_extension("hstore"):
        pytest.skip("this PostgreSQL has no contrib modules")
    postgres15.create_database("golden")
    try:
        with postgres15.connect("golden") as conn:
            conn.execute(setup.encode())
            before, during = {"no_data": ("", rows + data), "initial_only": (rows + data, "")}.get(
                options["snapshot.mode"], (rows, data))
            _run(conn, before)
            source, given = _source(postgres15, options)
            try:
                source.start(None)
                copied = _snapshot(source) if during else []
                _run(conn, during)
                wanted = sum(1 for _ in golden_records(GOLDEN / f"postgres-{name}.jsonl.gz"))
                yield name, _collect(source, given, wanted, copied)
            finally:
                source.stop()
    finally:
        postgres15.drop_database("golden")


def _parts(script: str) -> tuple[str, str, str]:
    """Tables, rows, data; a script without rows has them among its data."""
    path = GOLDEN / script if (GOLDEN / script).exists() else SCRIPTS / script
    setup, *rest = re.split(r"^-- (?:rows|data)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    rows, data = rest if len(rest) == 2 else ("", rest[0])
    return setup, rows, data


def _run(conn: Any, script: str) -> None:
    """As psql runs it: each statement on its own."""
    for statement in _statements(script):
        conn.execute(statement.encode())


def _statements(script: str) -> list[str]:
    found, start, quoted = [], 0, False
    for index, char in enumerate(script):
        if char == "'":
            quoted = not quoted
        elif char == ";" and not quoted:
            found.append(script[start:index])
            start = index + 1
    return [each for each in found if each.strip()]


def _source(server: PostgresServer, options: dict[str, str]) -> tuple[PostgresSource, dict[str, str]]:
    given = {
        "name": "golden", "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "topic.prefix": "srv", "plugin.name": "pgoutput", "slot.name": "golden", "slot.drop.on.stop": "true",
        "cdc.debezium.faults": "true",
        "database.hostname": server.host, "database.port": str(server.port), "database.user": "postgres",
        "database.dbname": "golden", **options,
    }
    config, _ = parse_postgres(given)
    source = PostgresSource(config)
    source.prefer_native()
    return source, given


def _snapshot(source: PostgresSource) -> list[Any]:
    """Its records, before anything is changed: it does not go on over a TRUNCATE."""
    records: list[Any] = []
    while source.state() == "snapshotting":
        batch = source.poll(1.0)
        records += batch.records if batch is not None else []
    return records


def _collect(source: PostgresSource, given: dict[str, str], wanted: int, records: list[Any]) -> list[Pair]:
    """Until there are *wanted* records, and nothing follows them. *records* are there already."""
    headers = source.context_headers("run") if source.config.extended_headers_enabled else []
    avro = {is_key: AvroConverter() for is_key in (True, False)}
    for is_key, each in avro.items():
        each.configure({"schema.registry.url": "mock://golden"}, is_key)
    plain = {is_key: JsonConverter() for is_key in (True, False)}
    for is_key, converter in plain.items():
        converter.configure({"schemas.enable": "true"}, is_key)
    header = SimpleHeaderConverter()
    both = [RecordConverter(side[True], side[False], header, ColumnFailures(), headers) for side in (plain, avro)]
    deadline = time.monotonic() + 90
    now_us = time.time_ns() // 1000
    while time.monotonic() < deadline and not source.finished():
        batch = source.poll(0.5 if len(records) >= wanted else 1.0)
        if batch is not None:
            records += batch.records
            if batch.native is not None:
                out = both[1].encode(batch.native, now_us)
                assert [out.outgoing(index) for index in range(len(out))] == both[1].convert(batch.records, now_us)
        elif len(records) >= wanted:
            break
    return [Pair(a, b, avro[False]) for a, b in zip(*(each.convert(records, now_us) for each in both), strict=True)]


def masked(value: Any, topic: str) -> Any:
    """*value* without what differs from run to run."""
    if isinstance(value, list):
        return [masked(each, topic) for each in value]
    if not isinstance(value, dict):
        return "NaN" if value != value else value
    out: dict[str, Any] = {}
    for key, each in value.items():
        if key in VOLATILE:
            out[key] = type(each).__name__
        elif key == "transaction" and isinstance(each, dict):
            out[key] = {**each, "id": "volatile"}
        elif key == "id" and topic == "srv.transaction":
            out[key] = "volatile"
        elif key == "data_collection" and re.search("LOGICAL_DECODING_MESSAGE|LogicalDecodingMessageId", str(each)):
            out[key] = "message"
        elif key == "-record":
            continue
        else:
            out[key] = masked(each, topic)
    return out


def test_every_record_equals_debezium(scenario: tuple[str, list[Pair]]) -> None:
    name, ours = scenario
    golden = list(golden_records(GOLDEN / f"postgres-{name}.jsonl.gz"))
    assert [pair.plain.topic for pair in ours] == [record["topic"] for record in golden]
    texts: dict[int, str] = {}
    for number, (pair, record) in enumerate(zip(ours, golden, strict=True)):
        where = f"{name}[{number}] {record['topic']}"
        topic = record["topic"]
        for side in ("key", "value"):
            wanted = record.get(side)
            got = pair.json(side)
            if wanted is None:
                assert got is None or got["schema"] is None, f"{where} {side}"
                assert pair.avro_of(side) is None, f"{where} {side}"
                continue
            assert list(got) == ["schema", "payload"]
            assert json.dumps(got["schema"]) == json.dumps(wanted["schema"]), f"{where} {side} schema"
            assert json.dumps(masked(got["payload"], topic)) == json.dumps(masked(wanted["payload"], topic)), \
                f"{where} {side}"
            avro = record[f"avro_{side}"]
            texts.setdefault(avro["schema_ref"], avro.get("schema", ""))
            text, value = pair.avro_of(side) or ("", None)
            assert text == texts[avro["schema_ref"]], f"{where} {side} Avro schema"
            assert masked(value, topic) == masked(decode(text, bytes.fromhex(avro["hex"])), topic), f"{where} {side}"
        assert _headers(pair.plain) == [header["key"] for header in record["headers"]], where
        assert pair.plain.kafka_partition == (-1 if record.get("partition") is None else record["partition"]), where


def _headers(outgoing: Outgoing) -> list[str]:
    return [name for name, _ in outgoing.headers]
