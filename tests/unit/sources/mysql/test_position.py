"""Stored offsets of MySQL and MariaDB that make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.errors import PositionLostError
from cdc.sources.mysql.position import MySqlPosition
from cdc.sources.mysql.witness import Seen, Witness

GOOD = {"file": "binlog.000007", "pos": 500}


def test_numbers_may_be_texts() -> None:
    found = MySqlPosition.from_offset({**GOOD, "pos": "500", "event": "2", "row": None, "ts_sec": 5})
    assert (found.pos, found.event, found.row, found.ts_sec) == (500, 2, 0, 5)


@pytest.mark.parametrize("offset", [
    {}, {"file": "binlog.000007"}, {**GOOD, "file": ""}, {**GOOD, "file": None}, {**GOOD, "file": 7},
    {**GOOD, "pos": -1}, {**GOOD, "pos": 1e300}, {**GOOD, "pos": 4.5}, {**GOOD, "pos": "1e3"}, {**GOOD, "pos": True},
    {**GOOD, "event": -3}, {**GOOD, "row": 1 << 63}, {**GOOD, "server_id": -1}, {**GOOD, "log_created": "x"},
    {**GOOD, "ts_sec": [1]},
])
def test_what_no_source_stored_is_refused(offset: dict[str, Any]) -> None:
    with pytest.raises(PositionLostError, match="reset the connector's offset"):
        MySqlPosition.from_offset(offset)


def test_where_rows_were_read_that_the_stream_has_yet_to_reach_is_kept() -> None:
    found = MySqlPosition("binlog.000007", 500, read=("binlog.000008", 4, None, "uuid"))
    again = MySqlPosition.from_offset(found.offset())
    assert again.read == found.read
    read_at = again.read_at()
    assert read_at is not None
    assert (read_at.file, read_at.pos, read_at.server_uuid) == ("binlog.000008", 4, "uuid")
    assert MySqlPosition.from_offset(GOOD).read is None


def test_the_last_gtid_is_that_of_the_open_transaction_or_of_the_newest_one() -> None:
    seen = Witness(seen=(Seen("u:9", 5), Seen("v:3", 4)))
    assert MySqlPosition("f", 4, witness=seen).last_gtid == "u:9"
    assert MySqlPosition("f", 4, witness=seen, transaction="v:4").last_gtid == "v:4"
    assert MySqlPosition("f", 4).last_gtid is None
