from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError

from cdc.core.errors import SinkConnectionError, SinkRefusedError
from cdc.core.interfaces import Outgoing
from cdc.sinks import kafka
from cdc.sinks.kafka import KafkaSink, _BrokerState, key_text
from cdc.sinks.kafka_errors import sink_error


@pytest.mark.parametrize(
    "code",
    [KafkaError._TRANSPORT, KafkaError._MSG_TIMED_OUT, KafkaError.NOT_ENOUGH_REPLICAS, KafkaError._PURGE_QUEUE,
     KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_PRODUCER_ID],
)
def test_brokers_that_are_away_are_retriable(code: int) -> None:
    assert isinstance(sink_error(KafkaError(code), "not delivered"), SinkConnectionError)


def test_a_fatal_error_is_retriable_by_a_new_producer() -> None:
    error = KafkaError(KafkaError._FATAL, "lost its place", True)
    assert isinstance(sink_error(error, "not delivered"), SinkConnectionError)


@pytest.mark.parametrize(
    ("code", "hint"),
    [(KafkaError.TOPIC_AUTHORIZATION_FAILED, "WRITE"), (KafkaError._UNKNOWN_TOPIC, "topic.creation"),
     (KafkaError._AUTHENTICATION, "sasl.jaas.config"), (KafkaError.INVALID_RECORD, "")],
)
def test_a_no_is_refused_with_what_to_do(code: int, hint: str) -> None:
    error = sink_error(KafkaError(code), "not delivered")
    assert isinstance(error, SinkRefusedError)
    assert hint in error.hint


class Report:
    """What a delivery callback gets as its message."""

    def __init__(self, key: bytes | None, value: bytes | None) -> None:
        self._key, self._value = key, value

    def topic(self) -> str:
        return "shop.public.orders"

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value


@pytest.fixture
def sink() -> KafkaSink:
    sink = KafkaSink({"bootstrap.servers": "127.0.0.1:1"})
    sink._opened("shop.public.orders", "public.orders")
    return sink


def test_a_failed_report_names_topic_and_table_but_no_content(sink: KafkaSink) -> None:
    error = sink._explain(KafkaError(KafkaError.INVALID_RECORD), Report(b"key-content", b"value-content"))
    assert "public.orders" in str(error)
    assert "topic shop.public.orders" in str(error)
    assert "content" not in str(error)


def test_too_large_at_the_broker_names_the_key_and_the_topics_limit(sink: KafkaSink) -> None:
    error = sink._explain(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), Report(b'{"id":7}', b"x" * 500_000))
    assert isinstance(error, SinkRefusedError)
    assert 'key {"id":7}' in error.message
    assert "max.message.bytes" in error.hint
    assert "max.request.size" not in error.hint
    assert error.context["size_bytes"] == 500_008


def test_too_large_for_us_names_our_limit_first(sink: KafkaSink) -> None:
    outgoing = Outgoing("t", None, b"x" * 2_000_000, -1, (), "public.t")
    error = sink._failure(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), outgoing)
    assert "producer.override.max.request.size" in error.hint
    assert "key null" in error.message
    assert error.context["limit_bytes"] == 1048576


def test_a_topic_of_many_tables_names_a_few(sink: KafkaSink) -> None:
    for number in range(9):
        sink._opened("shop.public.orders", f"public.t{number}")
    error = sink._explain(KafkaError(KafkaError.INVALID_RECORD), Report(None, None))
    assert "public.orders, public.t0, public.t1 or 7 more" in str(error)


@pytest.mark.parametrize(
    ("key", "text"),
    [(None, "null"), (b"abc", "abc"), (b"", "0x"), (b"\x00\x01", "0x0001"), (b"\xff", "0xff"),
     ("é".encode(), "é"), (b"x" * 500, "x" * 199 + "…")],
)
def test_keys_are_shown_as_text_or_hexadecimal_and_short(key: bytes | None, text: str) -> None:
    assert key_text(key) == text


class Log:
    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **_: self.events.append(event)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(kafka, "log", log)
    return log


def test_repeated_errors_are_logged_once_until_brokers_answer_again(log: Log) -> None:
    state = _BrokerState("a:1")
    for _ in range(50):
        state.on_error(KafkaError(KafkaError._TRANSPORT))
        state.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
        state.served(3)
        state.log(20, "FAIL %s", "thread")
        state.served(1)
    assert [event for event in log.events if event != "librdkafka"] == ["kafka_error", "kafka_error"]
    assert state.unreachable
    state.served(1)
    assert log.events[-1] == "kafka_reachable"
    assert not state.unreachable
    state.on_error(KafkaError(KafkaError._TRANSPORT))
    assert log.events[-1] == "kafka_error"


def test_refused_credentials_are_remembered_until_a_delivery(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("cdc.sinks.kafka.time.monotonic", lambda: now)
    state = _BrokerState("a:1")
    state.on_error(KafkaError(KafkaError._AUTHENTICATION))
    now += 31
    state.on_error(KafkaError(KafkaError._AUTHENTICATION))
    state.served(2)
    assert state.denied_for_s() == 31
    assert log.events == ["kafka_refused"]
    state.served(1)
    assert state.denied is None
    assert state.denied_for_s() == 0


def test_what_is_purged_for_refused_credentials_says_so(sink: KafkaSink, log: Log) -> None:
    sink._state.on_error(KafkaError(KafkaError._AUTHENTICATION))
    error = sink._explain(KafkaError(KafkaError._PURGE_QUEUE), Report(b"k", b"v"))
    assert isinstance(error, SinkRefusedError)
    assert "sasl.jaas.config" in error.hint
