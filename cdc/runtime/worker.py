"""Connectors and their tasks within this process: started, watched, started again, stopped.

A task that ends with a retriable error is started again after a pause, from its last committed position; with any
other error it is FAILED and stays so. Whether an error is retriable is `policy`'s business. Before a connector has
run once, an unreachable server is most likely a mistake in its configuration: it is retried only for
`STARTUP_GRACE_S`, then reported.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdc import about
from cdc.core.errors import CdcError
from cdc.core.interfaces import OffsetStore
from cdc.log import bound, carry, get_logger
from cdc.metrics import TaskMetrics

from .policy import Action, Backoff, action_for, stage_of
from .tap import EventTap
from .task import Task, TaskParts, TaskSettings

log = get_logger(__name__)

STARTUP_GRACE_S = 10.0

_CONNECT_STATES = {
    "failed": "FAILED", "paused": "PAUSED", "stopped": "STOPPED", "finished": "STOPPED", "starting": "RUNNING",
    "retrying": "RUNNING", "stopping": "RUNNING",
}


@dataclass(slots=True)
class Connector:
    """One configured connector, ready to be run: *parts* builds a fresh task each time; what waits in it, waits until
    the event it is given is set."""

    name: str
    config: Mapping[str, str | None]
    settings: TaskSettings
    parts: Callable[[threading.Event], TaskParts]
    store: OffsetStore
    metrics: TaskMetrics
    retry_most_s: float = 10.0
    retry_budget: int = -1


class SharedStore:
    """One offset store for all tasks of the process: opened by the first that starts, closed with the worker."""

    def __init__(self, store: OffsetStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._started = False
        self.load = store.load
        self.commit = store.commit

    def start(self) -> None:
        with self._lock:
            if not self._started:
                self._store.start()
                self._started = True

    def close(self) -> None:
        with self._lock:
            if self._started:
                self._started = False
                self._store.close()


class _Runner:
    """One connector's thread."""

    def __init__(self, connector: Connector, tap: EventTap, changed: Callable[[], None]) -> None:
        self.connector = connector
        self.error: BaseException | None = None
        self.ran = False
        self._tap = tap
        self._stop = threading.Event()
        self._task: Task | None = None
        self._changed = changed
        with bound(connector=connector.name, task=0):
            self.thread = threading.Thread(target=carry(self._run), name=f"task-{connector.name}", daemon=True)

    def stop(self) -> None:
        self._stop.set()
        task = self._task
        if task is not None:
            task.parts.sink.interrupt()
            task.parts.source.interrupt()

    def _run(self) -> None:
        connector, metrics = self.connector, self.connector.metrics
        backoff = Backoff(most=connector.retry_most_s, budget=connector.retry_budget)
        began = time.monotonic()
        while not self._stop.is_set():
            metrics.state = "starting"
            metrics.reason = ""
            try:
                started_at = time.monotonic()
                self._once()
                metrics.state = "stopped" if self._stop.is_set() else "finished"
                break
            except BaseException as exc:
                if self._stop.is_set():
                    metrics.state = "stopped"
                    break
                if time.monotonic() - started_at > 60.0:
                    backoff.reset()
                metrics.error(stage_of(exc))
                metrics.forget_inflight()
                wait = self._wait_after(exc, backoff, began)
                if wait is None:
                    self._fail(exc)
                    break
                self._pause(exc, wait)
        log.info("task_ended", state=metrics.state)
        self._changed()

    def _once(self) -> None:
        connector = self.connector
        task = Task(connector.settings, connector.parts(self._stop), connector.store, connector.metrics, self._stop,
                    self._tap, first=not self.ran)
        self._task = task
        log.info("task_starting")
        try:
            task.run()
        finally:
            self._task = None
            self.ran = self.ran or task.started

    def _wait_after(self, exc: BaseException, backoff: Backoff, began: float) -> float | None:
        if action_for(exc) is not Action.RESTART:
            return None
        if not self.ran and time.monotonic() - began > STARTUP_GRACE_S:
            return None
        return backoff.next()

    def _pause(self, exc: BaseException, wait: float) -> None:
        metrics = self.connector.metrics
        metrics.state = "retrying"
        metrics.reason = str(exc)
        log.warning("task_retrying", error=_summary(exc), retry_in_s=round(wait, 1))
        self._stop.wait(wait)

    def _fail(self, exc: BaseException) -> None:
        metrics = self.connector.metrics
        self.error = exc
        metrics.state = "failed"
        metrics.reason = str(exc)
        if isinstance(exc, CdcError):
            log.error("task_failed", error=exc.message, hint=exc.hint, **exc.context)
        else:
            log.error("task_failed", exc_info=exc)


def _summary(exc: BaseException) -> str:
    return str(exc) if isinstance(exc, CdcError) else f"{type(exc).__name__}: {exc}"


class Worker:
    """Runs connectors; answers what the REST side asks (`rest.app.WorkerView`)."""

    def __init__(self, connectors: Sequence[Connector], worker_id: str = "") -> None:
        self.tap = EventTap()
        self.worker_id = worker_id
        self.cluster_id = ""
        self._changed = threading.Event()
        self._connectors = {connector.name: connector for connector in connectors}
        self._runners = {name: _Runner(connector, self.tap, self._changed.set)
                         for name, connector in self._connectors.items()}
        self._stopping = False

    def start(self) -> None:
        for runner in self._runners.values():
            runner.thread.start()

    def wait(self, stop: threading.Event) -> None:
        """Until *stop* is set or no connector runs any more."""
        while not stop.is_set() and any(runner.thread.is_alive() for runner in self._runners.values()):
            self._changed.wait(0.25)
            self._changed.clear()

    def stop(self, timeout: float) -> bool:
        """Ask all tasks to stop; True when they did within *timeout* seconds."""
        self._stopping = True
        for runner in self._runners.values():
            runner.stop()
        deadline = time.monotonic() + timeout
        for runner in self._runners.values():
            if runner.thread.is_alive():
                runner.thread.join(max(0.0, deadline - time.monotonic()))
        return not any(runner.thread.is_alive() for runner in self._runners.values())

    def close(self) -> None:
        """Close the offset stores; after `stop`."""
        for store in {id(each.store): each.store for each in self._connectors.values()}.values():
            store.close()

    def errors(self) -> list[BaseException]:
        """What ended connectors that a person has to look at."""
        return [runner.error for runner in self._runners.values() if runner.error is not None]

    # -- rest.app.WorkerView --------------------------------------------------------------------------------------

    def kafka_cluster_id(self) -> str:
        return self.cluster_id

    def health(self) -> tuple[str, str]:
        return ("unhealthy", "The worker is stopping.") if self._stopping else ("healthy", "The worker is running.")

    def connectors(self) -> Sequence[str]:
        return list(self._connectors)

    def config(self, name: str) -> Mapping[str, str | None] | None:
        connector = self._connectors.get(name)
        return None if connector is None else {"name": name, **connector.config}

    def status(self, name: str) -> Mapping[str, Any] | None:
        runner = self._runners.get(name)
        if runner is None:
            return None
        state = _CONNECT_STATES.get(runner.connector.metrics.state, "RUNNING")
        task: dict[str, Any] = {"id": 0, "state": state, "worker_id": self.worker_id, "version": about.VERSION}
        if runner.error is not None:
            task["trace"] = str(runner.error)
        connector_state = "STOPPED" if state == "STOPPED" else "RUNNING"
        return {"name": name, "connector": {"state": connector_state, "worker_id": self.worker_id,
                                            "version": about.VERSION}, "tasks": [task], "type": "source"}

    def tasks(self) -> Sequence[TaskMetrics]:
        return [connector.metrics for connector in self._connectors.values()]
