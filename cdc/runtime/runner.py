"""One connector's thread: runs its task, restarts it after errors, pauses and stops it.

When a task ends with a retriable error, it is started again after a pause, from its last committed position; with any
other error it is FAILED and stays so. `policy` decides which errors are retriable. Before a connector has run once, an
unreachable server is most likely a mistake in the configuration: it is retried for `STARTUP_GRACE_S` only, unless the
connector is `patient`. A stored offset shows that it has run, in an earlier process too; as long as the store does not
answer, that is assumed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from cdc.core.control import Signal, SnapshotStatus
from cdc.core.dataclass import dataclass
from cdc.core.errors import CdcError, StateError
from cdc.core.interfaces import Controlled
from cdc.core.stores import OffsetStore
from cdc.log import bound, carry, get_logger
from cdc.metrics.task import TaskMetrics

from .notifications import Notifications
from .pauses import PauseWatch
from .policy import NOT_SET, Backoff, BusyRetries, Patience, stage_of
from .source_offsets import SourceOffsets
from .tap import EventTap
from .task import Task, TaskParts, TaskSettings, load_offset
from .task_spec import TaskSpec

log = get_logger(__name__)

STARTUP_GRACE_S = 10.0
HEALTHY_S = 60.0
"""A task that ran this long before it failed begins again with the shortest pause."""
_LOOK_S = 0.2

Clock = Callable[[], float]
Pause = Callable[[threading.Event, float], object]
"""Waits until the event is set, at most for that many seconds."""


@dataclass
class Connector:
    """One configured connector, ready to run.

    `config` is for people to see. `parts` builds the parts of one run; setting the event it is given ends their waits.
    `retry_most_s` is the longest pause before a restart, and `retry_budget` the number of restarts in a row, -1 for no
    limit; `busy` is for a source that somebody else reads. A `patient` one waits for an unreachable server as long as
    it takes, also before it has run once: the process goes on without it, so nobody would start it again. The failure
    of one that is `of_service` is no failure of the process.
    """

    name: str
    config: Mapping[str, str | None]
    settings: TaskSettings
    parts: Callable[[threading.Event], TaskParts]
    store: OffsetStore
    metrics: TaskMetrics
    retry_most_s: float = 10.0
    retry_budget: int = -1
    busy: BusyRetries = NOT_SET
    patient: bool = False
    of_service: bool = False
    task_class: str = ""
    """The Java class that does the same in Kafka Connect."""
    spec: TaskSpec | None = None
    """What `parts` are made from; None if from something else."""
    notifications: Notifications | None = None
    """Those of its sources; None if they are not fetched."""


@dataclass
class Surroundings:
    """What the runners of a worker share. `changed` is called when one has ended."""

    tap: EventTap
    changed: Callable[[], None]
    pauses: PauseWatch
    clock: Clock = time.monotonic
    pause: Pause = threading.Event.wait


class Runner:
    """One connector's thread. *after* is a former run of the same connector, whose end it waits for."""

    def __init__(self, connector: Connector, around: Surroundings, *, paused: bool = False,
                 after: Runner | None = None) -> None:
        self.connector = connector
        self.error: BaseException | None = None
        self.ran = False
        self.unfinished = False
        """Its last run ended with something that was polled and not delivered and committed."""
        self._around = around
        self._after = after
        self._stop = threading.Event()
        self._paused = threading.Event()
        if paused:
            self._paused.set()
            connector.metrics.state = "paused"
        self._offsets: SourceOffsets | None = None
        self._resumes: bool | None = None
        self._task: Task | None = None
        with bound(connector=connector.name, task=0):
            self.thread = threading.Thread(target=carry(self._run), name=f"task-{connector.name}", daemon=True)

    def stop(self) -> None:
        """Ask it to end; return at once."""
        self._stop.set()
        task = self._task
        if task is not None:
            task.parts.sink.interrupt()
            task.parts.source.interrupt()

    def pause(self, wait_s: float) -> None:
        """Let it poll no more. What it has polled is still delivered and committed, and its connections stay. Wait for
        that at most *wait_s* seconds."""
        self._paused.set()
        self._await_state(lambda state: state not in ("snapshotting", "streaming"), wait_s)

    def resume(self, wait_s: float) -> None:
        """The opposite of `pause`."""
        self._paused.clear()
        self._await_state(lambda state: state != "paused", wait_s)

    def signal(self, signal: Signal) -> None:
        """Give *signal* to the source. It is lost if the process ends before the source has acted on it. Raises
        StateError if there is no source now, or one that takes no signals."""
        task, connector = self._task, self.connector
        if task is None or not task.started:
            raise StateError(f"Connector {connector.name} takes no signal now: its task is {connector.metrics.state}.",
                             hint="Ask again when it runs.")
        if not isinstance(task.parts.source, Controlled):
            raise StateError(f"Connector {connector.name} takes no signals.", status=400)
        task.parts.source.signal(signal)

    def snapshots(self) -> Sequence[SnapshotStatus]:
        """As `Controlled.snapshots`; empty while no source runs."""
        task = self._task
        if task is None or not isinstance(task.parts.source, Controlled):
            return ()
        return task.parts.source.snapshots()

    def _await_state(self, reached: Callable[[str], bool], wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while self.running and not reached(self.connector.metrics.state) and time.monotonic() < deadline:
            time.sleep(0.01)

    @property
    def running(self) -> bool:
        """Whether its thread has started and not ended."""
        return self.thread.is_alive()

    def _run(self) -> None:
        connector, metrics, clock = self.connector, self.connector.metrics, self._around.clock
        self._await_former()
        backoff = Backoff(most=connector.retry_most_s, budget=connector.retry_budget)
        patience = Patience(backoff, connector.busy, None if connector.patient else STARTUP_GRACE_S, self._has_run)
        began = clock()
        while not self._stop.is_set():
            self._await_resume()
            if self._stop.is_set():
                break
            metrics.state = "starting"
            metrics.reason = ""
            try:
                started_at = clock()
                self._once()
                metrics.state = "stopped" if self._stop.is_set() else "finished"
                break
            except BaseException as exc:
                if self._stop.is_set():
                    metrics.state = "stopped"
                    break
                if clock() - started_at > HEALTHY_S:
                    patience.reset()
                metrics.error(stage_of(exc))
                metrics.forget_inflight()
                seconds = patience.wait_after(exc, clock() - began)
                if seconds is None:
                    self._fail(exc)
                    break
                self._pause(exc, seconds)
        if metrics.state not in ("failed", "finished"):
            metrics.state = "stopped"
        if self._offsets is not None:
            self._offsets.release()
        log.info("task_ended", state=metrics.state)
        self._around.changed()

    def _await_former(self) -> None:
        """Wait for the end of the former run, also when this one was asked to stop: while this thread lives, others
        know that the connector may still run."""
        if self._after is not None and self._after.running:
            self._after.thread.join()
        self._after = None

    def _await(self, reached: Callable[[], bool]) -> None:
        while not reached() and not self._stop.wait(_LOOK_S):
            pass

    def _await_resume(self) -> None:
        if self._paused.is_set():
            self.connector.metrics.state = "paused"
            self._await(lambda: not self._paused.is_set())

    def _once(self) -> None:
        connector = self.connector
        parts = connector.parts(self._stop)
        self._offsets = SourceOffsets(connector.name, parts.source, connector.store)
        task = Task(connector.settings, parts, connector.store, connector.metrics, self._stop,
                    self._around.tap, first=not self.ran, paused_s=self._around.pauses.from_now(),
                    paused=self._paused)
        self._task = task
        if self._stop.is_set():  # perhaps before there was a task to interrupt
            self._task = None
            parts.converter.close()
            return
        log.info("task_starting")
        try:
            task.run()
        finally:
            self._task = None
            self._resumes = task.resumes if self._resumes is None else self._resumes
            if task.started:
                self.ran, self.unfinished = True, task.unfinished()

    def _has_run(self) -> bool:
        """Whether this connector has run, now or before: the store has an offset of it, or does not answer."""
        if not self.ran and self._resumes is None:
            self._ask_store()
        return self.ran or self._resumes is not False

    def _ask_store(self) -> None:
        """Find out whether there is an offset, when a start did not come as far as that."""
        if self._offsets is None:
            return
        try:
            found = load_offset(self._offsets, self._stop)
        except CdcError as exc:
            if not exc.retriable:
                self._resumes = False
        else:
            self._resumes = found is not None

    def _pause(self, exc: BaseException, wait: float) -> None:
        metrics = self.connector.metrics
        metrics.state = "retrying"
        metrics.reason = str(exc)
        log.warning("task_retrying", error=_summary(exc), retry_in_s=round(wait, 1))
        self._around.pause(self._stop, wait)

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
