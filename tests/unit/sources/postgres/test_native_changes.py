"""C gives what the ChangeReader and the plans in Python give: bytes, counts, positions and errors."""

from __future__ import annotations

import itertools
import random
import struct
import sys
import threading
from typing import Any

import pytest

from cdc import about
from cdc import native as native_room
from cdc.sources.postgres.native_changes import native_changes
from cdc.sources.postgres.position import PostgresPosition
from tests.unit.mutations import mutated
from tests.unit.sources.postgres import native_world as world
from tests.unit.sources.postgres import pgoutput_frames as frames
from tests.unit.sources.postgres.test_damage import by_hand, recorded
from tests.unit.transforms import test_outcomes

pytestmark = pytest.mark.skipif(native_room.module("pgoutput") is None, reason="no native modules were built")


def compare(stream: list[bytes], settings: world.Settings, most: int) -> None:
    for views in (False, True):
        pairs = itertools.zip_longest(world.plain(stream, settings, most),
                                      world.native(stream, settings, most, views=views))
        for expected, found in pairs:
            assert found == expected


@pytest.mark.parametrize("settings", world.SETTINGS, ids=range(len(world.SETTINGS)))
@pytest.mark.parametrize("seed", range(12))
def test_c_and_python_give_the_same(settings: world.Settings, seed: int) -> None:
    pick = random.Random(seed)
    compare(world.stream_of(pick), settings, pick.choice((1, 3, 17, 1000)))


CHAINS = {**test_outcomes.CHAINS, **{f"unknown-{name}": ((name, options),) for name, options in (
    ("ReplaceField$Value", {"exclude": "note"}), (test_outcomes.UNWRAP, {"add.headers": "op,source.lsn"}),
    (test_outcomes.UNWRAP, {"route.by.field": "note"}), ("ExtractField$Value", {"field": "nope"}))}}


@pytest.mark.parametrize("tolerant", [True, False])
@pytest.mark.parametrize("name", CHAINS)
def test_c_and_python_give_the_same_behind_transforms(name: str, tolerant: bool) -> None:
    keys = test_outcomes.config(CHAINS[name])
    for seed in range(4):
        pick = random.Random(seed)
        settings = world.Settings(mode=pick.choice(("warn", "fail")), tolerant=tolerant, transforms=keys)
        compare(world.stream_of(pick), settings, pick.choice((1, 3, 17, 1000)))


@pytest.mark.skipif(about.core() != "compiled", reason="plain Python makes JSON from values")
@pytest.mark.parametrize("json", ["key", "value", "key value", "key value schemas", "key value schema",
                                  "key value protobuf"])
@pytest.mark.parametrize("name", ["", "unwrap-rewrite", "logical", "unwrap-nulls", "unknown-ReplaceField$Value"])
def test_c_and_python_give_the_same_json(name: str, json: str) -> None:
    keys = test_outcomes.config(CHAINS[name]) if name else {}
    for seed in range(4):
        pick = random.Random(seed)
        settings = world.Settings(mode=pick.choice(("warn", "fail")), transforms=keys, json=json)
        assert world.Outcome(settings).converter.encodes()
        compare(world.stream_of(pick), settings, pick.choice((1, 3, 17, 1000)))


@pytest.mark.parametrize("seed", range(12))
def test_c_and_python_give_the_same_behind_random_chains(seed: int) -> None:
    pick = random.Random(seed)
    picked = [step for name in pick.sample(sorted(CHAINS), 2) for step in CHAINS[name]]
    settings = world.Settings(transforms=test_outcomes.config(tuple(picked)), tombstones=pick.random() < 0.8)
    compare(world.stream_of(pick), settings, pick.choice((1, 3, 17, 1000)))


@pytest.mark.parametrize("name", ["route", "unwrap-rewrite", "logical-plain-key-unwrap", "unwrap-tombstone"])
def test_what_transforms_make_of_usual_rows_is_written_in_c(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = world.Settings(transforms=test_outcomes.config(CHAINS[name]))
    batch, outcome = usual_batch(settings, 2)
    assert outcome.chain is not None
    monkeypatch.setattr(outcome.chain, "apply", None)
    assert 53 <= len(outcome.converter.encode(batch, world.NOW_US, None, outcome.chain)) <= 54


@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_c_and_python_drop_the_same_of_what_debezium_delivered(seed: int, rows: int) -> None:
    """Its offset is within a transaction: Python drops what was delivered of it, and C goes on."""
    pick = random.Random(seed)
    stream = world.stream_of(pick)
    begins = [(number, frame) for number, frame in enumerate(stream) if frame[25:26] == b"B"]
    number, begin = begins[len(begins) // 2]
    final, _, xid = struct.unpack_from(">QqI", begin, 26)
    within = [struct.unpack_from(">Q", frame, 1)[0] for frame in stream[number:number + 9] if frame[25:26] in b"IUD"]
    for lsn in (within or [final])[:2]:
        resumed = PostgresPosition(final - 400, xid=xid, skip_before_lsn=lsn, skip_rows=rows)
        for most in (1, 1000):
            compare(stream, world.Settings(resumed=resumed), most)


@pytest.mark.parametrize("stream", [recorded(), by_hand()], ids=["recorded", "by hand"])
def test_c_and_python_give_the_same_of_recorded_streams(stream: list[bytes]) -> None:
    for most in (1, 2, 100):
        compare(stream, world.Settings(), most)


def usual_batch(settings: world.Settings, oid: int = 1) -> tuple[Any, world.Outcome]:
    """54 records of one table, with what reads them."""
    name, columns, key = world.TABLES[oid]
    usual = [world.TYPES[each][1][0] or "x" for each in columns]
    bodies = [frames.begin(2000, 7), frames.relation(oid, name, [(each, 25, each in key) for each in columns]),
              *(frames.insert(oid, *usual) for _ in range(50)), frames.update(oid, *usual),
              frames.update(oid, *usual, old=tuple(usual)), frames.delete(oid, *usual, full=True),
              frames.commit(2000, 2010)]
    stream = [frames.xlog(1000 + number, body) for number, body in enumerate(bodies)]
    outcome = world.Outcome(settings)
    changes = native_changes(outcome.reader)
    assert changes is not None
    _, _, batch = changes.run(stream, 0, 1000, 1 << 20)
    return batch, outcome


def test_c_reads_nearly_all_of_a_usual_stream() -> None:
    batch, _ = usual_batch(world.Settings())
    assert (len(batch), batch.foreign_count()) == (54, 0)


def test_damaged_frames_give_the_same_or_the_same_error() -> None:
    pick = random.Random(5)
    for turn in range(400):
        stream = world.stream_of(pick, transactions=3)
        for _ in range(pick.choice((1, 1, 2))):
            place = pick.randrange(len(stream))
            stream[place] = stream[place][:1] + mutated(stream[place][1:], pick)
        compare(stream, world.SETTINGS[turn % len(world.SETTINGS)], 1000)


def test_tasks_that_encode_at_once_do_not_disturb_each_other() -> None:
    """A column without a C function is written by Python, which may let another thread run."""
    streams = [world.stream_of(random.Random(seed)) for seed in (1, 2)]
    expected = [list(world.plain(stream, world.Settings(), 50)) for stream in streams]
    wrong: list[int] = []

    def repeat(number: int) -> None:
        for _ in range(10):
            if list(world.native(streams[number], world.Settings(), 50)) != expected[number]:
                wrong.append(number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=repeat, args=(number,)) for number in (0, 1)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
