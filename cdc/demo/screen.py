"""The demo's output: a head, the events, and on a terminal a status line below them."""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cdc.core.errors import SinkRefusedError
from cdc.core.interfaces import Outgoing
from cdc.show.render import in_whole_seconds, render_event, shown

SNAPSHOT_ROWS_SHOWN: Final = 3
_RATE_WINDOW_S: Final = 5.0
_REDRAW_S: Final = 0.25
_ERASE_LINE: Final = "\r\x1b[K"
_DIM, _BOLD, _REVERSE, _RESET = "\x1b[2m", "\x1b[1m", "\x1b[7m", "\x1b[0m"


class Screen:
    """Standard output, as text for people or as JSON lines. Once *stop* is set, it does not wait for a slow reader."""

    def __init__(self, as_json: bool, stop: threading.Event) -> None:
        terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self.totals: Counter[tuple[str, str]] = Counter()
        self._as_json = as_json
        self._stop = stop
        self._color = terminal and not as_json and not os.environ.get("NO_COLOR")
        self._live = terminal and not as_json
        self._arrivals: deque[float] = deque()
        self._lag_ms: float | None = None
        self._lag_sign = ""
        self._reading: tuple[str, int] = ("", 0)
        self._drawn_at = 0.0
        self._first_at = 0.0
        self._fd = sys.stdout.fileno()

    @property
    def changes(self) -> int:
        """The number of events shown so far, without rows of the snapshot."""
        return sum(count for (_, op), count in self.totals.items() if op != "r")

    def head(self, lines: Sequence[tuple[str, str]]) -> None:
        """Show facts by name. With JSON lines they go to standard error, as everything that is no event."""
        width = max(len(name) for name, _ in lines)
        text = "\n".join(f"{self._paint(f'{name:<{width}}', _DIM)}  {shown(what)}" for name, what in lines)
        self.say(f"{text}\n")

    def say(self, text: str) -> None:
        """A line that is not an event."""
        if self._as_json:
            print(text, file=sys.stderr, flush=True)
        else:
            self._lines(text)

    def event(self, outgoing: Outgoing) -> None:
        """Show one event, as the pipeline's JSON converter wrote it."""
        key, value = _decoded(outgoing.key), _decoded(outgoing.value)
        op = str(value.get("op", "")) if isinstance(value, Mapping) else ""
        self._count(outgoing.table or outgoing.topic, op, value)
        if self._as_json:
            self._write(json.dumps({"topic": outgoing.topic, "key": key, "value": value}, ensure_ascii=False) + "\n")
        elif self._wanted(outgoing.topic, op):
            self._lines(render_event(outgoing.topic, key, value, self._color, width=self._width()))

    def tick(self) -> None:
        """Draw the status line again if it is due."""
        if self._live and time.monotonic() - self._drawn_at >= _REDRAW_S:
            self._write(_ERASE_LINE + self._status())

    def close(self) -> None:
        """Remove the status line; the next output starts on a new line."""
        if self._live:
            self._live = False
            self._write(_ERASE_LINE)

    def summary(self, seconds: float) -> str:
        parts = Counter(dict.fromkeys("cud", 0))
        for (_, op), count in self.totals.items():
            parts[op] += count
        return (f"{self.changes} changes in {seconds:.1f} s: {parts['c']} inserts, {parts['u']} updates, "
                f"{parts['d']} deletes; {parts['r']} rows read by the snapshot.")

    def _count(self, table: str, op: str, value: Any) -> None:
        self.totals[table, op] += 1
        if op != "r":
            self._arrivals.append(time.monotonic())
            self._first_at = self._first_at or self._arrivals[0]
            source = value["source"] if isinstance(value, Mapping) and "source" in value else {}
            done_us = source.get("ts_us")
            self._lag_ms = None if done_us is None else max(0.0, time.time() * 1000 - done_us / 1000)
            self._lag_sign = "≤ " if in_whole_seconds(source) else ""

    def _wanted(self, topic: str, op: str) -> bool:
        """Shows the first rows of each table of a snapshot, and counts the others. A snapshot comes table by table."""
        table, count = self._reading
        if count and (op != "r" or topic != table):
            self._reading = ("", 0)
            if count > SNAPSHOT_ROWS_SHOWN:
                more = f"… and {count - SNAPSHOT_ROWS_SHOWN} more rows of {shown(table)}, {count} in all"
                self._lines(self._paint(more, _DIM))
        if op != "r":
            return True
        count = self._reading[1] + 1
        self._reading = (topic, count)
        return count <= SNAPSHOT_ROWS_SHOWN

    def _status(self) -> str:
        self._drawn_at = now = time.monotonic()
        while self._arrivals and self._arrivals[0] < now - _RATE_WINDOW_S:
            self._arrivals.popleft()
        tables: Counter[str] = Counter()
        for (table, op), count in self.totals.items():
            if op != "r":
                tables[table] += count
        lag = "" if self._lag_ms is None else f" · lag {self._lag_sign}{self._lag_ms:.0f} ms"
        counts = " ".join(f"{shown(table)} {count}" for table, count in sorted(tables.items()))
        window = min(_RATE_WINDOW_S, max(1.0, now - self._first_at))
        text = f" {len(self._arrivals) / window:.1f} events/s{lag} · {counts} · Ctrl-C stops "
        return self._paint(text[: self._width() - 1], _REVERSE)

    def _lines(self, text: str) -> None:
        if self._live:
            self._write(f"{_ERASE_LINE}{text}\n{self._status()}")
        else:
            self._write(f"{text}\n")

    def _paint(self, text: str, code: str) -> str:
        return f"{code}{text}{_RESET}" if self._color else text

    def _width(self) -> int:
        return max(40, shutil.get_terminal_size((100, 24)).columns)

    def _write(self, text: str) -> None:
        """Write everything, unless the reader takes nothing and the demo stops.

        Raises BrokenPipeError if the reader (for example a terminal) has closed, and SinkRefusedError.
        """
        data = text.encode("utf-8", "backslashreplace")
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        while data:
            if poller.poll(100):
                data = data[self._written(data[: select.PIPE_BUF]) :]
            elif self._stop.is_set():
                return

    def _written(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            if exc.errno in (errno.EPIPE, errno.EIO):
                raise BrokenPipeError from exc
            raise SinkRefusedError(f"Standard output cannot be written: {exc.strerror}.") from exc


def _decoded(data: bytes | None) -> Any:
    return None if data is None else json.loads(data)
