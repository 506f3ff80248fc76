"""cdc/show/render.py."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cdc.show.render import UNAVAILABLE, cell, render_drop, render_event, shown

ANSI = re.compile(r"\x1b\[[0-9;]*m")
SOURCE = {"schema": "public", "table": "orders", "ts_ms": 1_700_000_000_000}


def envelope(op: str, before: Any, after: Any, **more: Any) -> dict[str, Any]:
    return {"op": op, "before": before, "after": after, "source": SOURCE, "ts_ms": 1_700_000_000_031, **more}


def line(value: Any, key: Any = None) -> str:
    return render_event("srv.public.orders", key, value, color=False)


def test_an_insert_is_one_plain_line_off_a_terminal() -> None:
    assert line(envelope("c", None, {"id": 1, "name": "Ann", "note": None, "ok": True, "n": 1.5}), {"id": 1}) == (
        '2023-11-14T22:13:20.000Z insert   public.orders id=1 name="Ann" note=null ok=true n=1.5 lag=31ms')


def test_a_time_without_fractions_bounds_the_lag() -> None:
    for connector, ts_ms, wanted in (("mariadb", 1_700_000_000_000, "lag≤31ms"),
                                     ("mysql", 1_700_000_000_021, "lag=10ms")):
        source = {**SOURCE, "connector": connector, "ts_ms": ts_ms}
        assert line({**envelope("c", None, {"id": 1}), "source": source}).endswith(wanted)


def test_an_update_shows_what_changed() -> None:
    before = {"id": 1, "status": "new", "total": "1.00", "big": UNAVAILABLE}
    after = {"id": 1, "status": "paid", "total": "1.00", "big": "seen now"}
    assert line(envelope("u", before, after), {"id": 1}).endswith(
        'id=1 status: "new" → "paid" big: (not logged) → "seen now" (2 unchanged) lag=31ms')


def test_an_unchanged_large_value_is_no_change() -> None:
    text = line(envelope("u", {"id": 1, "big": "x", "a": 1}, {"id": 1, "big": UNAVAILABLE, "a": 2}))
    assert "big" not in text
    assert "a: 1 → 2" in text


def test_an_update_without_old_row_shows_the_new_one() -> None:
    text = line(envelope("u", None, {"id": 1, "status": "paid", "big": UNAVAILABLE}), {"id": 1})
    assert 'status="paid" big=(unchanged)' in text


def test_a_partial_old_row_is_compared_as_far_as_it_goes() -> None:
    assert "id: 1 → 2 (1 unchanged)" in line(envelope("u", {"id": 1}, {"id": 2, "a": 5}), {"id": 2})


@pytest.mark.parametrize(("value", "word"), [
    (envelope("d", {"id": 1}, None), "delete"), (envelope("r", None, {"id": 1}), "read"),
    (envelope("t", None, None), "truncate"), (envelope("?", None, None), "record"),
    ({"op": "m", "source": {}, "message": {"prefix": "p", "content": "AA=="}}, "message"),
    (None, "tombstone"), ({"ts_ms": 5}, "record"), ("text", "record"), ([1], "record"), (5, "record"),
])
@pytest.mark.parametrize("color", [True, False])
def test_every_kind_of_record_can_be_shown(value: Any, word: str, color: bool) -> None:
    assert word in ANSI.sub("", render_event("t", None, value, color))


@pytest.mark.parametrize("value", [
    {"op": "c"}, {"op": None, "source": 5, "ts_ms": "x", "before": 1, "after": [2]},
    {"op": "u", "before": {"a": 1}, "after": None}, {"op": "c", "source": {"ts_ms": 10**30}, "after": {}},
    {"op": "m"}, {"op": ["c"], "source": {"table": None}},
])
@pytest.mark.parametrize("color", [True, False])
def test_a_strange_envelope_is_shown_as_far_as_it_goes(value: Any, color: bool) -> None:
    assert render_event("t", "key", value, color)


HOSTILE = "a\x1b[2J\x1b]0;x\x07\r\n\x9b31m\u202eb\u2066\u200b\ud800\x00[bold red]"


@pytest.mark.parametrize("color", [True, False])
def test_hostile_text_cannot_reach_the_terminal(color: bool) -> None:
    row = {"id": HOSTILE, HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]}
    source = {"schema": HOSTILE, "table": HOSTILE, "ts_ms": 1}
    texts = [render_event(HOSTILE, {HOSTILE: HOSTILE}, {"op": "u", "before": row, "after": {**row, "id": "x"},
                                                        "source": source}, color),
             render_event(HOSTILE, {"id": HOSTILE}, {"op": "c", "after": row, "source": source}, color),
             render_event(HOSTILE, HOSTILE, HOSTILE, color), render_event(HOSTILE, None, {HOSTILE: HOSTILE}, color),
             render_event(HOSTILE, [HOSTILE], None, color),
             render_event(HOSTILE, HOSTILE, {"op": HOSTILE, "after": row}, color)]
    for text in texts:
        rest = ANSI.sub("", text)
        assert all(char.isprintable() or char == "\n" for char in rest)
        rest.encode()
        assert color or "\n" not in text
        assert "[bold red]" in rest


def test_no_color_means_no_escape_at_all() -> None:
    assert "\x1b" not in line(envelope("u", {"a": 1}, {"a": 2}))


def test_long_values_are_cut_with_their_size() -> None:
    assert cell("x" * 100) == '"' + "x" * 60 + '…(+40)"'
    assert len(cell({"a": "y" * 10_000})) < 200


def test_wide_rows_are_wrapped_on_a_terminal() -> None:
    row = {f"column_{number}": number for number in range(40)}
    lines = ANSI.sub("", render_event("t", None, envelope("c", None, row), color=True, width=80)).splitlines()
    assert len(lines) > 5
    assert all(len(text) <= 80 for text in lines)
    assert all(text.startswith(" " * 14) for text in lines[1:])


def test_dropped_events_are_counted() -> None:
    assert "1 event not shown" in render_drop(1, color=False)
    assert "2 events not shown" in render_drop(2, color=False)


def test_printable_text_of_any_language_stays() -> None:
    assert shown("Zoë 漢字 🙂 עברית") == "Zoë 漢字 🙂 עברית"
