"""Copies tables while the stream goes on, chunk by chunk in the order of keys, and joins each chunk to the stream.

DBLog (Andreakis, Papapanagiotou, 2020): a chunk is read between two places of the log, and a row that the stream
changes between them is left out, since the stream has what is newer. Two things are stricter here. A log has a
transaction before others can see it, for as long as a synchronous standby lets it wait. So each chunk tells which
transactions it shows, and what any other has changed is left out, even if the stream brought it before the chunk was
asked for. And a chunk is read again when the stream cannot tell which rows were changed (TRUNCATE), or when the table's
structure has changed.

Whatever the marks are, the topic ends up like the table: a row of a chunk goes out before all changes that the chunk
does not show. The high mark adds that it goes out after those that it shows.

The database's side is a `ChunkReader`. Nothing here knows SQL.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from cdc.core import control
from cdc.core.control import Signal, SnapshotStatus
from cdc.core.dataclass import dataclass
from cdc.core.errors import CdcError
from cdc.core.record import READ, Record
from cdc.core.table import TableId
from cdc.log import get_logger

from .chunk import (
    EMPTY,
    SQL_EXCEPTION,
    SUCCEEDED,
    Chunk,
    ChunkReader,
    Plan,
    StructureChangedError,
    UnreadRows,
)
from .chunk_size import CHUNK_BYTES, ChunkSize
from .copies import PROGRESS, Asked, Copies, Copy, Key, shown
from .copy_queue import CopyQueue, Teller
from .pace import Pace
from .requests import Request, RequestError, Stop, parse_request, parse_stop
from .window import Identity, Newest, Touched, UnknownKeyError

log = get_logger(__name__)

MARKED_WAIT_S: Final = 0.5
"""How long to wait for a chunk where the mark of the one before it was read, so that records and notifications come in
Debezium's order."""
_FIRST_PAUSE_S: Final = 0.05
_MOST_PAUSE_S: Final = 5.0
_MOST_CHANGES: Final = 100

@dataclass
class _Window:
    """A chunk that was read: those of its `rows` up to the key `last` that are still the newest. `ended`: nothing
    follows."""

    chunk: Chunk
    rows: Newest
    last: Key
    ended: bool


class Blocking(Protocol):
    """`blocking.BlockingQueue`, as far as it is needed."""

    def add(self, request: Request) -> None: ...

    def stop(self, stop: Stop) -> None: ...


class IncrementalSnapshot:
    """All of one source. Not for several threads, apart from `snapshots`.

    *chunk_rows*: rows of a chunk. *wait_s*: how long to wait for a chunk at once, in seconds; else `turn` takes it
    later. *marked*: whether `ChunkReader.closes` tells where a chunk belongs. *skips*: the stream leaves out inserts or
    updates, so a row of a chunk may be newer than all that it brings.
    """

    def __init__(self, reader: ChunkReader, teller: Teller, *, chunk_rows: int, wait_s: float = 0.0,
                 marked: bool = False, skips: bool = False, clock: Callable[[], float] = time.monotonic,
                 blocking: Blocking | None = None, pace: Pace | None = None) -> None:
        self._reader = reader
        self._teller = teller
        self._wait_s = wait_s
        self._marked = marked
        self._skips = skips
        self._clock = clock
        self._blocking = blocking
        self._queue = CopyQueue(teller)
        self._pace = pace or Pace(clock)
        self._resting = False
        self._plan: Plan | None = None
        self._identity = Identity()
        self._touched = Touched()
        self._asked = False
        self._window: _Window | None = None
        self._pause_s = 0.0
        self._again_at = 0.0
        self._changes = 0
        self._size = ChunkSize(chunk_rows)
        self._busy_at = 0.0
        self._sent_at: float | None = None
        self._took_s = 0.0
        self._follows_commits = False
        self._uncommitted = False
        self._given: set[object] = set()

    # -- Handler --------------------------------------------------------------------------------------------------

    def handle(self, signal: Signal) -> None:
        try:
            if signal.type == control.EXECUTE_SNAPSHOT:
                self._execute(parse_request(signal))
            elif signal.type == control.STOP_SNAPSHOT:
                self._stop(parse_stop(signal))
            elif signal.type == control.PAUSE_SNAPSHOT:
                self._queue.hold(True)
            elif signal.type == control.RESUME_SNAPSHOT and self._queue.hold(False):
                self._work()
        except RequestError as exc:
            log.warning("signal_ignored", id=signal.id, type=signal.type, channel=signal.channel, why=str(exc))

    def watches(self, id: TableId) -> bool:
        return self._plan is not None and not self._resting and self._plan.table.id == id

    def passed(self, record: Record) -> None:
        plan = self._plan
        if plan is not None and not self._resting and record.table.id == plan.table.id:
            self._touch(record)
        if self._marked and self._window is not None and self._reader.closes(record):
            self._emit(self._window)
            self._work()

    def turn(self, *, idle: bool, spare_s: float = 0.0) -> None:
        """Go on. *idle*, *spare_s*: as in `Handler.turn`."""
        self._pace.turn(idle=idle, spare_s=spare_s)
        if self._sent_at is not None:
            self._size.sent(self._clock() - self._sent_at + self._took_s)
            self._sent_at, self._took_s = None, 0.0
        if not idle:
            self._busy_at = self._clock()
        self._work()

    @property
    def active(self) -> bool:
        """Whether `turn` should be called soon."""
        return self._asked or self._window is not None or (bool(self._queue) and not self._queue.paused)

    def offset(self) -> Mapping[str, Any]:
        given = self._queue.copies.offset()
        if self._uncommitted:
            self._given.add(given.get(PROGRESS))
        return given

    def restore(self, offset: Mapping[str, Any]) -> None:
        self._queue.restore(Copies.from_offset(offset))
        self._pace.begins()

    def follow_commits(self) -> None:
        self._follows_commits = True

    def committed(self, offset: Mapping[str, Any]) -> None:
        """The last chunk is committed with any offset that was given since: more may have changed, which no batch
        brings."""
        if offset.get(PROGRESS) in self._given:
            self._uncommitted = False
            self._given.clear()

    def snapshots(self) -> Sequence[SnapshotStatus]:
        return self._queue.snapshots()

    def close(self) -> None:
        self._reader.close()

    # -- requests -------------------------------------------------------------------------------------------------

    def _execute(self, request: Request) -> None:
        if request.blocking:
            self._blocking_queue().add(request)
            return
        if not self._queue:
            self._pace.begins()
        self._queue.add([Copy(request.id, name, request.condition(name), request.surrogate)
                         for name in self._reader.names(request.patterns)])
        self._work()

    def _blocking_queue(self) -> Blocking:
        if self._blocking is None:
            raise RequestError("blocking snapshots are not possible here, only those of the type incremental")
        return self._blocking

    def _stop(self, stop: Stop) -> None:
        if stop.blocking:
            self._blocking_queue().stop(stop)
            return
        waiting = self._queue.copies.waiting
        chosen = frozenset(each.asked for each in waiting if stop.chooses(each.name))
        if waiting and waiting[0].asked in chosen and (self._window is not None or self._asked):
            self._queue.stop_later(chosen)  # the chunk that is being read still goes out
        else:
            self._stopped(chosen)

    def _stopped(self, copies: frozenset[Asked]) -> None:
        if self._queue and self._queue.first.asked in copies:
            self._drop_plan()
        self._queue.stop(copies)

    # -- the stream -----------------------------------------------------------------------------------------------

    def _touch(self, record: Record) -> None:
        self._pace.change()
        by, window = self._reader.by(record), self._window
        seen = window is not None and self._reader.sees(window.chunk, by)
        try:
            for key in self._identity.touched(record):
                if window is not None and not (seen and self._skips):
                    window.rows.drop(key)
                if not seen:
                    self._touched.add(key, by)
        except UnknownKeyError as exc:
            log.info("chunk_read_again", table=str(record.table.id), why="a change does not name its row",
                     column_or_operation=str(exc))
            self._touched.add_all(by)
            self._window = None

    # -- one chunk after the other --------------------------------------------------------------------------------

    def _work(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        """One step; whether another one may be possible now."""
        window = self._window
        if window is not None:
            if not self._ready(window):
                return False
            self._emit(window)
            return True
        if self._asked:
            began = self._clock()
            taken = self._take(self._wait_s)
            self._took_s += self._clock() - began
            return taken
        if self._queue.copies.stopping:
            self._stopped(self._queue.copies.stopping)
            return True
        if self._queue.paused:
            self._drop_plan()
        if not self._queue or self._queue.paused or self._clock() < self._again_at:
            return False
        if self._marked and self._uncommitted:
            return False
        if self._pace.rests:
            self._rest()
            return False
        if self._plan is None:
            return self._begin(self._queue.first)
        if self._resting:
            self._watch_again(self._plan)
        self._ask(self._plan)
        return True

    def _rest(self) -> None:
        """Let the stream read the table's changes as fast as those of others, if there are many."""
        if self._plan is not None and not self._resting and self._pace.heavy:
            self._resting = True
            self._reader.release(self._plan)

    def _watch_again(self, plan: Plan) -> None:
        self._resting = False
        self._touched = Touched()
        self._reader.begins(plan)

    def _begin(self, copy: Copy) -> bool:
        try:
            plan = self._reader.plan(copy)
        except CdcError as exc:
            return self._failed(copy, exc)
        if isinstance(plan, str):
            self._end_table(plan)
            return True
        if copy.made and copy.made != plan.made:
            log.info("incremental_snapshot_table_again", id=copy.id, table=copy.name, rows=copy.rows,
                     why="it was made again, is another table of the same name, or has its rows in another order")
            self._queue.put(replace(copy, after=None, upto=None, rows=0, made=""))
        self._queue.estimate(plan.row_estimate)
        self._plan = plan
        self._identity = Identity(() if plan.table.key else plan.identity)
        self._touched = Touched()
        self._size.begins(len(plan.table.columns))
        self._reader.begins(plan)
        return True

    def _ask(self, plan: Plan) -> None:
        if self._touched.full:
            log.info("chunk_made_smaller", table=str(plan.table.id), rows=self._size.rows,
                     why="the stream changes many rows")
            self._touched = Touched()
            self._size.halve()
            self._reader.begins(plan)
        self._touched.ask()
        self._pace.asks()
        more = not plan.unique  # one row more tells whether the others of its key are all here
        self._reader.ask(plan, self._queue.first, self._size.rows + more, CHUNK_BYTES)
        self._asked = True

    def _take(self, wait_s: float) -> bool:
        copy, plan = self._queue.first, self._plan
        assert plan is not None
        try:
            chunk = self._reader.answer(wait_s)
        except StructureChangedError:
            self._asked = False
            return self._plan_again(copy)
        except CdcError as exc:
            self._asked = False
            return self._failed(copy, exc)
        if chunk is None:
            return False
        self._asked = False
        if self._reader.changed(plan):
            return self._plan_again(copy)
        if not self._reader.joins(chunk) or self._touched.full:
            self._later()
            return True
        self._touched.settle(lambda by: self._reader.sees(chunk, by))
        if self._touched.all():
            self._later()
            return True
        self._changes, self._pause_s = 0, 0.0
        if copy.upto is None and chunk.upto is not None:
            copy = replace(copy, upto=chunk.upto, made=plan.made)
            self._queue.put(copy)
        if chunk.upto is None:
            self._end_table(EMPTY)
        elif not chunk.rows:
            self._opened(_Window(chunk, Newest((), 0, hash), chunk.upto, ended=True))
        else:
            self._open(copy, plan, chunk)
        return True

    def _open(self, copy: Copy, plan: Plan, chunk: Chunk) -> None:
        rows, ended = chunk.rows, chunk.ended
        count = len(rows) if ended or plan.unique else chunk.before_last
        if not count:  # all have one key, so where the chunk ends cannot be told
            if chunk.size_bytes > CHUNK_BYTES:
                log.warning("incremental_snapshot_failed", table=copy.name, rows=len(chunk.rows),
                            reason="too many rows have the same key", hint="Give a surrogate-key that is unique.")
                self._end_table(SQL_EXCEPTION)
            else:
                self._size.double()
            return
        self._size.read(count, chunk.size_bytes)
        newest = Newest(rows, count, lambda row: self._identity.of(plan.table, row))
        newest.drop_all(self._touched)
        last = rows[count - 1][0]
        self._opened(_Window(chunk, newest, last, ended or last == chunk.upto))
        if copy.asked not in self._queue.copies.stopping:
            self._queue.tell("IN_PROGRESS", {
                "data_collections": self._queue.copies.names(), "current_collection_in_progress": copy.name,
                "maximum_key": shown(chunk.upto or ()), "last_processed_key": shown(last)})

    def _opened(self, window: _Window) -> None:
        self._window = window
        self._busy_at = self._clock()
        self._pace.waits()

    def _ready(self, window: _Window) -> bool:
        """A copy does not end before the stream has told that another table took the name, if one did. A chunk does not
        go out before the last one is committed, so a restart repeats no more than one; where the mark tells its place,
        it is not even read before that."""
        if self._uncommitted and not self._marked:
            return False
        return (not window.rows and not window.ended and not self._marked) or self._reader.reached(window.chunk) or (
            self._clock() >= self._busy_at + self._reader.patience_s(window.chunk))

    def _emit(self, window: _Window) -> None:
        plan = self._plan
        assert plan is not None
        if self._reader.changed(plan):
            self._plan_again(self._queue.first)
            return
        self._emit_rows(plan, window)
        self._window = None
        self._uncommitted = self._follows_commits
        self._given.clear()
        self._pace.ends()
        self._sent_at = self._clock()
        copy = self._queue.first
        self._queue.sent(replace(copy, after=window.last, rows=copy.rows + window.rows.count))
        if copy.asked not in self._queue.copies.stopping and window.ended:
            self._end_table(SUCCEEDED)

    def _emit_rows(self, plan: Plan, window: _Window) -> None:
        newest = window.rows
        if not newest:
            return
        context = self._reader.context(plan)
        if isinstance(newest.rows, UnreadRows):
            self._teller.emit_many(plan.table.id, newest.rows.reads(newest.count, newest.gone, context))
            return
        for row in newest.left():
            self._teller.emit(Record(READ, plan.table, None, row, row, context, ()))

    # -- ends -----------------------------------------------------------------------------------------------------

    def _end_table(self, status: str) -> None:
        self._drop_plan()
        self._queue.end(status)
        if not self._queue:
            self._reader.finish()

    def _drop_plan(self) -> None:
        plan, self._plan = self._plan, None
        if self._asked:
            self._reader.forget()
        self._asked, self._window = False, None
        self._resting = False
        self._touched = Touched()
        if plan is not None:
            self._reader.release(plan)

    def _plan_again(self, copy: Copy) -> bool:
        """The structure has changed: the same rows are read with the present one."""
        self._drop_plan()
        self._changes += 1
        if self._changes > _MOST_CHANGES:
            self._changes = 0
            log.warning("incremental_snapshot_failed", table=copy.name, reason="its structure changes all the time")
            self._end_table(SQL_EXCEPTION)
            return True
        log.info("chunk_read_again", table=copy.name, why="the table's structure has changed")
        self._later()
        return True

    def _failed(self, copy: Copy, error: CdcError) -> bool:
        """A lost connection is made again; a refusal ends the copy of the table."""
        if error.retriable:
            log.warning("incremental_snapshot_waits", table=copy.name, reason=error.message, again_in_s=self._pause_s)
            self._drop_plan()
            self._later()
            return True
        log.warning("incremental_snapshot_failed", id=copy.id, table=copy.name, reason=error.message,
                    **{name: value for name, value in error.context.items() if name not in ("id", "table", "reason")})
        self._end_table(SQL_EXCEPTION)
        return True

    def _later(self) -> None:
        self._pause_s = min(_MOST_PAUSE_S, max(_FIRST_PAUSE_S, self._pause_s * 2))
        self._again_at = self._clock() + self._pause_s
