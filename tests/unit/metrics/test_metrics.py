"""cdc/metrics: what a scrape shows."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cdc import about
from cdc.core.interfaces import Warned
from cdc.metrics.catalogue import NUMBERS
from cdc.metrics.prometheus import WorkerMetrics, render
from cdc.metrics.task import STATES, UNKNOWN_MS, TaskMetrics

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(*tasks: TaskMetrics) -> Samples:
    text = render(tasks).decode()
    return {(sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text) for sample in family.samples}


def value(samples: Samples, metric: str, /, **labels: str) -> float:
    found = [number for (name, has), number in samples.items()
             if name == metric and labels.items() <= dict(has).items()]
    assert len(found) == 1, f"{metric}{labels}: {len(found)} samples"
    return found[0]


@pytest.fixture
def task() -> TaskMetrics:
    return TaskMetrics("inventory", 0, server="srv")


def now_us() -> int:
    return time.time_ns() // 1000


def test_events_are_counted_by_table_and_op(task: TaskMetrics) -> None:
    task.polled({("public.orders", "c"): 3, ("public.orders", "u"): 1}, now_us())
    task.polled({("public.orders", "c"): 2}, now_us())
    samples = scraped(task)
    labels = {"connector": "inventory", "task": "0", "table": "public.orders"}
    assert value(samples, "cdc_events_total", op="c", **labels) == 5
    assert value(samples, "cdc_events_total", op="u", **labels) == 1


def test_a_table_name_is_data_not_syntax(task: TaskMetrics) -> None:
    name = 'a"b\\c\nd} 7'
    task.count(name, "c")
    assert value(scraped(task), "cdc_events_total", table=name) == 1


def test_numbers_are_found_with_and_without_prefix_and_unknown_ones_too(task: TaskMetrics) -> None:
    task.numbers["cdc_lag_bytes"] = 7
    task.numbers["commit_lsn"] = 2**40
    task.attach(lambda: {"retained_wal_bytes": 9, "cdc_odd_things_total": 1})
    samples = scraped(task)
    assert value(samples, "cdc_lag_bytes", connector="inventory", task="0") == 7
    assert value(samples, "cdc_commit_lsn") == 2**40
    assert value(samples, "cdc_retained_wal_bytes") == 9
    assert value(samples, "cdc_odd_things_total") == 1


def test_a_failing_reader_costs_its_numbers_only(task: TaskMetrics) -> None:
    def broken() -> Mapping[str, float]:
        raise OSError

    task.attach(broken)
    task.numbers["lag_bytes"] = 1
    samples = scraped(task)
    assert value(samples, "cdc_lag_bytes") == 1
    assert value(samples, "cdc_errors_total", stage="metrics") == 1


def test_warnings_have_a_series_while_they_last_and_are_counted(task: TaskMetrics) -> None:
    class Shown:
        def active(self) -> list[Warned]:
            return [Warned("table_not_published", f"public.t{number}", "why", "", 1) for number in range(1000)]

        def begun(self) -> dict[str, int]:
            return {"table_not_published": 1001}

    assert not any(name.startswith("cdc_warning") for name, _ in scraped(task))
    task.warn(Shown())
    samples = scraped(task)
    assert value(samples, "cdc_warning", kind="table_not_published", about="public.t0") == 1
    assert sum(name == "cdc_warning" for name, _ in samples) == 100, "labels are bounded"
    assert value(samples, "cdc_warnings_total", kind="table_not_published") == 1001


def test_exactly_one_state_is_on_and_all_are_there(task: TaskMetrics) -> None:
    task.state = "streaming"
    samples = scraped(task)
    on = {dict(labels)["state"]: number for (name, labels), number in samples.items() if name == "cdc_task_state"}
    assert set(on) == set(STATES)
    assert [state for state, number in on.items() if number] == ["streaming"]


def test_a_failed_task_keeps_its_series(task: TaskMetrics) -> None:
    task.count("t", "c")
    task.state = "failed"
    samples = scraped(task)
    assert value(samples, "cdc_task_state", state="failed") == 1
    assert value(samples, "cdc_events_total", table="t") == 1


def test_lag_is_zero_when_all_is_delivered(task: TaskMetrics) -> None:
    task.polled({("t", "c"): 1}, now_us() - 60_000_000)
    assert 59 < task.lag_seconds() < 70
    task.delivered(1, now_us() - 60_000_000, all_done=True)
    assert task.lag_seconds() == 0


def test_lag_is_that_of_the_oldest_change_in_flight(task: TaskMetrics) -> None:
    task.polled({("t", "c"): 1}, now_us() - 60_000_000)
    task.polled({("t", "c"): 1}, now_us() - 30_000_000)
    assert task.lag_seconds() > 59
    task.delivered(1, now_us() - 30_000_000, all_done=False)
    assert 29 < task.lag_seconds() < 40


def test_lag_grows_while_the_source_is_away(task: TaskMetrics) -> None:
    task.connected(False)
    first = task.lag_seconds()
    task.connected(False)
    assert task.lag_seconds() > first
    task.connected(True)
    assert task.lag_seconds() == 0


def test_a_task_that_is_done_has_no_lag(task: TaskMetrics) -> None:
    task.connected(False)
    task.state = "finished"
    assert task.lag_seconds() == 0


@pytest.mark.parametrize(("states", "snapshot"), [
    (["snapshotting"], "running"), (["snapshotting", "streaming"], "completed"),
    (["snapshotting", "finished"], "completed"),
    (["snapshotting", "retrying"], "aborted"), (["snapshotting", "retrying", "starting", "snapshotting"], "running"),
    (["streaming"], "skipped"), (["streaming", "retrying", "starting", "streaming"], "skipped"),
    (["snapshotting", "streaming", "retrying", "streaming"], "completed"), (["failed"], ""),
])
def test_the_snapshots_state_follows_from_the_tasks(task: TaskMetrics, states: list[str], snapshot: str) -> None:
    for state in states:
        task.state = state
    assert task.snapshot_state == snapshot


def test_numbers_stay_when_source_and_sink_are_gone(task: TaskMetrics) -> None:
    task.attach(lambda: {"retained_wal_bytes": 9})
    task.detach_all()
    assert value(scraped(task), "cdc_retained_wal_bytes") == 9


def test_a_clock_ahead_of_ours_is_no_negative_lag(task: TaskMetrics) -> None:
    task.polled({("t", "c"): 1}, now_us() + 60_000_000)
    assert task.lag_seconds() == 0


def test_an_empty_batch_is_no_event(task: TaskMetrics) -> None:
    task.polled({}, now_us())
    assert task.lag_seconds() == 0
    assert task.behind_ms == UNKNOWN_MS


def test_debezium_names_carry_the_labels_of_its_example_dashboard(task: TaskMetrics) -> None:
    task.connected(True)
    task.snapshot_state = "completed"
    task.polled({("public.a", "r"): 4}, now_us())
    task.polled({("public.a", "c"): 2, ("public.a", "d"): 1}, now_us() - 5_000_000)
    samples = scraped(task)
    streaming = {"plugin": "postgres", "name": "srv", "context": "streaming"}
    snapshot = streaming | {"context": "snapshot"}
    assert 5000 <= value(samples, "debezium_metrics_MilliSecondsBehindSource", **streaming) < 10000
    assert value(samples, "debezium_metrics_TotalNumberOfEventsSeen", **streaming) == 3
    assert value(samples, "debezium_metrics_TotalNumberOfDeleteEventsSeen", **streaming) == 1
    assert value(samples, "debezium_metrics_Connected", **streaming) == 1
    assert value(samples, "debezium_metrics_SnapshotCompleted", **snapshot) == 1
    assert value(samples, "debezium_metrics_SnapshotRunning", **snapshot) == 0
    assert value(samples, "debezium_metrics_RowsScanned", table="public.a", **snapshot) == 4


def test_debezium_says_minus_one_before_the_first_event(task: TaskMetrics) -> None:
    samples = scraped(task)
    assert value(samples, "debezium_metrics_MilliSecondsBehindSource") == -1
    assert value(samples, "debezium_metrics_MilliSecondsSinceLastEvent", context="streaming") == -1


def test_two_tasks_share_families() -> None:
    samples = scraped(TaskMetrics("a"), TaskMetrics("b"))
    assert value(samples, "cdc_records_sent_total", connector="a") == 0
    assert value(samples, "cdc_records_sent_total", connector="b") == 0


def test_two_connectors_with_one_prefix_do_not_break_the_scrape() -> None:
    text = render([TaskMetrics("a", server="srv"), TaskMetrics("b", server="srv")]).decode()
    lines = [line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines))


def test_a_number_that_the_sink_counts_itself_is_the_one_shown(task: TaskMetrics) -> None:
    task.attach(lambda: {"records_sent_total": 5})
    assert value(scraped(task), "cdc_records_sent_total") == 5


def test_the_worker_says_what_it_is_even_without_tasks() -> None:
    samples = scraped()
    assert value(samples, "cdc_info", version=about.VERSION, core=about.core()) == 1
    assert value(samples, "process_resident_memory_bytes") > 1e6
    assert value(samples, "process_cpu_seconds_total") > 0


def test_units_come_last() -> None:
    units = ("_bytes", "_seconds", "_records", "_messages", "_total", "_lsn", "_tables", "_remaining", "_connected",
             "_unreachable", "_connections", "_waiting", "_mode", "_status")
    assert all(name.startswith("cdc_") and name.endswith(units) for name in NUMBERS)


def test_scrapes_may_run_while_the_task_counts(task: TaskMetrics) -> None:
    worker = WorkerMetrics(lambda: [task])
    stop = threading.Event()

    def count() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            task.count(f"t{number % 500}", "cudr"[number % 4])

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for _ in range(20):
            worker.render()
    finally:
        stop.set()
        thread.join()
