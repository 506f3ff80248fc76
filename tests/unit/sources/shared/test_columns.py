"""Columns and table schemas, as all sources make them."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc.codecs.text import TextCodec
from cdc.core.codec import Codec
from cdc.core.errors import ConfigError
from cdc.core.schema import INT32, INT64, STRING, Schema
from cdc.core.table import Column, TableId
from cdc.debezium.filters import Filters
from cdc.debezium.mappers import ColumnSource, mapper_rules
from cdc.debezium.naming import TopicNaming
from cdc.sources.shared.columns import ColumnBuilder, ColumnParts, Default

ID = TableId("db", "s", "t")
SOURCE = Schema(INT64)
TEXT = Schema(STRING)


def builder(rules: dict[str, str | None] | None = None, **options: Any) -> ColumnBuilder:
    naming = TopicNaming("server", field_mode=options.pop("field_mode", "none"))
    return ColumnBuilder(naming, Filters.from_config(SimpleNamespace(**options)), mapper_rules(rules or {}), SOURCE)


def parts(name: str = "c", schema: Schema = TEXT, **others: Any) -> ColumnParts:
    codec = TextCodec(Schema(STRING))
    source = ColumnSource(name, "text", 2147483647, None, schema.type == STRING)
    return ColumnParts(**{
        "index": 3, "type_name": "text", "source": source, "schema": schema, "codec": codec, "binary_codec": codec,
        "key_codec": codec, "key_binary_codec": codec, "unchanged": "gone", **others})


def column(name: str, index: int) -> Column:
    return builder().column(ID, replace(parts(name), index=index))


@pytest.fixture
def told() -> Iterator[list[MutableMapping[str, Any]]]:
    """What is logged."""
    with capture_logs() as entries:
        yield entries


def shown(codec: Codec | None, text: str) -> Any:
    assert codec is not None
    data = text.encode()
    return codec.value(data, 0, len(data))


def test_a_column_without_mapper_is_read_as_its_parts_say() -> None:
    made = parts(index=5)
    found = builder(field_mode="avro").column(ID, replace(made, source=replace(made.source, name="a b")))
    assert (found.index, found.name, found.field, found.type_name) == (5, "a b", "a_b", "text")
    assert found.schema is found.key_schema is made.schema
    assert (found.codec, found.binary_codec) == (made.codec, made.binary_codec)
    assert (found.key_codec, found.key_binary_codec) == (made.key_codec, made.key_binary_codec)
    assert (found.unchanged, found.null_value) == ("gone", None)


@pytest.mark.parametrize(("schema", "wanted"), [
    (TEXT, "none"), (replace(TEXT, optional=True), None), (replace(TEXT, default="d"), None),
], ids=["required", "optional", "default"])
def test_a_null_has_a_stand_in_only_where_the_schema_needs_one(schema: Schema, wanted: str | None) -> None:
    assert builder().column(ID, parts(schema=schema, null_value="none")).null_value == wanted


def test_a_mapper_changes_values_but_not_the_key() -> None:
    found = builder({"column.truncate.to.2.chars": "s.t.c"}).column(ID, parts())
    assert shown(found.codec, "abcd") == shown(found.binary_codec, "abcd") == "ab"
    assert shown(found.key_codec, "abcd") == shown(found.key_binary_codec, "abcd") == "abcd"
    assert found.unchanged == "go"
    assert found.schema.parameters == (("truncateLength", "2"),)
    assert found.key_schema.parameters == ()


def test_a_mapper_applies_to_the_stand_in_of_a_null() -> None:
    rules: dict[str, str | None] = {"column.truncate.to.2.chars": "s.t.c"}
    assert builder(rules).column(ID, parts(null_value="none")).null_value == "no"
    assert builder(rules).column(ID, parts()).null_value == ""
    optional = parts(schema=replace(TEXT, optional=True), null_value="none")
    assert builder(rules).column(ID, optional).null_value is None


def test_a_mapper_that_maps_no_values_leaves_the_stand_in_of_a_null() -> None:
    found = builder({"column.propagate.source.type": "s.t.c"}).column(ID, parts(null_value="none"))
    assert found.null_value == "none"
    assert ("__debezium.source.column.type", "TEXT") in found.schema.parameters


def test_columns_that_cannot_be_masked_are_told_once(told: list[MutableMapping[str, Any]]) -> None:
    columns = builder({"column.mask.with.3.chars": "s.t.*"})
    for name in ("c", "c", "d"):
        columns.column(ID, parts(name, Schema(INT32)))
    assert [(each["event"], each["table"], each["column"]) for each in told] == [
        ("column_cannot_be_masked", "s.t", "c"), ("column_cannot_be_masked", "s.t", "d")]


def test_a_field_has_the_types_schema_with_the_columns_default(told: list[MutableMapping[str, Any]]) -> None:
    columns = builder()
    named = Schema(STRING, name="x")
    assert columns.schema(ID, "c", named, Default("v", True), optional=True) == replace(
        named, optional=True, default="v")
    assert told == []
    for _ in range(2):
        assert columns.schema(ID, "c", named, Default(None, False), optional=False) == named
    assert [each["event"] for each in told] == ["column_default_not_understood"]


def test_keys_go_by_message_key_columns_else_by_the_table() -> None:
    assert builder().key_names(ID, ("a", "b"), ("b",)) == ("b",)
    columns = builder(message_key_columns="s.t:b,a")
    assert columns.key_names(ID, ("a", "b"), ("a",)) == ("b", "a")
    assert columns.key_names(TableId("db", "s", "other"), ("a", "b"), ("a",)) == ("a",)


def test_filtered_columns_stay_in_the_key() -> None:
    made = {name: column(name, index) for index, name in enumerate("abc")}
    table = builder(column_exclude_list=("s.t.b",)).table(ID, made, ("b", "a", "missing"))
    assert [each.name for each in table.columns] == ["a", "c"]
    assert [each.name for each in table.key] == ["b", "a"]
    assert (table.id, table.topic) == (ID, "server.s.t")
    assert table.key_schema is not None
    assert [field.name for field in table.key_schema.fields] == ["b", "a"]


def test_key_columns_that_no_row_has_can_be_changed() -> None:
    made = {name: column(name, index) for index, name in enumerate("abc")}
    table = builder(column_exclude_list=("s.t.b",)).table(
        ID, made, ("b", "a"), key_only=lambda each: replace(each, field=each.field.upper()))
    assert [each.field for each in table.key] == ["B", "a"]


def test_a_changed_topic_name_is_told_once(told: list[MutableMapping[str, Any]]) -> None:
    columns = builder()
    odd = TableId("db", "s", "t t")
    for _ in range(2):
        assert columns.table(odd, {"a": column("a", 0)}, ()).topic == "server.s.t_t"
    assert [(each["event"], each["topic"], each["name"]) for each in told] == [
        ("topic_name_changed", "server.s.t_t", "server.s.t t")]
    assert "column" not in told[0]


def test_a_second_table_of_the_same_topic_is_an_error() -> None:
    made = builder()
    for name in ("c$d", "cd"):
        made.table(TableId("db", "s", name), {"c": column("c", 0)}, ["c"])
    with pytest.raises(ConfigError, match=r"s\.c\$d and s\.c#d"):
        made.table(TableId("db", "s", "c#d"), {"c": column("c", 0)}, ["c"])
