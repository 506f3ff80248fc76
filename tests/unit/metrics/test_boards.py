"""Public dashboards for Debezium and Kafka Connect are filled by our numbers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from cdc.metrics.names import DEBEZIUM_SMALL, MIRRORED
from cdc.metrics.prometheus import WorkerMetrics
from cdc.metrics.task import TaskMetrics
from tests.unit.metrics import boards
from tests.unit.metrics.boards import Board

SELECTOR = re.compile(r"(?P<name>\w+)(?:\{(?P<matchers>.*)\})?")
MATCHER = re.compile(r'(?P<label>\w+)(?P<how>=~|=)"(?P<text>[^"]*)"')


def busy(plugin: str) -> TaskMetrics:
    """A task that has taken a snapshot, streams, and has a Kafka producer."""
    task = TaskMetrics("orders", server="shop", plugin=plugin, connector_class="c", queue_records=8192)
    task.connected(True)
    task.state = "snapshotting"
    task.polled({("public.a", "r"): 3}, time.time_ns() // 1000)
    task.state = "streaming"
    task.polled({("public.a", "c"): 2}, time.time_ns() // 1000)
    task.attach(lambda: {"cdc_kafka_sent_bytes_total": 10, "cdc_kafka_received_bytes_total": 5,
                         "cdc_kafka_connections": 1, "cdc_snapshot_tables": 1})
    return task


def scraped(task: TaskMetrics, *mirrored: str) -> list[Sample]:
    text = WorkerMetrics(lambda: [task], mirrored or MIRRORED).render().decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def selected(samples: list[Sample], expression: str, plugin: str) -> list[Sample]:
    """What the selector *expression* finds, after its variables are replaced."""
    found = SELECTOR.fullmatch(expression.replace("$plugin", plugin).replace("$name", "shop"))
    assert found is not None, expression
    matches: list[Callable[[Sample], bool]] = []
    for label, how, text in MATCHER.findall(found["matchers"] or ""):
        pattern = text if how == "=~" else re.escape(text)
        matches.append(lambda sample, label=label, pattern=pattern:  # type: ignore[misc]
                       re.fullmatch(pattern, sample.labels.get(label, "")) is not None)
    return [sample for sample in samples if sample.name == found["name"] and all(match(sample) for match in matches)]


def filled(board: Board, plugin: str) -> list[str]:
    """The panels whose every expression finds something."""
    samples = scraped(busy(plugin))
    return [panel for panel, expressions in board.items()
            if expressions and all(selected(samples, each, plugin) for each in expressions)]


@pytest.mark.parametrize(("board", "plugin", "count", "of"), [
    (boards.DEBEZIUM, "postgres", 11, 13), (boards.DEBEZIUM, "mysql", 11, 13),
    (boards.DEBEZIUM_MYSQL, "mysql", 29, 34), (boards.DEBEZIUM_MYSQL, "mariadb", 29, 34),
    (boards.STRIMZI, "postgres", 11, 16),
], ids=["debezium-postgres", "debezium-mysql", "mysql", "mariadb", "strimzi"])
def test_public_boards_are_filled(board: Board, plugin: str, count: int, of: int) -> None:
    found = filled(board, plugin)
    assert len(board) == of
    assert found == [panel for panel, expressions in board.items() if expressions]
    assert len(found) == count


def test_the_stock_alerts_of_connect_fire_for_a_failed_task() -> None:
    task = busy("postgres")
    status, failed = (expressions[0] for expressions in boards.STRIMZI_ALERTS.values() if expressions)
    assert not selected(scraped(task), status, "postgres")
    assert [each.value for each in selected(scraped(task), failed, "postgres")] == [0]
    task.state = "failed"
    assert [each.value for each in selected(scraped(task), status, "postgres")] == [1]
    assert [each.value for each in selected(scraped(task), failed, "postgres")] == [1]


def test_both_spellings_have_the_same_numbers() -> None:
    samples = scraped(busy("mysql"))
    exact = {(each.name.lower(), *each.labels.items()): each.value for each in samples
             if each.name.startswith("debezium_metrics_") and not each.name.islower()}
    small = {(each.name, *each.labels.items()): each.value for each in samples
             if each.name.startswith("debezium_metrics_") and each.name.islower()}
    assert len(small) > 30
    assert exact.keys() <= small.keys()


@pytest.mark.parametrize(("mirrored", "prefix"), [
    (("kafka-connect",), "debezium_"), (("debezium",), "kafka_"), ((DEBEZIUM_SMALL,), "debezium_metrics_C"),
])
def test_names_that_nobody_reads_can_be_left_out(mirrored: tuple[str, ...], prefix: str) -> None:
    assert not [each.name for each in scraped(busy("postgres"), *mirrored) if each.name.startswith(prefix)]


def test_without_any_mirrored_name_ours_are_there() -> None:
    text = WorkerMetrics(lambda: [busy("postgres")], ()).render().decode()
    assert "cdc_events_total" in text
    assert "debezium" not in text
    assert "kafka_connect_" not in text.replace("cdc_kafka_connections", "")
