"""Events as text for people: `cdc tail` and `cdc demo`.

On a terminal an event takes a few coloured lines, with what an update changed; elsewhere one plain line. Control
characters, escape sequences and direction marks in the data are spelled out, so that a row cannot control the terminal
that shows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

Event = Mapping[str, Any]

UNAVAILABLE: Final = "__debezium_unavailable_value"
"""Debezium's default placeholder for a large value that the log left out because it did not change."""

_RESET, _DIM, _BOLD = "\x1b[0m", "\x1b[2m", "\x1b[1m"
_RED, _GREEN, _YELLOW, _BLUE, _MAGENTA, _CYAN = (f"\x1b[{code}m" for code in range(31, 37))
_CELL_CHARS = 60
_SHOWN_CHARS = 4000


class _Op(NamedTuple):
    word: str
    color: str


OPS: Final = {
    "c": _Op("insert", _GREEN), "u": _Op("update", _YELLOW), "d": _Op("delete", _RED), "r": _Op("read", _CYAN),
    "t": _Op("truncate", _MAGENTA), "m": _Op("message", _BLUE),
}
_TOMBSTONE = _Op("tombstone", _DIM)
_OTHER = _Op("record", _BLUE)


class _Paint:
    """Puts colour codes around text, if *color* is set."""

    def __init__(self, color: bool) -> None:
        self._color = color

    def __call__(self, text: str, *codes: str) -> str:
        return f"{''.join(codes)}{text}{_RESET}" if self._color and text else text


def render_event(topic: str, key: Any, value: Any, color: bool, *, width: int = 100) -> str:
    """One event as text without a final newline. *key* and *value* are plain data, as `show.plain` makes them.

    With *color* the text has several lines of up to about *width* characters; without, it is a single line.
    """
    paint = _Paint(color)
    if not isinstance(value, Mapping) or "op" not in value:
        return _other(topic, key, value, paint)
    op = OPS.get(str(value["op"]), _OTHER)
    head = [_clock(value, color), paint(f"{op.word:<8}", op.color, _BOLD), paint(_table(topic, value), _BOLD),
            paint(_pairs(key), _BOLD) if key else "", paint(_lag(value), _DIM)]
    body = _changes(value, key, paint)
    if not color:
        return " ".join(part for part in (*head[:4], *body, head[4]) if part).rstrip()
    return "\n".join(("  ".join(part for part in head if part), *_wrapped(body, width, " " * 14)))


def render_drop(count: int, color: bool) -> str:
    """The line that replaces *count* events, which were not shown because the reader was too slow."""
    return _Paint(color)(f"… {count} event{'' if count == 1 else 's'} not shown: they came faster than they were read",
                         _DIM)


def shown(text: str) -> str:
    """*text* with every character spelled out that a terminal does not print."""
    return "".join(char if char.isprintable() else _spelled(char) for char in text)


def _spelled(char: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char) or char.encode("unicode_escape").decode("ascii")


def cell(value: Any) -> str:
    """One value as text, cut to a readable length."""
    if value is None:
        return "null"
    if isinstance(value, str):
        text = value if len(value) <= _CELL_CHARS else f"{value[:_CELL_CHARS]}…(+{len(value) - _CELL_CHARS})"
        return f'"{shown(text)}"'
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    text = json.dumps(value, ensure_ascii=False, default=str)
    return shown(text if len(text) <= _CELL_CHARS * 2 else text[: _CELL_CHARS * 2] + "…")


def _pairs(row: Any) -> str:
    if isinstance(row, Mapping):
        return " ".join(f"{shown(str(name))}={cell(value)}" for name, value in row.items())
    return cell(row)


def _other(topic: str, key: Any, value: Any, paint: _Paint) -> str:
    """An event without envelope: a tombstone, a flattened row, a heartbeat."""
    op = _TOMBSTONE if value is None else _OTHER
    text = "" if value is None else _pairs(value)[:_SHOWN_CHARS]
    parts = (paint(f"{op.word:<9}", op.color), paint(shown(topic), _BOLD), _pairs(key) if key is not None else "", text)
    return "  ".join(part for part in parts if part)


def _clock(value: Event, short: bool) -> str:
    """When the change was committed: local time of day on a terminal, full UTC elsewhere."""
    ms = _number(_source(value).get("ts_ms")) or _number(value.get("ts_ms"))
    try:
        moment = datetime.fromtimestamp((ms or 0) / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return "?"
    if short:
        return moment.astimezone().strftime("%H:%M:%S.") + f"{moment.microsecond // 1000:03}"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _lag(value: Event) -> str:
    """Time from the commit in the database to the event, by two clocks."""
    done, source = _number(value.get("ts_ms")), _number(_source(value).get("ts_ms"))
    if not done or not source:
        return ""
    ms = max(0, done - source)
    sign = "≤" if in_whole_seconds(_source(value)) else "="
    return f"lag{sign}{ms:.0f}ms" if ms < 10_000 else f"lag{sign}{ms / 1000:.1f}s"


def in_whole_seconds(source: Mapping[str, Any]) -> bool:
    """Whether the time in a source block has whole seconds only, as in MariaDB's log and in MySQL's snapshots."""
    return source.get("connector") in ("mysql", "mariadb") and not (_number(source.get("ts_ms")) or 0) % 1000


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _source(value: Event) -> Event:
    source = value.get("source")
    return source if isinstance(source, Mapping) else {}


def _table(topic: str, value: Event) -> str:
    source = _source(value)
    parts = [str(part) for part in (source.get("schema") or source.get("db"), source.get("table")) if part]
    return shown(".".join(parts) if source.get("table") else topic)


def _changes(value: Event, key: Any, paint: _Paint) -> list[str]:
    before, after = _row(value.get("before")), _row(value.get("after"))
    if value["op"] == "m":
        return [_pairs(value.get("message"))]
    if value["op"] == "u" and before:
        return _differences(before, after, paint)
    if value["op"] == "d":
        return _cells(before, key, paint, _RED)
    return _cells(after, key, paint, OPS.get(str(value["op"]), _OTHER).color)


def _row(row: Any) -> Event:
    return row if isinstance(row, Mapping) else {}


def _cells(row: Event, key: Any, paint: _Paint, color: str) -> list[str]:
    known = _row(key)
    return [f"{paint(shown(str(name)), _DIM)}={_value(value, paint, color)}"
            for name, value in row.items() if name not in known]


def _value(value: Any, paint: _Paint, color: str) -> str:
    return paint("(unchanged)", _DIM) if value == UNAVAILABLE else paint(cell(value), color)


def _differences(before: Event, after: Event, paint: _Paint) -> list[str]:
    """The columns whose values changed, then the number of the others."""
    found: list[str] = []
    for name, new in after.items():
        if name in before and new != UNAVAILABLE and before[name] != new:
            old = "(not logged)" if before[name] == UNAVAILABLE else cell(before[name])
            found.append(f"{paint(shown(str(name)), _BOLD)}: {paint(old, _RED)} {paint('→', _DIM)} "
                         f"{paint(cell(new), _GREEN)}")
    same = len(after) - len(found)
    return [*found, paint(f"({same} unchanged)", _DIM)] if same else found


def _wrapped(parts: Iterable[str], width: int, indent: str) -> list[str]:
    """*parts*, two spaces apart, on lines of up to *width* visible characters. A longer part has its own line."""
    lines: list[str] = []
    used = 0
    for part in parts:
        size = _visible(part)
        if lines and used + 2 + size <= width:
            lines[-1] += "  " + part
            used += 2 + size
        else:
            lines.append(indent + part)
            used = len(indent) + size
    return lines


def _visible(text: str) -> int:
    size, inside = 0, False
    for char in text:
        if inside:
            inside = char != "m"
        elif char == "\x1b":
            inside = True
        else:
            size += 1
    return size
