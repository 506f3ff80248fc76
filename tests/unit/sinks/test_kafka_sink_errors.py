from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError

from cdc.core.errors import SinkConnectionError, SinkRefusedError
from cdc.core.interfaces import Outgoing
from cdc.kafka.client import Undelivered
from cdc.kafka.errors import sink_error
from cdc.runtime.inflight import Inflight
from cdc.sinks.kafka import KafkaSink, key_text
from cdc.sinks.transactions import Transactions


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
     (KafkaError._UNKNOWN_PARTITION, "partition.topic.num"),
     (KafkaError._AUTHENTICATION, "sasl.jaas.config"), (KafkaError.INVALID_RECORD, "")],
)
def test_a_no_is_refused_with_what_to_do(code: int, hint: str) -> None:
    error = sink_error(KafkaError(code), "not delivered")
    assert isinstance(error, SinkRefusedError)
    assert hint in error.hint


def report(key: bytes | None, value: bytes | None) -> Undelivered:
    return Undelivered("shop.public.orders", key, len(key or b""), len(value or b""))


@pytest.fixture
def sink() -> KafkaSink:
    sink = KafkaSink({"bootstrap.servers": "127.0.0.1:1"})
    sink.opened("shop.public.orders", "public.orders")
    return sink


def test_a_failed_report_names_topic_and_table_but_no_content(sink: KafkaSink) -> None:
    error = sink.undelivered(KafkaError(KafkaError.INVALID_RECORD), report(b"key-content", b"value-content"))
    assert "public.orders" in str(error)
    assert "topic shop.public.orders" in str(error)
    assert "content" not in str(error)


def test_too_large_at_the_broker_names_the_key_and_the_topics_limit(sink: KafkaSink) -> None:
    error = sink.undelivered(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), report(b'{"id":7}', b"x" * 500_000))
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
        sink.opened("shop.public.orders", f"public.t{number}")
    error = sink.undelivered(KafkaError(KafkaError.INVALID_RECORD), report(None, None))
    assert "public.orders, public.t0, public.t1 or 7 more" in str(error)


@pytest.mark.parametrize(
    ("key", "text"),
    [(None, "null"), (b"abc", "abc"), (b"", "0x"), (b"\x00\x01", "0x0001"), (b"\xff", "0xff"),
     ("é".encode(), "é"), (b"x" * 500, "x" * 199 + "…")],
)
def test_keys_are_shown_as_text_or_hexadecimal_and_short(key: bytes | None, text: str) -> None:
    assert key_text(key) == text


def test_what_is_purged_for_refused_credentials_says_so(sink: KafkaSink) -> None:
    sink._state.on_error(KafkaError(KafkaError._AUTHENTICATION))
    error = sink.undelivered(KafkaError(KafkaError._PURGE_QUEUE), report(b"k", b"v"))
    assert isinstance(error, SinkRefusedError)
    assert "sasl.jaas.config" in error.hint


def test_a_producer_that_failed_while_nothing_waited_is_told_with_the_next_record() -> None:
    """Else the task would offer that record for ever."""
    sink = KafkaSink({"bootstrap.servers": "localhost:1"}, fencing="on", transactional_id="t")
    producer: Any = None
    sink._transactions = Transactions(producer, lambda error: SinkConnectionError("not committed"))
    sink._transactions.failed(SinkConnectionError("the producer ended"))
    inflight = Inflight()
    delivery = inflight.add(None, 2)  # type: ignore[arg-type]
    batch = [Outgoing("t", None, b"{}", -1, (), "s.t")] * 2
    assert sink.send(batch, 0, delivery) == 1
    assert "the producer ended" in str(inflight.error)
