"""Events on standard output: for eyes, or as JSON lines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from contextlib import closing
from typing import Any, NamedTuple

from cdc.show.render import render_drop, render_event

from .decode import json_value


class Event(NamedTuple):
    """One record of a topic, key and value as plain data."""

    topic: str
    key: Any
    value: Any


class Dropped(NamedTuple):
    """The pipeline sent *number* events faster than we read them; they are not shown."""

    number: int


Seen = Event | Dropped


class Printer:
    """Prints events, as text or with *as_json* one JSON object a line, and stops after *limit* events."""

    def __init__(self, as_json: bool, limit: int | None) -> None:
        self._as_json = as_json
        self._left = limit
        self._color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def print_all(self, events: Generator[Seen]) -> None:
        if self._left == 0:
            return
        with closing(events):
            for event in events:
                self._print(event)
                if isinstance(event, Event) and self._left is not None:
                    self._left -= 1
                    if self._left <= 0:
                        return

    def _print(self, event: Seen) -> None:
        if isinstance(event, Dropped):
            print(render_drop(event.number, sys.stderr.isatty()), file=sys.stderr, flush=True)
        elif self._as_json:
            print(json.dumps(event._asdict(), ensure_ascii=False, default=json_value), flush=True)
        else:
            print(render_event(*event, color=self._color, width=_terminal_width()), flush=True)


def _terminal_width() -> int:
    try:
        return max(60, os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):
        return 100
