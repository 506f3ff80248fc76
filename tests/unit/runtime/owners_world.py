"""A database, a broker and an offset store in which several processes run the same connector, one step at a time.

The processes run the real `Task`, each in a thread that goes on only when the history says so: at every call of a part
it may be paused for any time, or killed. Requests to the broker arrive late, in order, even while their sender is
paused. Nothing here depends on time or chance except through the history's own generator.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdc.core.errors import (
    CdcError,
    OffsetsHeldError,
    OffsetStoreError,
    OwnerLostError,
    PositionLostError,
    SinkConnectionError,
    SourceBusyError,
    SourceConnectionError,
    SourceRefusedError,
)
from cdc.core.interfaces import Outgoing
from cdc.core.owner import Claim, Owner
from cdc.core.record import Batch, Message
from cdc.metrics.task import TaskMetrics
from cdc.runtime.policy import Action, action_for
from cdc.runtime.task import Task, TaskParts, TaskSettings

SENDER_TIMEOUT = 20.0
Change = tuple[int, int]
"""A key and its new value; 0 deletes."""


def baton() -> threading.Lock:
    """A lock that one thread releases and another one waits for; much faster than a semaphore."""
    made = threading.Lock()
    made.acquire()
    return made


class Killed(BaseException):
    """Ends a process's thread."""


@dataclass(frozen=True, slots=True)
class At:
    number: int

    def offset(self) -> dict[str, Any]:
        return {"lsn": self.number}


@dataclass(slots=True)
class Sent:
    """A record in the topic, or on its way there."""

    change: Change
    ack: Any
    state: str = "open"


class Server:
    """Its log, and who reads it. *kicks*: the newer reader ends the older one, as MySQL does; else it must wait."""

    def __init__(self, world: World, *, kicks: bool) -> None:
        self.world = world
        self.kicks = kicks
        self.log: list[Change] = []
        self.reader: Source | None = None
        self.confirmed = 0

    def connect(self, source: Source, position: int) -> None:
        self.expire()
        if self.reader is not None and self.reader is not source:
            if not self.kicks:
                raise SourceBusyError("the slot is active")
            self.reader.kicked = True
        if position < self.confirmed:
            raise PositionLostError("the server has forgotten what comes after the offset")
        self.reader = source

    def expire(self) -> None:
        reader = self.reader
        if reader is not None and (reader.process.ended or (
                not self.kicks and self.world.now - reader.process.awake_at > SENDER_TIMEOUT)):
            self.reader = None


class Source:
    def __init__(self, process: Process) -> None:
        self.process = process
        self.server = process.world.server
        self.queue: deque[tuple[int, Change]] = deque()
        self.read = 0
        self.kicked = False

    def start(self, offset: Any) -> None:
        self.process.point()
        self.read = offset["lsn"] if offset else 0
        self.server.connect(self, self.read)
        self.process.point()

    def receive(self) -> None:
        """The reader's thread has a full queue when it can."""
        self.server.expire()
        if self.server.reader is self:
            while self.read < len(self.server.log) and len(self.queue) < 12:
                self.queue.append((self.read + 1, self.server.log[self.read]))
                self.read += 1

    def poll(self, timeout: float) -> Batch | None:
        self.process.point()
        if not self.queue and self.server.reader is not self:
            raise SourceRefusedError("same server id") if self.kicked else SourceConnectionError("the stream ended")
        self.receive()
        if not self.queue:
            return None
        taken = [self.queue.popleft() for _ in range(min(len(self.queue), self.process.world.pick.randint(1, 4)))]
        records: list[Any] = [Message("t", None, None, None, change) for _, change in taken]
        return Batch(records, At(taken[-1][0]), 10)

    def confirm(self, position: Any) -> None:
        if self.server.reader is self:
            self.server.confirmed = max(self.server.confirmed, position.number)

    def finished(self) -> bool:
        return False

    def state(self) -> str:
        return "streaming"

    def silence_s(self) -> float:
        return SENDER_TIMEOUT / 2

    def interrupt(self) -> None: ...

    def stop(self) -> None:
        if self.server.reader is self:
            self.server.reader = None

    def check_offset(self, offset: Any) -> None: ...

    def partition(self) -> Mapping[str, Any]:
        return {"server": "shop"}

    def metrics(self) -> Mapping[str, float]:
        return {}

    def warnings(self) -> Sequence[Any]:
        return ()


class Broker:
    """A topic. A producer's requests come in order, whenever the history has them arrive."""

    def __init__(self) -> None:
        self.topic: list[Sent] = []
        self.epoch = 0
        self.network: dict[Sink, deque[Callable[[], None]]] = {}

    def new_epoch(self) -> int:
        """Aborts what an older producer has not committed."""
        for record in self.topic:
            if record.state == "open":
                record.state = "aborted"
        self.epoch += 1
        return self.epoch

    def arrive(self, sink: Sink) -> None:
        self.network[sink].popleft()()

    def visible(self) -> dict[int, int]:
        replayed: dict[int, int] = {}
        for record in self.topic:
            if record.state == "committed":
                replayed[record.change[0]] = record.change[1]
        return {key: value for key, value in replayed.items() if value}


class Sink:
    """Fenced: records count with the transaction that they arrived in. Not fenced: as soon as they arrive."""

    def __init__(self, process: Process, *, fenced: bool) -> None:
        self.process = process
        self.broker = process.world.broker
        self.fenced = fenced
        self.epoch = 0
        self.closed = False
        self.answers: deque[tuple[Any, Exception | None]] = deque()
        self.taken: list[Sent] = []
        self.requests: deque[Callable[[], None]] = deque()

    def start(self) -> None:
        self.process.point()
        self.broker.network[self] = self.requests

    def interrupt(self) -> None: ...

    def fence(self) -> None:
        self.process.point()
        if self.fenced:
            self.epoch = self.broker.new_epoch()
        self.process.point()

    def send(self, batch: Sequence[Outgoing], first: int, ack: Any) -> int:
        self.process.point()  # a pause here, after every check, is why brokers must fence
        if len(self.requests) > 10:
            return first
        assert not self.closed
        record = Sent(batch[first].value, ack)  # type: ignore[arg-type]
        self.requests.append(lambda: self._arrive(record))
        if self.fenced:
            self.taken.append(record)
        return first + 1

    def poll(self, timeout: float) -> None:
        self.process.point()
        if self.fenced and self.taken and self.process.world.pick.random() < 0.4:
            records, self.taken = self.taken, []
            self.requests.append(lambda: self._commit(records))
        while self.answers:
            ack, error = self.answers.popleft()
            if error is None:
                ack.delivered()
            else:
                ack.failed(error)

    def flush(self, timeout: float) -> int:
        self.poll(0)
        return 0

    def close(self) -> None:
        """What is in the client's queue goes; what is in the network stays there."""
        self.closed = True
        while len(self.requests) > 3:
            self.requests.pop()

    def metrics(self) -> Mapping[str, float]:
        return {}

    def _current(self) -> bool:
        return not self.fenced or self.epoch == self.broker.epoch

    def _arrive(self, record: Sent) -> None:
        if not self._current():
            record.state = "refused"
            self.answers.append((record.ack, SinkConnectionError("fenced")))
            return
        self.broker.topic.append(record)
        if not self.fenced:
            record.state = "committed"
            self.answers.append((record.ack, None))

    def _commit(self, records: list[Sent]) -> None:
        error = None if self._current() else SinkConnectionError("fenced")
        for record in records:
            if record.state == "open":
                record.state = "committed"
            if record.state != "refused":
                self.answers.append((record.ack, error))


class Store:
    """One process's view of the offset. *locks*: who holds it keeps others away until it ends, even while paused."""

    def __init__(self, process: Process, *, locks: bool) -> None:
        self.process = process
        self.world = process.world
        self.locks = locks
        self.ours: Claim | None = None

    def start(self) -> None: ...

    def hold(self, connector: str, partition: Any) -> None:
        self.process.point()
        if self.locks:
            holder = self.world.holder
            if holder is not None and holder is not self.process and not holder.ended:
                raise OffsetsHeldError("held")
            self.world.holder = self.process
        self._check(self.ours)

    def load(self, connector: str, partition: Any) -> dict[str, Any] | None:
        self.process.point()
        return self.world.offset

    def claim(self, connector: str, partition: Any, offset: Any) -> Claim:
        self.process.point()
        self._check(self.ours)
        if self.world.offset != offset:
            raise OffsetStoreError("moved", retriable=True)
        self.world.generation += 1
        self.world.owner = self.process
        self.ours = Claim(Owner("h", self.process.number, "", ""), self.world.generation)
        self.process.point()
        return self.ours

    def commit(self, connector: str, partition: Any, offset: Any) -> None:
        claim = self.ours
        self.process.point()
        if self.world.pick.random() < 0.1:
            raise OffsetStoreError("away", retriable=True)
        self._check(claim)
        assert self.world.offset is None or offset["lsn"] >= self.world.offset["lsn"], "the offset went back"
        self.world.offset = offset
        self.process.point()  # durable, but the answer is late
        if self.world.pick.random() < 0.1:
            raise OffsetStoreError("the answer was lost", retriable=True)

    def release(self, connector: str, partition: Any) -> None: ...

    def stored(self) -> list[Any]:
        return []

    def load_all(self, connector: str) -> list[Any]:
        return []

    def commit_all(self, connector: str, offsets: Sequence[Any]) -> None:
        raise NotImplementedError

    def close(self) -> None: ...

    def _check(self, claim: Claim | None) -> None:
        if claim is not None and claim.generation != self.world.generation:
            raise OwnerLostError("taken over")


class Converter:
    def convert(self, records: Sequence[Any], now_us: int, failed: Any = None) -> list[Outgoing]:
        return [Outgoing("t", b"k", record.value, -1, (), "t") for record in records]

    def check(self) -> None: ...

    def close(self) -> None: ...

    def metrics(self) -> Mapping[str, float]:
        return {}


class Process:
    """Runs the connector as the worker does: again after a passing error, until another one ends it."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.ended = ""
        self.awake_at = world.now
        self.paused_until = self.waits_until = 0.0
        self.longest_pause = 0.0
        self.kill = False
        self.source: Source | None = None
        self.stop = threading.Event()
        self._go = baton()
        self.store = Store(self, locks=world.locks)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def point(self) -> None:
        """The history decides when this process goes on."""
        self.world.back.release()
        self._go.acquire()
        if self.kill:
            raise Killed

    def step(self) -> None:
        """Go on to the next point."""
        slept = self.world.now - self.awake_at
        self.longest_pause = max(self.longest_pause, slept)
        self.awake_at = self.world.now
        self._go.release()
        self.world.back.acquire()

    def _run(self) -> None:
        self._go.acquire()
        try:
            while not self.kill and not self.stop.is_set():
                try:
                    self._task().run()
                except CdcError as exc:
                    if action_for(exc) is Action.FAIL:
                        self.ended = type(exc).__name__
                        if self.ended == "PositionLostError":
                            raise AssertionError("nothing was lost") from exc
                        return
                    self.waits_until = self.world.now + self.world.pick.uniform(0, 8)
                    self.point()
            self.ended = "stopped"
        except Killed:
            self.ended = "killed"
        except BaseException as exc:
            self.ended = "broken"
            self.world.failure = exc
        finally:
            self.world.back.release()

    def _task(self) -> Task:
        self.longest_pause = 0.0
        source: Any = Source(self)
        self.source = source
        sink: Any = Sink(self, fenced=self.world.fenced)
        task = Task(TaskSettings("shop", 0.0, 0.0, max_inflight_bytes=200), TaskParts(source, None, Converter(), sink),
                    self.store, TaskMetrics("shop"), self.stop, paused_s=lambda: self.longest_pause)
        task.commits._clock = lambda: self.world.now
        return task


@dataclass
class World:
    """Everything that the processes share. *locks* and *fenced* as `Store` and `Sink` say."""

    seed: int
    locks: bool
    fenced: bool
    kicks: bool
    now: float = 0.0
    offset: dict[str, Any] | None = None
    generation: int = 0
    owner: Process | None = None
    holder: Process | None = None
    failure: BaseException | None = None
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pick = random.Random(self.seed)
        random.seed(self.seed)  # for the pauses between retries
        self.back = baton()
        self.server = Server(self, kicks=self.kicks)
        self.broker = Broker()

    def owners(self) -> list[Process]:
        """Those that run and may commit."""
        return [each for each in self.processes if not each.ended and each.store.ours is not None
                and each.store.ours.generation == self.generation]

    def table(self) -> dict[int, int]:
        rows = dict(self.server.log)
        return {key: value for key, value in rows.items() if value}

    def write(self) -> None:
        for _ in range(self.pick.randint(1, 5)):
            value = 0 if self.pick.random() < 0.3 else len(self.server.log) + 1
            self.server.log.append((self.pick.randrange(4), value))

    def start(self) -> None:
        self.processes.append(Process(self, len(self.processes)))

    def awake(self) -> list[Process]:
        return [each for each in self.processes
                if not each.ended and max(each.paused_until, each.waits_until) <= self.now]

    def act(self) -> None:
        """One thing happens."""
        self.now += 0.1
        kind = self.pick.random()
        waiting = [sink for sink, requests in self.broker.network.items() if requests]
        awake = self.awake()
        if kind < 0.08:
            self.write()
        elif kind < 0.28 and waiting:
            self.broker.arrive(self.pick.choice(waiting))
        elif kind < 0.30 and awake:
            self.pick.choice(awake).paused_until = self.now + self.pick.choice((3.0, 12.0, 25.0, 80.0))
            if len(self.processes) < 4 and self.pick.random() < 0.3:
                self.start()
        elif kind < 0.305 and len(self.processes) < 4:
            self.start()
        elif kind < 0.31 and awake and self.pick.random() < 0.3:
            self.end(self.pick.choice(awake))
        elif kind < 0.33:
            self.now += self.pick.choice((1.0, 10.0, 30.0))
            for each in awake:  # only who is paused notices nothing of this time
                each.awake_at = self.now
        elif awake:
            self.pick.choice(awake).step()
        if self.failure is not None:
            raise self.failure

    def end(self, process: Process) -> None:
        """Kill it. What it sent before arrives before another one can start, unless brokers fence."""
        if not self.fenced:
            for sink, requests in self.broker.network.items():
                while sink.process is process and requests:
                    self.broker.arrive(sink)
        process.kill = True
        while not process.ended:
            process.step()

    def settle(self) -> None:
        """Everything is delivered and committed; only then those wake up that are still paused, unless they keep others
        away, and go on for a while."""
        if not self.locks:
            for each in self.processes:
                if each.paused_until > self.now:
                    each.paused_until = self.now + 1_000_000
            self._finish()
        for each in self.processes:
            each.paused_until = 0.0
        self._finish()

    def _finish(self, least: int = 60, most: int = 4000) -> None:
        for turn in range(most):
            self.now += 0.1
            for each in self.awake():
                each.step()
            if all(each.ended or each.paused_until > self.now for each in self.processes):
                self.start()
            for sink, requests in self.broker.network.items():
                if requests and not sink.process.paused_until > self.now:
                    self.broker.arrive(sink)
            if self.failure is not None:
                raise self.failure
            pending = any(requests for sink, requests in self.broker.network.items()
                          if not sink.process.paused_until > self.now)
            done = self.offset == {"lsn": len(self.server.log)} and not pending
            if turn > least and done and len(self.owners()) == 1:
                return
        raise AssertionError("not everything was delivered")

    def close(self) -> None:
        for each in self.processes:
            if not each.ended:
                each.kill = True
                while not each.ended:
                    each.step()
            each.thread.join(10)
