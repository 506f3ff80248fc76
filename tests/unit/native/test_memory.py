"""What C holds between batches does not depend on how large rows were."""

from __future__ import annotations

import os
import sys

import pytest

from cdc import native
from cdc.sources.postgres.native_changes import native_changes
from tests.unit.sources.postgres import native_world as world
from tests.unit.sources.postgres import pgoutput_frames as frames

pytestmark = [
    pytest.mark.skipif(native.module("pgoutput") is None, reason="no native modules were built"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]

TEXT = "x" * (8 << 20)
TABLES = 24


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("kind", ["key value", "key value protobuf"])
def test_a_wide_row_of_each_table_leaves_nothing_behind(kind: str) -> None:
    """Each table has a printer of its own."""
    name, columns, key = world.TABLES[2]
    bodies = [frames.begin(2000, 7), frames.relation(2, name, [(each, 25, each in key) for each in columns]),
              frames.insert(2, "1", TEXT, "5"), frames.commit(2000, 2010)]
    stream = [frames.xlog(1000 + number, body) for number, body in enumerate(bodies)]
    kept, before = [], 0
    for _ in range(TABLES):
        outcome = world.Outcome(world.Settings(json=kind))
        changes = native_changes(outcome.reader)
        assert changes is not None
        _, _, batch = changes.run(stream, 0, 1000, 1 << 30)
        assert batch.foreign_count() == 0
        kept.append((batch, outcome))
        assert outcome.converter.encode(batch, world.NOW_US, None).size_bytes > len(TEXT)
        before = before or resident_bytes()
    assert resident_bytes() - before < TABLES * len(TEXT) / 2
