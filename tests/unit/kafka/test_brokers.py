"""Whether the brokers answer, from what librdkafka reports."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError

from cdc.kafka import brokers
from cdc.kafka.brokers import BrokerState


class Log:
    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **_: self.events.append(event)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(brokers, "log", log)
    return log


def test_repeated_errors_are_logged_once_until_brokers_answer_again(log: Log) -> None:
    state = BrokerState("a:1")
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
    monkeypatch.setattr("cdc.kafka.brokers.time.monotonic", lambda: now)
    state = BrokerState("a:1")
    state.on_error(KafkaError(KafkaError._AUTHENTICATION))
    now += 31
    state.on_error(KafkaError(KafkaError._AUTHENTICATION))
    state.served(2)
    assert state.denied_for_s() == 31
    assert log.events == ["kafka_refused"]
    state.served(1)
    assert state.denied is None
    assert state.denied_for_s() == 0


def test_statistics_do_not_count_as_deliveries(log: Log) -> None:
    state = BrokerState("a:1")
    state.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    state.served(1)
    state.noted()
    state.served(1)
    assert state.unreachable
    state.noted()
    state.served(2)
    assert not state.unreachable, "the other one was a delivery"
