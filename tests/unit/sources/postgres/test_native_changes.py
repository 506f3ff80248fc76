"""C gives what the ChangeReader and the plans in Python give: bytes, counts, positions and errors."""

from __future__ import annotations

import itertools
import random
import sys
import threading

import pytest

from cdc import native as native_room
from cdc.sources.postgres.native_changes import native_changes
from tests.unit.mutations import mutated
from tests.unit.sources.postgres import native_world as world
from tests.unit.sources.postgres import pgoutput_frames as frames
from tests.unit.sources.postgres.test_damage import by_hand, recorded

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


@pytest.mark.parametrize("stream", [recorded(), by_hand()], ids=["recorded", "by hand"])
def test_c_and_python_give_the_same_of_recorded_streams(stream: list[bytes]) -> None:
    for most in (1, 2, 100):
        compare(stream, world.Settings(), most)


def test_c_reads_nearly_all_of_a_usual_stream() -> None:
    name, columns, key = world.TABLES[1]
    usual = [world.TYPES[each][1][0] or "x" for each in columns]
    bodies = [frames.begin(2000, 7), frames.relation(1, name, [(each, 25, each in key) for each in columns]),
              *(frames.insert(1, *usual) for _ in range(50)), frames.update(1, *usual),
              frames.update(1, *usual, old=tuple(usual)), frames.delete(1, *usual, full=True),
              frames.commit(2000, 2010)]
    stream = [frames.xlog(1000 + number, body) for number, body in enumerate(bodies)]
    outcome = world.Outcome(world.Settings())
    changes = native_changes(outcome.reader)
    assert changes is not None
    _, _, batch = changes.run(stream, 0, 1000, 1 << 20)
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
