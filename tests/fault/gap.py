"""`cdc run` that kills itself at one named point of ack, commit and confirm. A script, run as a process of its own:

    gap.py POINT RECORDS JOURNAL FILE...

POINT is `before-commit` (everything that the offset covers is acked) or `after-commit` (the offset is durable, the
source does not know). The process dies there at the first offset that covers RECORDS or more. JOURNAL gets one JSON
object a line: `{"tried": n}` before an offset is stored, `{"committed": n}` after it, `{"confirmed": n}` before the
source is told, where n is how many of the run's records the offset covers. The FILEs are those of `cdc run`.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cdc.core.position import Offset, Position
from cdc.core.record import Batch
from cdc.plugins import Plugin

BEFORE_COMMIT, AFTER_COMMIT = "before-commit", "after-commit"


class Gap:
    """How many records each offset of this run covers, and the end of the process."""

    def __init__(self, point: str, records: int, journal: Path) -> None:
        self._point = point
        self._records = records
        self._journal = journal
        self._read = 0
        self._covered: dict[str, int] = {}

    def read(self, batch: Batch) -> None:
        self._read += len(batch.records)
        self._covered[_text(batch.position.offset())] = self._read

    def note(self, what: str, offset: Offset) -> None:
        with self._journal.open("a") as journal:
            journal.write(json.dumps({what: self._covered[_text(offset)]}) + "\n")

    def reached(self, point: str, offset: Offset) -> None:
        if point == self._point and self._covered[_text(offset)] >= self._records:
            os.kill(os.getpid(), signal.SIGKILL)


def _text(offset: Offset) -> str:
    return json.dumps(offset, sort_keys=True)


class WatchedSource:
    """*source*, its batches counted."""

    def __init__(self, source: Any, gap: Gap) -> None:
        self._source = source
        self._gap = gap

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def poll(self, timeout: float) -> Batch | None:
        batch: Batch | None = self._source.poll(timeout)
        if batch is not None:
            self._gap.read(batch)
        return batch

    def confirm(self, position: Position) -> None:
        self._gap.note("confirmed", position.offset())
        self._source.confirm(position)


class WatchedStore:
    """*store*, with the points before and after each commit."""

    def __init__(self, store: Any, gap: Gap) -> None:
        self._store = store
        self._gap = gap

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, connector: str, partition: Mapping[str, Any], offset: Offset) -> None:
        self._gap.note("tried", offset)
        self._gap.reached(BEFORE_COMMIT, offset)
        self._store.commit(connector, partition, offset)
        self._gap.note("committed", offset)
        self._gap.reached(AFTER_COMMIT, offset)


def watch(gap: Gap) -> None:
    """From now on the plugins' sources and offset stores are watched."""
    load = Plugin.load
    watched: dict[str, Callable[[Any, Gap], Any]] = {"connector": WatchedSource, "offset store": WatchedStore}

    def load_watched(plugin: Plugin) -> Callable[..., Any]:
        make, around = load(plugin), watched.get(plugin.kind)
        return make if around is None else lambda *args, **options: around(make(*args, **options), gap)

    setattr(Plugin, "load", load_watched)  # noqa: B010


if __name__ == "__main__":
    point, records, journal, *files = sys.argv[1:]
    watch(Gap(point, int(records), Path(journal)))
    sys.argv = ["cdc", "run", *files]
    runpy.run_module("cdc", run_name="__main__")
