"""The signal channel kafka: what a message is, where a restart goes on, and the consumer's settings. No brokers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, OFFSET_STORED, KafkaError, KafkaException, TopicPartition
from structlog.testing import capture_logs

from cdc.core.control import Signal
from cdc.core.errors import ConfigError
from cdc.kafka.signals import KafkaSignals, consumer_settings


def channel() -> KafkaSignals:
    return KafkaSignals("shop-signal", "shop", {})


def test_a_message_with_the_prefix_as_its_key_is_a_signal() -> None:
    found = channel().signal_of(b"shop", b'{"id": "1", "type": "log", "data": {"message": "m"}}', 4)
    assert found == Signal("1", "log", {"message": "m"}, "kafka", {"signal_kafka": "shop-signal/0/5"})


@pytest.mark.parametrize("key", [None, b"", b"shop2", b'"shop"'])
def test_another_key_is_another_connectors(key: bytes | None) -> None:
    with capture_logs() as lines:
        assert channel().signal_of(key, b'{"type": "log"}', 4) is None
    assert [line["log_level"] for line in lines] == ["debug"]


@pytest.mark.parametrize(("value", "why"), [
    (b"x", "no JSON: "), (b"\xff", "no JSON: "), (None, "JSON object"), (b"[]", "JSON object"), (b"{}", "no type"),
    (b"[" * 100_000, "recursion"),
])
def test_what_is_no_signal_is_told_with_its_place(value: bytes | None, why: str) -> None:
    with capture_logs() as lines:
        assert channel().signal_of(b"shop", value, 4) is None
    line, = lines
    assert (line["topic"], line["offset"], line["log_level"]) == ("shop-signal", 4, "warning")
    assert why in line["why"]


@pytest.mark.parametrize(("offset", "place"), [
    ({}, OFFSET_STORED), ({"signal_kafka": "shop-signal/0/7"}, 7), ({"signal_kafka": "other/0/7"}, OFFSET_STORED),
    ({"signal_kafka": "shop-signal/0/x"}, OFFSET_STORED), ({"signal_kafka": None}, OFFSET_STORED),
])
def test_a_restart_goes_on_behind_the_offsets_mark(offset: dict[str, Any], place: int) -> None:
    assert channel()._place(offset) == place


class Group:
    """A consumer whose group has the committed offset, or says that error."""

    def __init__(self, offset: int, error: KafkaError | None = None) -> None:
        self.found = SimpleNamespace(offset=offset, error=error)

    def committed(self, asked: list[TopicPartition], timeout: float) -> list[Any]:
        assert [(each.topic, each.partition) for each in asked] == [("shop-signal", 0)]
        return [self.found]


@pytest.mark.parametrize(("offset", "reset", "place"), [
    (7, "latest", 7), (0, "error", 0), (-1001, "earliest", OFFSET_BEGINNING), (-1001, "latest", OFFSET_END)])
def test_the_group_says_where_a_connector_without_a_mark_begins(offset: int, reset: str, place: int) -> None:
    group: Any = Group(offset)
    assert KafkaSignals("shop-signal", "shop", {"auto.offset.reset": reset})._of_group(group) == place


@pytest.mark.parametrize(("reset", "code"), [
    ("earliest", KafkaError.NOT_COORDINATOR), ("error", KafkaError._AUTO_OFFSET_RESET)])
def test_a_group_that_cannot_be_asked_is_asked_again(reset: str, code: int) -> None:
    """librdkafka itself would not ask again after "Not coordinator"."""
    group: Any = Group(-1001, KafkaError(code) if code == KafkaError.NOT_COORDINATOR else None)
    with pytest.raises(KafkaException) as caught:
        KafkaSignals("shop-signal", "shop", {"auto.offset.reset": reset})._of_group(group)
    assert caught.value.args[0].code() == code


def test_a_channel_needs_brokers() -> None:
    with pytest.raises(ConfigError, match="no cluster"):
        consumer_settings({}, "g")


def test_properties_of_javas_consumer_count_but_not_what_the_channel_decides() -> None:
    found = consumer_settings({
        "bootstrap.servers": "h:1", "auto.offset.reset": "latest", "enable.auto.commit": "true", "group.id": "x",
        "security.protocol": "SSL", "isolation.level": "read_uncommitted"}, "g")
    assert {key: found[key] for key in ("bootstrap.servers", "auto.offset.reset", "enable.auto.commit", "group.id",
                                        "security.protocol", "isolation.level")} == {
        "bootstrap.servers": "h:1", "auto.offset.reset": "latest", "enable.auto.commit": "false", "group.id": "g",
        "security.protocol": "SSL", "isolation.level": "read_uncommitted"}
