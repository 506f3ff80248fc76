"""A task's numbers under Debezium's names, so that dashboards for Debezium keep working.

They are the attributes of its MBeans (Debezium docs, "Monitoring"), as the JMX exporter names them with the rules of
debezium/debezium-examples: `debezium_metrics_<Attribute>{plugin,name,task,context}`. Rules with `lowercaseOutputName`
write the attribute in small letters; both spellings are available. An attribute without a value yet is -1, as with
Debezium. Attributes that are texts are not published, because the exporter leaves them out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Final

from .catalogue import Metric
from .sample import Sample
from .task import TaskMetrics

NOTHING: Final = -1
SNAPSHOT_STATES: Final = ("Running", "Paused", "Completed", "Aborted", "Skipped")
_OPS: Final = {"c": "Create", "u": "Update", "d": "Delete"}
_LABELS: Final = ("plugin", "name", "task", "context")
_BINLOG: Final = frozenset({"mysql", "mariadb"})

_BOTH: Final = (
    "MilliSecondsSinceLastEvent", "SecondsSinceLastEvent", "TotalNumberOfEventsSeen",
    "TotalNumberOfCreateEventsSeen", "TotalNumberOfUpdateEventsSeen", "TotalNumberOfDeleteEventsSeen",
    "NumberOfEventsFiltered", "NumberOfEventsSkipped", "NumberOfErroneousEvents", "QueueTotalCapacity",
    "QueueRemainingCapacity", "MaxQueueSizeInBytes", "CurrentQueueSizeInBytes")
_STREAMING: Final = ("Connected", "MilliSecondsBehindSource", "NumberOfCommittedTransactions",
                     "NumberOfUnchangedEventsSkipped")
_BINLOG_STREAMING: Final = (
    "BinlogPosition", "IsGtidModeEnabled", "NumberOfSkippedEvents", "NumberOfDisconnects",
    "NumberOfRolledBackTransactions", "NumberOfNotWellFormedTransactions", "NumberOfLargeTransactions",
    "SecondsBehindMaster")
_SNAPSHOT: Final = ("TotalTableCount", "RemainingTableCount", *(f"Snapshot{state}" for state in SNAPSHOT_STATES),
                    "SnapshotDurationInSeconds", "SnapshotPausedDurationInSeconds")
_ROWS: Final = "RowsScanned"


def _metric(attribute: str, contexts: str, labels: tuple[str, ...] = _LABELS) -> Metric:
    return Metric(f"debezium_metrics_{attribute}", f"Debezium's attribute {attribute}.", labels,
                  mirrors=f"{contexts}: {attribute}")


METRICS: Final = {metric.name: metric for metric in (
    *(_metric(each, "snapshot, streaming") for each in _BOTH), *(_metric(each, "streaming") for each in _STREAMING),
    *(_metric(each, "streaming of MySQL and MariaDB") for each in _BINLOG_STREAMING),
    *(_metric(each, "snapshot") for each in _SNAPSHOT), _metric("HoldingGlobalLock", "snapshot of MySQL and MariaDB"),
    _metric(_ROWS, "snapshot", (*_LABELS, "table")))}


def samples(task: TaskMetrics, numbers: Mapping[str, float]) -> Iterator[Sample]:
    """All attributes of *task*; *numbers* are its single numbers by full name."""
    streaming = {"plugin": task.plugin, "name": task.server, "task": str(task.task), "context": "streaming"}
    snapshot = {**streaming, "context": "snapshot"}
    for attribute, value in _streaming(task, numbers).items():
        yield Sample(METRICS[f"debezium_metrics_{attribute}"], streaming, value)
    for attribute, value in _snapshot(task, numbers).items():
        yield Sample(METRICS[f"debezium_metrics_{attribute}"], snapshot, value)
    for table, count in task.tables.rows().items():
        yield Sample(METRICS[f"debezium_metrics_{_ROWS}"], {**snapshot, "table": table}, count)


def in_small_letters(sample: Sample) -> Sample:
    """The same sample, as the exporter names it with `lowercaseOutputName`."""
    return sample._replace(metric=sample.metric._replace(name=sample.metric.name.lower()))


def _streaming(task: TaskMetrics, numbers: Mapping[str, float]) -> dict[str, float]:
    by_op: dict[str, int] = {}
    for (_, op), count in task.counts.copy().items():
        by_op[op] = by_op.get(op, 0) + count
    found = {
        **_both(task, numbers, sum(by_op.values()) - by_op.get("r", 0), by_op),
        "Connected": numbers.get("cdc_connected", int(task.state == "streaming")),
        "MilliSecondsBehindSource": task.behind_ms,
        "NumberOfCommittedTransactions": numbers.get("cdc_transactions_total", 0),
        "NumberOfUnchangedEventsSkipped": numbers.get("cdc_events_filtered_total", 0),
    }
    if task.plugin in _BINLOG:
        found |= {
            "BinlogPosition": numbers.get("cdc_binlog_position_bytes", NOTHING),
            "IsGtidModeEnabled": numbers.get("cdc_gtid_mode", 0),
            "NumberOfDisconnects": task.disconnects,
            "NumberOfSkippedEvents": 0,  # an event that cannot be read stops the stream
            "NumberOfRolledBackTransactions": numbers.get("cdc_transactions_rolled_back_total", 0),
            "NumberOfNotWellFormedTransactions": 0,  # such a log stops the stream with an error
            "NumberOfLargeTransactions": numbers.get("cdc_transactions_large_total", 0),
            "SecondsBehindMaster": NOTHING if task.behind_ms < 0 else task.behind_ms // 1000,
        }
    return found


def _snapshot(task: TaskMetrics, numbers: Mapping[str, float]) -> dict[str, float]:
    rows = sum(count for (_, op), count in task.counts.copy().items() if op == "r")
    found: dict[str, float] = {
        **_both(task, numbers, rows, {}),
        **{f"Snapshot{state}": int(task.snapshot_state == state.lower()) for state in SNAPSHOT_STATES},
        "TotalTableCount": numbers.get("cdc_snapshot_tables", 0),
        "RemainingTableCount": numbers.get("cdc_snapshot_tables_remaining", 0),
        "SnapshotDurationInSeconds": numbers.get("cdc_snapshot_duration_seconds", 0),
        "SnapshotPausedDurationInSeconds": 0,
    }
    if task.plugin in _BINLOG:
        found["HoldingGlobalLock"] = 0  # it is held for a moment only, before rows are read
    return found


def _both(task: TaskMetrics, numbers: Mapping[str, float], events: int, by_op: Mapping[str, int]) -> dict[str, float]:
    since = time.time_ns() // 1_000_000 - task.last_event_ms if task.last_event_ms else NOTHING
    capacity = numbers.get("cdc_queue_capacity_records", task.queue_records)
    used = numbers.get("cdc_inflight_records", 0)
    filtered = numbers.get("cdc_events_filtered_total", 0)
    return {
        "MilliSecondsSinceLastEvent": since,
        "SecondsSinceLastEvent": since // 1000 if since >= 0 else NOTHING,
        "TotalNumberOfEventsSeen": events,
        **{f"TotalNumberOf{word}EventsSeen": by_op.get(op, 0) for op, word in _OPS.items()},
        "NumberOfEventsFiltered": filtered,
        "NumberOfEventsSkipped": filtered,
        "NumberOfErroneousEvents": sum(task.errors.copy().values()),
        "QueueTotalCapacity": capacity,
        "QueueRemainingCapacity": max(0, capacity - used),
        "MaxQueueSizeInBytes": task.queue_bytes,
        "CurrentQueueSizeInBytes": numbers.get("cdc_inflight_bytes", 0),
    }
