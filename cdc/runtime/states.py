"""The states of connectors and tasks, as Kafka Connect's REST API shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Literal

from cdc import about
from cdc.core.interfaces import Warned
from cdc.metrics.task import TaskMetrics

Target = Literal["STARTED", "PAUSED", "STOPPED"]
"""What a person wants of a connector. Kafka Connect: TargetState."""
TARGETS: Final[tuple[Target, ...]] = ("STARTED", "PAUSED", "STOPPED")
MOST_WARNINGS = 1000
"""So many warnings a task's status lists."""

_CONNECT_STATES = {
    "failed": "FAILED", "paused": "PAUSED", "stopped": "STOPPED", "finished": "STOPPED", "starting": "RUNNING",
    "retrying": "RUNNING", "stopping": "RUNNING",
}


def task_status(metrics: TaskMetrics, error: BaseException | None, worker_id: str) -> dict[str, Any]:
    """One task: Kafka Connect's fields, and `warnings` if there are any. While it waits after a passing error, it is
    RUNNING with a `trace`; so a person sees what it waits for."""
    task: dict[str, Any] = {"id": metrics.task, "state": _CONNECT_STATES.get(metrics.state, "RUNNING"),
                            "worker_id": worker_id, "version": about.VERSION}
    if error is not None:
        task["trace"] = str(error)
    elif metrics.state == "retrying" and metrics.reason:
        task["trace"] = metrics.reason
    warnings = metrics.warnings()
    if warnings:
        task["warnings"] = [_shown(each) for each in warnings[:MOST_WARNINGS]]
    return task


def _shown(warned: Warned) -> dict[str, str]:
    since = datetime.fromtimestamp(warned.since_ms / 1000, UTC).isoformat(timespec="seconds")
    return {"kind": warned.kind, "about": warned.about, "text": warned.text, "hint": warned.hint, "since": since}
