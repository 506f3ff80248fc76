"""Stored offsets of MySQL and MariaDB that make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.errors import PositionLostError
from cdc.sources.mysql.position import MySqlPosition

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
