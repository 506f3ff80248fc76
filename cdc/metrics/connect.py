"""A worker's numbers under Kafka Connect's names, so that its dashboards and alerts keep working.

They are the attributes of its MBeans (Kafka docs, "Connect Monitoring"), named as the JMX exporter names them with
Strimzi's rules (strimzi/strimzi-kafka-operator, kafka-connect-metrics.yaml). Two more are those of Debezium's example
dashboard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from cdc import about

from .catalogue import Metric
from .sample import Sample
from .task import TaskMetrics

_STATUS: Final = {
    "failed": "failed", "paused": "paused", "stopped": "stopped", "finished": "stopped", "starting": "running",
    "retrying": "restarting",
}
_COUNTED: Final = ("running", "paused", "failed", "unassigned", "destroyed", "restarting")

_CONNECTOR: Final = ("connector",)
_TASK: Final = ("connector", "task")
_CLIENT: Final = ("clientid",)


def _metrics(prefix: str, bean: str, labels: tuple[str, ...], *attributes: str) -> Iterator[Metric]:
    for attribute in attributes:
        name = f"{prefix}_{attribute.replace('-', '_')}"
        yield Metric(name, f"Kafka Connect's attribute {attribute} of {bean}.", labels, mirrors=f"{bean}: {attribute}")


METRICS: Final = {metric.name: metric for metric in (
    *_metrics("kafka_connect_worker", "connect-worker-metrics", (),
              "connector-count", "task-count", *(
                  f"{what}-startup-{count}" for what in ("connector", "task")
                  for count in ("attempts-total", "success-total", "failure-total", "success-percentage",
                                "failure-percentage"))),
    *_metrics("kafka_connect_worker", "connect-worker-metrics of a connector", _CONNECTOR,
              "connector-total-task-count", *(f"connector-{state}-task-count" for state in _COUNTED)),
    *_metrics("kafka_connect_worker_rebalance", "connect-worker-rebalance-metrics", (),
              "rebalancing", "completed-rebalances-total"),
    *_metrics("kafka_connect_coordinator", "connect-coordinator-metrics", (), "assigned-connectors", "assigned-tasks"),
    *(metric for text in ("connector-class", "connector-type", "connector-version", "status")
      for metric in _metrics("kafka_connect_connector", "connector-metrics",
                             (*_CONNECTOR, text.replace("-", "_")), text)),
    *_metrics("kafka_connect_connector_task", "connector-task-metrics", (*_TASK, "status"), "status"),
    *_metrics("kafka_connect_connector_task", "connector-task-metrics", _TASK,
              "running-ratio", "pause-ratio", "offset-commit-avg-time-ms", "offset-commit-max-time-ms",
              "offset-commit-success-percentage", "offset-commit-failure-percentage", "batch-size-avg",
              "batch-size-max"),
    *_metrics("kafka_connect_source_task", "source-task-metrics", _TASK,
              "source-record-poll-total", "source-record-poll-rate", "source-record-write-total",
              "source-record-write-rate", "poll-batch-avg-time-ms", "poll-batch-max-time-ms",
              "source-record-active-count", "source-record-active-count-avg", "source-record-active-count-max"),
    *_metrics("kafka_connect_task_error", "task-error-metrics", _TASK,
              "total-record-failures", "total-record-errors", "total-records-skipped", "total-retries",
              "total-errors-logged", "deadletterqueue-produce-requests", "deadletterqueue-produce-failures",
              "last-error-timestamp"),
    *_metrics("kafka_producer", "producer-metrics", _CLIENT,
              "connection-count", "outgoing-byte-total", "incoming-byte-total", "record-send-total",
              "record-error-total", "record-retry-total"),
    *_metrics("kafka_connect_metrics", "connect-metrics", ("client",), "incoming-byte-rate", "outgoing-byte-rate"),
)}


def samples(found: Sequence[tuple[TaskMetrics, Mapping[str, float]]]) -> Iterator[Sample]:
    """All attributes of a worker, from its tasks, one for each connector, and their single numbers by full name."""
    tasks = [task for task, _ in found]
    yield from _named("kafka_connect_worker", {}, {
        "connector_count": len(tasks), "task_count": len(tasks),
        **_startups("connector", len(tasks), len(tasks)),
        **_startups("task", sum(task.starts for task in tasks), sum(task.good_starts for task in tasks))})
    yield from _named("kafka_connect_worker_rebalance", {}, {"rebalancing": 0, "completed_rebalances_total": 0})
    yield from _named("kafka_connect_coordinator", {}, {"assigned_connectors": len(tasks),
                                                        "assigned_tasks": len(tasks)})
    for task, numbers in found:
        yield from _of_connector(task)
        yield from _of_task(task)
        yield from _of_producer(task, numbers)


def _startups(what: str, attempts: int, good: int) -> dict[str, float]:
    share = good / attempts if attempts else 0.0
    return {f"{what}_startup_attempts_total": attempts, f"{what}_startup_success_total": good,
            f"{what}_startup_failure_total": attempts - good, f"{what}_startup_success_percentage": share,
            f"{what}_startup_failure_percentage": 1 - share if attempts else 0.0}


def status_of(task: TaskMetrics) -> str:
    """The state of *task* in Kafka Connect's words."""
    return _STATUS.get(task.state, "running")


def _of_connector(task: TaskMetrics) -> Iterator[Sample]:
    status = status_of(task)
    connector = {"connector": task.connector}
    yield from _named("kafka_connect_worker", connector, {
        "connector_total_task_count": 1,
        **{f"connector_{state}_task_count": int(state == status) for state in _COUNTED}})
    for label, text in (("connector_class", task.connector_class), ("connector_type", "source"),
                        ("connector_version", about.VERSION), ("status", status)):
        yield from _named("kafka_connect_connector", {**connector, label: text}, {label: 1})


def _of_task(task: TaskMetrics) -> Iterator[Sample]:
    labels = {"connector": task.connector, "task": str(task.task)}
    commits = task.good_commits + task.bad_commits
    yield from _named("kafka_connect_connector_task", {**labels, "status": status_of(task)}, {"status": 1})
    yield from _named("kafka_connect_connector_task", labels, {
        "running_ratio": task.share_of("snapshotting", "streaming"), "pause_ratio": task.share_of("paused"),
        "offset_commit_avg_time_ms": task.commit_ms.average(), "offset_commit_max_time_ms": task.commit_ms.maximum(),
        "offset_commit_success_percentage": task.good_commits / commits if commits else 0.0,
        "offset_commit_failure_percentage": task.bad_commits / commits if commits else 0.0,
        "batch_size_avg": task.batch_records.average(), "batch_size_max": task.batch_records.maximum()})
    yield from _named("kafka_connect_source_task", labels, {
        "source_record_poll_total": task.records_polled, "source_record_poll_rate": task.batch_records.rate(),
        "source_record_write_total": task.records_sent, "source_record_write_rate": task.sent_records.rate(),
        "poll_batch_avg_time_ms": task.poll_ms.average(), "poll_batch_max_time_ms": task.poll_ms.maximum(),
        "source_record_active_count": task.numbers.get("cdc_inflight_records", 0),
        "source_record_active_count_avg": task.active_records.average(),
        "source_record_active_count_max": task.active_records.maximum()})
    errors = task.errors.copy()
    failures = sum(errors.get(stage, 0) for stage in ("convert", "column", "transform"))
    yield from _named("kafka_connect_task_error", labels, {
        "total_record_failures": failures, "total_record_errors": failures,
        "total_records_skipped": task.records_left_out, "total_retries": sum(errors.values()) - failures,
        "total_errors_logged": sum(errors.values()), "deadletterqueue_produce_requests": task.dead_letters,
        "deadletterqueue_produce_failures": 0, "last_error_timestamp": task.last_error_ms})


def _of_producer(task: TaskMetrics, numbers: Mapping[str, float]) -> Iterator[Sample]:
    sent, received = (numbers.get(f"cdc_kafka_{what}_bytes_total") for what in ("sent", "received"))
    if sent is None or received is None:
        return  # not Kafka, or no statistics yet
    client = f"connector-producer-{task.connector}-{task.task}"
    yield from _named("kafka_producer", {"clientid": client}, {
        "connection_count": numbers.get("cdc_kafka_connections", 0), "outgoing_byte_total": sent,
        "incoming_byte_total": received, "record_send_total": numbers.get("cdc_sink_messages_total", 0),
        "record_error_total": numbers.get("cdc_sink_failures_total", 0),
        "record_retry_total": numbers.get("cdc_kafka_retries_total", 0)})
    yield from _named("kafka_connect_metrics", {"client": client}, {
        "incoming_byte_rate": task.received_bytes.rate(received), "outgoing_byte_rate": task.sent_bytes.rate(sent)})


def _named(prefix: str, labels: Mapping[str, str], values: Mapping[str, float]) -> Iterator[Sample]:
    for name, value in values.items():
        yield Sample(METRICS[f"{prefix}_{name}"], labels, value)
