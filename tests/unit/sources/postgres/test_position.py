"""Positions and the offsets they are kept as, ours and Debezium's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdc.core.errors import PositionLostError
from cdc.sources.postgres.position import PostgresPosition

LSN = 24023128


@pytest.mark.parametrize("position", [
    PostgresPosition(LSN),
    PostgresPosition(LSN, commit_lsn=LSN, last_lsn=LSN, system_id="73", timeline=1),
    PostgresPosition(LSN + 500, commit_lsn=LSN, last_lsn=LSN, system_id="73", timeline=2),
    PostgresPosition(LSN, LSN + 900, 17, LSN - 5, LSN - 9, LSN + 300, ord("I"), 777, 1_700_000_000_000_000, None,
                     system_id="73", timeline=1),
    PostgresPosition(LSN, snapshot="INITIAL", last_lsn=LSN, system_id="73", timeline=1),
])
def test_offsets_round_trip(position: PostgresPosition) -> None:
    offset = json.loads(json.dumps(position.offset()))
    read = PostgresPosition.from_offset(offset)
    for name in ("end_lsn", "tx_lsn", "tx_changes", "hold_lsn", "xid", "time_us", "snapshot", "system_id", "timeline"):
        assert getattr(read, name) == getattr(position, name), name
    assert read.last_lsn == (position.last_lsn or position.end_lsn)
    if not position.snapshot:
        assert read.commit_lsn == position.commit_lsn
    assert read.skip_before_lsn == 0


def test_offsets_hold_only_what_connect_can_keep() -> None:
    offset = PostgresPosition(LSN, LSN + 1, 2, hold_lsn=5, last_kind=ord("U"), xid=3, system_id="73",
                              timeline=1).offset()
    assert all(isinstance(value, (str, int, float, bool)) for value in offset.values())
    assert offset["messageType"] == "UPDATE"


def test_held_and_unfinished_positions_confirm_less() -> None:
    assert PostgresPosition(100).confirmable() == 100
    assert PostgresPosition(100, hold_lsn=60).confirmable() == 60
    assert PostgresPosition(100, hold_lsn=160).confirmable() == 100
    assert PostgresPosition(100, snapshot="INITIAL").confirmable() == 0


DEBEZIUM = {"lsn": LSN + 40, "lsn_proc": LSN + 40, "lsn_commit": LSN, "messageType": "INSERT", "txId": 571,
            "ts_usec": 1_700_000_000_000_000}


def test_debezium_within_a_transaction() -> None:
    read = PostgresPosition.from_offset({**DEBEZIUM, "transaction_id": None})
    assert (read.end_lsn, read.xid, read.skip_before_lsn, read.commit_lsn) == (LSN, 571, LSN + 40, LSN)
    assert read.confirmable() == LSN


@pytest.mark.parametrize("behind", [0, 1, 500], ids=["at the last commit", "before it", "far before it"])
def test_debezium_within_a_transaction_that_began_before_the_last_commit_ended(behind: int) -> None:
    """Its offset after a row, as recorded: the next transaction's first row has the LSN at which the commit ends."""
    row = {**DEBEZIUM, "lsn": LSN - behind, "lsn_proc": LSN - behind}
    read = PostgresPosition.from_offset(row)
    assert (read.end_lsn, read.xid, read.skip_before_lsn, read.skip_rows) == (LSN, 571, LSN - behind, 1)
    assert PostgresPosition.from_offset({**row, "lsn_events_processed": 7}).skip_rows == 7
    assert PostgresPosition.from_offset({**row, "messageType": "BEGIN"}).skip_before_lsn == 0


def test_what_debezium_delivered_is_known_after_another_restart_too() -> None:
    read = PostgresPosition.from_offset(DEBEZIUM).on_server("73", 1)
    again = PostgresPosition.from_offset(json.loads(json.dumps(read.offset())))
    assert (again.skip_before_lsn, again.skip_rows, again.end_lsn) == (LSN + 40, 1, LSN)
    assert again.partly_delivered() == read.partly_delivered() is not None


def test_debezium_after_a_logical_message_within_a_transaction() -> None:
    """A row may follow it at its LSN, so nothing there counts as delivered."""
    read = PostgresPosition.from_offset({**DEBEZIUM, "messageType": "MESSAGE"})
    assert (read.skip_before_lsn, read.skip_rows) == (LSN + 40, 0)


def test_debezium_after_a_commit() -> None:
    read = PostgresPosition.from_offset({**DEBEZIUM, "lsn": LSN, "lsn_proc": LSN, "messageType": "COMMIT"})
    assert (read.end_lsn, read.skip_before_lsn, read.snapshot) == (LSN, 0, None)


@pytest.mark.parametrize(("flags", "complete"), [
    ({"snapshot": "INITIAL", "snapshot_completed": False, "last_snapshot_record": False}, False),
    ({"snapshot": "INITIAL", "snapshot_completed": True}, True),
    ({"snapshot": "INITIAL", "last_snapshot_record": True}, True),
    ({"snapshot": True, "last_snapshot_record": False}, False),
    ({"snapshot": True, "last_snapshot_record": True}, True),
    ({"snapshot": "true", "last_snapshot_record": "false"}, False),
    ({"snapshot": "true", "last_snapshot_record": "true"}, True),
    ({"snapshot": False}, True),
    ({"snapshot": "false"}, True),
    ({"snapshot": None}, True),
])
def test_debezium_snapshots(flags: dict[str, Any], complete: bool) -> None:
    read = PostgresPosition.from_offset({"lsn": LSN, "txId": 571, "ts_usec": 1, **flags})
    assert (read.snapshot is None) is complete
    assert (read.end_lsn, read.skip_before_lsn) == (LSN, 0)


def test_debezium_before_its_first_commit() -> None:
    read = PostgresPosition.from_offset({"lsn": LSN, "lsn_proc": LSN, "lsn_commit": None, "txId": 571})
    assert (read.end_lsn, read.skip_before_lsn) == (LSN, 0)


@pytest.mark.parametrize("offset", [{}, {"file": "binlog.1", "pos": 4}, {"lsn": "here"}, {"lsn": None},
                                    {"lsn": 1, "timeline": "x"}, {"lsn": [1]}, {"lsn": 1e300}, {"lsn": -1},
                                    {"lsn": 1.5}, {"lsn": 1 << 63}, {"lsn": True}, {"lsn": "-5"}, {"lsn": "9" * 30},
                                    {"lsn": 1, "tx_changes": -3}, {"lsn": 1, "ts_usec": 1e300},
                                    {"lsn": 1, "hold_lsn": -1}, {"lsn": 1, "lsn_commit": 1 << 64},
                                    {"lsn": 1, "txId": -1}])
def test_what_is_no_offset_is_refused_with_its_keys(offset: dict[str, Any]) -> None:
    with pytest.raises(PositionLostError, match="reset the connector's offset"):
        PostgresPosition.from_offset(offset)
