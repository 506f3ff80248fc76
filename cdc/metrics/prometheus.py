"""A worker's metrics in Prometheus' text format, for `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from cdc import about

from . import connect, debezium
from .catalogue import (
    DEAD_LETTERS,
    DISCONNECTS,
    ERRORS,
    EVENTS,
    INFO,
    LAG_SECONDS,
    LATENCY,
    LEFT_OUT,
    NUMBERS,
    RECORDS_SENT,
    SNAPSHOT_ROWS,
    STAGE_SECONDS,
    STARTS,
    TASK_STATE,
    WARNING,
    WARNINGS,
    Metric,
)
from .latency import Histogram
from .names import DEBEZIUM, DEBEZIUM_SMALL, KAFKA_CONNECT, MIRRORED
from .task import STATES, TaskMetrics

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

_MOST_WARNINGS: Final = 100


class WorkerMetrics(Collector):
    """One registry for one worker. Each scrape calls *tasks* for the tasks that run then."""

    def __init__(self, tasks: Callable[[], Iterable[TaskMetrics]], mirrored: Iterable[str] = MIRRORED) -> None:
        """*mirrored*: which of MIRRORED are published."""
        self._tasks = tasks
        self._mirrored = frozenset(mirrored)
        self._core = about.core()
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def render(self) -> bytes:
        """Prometheus' text format; send it as CONTENT_TYPE."""
        return generate_latest(self.registry)

    def describe(self) -> list[Family]:
        return []

    def collect(self) -> Iterator[Family]:
        families = _Families()
        families.add(INFO, {"version": about.VERSION, "core": self._core}, 1)
        found = [(task, task.all_numbers()) for task in self._tasks()]
        for task, numbers in found:
            _collect(task, numbers.copy(), families)
            self._collect_debezium(task, numbers, families)
        if KAFKA_CONNECT in self._mirrored:
            for sample in connect.samples(found):
                families.add(*sample)
        return iter(families.all())

    def _collect_debezium(self, task: TaskMetrics, numbers: Mapping[str, float], families: _Families) -> None:
        for sample in debezium.samples(task, numbers):
            if DEBEZIUM in self._mirrored:
                families.add(*sample)
            if DEBEZIUM_SMALL in self._mirrored:
                families.add(*debezium.in_small_letters(sample))


def render(tasks: Iterable[TaskMetrics]) -> bytes:
    """One scrape of *tasks* alone."""
    found = list(tasks)
    return WorkerMetrics(lambda: found).render()


class _Families:
    """Collects samples into families. Of two samples with the same name and labels the first one counts.

    Two connectors with one topic.prefix give such samples, and Prometheus rejects a whole scrape with a repeated one.
    """

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
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = self._found[metric.name] = kind(metric.name, metric.doc, labels=list(labels))
        family.add_metric(list(labels.values()), value)  # type: ignore[attr-defined]

    def add_histogram(self, metric: Metric, labels: Mapping[str, str], histogram: Histogram) -> None:
        family = self._found.get(metric.name)
        if family is None:
            family = self._found[metric.name] = HistogramMetricFamily(metric.name, metric.doc, labels=list(labels))
        family.add_metric(list(labels.values()), histogram.buckets(), histogram.sum_s)  # type: ignore[attr-defined]

    def all(self) -> list[Family]:
        return list(self._found.values())


def _collect(task: TaskMetrics, numbers: dict[str, float], families: _Families) -> None:
    labels = {"connector": task.connector, "task": str(task.task)}
    for (table, op), count in task.tables.changes().items():
        families.add(EVENTS, {**labels, "table": table, "op": op}, count)
        if op == "r":
            families.add(SNAPSHOT_ROWS, {**labels, "table": table}, count)
    by_text: tuple[tuple[Metric, str, Mapping[str, float]], ...] = (
        (ERRORS, "stage", task.errors.copy()), (STAGE_SECONDS, "stage", task.stages.copy()),
        (WARNINGS, "kind", task.warnings_begun()))
    for metric, label, counts in by_text:
        for text, value in counts.items():
            families.add(metric, {**labels, label: text}, value)
    for warned in task.warnings()[:_MOST_WARNINGS]:
        families.add(WARNING, {**labels, "kind": warned.kind, "about": warned.about}, 1)
    families.add(RECORDS_SENT, labels, numbers.pop(RECORDS_SENT.name, task.records_sent))
    families.add(LEFT_OUT, labels, task.records_left_out)
    families.add(DEAD_LETTERS, labels, task.dead_letters)
    families.add(LAG_SECONDS, labels, numbers.pop(LAG_SECONDS.name, task.lag_seconds()))
    families.add(STARTS, labels, task.starts)
    families.add(DISCONNECTS, labels, task.disconnects)
    families.add_histogram(LATENCY, labels, task.latency)
    for state in dict.fromkeys((*STATES, task.state)):
        families.add(TASK_STATE, {**labels, "state": state}, int(state == task.state))
    for name, value in numbers.items():
        families.add(NUMBERS.get(name) or Metric(name, "A number of the source or the sink."), labels, value)
