"""Shows how far a snapshot is until it ends: a bar on a terminal, lines elsewhere, or JSON lines."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import click

from cdc.cli.interrupts import noted_interrupts
from cdc.cli.output import FAILED, INTERRUPTED, OK, paragraph, print_json, printable, terminal_width
from cdc.client.errors import NotReadyError

from .snapshot_state import Snapshot, find

if TYPE_CHECKING:
    from cdc.client.rest import Client

_POLL_S: Final = 0.3
_BEGIN_S: Final = 20.0
"""So long a connector may take to begin a snapshot, and so long it may say nothing of one afterwards."""
_MERGED_S: Final = 5.0
"""A snapshot that is not there so long after its signal was merged with another one, which has ended."""
_LINE_S: Final = 5.0
"""Off a terminal, a line comes at most this often."""
_RATE_S: Final = 10.0
_BAR: Final = 20
_MOST_SHARE: Final = 0.99
"""Estimates may be too low, so only the end is 100 %."""
_ERASE: Final = "\r\x1b[K"


def follow(client: Client, connector: str, id: str, tables: Sequence[str], *, as_json: bool,
           estimates: Mapping[str, int] = MappingProxyType({}), others: Sequence[str] = ()) -> int:
    """Show the progress of the snapshot *id* until it ends. *estimates*: of the rows of tables. *others*: snapshots
    that copied one of *tables* when it was asked for; the worker may have left the copy to one of them.

    Returns the exit code: FAILED if a table could not be read or the snapshot was cancelled, INTERRUPTED for Ctrl-C.
    Raises NotReadyError if it does not begin, or nothing is heard of it any more.
    """
    screen = Screen(live=sys.stdout.isatty() and not as_json, as_json=as_json, connector=connector)
    begun = heard = time.monotonic()
    ids = {id, *others}
    seen = False
    try:
        with noted_interrupts() as check:
            while True:
                check()
                late = time.monotonic() - begun > _MERGED_S
                found = find(client, connector, id, tables, seen=seen, others=ids - {id} if late and not seen else ())
                if found is not None:
                    heard = time.monotonic()
                    ids.add(found.id)
                    seen = seen or found.id == id
                    found = _estimated(found, estimates)
                    screen.show(found)
                    if found.ended:
                        return screen.end(found)
                elif time.monotonic() - heard > _BEGIN_S:
                    raise _silent(connector, begun=ids != {id, *others} or seen)
                time.sleep(_POLL_S)
    except KeyboardInterrupt:
        screen.say("The snapshot goes on without this command. `cdc snapshot status` shows it, `cdc snapshot cancel` "
                   "ends it.")
        return INTERRUPTED
    finally:
        screen.close()


def _silent(connector: str, *, begun: bool) -> NotReadyError:
    hint = f"The log of the worker has the reason. Is it paused? cdc describe connector {connector}"
    if begun:
        return NotReadyError(f"Connector {connector} has said nothing of the snapshot for {_BEGIN_S:g} s.", hint=hint)
    return NotReadyError(f"Connector {connector} took the signal, but has not begun a snapshot within {_BEGIN_S:g} s.",
                         hint=hint)


def _estimated(found: Snapshot, estimates: Mapping[str, int]) -> Snapshot:
    """*found* with *estimates* where the worker has none."""
    return replace(found, tables=[
        {**each, "estimated_rows": each["estimated_rows"] or estimates.get(each["name"])} for each in found.tables])


class Screen:
    """Where the progress goes."""

    def __init__(self, *, live: bool, as_json: bool, connector: str, err: bool = False) -> None:
        """*err*: on standard error."""
        self._live = live
        self._err = err
        self._json = as_json
        self._connector = connector
        self._told: dict[str, str] = {}
        self._looks: deque[tuple[float, int]] = deque()
        self._shares: dict[str, tuple[float, float]] = {}
        self._line_at = -_LINE_S
        self._started = time.monotonic()
        self._last: Mapping[str, Any] | None = None

    def show(self, found: Snapshot) -> None:
        """One look at the snapshot."""
        now = time.monotonic()
        self._looks.append((now, found.rows))
        while now - self._looks[0][0] > _RATE_S and len(self._looks) > 2:
            self._looks.popleft()
        if self._json:
            self._print_json(found)
            return
        for table in found.tables:
            if table["state"] != self._told.get(table["name"]):
                self._told[table["name"]] = table["state"]
                if table["state"] not in ("waiting", "running"):
                    self._write(f"{printable(table['name'])}: {became(table)}")
        text = self._text(found, now)
        if self._live:
            click.echo(_ERASE + text, nl=False, err=self._err)
        elif text and not found.ended and now - self._line_at >= _LINE_S:
            self._line_at = now
            self._write(text)

    def end(self, found: Snapshot) -> int:
        """The snapshot has ended: one more line, and the exit code."""
        good = found.state == "completed" and all(each["state"] == "done" for each in found.tables)
        if not self._json:
            seconds = time.monotonic() - self._started
            said = "is complete" if good else "was cancelled" if found.state == "stopped" else (
                "has ended, and not all tables could be read")
            rate = f", {found.rows / seconds:,.0f} rows/s" if good and seconds >= 1 else ""
            self._write(f"The snapshot {said}: {found.rows:,} rows in {seconds:.1f} s{rate}.")
        return OK if good else FAILED

    def say(self, text: str) -> None:
        """A paragraph on standard error."""
        self.close()
        click.echo(paragraph(text), err=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._live:
            click.echo(_ERASE, nl=False, err=self._err)

    def _print_json(self, found: Snapshot) -> None:
        shown = {"connector": self._connector, "id": found.id, "state": found.state, "rows": found.rows,
                 "rows_per_s": round(self._rate(), 1), "tables": found.tables}
        if {**shown, "rows_per_s": 0} != {**(self._last or {}), "rows_per_s": 0}:
            print_json(shown, err=self._err)
        self._last = shown

    def _write(self, line: str) -> None:
        click.echo((_ERASE if self._live else "") + line, err=self._err)

    def _rate(self) -> float:
        (since, before), (now, rows) = self._looks[0], self._looks[-1]
        return max(0.0, (rows - before) / (now - since)) if now > since else 0.0

    def _text(self, found: Snapshot, now: float) -> str:
        """`public.orders  table 2 of 3  [####....]  40%  1,000 rows  500 rows/s  0:12 left`. Lines off a terminal have
        no bar. On a narrow terminal, bar, place and then name give way to the numbers."""
        table = found.current
        if table is None:
            return ""
        number, count = found.tables.index(table) + 1, len(found.tables)
        places = [f"table {number} of {count}", f"{number}/{count}"] if count > 1 else ["", ""]
        name, share = printable(table["name"]), share_of(table)
        if found.state in ("paused", "waiting"):
            return _joined(name, places[0], found.state)
        numbers = [f"{table['rows']:,} rows", f"{self._rate():,.0f} rows/s" if len(self._looks) > 1 else "",
                   "" if share is None else self._left(table["name"], share, now)]
        if not self._live:
            return _joined(name, places[0], _bar(share, 0), *numbers)
        return _fitting(name, [_joined(place, _bar(share, width), *numbers) for place, width in (
            (places[0], _BAR), (places[0], _BAR // 2), (places[1], _BAR // 2), (places[1], 0))])

    def _left(self, name: str, share: float, now: float) -> str:
        """The time that the table needs still, at the rate since it was seen first."""
        since, before = self._shares.setdefault(name, (now, share))
        if share - before < 0.01 or now - since < 1:
            return ""
        seconds = round((1 - share) * (now - since) / (share - before))
        hours, rest = divmod(seconds, 3600)
        clock = f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
        return f"{clock} left"


def _joined(*parts: str) -> str:
    return "  ".join(each for each in parts if each)


def _fitting(name: str, rests: Sequence[str]) -> str:
    """*name* and the first of *rests* with which it fits into the terminal; with the last one, the end of the name."""
    width = terminal_width() - 1
    for rest in rests:
        if len(text := _joined(name, rest)) <= width:
            return text
    return f"…{name[-max(1, width - len(rests[-1]) - 3):]}  {rests[-1]}"[:width]


def _bar(share: float | None, width: int) -> str:
    if share is None:
        return ""
    return f"[{'#' * round(share * width):.<{width}}] {share:4.0%}" if width else f"{share:.0%}"


def share_of(table: Mapping[str, Any]) -> float | None:
    """How much of a table is read, from 0 to 1: by the server's estimate of its rows, or by a key that is a number and
    counts from 1; None if neither is known."""
    if table["estimated_rows"]:
        return float(min(_MOST_SHARE, table["rows"] / table["estimated_rows"]))
    try:
        at, most = int(table["current_key"] or "0"), int(table["maximum_key"] or "")
    except ValueError:
        return None
    return min(_MOST_SHARE, at / most) if at >= 0 and most > 0 else None


def became(table: Mapping[str, Any]) -> str:
    """What became of a table."""
    known = {"done": "copied", "stopped": "cancelled", "NO_PRIMARY_KEY": "not copied, because it has no key",
             "SQL_EXCEPTION": "not copied, because the server refused: the log has the reason",
             "UNKNOWN_SCHEMA": "not copied, because it is not captured"}
    return f"{known.get(table['state'], table['state'])}, {table['rows']:,} rows"
