"""Positions of batches while changes that were delivered before a restart come again; and the end of a source."""

from __future__ import annotations

from unittest.mock import MagicMock

import pytest

from cdc.debezium.emit import Emitter
from cdc.sources.postgres.changes import ChangeReader
from cdc.sources.postgres.options import parse_postgres
from cdc.sources.postgres.position import PostgresPosition
from cdc.sources.postgres.relations import RelationState
from cdc.sources.postgres.source import PostgresSource
from cdc.sources.postgres.spill import Spill
from tests.unit.sources.postgres.pgoutput_frames import begin, commit, insert, relation, xlog

GIVEN = {"name": "n", "topic.prefix": "srv", "database.hostname": "h", "database.user": "u", "database.dbname": "d"}
STORED = PostgresPosition(end_lsn=4000, tx_lsn=5000, tx_changes=3, last_lsn=1003, commit_lsn=4000)


@pytest.fixture
def reader() -> ChangeReader:
    """Reads on from STORED. It captures no table."""
    emitter = Emitter(skipped=frozenset(), tombstones=True, skip_unchanged=False)
    found = ChangeReader(
        emitter=emitter, resolve=lambda relation, *_: RelationState(relation, None), relax=lambda state, _: state,
        relabel=lambda state, _: state, name_type=lambda _: None,
        events=None, spill=Spill(), transaction_metadata=False, clock_us=lambda: 0)
    found.resume(STORED)
    return found


def place(reader: ChangeReader) -> tuple[int, int, int, int]:
    found = reader.position()
    return found.end_lsn, found.tx_lsn, found.tx_changes, found.last_lsn


def test_a_keepalive_does_not_forget_the_delivered_part(reader: ChangeReader) -> None:
    reader.idle(4500)
    assert place(reader) == (4500, 5000, 3, 1003)


def test_the_delivered_part_stays_until_it_is_passed_and_is_let_go_with_its_transaction(reader: ChangeReader) -> None:
    seen = []
    frames = [xlog(1001, begin(5000, 9)), xlog(1001, relation(1, "t", [("id", 23, True)]))]
    frames += [xlog(1001 + number, insert(1, str(number))) for number in range(5)]
    for frame in frames:
        reader.feed(frame)
        seen.append(place(reader))
    assert seen[:5] == [(4000, 5000, 3, 1003)] * 5
    assert seen[5:] == [(4000, 5000, 4, 1004), (4000, 5000, 5, 1005)]
    reader.feed(xlog(5000, commit(5000, 5008)))
    assert place(reader)[:3] == (5008, 0, 0)
    reader.idle(6000)
    assert place(reader)[:3] == (6000, 0, 0)


@pytest.mark.parametrize("asked", [True, False])
def test_the_slot_is_dropped_when_a_stop_was_asked_for_and_kept_for_a_restart_after_an_error(
        asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    config, _ = parse_postgres({**GIVEN, "slot.drop.on.stop": "true"})
    source = PostgresSource(config)
    dropped: list[str] = []
    monkeypatch.setattr("cdc.sources.postgres.connection.connect_replication", lambda _: MagicMock())
    monkeypatch.setattr("cdc.sources.postgres.slots.drop_slot", lambda _, name: dropped.append(name))
    source._replication = MagicMock()
    if asked:
        source.interrupt()
    source.stop()
    assert dropped == (["debezium"] if asked else [])
