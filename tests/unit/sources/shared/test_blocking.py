"""Snapshots that the stream makes way for, over a simulated database: after any run the topic is like the tables."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc.core import control
from cdc.core.errors import CdcError, SourceConnectionError, SourceRefusedError
from cdc.core.record import Batch, Message, Record, SourceContext
from cdc.core.row import Row
from cdc.sources.shared.blocking import BlockingSnapshots, Rows, Wanted
from cdc.sources.snapshot.background import Background
from cdc.sources.snapshot.blocking import BlockingQueue
from cdc.sources.snapshot.initial import InitialSnapshot
from cdc.sources.snapshot.progress import Place
from cdc.sources.snapshot.requests import Request, Stop
from cdc.sources.snapshot.told import Told
from tests.unit.sources.snapshot.simulated import (
    EMPTY_SCHEMA,
    Server,
    apply,
    text_row,
    values_of,
)
from tests.unit.sources.snapshot.test_incremental import Run, converged

Rand = random.Random


class Inline(Background[Rows]):
    """Does each job when its outcome is asked for, or a while later."""

    def __init__(self, rand: Rand, late: float) -> None:
        super().__init__("inline")
        self.rand = rand
        self.late = late
        self.job: Callable[[], Rows] | None = None

    def ask(self, job: Callable[[], Rows]) -> None:
        self.job = job

    def take(self, wait_s: float) -> Rows | None:
        if self.job is None or self.rand.random() < self.late:
            return None
        job, self.job = self.job, None
        return job()

    def close(self, timeout_s: float) -> None:
        pass


@dataclass(frozen=True)
class Read:
    table: Any


class View:
    """`initial.TableReader`: what is visible when it is made; it can lose its connection."""

    def __init__(self, server: Server, failures: float, error: CdcError | None = None) -> None:
        self.server = server
        self.failures = failures
        self.error = error
        self.seen = {name: dict(rows) for name, rows in server.rows.items()}
        self.closed = False

    def begin(self) -> None:
        pass

    def reads(self, tables: Sequence[str], *, several: bool) -> Iterator[Read]:
        return iter([Read(self.server.schemas[each]) for each in tables])

    def ranges(self, read: Read, after: Place | None) -> Generator[None, None, list[int]]:
        yield from ()
        return [-1 if after is None else int(after.text)]

    def divided(self, read: Read, range: int) -> Generator[None, None, list[int]]:
        yield from ()
        return []

    def rows(self, read: Read, range: int) -> Iterator[Row | Place | None]:
        for key, row in sorted(self.seen[read.table.id.table].items()):
            if key <= range:
                continue
            if self.server.random.random() < self.failures:
                raise SourceConnectionError("the snapshot's connection is lost")
            if self.error is not None:
                raise self.error
            yield text_row(row)
            if self.server.random.random() < 0.5:
                yield Place(str(key))

    def context(self, read: Read, marker: str) -> SourceContext:
        return SourceContext(EMPTY_SCHEMA, (0, marker), ())

    def alive(self) -> bool:
        return True

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class Process(Run):
    """A stream that makes way, over the server's log."""

    def __init__(self, server: Server, offset: dict[str, Any], *, failures: float = 0.0, late: float = 0.0,
                 max_records: int = 3, error: CdcError | None = None) -> None:
        super().__init__(server, offset, failures=failures)
        self.failures = failures
        self.max_records = max_records
        self.error = error
        self.told: list[str] = []
        self.views: list[View] = []
        self.cancels: list[int] = []
        self.queue = BlockingQueue(lambda: None)
        self.queue.restore(offset)
        opens: Callable[[Wanted[Any]], Rows] = self.open
        self.blocking: BlockingSnapshots[Any] = BlockingSnapshots(
            self.queue, opens, lambda snapshot: None, lambda: None, lambda request: self.telling(request.patterns),
            cancel=lambda: self.cancels.append(1), clock=lambda: self.now, background=Inline(server.random, late))

    def telling(self, names: Sequence[str]) -> Told:
        def tell(type: str, data: Any) -> Message:
            self.told.append(type)
            return Message("notes", None, None, None, (type, "", "", data))

        return Told(names, names, tell, kind="blocking")

    def open(self, wanted: Wanted[Any]) -> Rows:
        server, (number, change) = self.server, self.at
        if any(tx in server.invisible for tx in server.log[:number + (change > 0)]):
            raise SourceConnectionError("it does not show all that the stream has told")
        tables = [each.partition(".")[2] for each in wanted.request.patterns]
        if wanted.progress is not None:
            progress = wanted.progress.of_same({f"db.{each}": "" for each in tables})
            tables = progress.left(tables, lambda each: f"db.{each}")
        else:
            progress = None
        view = View(server, self.failures, self.error)
        self.views.append(view)
        return InitialSnapshot(view, tables, during=wanted.during, final=wanted.at, max_records=self.max_records,
                               progress=progress, told=self.telling([f"db.{each}" for each in tables]))

    def poll(self) -> None:
        if self.blocking.due:
            self.now += 0.01
            batch: Batch | None = self.blocking.poll(0.0, self.at)
            if batch is not None:
                position: Any = batch.position
                assert position == self.at
                records = [each for each in batch.records if isinstance(each, Record)]
                self.delivered.append((records, {"at": self.at, **self.snapshot.offset(), **self.queue.offset()}))
            return
        super().poll()
        records, offset = self.delivered[-1]
        self.delivered[-1] = records, {**offset, **self.queue.offset()}


def simulate(seed: int) -> None:
    rand = Rand(seed)
    tables = ["a", "b"][:rand.choice((1, 2))]
    server = Server(rand, tables)
    keys = rand.choice((8, 20, 40))
    truncates, kills, beside = rand.random() < 0.3, rand.random() < 0.6, rand.random() < 0.4
    stops = rand.random() < 0.3
    most: dict[str, Any] = {"failures": rand.choice((0.0, 0.1)), "late": rand.choice((0.0, 0.5))}
    for _ in range(rand.choice((30, 120))):
        server.write(keys)
    server.show(all=True)
    topic: dict[tuple[str, int], tuple[int, ...]] = {}
    run = Process(server, {"at": (len(server.log), 0)}, **most)
    wanted = Request("b", tuple(f"db.{each}" for each in tables), True)
    asked = False
    for step in range(100_000):
        if step < 150:
            for _ in range(rand.randrange(4)):
                server.write(keys, truncates=truncates)
        elif step == 150:
            server.settle()
        if rand.random() < 0.7:
            server.show()
        if step == 5 or (asked and step < 120 and rand.random() < 0.02):
            run.queue.add(replace(wanted))
            asked = True
        if stops and step < 140 and rand.random() < 0.05:
            run.queue.stop(Stop(blocking=True))
        if beside and step < 120 and rand.random() < 0.03:
            run.signal(control.EXECUTE_SNAPSHOT, {"data-collections": list(wanted.patterns)})
        if rand.random() < 0.6:
            run.reader.work()
        if rand.random() < 0.7:
            run.poll()
            run.now += rand.choice((0.0, 0.0, 0.1))
        if step > 10 and kills and step < 135 and rand.random() < 0.03:
            committed = rand.randrange(len(run.delivered)) if run.delivered else None
            for records, _ in run.delivered:
                for each in records:
                    apply(topic, each)
            offset = run.delivered[committed][1] if committed is not None else {
                "at": run.at, **run.snapshot.offset(), **run.queue.offset()}
            run = Process(server, offset, max_records=rand.choice((1, 3, 100)), **most)
            if not run.queue:  # its channel gives it again
                run.queue.add(replace(wanted))
        if step > 150:
            run.now += 1.0
            if not run.queue and not run.snapshot.active and run.at == (len(server.log), 0):
                break
    else:
        raise AssertionError("it does not end")
    for records, _ in run.delivered:
        for each in records:
            apply(topic, each)
    if not stops:
        converged(server, topic)
    else:  # of what was read, each row is right
        for (table, key), row in topic.items():
            assert server.rows[table].get(key) == row, (table, key)


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_topic_is_like_the_table_whatever_happens_when(first: int) -> None:
    for seed in range(first, first + 50):
        try:
            simulate(seed)
        except AssertionError as exc:
            raise AssertionError(f"seed {seed}: {exc}") from exc


def world(**more: Any) -> Process:
    """Six rows in each of two tables, of which the first three records are one batch."""
    server = Server(Rand(1), ["a", "b"])
    for table in ("a", "b"):
        server.rows[table] = {key: (key, key, 0) for key in range(1, 7)}
    return Process(server, {}, **more)


def keys(run: Process, polls: int) -> list[int]:
    before = len(run.delivered)
    for _ in range(polls):
        run.poll()
    return [values_of(each)[0] for records, _ in run.delivered[before:] for each in records]


def test_one_snapshot_after_the_other_and_the_stream_waits() -> None:
    run = world()
    run.queue.add(Request("one", ("db.a",), True))
    run.queue.add(Request("two", ("db.b",), True))
    assert keys(run, 20) == [*range(1, 7), *range(1, 7)]
    assert run.told == ["STARTED", "IN_PROGRESS", "TABLE_SCAN_COMPLETED", "COMPLETED"] * 2
    assert all(each.closed for each in run.views)
    assert not run.blocking.due
    assert [each.state for each in run.queue.snapshots()] == ["completed", "completed"]


def test_a_lost_connection_lets_the_stream_go_on_and_is_tried_again_from_where_it_was() -> None:
    run = world()
    run.queue.add(Request("one", ("db.a",), True))
    assert keys(run, 2)[:3] == [1, 2, 3]
    run.views[-1].error = SourceConnectionError("lost")
    with capture_logs() as lines:
        while run.blocking.due:
            run.poll()
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["blocking_snapshot_waits"]
    assert (run.views[-1].closed, bool(run.queue)) == (True, True)
    run.now += 60
    found = keys(run, 20)
    assert found[-3:] == [4, 5, 6]
    assert len(found) < 6
    assert not run.queue


@pytest.mark.parametrize("opened", [True, False])
def test_a_snapshot_that_the_server_refuses_is_given_up_and_the_next_one_follows(opened: bool) -> None:
    refused = SourceRefusedError("There is no such column.", hint="Name another.", table="db.a")
    run = world(error=refused if opened else None)
    if not opened:
        def no(wanted: Wanted[Any]) -> Rows:
            raise refused

        run.blocking._open = no
    run.queue.add(Request("one", ("db.a",), True))
    run.queue.add(Request("two", ("db.b",), True))
    with capture_logs() as lines:
        keys(run, 1 + opened)
    assert [line for line in lines if line["log_level"] == "warning"] == [{
        "event": "blocking_snapshot_failed", "log_level": "warning", "id": "one", "table": "db.a",
        "reason": "There is no such column.", "hint": "Name another."}]
    assert run.told == ["STARTED", "ABORTED"]
    ended, waits = run.queue.snapshots()
    assert (ended.state, ended.tables[0].state, waits.state) == ("stopped", "stopped", "waiting")
    assert run.delivered[-1][1].keys() == {"at", "blocking_snapshot"}


def test_a_snapshot_that_is_stopped_makes_way_for_the_stream_and_for_the_next_one() -> None:
    run = world()
    run.queue.add(Request("one", ("db.a",), True))
    run.queue.add(Request("two", ("db.b",), True))
    assert keys(run, 2) == [1, 2, 3, 4]
    run.queue.stop(Stop(("db.a",), blocking=True))
    with capture_logs() as lines:
        assert keys(run, 1) == []
    assert [(line["event"], line["id"], line["rows"]) for line in lines] == [("blocking_snapshot_stopped", "one", 5)]
    assert run.views[0].closed
    assert run.cancels == []
    assert keys(run, 20) == [*range(1, 7)]
    assert run.told == ["STARTED", "IN_PROGRESS", "ABORTED", "STARTED", "IN_PROGRESS", "TABLE_SCAN_COMPLETED",
                        "COMPLETED"]
    assert [(each.tables[0].name, each.state) for each in run.queue.snapshots()] == [
        ("db.a", "stopped"), ("db.b", "completed")]


def test_a_snapshot_that_waits_is_stopped_while_the_first_one_goes_on() -> None:
    run = world()
    run.queue.add(Request("one", ("db.a",), True))
    run.queue.add(Request("two", ("db.b",), True))
    assert keys(run, 2) == [1, 2, 3, 4]
    run.queue.stop(Stop(("db.b",), blocking=True))
    assert keys(run, 20) == [5, 6]
    assert run.told == ["STARTED", "IN_PROGRESS", "ABORTED", "TABLE_SCAN_COMPLETED", "COMPLETED"]
    assert [(each.tables[0].name, each.state) for each in run.queue.snapshots()] == [
        ("db.b", "stopped"), ("db.a", "completed")]


def test_a_snapshot_that_is_being_opened_is_stopped_once_nothing_uses_what_the_stream_uses() -> None:
    run = world()
    run.queue.add(Request("one", ("db.a",), True))
    opener = run.blocking._background
    assert isinstance(opener, Inline)
    opener.late = 1.0
    run.poll()
    run.queue.stop(Stop(blocking=True))
    for _ in range(3):
        run.poll()
    assert (run.blocking.due, run.told, run.cancels) == (True, [], [1])
    assert run.queue.offset() == {}
    opener.late = 0.0
    assert keys(run, 1) == []
    assert run.views[-1].closed
    assert (run.blocking.due, run.told) == (False, ["ABORTED"])
    assert run.queue.snapshots()[-1].state == "stopped"


def test_a_snapshot_that_waits_to_be_tried_again_is_stopped_at_once() -> None:
    run = world()
    run.queue.add(Request("one", ("db.a",), True))
    assert keys(run, 2) == [1, 2, 3, 4]
    run.views[-1].error = SourceConnectionError("lost")
    while run.blocking.due:
        run.poll()
    run.queue.stop(Stop(blocking=True))
    assert run.blocking.due
    run.poll()
    assert (run.told[-1], run.blocking.due, run.delivered[-1][1].keys()) == ("ABORTED", False, {"at"})
    run.queue.add(Request("two", ("db.b",), True))
    assert run.blocking.due, "the next one does not wait for the one that was tried again"


def test_a_snapshot_that_is_opened_when_the_source_stops_is_closed() -> None:
    run = world()
    run.queue.add(Request("one", ("db.a",), True))
    late = run.blocking._background
    assert isinstance(late, Inline)
    late.late = 1.0
    run.poll()
    run.blocking.interrupt()
    assert run.cancels == [1], "it may wait long for a lock"
    run.blocking.close()
    assert late.job is not None
    with pytest.raises(SourceConnectionError, match="stopped"):
        late.job()
    assert run.views[-1].closed
