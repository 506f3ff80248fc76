"""Every metric we publish, by name, and how a task's numbers become them. Units come last in a name.

A task counts into its `TaskMetrics`: plain integers and dicts, written by the task's thread alone, without locks.
Nothing else is kept: a scrape reads them as they are. Numbers that a source or sink keeps for itself are asked for
at scrape time (`attach`).

Beside our own names stand those that dashboards for Debezium read: the attributes of its MBeans as the JMX exporter
names them with Debezium's example configuration, `debezium_metrics_<Attribute>{plugin,name,context}`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from . import about

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

STATES: Final = (
    "starting", "snapshotting", "streaming", "retrying", "paused", "stopping", "stopped", "finished", "failed",
)
"""What a task can be doing. `retrying`: waits after a transient error; `finished`: nothing more will ever come."""

READY_STATES: Final = frozenset({"snapshotting", "streaming", "paused", "stopped", "finished"})
"""States that need nobody: the task works, or somebody asked it not to."""

_DONE_STATES: Final = frozenset({"paused", "stopped", "finished"})

NOTHING: Final = -1
"""What Debezium's attributes say where there is no value yet."""


class Metric(NamedTuple):
    name: str
    doc: str
    labels: tuple[str, ...] = ()


EVENTS = Metric("cdc_events_total", "Changes read from the source.", ("table", "op"))
ERRORS = Metric("cdc_errors_total", "Errors, those that were retried included.", ("stage",))
SNAPSHOT_ROWS = Metric("cdc_snapshot_rows_total", "Rows read by snapshots.", ("table",))
RECORDS_SENT = Metric("cdc_records_sent_total", "Records acknowledged by the sink.")
LAG_SECONDS = Metric("cdc_lag_seconds",
                     "Age of the oldest change that was read and is not delivered, or time since the source was lost; "
                     "0 when there is neither.")
TASK_STATE = Metric("cdc_task_state", "1 for the state that the task is in.", ("state",))
INFO = Metric("cdc_info", "1; the labels say what runs.", ("version", "core"))

NUMBERS: Final = {
    metric.name: metric for metric in (
        Metric("cdc_lag_bytes", "Log written by the server behind the last position that we confirmed."),
        Metric("cdc_inflight_records", "Records sent and not yet acknowledged."),
        Metric("cdc_inflight_bytes", "Bytes of log behind the records in flight."),
        Metric("cdc_commit_lsn", "Last position committed to the offset store, as a number."),
        Metric("cdc_retained_wal_bytes", "WAL that the server keeps because of our slot."),
        Metric("cdc_connected", "1 while connected to the source."),
        Metric("cdc_transactions_total", "Committed transactions read from the source."),
        Metric("cdc_events_filtered_total", "Changes left out by filters."),
        Metric("cdc_commits_total", "Positions committed to the offset store."),
        Metric("cdc_queue_bytes", "Bytes of log received and not yet decoded."),
        Metric("cdc_spilled_bytes", "Bytes of unfinished streamed transactions held on disk."),
        Metric("cdc_sink_queued_messages", "Messages in the sink's own queue."),
        Metric("cdc_sink_messages_total", "Messages that the sink took."),
        Metric("cdc_sink_bytes_total", "Bytes of keys and values that the sink took."),
        Metric("cdc_sink_failures_total", "Deliveries that failed for good."),
        Metric("cdc_sink_queue_full_total", "How often the sink's queue was full."),
        Metric("cdc_sink_unreachable", "1 while the sink cannot be reached."),
        Metric("cdc_queue_capacity_records", "How many records may be in flight."),
        Metric("cdc_snapshot_tables", "Tables in the snapshot."),
        Metric("cdc_snapshot_tables_remaining", "Tables of the snapshot that are not yet read."),
        Metric("cdc_snapshot_duration_seconds", "How long the snapshot has taken so far, or took."),
    )
}
"""Single numbers, from `TaskMetrics.gauges` and from what is attached; others that turn up there are published too."""

SNAPSHOT_STATES: Final = ("Running", "Completed", "Aborted", "Skipped")
_OPS: Final = {"c": "Create", "u": "Update", "d": "Delete"}


class TaskMetrics:
    """What one task counts. Only the task's thread writes; anybody may read.

    `gauges` maps the name of a metric, with or without `cdc_`, to its number now. `server` (topic.prefix) and
    `plugin` (`postgres`, `mysql`) are labels of Debezium's names. `snapshot_state`, one of SNAPSHOT_STATES in lower
    case or empty before it is known, follows from `state`. Keep the object when a task restarts: counters only rise.
    """

    def __init__(self, connector: str, task: int = 0, *, server: str = "", plugin: str = "postgres") -> None:
        self.connector = connector
        self.task = task
        self.server = server or connector
        self.plugin = plugin
        self._state = "starting"
        self.reason = ""
        """Why the state is what it is, for people; without cell values and secrets."""
        self.counts: dict[tuple[str, str], int] = {}
        self.errors: dict[str, int] = {}
        self.snapshot_rows: dict[str, int] = {}
        self.snapshot_state = ""
        self.records_sent = 0
        self.gauges: dict[str, float] = {}
        self.last_event_ms = 0
        self.behind_ms: int = NOTHING
        self._pending_us = 0
        self._lost_us = 0
        self._readers: list[Callable[[], Mapping[str, float]]] = []

    @property
    def state(self) -> str:
        """One of STATES."""
        return self._state

    @state.setter
    def state(self, state: str) -> None:
        if state == self._state:
            return
        self._state = state
        if state == "snapshotting":
            self.snapshot_state = "running"
        elif self.snapshot_state == "running":
            self.snapshot_state = "completed" if state in ("streaming", "finished") else "aborted"
        elif not self.snapshot_state and state == "streaming":
            self.snapshot_state = "skipped"

    def count(self, table: str, op: str, number: int = 1) -> None:
        """*number* more changes of *table*; rows read by a snapshot (`r`) count as such too."""
        self.counts[table, op] = self.counts.get((table, op), 0) + number
        if op == "r":
            self.snapshot_rows[table] = self.snapshot_rows.get(table, 0) + number

    def polled(self, counts: Mapping[tuple[str, str], int], source_ts_us: int) -> None:
        """A batch came from the source; *source_ts_us* is its newest change's time, 0 when unknown."""
        for (table, op), number in counts.items():
            self.count(table, op, number)
        if not counts:
            return
        self.last_event_ms = time.time_ns() // 1_000_000
        if source_ts_us:
            self.behind_ms = self.last_event_ms - source_ts_us // 1000
            self._pending_us = self._pending_us or source_ts_us

    def delivered(self, records: int, source_ts_us: int, *, all_done: bool) -> None:
        """*records* more were acknowledged, up to source time *source_ts_us*; *all_done*: none is in flight."""
        self.records_sent += records
        self._pending_us = 0 if all_done else source_ts_us or self._pending_us

    def error(self, stage: str) -> None:
        self.errors[stage] = self.errors.get(stage, 0) + 1

    def connected(self, yes: bool) -> None:
        """The source's connection came or went; while it is away the lag grows."""
        self.gauges["cdc_connected"] = int(yes)
        self._lost_us = 0 if yes else self._lost_us or time.time_ns() // 1000

    def forget_inflight(self) -> None:
        """What was in flight is read again from the source: the task starts over."""
        self._pending_us = 0

    def attach(self, read: Callable[[], Mapping[str, float]]) -> None:
        """*read* is called at each scrape, from the scraping thread, for more of `gauges`."""
        self._readers.append(read)

    def detach_all(self) -> None:
        """Source and sink are gone. What they said last stays, so that no series goes silent when a task fails."""
        self.gauges.update(self.numbers())
        self._readers.clear()

    @property
    def ready(self) -> bool:
        return self.state in READY_STATES

    def lag_seconds(self) -> float:
        lost_us = self._lost_us if self._state not in _DONE_STATES else 0
        since = [us for us in (self._pending_us, lost_us) if us]
        return max(0.0, time.time_ns() / 1e9 - min(since) / 1e6) if since else 0.0

    def numbers(self) -> dict[str, float]:
        """`gauges` and what is attached, by full metric name. A reader that fails is counted, not passed on."""
        found = self.gauges.copy()
        for read in self._readers.copy():
            try:
                found.update(read())
            except Exception:
                self.error("metrics")
        return {name if name.startswith("cdc_") else f"cdc_{name}": float(value) for name, value in found.items()}


class WorkerMetrics(Collector):
    """One registry for one worker; *tasks* is asked for the tasks of the moment at each scrape."""

    def __init__(self, tasks: Callable[[], Iterable[TaskMetrics]]) -> None:
        self._tasks = tasks
        self._core = about.core()
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def render(self) -> bytes:
        """Prometheus' text format; send it as CONTENT_TYPE."""
        return generate_latest(self.registry)

    def describe(self) -> list[Family]:
        return []

    def collect(self) -> Iterator[Family]:
        families = _Families()
        families.add(INFO, {"version": about.VERSION, "core": self._core}, 1)
        for task in self._tasks():
            _collect(task, families)
        return iter(families.all())


def render(tasks: Iterable[TaskMetrics]) -> bytes:
    """One scrape of *tasks*, without a worker."""
    found = list(tasks)
    return WorkerMetrics(lambda: found).render()


class _Families:
    """Metric families as they fill up, each name once, each set of labels once: the first one counts. A repeated
    sample (two connectors with one topic.prefix) would cost the whole scrape."""

    def __init__(self) -> None:
        self._found: dict[str, Family] = {}
        self._seen: set[tuple[str, ...]] = set()

    def add(self, metric: Metric, labels: Mapping[str, str], value: float) -> None:
        sample = (metric.name, *labels.values())
        if sample in self._seen:
            return
        self._seen.add(sample)
        family = self._found.get(metric.name)
        if family is None:
            kind = CounterMetricFamily if metric.name.endswith("_total") else GaugeMetricFamily
            family = self._found[metric.name] = kind(metric.name, metric.doc, labels=list(labels))
        family.add_metric(list(labels.values()), value)  # type: ignore[attr-defined]

    def all(self) -> list[Family]:
        return list(self._found.values())


def _collect(task: TaskMetrics, families: _Families) -> None:
    labels = {"connector": task.connector, "task": str(task.task)}
    numbers = task.numbers()
    for (table, op), count in task.counts.copy().items():
        families.add(EVENTS, {**labels, "table": table, "op": op}, count)
    for table, count in task.snapshot_rows.copy().items():
        families.add(SNAPSHOT_ROWS, {**labels, "table": table}, count)
    for stage, count in task.errors.copy().items():
        families.add(ERRORS, {**labels, "stage": stage}, count)
    families.add(RECORDS_SENT, labels, numbers.pop(RECORDS_SENT.name, task.records_sent))
    families.add(LAG_SECONDS, labels, numbers.pop(LAG_SECONDS.name, task.lag_seconds()))
    for state in dict.fromkeys((*STATES, task.state)):
        families.add(TASK_STATE, {**labels, "state": state}, int(state == task.state))
    for name, value in numbers.items():
        families.add(NUMBERS.get(name) or Metric(name, "A number of the source or the sink."), labels, value)
    _collect_debezium(task, numbers, families)


def _collect_debezium(task: TaskMetrics, numbers: Mapping[str, float], families: _Families) -> None:
    streaming = {"plugin": task.plugin, "name": task.server, "context": "streaming"}
    snapshot = {**streaming, "context": "snapshot"}
    for attribute, value in _streaming(task, numbers).items():
        families.add(_debezium(attribute), streaming, value)
    for attribute, value in _snapshot(task, numbers).items():
        families.add(_debezium(attribute), snapshot, value)
    for table, count in task.snapshot_rows.copy().items():
        families.add(_debezium("RowsScanned"), {**snapshot, "table": table}, count)


def _streaming(task: TaskMetrics, numbers: Mapping[str, float]) -> dict[str, float]:
    by_op: dict[str, int] = {}
    for (_, op), count in task.counts.copy().items():
        by_op[op] = by_op.get(op, 0) + count
    since = time.time_ns() // 1_000_000 - task.last_event_ms if task.last_event_ms else NOTHING
    return {
        "MilliSecondsBehindSource": task.behind_ms,
        "MilliSecondsSinceLastEvent": since,
        "TotalNumberOfEventsSeen": sum(by_op.values()) - by_op.get("r", 0),
        **{f"TotalNumberOf{word}EventsSeen": by_op.get(op, 0) for op, word in _OPS.items()},
        "NumberOfEventsFiltered": numbers.get("cdc_events_filtered_total", 0),
        "NumberOfErroneousEvents": sum(task.errors.copy().values()),
        "NumberOfCommittedTransactions": numbers.get("cdc_transactions_total", 0),
        "Connected": numbers.get("cdc_connected", int(task.state == "streaming")),
        **_queue(numbers),
    }


def _snapshot(task: TaskMetrics, numbers: Mapping[str, float]) -> dict[str, float]:
    return {
        "TotalNumberOfEventsSeen": sum(task.snapshot_rows.copy().values()),
        **{f"Snapshot{state}": int(task.snapshot_state == state.lower()) for state in SNAPSHOT_STATES},
        "TotalTableCount": numbers.get("cdc_snapshot_tables", 0),
        "RemainingTableCount": numbers.get("cdc_snapshot_tables_remaining", 0),
        "SnapshotDurationInSeconds": numbers.get("cdc_snapshot_duration_seconds", 0),
    }


def _queue(numbers: Mapping[str, float]) -> dict[str, float]:
    capacity = numbers.get("cdc_queue_capacity_records")
    if capacity is None:
        return {}
    used = numbers.get("cdc_inflight_records", 0)
    return {"QueueTotalCapacity": capacity, "QueueRemainingCapacity": max(0, capacity - used)}


def _debezium(attribute: str) -> Metric:
    return Metric(f"debezium_metrics_{attribute}", f"Debezium's attribute {attribute}.")
