"""A real Prometheus: rules, alerts that fire and that do not, and dashboards over a real run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from cdc.metrics.alerts import ALERTS
from cdc.metrics.catalogue import NUMBERS
from cdc.metrics.dashboards import BOARDS, PROCESS, SNAPSHOTS, Panel
from cdc.metrics.prometheus import WorkerMetrics
from cdc.metrics.task import TaskMetrics
from tests.fault.items import Items, fresh_items
from tests.fault.pipeline import Pipeline
from tests.servers.kafka import KafkaServer
from tests.servers.process import wait_until
from tests.servers.prometheus import PrometheusServer, promtool, scraping
from tests.servers.registry import RegistryServer
from tests.unit.metrics import boards
from tests.unit.metrics.boards import Board

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "cdc.rules.yml"
_TASK = '{connector="c",task="0"}'

Series = Mapping[str, str]
"""Values by series, one a minute, as promtool writes them: `1x60` is 1 for an hour, `0+10x60` grows by 10."""


def state(name: str) -> str:
    return f'cdc_task_state{{connector="c",task="0",state="{name}"}}'


CASES: dict[str, tuple[Series, Series]] = {
    "CdcDown": ({}, {'cdc_info{version="1"}': "1x60"}),
    "CdcTaskFailed": ({state("failed"): "1x60"}, {state("failed"): "0x60", state("streaming"): "1x60"}),
    "CdcNotReady": ({state("retrying"): "1x60", state("streaming"): "0x60", state("failed"): "0x60"},
                    {state("retrying"): "0x60", state("streaming"): "1x60", state("failed"): "0x60"}),
    "CdcRestartLoop": ({f"cdc_task_starts_total{_TASK}": "0+1x60"}, {f"cdc_task_starts_total{_TASK}": "1x60"}),
    "CdcLag": ({f"cdc_lag_seconds{_TASK}": "0+60x60"}, {f"cdc_lag_seconds{_TASK}": "2x60"}),
    "CdcLatencyHigh": (
        {'cdc_latency_seconds_bucket{connector="c",task="0",le="60"}': "0+1x60",
         'cdc_latency_seconds_bucket{connector="c",task="0",le="300"}': "0+100x60",
         'cdc_latency_seconds_bucket{connector="c",task="0",le="+Inf"}': "0+100x60"},
        {'cdc_latency_seconds_bucket{connector="c",task="0",le="60"}': "0+100x60",
         'cdc_latency_seconds_bucket{connector="c",task="0",le="+Inf"}': "0+100x60"}),
    "CdcSilent": ({f"cdc_last_heartbeat_timestamp_seconds{_TASK}": "0x60",
                   f"cdc_last_event_timestamp_seconds{_TASK}": "0x60"},
                  {f"cdc_last_heartbeat_timestamp_seconds{_TASK}": "0x60",
                   f"cdc_last_event_timestamp_seconds{_TASK}": "0+60x60"}),
    "CdcDisconnected": ({f"cdc_connected{_TASK}": "0x60"}, {f"cdc_connected{_TASK}": "1x60"}),
    "CdcRetainedWal": ({f"cdc_retained_wal_bytes{_TASK}": "20000000000x60"},
                       {f"cdc_retained_wal_bytes{_TASK}": "5x60"}),
    "CdcWalRunwayShort": ({f"cdc_wal_runway_seconds{_TASK}": "600x60"}, {f"cdc_wal_runway_seconds{_TASK}": "9000x60"}),
    "CdcLogRunwayShort": ({f"cdc_log_runway_seconds{_TASK}": "3600x60"},
                          {f"cdc_log_runway_seconds{_TASK}": "90000x60"}),
    "CdcSlotInDanger": ({f"cdc_slot_wal_status{_TASK}": "2x60"}, {f"cdc_slot_wal_status{_TASK}": "1x60"}),
    "CdcKafkaUnreachable": ({f"cdc_sink_unreachable{_TASK}": "1x60"}, {f"cdc_sink_unreachable{_TASK}": "0x60"}),
    "CdcProduceErrors": ({f"cdc_sink_failures_total{_TASK}": "0+1x60"}, {f"cdc_sink_failures_total{_TASK}": "7x60"}),
    "CdcRegistryDown": ({f"cdc_registry_failures_total{_TASK}": "0+1x60"},
                        {f"cdc_registry_failures_total{_TASK}": "3x60"}),
    "CdcSchemaRefused": ({'cdc_errors_total{connector="c",task="0",stage="registry"}': "0x50 1x10",
                          state("failed"): "0x50 1x10"},
                         {'cdc_errors_total{connector="c",task="0",stage="registry"}': "0x50 1x10",
                          state("failed"): "0x60"}),
    "CdcOffsetCommitsFail": ({f"cdc_commit_failures_total{_TASK}": "0+1x60"},
                             {f"cdc_commit_failures_total{_TASK}": "1x60"}),
    "CdcRecordsLeftOut": ({'cdc_errors_total{connector="c",task="0",stage="convert"}': "0+1x60"},
                          {'cdc_errors_total{connector="c",task="0",stage="sink"}': "0+1x60"}),
    "CdcWarning": ({'cdc_warning{connector="c",task="0",kind="k",about="t"}': "1x60"},
                   {f"cdc_lag_seconds{_TASK}": "0x60"}),
}


def test_rules_are_valid() -> None:
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_our_metrics_are_named_as_prometheus_wants() -> None:
    """The names of other products are theirs."""
    task = TaskMetrics("a")
    task.count("t", "r")
    task.error("sink")
    task.spent("poll", 1)
    task.numbers.update(dict.fromkeys(NUMBERS, 1.0))
    done = promtool("check", "metrics", text=WorkerMetrics(lambda: [task], ()).render().decode())
    assert (done.returncode, done.stdout, done.stderr.strip()) == (0, "", "")


def test_each_alert_fires_and_is_quiet(tmp_path: Path) -> None:
    assert set(CASES) == {alert.name for alert in ALERTS}
    tests = []
    for name, cases in CASES.items():
        for fires, series in zip((True, False), cases, strict=True):
            tests.append({
                "name": f"{name} {'fires' if fires else 'is quiet'}", "interval": "1m",
                "input_series": [{"series": each, "values": values} for each, values in series.items()],
                "promql_expr_test": [{
                    "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})', "eval_time": "60m",
                    "exp_samples": [{"labels": "{}", "value": 1}] if fires else []}]})
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(name="items", params=["postgres18", "mysql", "mariadb"])
def items_fixture(request: pytest.FixtureRequest) -> Iterator[Items]:
    with fresh_items(request.getfixturevalue(request.param)) as items:
        yield items


@pytest.fixture(name="pipeline")
def pipeline_fixture(items: Items, kafka: KafkaServer, registry: RegistryServer, topic_prefix: str, tmp_path: Path,
                     ) -> Iterator[Pipeline]:
    """With a snapshot, and statistics of librdkafka that come soon."""
    with Pipeline(tmp_path, kafka.bootstrap, registry.url, items.options(topic_prefix)) as pipeline:
        pipeline.files["pipeline.properties"]["producer.statistics.interval.ms"] = "500"
        yield pipeline


def panels() -> list[tuple[str, Panel]]:
    return [(board.uid, panel) for board in BOARDS for _, found in board.rows for panel in found]


def of_board(board: Board, plugin: str, prefix: str) -> list[str]:
    """The expressions of a public board for this run."""
    return [each.replace("$plugin", plugin).replace("$name", prefix)
            for expressions in board.values() for each in expressions or ()]


def test_dashboards_show_a_run_and_alerts_are_quiet(
        request: pytest.FixtureRequest, items: Items, pipeline: Pipeline, topic_prefix: str, tmp_path: Path) -> None:
    which = request.node.callspec.params["items"]
    plugin = "postgres" if which.startswith("postgres") else which
    items.add(1, 200)
    pipeline.start()
    pipeline.await_state("streaming")
    with PrometheusServer(tmp_path, scraping([pipeline.url.removeprefix("http://")], [RULES])) as prometheus:
        items.add(201, 300)
        wait_until(lambda: prometheus.value('sum(cdc_events_total{op="c"})') == 100, 60, "the changes")
        wait_until(lambda: prometheus.value("cdc_kafka_sent_bytes_total"), 60, "librdkafka's statistics")
        wait_until(lambda: prometheus.value("cdc_lag_bytes") is not None, 60, "the monitor's first look")
        wait_until(lambda: prometheus.value("sum(rate(cdc_records_sent_total[30s]))") is not None, 60, "two scrapes")
        silent = [f"{uid}: {panel.title}" for uid, panel in panels() if not panel.empty
                  and not all(prometheus.query(boards.asked(expression)) for expression, _ in panel.queries)]
        assert silent == [], "panels without data, and without a reason"
        filled = {f"{uid}: {panel.title}" for uid, panel in panels()
                  if all(prometheus.query(boards.asked(expression)) for expression, _ in panel.queries)}
        for board in (PROCESS, SNAPSHOTS):
            assert {f"{board.uid}: {panel.title}" for _, found in board.rows for panel in found} <= filled
        own = "cdc-postgres" if plugin == "postgres" else "cdc-mysql"
        assert len([each for each in filled if each.startswith(own)]) >= 8
        public = of_board(boards.DEBEZIUM, plugin, topic_prefix) + of_board(boards.STRIMZI, plugin, topic_prefix)
        public += of_board(boards.DEBEZIUM_MYSQL, plugin, topic_prefix) if plugin != "postgres" else []
        assert [each for each in public if not prometheus.query(each)] == []
        assert {name for name, found in prometheus.alerts().items() if found == "firing"} == set()
    assert pipeline.stop() == 0


@pytest.mark.parametrize("items", ["postgres18"], indirect=True)
def test_lag_rises_while_kafka_is_away_and_falls_again(
        items: Items, pipeline: Pipeline, kafka: KafkaServer, tmp_path: Path) -> None:
    items.add(1, 10)
    pipeline.start()
    pipeline.await_state("streaming")
    with PrometheusServer(tmp_path, scraping([pipeline.url.removeprefix("http://")], [RULES])) as prometheus:
        wait_until(lambda: prometheus.value("cdc_lag_seconds") == 0, 60, "no lag")
        kafka.stop()
        try:
            items.add(11, 20)
            wait_until(lambda: (prometheus.value("cdc_lag_seconds") or 0) > 5, 60, "lag")
            assert prometheus.value("cdc_inflight_records")
            wait_until(lambda: prometheus.value("cdc_sink_unreachable") == 1, 60, "an unreachable Kafka")
            wait_until(lambda: "CdcKafkaUnreachable" in prometheus.alerts(), 60, "an alert that waits to fire")
        finally:
            kafka.start()
        wait_until(lambda: prometheus.value("cdc_lag_seconds") == 0, 120, "the lag to be gone")
        assert prometheus.value("max_over_time(cdc_lag_seconds[5m]) > bool 5") == 1
    assert pipeline.stop() == 0
