"""What one task counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cdc.core.interfaces import Warned, Warnings

from .latency import Histogram
from .names import MOST_TABLES
from .tables import Tables
from .windows import Growth, Window

STATES: Final = (
    "starting", "snapshotting", "streaming", "retrying", "paused", "stopping", "stopped", "finished", "failed",
)
"""The states of a task. `retrying`: it waits after a passing error; `finished`: its source has no more to give."""

READY_STATES: Final = frozenset({"snapshotting", "streaming", "paused", "stopped", "finished"})
"""The task works if its offsets can be stored, or somebody asked it not to: nobody has to act."""

_DONE_STATES: Final = frozenset({"paused", "stopped", "finished"})

UNKNOWN_MS: Final = -1
"""`behind_ms` before the first change."""


class TaskMetrics:
    """What one task counts. Only the task's thread writes; any thread may read.

    It outlives the task's restarts, because counters may only rise. *server* (topic.prefix) and *plugin* (`postgres`,
    `mysql`, `mariadb`) are labels of Debezium's names. *queue_records* and *queue_bytes* limit what is in flight.
    *most_tables* tables have numbers of their own.
    """

    def __init__(self, connector: str, task: int = 0, *, server: str = "", plugin: str = "postgres",
                 connector_class: str = "", queue_records: int = 0, queue_bytes: int = 0,
                 most_tables: int = MOST_TABLES) -> None:
        self.connector = connector
        self.task = task
        self.server = server or connector
        self.plugin = plugin
        self.connector_class = connector_class
        self.queue_records = queue_records
        self.queue_bytes = queue_bytes
        self._state = "starting"
        self._since = time.monotonic()
        self.seconds_in: dict[str, float] = {}
        """How long the task was in each state, without the time in the present one."""
        self.reason = ""
        """Why the task is in this state, for people; without cell values and secrets."""
        self.commit_failure = ""
        """Why the offset store did not take the last commit, for people; empty if it did."""
        self.counts: dict[tuple[str, str], int] = {}
        self.errors: dict[str, int] = {}
        self.tables = Tables(self.counts, most_tables)
        self.snapshot_state = ""
        """`running`, `completed`, `aborted` or `skipped`; empty before the task gets that far. Follows from `state`."""
        self.topics: set[str] = set()
        """The topics that records were made for."""
        self.records_sent = 0
        self.records_left_out = 0
        """Records that failed and were left out, as errors.tolerance=all says."""
        self.dead_letters = 0
        """How many of them went to the dead letter topic."""
        self.turns = 0
        """How often the task's loop has turned, or a row was read again. A task that does neither, and does not wait
        for its start, hangs."""
        self.records_polled = 0
        self.latency = Histogram()
        """From the commit in the database until the sink has the change. Snapshots do not count."""
        self.stages: dict[str, float] = {}
        """Seconds spent by stage: `poll`, `transform`, `convert`, `send`."""
        self.starts = 0
        self.good_starts = 0
        self.disconnects = 0
        self.good_commits = 0
        self.bad_commits = 0
        self.last_error_ms = 0
        """When the last error was counted, since the epoch; 0 without one."""
        self.poll_ms = Window()
        self.batch_records = Window()
        self.sent_records = Window()
        self.active_records = Window()
        self.commit_ms = Window()
        self.sent_bytes = Growth()
        self.received_bytes = Growth()
        self.numbers: dict[str, float] = {}
        """Single numbers by their metric's name, with or without `cdc_`: counters and gauges."""
        self.last_event_ms = 0
        """When the newest change was read, since the epoch; 0 before the first."""
        self.behind_ms: int = UNKNOWN_MS
        self._pending_us = 0
        self._lost_us = 0
        self._readers: list[Callable[[], Mapping[str, float]]] = []
        self._warnings: Warnings | None = None
        self._begun_before: dict[str, int] = {}

    @property
    def state(self) -> str:
        """One of STATES."""
        return self._state

    @state.setter
    def state(self, state: str) -> None:
        if state == self._state:
            return
        now = time.monotonic()
        self.seconds_in[self._state] = self.seconds_in.get(self._state, 0.0) + now - self._since
        self._since = now
        self._state = state
        if state == "snapshotting":
            self.snapshot_state = "running"
        elif self.snapshot_state == "running":
            self.snapshot_state = "completed" if state in ("streaming", "finished") else "aborted"
        elif not self.snapshot_state and state == "streaming":
            self.snapshot_state = "skipped"

    def count(self, table: str, op: str, number: int = 1) -> None:
        """Count *number* changes of *table*; *op* `r` is a row of a snapshot."""
        self.counts[table, op] = self.counts.get((table, op), 0) + number

    def polled(self, counts: Mapping[tuple[str, str], int], source_ts_us: int) -> None:
        """Count a batch of the source: changes by table and op. *source_ts_us*: time of the newest, 0 when unknown."""
        for (table, op), number in counts.items():
            self.count(table, op, number)
        if not counts:
            return
        number = sum(counts.values())
        self.records_polled += number
        self.batch_records.add(number)
        self.last_event_ms = time.time_ns() // 1_000_000
        self.numbers["cdc_last_event_timestamp_seconds"] = self.last_event_ms / 1000
        if source_ts_us:
            self.behind_ms = self.last_event_ms - source_ts_us // 1000
            self._pending_us = self._pending_us or source_ts_us

    def delivered(self, records: int, source_ts_us: int, *, all_done: bool) -> None:
        """Count *records* acknowledged ones. *source_ts_us*: source time of the oldest still in flight, 0 when unknown;
        *all_done*: none is in flight."""
        self.records_sent += records
        self.sent_records.add(records)
        self._pending_us = 0 if all_done else source_ts_us or self._pending_us

    def error(self, stage: str) -> None:
        """Count an error of *stage*: source, sink, registry, offsets, transform, convert, column, config, metrics,
        internal."""
        self.errors[stage] = self.errors.get(stage, 0) + 1
        self.last_error_ms = time.time_ns() // 1_000_000

    def connected(self, yes: bool) -> None:
        """Note whether the source is connected. While it is not, the lag grows."""
        self.disconnects += not yes and bool(self.numbers.get("cdc_connected"))
        self.numbers["cdc_connected"] = int(yes)
        self._lost_us = 0 if yes else self._lost_us or time.time_ns() // 1000

    def forget_inflight(self) -> None:
        """The task starts again: it will read from the source again what was in flight."""
        self._pending_us = 0

    def committed(self, seconds: float | None) -> None:
        """A commit of the offset took *seconds*; None: the store did not take it."""
        if seconds is None:
            self.bad_commits += 1
        else:
            self.good_commits += 1
            self.commit_ms.add(seconds * 1000)
            self.numbers["cdc_last_commit_timestamp_seconds"] = time.time()
        self.numbers["cdc_commit_failures_total"] = self.bad_commits

    def spent(self, stage: str, seconds: float) -> None:
        self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def share_of(self, *states: str) -> float:
        """The share of the task's life, from 0 to 1, that it was in *states*."""
        seconds = {**self.seconds_in}
        seconds[self._state] = seconds.get(self._state, 0.0) + time.monotonic() - self._since
        return sum(seconds.get(state, 0.0) for state in states) / max(sum(seconds.values()), 1e-9)

    def attach(self, read: Callable[[], Mapping[str, float]]) -> None:
        """Call *read* at each scrape, in the scraping thread, for more numbers."""
        self._readers.append(read)

    def warn(self, warnings: Warnings) -> None:
        """A new source: from now on show its *warnings*. Those of the source before stay until then, also after it has
        failed."""
        self._begun_before = self.warnings_begun()
        self._warnings = warnings

    def warnings(self) -> Sequence[Warned]:
        """The warnings that last."""
        return self._warnings.active() if self._warnings is not None else ()

    def warnings_begun(self) -> dict[str, int]:
        """How many warnings have begun, by kind."""
        found = dict(self._begun_before)
        for kind, count in (self._warnings.begun() if self._warnings is not None else {}).items():
            found[kind] = found.get(kind, 0) + count
        return found

    def detach_all(self) -> None:
        """Source and sink have ended. Their last numbers stay, so that no series disappears when a task fails."""
        self.numbers.update(self.all_numbers())
        self._readers.clear()

    @property
    def ready(self) -> bool:
        return self.state in READY_STATES and not (self.commit_failure and self.state not in _DONE_STATES)

    def lag_seconds(self) -> float:
        """Age of the oldest change that is read and not delivered, or time since the source was lost; else 0."""
        lost_us = self._lost_us if self._state not in _DONE_STATES else 0
        since = [us for us in (self._pending_us, lost_us) if us]
        return max(0.0, time.time_ns() / 1e9 - min(since) / 1e6) if since else 0.0

    def all_numbers(self) -> dict[str, float]:
        """`numbers` and those of the attached readers, by full metric name. A reader that raises is counted."""
        found = self.numbers.copy()
        for read in self._readers.copy():
            try:
                found.update(read())
            except Exception:
                self.error("metrics")
        return {name if name.startswith("cdc_") else f"cdc_{name}": float(value) for name, value in found.items()}
