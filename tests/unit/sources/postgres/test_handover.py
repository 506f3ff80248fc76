"""Offsets of Debezium's PostgreSQL connector 3.5, as recorded in its Kafka Connect, and offsets that it is given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cdc.core.errors import ConfigError, PositionLostError
from cdc.sources.postgres.handover import given_back, taken_over
from cdc.sources.postgres.position import PostgresPosition

AFTER_SNAPSHOT = {"last_snapshot_record": True, "lsn": 28266104, "txId": 756, "ts_usec": 1796015663191359,
                  "snapshot": "INITIAL", "snapshot_completed": True}
AFTER_ROW = {"lsn_proc": 28266448, "messageType": "INSERT", "lsn_commit": 28266448, "lsn": 28266448, "txId": 758,
             "ts_usec": 1796015668261129}


def told(offset: dict[str, Any]) -> list[tuple[str, str]]:
    found = taken_over(offset)
    assert {each.about for each in found} == {"offset"}
    return [(each.level, each.text) for each in found]


def test_a_complete_snapshot_is_gone_on_from() -> None:
    (level, text), = told(AFTER_SNAPSHOT)
    assert (level, "before 0/1AF4E78 were delivered" in text) == ("info", True)


def test_within_a_transaction_it_says_which_rows_come_again() -> None:
    (level, text), = told(AFTER_ROW)
    assert level == "info"
    assert "within transaction 758" in text
    assert "0/1AF4FD0" in text
    assert "COPY" in text
    (_, text), = told({**AFTER_ROW, "lsn_events_processed": 3})
    assert "COPY" not in text


@pytest.mark.parametrize(("offset", "text"), [
    ({**AFTER_ROW, "messageType": "MESSAGE", "lsn": 28266500, "lsn_proc": 28266500}, "what has this LSN comes again"),
    ({**AFTER_ROW, "txId": None}, "does not name"),
])
def test_what_comes_again_is_a_warning(offset: dict[str, Any], text: str) -> None:
    (level, said), = told(offset)
    assert level == "warning"
    assert text in said


@pytest.mark.parametrize(("offset", "text"), [
    ({**AFTER_SNAPSHOT, "last_snapshot_record": False, "snapshot_completed": False}, "snapshot is not complete"),
    ({**AFTER_ROW, "incremental_snapshot_collections": "[{}]"}, "incremental snapshot"),
    ({"file": "binlog.000001", "pos": 4}, "none of Debezium's PostgreSQL connector. Its keys are file, pos."),
    ({}, "none of Debezium's"),
])
def test_what_is_not_continued_is_an_error(offset: dict[str, Any], text: str) -> None:
    assert any(level == "error" and text in said for level, said in told(offset))


OURS = PostgresPosition(5000, commit_lsn=4900, last_lsn=4990, last_kind=ord("C"), xid=9, time_us=77, system_id="7",
                        timeline=1, structures="x" * 100, published="{}", rows="{}")


@pytest.mark.parametrize(("position", "lsn"), [
    (OURS, 5000),
    (replace(OURS, tx_lsn=6000, tx_changes=3, last_lsn=5990, last_kind=ord("I")), 5000),
    (replace(OURS, hold_lsn=4000), 4000),
], ids=["between transactions", "within one", "one is prepared"])
def test_debezium_gets_the_place_before_which_all_was_delivered(position: PostgresPosition, lsn: int) -> None:
    found = given_back(position.offset())
    assert found == {"lsn": lsn, "lsn_proc": lsn, "lsn_commit": lsn, "messageType": "COMMIT", "ts_usec": 77}
    again = PostgresPosition.from_offset(found)
    assert (again.end_lsn, again.skip_before_lsn, again.snapshot) == (lsn, 0, None)


def test_debezium_gets_no_place_within_a_snapshot_and_none_of_another_database() -> None:
    with pytest.raises(ConfigError, match="snapshot"):
        given_back(replace(OURS, snapshot="INITIAL").offset())
    with pytest.raises(PositionLostError):
        given_back({"file": "binlog.000001", "pos": 4})
