"""What the demo prints, away from a terminal."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from cdc.core.interfaces import Outgoing
from cdc.demo.screen import Screen


def outgoing(op: str, table: str, row: dict[str, Any]) -> Outgoing:
    value = {"before": None, "after": row, "op": op, "ts_ms": 2,
             "source": {"schema": "shop", "table": table, "ts_ms": 1, "ts_us": 1000}}
    return Outgoing(f"demo.shop.{table}", b'{"id":1}', json.dumps(value).encode(), -1, (), f"shop.{table}")


def test_a_snapshot_shows_first_rows_and_counts_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    screen = Screen(False, threading.Event())
    for number in range(10):
        screen.event(outgoing("r", "orders", {"id": number}))
    for number in range(2):
        screen.event(outgoing("r", "products", {"id": number}))
    screen.event(outgoing("c", "orders", {"id": 10}))
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[1] if line[0].isdigit() else line for line in lines] == [
        "read", "read", "read", "… and 7 more rows of demo.shop.orders, 10 in all", "read", "read", "insert"]
    assert screen.changes == 1
    assert "1 inserts" in screen.summary(1)
    assert "12 rows read" in screen.summary(1)


def test_json_is_every_event_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    screen = Screen(True, threading.Event())
    screen.head([("stop", "Ctrl-C")])
    for number in range(5):
        screen.event(outgoing("r", "orders", {"id": number}))
    screen.tick()
    screen.close()
    printed = capfd.readouterr()
    events = [json.loads(line) for line in printed.out.splitlines()]
    assert [event["value"]["after"]["id"] for event in events] == list(range(5))
    assert events[0]["topic"] == "demo.shop.orders"
    assert events[0]["key"] == {"id": 1}
    assert "Ctrl-C" in printed.err


def test_a_row_cannot_take_over_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    screen = Screen(False, threading.Event())
    screen.event(outgoing("c", "or\x1b[2Jders", {"note": "\x1b]0;title\x07\r\n\u202e"}))
    text = capfd.readouterr().out
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert "\u202e" not in text
