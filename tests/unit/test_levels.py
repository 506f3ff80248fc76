"""Levels of loggers while the process runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from cdc import levels
from cdc.core.errors import ConfigError


@pytest.fixture(autouse=True)
def _levels() -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in ("cdc.x", "cdc.x.y", "other")}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
    levels._changed_ms.clear()


def test_a_level_is_for_the_logger_and_all_below_it() -> None:
    assert levels.set_level("cdc.x.y", "debug") == ["cdc.x.y"]
    assert levels.set_level("cdc.x", "Warn") == ["cdc.x", "cdc.x.y"]
    assert [levels.get(name)[0] for name in ("cdc.x", "cdc.x.y")] == ["WARN", "WARN"]
    assert not logging.getLogger("cdc.x.y").isEnabledFor(logging.INFO)
    changed_ms = levels.get("cdc.x.y")[1]
    assert changed_ms is not None
    assert changed_ms > 1_700_000_000_000


@pytest.mark.parametrize(("level", "known"), [("trace", True), ("OFF", True), ("bogus", False), (1, False)])
def test_levels_are_known_by_kafka_connects_names(level: object, known: bool) -> None:
    assert levels.is_level(level) is known


def test_names_that_nobody_knows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "MOST", 1)
    levels.set_level("other", "INFO")
    with pytest.raises(ConfigError):
        levels.set_level("made.up", "INFO")
    assert "other" in levels.names()
