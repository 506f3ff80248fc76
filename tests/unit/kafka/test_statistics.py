"""librdkafka's statistics."""

from __future__ import annotations

import json
import math

import pytest

from cdc.kafka.statistics import Statistics

TEXT = json.dumps({
    "name": "rdkafka#producer-1", "tx_bytes": 1000, "rx_bytes": 70, "topics": {"t": {"partitions": {"0": {"x": []}}}},
    "brokers": {
        "a:9092/1": {"nodeid": 1, "state": "UP", "waitresp_cnt": 2, "txretries": 1, "txerrs": 3, "req_timeouts": 1,
                     "rtt": {"p99": 4000}},
        "b:9092/2": {"nodeid": 2, "state": "DOWN", "waitresp_cnt": 0, "txretries": 0, "rtt": {"p99": 9000}},
        "a:9092/bootstrap": {"nodeid": -1, "state": "INIT", "rtt": {"p99": 99000}}}})


def test_brokers_are_added_up() -> None:
    statistics = Statistics()
    statistics.take(TEXT)
    assert statistics.numbers == {
        "cdc_kafka_connections": 1, "cdc_kafka_sent_bytes_total": 1000, "cdc_kafka_received_bytes_total": 70,
        "cdc_kafka_requests_waiting": 2, "cdc_kafka_retries_total": 1, "cdc_kafka_request_errors_total": 4,
        "cdc_kafka_round_trip_p99_seconds": 0.009}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"brokers": 7}', '{"tx_bytes": "x"}'])
def test_what_is_not_understood_changes_nothing(text: str) -> None:
    statistics = Statistics()
    statistics.take(TEXT)
    before = statistics.numbers
    statistics.take(text)
    assert statistics.numbers == before


def test_without_brokers_there_is_no_round_trip() -> None:
    statistics = Statistics()
    statistics.take("{}")
    assert math.isnan(statistics.numbers["cdc_kafka_round_trip_p99_seconds"])


def test_a_client_without_brokers_is_lost() -> None:
    statistics = Statistics()
    statistics.take(TEXT)
    assert not statistics.lost
    statistics.take('{"brokers": {}, "msg_cnt": 5}')
    assert statistics.lost
