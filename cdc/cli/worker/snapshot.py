"""`cdc snapshot`: copy tables again, while the stream goes on or waits, and look after such copies."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from cdc.cli.output import OK, print_json, printable
from cdc.cli.table import show
from cdc.client.errors import NotReadyError
from cdc.core import control
from cdc.core.errors import StateError

from .options import CONNECTOR, DRY_RUN, OUTPUT, completing, of_worker
from .snapshot_state import copying, snapshots

if TYPE_CHECKING:
    from cdc.client.rest import Client

_DIRECT: Final = "--direct"
_GOING: Final = ("running", "paused", "waiting")
_ACT_S: Final = 15.0
"""So long a running connector may take to act on a signal."""


def _tables(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names for a shell that completes: none if worker and server do not answer at once."""
    from cdc.core.errors import CdcError

    from .table_names import of_connector

    try:
        client = completing(context, 1.5)
        name = context.params.get("connector")
        found = [each for known in ([name] if name else client.get("connectors"))
                 for each in of_connector(client, known).captured]
    except (CdcError, TypeError, KeyError):
        return []
    return [each for each in found if each.startswith(incomplete)]


class _Snapshot(click.Group):
    """`cdc snapshot --direct FILE…` is another command: it has files, and no subcommands."""

    def make_context(self, info_name: str | None, args: list[str], parent: click.Context | None = None,
                     **extra: Any) -> click.Context:
        if _DIRECT in args:
            from cdc.cli.direct import direct

            args.remove(_DIRECT)
            return direct.make_context(f"{info_name} {_DIRECT}", args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.group(cls=_Snapshot, invoke_without_command=True, short_help="Copy tables again while the stream goes on.")
@click.option(_DIRECT, is_flag=True, expose_value=False,
              help="Copy tables once without a running service: cdc snapshot --direct --help.")
@of_worker
@click.option("--table", "names", multiple=True, metavar="TABLE", shell_complete=_tables,
              help="The table, with or without its schema or database, in any case of letters. May be repeated.")
@click.option("--where", metavar="SQL", help="Only rows that fulfil this condition.")
@click.option("--blocking", is_flag=True, help="Let the stream wait meanwhile. It is faster, and needs no key.")
@click.option("--select", metavar="SQL", help="With --blocking and one table: the whole SELECT that gives the rows.")
@CONNECTOR
@click.option("--wait/--no-wait", default=True, help="Whether to show the progress until it ends.")
@click.option("--json", "as_json", is_flag=True, help="Print the progress as JSON lines.")
@DRY_RUN
@click.pass_context
def snapshot(context: click.Context, client: Client, names: Sequence[str], where: str | None, blocking: bool,
             select: str | None, connector: str | None, wait: bool, as_json: bool, dry_run: bool) -> int:
    """Copy the rows of captured tables into their topics again, while the stream goes on: an incremental snapshot.

    It needs a running connector, and tables with a key. Ctrl-C leaves the snapshot running. With --blocking, the
    stream waits until all rows are read, and no key is needed.

    \b
    cdc snapshot --table ORDERS
    cdc snapshot --table shop.orders --where "placed_at > '2026-01-01'" --no-wait
    cdc snapshot --table shop.events --blocking
    cdc snapshot status
    cdc snapshot --direct shop.properties --table ORDERS
    """
    if context.invoked_subcommand is not None:
        if names or where or blocking or select:
            raise click.UsageError("--table, --where, --blocking and --select do not go with cdc snapshot "
                                   f"{context.invoked_subcommand}.")
        return OK
    if not names:
        raise click.UsageError("Missing option '--table'. `cdc snapshot status` shows what runs.")
    if blocking and where:
        raise click.UsageError("--where does not go with --blocking, which takes a whole SELECT: --select.")
    if select and (not blocking or len(names) > 1):
        raise click.UsageError("--select goes with --blocking, and with one table.")
    from .progress import follow
    from .table_names import choose, of_connector

    chosen = choose(client.get("connectors"), lambda name: of_connector(client, name), names, connector)
    for table, asked in chosen.matched.items():
        if not as_json:
            click.echo(printable(f"{asked} is {table} of connector {chosen.connector}."), err=True)
    patterns = [chosen.pattern(table) for table in chosen.matched]
    data: dict[str, Any] = {"type": "blocking" if blocking else "incremental", "data-collections": patterns}
    if where or select:
        data["additional-conditions"] = [{"data-collection": each, "filter": where or select} for each in patterns]
    signal = {"id": str(uuid.uuid4()), "type": control.EXECUTE_SNAPSHOT, "data": data}
    if dry_run:
        print_json({"connector": chosen.connector, "signal": signal})
        return OK
    others = copying(client, chosen.connector, list(chosen.matched)) if wait and not blocking else []
    _signal(client, chosen.connector, signal)
    if not wait:
        if as_json:
            print_json({"connector": chosen.connector, "id": signal["id"]})
        else:
            click.echo(f"The snapshot has begun: {signal['id']}. `cdc snapshot status` shows it.")
        return OK
    return follow(client, chosen.connector, str(signal["id"]), list(chosen.matched), as_json=as_json,
                  estimates={} if where or select else chosen.rows, others=others)


@snapshot.command()
@of_worker
@CONNECTOR
@OUTPUT
def status(client: Client, connector: str | None, output: str) -> None:
    """Show the snapshots that run or wait, and the last one that has ended, of all connectors or of one.

    \b
    cdc snapshot status
    cdc snapshot status --connector shop -o json
    """
    found = [{"connector": name, **each} for name in _connectors(client, connector) for each in snapshots(client, name)]
    show(found, output, ("CONNECTOR", "KIND", "STATE", "TABLE", "COPY", "ROWS", "AT KEY", "LAST KEY"), [
        (each["connector"], each["kind"], each["state"], table["name"], table["state"], f"{table['rows']:,}",
         table["current_key"], table["maximum_key"]) for each in found for table in each["tables"]],
        "No snapshot runs.")


@snapshot.command()
@of_worker
@CONNECTOR
@DRY_RUN
def pause(client: Client, connector: str | None, dry_run: bool) -> int:
    """Let the incremental snapshot rest; the stream goes on.

    \b
    cdc snapshot pause
    """
    return _each_running(client, connector, dry_run, control.PAUSE_SNAPSHOT, "paused", ("running",),
                         lambda found: found == "paused", hint="A blocking one cannot be paused, but cancelled.")


@snapshot.command()
@of_worker
@CONNECTOR
@DRY_RUN
def resume(client: Client, connector: str | None, dry_run: bool) -> int:
    """Let a paused incremental snapshot go on from where it was.

    \b
    cdc snapshot resume
    """
    return _each_running(client, connector, dry_run, control.RESUME_SNAPSHOT, "resumed", ("paused",),
                         lambda found: found != "paused")


@snapshot.command()
@of_worker
@CONNECTOR
@DRY_RUN
def cancel(client: Client, connector: str | None, dry_run: bool) -> int:
    """End the snapshots that run or wait, apart from a first copy; rows that were sent stay sent.

    \b
    cdc snapshot cancel --connector shop
    """
    return _each_running(client, connector, dry_run, control.STOP_SNAPSHOT, "cancelled",
                         _GOING, lambda found: found not in _GOING, kinds=("incremental", "blocking"))


def _each_running(client: Client, connector: str | None, dry_run: bool, type: str, done: str, states: Sequence[str],
                  holds: Callable[[str], bool], *, kinds: Sequence[str] = ("incremental",), hint: str = "") -> int:
    """Send a signal to each connector that has a snapshot of one of *kinds* in one of *states*, for each of these
    kinds, and wait until it has acted."""
    acted = False
    for name in _connectors(client, connector):
        found = [each for each in snapshots(client, name) if each["kind"] in kinds and each["state"] in states]
        if not found:
            continue
        acted = True
        if not dry_run:
            for kind in dict.fromkeys(each["kind"] for each in found):
                _signal(client, name, {"type": type, "data": {"type": kind}})
            _wait(client, name, [each["id"] for each in found], holds)
        click.echo(f"{printable(name)}: {'would be ' if dry_run else ''}{done}")
    if not acted:
        raise StateError(f"No {' or '.join(kinds)} snapshot is {' or '.join(states)}.", status=404,
                         hint=" ".join(filter(None, ("`cdc snapshot status` shows all.", hint))))
    return OK


def _wait(client: Client, name: str, ids: Sequence[str], holds: Callable[[str], bool]) -> None:
    import time

    until = time.monotonic() + _ACT_S
    while any(each["id"] in ids and not holds(each["state"]) for each in snapshots(client, name)):
        if time.monotonic() > until:
            raise NotReadyError(f"Connector {name} has not acted on the signal within {_ACT_S:g} s.",
                                hint="It acts when it reads on: is it paused, or does it wait for a server or for a "
                                     "blocking snapshot?")
        time.sleep(0.1)


def _signal(client: Client, name: str, signal: Mapping[str, Any]) -> None:
    client.ask("POST", "connectors", name, "signals", body=dict(signal))


def _connectors(client: Client, connector: str | None) -> list[str]:
    from .states import unknown

    known: list[str] = client.get("connectors")
    if connector is not None and connector not in known:
        raise unknown(connector, known)
    return [connector] if connector is not None else sorted(known)
