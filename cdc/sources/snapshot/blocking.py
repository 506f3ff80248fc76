"""Snapshots that the stream makes way for: which ones were asked for, and how far the first one is.

Rows are read as of a later place in the log than the one where the stream waits. So whatever changed in between comes
in the stream afterwards, and its last event tells the row's present state (as in `progress`). The stream's position
stays what it is; the offset has the requests beside it, so a restart goes on with the tables and rows that are left.

Debezium sources: ExecuteSnapshot, ChangeEventSourceCoordinator.doBlockingSnapshot.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cdc.core import control
from cdc.core.control import SnapshotStatus, TableCopy
from cdc.core.errors import PositionLostError
from cdc.core.packing import pack, unpack
from cdc.log import get_logger

from .progress import Progress
from .requests import Request, Stop
from .told import Told

log = get_logger(__name__)

KEY: Final = "blocking_snapshot"
"""The offset's key."""
_ENDED: Final = 5
"""Of so many that have ended the status is kept."""


class BlockingQueue:
    """`requests`: those that are not complete, in order. `progress`: how far the first one is; None before its start.
    `stopping`: those of them that an operator has stopped. The offset does not have these any more.

    *changed* is called when the offset is not what it was, so that a batch brings it. Only `snapshots` may be called by
    other threads.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.requests: tuple[Request, ...] = ()
        self.stopping: tuple[Request, ...] = ()
        self.progress: Progress | None = None
        self._changed = changed
        self._told: Told | None = None
        self._ended: deque[SnapshotStatus] = deque(maxlen=_ENDED)

    def __bool__(self) -> bool:
        return bool(self.requests)

    def add(self, request: Request) -> None:
        waiting = [each for number, each in enumerate(self.requests)
                   if not self.stops(each) and (number or self.progress is None)]
        if any((each.patterns, each.conditions) == (request.patterns, request.conditions) for each in waiting):
            log.info("blocking_snapshot_merged", id=request.id, why="the same snapshot waits already")
            return
        self.requests = (*self.requests, request)
        log.info("blocking_snapshot_asked_for", id=request.id, tables=list(request.patterns))
        self._changed()

    def stop(self, stop: Stop) -> None:
        """End the requests all of whose tables *stop* chooses. Whoever reads them gives them up next, with `end`."""
        chosen = []
        for number, each in enumerate(self.requests):
            names = self._told.names if number == 0 and self._told is not None else each.patterns
            found = [name for name in names if stop.chooses(name)]
            if self.stops(each) or not found:
                continue
            if len(found) < len(names):
                log.warning("signal_ignored", id=each.id, type=control.STOP_SNAPSHOT, tables=found,
                            why="a blocking snapshot is stopped as a whole: name all its tables, or none",
                            others=[name for name in names if name not in found])
                continue
            chosen.append(each)
        if not chosen:
            log.info("no_blocking_snapshot_to_stop", tables=list(stop.patterns))
            return
        self.stopping = (*self.stopping, *chosen)
        self._changed()

    def stops(self, request: Request) -> bool:
        """Whether *request* itself, not one that is equal, is to end."""
        return any(each is request for each in self.stopping)

    def reads(self, told: Told, progress: Progress) -> None:
        """The first one is read from *progress* on; *told* knows how far it is."""
        self._told, self.progress = told, progress

    def reached(self, progress: Progress) -> None:
        """The rows up to *progress* go out."""
        self.progress = progress

    def end(self, request: Request, told: Told) -> None:
        """*request* is over, as *told* knows."""
        self._ended.append(told.status())
        if request is self.requests[0]:
            self._told = self.progress = None
        self.requests = tuple(each for each in self.requests if each is not request)
        self.stopping = tuple(each for each in self.stopping if each is not request)
        self._changed()

    # -- the offset -----------------------------------------------------------------------------------------------

    def offset(self) -> dict[str, Any]:
        wanted = [each for each in self.requests if not self.stops(each)]
        if not wanted:
            return {}
        progress = self.progress if wanted[0] is self.requests[0] else None
        parts = {"requests": [each.parts() for each in wanted],
                 "progress": None if progress is None else progress.offset()}
        return {KEY: pack(json.dumps(parts, separators=(",", ":")))}

    def restore(self, offset: Mapping[str, Any]) -> None:
        """Go on from what `offset` gave. Raises PositionLostError if it is damaged."""
        if not offset.get(KEY):
            return
        try:
            parts = json.loads(unpack(str(offset[KEY])))
            self.requests = tuple(map(Request.from_parts, parts["requests"]))
            self.progress = None if parts["progress"] is None else Progress.from_offset(parts["progress"])
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise PositionLostError(
                "The blocking snapshots that are stored with the offset are damaged.",
                hint=f"Take the key {KEY} out of the offset, and ask for the snapshot again.") from exc
        if self.requests:
            log.info("blocking_snapshot_resumed", id=self.requests[0].id, tables=list(self.requests[0].patterns))
            self._changed()

    # -- any thread -----------------------------------------------------------------------------------------------

    def snapshots(self) -> Sequence[SnapshotStatus]:
        """As `Controlled.snapshots`."""
        requests, told = self.requests, self._told
        found = list(self._ended)
        for number, each in enumerate(requests):
            if number == 0 and told is not None:
                found.append(told.status())
            else:
                found.append(SnapshotStatus(each.id, "blocking", "waiting", tuple(
                    TableCopy(name, "waiting") for name in each.patterns)))
        return found
