"""GIVEN a table that is copied while it is written to, WHEN the process is killed again and again, THEN the replayed
topic is the table, rows that were deleted meanwhile included, and each start goes on where the last one was.

How many rows and kills: tests/fault/copied.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cdc.sources.snapshot.initial import MOST_AHEAD
from cdc.sources.snapshot.progress import CHUNK_ROWS, KEY, Progress
from tests.fault.copied import LONG, SEED, Kills, Table, Writer, await_last, fresh_table, is_the_table, repeated
from tests.fault.pipeline import Pipeline, Reader
from tests.servers.kafka import KafkaServer
from tests.servers.process import wait_until
from tests.servers.registry import RegistryServer

ROWS = 400_000 if LONG else 150_000
KILLS = 20 if LONG else 4
IN_FLIGHT = MOST_AHEAD + 1
"""Chunks: those that wait for their commit, and the one that is being read."""


_CASES = [("postgres18", 4), ("mysql", 4), ("mariadb", 1)]
_MORE = [("mariadb", 4), ("postgres18", 1), ("mysql", 1)] if LONG else []


@pytest.fixture(params=_CASES + _MORE, ids=lambda each: f"{each[0]}-{each[1]}")
def copied(request: pytest.FixtureRequest) -> Iterator[tuple[Table, int]]:
    """The table, and how many readers copy it."""
    kind, threads = request.param
    with fresh_table(request.getfixturevalue(kind), kind, ROWS) as table:
        yield table, threads


def over(offset: Mapping[str, Any]) -> bool:
    """Whether the copy is complete."""
    return bool(offset) and "snapshot" not in offset


def test_a_copy_killed_anywhere_is_completed(copied: tuple[Table, int], kafka: KafkaServer, registry: RegistryServer,
                                             topic_prefix: str, tmp_path: Path) -> None:
    print(f"CDC_TEST_SEED={SEED}")
    table, threads = copied
    topic = f"{topic_prefix}.{table.schema}.items"
    reader = Reader(kafka.bootstrap, registry.url)
    with Pipeline(tmp_path, kafka.bootstrap, registry.url, {
        **table.options(topic_prefix), "snapshot.max.threads": str(threads),
        "offset.flush.interval.ms": "60000"}) as pipeline:
        kills = Kills(pipeline, reader, topic, random.Random(SEED))
        pipeline.start()
        with Writer(table):
            for number in range(KILLS):
                if number:
                    kills.wait(2 * ROWS // KILLS, over)
                else:  # as soon as there is something to go on from: the rest takes less than a second
                    wait_until(lambda: KEY in kills.offset() or over(kills.offset()), 120, "it to progress", 0.002)
                kills.kill()
            pipeline.await_state("streaming", 120)
        await_last(table, reader, topic)
        assert pipeline.stop() == 0
    events = list(reader.events(topic))
    is_the_table(table, events)
    places = {progress.place for each in kills.committed if (progress := Progress.from_offset(each)) is not None}
    assert len(places - {""}) >= KILLS // 4, "the copy was interrupted where it had progressed, and it progressed"
    again = repeated(events, kills.ends)
    print(f"copied again after each kill: {again}, at so many places: {len(places)}")
    assert max(again) <= IN_FLIGHT * CHUNK_ROWS, "each start repeats what was in flight, and no more"
    assert sum(event.op == "r" and event.source["snapshot"] == "first" for event in events) >= 1
