"""C gives what the ChangeReader and the plans in Python give: bytes, counts, positions and errors."""

from __future__ import annotations

import itertools
import random
import struct
import sys
import threading
from typing import Any

import pytest

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
        blocks = random.Random(most) if (len(stream) + views) % 2 else None
        pairs = itertools.zip_longest(world.plain(stream, settings, most),
                                      world.native(stream, settings, most, views=views, blocks=blocks))
        for expected, found in pairs:
            assert found == expected


@pytest.mark.parametrize("settings", world.SETTINGS, ids=range(len(world.SETTINGS)))
@pytest.mark.parametrize("seed", range(12))
def test_c_and_python_give_the_same(settings: world.Settings, seed: int) -> None:
    pick = random.Random(seed)
    compare(world.stream_of(pick), settings, pick.choice((1, 3, 17, 1000)))


CHAINS = {**test_outcomes.CHAINS, "unwrap-block": ((test_outcomes.UNWRAP, {
    "add.fields": "op,transaction.id,transaction.total_order,transaction.data_collection_order,source.lsn"}),), **{
    f"unknown-{name}": ((name, options),) for name, options in (
    ("ReplaceField$Value", {"exclude": "note"}), (test_outcomes.UNWRAP, {"add.headers": "op,source.lsn"}),
    (test_outcomes.UNWRAP, {"route.by.field": "note"}), ("ExtractField$Value", {"field": "nope"}))}}


@pytest.mark.parametrize("tolerant", [True, False])
@pytest.mark.parametrize("name", CHAINS)
def test_c_and_python_give_the_same_behind_transforms(name: str, tolerant: bool) -> None:
    keys = test_outcomes.config(CHAINS[name])
    for seed in range(4):
        pick = random.Random(seed)
        settings = world.Settings(mode=pick.choice(("warn", "fail")), tolerant=tolerant, transforms=keys,
                                  metadata=seed % 2 == 0)
        compare(world.stream_of(pick), settings, pick.choice((1, 3, 17, 1000)))


@pytest.mark.parametrize("json", ["key", "value", "key value", "key value schemas", "key value schema",
                                  "key value protobuf"])
@pytest.mark.parametrize("name", ["", "unwrap-rewrite", "logical", "unwrap-nulls", "unknown-ReplaceField$Value"])
def test_c_and_python_give_the_same_json(name: str, json: str) -> None:
    keys = test_outcomes.config(CHAINS[name]) if name else {}
    for seed in range(4):
        pick = random.Random(seed)
        settings = world.Settings(mode=pick.choice(("warn", "fail")), transforms=keys, json=json, metadata=seed > 1)
        assert world.Outcome(settings).converter.encodes()
        compare(world.stream_of(pick), settings, pick.choice((1, 3, 17, 1000)))


@pytest.mark.parametrize("seed", range(12))
def test_c_and_python_give_the_same_behind_random_chains(seed: int) -> None:
    pick = random.Random(seed)
    picked = [step for name in pick.sample(sorted(CHAINS), 2) for step in CHAINS[name]]
    settings = world.Settings(transforms=test_outcomes.config(tuple(picked)), tombstones=pick.random() < 0.8,
                              metadata=seed % 3 == 0)
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
        compare(stream, world.Settings(metadata=True), most)


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


def test_c_reads_transaction_metadata_as_well() -> None:
    batch, outcome = usual_batch(world.Settings(metadata=True))
    assert (len(batch), batch.foreign_count()) == (56, 0)
    messages = outcome.converter.encode(batch, world.NOW_US, None)
    assert [messages.outgoing(place).topic for place in (0, 1, 55)] == ["srv.transaction", "srv.public.orders",
                                                                        "srv.transaction"]


def test_an_update_that_changes_nothing_is_left_out_in_c() -> None:
    batch, outcome = usual_batch(world.Settings(unchanged=True))
    assert (len(batch), batch.foreign_count(), outcome.reader.emitter.filtered) == (53, 0, 1)


def test_only_updates_that_change_the_key_are_read_one_by_one() -> None:
    name, columns, key = world.TABLES[2]
    bodies = [frames.begin(2000, 7), frames.relation(2, name, [(each, 25, each in key) for each in columns])]
    for number in range(20):
        row = str(number), "note", "7"
        bodies += [frames.insert(2, *row), frames.update(2, f"1{number}", *row[1:], old=row)]
    outcome = world.Outcome(world.Settings())
    changes = native_changes(outcome.reader)
    assert changes is not None
    stream = [frames.xlog(1000 + number, body) for number, body in enumerate(bodies)]
    _, _, batch = changes.run(stream, 0, 1000, 1 << 20)
    assert (len(batch), batch.foreign_count()) == (20 + 60, 60)


@pytest.mark.parametrize("count", [1, 13, 40, 300])
def test_the_end_of_a_transaction_names_its_tables_in_javas_order(count: int) -> None:
    names = [f"t{number}" for number in range(count)]
    bodies = [frames.begin(2000, 7), *(frames.relation(10 + number, name, [("note", 25, False)])
                                       for number, name in enumerate(names))]
    bodies += [frames.insert(10 + number, "x") for number in random.Random(count).choices(range(count), k=3 * count)]
    bodies.append(frames.commit(2000, 2010))
    compare([frames.xlog(1000 + number, body) for number, body in enumerate(bodies)], world.Settings(metadata=True), 50)


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
