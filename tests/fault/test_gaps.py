"""GIVEN transactions being delivered, WHEN the process is killed at a named point between ack, commit and confirm,
THEN the next one begins right behind the committed position: nothing is lost, and what was committed is not repeated.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fault import gap
from tests.fault.items import Items, fresh_items
from tests.fault.pipeline import Event, PrintingPipeline, Replay
from tests.servers.process import wait_until

TRANSACTIONS = 8
ROWS = 10
GAP_AT = 34
"""Records; a transaction has more than ROWS, so this is within the third or fourth."""
LAST = 99_999_999

@pytest.fixture(name="items", params=["postgres18", "mysql", "mariadb"])
def items_fixture(request: pytest.FixtureRequest) -> Iterator[Items]:
    with fresh_items(request.getfixturevalue(request.param)) as items:
        yield items


class Run:
    """A pipeline that is to be killed at *point*, and what it left."""

    def __init__(self, pipeline: PrintingPipeline, point: str) -> None:
        self.pipeline = pipeline
        self._usual = pipeline.program
        self._journal = pipeline.folder / "journal"
        pipeline.program = [str(gap.__file__), point, str(GAP_AT), str(self._journal)]

    def start_again(self) -> None:
        """Without a gap."""
        self.pipeline.program = self._usual
        self.pipeline.start()

    def last(self, what: str) -> int:
        """How many records the last offset covers that was `tried`, `committed` or `confirmed`; 0 if there is none."""
        lines = map(json.loads, self._journal.read_text().splitlines())
        return next(reversed([line[what] for line in lines if what in line]), 0)

    def events(self) -> list[Event]:
        printed = map(json.loads, self.pipeline.printed().splitlines())
        return [Event(line["key"], line["value"]) for line in printed]


@pytest.fixture(name="pipeline")
def pipeline_fixture(items: Items, topic_prefix: str, tmp_path: Path) -> Iterator[PrintingPipeline]:
    """Commits as often as it can, within transactions too."""
    options = {"snapshot.mode": "no_data", "max.batch.size": "7", "offset.flush.interval.ms": "1"}
    with PrintingPipeline(tmp_path, {**items.options(topic_prefix), **options}) as pipeline:
        yield pipeline


def killed(pipeline: PrintingPipeline, items: Items, point: str) -> Run:
    """Returns once it is dead; all rows are written by then."""
    run = Run(pipeline, point)
    pipeline.start()
    pipeline.await_state("streaming")
    for first in range(0, TRANSACTIONS * ROWS, ROWS):
        write(items, first)
    assert pipeline.end(60) == -signal.SIGKILL, pipeline.text()
    return run


def write(items: Items, first: int) -> None:
    """One transaction: rows one by one, then an update and a delete of rows that it made."""
    with items.connect() as conn, conn.cursor() as cursor:
        cursor.execute("BEGIN")
        for number in range(first, first + ROWS):
            cursor.execute(f"INSERT INTO items (id, name) VALUES ({number}, 'row {number}')")
        cursor.execute(f"UPDATE items SET version = version + 1 WHERE id = {first + 1}")
        cursor.execute(f"DELETE FROM items WHERE id = {first + 2}")
        cursor.execute("COMMIT")


def goes_on(run: Run, items: Items) -> None:
    run.start_again()
    items.add(LAST, LAST)
    wait_until(lambda: any(event.key == {"id": LAST} for event in run.events()), 60, "the last change to be printed")
    assert run.pipeline.stop() == 0


def said(event: Event) -> tuple[Any, ...]:
    """Without the time at which we read it, which a repeat has of its own."""
    value = event.value and {name: event.value[name] for name in ("op", "before", "after", "source")}
    return event.key, value


def is_whole(items: Items, events: list[Event]) -> None:
    """Each change once, in order: the replayed *events* are the table."""
    replay = Replay("id")
    for event in events:
        replay.apply(event)
    rows = items.execute("SELECT id, name, version FROM items")
    assert {key: (row["name"], row["version"]) for key, row in replay.rows.items()} == {
        row[0]: (row[1], row[2]) for row in rows}
    assert len(events) == TRANSACTIONS * (ROWS + 3) + 1, "a transaction has an update, a delete and its tombstone"


def test_killed_after_the_ack_and_before_the_commit_repeats_from_the_position_committed_before(
        items: Items, pipeline: PrintingPipeline) -> None:
    run = killed(pipeline, items, gap.BEFORE_COMMIT)
    acked, committed = run.last("tried"), run.last("committed")
    before = run.events()
    assert committed < GAP_AT <= acked <= len(before)
    goes_on(run, items)
    after = run.events()[len(before):]
    assert list(map(said, after[:len(before) - committed])) == list(map(said, before[committed:]))
    is_whole(items, before[:committed] + after)


def test_killed_after_the_commit_and_before_the_confirm_repeats_nothing_that_was_committed(
        items: Items, pipeline: PrintingPipeline) -> None:
    run = killed(pipeline, items, gap.AFTER_COMMIT)
    committed = run.last("committed")
    before = run.events()
    assert run.last("confirmed") < GAP_AT <= committed <= len(before)
    goes_on(run, items)
    after = run.events()[len(before):]
    assert list(map(said, after[:len(before) - committed])) == list(map(said, before[committed:]))
    is_whole(items, before[:committed] + after)
