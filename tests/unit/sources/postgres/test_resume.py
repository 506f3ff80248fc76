"""Whether a stored position fits the server and its slot, and where the stream then goes on. No server is asked."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cdc.core.errors import PositionLostError, SourceConnectionError
from cdc.sources.postgres import resume
from cdc.sources.postgres.lsn import Lsn
from cdc.sources.postgres.options import PostgresConfig, parse_postgres
from cdc.sources.postgres.position import PostgresPosition
from cdc.sources.postgres.witness import Shown

STORED = PostgresPosition(end_lsn=5000, tx_lsn=6000, tx_changes=3, commit_lsn=4900, system_id="7", timeline=1)


def config(**options: str) -> PostgresConfig:
    given = {"name": "n", "topic.prefix": "p", "database.hostname": "h", "database.user": "u", "database.dbname": "d",
             "slot.name": "s"} | {key.replace("_", "."): value for key, value in options.items()}
    return parse_postgres(given)[0]


def facts(*, system_id: str = "7", timeline: int = 1, flushed: int = 9000, in_recovery: bool = False) -> Any:
    """What the checks read of a server's facts."""
    return SimpleNamespace(system_id=system_id, timeline=timeline, flushed_lsn=Lsn(flushed), database="d",
                           in_recovery=in_recovery)


def slot(confirmed: int | None = 5000) -> Any:
    return SimpleNamespace(name="s", confirmed_flush_lsn=None if confirmed is None else Lsn(confirmed))


class History:
    """The timelines that the server left, and whether it was asked for them."""

    def __init__(self, *left: tuple[int, int]) -> None:
        self.left = [(timeline, Lsn(lsn)) for timeline, lsn in left]
        self.asked: list[int] = []

    def __call__(self, timeline: int) -> list[tuple[int, Lsn]]:
        self.asked.append(timeline)
        return self.left


def resumed(stored: PostgresPosition | None = STORED, *, of: Any = None, at: Any = None, history: Any = None,
            on_mismatch: str = "no_validation") -> PostgresPosition:
    return resume.resume_at(stored, of or facts(), at or slot(), history or History(), on_mismatch)


# -- where it goes on --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confirmed", [None, 0, 4000, 5000])
def test_a_stored_position_is_gone_on_from_as_it_is(confirmed: int | None) -> None:
    history = History()
    assert resumed(at=slot(confirmed), history=history) == STORED
    assert history.asked == []


@pytest.mark.parametrize(("confirmed", "begin"), [(None, 0), (1234, 1234)])
def test_without_a_stored_position_it_begins_where_the_slot_is(confirmed: int | None, begin: int) -> None:
    found = resumed(None, at=slot(confirmed), of=facts(system_id="8", timeline=3))
    assert found == PostgresPosition(end_lsn=begin, begin_lsn=begin, system_id="8", timeline=3)


def test_an_offset_of_another_program_learns_its_server() -> None:
    found = resumed(replace(STORED, system_id=None, timeline=None), of=facts(timeline=4))
    assert found == replace(STORED, timeline=4)


# -- whether it may ----------------------------------------------------------------------------------------------------


def test_another_cluster_is_a_lost_position() -> None:
    with pytest.raises(PositionLostError, match="cluster") as caught:
        resumed(of=facts(system_id="8"))
    assert caught.value.context == {"stored_system_id": "7", "system_id": "8", "slot": "s"}
    assert "new snapshot" in caught.value.hint


@pytest.mark.parametrize("left", [5000, 5001])
def test_a_failover_after_the_position_goes_on_in_the_new_timeline(left: int) -> None:
    history = History((1, left), (2, 8000))
    assert resumed(of=facts(timeline=3), history=history) == replace(STORED, timeline=3)
    assert history.asked == [3]


@pytest.mark.parametrize(("history", "left_at"), [
    (History((1, 4999)), "0/1387"), (History((2, 9000)), None), (History(), None)])
def test_a_failover_before_the_position_is_a_lost_position(history: History, left_at: str | None) -> None:
    with pytest.raises(PositionLostError, match="timeline") as caught:
        resumed(of=facts(timeline=3), history=history)
    assert caught.value.context == {"stored_timeline": 1, "timeline": 3, "lsn": "0/1388", "left_at": left_at}
    assert "new snapshot" in caught.value.hint


@pytest.mark.parametrize(("server", "history"), [
    ({"flushed": 6999}, ()), ({"timeline": 2}, ((1, 6999),)),
], ids=["restored", "failover"])
def test_rows_that_a_later_attempt_of_the_snapshot_read_must_be_in_the_log(
        server: dict[str, Any], history: tuple[tuple[int, int], ...]) -> None:
    stored = PostgresPosition.from_offset(PostgresPosition(
        end_lsn=5000, last_lsn=5000, begin_lsn=5000, begin_time_us=1, read_lsn=7000, system_id="7", timeline=1,
        snapshot="INITIAL").offset())
    assert resumed(stored, of=facts(flushed=7000)).end_lsn == 5000
    assert resumed(stored, of=facts(timeline=2), history=History((1, 7000))).timeline == 2
    with pytest.raises(PositionLostError):
        resumed(stored, of=facts(**server), history=History(*history))


def test_a_position_the_server_has_not_reached_is_lost() -> None:
    assert resumed(of=facts(flushed=5000)) == STORED
    with pytest.raises(PositionLostError, match="ahead of the server") as caught:
        resumed(of=facts(flushed=4999))
    assert caught.value.context == {"lsn": "0/1388", "server_lsn": "0/1387", "slot": "s"}
    assert "new snapshot" in caught.value.hint


def test_a_standby_that_has_not_received_it_yet_is_waited_for() -> None:
    with pytest.raises(SourceConnectionError, match="has not received yet") as caught:
        resumed(replace(STORED, end_lsn=9001), of=facts(flushed=9000, in_recovery=True))
    assert caught.value.retriable
    assert caught.value.context["lsn"] == str(Lsn(9001))


def test_a_slot_ahead_of_the_log_has_lost_what_was_between() -> None:
    """The end of the log went, but not the slot's state: what is written there now would be skipped by the server."""
    stored = replace(STORED, tx_lsn=0, tx_changes=0, shown=Shown(4000, 4048, 9, 1))
    assert resumed(stored, of=facts(flushed=4504), at=slot(4505)).end_lsn == 4505
    with pytest.raises(PositionLostError, match="ahead of the server"):
        resumed(stored, of=facts(flushed=4400), at=slot(4504))


@pytest.mark.parametrize(("left", "flushed"), [(4048, 9000), (9000, 4048)])
def test_log_in_which_nothing_of_ours_was_may_be_lost(left: int, flushed: int) -> None:
    stored = replace(STORED, tx_lsn=0, tx_changes=0, shown=Shown(4000, 4048, 9, 1))
    found = resumed(stored, of=facts(timeline=2, flushed=flushed), at=slot(3000), history=History((1, left)))
    assert found == replace(stored, end_lsn=4048, timeline=2)
    with pytest.raises(PositionLostError):
        resumed(stored, of=facts(timeline=2, flushed=flushed - 1), at=slot(3000), history=History((1, left - 1)))


@pytest.mark.parametrize("strategy", ["no_validation", "trust_offset"])
def test_a_slot_ahead_of_the_position_has_lost_what_is_between(strategy: str) -> None:
    with pytest.raises(PositionLostError, match="slot is ahead") as caught:
        resumed(at=slot(5001), on_mismatch=strategy)
    assert caught.value.context == {"slot": "s", "lsn": "0/1388", "slot_lsn": "0/1389"}
    assert "offset.mismatch.strategy=trust_slot" in caught.value.hint


@pytest.mark.parametrize("strategy", ["trust_slot", "trust_greater_lsn"])
def test_whoever_trusts_the_slot_goes_on_from_it_with_nothing_of_the_old_position(strategy: str) -> None:
    assert resumed(at=slot(5001), on_mismatch=strategy) == PostgresPosition(
        end_lsn=5001, begin_lsn=5001, system_id="7", timeline=1)


@pytest.mark.parametrize("strategy", ["no_validation", "trust_offset", "trust_slot", "trust_greater_lsn"])
def test_a_slot_behind_the_position_is_always_fine(strategy: str) -> None:
    """Delivered changes that it sends again are left out by the position."""
    assert resumed(at=slot(1), on_mismatch=strategy) == STORED


@pytest.mark.parametrize("strategy", ["trust_slot", "trust_greater_lsn"])
def test_trusting_the_slot_trusts_no_other_server(strategy: str) -> None:
    for of in (facts(system_id="8"), facts(timeline=2), facts(flushed=100)):
        with pytest.raises(PositionLostError):
            resumed(of=of, at=slot(5001), on_mismatch=strategy)


# -- the slot ----------------------------------------------------------------------------------------------------------


class Slots:
    """Stands in for the functions that ask a server."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)
        self.calls: list[Any] = []

    def find_slot(self, conn: Any, name: str) -> Any:
        self.calls.append(("find", conn))
        return SimpleNamespace(name=name) if name in self.names else None

    def create_slot(self, conn: Any, name: str, *, failover: bool, timeout_s: float) -> None:
        self.calls.append(("create", conn, failover))
        self.names.add(name)

    def check_slot(self, found: Any, database: str) -> None:
        self.calls.append(("check", found.name, database))


def slot_of(slots: Slots, stored: PostgresPosition | None, monkeypatch: pytest.MonkeyPatch, **options: str) -> Any:
    for name in ("find_slot", "create_slot", "check_slot"):
        monkeypatch.setattr(f"cdc.sources.postgres.resume.{name}", getattr(slots, name))
    conn: Any = "ordinary"
    replication: Any = "replication"
    return resume.slot_to_read(conn, replication, config(**options), facts(), stored)


@pytest.mark.parametrize("stored", [None, STORED])
def test_a_slot_that_is_there_is_checked_and_used(stored: PostgresPosition | None,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    slots = Slots("s")
    assert slot_of(slots, stored, monkeypatch).name == "s"
    assert slots.calls == [("find", "ordinary"), ("check", "s", "d")]


@pytest.mark.parametrize("failover", [False, True])
def test_a_slot_is_created_if_nothing_was_ever_delivered(failover: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    slots = Slots("another")
    assert slot_of(slots, None, monkeypatch, slot_failover=str(failover).lower()).name == "s"
    assert slots.calls == [("find", "ordinary"), ("create", "replication", failover), ("find", "ordinary"),
                           ("check", "s", "d")]


def test_a_slot_that_is_gone_is_not_created_again_behind_a_stored_position(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = Slots("another")
    with pytest.raises(PositionLostError, match="slot s ") as caught:
        slot_of(slots, STORED, monkeypatch)
    assert caught.value.context == {"slot": "s", "lsn": "0/1388"}
    assert "new snapshot" in caught.value.hint
    assert slots.calls == [("find", "ordinary")]
