"""Schemas equal to recorded ones when given the same columns.

event_schemas.json: by topic, the key's and the value's schema as Kafka Connect's JsonConverter printed them for
Debezium 3.6.3's events (`schema.name.adjustment.mode=avro`, topic prefix `srv`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cdc.config.regex import compile_java
from cdc.core.codec import Codec
from cdc.core.errors import ConfigError
from cdc.core.schema import INT32, STRING, Field, Schema
from cdc.core.table import Column, TableId, TableSchema
from cdc.debezium import schemas
from cdc.debezium.naming import Route, Strategy, TopicNaming, schema_adjuster

RECORDED: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "event_schemas.json").read_text())
AVRO = schema_adjuster("avro")
SOURCE = schemas.postgres_source_schema(AVRO)


def parsed(text: dict[str, Any] | None) -> Schema | None:
    """A schema from JsonConverter's form."""
    if text is None:
        return None
    return Schema(
        text["type"].upper(), text["optional"], text.get("name"), text.get("version"),
        parameters=tuple(text.get("parameters", {}).items()), default=text.get("default"),
        fields=tuple(Field(field["field"], schema) for field in text.get("fields", ()) if (schema := parsed(field))),
        items=parsed(text.get("items")),
    )


def column(index: int, field: str, schema: Schema) -> Column:
    return Column(index, field, field, "", schema, Codec(schema), None, schema, Codec(schema), None)


def table_like(topic: str, id: TableId) -> TableSchema:
    """The table schema of the columns that the recorded event of *topic* has."""
    recorded = RECORDED[topic]
    row = parsed(recorded["value"]["fields"][0])
    assert row is not None
    columns = [column(index, field.name, field.schema) for index, field in enumerate(row.fields)]
    by_name = {each.name: each for each in columns}
    key = [by_name[field["field"]] for field in (recorded["key"] or {"fields": ()})["fields"]]
    naming = TopicNaming("srv", schema_mode="avro")
    return schemas.make_table_schema(id, naming.data_topic(id), columns, key, SOURCE, naming)


@pytest.mark.parametrize("table", ["pk_composite", "no_pk", "Mixed Case.tbl"])
def test_table_schemas_are_as_recorded(table: str) -> None:
    id = TableId("golden", "shp", table)
    topic = TopicNaming("srv").data_topic(id)
    made = table_like(topic, id)
    assert made.topic == topic
    assert made.key_schema == parsed(RECORDED[topic]["key"])
    assert made.envelope_schema == parsed(RECORDED[topic]["value"])
    assert made.value_schema == made.envelope_schema.fields[0].schema


def test_table_without_key_has_no_key_schema() -> None:
    assert table_like("srv.shp.no_pk", TableId("golden", "shp", "no_pk")).key_schema is None


def test_transaction_schemas_are_as_recorded() -> None:
    assert schemas.transaction_key_schema(AVRO) == parsed(RECORDED["srv.transaction"]["key"])
    assert schemas.transaction_value_schema(AVRO) == parsed(RECORDED["srv.transaction"]["value"])


def test_message_schemas_are_as_recorded() -> None:
    assert schemas.message_key_schema(AVRO) == parsed(RECORDED["srv.message"]["key"])
    assert schemas.message_value_schema(AVRO, SOURCE) == parsed(RECORDED["srv.message"]["value"])


def test_message_content_is_text_unless_bytes() -> None:
    message = schemas.message_value_schema(AVRO, SOURCE, "base64").fields[-1].schema
    assert [(field.name, field.schema.type) for field in message.fields] == [("prefix", STRING), ("content", STRING)]


def test_heartbeat_schemas() -> None:
    key, value = schemas.heartbeat_key_schema(AVRO), schemas.heartbeat_value_schema(AVRO)
    assert (key.name, key.version, [field.name for field in key.fields]) == (
        "io.debezium.connector.common.ServerNameKey", 1, ["serverName"])
    assert (value.name, value.version, [field.name for field in value.fields]) == (
        "io.debezium.connector.common.Heartbeat", 1, ["ts_ms"])


def test_schema_names_are_adjusted_topic_is_not() -> None:
    naming = TopicNaming("my-srv", schema_mode="avro")
    id = TableId("d", "public", "t")
    made = schemas.make_table_schema(id, naming.data_topic(id), [column(0, "a", Schema(INT32))], [], SOURCE, naming)
    assert made.topic == "my-srv.public.t"
    assert made.envelope_schema.name == "my_srv.public.t.Envelope"
    assert made.value_schema.name == "my_srv.public.t.Value"


def test_regex_strategy_gives_even_a_keyless_table_a_key() -> None:
    naming = TopicNaming("srv", Strategy(True, regex=True), route=Route(compile_java(".*"), "all"))
    id = TableId("d", "public", "t")
    made = schemas.make_table_schema(id, naming.data_topic(id), [column(0, "a", Schema(INT32))], [], SOURCE, naming)
    assert made.topic == "all"
    assert made.key_schema == Schema("STRUCT", name="all.Key",
                                     fields=(Field("__dbz__physicalTableIdentifier", Schema(STRING)),))
    assert made.key_constant == (("__dbz__physicalTableIdentifier", "srv.public.t"),)


def test_key_uses_the_unmasked_schema() -> None:
    plain, masked = Schema(INT32), Schema(STRING)
    masked_column = Column(0, "a", "a", "", masked, Codec(masked), None, plain, Codec(plain), None)
    naming = TopicNaming("srv")
    id = TableId("d", "s", "t")
    made = schemas.make_table_schema(id, "srv.s.t", [masked_column], [masked_column], SOURCE, naming)
    assert made.value_schema.fields[0].schema is masked
    assert made.key_schema is not None
    assert made.key_schema.fields[0].schema is plain


def test_columns_that_become_one_field_are_refused() -> None:
    clash = [column(0, "a_b", Schema(INT32)), column(1, "a_b", Schema(INT32))]
    with pytest.raises(ConfigError) as caught:
        schemas.make_table_schema(TableId("d", "s", "t"), "srv.s.t", clash, [], SOURCE, TopicNaming("srv"))
    assert caught.value.option == "field.name.adjustment.mode"
