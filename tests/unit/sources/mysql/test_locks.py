"""Waiting for tables that other sessions have locked."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.errors import SourceConnectionError
from cdc.core.table import TableId
from cdc.sources.mysql import locks
from cdc.sources.mysql.locks import LockWaits
from cdc.sources.shared.warnings import Warnings

ID = TableId("d", "", "t")


class Asking:
    """Locked so many times; notes the warnings at each question."""

    def __init__(self, warnings: Warnings, locked: int, errno: int = 1205) -> None:
        self.warnings = warnings
        self.locked = locked
        self.errno = errno
        self.seen: list[list[str]] = []

    def __call__(self) -> str:
        self.seen.append([f"{each.kind} {each.about}" for each in self.warnings.active()])
        if len(self.seen) <= self.locked:
            raise SourceConnectionError("no", errno=self.errno)
        return "answer"


def test_it_asks_again_and_tells_while_it_waits() -> None:
    warnings = Warnings()
    ask = Asking(warnings, 2)
    assert LockWaits(warnings, 60).patiently(ID, ask) == "answer"
    assert ask.seen == [[], ["table_locked d.t"], ["table_locked d.t"]]
    assert list(warnings.active()) == []


def test_an_error_of_another_kind_is_not_waited_for() -> None:
    warnings = Warnings()
    ask = Asking(warnings, 1, errno=2013)
    with pytest.raises(SourceConnectionError, match="no"):
        LockWaits(warnings, 60).patiently(ID, ask)
    assert len(ask.seen) == 1


def test_at_the_limit_the_error_names_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1000, 20))
    monkeypatch.setattr(locks, "time", type("Clock", (), {"monotonic": staticmethod(lambda: float(next(now)))}))
    warnings = Warnings()
    ask: Any = Asking(warnings, 100)
    with pytest.raises(SourceConnectionError, match=r"locked table d\.t for 60 s") as caught:
        LockWaits(warnings, 60).patiently(ID, ask)
    assert "SHOW PROCESSLIST" in str(caught.value.hint)
    assert list(warnings.active()) == []
    assert LockWaits(warnings, 60).patiently(ID, Asking(warnings, 9), limited=False) == "answer"
    assert LockWaits(warnings, 0).patiently(ID, Asking(warnings, 9)) == "answer"
