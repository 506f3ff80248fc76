"""The alerts for Prometheus. `python -m cdc.metrics FOLDER` writes them; the page `alerts` says what to do about each.

A threshold that depends on the database is a starting point: copy the rule and change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal


@dataclass(frozen=True, slots=True)
class Alert:
    """*lasts* is how long the expression must hold, in Prometheus' form. *summary* may have Prometheus' templates."""

    name: str
    expression: str
    lasts: str
    severity: Literal["critical", "warning"]
    summary: str

    def rule(self) -> Mapping[str, Any]:
        """As Prometheus reads it."""
        return {"alert": self.name, "expr": self.expression, "for": self.lasts, "labels": {"severity": self.severity},
                "annotations": {"summary": self.summary, "runbook": f"cdc docs alerts, {self.name}"}}


_WORKS: Final = "streaming|snapshotting|paused|stopped|finished"
_OF: Final = "of {{ $labels.connector }}"

ALERTS: Final = (
    Alert("CdcDown", "absent(cdc_info)", "2m", "critical", "No cdc process is scraped."),
    Alert("CdcTaskFailed", 'cdc_task_state{state="failed"} == 1', "1m", "critical",
          f"The task {_OF} has failed, and waits for a person."),
    Alert("CdcNotReady", f'sum by (connector, task) (cdc_task_state{{state=~"{_WORKS}"}}) == 0 '
                         'unless on (connector, task) cdc_task_state{state="failed"} == 1', "5m", "warning",
          f"The task {_OF} has not worked for 5 minutes; it tries again by itself."),
    Alert("CdcRestartLoop", "increase(cdc_task_starts_total[15m]) > 3", "0m", "warning",
          f"The task {_OF} was started {{{{ $value | humanize }}}} times in 15 minutes."),
    Alert("CdcLag", "cdc_lag_seconds > 300", "5m", "warning",
          f"Changes {_OF} arrive {{{{ $value | humanizeDuration }}}} late."),
    Alert("CdcLatencyHigh", "histogram_quantile(0.99, sum by (connector, task, le) "
                            "(rate(cdc_latency_seconds_bucket[5m]))) > 60", "10m", "warning",
          f"One in a hundred changes {_OF} takes over {{{{ $value | humanizeDuration }}}}."),
    Alert("CdcSilent", "time() - cdc_last_heartbeat_timestamp_seconds > 900 "
                       "unless on (connector, task) time() - cdc_last_event_timestamp_seconds <= 900", "0m", "critical",
          f"The task {_OF} has sent neither a change nor a heartbeat for 15 minutes."),
    Alert("CdcDisconnected", "cdc_connected == 0", "5m", "critical",
          f"The task {_OF} has no connection to its database."),
    Alert("CdcRetainedWal", "cdc_retained_wal_bytes > 10e9", "10m", "warning",
          f"PostgreSQL keeps {{{{ $value | humanize1024 }}}}B of WAL for the slot {_OF}."),
    Alert("CdcWalRunwayShort", "cdc_wal_runway_seconds < 3600", "1m", "critical",
          f"At this rate the slot {_OF} is lost in less than an hour."),
    Alert("CdcLogRunwayShort", "cdc_log_runway_seconds < 6 * 3600", "5m", "critical",
          "The server removes the binary log that {{ $labels.connector }} reads in "
          "{{ $value | humanizeDuration }}."),
    Alert("CdcSlotInDanger", "cdc_slot_wal_status >= 2", "0m", "critical",
          f"The server is about to remove WAL that the slot {_OF} needs, or has done so."),
    Alert("CdcKafkaUnreachable", "cdc_sink_unreachable == 1", "2m", "critical",
          f"No Kafka broker answers the task {_OF}."),
    Alert("CdcProduceErrors", "increase(cdc_sink_failures_total[10m]) > 0", "0m", "warning",
          f"Kafka refused {{{{ $value | humanize }}}} records {_OF}."),
    Alert("CdcRegistryDown", "increase(cdc_registry_failures_total[10m]) > 0", "2m", "warning",
          f"The Schema Registry does not answer the task {_OF}."),
    Alert("CdcSchemaRefused", 'increase(cdc_errors_total{stage="registry"}[15m]) > 0 and on (connector, task) '
                              'cdc_task_state{state="failed"} == 1', "0m", "critical",
          f"The Schema Registry refused a schema {_OF}: it is not compatible with the earlier ones, or not allowed."),
    Alert("CdcOffsetCommitsFail", "increase(cdc_commit_failures_total[10m]) > 0", "2m", "critical",
          f"The offset store does not take commits {_OF}, so its database keeps its log."),
    Alert("CdcRecordsLeftOut", 'increase(cdc_errors_total{stage=~"transform|convert|column"}[10m]) > 0', "0m",
          "warning", f"Records or columns {_OF} failed in a transform or a converter and were left out."),
    Alert("CdcWarning", "cdc_warning == 1", "1m", "warning",
          f"The source {_OF} warns ({{{{ $labels.kind }}}}): {{{{ $labels.about }}}}."),
)


def rules() -> Mapping[str, Any]:
    """The content of a file of rules."""
    return {"groups": [{"name": "cdc", "rules": [alert.rule() for alert in ALERTS]}]}


def resource() -> Mapping[str, Any]:
    """The same for the Prometheus Operator: a resource of Kubernetes."""
    return {
        "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
        "metadata": {"name": "cdc", "labels": {"app.kubernetes.io/name": "cdc"}}, "spec": dict(rules()),
    }
