"""`cdc snapshot --direct`: copy tables once, without a service."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from .interrupts import handled
from .output import FAILED, FILES, INTERRUPTED, OK, SET, paragraph, print_json, printable, require_files, terminal_width
from .table import table

if TYPE_CHECKING:
    from cdc.cli.worker.progress import Screen
    from cdc.cli.worker.snapshot_state import Snapshot
    from cdc.core.table import TableId
    from cdc.direct import Copy, Direct

_POLL_S: Final = 0.2
_END_S: Final = 30.0
"""So long a copy that was asked to end may deliver what it has read."""


@click.command()
@FILES
@SET
@click.option("--table", "names", multiple=True, metavar="TABLE",
              help="The table, with or without its schema or database, in any case of letters. May be repeated. "
                   "Without it, all tables that the connector's first copy has.")
@click.option("--where", metavar="SQL", help="Only rows that fulfil this condition. Goes with --table.")
@click.option("--connector", metavar="NAME", help="The connector, if the files have several.")
@click.option("--to", metavar="FILE|FOLDER|-", help="Write to a new file (JSON lines), a folder (Avro files) or "
                                                    "standard output, and not to the configured sink.")
@click.option("--threads", type=click.IntRange(1, 64), metavar="N",
              help="Read on so many connections (snapshot.max.threads).")
@click.option("--beside-service", "beside", is_flag=True,
              help="Send to the configured sink even if a service runs this connector.")
@click.option("--dry-run", is_flag=True, help="Show the tables and their estimated rows, and read none.")
@click.option("--json", "as_json", is_flag=True, help="Print the progress as JSON lines.")
def direct(files: tuple[str, ...], flags: tuple[str, ...], names: Sequence[str], where: str | None,
           connector: str | None, to: str | None, threads: int | None, beside: bool, dry_run: bool,
           as_json: bool) -> int:
    """Copy tables once, as they are now, without a service. FILE… and --set are those of `cdc run`.

    It reads the tables in one picture of the database, with the connector's user and settings, and sends their rows as
    records with op `r`: the same topics, keys, values and schemas as those of a service. Stored offsets, replication
    slot, publication and a service that runs stay as they are. Like the first copy of a service, it holds a read lock
    for a moment on MySQL (snapshot.locking.mode), and none on PostgreSQL and MariaDB.

    In Kafka, or another configured sink, rows have no defined order relative to the changes that a service sends at the
    same time: an older row can come after a newer change. So it refuses if it sees that the connector runs; ask that
    service instead (`cdc snapshot --table`), which keeps the order. A service that is stopped meanwhile, and goes on
    later, is no problem.

    Ctrl-C ends the copy, which begins again the next time; tables that were delivered whole are named. Exit codes: 0
    all rows are delivered, 1 they are not, 2 wrong usage or configuration, 4 no such table, 5 the connector runs, or
    the file exists, 130 Ctrl-C. With --to - the progress goes to standard error.

    \b
    cdc snapshot --direct shop.properties --table ORDERS --dry-run
    cdc snapshot --direct shop.properties --table ORDERS --where "id > 5" --to orders.jsonl
    cdc snapshot --direct worker.properties shop.json --threads 4
    """
    require_files(files, flags)
    if where and not names:
        raise click.UsageError("--where goes with --table.")
    from cdc import log
    from cdc.direct import read

    log.configure("warning")
    made = read(files, flags, to)
    name, tables, estimates, matched = _chosen(made, names, connector)
    for found, asked in matched.items():
        if not as_json:
            click.echo(printable(f"{asked} is {found} of connector {name}."), err=True)
    if dry_run:
        return _show(made, name, tables, estimates, where, as_json)
    if not made.apart:
        _check_service(made, name, list(matched), where, beside)
    copy = made.copy(name, dict.fromkeys(tables, where), threads)
    return _follow(copy, made, as_json)


def _chosen(made: Direct, names: Sequence[str], connector: str | None,
            ) -> tuple[str, Sequence[TableId], Mapping[TableId, int], Mapping[str, str]]:
    """The connector, its tables to copy, the server's estimates of their rows, and which name meant which table."""
    from cdc.core.errors import StateError
    from cdc.direct import NoTablesError

    from .worker.table_names import Tables, choose, only

    asked: dict[str, Any] = {}

    def look(name: str) -> Tables:
        try:
            asked[name] = made.tables(name)
        except NoTablesError as exc:
            if connector is not None or len(made.connectors) == 1:
                raise
            raise StateError(exc.message, status=404) from exc  # the table is another connector's
        return Tables(name, [str(id) for id in asked[name].captured], [str(id) for id in asked[name].others])

    if not names:
        name = only(list(made.connectors), connector)
        found = made.tables(name)
        return name, found.copied, found.rows, {}
    chosen = choose(list(made.connectors), look, names, connector, add="Add it to table.include.list in the file.")
    found = asked[chosen.connector]
    ids = {str(id): id for id in found.captured}
    return chosen.connector, [ids[each] for each in chosen.matched], found.rows, chosen.matched


def _show(made: Direct, name: str, tables: Sequence[TableId], estimates: Mapping[TableId, int], where: str | None,
          as_json: bool) -> int:
    rows = [(str(id), estimates.get(id)) for id in tables]
    if as_json:
        print_json({"connector": name, "target": made.target, "where": where, "tables": [
            {"name": id, "estimated_rows": count} for id, count in rows]})
        return OK
    lines = table(("TABLE", "ROWS"), [(id, "?" if count is None else f"~{count:,}") for id, count in rows],
                  terminal_width())
    click.echo("\n".join(lines or ["No table would be copied."]))
    if where:
        click.echo(printable(f"Only rows with {where}"))
    click.echo(printable(f"Nothing was read. The rows would go to {made.target}."))
    return OK


def _check_service(made: Direct, name: str, names: Sequence[str], where: str | None, beside: bool) -> None:
    """Warn of a service beside the copy. Raises StateError if one certainly runs, unless *beside*."""
    from shlex import quote

    from cdc.core.errors import StateError

    service = made.service(name)
    if service.runs and not beside:
        wanted = [("--table", each) for each in names] + ([("--where", where)] if where else [])
        tables = " ".join(f"{option} {quote(text)}" for option, text in wanted) or "--table TABLE"
        raise StateError(
            f"Connector {name} runs: {service.runs}. Rows of this copy would come between its changes in no defined "
            "order, and an older row could be the last one of its key.",
            hint=f"Ask the service, which keeps the order: cdc snapshot {tables}. Or stop it first, write to files "
                 "with --to, or say --beside-service.")
    seen = f" It runs: {service.runs}." if service.runs else (
        f" The last one was {service.last}; does it still run?" if service.last else "")
    click.echo(paragraph(
        f"To {made.target}. While a service sends changes of these tables, an older row of this copy can come after a "
        f"newer change.{seen}"), err=True)


def _follow(copy: Copy, made: Direct, as_json: bool) -> int:
    """Run *copy* and show how far it is. Returns the exit code; raises what ended it."""
    import sys

    from cdc.cli.worker.progress import Screen

    stream = sys.stderr if made.to_stdout else sys.stdout
    screen = Screen(live=stream.isatty() and not as_json, as_json=as_json, connector=copy.connector,
                    err=made.to_stdout)
    with _ended_by_signals() as signals:
        try:
            copy.start()
            while not copy.ends_within(_POLL_S) and not signals:
                found = _found(copy)
                if found is not None:
                    screen.show(found)
            if signals and not copy.complete:
                screen.say("Ending …")
                copy.stop()
                copy.ends_within(_END_S)
            found = _found(copy)
            if found is not None and (as_json or copy.complete):
                screen.show(found)
        finally:
            screen.close()
    if copy.complete:
        code = screen.end(found) if found is not None else OK
        if copy.left_out:
            screen.say(f"But {copy.left_out:,} records were left out, because a transform or a converter failed "
                       "(errors.tolerance=all). With errors.log.enable=true each is logged.")
        return FAILED if copy.left_out else code
    _tell_incomplete(screen, found, made)
    if copy.error is not None:
        raise copy.error
    return INTERRUPTED if signal.SIGINT in signals else FAILED


def _found(copy: Copy) -> Snapshot | None:
    from cdc.cli.worker.snapshot_state import Snapshot

    status = copy.look()
    return None if status is None else Snapshot(status.id, status.state, [asdict(each) for each in status.tables])


def _tell_incomplete(screen: Screen, found: Snapshot | None, made: Direct) -> None:
    """What holds of a copy that was ended before its time: only what was delivered whole."""
    from .worker.table_names import listed

    tables = found.tables if found is not None else ()
    done = [each["name"] for each in tables if each["state"] == "done"]
    begun = [each for each in tables if each["state"] in ("running", "stopped")]
    parts = ["The copy is not complete."]
    if done:
        parts.append(f"Delivered whole: {listed(done)}.")
    if begun:
        parts.append(f"Only in part: {', '.join(each['name'] for each in begun)}, "
                     f"{sum(each['rows'] for each in begun):,} rows at most.")
    if not done and not begun:
        parts.append("No row was sent.")
    elif made.apart and not made.to_stdout:
        parts.append(f"{made.target} holds no more than that.")
    screen.say(f"{' '.join(parts)} A new run reads from the start.")


@contextmanager
def _ended_by_signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM; the second SIGINT is Ctrl-C as usual."""
    got: list[int] = []

    def note(number: int, _frame: Any) -> None:
        if number == signal.SIGINT and signal.SIGINT in got:
            raise KeyboardInterrupt
        got.append(number)

    with handled([signal.SIGINT, signal.SIGTERM], note):
        yield got
