"""Names as Debezium's strategies and adjusters give them. Expected values follow its sources and recorded events."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cdc.config.regex import compile_java
from cdc.core.errors import ConfigError
from cdc.core.table import TableId
from cdc.debezium.naming import (
    STRATEGIES,
    Route,
    Strategy,
    TopicNaming,
    effective_field_mode,
    field_adjuster,
    find_strategy,
    sanitise_topic,
    schema_adjuster,
)

POSTGRES = TableId("shop", "inv", "orders")
MYSQL = TableId("shop", "", "orders")


def config(**options: Any) -> SimpleNamespace:
    keys: dict[str, Any] = {
        "topic_prefix": "srv", "topic_naming_strategy": "io.debezium.schema.SchemaTopicNamingStrategy",
        "topic_delimiter": ".", "topic_transaction": "transaction", "topic_heartbeat_prefix": "__debezium-heartbeat",
        "topic_heartbeat_name": None, "topic_regex": None, "topic_replacement": None,
        "topic_key_enforce_uniqueness": True, "topic_key_field_name": "__dbz__physicalTableIdentifier",
        "topic_key_field_regex": None, "topic_key_field_replacement": None,
        "schema_name_adjustment_mode": "none", "field_name_adjustment_mode": "none",
    }
    return SimpleNamespace(**{**keys, **options})


@pytest.mark.parametrize(("strategy", "id", "topic"), [
    ("SchemaTopicNamingStrategy", POSTGRES, "srv.inv.orders"),
    ("SchemaTopicNamingStrategy", MYSQL, "srv.orders"),
    ("DefaultTopicNamingStrategy", MYSQL, "srv.shop.orders"),
    ("DefaultTopicNamingStrategy", POSTGRES, "srv.orders"),
    ("io.debezium.schema.SchemaUnicodeTopicNamingStrategy", TableId("d", "s", "a_ü"), "srv.s.a_u005f_u00fc"),
])
def test_strategy_decides_the_parts(strategy: str, id: TableId, topic: str) -> None:
    assert TopicNaming("srv", find_strategy(strategy)).data_topic(id) == topic


def test_every_strategy_is_found_by_its_class_name() -> None:
    assert all(find_strategy(f"io.debezium.schema.{name}") == STRATEGIES[name] for name in STRATEGIES)


def test_unknown_strategy_names_the_option() -> None:
    with pytest.raises(ConfigError) as caught:
        find_strategy("com.example.MyStrategy")
    assert caught.value.option == "topic.naming.strategy"


def test_delimiter_joins_all_but_the_message_topic() -> None:
    naming = TopicNaming("srv", delimiter="-")
    assert naming.data_topic(POSTGRES) == "srv-inv-orders"
    assert naming.transaction_topic() == "srv-transaction"
    assert naming.heartbeat_topic() == "__debezium-heartbeat-srv"
    assert naming.message_topic() == "srv.message"
    assert naming.schema_change_topic() == "srv"


def test_heartbeat_name_replaces_prefix() -> None:
    assert TopicNaming("srv", heartbeat_name="beats").heartbeat_topic() == "beats"


@pytest.mark.parametrize(("name", "topic"), [
    ("srv.shp.Mixed Case.tbl", "srv.shp.Mixed_Case.tbl"),
    ("srv.s.ünï", "srv.s._n_"),
    ("srv.s.\U0001f600", "srv.s.__"),
    (".", "_"),
    ("..", "__"),
    ("x" * 300, "x" * 249),
])
def test_invalid_characters_become_underscores(name: str, topic: str) -> None:
    assert sanitise_topic(name) == topic


@pytest.mark.parametrize(("name", "topic"), [
    ("a b", "a_u0020b"), ("a_b", "a_u005fb"), ("…", "_u2026"), ("ʼ", "_u2bc"), (".", "_u002e"), ("..", "_u002e_u002e"),
    ("\U0001f600", "_ud83d_ude00"),
])
def test_unicode_strategy_escapes(name: str, topic: str) -> None:
    assert sanitise_topic(name, unicode=True) == topic


def test_changed_name_can_be_told() -> None:
    naming = TopicNaming("srv")
    odd = TableId("d", "s", "a b")
    assert (naming.plain_topic(odd), naming.data_topic(odd)) == ("srv.s.a b", "srv.s.a_b")


@pytest.mark.parametrize(("mode", "name", "adjusted"), [
    ("none", "my-srv.public.1t.Value", "my-srv.public.1t.Value"),
    ("avro", "my-srv.public.1t.Value", "my_srv.public.1t.Value"),
    ("avro", "1abc.t", "_1abc.t"),
    ("avro", ".x", "_x"),
    ("avro", "", ""),
    ("avro", "s.\U0001f600", "s.__"),
    ("avro_unicode", "1a_b.ü", "_u0031a_u005fb._u00fc"),
])
def test_schema_names_are_adjusted_as_a_whole(mode: str, name: str, adjusted: str) -> None:
    assert schema_adjuster(mode)(name) == adjusted


@pytest.mark.parametrize(("mode", "name", "adjusted"), [
    ("none", "we-ird col", "we-ird col"),
    ("avro", "we-ird col", "we_ird_col"),
    ("avro", "a.b", "a_b"),
    ("avro", "1st", "_1st"),
    ("avro", "ünï", "_n_"),
    ("avro_unicode", "a.b_c", "a_u002eb_u005fc"),
    ("avro_unicode", "1st", "_u0031st"),
])
def test_field_names_may_not_hold_dots(mode: str, name: str, adjusted: str) -> None:
    assert field_adjuster(mode)(name) == adjusted


@pytest.mark.parametrize("key", ["key.converter", "value.converter"])
def test_avro_converter_in_the_connector_makes_fields_avro(key: str) -> None:
    connector = {key: "io.confluent.connect.avro.AvroConverter"}
    assert effective_field_mode("none", connector) == "avro"
    assert effective_field_mode("avro_unicode", connector) == "avro_unicode"
    assert effective_field_mode("none", {key: "org.apache.kafka.connect.json.JsonConverter"}) == "none"


def test_regex_strategy_routes_and_names_the_table_in_the_key() -> None:
    naming = TopicNaming.from_config(config(
        topic_naming_strategy="io.debezium.schema.SchemaRegexTopicNamingStrategy",
        topic_regex=r"(.*)orders_shard.*", topic_replacement="$1orders_all",
        topic_key_field_regex=r"srv\.(.*)", topic_key_field_replacement="$1",
    ))
    shard = TableId("d", "inv", "orders_shard 7")
    assert naming.data_topic(shard) == "srv.inv.orders_all"
    assert naming.key_constant(shard) == (("__dbz__physicalTableIdentifier", "inv.orders_shard 7"),)
    assert naming.data_topic(POSTGRES) == "srv.inv.orders"


def test_regex_is_javas_and_minds_case() -> None:
    options = config(topic_naming_strategy="SchemaRegexTopicNamingStrategy",
                     topic_regex=r"(?<head>.*)Orders\p{Digit}+", topic_replacement="${head}orders")
    naming = TopicNaming.from_config(options)
    assert naming.data_topic(TableId("d", "inv", "Orders12")) == "srv.inv.orders"
    assert naming.data_topic(TableId("d", "inv", "orders12")) == "srv.inv.orders12"


def test_regex_strategy_without_uniqueness_adds_no_key_field() -> None:
    naming = TopicNaming.from_config(config(
        topic_naming_strategy="DefaultRegexTopicNamingStrategy", topic_regex="(.*)", topic_replacement="all",
        topic_key_enforce_uniqueness=False,
    ))
    assert naming.key_constant(MYSQL) == ()


@pytest.mark.parametrize(("pattern", "replacement", "topic", "routed"), [
    ("a(.)(.)", "$2$1", "axy", "yx"),
    ("a(.)(.)", "$10", "axy", "x0"),
    ("a(?<one>.).", r"\$${one}", "axy", "$x"),
    ("a.*", "", "axy", "axy"),
    ("a", "b", "axy", "axy"),
    ("a|ax", "z", "ax", "zx"),
])
def test_replacement_is_javas(pattern: str, replacement: str, topic: str, routed: str) -> None:
    assert Route(compile_java(pattern, 0), replacement).topic(topic) == routed


@pytest.mark.parametrize(("options", "option"), [
    ({"topic_prefix": "a b"}, "topic.prefix"),
    ({"topic_delimiter": "/"}, "topic.delimiter"),
    ({"schema_name_adjustment_mode": "xml"}, "schema.name.adjustment.mode"),
    ({"topic_naming_strategy": "SchemaRegexTopicNamingStrategy"}, "topic.regex"),
    ({"topic_naming_strategy": "SchemaRegexTopicNamingStrategy", "topic_regex": "a"}, "topic.replacement"),
    ({"topic_naming_strategy": "SchemaRegexTopicNamingStrategy", "topic_regex": "(", "topic_replacement": "b"},
     "topic.regex"),
    ({"topic_naming_strategy": "SchemaRegexTopicNamingStrategy", "topic_regex": "a", "topic_replacement": "$1"},
     "topic.replacement"),
])
def test_bad_option_is_named(options: dict[str, Any], option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TopicNaming.from_config(config(**options))
    assert caught.value.option == option


def test_strategies_are_values() -> None:
    assert Strategy(True) == STRATEGIES["SchemaTopicNamingStrategy"]
