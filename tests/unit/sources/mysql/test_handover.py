"""Offsets of Debezium's MySQL and MariaDB connectors 3.5, as recorded in its Kafka Connect, and offsets for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cdc.core.errors import ConfigError
from cdc.sources.mysql.handover import given_back, taken_over
from cdc.sources.mysql.position import MySqlPosition

A = "ecd7aeaa-ec7c-11f1-b35c-02fc00000001"
AFTER_SNAPSHOT = {"ts_sec": 1796015675, "file": "binlog.000001", "pos": 847, "gtids": f"{A}:1-3"}
AFTER_ROW = {"ts_sec": 1796015679, "file": "binlog.000001", "pos": 1229, "gtids": f"{A}:1-4", "row": 1, "server_id": 1,
             "event": 2}
MARIADB_AFTER_ROW = {"ts_sec": 1796015695, "file": "binlog.000001", "pos": 1084, "gtids": "0-1-4", "row": 1,
                     "server_id": 1, "event": 2}


def told(offset: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each.level, each.text) for each in taken_over(offset)]


@pytest.mark.parametrize("offset", [AFTER_ROW, MARIADB_AFTER_ROW], ids=["mysql", "mariadb"])
def test_within_a_transaction_it_says_what_was_delivered_of_it(offset: dict[str, Any]) -> None:
    place, structures = told(offset)
    assert place[0] == "info"
    assert f"within the transaction at binlog.000001:{offset['pos']}" in place[1]
    assert "2 events and 1 rows" in place[1]
    assert structures[0] == "warning"
    assert "schema history" in structures[1]


def test_between_transactions_nothing_comes_again() -> None:
    assert told(AFTER_SNAPSHOT)[0] == ("info", "all transactions before binlog.000001:847 were delivered.")


@pytest.mark.parametrize(("offset", "text"), [
    ({**AFTER_SNAPSHOT, "snapshot": "INITIAL"}, "snapshot is not complete"),
    ({**AFTER_SNAPSHOT, "snapshot": True}, "snapshot is not complete"),
    ({**AFTER_ROW, "incremental_snapshot_collections": "[{}]"}, "incremental snapshot"),
    ({"lsn": 4}, "none of Debezium's MySQL or MariaDB connector. Its keys are lsn."),
])
def test_what_is_not_continued_is_an_error(offset: dict[str, Any], text: str) -> None:
    assert any(level == "error" and text in said for level, said in told(offset))


OURS = MySqlPosition("binlog.000002", 500, f"{A}:1-9", server_id=1, ts_sec=77, server_uuid=A, log_created=5,
                     structures={"structures": "x" * 100})


@pytest.mark.parametrize("position", [OURS, replace(OURS, event=4, row=2, transaction=f"{A}:10")],
                         ids=["between transactions", "within one"])
def test_debezium_gets_the_place_where_the_transaction_begins(position: MySqlPosition) -> None:
    found = given_back(position.offset())
    assert found == {"file": "binlog.000002", "pos": 500, "gtids": f"{A}:1-9", "server_id": 1, "ts_sec": 77}
    assert MySqlPosition.from_offset(found).of_debezium


def test_debezium_gets_no_place_within_a_snapshot() -> None:
    with pytest.raises(ConfigError, match="snapshot"):
        given_back(replace(OURS, snapshot="INITIAL").offset())
