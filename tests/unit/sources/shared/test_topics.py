"""Two tables that would meet in one topic."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from cdc.config.regex import compile_java
from cdc.core.errors import ConfigError
from cdc.core.table import TableId
from cdc.debezium.naming import STRATEGIES, Route, TopicNaming
from cdc.sources.shared.topics import TopicOwners

DOLLAR, HASH = TableId("db", "public", "c$d"), TableId("db", "public", "c#d")


def refused(owners: TopicOwners, first: TableId, second: TableId) -> None:
    owners.claim(first)
    owners.claim(first)
    with pytest.raises(ConfigError) as caught:
        owners.claim(second)
    assert caught.value.option == "cdc.shared.topics"
    assert str(first) in caught.value.message
    assert str(second) in caught.value.message


@pytest.mark.parametrize(("first", "second"), [
    (DOLLAR, HASH),
    (TableId("a`b", "", "t"), TableId('a"b', "", "t")),
    (TableId("shop", "", "a`b"), TableId("shop", "", 'a"b')),
    (TableId("db", "a.b", "c"), TableId("db", "a", "b.c")),
    (TableId("db", "public", "x" * 260 + "1"), TableId("db", "public", "x" * 260 + "2")),
    (TableId("db", "public", "größe"), TableId("db", "public", "gr__e")),
])
def test_names_that_become_the_same_topic_are_an_error(first: TableId, second: TableId) -> None:
    refused(TopicOwners(TopicNaming("p")), first, second)
    refused(TopicOwners(TopicNaming("p")), second, first)


def test_a_strategy_that_keeps_names_apart_is_none() -> None:
    owners = TopicOwners(TopicNaming("p", STRATEGIES["SchemaUnicodeTopicNamingStrategy"]))
    owners.claim_all([(DOLLAR, None), (HASH, None)])


def merging(key_field: str | None, key_regex: str | None = None) -> TopicNaming:
    key = (compile_java(key_regex, 0), "same") if key_regex else (None, "")
    return TopicNaming("p", STRATEGIES["SchemaRegexTopicNamingStrategy"],
                       route=Route(compile_java(r".*shard.*", 0), "all", key_field, *key))


def test_a_key_field_sets_tables_in_one_topic_apart() -> None:
    one, two = (TableId("db", "public", f"shard_{number}") for number in (1, 2))
    TopicOwners(merging("__table")).claim_all([(one, None), (two, None)])
    refused(TopicOwners(merging("__table", r".*shard.*")), one, two)


def test_tables_that_share_a_topic_on_purpose_are_named_once() -> None:
    one, two = (TableId("db", "public", f"shard_{number}") for number in (1, 2))
    for owners in (TopicOwners(merging(None)), TopicOwners(merging("__table", r".*shard.*"), allow=True)):
        with capture_logs() as told:
            owners.claim_all([(one, None), (two, None), (one, None), (two, None)])
        assert [(each["event"], each["table"], each["other_table"]) for each in told] == [
            ("tables_share_topic", "public.shard_2", "public.shard_1")]


def test_a_renamed_table_keeps_its_topic() -> None:
    owners = TopicOwners(TopicNaming("p"))
    owners.claim_all([(DOLLAR, 16384), (HASH, 16384)])
    with pytest.raises(ConfigError, match="same topic"):
        owners.claim(DOLLAR, 16385)


def test_a_table_that_is_gone_leaves_its_topic() -> None:
    owners = TopicOwners(TopicNaming("p"))
    owners.claim(DOLLAR)
    owners.release(HASH)  # has none
    refused(owners, DOLLAR, HASH)
    owners.release(DOLLAR)
    refused(owners, HASH, DOLLAR)
