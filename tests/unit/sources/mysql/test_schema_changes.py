"""Schema change records equal Debezium's: every one of the golden recordings, made again from its statement alone."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from cdc.core.schema import INT32, INT64, STRING, Schema, optional
from cdc.core.table import TableId
from cdc.debezium.schemas import source_schema
from cdc.show.plain import plain
from cdc.sources.mysql.ddl import statements as ddl
from cdc.sources.mysql.ddl.schema_change_text import statement_text
from cdc.sources.mysql.ddl.structure import Structures
from cdc.sources.mysql.ddl.tokens import Dialect
from cdc.sources.mysql.flavor import MARIADB, MYSQL
from cdc.sources.mysql.schema_changes import Database, make_message, make_schemas, snapshot_changes

GOLDEN = Path(__file__).parents[3] / "golden"
FLAVORS = {each.name: each for each in (MYSQL, MARIADB)}
RECORDINGS = [f"{flavor}-{name}" for flavor in ("mysql", "mariadb")
              for name in ("types-snapshot", "types-stream", "shapes-stream")]


def source(flavor: str) -> Schema:
    return source_schema(f"io.debezium.connector.{flavor}.Source", (
        ("table", optional(STRING)), ("server_id", Schema(INT64)), ("gtid", optional(STRING)),
        ("file", Schema(STRING)), ("pos", Schema(INT64)), ("row", Schema(INT32)), ("thread", optional(INT64)),
        ("query", optional(STRING)),
    ))


def recorded(name: str) -> list[dict[str, Any]]:
    with gzip.open(GOLDEN / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [record for record in map(json.loads, lines) if record["topic"] == "srv"]


def connect_json(schema: Schema, field: str | None = None) -> dict[str, Any]:
    """A schema as JsonConverter writes it."""
    shown: dict[str, Any] = {"type": schema.type.lower()}
    if schema.fields:
        shown["fields"] = [connect_json(each.schema, each.name) for each in schema.fields]
    if schema.items:
        shown["items"] = connect_json(schema.items)
    shown["optional"] = schema.optional
    for key in ("name", "version", "default"):
        if (value := getattr(schema, key)) is not None:
            shown[key] = value
    if schema.parameters:
        shown["parameters"] = dict(schema.parameters)
    if field is not None:
        shown["field"] = field
    return shown


@pytest.mark.parametrize("name", RECORDINGS)
def test_schemas_are_debeziums(name: str) -> None:
    flavor = FLAVORS[name.partition("-")[0]]
    schemas = make_schemas(flavor, str, source(flavor.name))
    for record in recorded(name):
        assert connect_json(schemas.key) == record["key"]["schema"]
        assert connect_json(schemas.value) == record["value"]["schema"]


@pytest.mark.parametrize("name", RECORDINGS)
def test_payloads_are_debeziums(name: str) -> None:
    flavor = FLAVORS[name.partition("-")[0]]
    schemas = make_schemas(flavor, str, source(flavor.name))
    structures = Structures()
    dialect = Dialect(flavor.grammar)
    for record in recorded(name):
        payload = record["value"]["payload"]
        statement, database = payload["ddl"], payload["databaseName"]
        if statement.startswith(("SET ", "USE ")):
            assert ddl.apply(statement, database, structures, dialect).kind == "other"
            continue
        block = tuple(payload["source"].values())
        outcome = ddl.apply(statement, database, structures, dialect)
        assert not outcome.reread
        assert [each.ddl for each in outcome.changes] == [statement]
        change, = ddl.complete(outcome, structures)
        message = make_message(change, "srv", schemas, block, payload["ts_ms"], flavor=flavor)
        assert plain(message.value_schema, message.value) == payload
        assert plain(message.key_schema, message.key) == record["key"]["payload"]
        assert message.kafka_partition == 0
        assert message.context_headers


@pytest.mark.parametrize("name", RECORDINGS)
def test_snapshots_say_the_same_in_the_same_order(name: str) -> None:
    payloads = [record["value"]["payload"] for record in recorded(name)
                if record["value"]["payload"]["source"]["snapshot"] != "false"]
    collation = "utf8mb4_0900_ai_ci" if name.startswith("mysql") else "utf8mb4_general_ci"
    server = ("utf8mb4", collation) if name.startswith("mysql") else ("latin1", "latin1_swedish_ci")
    database = payloads[1]["databaseName"]
    structures = Structures(database_charsets={database: "utf8mb4"})
    creates = [payload["ddl"] for payload in payloads if payload["ddl"].startswith("CREATE TABLE")]
    tables = [(ddl.read_create(text, database, structures), statement_text(text)) for text in reversed(creates)]
    changes = snapshot_changes(*server, [Database(database, "utf8mb4", collation)], tables)
    assert [(each.ddl, each.database) for each in changes] == [(p["ddl"], p["databaseName"]) for p in payloads]
    assert [each.change and each.change.id.table for each in changes] == [p["source"]["table"] for p in payloads]


def test_the_end_of_a_versioned_comment_is_cut_as_debezium_cuts_it() -> None:
    text = "CREATE TABLE `p` (`id` int) /*!50100 PARTITION BY HASH (`id`) PARTITIONS 4 */"
    assert statement_text(text) == text.removesuffix(" */")


def test_a_table_that_is_not_known_is_left_to_its_statement() -> None:
    structures = Structures()
    outcome = ddl.apply("ALTER TABLE t ADD c int", "d", structures)
    message = make_message(outcome.changes[0], "srv", make_schemas(MYSQL, str, source("mysql")), (), 1,
                           flavor=MYSQL)
    assert message.value[3:] == (None, "ALTER TABLE t ADD c int", [])


def test_names_are_quoted_twice() -> None:
    structures = Structures()
    outcome = ddl.apply('DROP TABLE `a"b`', "d", structures)
    message = make_message(outcome.changes[0], "srv", make_schemas(MYSQL, str, source("mysql")), (), 1,
                           flavor=MYSQL)
    assert message.value[5] == [("DROP", '"d"."a""b"', None)]


def test_comments_are_left_out_unless_asked_for() -> None:
    from cdc.sources.mysql.schema_changes import table_value
    table = ddl.read_create("CREATE TABLE t (a int COMMENT 'x') COMMENT='y'", "d", Structures())
    assert table.id == TableId("d", "", "t")
    assert table_value(table, MYSQL)[3] is None
    assert table_value(table, MYSQL)[2][0][12] is None
    assert table_value(table, MYSQL, comments=True)[3] == "y"
    assert table_value(table, MYSQL, comments=True)[2][0][12] == "x"
