"""The connectors that run in this process, each in a thread of its own (`runner.py`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from cdc.core.errors import StateError
from cdc.core.stores import OffsetStore
from cdc.metrics.task import TaskMetrics

from .pauses import PauseWatch
from .runner import Clock, Connector, Pause, Runner, Surroundings
from .states import task_status
from .tap import EventTap


class Worker:
    """Runs connectors, from any thread: they may come, go and be replaced while it runs."""

    def __init__(self, connectors: Sequence[Connector] = (), worker_id: str = "", *, clock: Clock = time.monotonic,
                 pause: Pause = threading.Event.wait, stores: Sequence[OffsetStore] = ()) -> None:
        """*clock* and *pause* measure and make the pauses before restarts. `close` closes *stores*, beside those of the
        connectors."""
        self.tap = EventTap()
        self.worker_id = worker_id
        self.cluster_id = ""
        self.stopping = False
        self._changed = threading.Event()
        self._around = Surroundings(self.tap, self._changed.set, PauseWatch(), clock, pause)
        self._lock = threading.Lock()
        self._started = False
        self._runners: dict[str, Runner] = {}
        self._topics: dict[str, set[str]] = {}
        self._stores = tuple(stores)
        self._leaving: list[Runner] = []
        """Runners that were asked to end and are not replaced."""
        for connector in connectors:
            self.add(connector)

    def start(self) -> None:
        self._around.pauses.start()
        with self._lock:
            self._started = True
            for runner in self._runners.values():
                runner.thread.start()

    def wait(self, stop: threading.Event, tick: Callable[[], None] = lambda: None,
             goes_on: Callable[[], bool] = lambda: False) -> None:
        """Return when *stop* is set, or when no connector runs any more and *goes_on* says no. *tick* is called about
        four times a second."""
        while not stop.is_set() and (self._any_runs() or goes_on()):
            tick()
            self._changed.wait(0.25)
            self._changed.clear()

    def stop(self, timeout: float) -> bool:
        """Ask all tasks to stop; return whether they did within *timeout* seconds."""
        with self._lock:
            self.stopping = True
            runners = [*self._runners.values(), *self._leaving]
        for runner in runners:
            runner.stop()
        deadline = time.monotonic() + timeout
        for runner in runners:
            _join(runner, deadline)
        return not any(runner.running for runner in runners)

    def close(self) -> None:
        """Close the offset stores; after `stop`."""
        self._around.pauses.stop()
        stores = [*self._stores, *(each.connector.store for each in self._runners.copy().values())]
        for store in {id(each): each for each in stores}.values():
            store.close()

    def unfinished(self) -> list[str]:
        """The connectors that ended with changes polled and not committed, or did not end; after `stop`."""
        return [name for name, runner in self._runners.copy().items() if runner.unfinished or runner.running]

    def errors(self) -> list[BaseException]:
        """The errors of the connectors that failed and are no service's."""
        return [runner.error for runner in self._runners.copy().values()
                if runner.error is not None and not runner.connector.of_service]

    # -- one connector ----------------------------------------------------------------------------------------------

    def add(self, connector: Connector, *, paused: bool = False) -> None:
        """Run *connector*, once the worker has started, in the place of the one of its name, whose end it waits
        for. Raises StateError while the worker stops."""
        with self._lock:
            if self.stopping:
                raise StateError("The worker is stopping.", status=503)
            former = self._runners.get(connector.name) or self._left(connector.name)
            if former is not None:
                former.stop()
            connector.metrics.topics = self._topics.setdefault(connector.name, connector.metrics.topics)
            made = Runner(connector, self._around, paused=paused, after=former)
            self._runners[connector.name] = made
            if self._started:
                made.thread.start()

    def remove(self, name: str, timeout: float) -> bool:
        """End the connector and forget it; return whether it ended within *timeout* seconds. It may go on to end
        later; then one of the same name waits for it."""
        with self._lock:
            runner = self._runners.pop(name, None)
            self._leaving = [each for each in self._leaving if each.running]
            if runner is None:
                return True
            self._leaving.append(runner)
        runner.stop()
        _join(runner, time.monotonic() + timeout)
        return not runner.running

    def runner(self, name: str) -> Runner | None:
        return self._runners.get(name)

    def is_leaving(self, name: str) -> bool:
        """Whether a removed connector of this name has not ended yet."""
        return self._left(name) is not None

    def task_status(self, name: str) -> dict[str, Any] | None:
        """The status of the connector's task (`states.task_status`); None if it has none."""
        runner = self._runners.get(name)
        return None if runner is None else task_status(runner.connector.metrics, runner.error, self.worker_id)

    def tasks(self) -> Sequence[TaskMetrics]:
        """The metrics of all tasks of this worker."""
        return [runner.connector.metrics for runner in self._runners.copy().values()]

    def topics(self, name: str) -> set[str]:
        """The topics of what the connector has sent in this process, in no order, also while it is stopped."""
        return self._topics.get(name, set())

    def _left(self, name: str) -> Runner | None:
        return next((each for each in reversed(self._leaving) if each.connector.name == name and each.running), None)

    def _any_runs(self) -> bool:
        return any(runner.running for runner in self._runners.copy().values())


def _join(runner: Runner, deadline: float) -> None:
    if runner.running:
        runner.thread.join(max(0.0, deadline - time.monotonic()))
