"""`cdc top`: what the connectors of a worker do, again and again."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from cdc.cli.interrupts import noted_interrupts
from cdc.cli.output import OK, printable, terminal_width
from cdc.cli.table import table

from .options import NAMES, of_worker

if TYPE_CHECKING:
    from cdc.client.rest import Client

    from .numbers import Numbers

_MOST_TABLES: Final = 10
_FIRST_S: Final = 0.5
"""On a terminal, the first look comes so soon."""
_ENTER, _LEAVE, _REDRAW = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l", "\x1b[H\x1b[J"


@click.command(short_help="Watch rates, lag and snapshots of a worker's connectors.")
@of_worker
@NAMES
@click.option("--interval", "interval_s", type=click.FloatRange(min=0.2), default=2.0, show_default=True,
              help="Seconds between two looks.")
@click.option("-n", "--count", type=click.IntRange(min=1), help="End after so many looks.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each connector and look.")
def top(client: Client, names: Sequence[str], interval_s: float, count: int | None, as_json: bool) -> int:
    """Watch the connectors of a worker, or those named, until Ctrl-C: rates, lag, what is in flight, snapshots, and the
    tables that change most. Off a terminal, one line for each connector and look.

    \b
    cdc top
    cdc top shop --interval 10 --json
    """
    from .numbers import numbers

    live = sys.stdout.isatty() and not as_json
    before, then, looks = numbers(client), time.monotonic(), 0
    try:
        if live:
            click.echo(_ENTER, nl=False)
        with noted_interrupts() as check:
            while count is None or looks < count:
                check()
                time.sleep(interval_s if looks or not live else min(interval_s, _FIRST_S))
                after, now = numbers(client), time.monotonic()
                shown = [name for name in after.connectors() if not names or name in names]
                rows = [row_of(name, before, after, now - then) for name in shown]
                for row in rows:
                    row["snapshot"] = row["snapshot"] or running_copy(client, row["connector"])
                if live:
                    tables = busiest(shown, before, after, now - then)
                    click.echo(_REDRAW + screen(client.url, rows, tables), nl=False)
                else:
                    _print(rows, as_json)
                before, then, looks = after, now, looks + 1
    except KeyboardInterrupt:
        pass
    finally:
        if live:
            click.echo(_LEAVE, nl=False)
    return OK


def row_of(name: str, before: Numbers, after: Numbers, seconds: float) -> dict[str, Any]:
    """What `--json` prints of one connector: rates a second, as measured between two looks."""
    def rate(metric: str) -> float:
        return round(max(0.0, (after.sum(metric, name) or 0.0) - (before.sum(metric, name) or 0.0)) / seconds, 1)

    tables, left = after.sum("cdc_snapshot_tables", name), after.sum("cdc_snapshot_tables_remaining", name)
    return {
        "connector": name, "state": after.state(name), "changes_per_s": rate("cdc_events_total"),
        "rows_per_s": rate("cdc_snapshot_rows_total"), "sent_per_s": rate("cdc_records_sent_total"),
        "bytes_per_s": rate("cdc_sink_bytes_total"), "lag_s": round(after.most("cdc_lag_seconds", name) or 0.0, 3),
        "inflight": int(after.sum("cdc_inflight_records", name) or 0),
        "errors": int(after.sum("cdc_errors_total", name) or 0),
        "snapshot": f"{tables - (left or 0):.0f}/{tables:.0f} tables" if tables else "",
    }


def running_copy(client: Client, name: str) -> str:
    """The table that a snapshot beside the stream copies now, and its rows so far; empty without one."""
    found = client.find("connectors", name, "snapshots")
    for snapshot in found["snapshots"] if isinstance(found, dict) else ():
        for copy in snapshot["tables"] if snapshot["state"] in ("running", "paused") else ():
            if copy["state"] in ("running", "waiting"):
                paused = ", paused" if snapshot["state"] == "paused" else ""
                return f"{copy['name']} {copy['rows']:,} rows{paused}"
    return ""


def busiest(connectors: Sequence[str], before: Numbers, after: Numbers, seconds: float) -> list[tuple[str, str, float]]:
    """Connector, table and changes and rows a second of the tables that moved, the busiest first."""
    counts: dict[tuple[str, str], float] = {}
    for numbers, sign in ((after, 1), (before, -1)):
        for metric in ("cdc_events_total", "cdc_snapshot_rows_total"):
            for each in numbers.of(metric):
                if each.labels.get("connector") in connectors:
                    place = each.labels["connector"], each.labels.get("table", "")
                    counts[place] = counts.get(place, 0.0) + sign * each.value
    moved = sorted(((*place, number / seconds) for place, number in counts.items() if number > 0),
                   key=lambda each: -each[2])
    return moved[:_MOST_TABLES]


def screen(url: str, rows: Sequence[Mapping[str, Any]], tables: Sequence[tuple[str, str, float]]) -> str:
    """One look as a terminal shows it."""
    head = f"cdc top · {printable(url)} · {time.strftime('%H:%M:%S')} · Ctrl-C ends"
    lines = [head, "", *table(
        ("CONNECTOR", "STATE", "CHANGES/S", "ROWS/S", "SENT/S", "KB/S", "LAG S", "IN FLIGHT", "ERRORS", "SNAPSHOT"),
        [(row["connector"], row["state"], f"{row['changes_per_s']:,.1f}", f"{row['rows_per_s']:,.0f}",
          f"{row['sent_per_s']:,.1f}", f"{row['bytes_per_s'] / 1000:,.1f}", f"{row['lag_s']:,.1f}",
          f"{row['inflight']:,}", row["errors"], row["snapshot"]) for row in rows], terminal_width())]
    if not rows:
        lines.append("No connector has a task.")
    if tables:
        lines += ["", *table(("CONNECTOR", "TABLE", "CHANGES AND ROWS/S"), [
            (connector, name, f"{rate:,.1f}") for connector, name, rate in tables], terminal_width())]
    return "\n".join(lines) + "\n"


def _print(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    at = time.strftime("%H:%M:%S")
    for row in rows:
        if as_json:
            text = json.dumps({"at": at, **row}, ensure_ascii=False)
        else:
            snapshot = f", snapshot {row['snapshot']}" if row["snapshot"] else ""
            text = printable(
                f"{at} {row['connector']} {row['state']}: {row['changes_per_s']:,.1f} changes/s, "
                f"{row['rows_per_s']:,.0f} rows/s, {row['sent_per_s']:,.1f} sent/s, lag {row['lag_s']:,.1f} s, "
                f"{row['inflight']:,} in flight, {row['errors']} errors{snapshot}")
        click.echo(text)
        sys.stdout.flush()
