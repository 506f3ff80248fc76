"""The position that a source's batches end at while what was delivered before a restart passes by; and its end."""

from __future__ import annotations

from unittest.mock import MagicMock

import pytest

from cdc.sources.postgres.options import parse_postgres
from cdc.sources.postgres.position import PostgresPosition
from cdc.sources.postgres.source import PostgresSource
from tests.unit.sources.pgoutput_frames import begin, commit, insert, relation, xlog

GIVEN = {"name": "n", "topic.prefix": "srv", "database.hostname": "h", "database.user": "u", "database.dbname": "d",
         "table.include.list": "public.other"}
STORED = PostgresPosition(end_lsn=4000, tx_lsn=5000, tx_changes=3, last_lsn=1003, commit_lsn=4000)


@pytest.fixture
def source() -> PostgresSource:
    config, _ = parse_postgres(GIVEN)
    found = PostgresSource(config, GIVEN)
    found._origin = STORED
    found._decoder.resume(STORED.end_lsn, STORED.tx_lsn, STORED.tx_changes, STORED.commit_lsn,
                          tx_last_lsn=STORED.last_lsn)
    return found


def place(source: PostgresSource) -> tuple[int, int, int, int]:
    found = source._position()
    return found.end_lsn, found.tx_lsn, found.tx_changes, found.last_lsn


def test_a_keepalive_does_not_forget_the_delivered_part(source: PostgresSource) -> None:
    source._decoder.idle(4500)
    assert place(source) == (4500, 5000, 3, 1003)


def test_the_delivered_part_stays_until_it_is_passed_and_is_let_go_with_its_transaction(source: PostgresSource) -> None:
    seen = []
    frames = [xlog(1001, begin(5000, 9)), xlog(1001, relation(1, "t", [("id", 23, True)]))]
    frames += [xlog(1001 + number, insert(1, str(number))) for number in range(5)]
    for frame in frames:
        source._decoder.feed(frame)
        seen.append(place(source))
    assert seen[:5] == [(4000, 5000, 3, 1003)] * 5
    assert seen[5:] == [(4000, 5000, 4, 1004), (4000, 5000, 5, 1005)]
    source._decoder.feed(xlog(5000, commit(5000, 5008)))
    assert place(source)[:3] == (5008, 0, 0)
    source._decoder.idle(6000)
    assert place(source)[:3] == (6000, 0, 0)


@pytest.mark.parametrize("asked", [True, False])
def test_the_slot_is_dropped_when_a_stop_was_asked_for_and_kept_for_a_restart_after_an_error(
        asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    config, _ = parse_postgres({**GIVEN, "slot.drop.on.stop": "true"})
    source = PostgresSource(config, GIVEN)
    dropped: list[str] = []
    monkeypatch.setattr("cdc.sources.postgres.server.connect_replication", lambda _: MagicMock())
    monkeypatch.setattr("cdc.sources.postgres.server.drop_slot", lambda _, name: dropped.append(name))
    source._reader = MagicMock()
    if asked:
        source.interrupt()
    source.stop()
    assert dropped == (["debezium"] if asked else [])
