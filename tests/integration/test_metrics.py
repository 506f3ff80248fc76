"""What `/metrics` says of a real run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fault.items import Items, fresh_items
from tests.fault.pipeline import Pipeline
from tests.servers.kafka import KafkaServer
from tests.servers.process import wait_until
from tests.servers.registry import RegistryServer

SECOND_S = {"mariadb": 1.0}
"""How exactly the log tells when a transaction was committed; 0 where it is to the millisecond."""


@pytest.fixture(name="items", params=["postgres18", "mysql", "mariadb"])
def items_fixture(request: pytest.FixtureRequest) -> Iterator[Items]:
    with fresh_items(request.getfixturevalue(request.param)) as items:
        yield items


@pytest.fixture(name="pipeline")
def pipeline_fixture(items: Items, kafka: KafkaServer, registry: RegistryServer, topic_prefix: str, tmp_path: Path,
                     ) -> Iterator[Pipeline]:
    options = {**items.options(topic_prefix), "snapshot.mode": "no_data"}
    with Pipeline(tmp_path, kafka.bootstrap, registry.url, options) as pipeline:
        yield pipeline


def numbers(pipeline: Pipeline) -> dict[str, float]:
    """By name, of samples without a label of their own; a histogram's `_count` and `_sum` are among them."""
    return {sample.name: sample.value for family in text_string_to_metric_families(pipeline.get("/metrics"))
            for sample in family.samples if sample.labels.keys() <= {"connector", "task"}}


def test_latency_is_the_time_from_commit_to_acknowledgement(
        request: pytest.FixtureRequest, items: Items, pipeline: Pipeline) -> None:
    """The rows are committed while the connector is down, at times that are known from both sides."""
    inexact_s = SECOND_S.get(request.node.callspec.params["items"], 0.002)
    pipeline.start()
    pipeline.await_state("streaming")
    items.add(1, 1)
    wait_until(lambda: pipeline.metric('cdc_latency_seconds_count{connector="shop",task="0"}') == 1, 30, "a change")
    assert pipeline.stop() == 0
    before, after = [], []
    for number in range(2, 12):
        before.append(time.time())
        items.add(number, number)
        after.append(time.time())
    began = time.time()
    pipeline.start()
    wait_until(lambda: pipeline.metric('cdc_latency_seconds_count{connector="shop",task="0"}') == 10, 60, "all changes")
    found, seen = numbers(pipeline), time.time()
    least = sum(began - at - inexact_s for at in after)
    most = sum(seen - at + inexact_s for at in before)
    assert least <= found["cdc_latency_seconds_sum"] <= most
    assert found["cdc_records_sent_total"] == 10
    assert pipeline.stop() == 0


def test_a_runs_numbers_are_there_under_every_name(items: Items, pipeline: Pipeline) -> None:
    pipeline.files["pipeline.properties"]["producer.statistics.interval.ms"] = "100"
    pipeline.start()
    pipeline.await_state("streaming")
    items.add(1, 50)
    wait_until(lambda: pipeline.metric('cdc_latency_seconds_count{connector="shop",task="0"}') == 50, 30, "the rows")
    wait_until(lambda: pipeline.metric('kafka_producer_outgoing_byte_total{clientid="connector-producer-shop-0"}'), 30,
               "librdkafka's statistics")
    found = numbers(pipeline)
    assert found["cdc_kafka_sent_bytes_total"] > 50
    assert found["cdc_kafka_connections"] >= 1
    assert found["cdc_registry_requests_total"] >= 2
    assert found["cdc_registry_failures_total"] == 0
    assert found["cdc_task_starts_total"] == 1
    assert found["kafka_connect_source_task_source_record_poll_total"] == 50
    assert found["kafka_connect_source_task_source_record_write_total"] == 50
    assert found["kafka_connect_worker_connector_running_task_count"] == 1
    text = pipeline.get("/metrics")
    assert 'cdc_stage_seconds_total{connector="shop",stage="convert",task="0"}' in text
    assert 'kafka_connect_connector_status{connector="shop",status="running"} 1.0' in text
    wait_until(lambda: (pipeline.metric('cdc_commits_total{connector="shop",task="0"}') or 0) >= 1, 30, "a commit")
    assert numbers(pipeline)["cdc_last_commit_timestamp_seconds"] == pytest.approx(time.time(), abs=60)
    assert pipeline.stop() == 0
