"""Histograms, windows, and the choice of tables."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cdc.metrics.latency import BOUNDS_S, Histogram
from cdc.metrics.prometheus import render
from cdc.metrics.tables import OTHERS, Tables
from cdc.metrics.task import TaskMetrics
from cdc.metrics.windows import Growth, Window


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_change_counts_in_its_bucket_and_all_above() -> None:
    histogram = Histogram((0.01, 0.1, 1.0))
    histogram.delivered([(1_000_000, 3), (1_950_000, 2)], 2_000_000)
    histogram.add(7.5)
    assert histogram.buckets() == [("0.01", 0.0), ("0.1", 2.0), ("1.0", 5.0), ("+Inf", 6.0)]
    assert histogram.sum_s == pytest.approx(3 * 1.0 + 2 * 0.05 + 7.5)


def test_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram((0.5, 1.0))
    histogram.add(0.5)
    assert histogram.buckets()[0] == ("0.5", 1.0)


def test_a_commit_after_our_clock_took_no_time() -> None:
    histogram = Histogram()
    histogram.delivered([(5_000_000, 1)], 1_000_000)
    assert histogram.sum_s == 0
    assert histogram.buckets()[0][1] == 1


def test_latency_is_published_as_a_histogram() -> None:
    task = TaskMetrics("c")
    task.latency.add(0.02, 4)
    families = {family.name: family for family in text_string_to_metric_families(render([task]).decode())}
    family = families["cdc_latency_seconds"]
    assert family.type == "histogram"
    assert len([each for each in family.samples if each.name.endswith("_bucket")]) == len(BOUNDS_S) + 1
    assert [each.value for each in family.samples if each.name.endswith("_count")] == [4]


def test_a_window_forgets_what_is_older_than_two_of_its_lengths() -> None:
    clock = Clock()
    window = Window(clock)
    window.add(10)
    window.add(20)
    assert (window.average(), window.maximum()) == (15, 20)
    clock.now += 40
    window.add(1)
    assert (window.average(), window.maximum()) == (31 / 3, 20)
    clock.now += 40
    assert (window.average(), window.maximum()) == (1, 1)
    clock.now += 100
    assert (window.average(), window.maximum(), window.rate()) == (0, 0, 0)


def test_a_windows_rate_is_per_second() -> None:
    clock = Clock()
    window = Window(clock)
    window.add(100)
    clock.now += 10
    window.add(100)
    assert window.rate() == 20


def test_growth_is_that_of_the_last_minute_and_survives_a_counter_that_begins_again() -> None:
    clock = Clock()
    growth = Growth(clock)
    assert growth.rate(0) == 0
    clock.now += 10
    assert growth.rate(500) == 50
    clock.now += 10
    assert growth.rate(5) == 0
    clock.now += 10
    assert growth.rate(15) == 1
    clock.now += 100
    growth.rate(15)
    clock.now += 10
    assert growth.rate(115) < 1.0


def test_the_busiest_tables_have_numbers_of_their_own_and_no_counter_falls() -> None:
    counts = {("a", "c"): 1, ("b", "c"): 5, ("b", "d"): 2, ("c", "c"): 9}
    tables = Tables(counts, 2)
    assert tables.changes() == {(OTHERS, "c"): 1, ("b", "c"): 5, ("b", "d"): 2, ("c", "c"): 9}
    counts["a", "c"] = 1000
    counts["d", "r"] = 7
    assert tables.changes() == {(OTHERS, "c"): 1000, (OTHERS, "r"): 7, ("b", "c"): 5, ("b", "d"): 2, ("c", "c"): 9}
    assert tables.rows() == {OTHERS: 7}


def test_no_table_need_have_numbers_of_its_own() -> None:
    assert Tables({("a", "c"): 1, ("b", "c"): 2}, 0).changes() == {(OTHERS, "c"): 3}


def test_shares_of_a_tasks_life_add_up() -> None:
    task = TaskMetrics("c")
    task.state = "streaming"
    task.state = "failed"
    assert task.share_of("starting", "streaming", "failed") == pytest.approx(1)
    assert task.share_of("paused") == 0


def test_a_lost_connection_counts_once() -> None:
    task = TaskMetrics("c")
    task.connected(False)
    assert task.disconnects == 0, "it was never there"
    task.connected(True)
    task.connected(False)
    task.connected(False)
    assert task.disconnects == 1
