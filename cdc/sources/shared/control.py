"""Signals and notifications of one source: what to do with what operators ask for, and telling them what happens.

Signals come from two sides: `signal` queues those that the runtime gathers, and `passed` sees the rows of the signal
table among the records that the log gives. All of them are acted on in the task's thread, in `turn` or `passed`.
Debezium sources: SignalProcessor, SourceSignalChannel, NotificationService.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import replace
from typing import Any, Final, Protocol

from cdc.codecs.wrappers import unconverted
from cdc.core import control
from cdc.core.control import Notification, Signal, SnapshotStatus
from cdc.core.errors import DecodeError, StateError
from cdc.core.record import CREATE, READ, Message, Record
from cdc.core.row import BINARY, NULL
from cdc.core.table import Column, TableId
from cdc.debezium.emit import HIDDEN, Emitter
from cdc.log import get_logger
from cdc.sources.snapshot.blocking import KEY as BLOCKING_KEY
from cdc.sources.snapshot.blocking import BlockingQueue
from cdc.sources.snapshot.requests import is_stopped, stops_blocking

from . import added

log = get_logger(__name__)

OFFSET_KEYS: Final = ("signal_", "incremental_snapshot_", BLOCKING_KEY, added.KEY)
"""How the offset's keys begin that belong to signals and to the snapshots that they ask for."""

_DONE: Final = ""
"""The type of a signal that was acted upon before others of its channel, or is not wanted any more; no signal comes
with it."""
_WAITING: Final = 1000
_KEPT: Final = 1000
"""Notifications that nobody fetches."""
_SNAPSHOTS: Final = frozenset((control.EXECUTE_SNAPSHOT, control.STOP_SNAPSHOT, control.PAUSE_SNAPSHOT,
                               control.RESUME_SNAPSHOT, control.WINDOW_OPEN, control.WINDOW_CLOSE))

Action = Callable[[Signal], None]


class Handler(Protocol):
    """What takes snapshots beside the stream. Called in the task's thread, apart from `snapshots`.

    In any method it may call `Control.emit`, `Control.notify` and `Control.commit_soon`: what it emits goes out before
    the record that is about to.
    """

    def handle(self, signal: Signal) -> None:
        """Act on a signal about snapshots. What is wrong with its data is logged; nothing is raised for it."""
        ...

    def watches(self, id: TableId) -> bool:
        """Whether it wants to see the changes of table *id*. The sources ask when they look up how a table is read; an
        answer that has changed since is not noticed before."""
        ...

    def passed(self, record: Record) -> None:
        """*record*, of a table that is watched, goes out next, or does not if it has `HIDDEN` (`skipped.operations`).
        Changes of the signal table come here too, before a signal in them is handled."""
        ...

    def offset(self) -> Mapping[str, Any]:
        """Its keys of the offset, as of all that it has emitted; they begin with one of `OFFSET_KEYS`."""
        ...

    def restore(self, offset: Mapping[str, Any]) -> None:
        """Go on from what `offset` gave. Called once, before the stream begins."""
        ...

    def snapshots(self) -> Sequence[SnapshotStatus]:
        """As `Controlled.snapshots`. Any thread."""
        ...

    @property
    def active(self) -> bool:
        """Whether it has something to do, so that `turn` should be called soon."""
        ...

    def turn(self, *, idle: bool, spare_s: float) -> None:
        """Go on. *idle*: the source waited for the log since the last call, and it has had nothing. *spare_s*: how long
        it waited, in seconds."""
        ...

    def follow_commits(self) -> None:
        """`committed` will be called for each commit."""
        ...

    def committed(self, offset: Mapping[str, Any]) -> None:
        """What `offset` gave is committed."""
        ...

    def close(self) -> None:
        """The source stops."""
        ...


def stored(offset: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of *offset* that are about signals and the snapshots that they ask for."""
    return {key: value for key, value in offset.items() if key.startswith(OFFSET_KEYS)}


class Control:
    """`handler`: what takes snapshots beside the stream, once there is something. `blocking`: those that the stream
    makes way for. `actions`: what to do, by the type of a signal; a database adds its own."""

    def __init__(self, prefix: str, emitter: Emitter, is_signal_table: Callable[[TableId], bool],
                 message: Callable[[Notification], Message] | None = None,
                 position: Callable[[], Mapping[str, Any]] = dict, lists: str = "") -> None:
        """*prefix*: the topic prefix. *is_signal_table*: which tables have signals. *message* makes a record of a
        notification, if notifications go to a topic. *position*: the present offset, for the signal `log`. *lists*:
        those that choose the tables (`added.lists_of`)."""
        self.handler: Handler | None = None
        self.blocking = BlockingQueue(self.commit_soon)
        self.actions: dict[str, Action] = {control.LOG: self._log, control.SCHEMA_CHANGES: refusal(
            "structures of tables come from the server and its log, so there is nothing to override")}
        self._prefix = prefix
        self._emitter = emitter
        self._is_signal_table = is_signal_table
        self._message = message
        self._position = position
        self._lists = {added.KEY: lists} if lists else {}
        self._waiting: deque[Signal] = deque()
        self._told: deque[Notification] = deque(maxlen=_KEPT)
        self._marks: dict[str, Any] = {}
        self._out: list[Any] = []
        self._reads: dict[tuple[str, str], int] = {}
        self._changed = False

    # -- any thread -----------------------------------------------------------------------------------------------

    def signal(self, signal: Signal) -> None:
        if len(self._waiting) >= _WAITING:
            raise StateError(f"{_WAITING} signals wait, so this one is not taken.", status=503,
                             hint="Those about snapshots wait for the stream to begin.")
        self._waiting.append(signal)

    def snapshots(self) -> Sequence[SnapshotStatus]:
        return (*self.blocking.snapshots(), *(self.handler.snapshots() if self.handler is not None else ()))

    def watches(self, id: TableId) -> bool:
        """Whether each change of table *id* must come to `passed` as a record."""
        return self._is_signal_table(id) or (self.handler is not None and self.handler.watches(id))

    # -- the offset -----------------------------------------------------------------------------------------------

    def restore(self, offset: Mapping[str, Any]) -> None:
        """Go on from what `offset` gave."""
        self._marks = {key: value for key, value in offset.items() if key.startswith("signal_")}
        self.blocking.restore(offset)
        if self.handler is not None:
            self.handler.restore(offset)

    def offset(self) -> dict[str, Any]:
        """The offset's keys, as of all that went out so far."""
        beside = self.handler.offset() if self.handler is not None else {}
        return {**self._marks, **self._lists, **self.blocking.offset(), **beside}

    def follow_commits(self) -> None:
        """`committed` will be called for each commit."""
        if self.handler is not None:
            self.handler.follow_commits()

    def committed(self, offset: Mapping[str, Any]) -> None:
        """What `offset` gave is committed."""
        if self.handler is not None:
            self.handler.committed(offset)

    # -- the task's thread ----------------------------------------------------------------------------------------

    def turn(self, *, streaming: bool = True, idle: bool = False, spare_s: float = 0.0) -> None:
        """Act on the signals that wait. Before the stream begins, and while it makes way for a snapshot, those about
        snapshots go on waiting, and all behind them that come from the same channel: its mark covers what is before it.
        One that stops blocking snapshots does not wait, and also stops those that others before it ask for. *idle*: as
        in `Handler.turn`."""
        held: list[Signal] = []
        channels: set[str] = set()
        for _ in range(len(self._waiting)):
            signal = self._waiting.popleft()
            behind = signal.channel in channels
            if not streaming and (stop := stops_blocking(signal)) is not None:
                self._act(signal)
                held = [self._stopped(each) if is_stopped(each, stop) else each for each in held]
                signal = replace(signal, type=_DONE)
                if not behind:
                    self._mark(signal)
                    continue
            if not streaming and (signal.type in _SNAPSHOTS or behind):
                held.append(signal)
                channels.add(signal.channel)
                continue
            self._act(signal)
            self._mark(signal)
        self._waiting.extendleft(reversed(held))
        if streaming and self.handler is not None:
            self.handler.turn(idle=idle, spare_s=spare_s)

    def _mark(self, signal: Signal) -> None:
        if signal.mark:
            self._marks = {**self._marks, **signal.mark}
            self.commit_soon()

    def _stopped(self, signal: Signal) -> Signal:
        """In place of *signal*, which still waits: only its mark counts."""
        log.info("blocking_snapshot_stopped", id=signal.id, channel=signal.channel, rows=0)
        return replace(signal, type=_DONE)

    @property
    def active(self) -> bool:
        """Whether a snapshot goes on beside the stream."""
        return self.handler is not None and self.handler.active

    @property
    def due(self) -> bool:
        """Whether there is something to send, or the offset has changed."""
        return self._changed or bool(self._out)

    @property
    def changed(self) -> bool:
        """Whether the offset has changed, so that a batch should bring it."""
        return self._changed

    def taken(self) -> bool:
        """Whether the offset has changed by more than the stream's place. Asked once for each batch."""
        changed, self._changed = self._changed, False
        return changed

    def passed(self, items: list[Any]) -> list[Any]:
        """*items* of the emitter, which go out now, with all that is emitted meanwhile between them."""
        emitter = self._emitter
        if not emitter.watched and not self.active:
            if not self._out:
                return items
            items, self._out = self._out + items, []
            return items
        emitter.watched = bool(emitter.records)  # those that wait for the end of their transaction
        for item in items:
            if isinstance(item, Record) and self.watches(item.table.id):
                self._look(item)
                if item.key_headers is HIDDEN:
                    continue
            self._out.append(item)
        out, self._out = self._out, []
        return out

    def emit(self, record: Record | Message) -> None:
        """*record* goes out next."""
        self._out.append(record)
        if isinstance(record, Record) and record.op == READ:
            self._count(record.table.id, 1)

    def emit_many(self, id: TableId, reads: Sized) -> None:
        """*reads*, an item that the source's batch takes for as many read records of table *id*, go out next."""
        self._out.append(reads)
        self._count(id, len(reads))

    def _count(self, id: TableId, rows: int) -> None:
        counted = str(id), READ
        self._reads[counted] = self._reads.get(counted, 0) + rows

    def reads(self) -> Mapping[tuple[str, str], int]:
        """The rows of snapshots that were emitted since the last call, as `Batch.counts` has them."""
        reads, self._reads = self._reads, {}
        return reads

    def commit_soon(self) -> None:
        """The offset is to be committed once what was emitted so far is delivered: it saves work after a restart."""
        self._changed = True

    def notify(self, aggregate_type: str, type: str, data: Mapping[str, str] | None = None, *, id: str = "") -> None:
        """Tell that *type* has happened. *id*: that of the signal, if there was one."""
        told = self.notification(aggregate_type, type, data, id=id)
        message = self.told(told)
        if message is not None:
            self._out.append(message)

    def notification(self, aggregate_type: str, type: str, data: Mapping[str, str] | None = None, *,
                     id: str = "") -> Notification:
        return Notification(id or str(uuid.uuid4()), aggregate_type, type,
                            {"connector_name": self._prefix, **(data or {})}, time.time_ns() // 1_000_000)

    def told(self, notification: Notification) -> Message | None:
        """Keep *notification* for `notifications`; returns its record, if it goes to a topic."""
        self._told.append(notification)
        return None if self._message is None else self._message(notification)

    def keep_to_itself(self) -> None:
        """No notification goes to a topic."""
        self._message = None

    def notifications(self) -> Sequence[Notification]:
        found = []
        while self._told:
            found.append(self._told.popleft())
        return found

    # -- signals --------------------------------------------------------------------------------------------------

    def _act(self, signal: Signal) -> None:
        if signal.type == _DONE:
            return
        action = self.actions.get(signal.type)
        if action is not None:
            action(signal)
        elif signal.type in _SNAPSHOTS and self.handler is not None:
            self.handler.handle(signal)
        else:
            log.warning("signal_ignored", id=signal.id, type=signal.type, channel=signal.channel,
                        why="this type is not known")

    def _look(self, record: Record) -> None:
        """*record* of a watched table goes out next."""
        if self.handler is not None:
            self.handler.passed(record)
        if record.op == CREATE and self._is_signal_table(record.table.id):
            signal = _signal_of(record)
            if signal is not None:
                self._act(signal)

    def _log(self, signal: Signal) -> None:
        """`{}` stands for the present offset."""
        message = signal.data.get("message")
        if not isinstance(message, str) or not message:
            log.warning("signal_ignored", id=signal.id, type=signal.type, channel=signal.channel,
                        why="its data has no message")
            return
        offset = ", ".join(f"{key}={value}" for key, value in self._position().items())
        log.info("signal_log", id=signal.id, channel=signal.channel, message=message.replace("{}", f"{{{offset}}}", 1))


def refusal(why: str, hint: str = "") -> Action:
    """What to do with signals of a type that means nothing here."""
    def refuse(signal: Signal) -> None:
        log.warning("signal_refused", id=signal.id, type=signal.type, channel=signal.channel, why=why,
                    **({"hint": hint} if hint else {}))

    return refuse


def _signal_of(record: Record) -> Signal | None:
    """The signal in an inserted row: its three columns are id, type and data."""
    table, row = record.table, record.after
    if row is None or len(table.columns) != 3:
        log.warning("signal_ignored", table=str(table.id), columns=len(table.columns),
                    why="a signal table has three columns: id, type, data")
        return None
    try:
        id, type, data = (_text(column, record) for column in table.columns)
        return control.parse_signal({"id": id, "type": type, "data": data}, "source")
    except (DecodeError, ValueError) as exc:
        why = exc.message if isinstance(exc, DecodeError) else str(exc)
        log.warning("signal_ignored", table=str(table.id), channel="source", why=why)
        return None


def _text(column: Column, record: Record) -> str | None:
    """The column's value, not masked."""
    row = record.after
    assert row is not None
    kind = row.kind(column.index)
    data = row.raw(column.index)
    if kind == NULL or data is None:
        return None
    codec = column.key_binary_codec if kind == BINARY and column.key_binary_codec else column.key_codec
    value = unconverted(codec).value(data, 0, len(data))
    return value if isinstance(value, str) else str(value)
