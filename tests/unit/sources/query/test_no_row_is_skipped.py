"""Rows at the last timestamp, equal timestamps over a batch end, kills, zones, and writers between polls (SQLite)."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cdc.sources.query import boundary
from tests.unit.sources.query.polling import World, values

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v INT NOT NULL, ts DATETIME NOT NULL)"
TIMED = {"mode": "timestamp", "timestamp.column.name": "ts"}
BOTH = {"mode": "timestamp+incrementing", "timestamp.column.name": "ts"}


def text(moment_us: int, digits: int = 0) -> str:
    at = datetime.fromtimestamp(moment_us / 1e6, UTC).replace(tzinfo=None)
    return at.isoformat(" ", timespec="milliseconds" if digits else "seconds")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, TABLE)


def insert(world: World, id_: int, v: int = 0) -> None:
    world.write("INSERT INTO t VALUES (?, ?, ?)", (id_, v, text(world.now_us)))


@pytest.mark.parametrize("mode", [TIMED, BOTH], ids=["timestamp", "both"])
def test_a_row_with_the_timestamp_that_was_read_last_is_found_and_the_first_not_repeated(
        world: World, mode: dict[str, str]) -> None:
    """Whole seconds: one row is read within the second in which the next one comes."""
    insert(world, 5)
    world.now_us += 300_000
    world.begin(**mode)
    assert [row[0] for row in world.rows()] == [5]
    world.now_us += 300_000
    insert(world, 3)
    assert [row[0] for row in world.rows()] == [3]
    assert world.rows() == []


def test_an_update_within_the_same_second_is_found(world: World) -> None:
    """Confluent's timestamp+incrementing asks for a greater id at the same timestamp."""
    world.begin(**BOTH)
    insert(world, 1)
    insert(world, 2)
    world.now_us += 1
    assert [row[:2] for row in world.rows()] == [(1, 0), (2, 0)]
    world.write("UPDATE t SET v = 7 WHERE id = 1")
    assert [row[:2] for row in world.rows()] == [(1, 7)]
    world.write("UPDATE t SET v = 0 WHERE id = 1")
    assert [row[:2] for row in world.rows()] == [(1, 0)]


@pytest.mark.parametrize("mode", [TIMED, BOTH], ids=["timestamp", "both"])
def test_a_kill_within_equal_timestamps_repeats_them_and_skips_none(world: World, mode: dict[str, str]) -> None:
    for number in range(10):
        insert(world, number)
    world.now_us += 1
    world.begin(**mode, **{"batch.max.rows": "4", "db.fetch.size": "4"})
    first = world.batch()
    assert first is not None
    world.commit(first)
    world.begin()
    assert {row[0] for row in world.rows()} == set(range(10))
    world.begin()
    assert {row[0] for row in world.rows()} == set(range(10))  # all of the last timestamp again
    world.now_us += 1_000_000
    insert(world, 20)
    world.now_us += 1
    assert [row[0] for row in world.rows()] == [20]


@pytest.mark.parametrize("mode", [TIMED, BOTH, {"mode": "incrementing"}], ids=["timestamp", "both", "incrementing"])
def test_a_pause_closes_the_select_and_the_next_one_goes_on(world: World, mode: dict[str, str]) -> None:
    """Within equal timestamps, and within others."""
    for number in range(10):
        insert(world, number)
        world.now_us += 1_000_000 * (number > 5)
    source = world.begin(**mode, **{"batch.max.rows": "4", "db.fetch.size": "4"})
    found: list[Any] = []
    for _ in range(2):
        batch = world.batch()
        assert batch is not None
        found += [row[0] for row in values(batch)]
        assert source._open is not None
        source.rest()
        assert source._open is None
        source.rest()
    found += [row[0] for row in world.rows()]
    assert sorted(found) == list(range(10))


def test_two_equal_rows_without_a_key_are_two_rows(tmp_path: Path) -> None:
    world = World(tmp_path, "CREATE TABLE t (v INT, ts DATETIME NOT NULL)")
    world.begin(**TIMED)
    for _ in range(2):
        world.write("INSERT INTO t VALUES (1, ?)", (text(world.now_us),))
    world.now_us += 1
    assert len(world.rows()) == 2
    world.write("INSERT INTO t VALUES (1, ?)", (text(world.now_us),))
    assert len(world.rows()) == 1


def test_so_many_rows_of_one_timestamp_that_they_are_not_known_one_by_one(
        world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boundary.Boundary.__init__, "__defaults__", (3,))
    for number in range(6):
        insert(world, number)
    world.now_us += 1
    world.begin(**TIMED)
    assert len(world.rows()) == 6
    assert world.rows() == []
    insert(world, 6)
    assert {row[0] for row in world.rows()} >= {6}  # all are repeated
    assert world.rows() == []
    world.now_us += 1_000_000
    insert(world, 7)
    world.now_us += 1
    assert [row[0] for row in world.rows()] == [7]


def test_a_row_whose_time_is_to_come_waits(world: World) -> None:
    world.begin(**TIMED)
    world.now_us += 5_000_000
    insert(world, 1)
    world.now_us -= 5_000_000
    insert(world, 2)
    world.now_us += 1
    assert [row[0] for row in world.rows()] == [2]
    world.now_us += 6_000_000
    assert [row[0] for row in world.rows()] == [1]


def test_the_delay_lets_a_late_commit_come_first(world: World) -> None:
    world.begin(**TIMED, **{"timestamp.delay.interval.ms": "2000"})
    world.now_us += 1_000_000
    insert(world, 2)
    assert world.rows() == []
    world.write("INSERT INTO t VALUES (1, 0, ?)", (text(world.now_us - 1_000_000),))  # committed late
    world.now_us += 2_000_001
    assert [row[0] for row in world.rows()] == [1, 2]


def test_no_row_of_the_hour_that_occurs_twice_is_skipped(world: World) -> None:
    """A row every ten minutes through the night in which Berlin's clocks are set back, in local time, polls between."""
    berlin = ZoneInfo("Europe/Berlin")
    world.now_us = int(datetime(2024, 10, 26, 23, 0, tzinfo=UTC).timestamp() * 1e6)
    source = world.begin(**TIMED, **{"db.timezone": "Europe/Berlin"})
    found: list[Any] = []
    held = 0
    for number in range(24):
        local = datetime.fromtimestamp(world.now_us / 1e6, berlin).replace(tzinfo=None)
        world.write("INSERT INTO t VALUES (?, 0, ?)", (number, local.isoformat(" ", timespec="seconds")))
        world.now_us += 600_000_000
        found += [row[0] for row in world.rows()]
        held += any(each.kind == "rows_held_back" for each in source.warnings.active())
    assert sorted(found) == list(range(24))
    assert found != sorted(found)  # local times have no other order
    assert held == 12  # two hours, of which the first row is read before


def test_a_restart_at_a_local_time_that_never_occurs_skips_nothing(world: World) -> None:
    world.now_us = int(datetime(2024, 3, 31, 12, 0, tzinfo=UTC).timestamp() * 1e6)
    for number, local in enumerate(("01:59:59", "02:30:00", "02:45:00", "03:10:00")):
        world.write("INSERT INTO t VALUES (?, 0, ?)", (number, f"2024-03-31 {local}"))
    world.begin(**TIMED, **{"db.timezone": "Europe/Berlin", "batch.max.rows": "2"})
    first = world.batch()
    assert first is not None
    assert [row[0] for row in values(first)] == [0, 1]
    world.commit(first)
    world.begin()
    assert {row[0] for row in world.rows()} >= {2, 3}


def test_times_of_every_form_are_compared_as_times(tmp_path: Path) -> None:
    world = World(tmp_path, "CREATE TABLE t (id INTEGER PRIMARY KEY, ts DATETIME NOT NULL)")
    forms: list[Any] = ["2024-05-01", "2024-05-01 01:00", "2024-05-01T02:00:00Z", "2024-05-01 05:00:00+02:00",
                        1_714_536_000_000, 1_714_539_600_000.0, "2024-05-01 06:00:00.5"]
    for number, form in enumerate(reversed(forms)):
        world.write("INSERT INTO t VALUES (?, ?)", (number, form))
    world.begin(**TIMED)
    found = world.rows()
    assert [row[0] for row in found] == [6, 5, 4, 3, 2, 1, 0]
    assert found[-1][1] == 1_714_543_200_500


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("mode", [TIMED, BOTH], ids=["timestamp", "both"])
def test_writers_polls_and_kills_in_any_order(world: World, mode: dict[str, str], seed: int) -> None:
    """Inserts and updates with the second of their commit, polls that end anywhere, and kills with positions that were
    committed or not. At the end each row's last version was delivered, after all other versions of it."""
    rng = random.Random(seed)
    size = str(rng.randint(1, 4))
    world.begin(**mode, **{"batch.max.rows": size, "db.fetch.size": size})
    latest: dict[int, int] = {}

    def deliver() -> None:
        batch = world.batch()
        if batch is not None:
            latest.update({row[0]: row[1] for row in values(batch)})
            if rng.random() < 0.6:
                world.commit(batch)

    truth: dict[int, int] = {}
    for step in range(120):
        world.now_us += rng.choice((0, 1, 200_000, 700_000))
        what = rng.random()
        if what < 0.35:
            id_ = rng.choice([each for each in range(1000) if each not in truth])
            insert(world, id_, step)
            truth[id_] = step
        elif what < 0.55 and truth:
            id_ = rng.choice(sorted(truth))
            world.write("UPDATE t SET v = ?, ts = ? WHERE id = ?", (step, text(world.now_us), id_))
            truth[id_] = step
        elif what < 0.95:
            deliver()
        else:
            world.begin()
    world.now_us += 2_000_000
    for _ in range(3):
        latest.update({row[0]: row[1] for row in world.rows()})
    assert latest == truth


@pytest.mark.parametrize("seed", range(10))
def test_an_incrementing_column_gives_each_row_once_unless_killed(world: World, seed: int) -> None:
    rng = random.Random(seed)
    world.begin(mode="incrementing", **{"batch.max.rows": "3", "db.fetch.size": "2"})
    found: list[int] = []
    for number in range(-5, 60):
        insert(world, number)
        if rng.random() < 0.4:
            batch = world.batch()
            if batch is not None:
                found += [row[0] for row in values(batch)]
                world.commit(batch)
        if rng.random() < 0.1:
            world.begin()
    for _ in range(2):
        found += [row[0] for row in world.rows()]
    assert found == list(range(-5, 60))
