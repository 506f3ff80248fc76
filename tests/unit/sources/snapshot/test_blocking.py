"""Which blocking snapshots wait, and how the offset keeps that."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from cdc.core.control import TableCopy
from cdc.core.errors import PositionLostError
from cdc.sources.snapshot.blocking import KEY, BlockingQueue
from cdc.sources.snapshot.progress import Place, Progress
from cdc.sources.snapshot.requests import Request, Stop
from cdc.sources.snapshot.told import Told

A = Request("a", ("db.a",), True, (("db.a", "SELECT 1"),))
B = Request("b", ("db.b", "db.c"), True)


class Waiting:
    def __init__(self) -> None:
        self.changes = 0
        self.queue = BlockingQueue(self.changed)

    def changed(self) -> None:
        self.changes += 1


def told(*names: str) -> Told:
    return Told(names, names, lambda type, data: None, kind="blocking", id="a")


def test_requests_wait_in_order_and_each_change_is_for_the_offset() -> None:
    waiting = Waiting()
    queue = waiting.queue
    queue.add(A)
    queue.add(B)
    assert (queue.requests, waiting.changes) == ((A, B), 2)
    assert [(each.id, each.kind, each.state) for each in queue.snapshots()] == [
        ("a", "blocking", "waiting"), ("b", "blocking", "waiting")]
    assert queue.snapshots()[1].tables == (TableCopy("db.b", "waiting"), TableCopy("db.c", "waiting"))
    made = told("db.a")
    queue.reads(made, Progress())
    assert [each.state for each in queue.snapshots()] == ["running", "waiting"]
    list(made.completed())
    queue.end(A, made)
    assert ([each.state for each in queue.snapshots()], queue.requests) == (["completed", "waiting"], (B,))
    assert waiting.changes == 3


def test_what_waits_already_is_asked_for_once_but_what_is_being_read_may_be_asked_for_again() -> None:
    queue = Waiting().queue
    queue.add(A)
    queue.add(Request("other", A.patterns, True, A.conditions))
    assert queue.requests == (A,)
    queue.reads(told("db.a"), Progress())
    queue.add(Request("other", A.patterns, True, A.conditions))
    assert [each.id for each in queue.requests] == ["a", "other"]


def test_the_offset_keeps_requests_and_how_far_the_first_one_is() -> None:
    queue = Waiting().queue
    assert queue.offset() == {}
    queue.add(A)
    queue.add(B)
    queue.reads(told("db.a"), Progress())
    queue.reached(Progress().after_table("db.a", "1").within("db.b", Place("5"), "2"))
    offset = queue.offset()
    assert list(offset) == [KEY]
    again = Waiting()
    again.queue.restore({"lsn": 1, **offset})
    assert (again.queue.requests, again.changes) == ((A, B), 1)
    progress = again.queue.progress
    assert progress is not None
    assert (progress.names, progress.table, progress.place, progress.identity) == (["db.a"], "db.b", "5", "2")
    again.queue.restore({})
    assert again.queue.requests == (A, B)


def test_what_is_stopped_is_in_no_offset_and_may_be_asked_for_again() -> None:
    waiting = Waiting()
    queue = waiting.queue
    again = Request("a", A.patterns, True, A.conditions)
    assert again == A
    queue.add(A)
    queue.add(B)
    queue.reads(told("db.a"), Progress())
    queue.reached(Progress().within("db.a", Place("5")))
    queue.stop(Stop(("DB.A",), blocking=True))
    queue.add(again)
    assert (queue.stops(A), queue.stops(B), queue.stops(again), waiting.changes) == (True, False, False, 4)
    other = Waiting().queue
    other.restore(queue.offset())
    assert (other.requests, other.progress) == ((B, A), None)
    queue.stop(Stop(blocking=True))
    assert (len(queue.stopping), queue.offset()) == (3, {})


def test_a_request_is_stopped_as_a_whole() -> None:
    queue = Waiting().queue
    queue.add(B)
    with capture_logs() as lines:
        queue.stop(Stop(("db.b",), blocking=True))
        queue.stop(Stop(("db.x",), blocking=True))
    assert [(line["event"], line.get("others")) for line in lines] == [
        ("signal_ignored", ["db.c"]), ("no_blocking_snapshot_to_stop", None), ("no_blocking_snapshot_to_stop", None)]
    queue.stop(Stop(("db.[bc]",), blocking=True))
    assert queue.stopping == (B,)


@pytest.mark.parametrize("damaged", ["x", "eJyrVipKLSxNLS4pVrJSiDaM1VFQKijKTy9KLQYJ5JXm5NQCANfNDBY="])
def test_a_damaged_offset_is_an_error(damaged: str) -> None:
    with pytest.raises(PositionLostError, match="damaged"):
        Waiting().queue.restore({KEY: damaged})
