"""The signal channel kafka: what a message is, where a restart goes on, and the consumer's settings. No brokers."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import OFFSET_STORED
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
