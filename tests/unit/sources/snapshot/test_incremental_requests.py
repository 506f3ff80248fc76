"""What signals ask for, what the offset keeps, and what operators hear."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cdc.core import control
from cdc.core.control import Signal
from cdc.core.errors import PositionLostError
from cdc.sources.snapshot.copies import Copies, Copy
from cdc.sources.snapshot.requests import (
    RequestError,
    expand,
    is_stopped,
    matches,
    parse_request,
    parse_stop,
    stops_blocking,
)
from tests.unit.sources.snapshot.simulated import Server, values_of
from tests.unit.sources.snapshot.test_incremental import Run


def signal(data: dict[str, Any], type: str = control.EXECUTE_SNAPSHOT) -> Signal:
    return Signal("s", type, data, "file")


def test_a_request_names_tables_conditions_and_a_surrogate_key() -> None:
    found = parse_request(signal({
        "data-collections": ["s.a", " s.b.* "], "surrogate-key": "k",
        "additional-conditions": [{"data-collection": "s.b.*", "filter": "x > 1"}]}))
    assert (found.patterns, found.blocking, found.surrogate) == (("s.a", "s.b.*"), False, "k")
    assert (found.condition("s.a"), found.condition("s.bc")) == (None, "x > 1")


@pytest.mark.parametrize("data", [
    {}, {"data-collections": []}, {"data-collections": "s.a"}, {"data-collections": [1]}, {"data-collections": ["("]},
    {"data-collections": ["s.a"], "type": "strange"}, {"data-collections": ["s.a"], "surrogate-key": 5},
    {"data-collections": ["s.a"], "additional-conditions": [{"filter": "x"}]},
    {"data-collections": ["s.a"], "type": "blocking", "surrogate-key": "k"},
    {"data-collections": ["s.a"], "additional-condition": "id > 5"},
], ids=str)
def test_what_is_not_understood_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        parse_request(signal(data))


@pytest.mark.parametrize(("pattern", "name", "found"), [
    ('"s"."My.Table"', "s.My.Table", True), ('s."odd ""one"""', 's.odd "one"', True), ("`s`.`a(`", "s.a(", True),
    ('"s"."a.*"', "s.ab", False), ('"s"."A"', "s.a", True), ('"s"."a', "s.a", False), ('s.["a]b', "s.ab", True),
    ('"s"x."a"', "s.a", False), ('"s".', "s.", False),
])
def test_parts_of_a_name_may_be_quoted_and_are_no_expressions_then(pattern: str, name: str, found: bool) -> None:
    assert matches(pattern, name) is found
    if "(" in pattern:
        assert parse_request(signal({"data-collections": [pattern]})).patterns == (pattern,)


def test_stop_names_tables_or_means_all() -> None:
    some, all = parse_stop(signal({"data-collections": ["s.A"]})), parse_stop(signal({"type": "Blocking"}))
    assert [some.chooses(each) for each in ("s.a", "s.b")] == [True, False]
    assert all.chooses("s.b")
    assert (some.blocking, all.blocking) == (False, True)
    with pytest.raises(RequestError):
        parse_stop(signal({"type": "strange"}))


def test_a_signal_that_stops_blocking_snapshots_is_known_from_others() -> None:
    stop = stops_blocking(signal({"type": "blocking", "data-collections": ["s.[ab]"]}, control.STOP_SNAPSHOT))
    assert stop is not None
    for kind in ("", "incremental", "strange"):
        assert stops_blocking(signal({"type": kind}, control.STOP_SNAPSHOT)) is None
    assert stops_blocking(signal({"type": "blocking", "data-collections": ["s.a"]})) is None
    assert is_stopped(signal({"type": "blocking", "data-collections": ["s.a", "s.b"]}), stop)
    assert not is_stopped(signal({"type": "blocking", "data-collections": ["s.a", "s.c"]}), stop)
    assert not is_stopped(signal({"data-collections": ["s.a"]}), stop)
    assert not is_stopped(signal({}), stop)
    assert not is_stopped(signal({"type": "blocking"}, control.PAUSE_SNAPSHOT), stop)


def test_patterns_name_tables_in_their_own_order() -> None:
    assert expand(["s.c", "s.[AB]", "s.x"], ["s.a", "s.b", "s.c"]) == ["s.c", "s.a", "s.b", "s.x"]


def test_the_offset_keeps_copies() -> None:
    copies = Copies((Copy("s", "s.a", "x > 1", None, ("1", None), ("9", "z"), 5), Copy("t", "s.b", None, "k")), True)
    offset = copies.offset()
    assert offset["incremental_snapshot_correlation_id"] == "s"
    assert all(key.startswith("incremental_snapshot_") and isinstance(value, str) for key, value in offset.items())
    assert Copies.from_offset(offset) == copies
    assert Copies().offset() == {}
    assert Copies.from_offset({"lsn": 1}) == Copies()


def test_debeziums_offset_begins_its_tables_again() -> None:
    offset = {
        "incremental_snapshot_correlation_id": "s", "incremental_snapshot_primary_key": "aced000570",
        "incremental_snapshot_collections": '[{"incremental_snapshot_collections_id":"s.a",'
        '"incremental_snapshot_collections_additional_condition":null,'
        '"incremental_snapshot_collections_surrogate_key":"k"}]'}
    assert Copies.from_offset(offset).waiting == (Copy("s", "s.a", None, "k"),)


def test_a_damaged_offset_is_an_error() -> None:
    with pytest.raises(PositionLostError, match="damaged"):
        Copies.from_offset({"incremental_snapshot_progress": "x"})


class World:
    """A table of six rows, chunks of two."""

    def __init__(self, marked: bool = False) -> None:
        self.server = Server(random.Random(1), ["a", "b"])
        for table in ("a", "b"):
            self.server.rows[table] = {key: (key, key, 0) for key in range(1, 7)}
        self.run = Run(self.server, {}, chunk_rows=2)
        self.run.snapshot._marked = marked
        self.polls(2)  # nothing to do

    def execute(self, *names: str, id: str = "s", **data: Any) -> None:
        self.run.signal(control.EXECUTE_SNAPSHOT, {"data-collections": list(names), **data}, id)

    def polls(self, count: int = 1) -> list[int]:
        """The keys of the rows that so many polls give."""
        found = []
        for _ in range(count):
            self.run.reader.work()
            self.run.now += 0.2
            self.run.poll()
            found += [values_of(each)[0] for each in self.run.delivered[-1][0] if each.op == "r"]
        return found

    def told(self) -> list[str]:
        """Types of notifications, with the tables that are over."""
        told, self.run.teller.told = self.run.teller.told, []
        return [f"{kind} {data.get('scanned_collection') or data.get('data_collections', '')}".strip()
                for _, kind, data in told if kind != "IN_PROGRESS"]


def test_a_run_is_told_from_its_start_to_its_end() -> None:
    world = World()
    world.execute("db.a", "db.missing", "db.b")
    assert world.polls(20) == [1, 2, 3, 4, 5, 6] * 2
    assert world.told() == ["STARTED db.a,db.missing,db.b", "TABLE_SCAN_COMPLETED db.a",
                            "TABLE_SCAN_COMPLETED db.missing", "TABLE_SCAN_COMPLETED db.b", "COMPLETED"]
    last, = world.run.snapshot.snapshots()
    assert [(each.name, each.state, each.rows) for each in last.tables] == [
        ("db.a", "done", 6), ("db.missing", "UNKNOWN_SCHEMA", 0), ("db.b", "done", 6)]
    assert (last.state, world.run.snapshot.offset(), world.run.snapshot.active) == ("completed", {}, False)


def test_paused_copies_go_on_where_they_were_also_after_a_restart() -> None:
    world = World()
    world.execute("db.a")
    assert world.polls() == [1, 2]
    world.run.signal(control.PAUSE_SNAPSHOT)
    rest = world.polls(5)
    assert rest in ([], [3, 4])
    assert world.told() == ["STARTED db.a", "PAUSED db.a"]
    world.run = Run(world.server, world.run.delivered[-1][1], chunk_rows=2)
    assert world.polls(5) == []
    assert world.run.snapshot.snapshots()[-1].state == "paused"
    world.run.signal(control.RESUME_SNAPSHOT)
    assert rest + world.polls(10) == [3, 4, 5, 6]
    assert world.told() == ["RESUMED db.a", "TABLE_SCAN_COMPLETED db.a", "COMPLETED"]


def test_one_table_is_stopped_and_the_others_go_on() -> None:
    world = World()
    world.execute("db.a", "db.b")
    world.polls(2)
    world.run.signal(control.STOP_SNAPSHOT, {"data-collections": ["db.A"]})
    assert world.polls(12)[-6:] == [1, 2, 3, 4, 5, 6]
    assert world.told() == ["STARTED db.a,db.b", "ABORTED db.a", "TABLE_SCAN_COMPLETED db.b", "COMPLETED"]


def test_all_is_stopped() -> None:
    world = World()
    world.execute("db.a", "db.b")
    world.polls(2)
    world.run.signal(control.STOP_SNAPSHOT)
    world.polls(5)
    assert world.told() == ["STARTED db.a,db.b", "COMPLETED", "ABORTED db.a,db.b"]
    assert (world.run.snapshot.offset(), world.run.snapshot.active) == ({}, False)
    assert world.run.snapshot.snapshots()[-1].state == "stopped"


def test_a_stop_that_waits_for_a_chunk_holds_after_a_restart() -> None:
    world = World()
    world.execute("db.a", "db.b")
    world.run.signal(control.STOP_SNAPSHOT, {"data-collections": ["db.a"]})
    world.run.poll()  # the chunk is not there yet
    assert world.told() == ["STARTED db.a,db.b"]
    world.run = Run(world.server, world.run.delivered[-1][1], chunk_rows=2)
    assert world.polls(12) == [1, 2, 3, 4, 5, 6]
    assert world.told() == ["ABORTED db.a", "TABLE_SCAN_COMPLETED db.b", "COMPLETED"]


@pytest.mark.parametrize("again", ["two", "one"])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_table_that_is_asked_for_again_after_the_stop_is_copied(again: str, restarted: bool) -> None:
    """Some use the same id for each signal."""
    world = World()
    world.execute("db.a", id="one")
    assert world.polls() == [1, 2]
    world.run.signal(control.STOP_SNAPSHOT)
    world.execute("db.a", id=again)
    if restarted:
        world.run.poll()
        world.run = Run(world.server, world.run.delivered[-1][1], chunk_rows=2)
    assert world.polls(20)[-6:] == [1, 2, 3, 4, 5, 6]
    assert [(each.id, each.state) for each in world.run.snapshot.snapshots()] == [(again, "completed")]
    world.run.signal(control.STOP_SNAPSHOT)
    assert not world.run.snapshot.active


@pytest.mark.parametrize("marked", [False, True])
def test_a_chunk_waits_until_the_last_one_is_committed(marked: bool) -> None:
    """So a kill at any moment repeats one chunk at most."""
    world = World(marked)
    world.run.snapshot.follow_commits()
    world.execute("db.a")
    assert world.polls(5) == [1, 2]
    world.run.snapshot.committed({"at": 0})
    assert world.polls(5) == [], "that is the position of an earlier batch"
    found = []
    for _ in range(20):
        found += world.polls()
        world.run.snapshot.committed(world.run.delivered[-1][1])
    assert found == [3, 4, 5, 6]
    assert not world.run.snapshot.active


def test_a_commit_counts_though_the_next_table_has_begun_meanwhile() -> None:
    """No batch goes out only because of that, and none would while the database is idle."""
    world = World()
    world.run.snapshot.follow_commits()
    world.execute("db.a", "db.b")
    found: list[int] = []
    for _ in range(20):
        found += world.polls()
        sent = world.run.delivered[-1][1]
        if len(found) == 6:
            break
        world.run.snapshot.committed(sent)
    assert world.polls(5) == [], "the first chunk of the other table waits"
    world.run.snapshot.committed(sent)
    assert world.polls() == [1, 2]


def test_requests_wait_for_each_other() -> None:
    world = World()
    world.execute("db.a", id="one")
    world.execute("db.b", id="two")
    world.execute("db.b", id="three")  # asks for nothing new
    assert [(each.id, each.state) for each in world.run.snapshot.snapshots()] == [
        ("one", "running"), ("two", "waiting")]
    assert world.polls(20) == [1, 2, 3, 4, 5, 6] * 2
    assert world.told() == ["STARTED db.a", "TABLE_SCAN_COMPLETED db.a", "COMPLETED",
                            "STARTED db.b", "TABLE_SCAN_COMPLETED db.b", "COMPLETED"]


def test_a_blocking_snapshot_is_refused_where_there_are_none() -> None:
    world = World()
    world.execute("db.a", type="blocking")
    world.run.signal(control.STOP_SNAPSHOT, {"type": "blocking"})
    assert world.polls(3) == []
    assert world.told() == []
