"""The watch on whom the server lets us wait for."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from cdc.sources.postgres import waits
from cdc.sources.shared.warnings import Warnings


def test_a_look_that_fails_in_any_way_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a user's name"), ["process 5"]]
    conn = SimpleNamespace(closed=False, broken=False, close=lambda: None)

    def blockers(*_: object) -> list[str]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    monkeypatch.setattr(waits, "_LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(waits, "connect", lambda config: conn)
    monkeypatch.setattr(waits, "blockers", blockers)
    warnings = Warnings()
    config: Any = None
    with waits.WaitWatch(config, 9, "snapshot", warnings):
        until = time.monotonic() + 10
        while not warnings.active() and time.monotonic() < until:
            time.sleep(0.01)
        assert [each.about for each in warnings.active()] == ["snapshot"]
    assert not warnings.active()
