"""Warnings that last: logged once when they begin and once when they end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc.sources.shared import warnings
from cdc.sources.shared.warnings import LOGGED_AT_ONCE, Warnings


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture(autouse=True)
def fresh_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loggers are cached at their first use; one that is not can be captured."""
    from cdc.log import get_logger

    monkeypatch.setattr(warnings, "log", get_logger(warnings.__name__))


def events(lines: list[Any]) -> list[tuple[str, str]]:
    return [(line["event"], line["about"]) for line in lines]


def test_a_warning_is_logged_when_it_begins_and_when_it_ends(logged: list[Any]) -> None:
    kept = Warnings()
    for _ in range(3):
        kept.put("table_not_published", "public.a", "why", "what to do")
    assert [(each.kind, each.about, each.text, each.hint) for each in kept.active()] == [
        ("table_not_published", "public.a", "why", "what to do")]
    kept.end("table_not_published", "public.a")
    kept.end("table_not_published", "public.a")
    assert list(kept.active()) == []
    assert events(logged) == [("table_not_published", "public.a"), ("warning_ended", "public.a")]
    assert (logged[0]["log_level"], logged[0]["why"], logged[0]["hint"]) == ("warning", "why", "what to do")


def test_what_is_shown_is_all_of_its_kind(logged: list[Any]) -> None:
    kept = Warnings()
    kept.put("other", "x", "stays")
    kept.show("unlogged", {"a": ("one", ""), "b": ("two", "")})
    kept.show("unlogged", {"b": ("two", ""), "c": ("three", "")})
    assert [(each.kind, each.about) for each in kept.active()] == [("other", "x"), ("unlogged", "b"), ("unlogged", "c")]
    assert events(logged)[1:] == [("unlogged", "a"), ("unlogged", "b"), ("unlogged", "c"), ("warning_ended", "a")]
    assert "hint" not in logged[1]


def test_what_began_is_counted_also_when_it_is_over() -> None:
    kept = Warnings()
    for _ in range(2):
        kept.put("unlogged", "a", "why")
        kept.end("unlogged", "a")
    kept.show("other", {"x": ("why", ""), "y": ("why", "")})
    assert kept.begun() == {"unlogged": 2, "other": 2}


def test_a_thousand_at_once_do_not_fill_the_log(logged: list[Any]) -> None:
    kept = Warnings()
    kept.show("unlogged", {f"t{number}": ("why", "") for number in range(1000)})
    assert (len(logged), len(kept.active())) == (LOGGED_AT_ONCE + 1, 1000)
    assert logged[-1]["about"] == f"{1000 - LOGGED_AT_ONCE} more"
    kept.show("unlogged", {})
    assert len(logged) == 2 * (LOGGED_AT_ONCE + 1)
