"""`cdc pause`, `resume`, `stop`, `restart` and `delete`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from cdc.cli.output import OK, exit_code, explain, terminal_width
from cdc.client.errors import NotReadyError
from cdc.core.errors import CdcError, StateError

from .options import DRY_RUN, NAMES, of_worker

if TYPE_CHECKING:
    from cdc.client.rest import Client

_ALL: Final = click.option("--all", "everything", is_flag=True, help="All connectors of the worker.")
_WAIT: Final = click.option("--wait", "wait_s", metavar="SECONDS", type=click.FloatRange(min=0), default=0.0,
                            help="Wait until it is so, at most this long; exit code 3 if it is not.")
_POLL_S: Final = 0.2


@click.command(short_help="Let connectors rest; their connections stay.")
@of_worker
@NAMES
@_ALL
@_WAIT
@DRY_RUN
def pause(client: Client, names: Sequence[str], everything: bool, wait_s: float, dry_run: bool) -> int:
    """Let the connectors CONNECTOR… read no more, until `cdc resume`. A paused task keeps its connections, and a
    PostgreSQL slot keeps its log.

    \b
    cdc pause shop
    """
    return _each(client, names, everything, "paused", dry_run,
                 lambda name: client.ask("PUT", "connectors", name, "pause"), wait_s, ("PAUSED",))


@click.command(short_help="Let connectors that are paused or stopped run again.")
@of_worker
@NAMES
@_ALL
@_WAIT
@DRY_RUN
def resume(client: Client, names: Sequence[str], everything: bool, wait_s: float, dry_run: bool) -> int:
    """Let the connectors CONNECTOR…, which are paused or stopped, run again from where they were.

    \b
    cdc resume shop --wait 30
    """
    return _each(client, names, everything, "resumed", dry_run,
                 lambda name: client.ask("PUT", "connectors", name, "resume"), wait_s, ("RUNNING",))


@click.command(short_help="End the tasks of connectors; keep configuration and offsets.")
@of_worker
@NAMES
@_ALL
@_WAIT
@DRY_RUN
def stop(client: Client, names: Sequence[str], everything: bool, wait_s: float, dry_run: bool) -> int:
    """End the tasks of CONNECTOR…, until `cdc resume`. Configuration and offsets stay; offsets can be changed now.

    \b
    cdc stop shop
    cdc stop --all --dry-run
    """
    return _each(client, names, everything, "stopped", dry_run,
                 lambda name: client.ask("PUT", "connectors", name, "stop"), wait_s, ("STOPPED",))


@click.command(short_help="Start connectors and their tasks again.")
@of_worker
@NAMES
@_ALL
@click.option("--tasks", is_flag=True, help="Their tasks, too.")
@click.option("--only-failed", is_flag=True, help="Only what has failed.")
@_WAIT
@DRY_RUN
def restart(client: Client, names: Sequence[str], everything: bool, tasks: bool, only_failed: bool, wait_s: float,
            dry_run: bool) -> int:
    """Start CONNECTOR… again, and with --tasks their tasks. References to secrets are read again.

    Without --tasks, a task that has failed stays so, as in Kafka Connect.

    \b
    cdc restart shop --tasks
    cdc restart --all --tasks --only-failed
    """
    def again(name: str) -> None:
        client.ask("POST", "connectors", name, "restart", includeTasks=str(tasks).lower(),
                   onlyFailed=str(only_failed).lower())
        if not tasks:
            _tell_of_failed_tasks(client, name)

    return _each(client, names, everything, "restarted", dry_run, again, wait_s, ("RUNNING",))


def _tell_of_failed_tasks(client: Client, name: str) -> None:
    """Who restarts a connector usually means the task that has failed."""
    status = client.find("connectors", name, "status") or {}
    failed = [str(task["id"]) for task in status.get("tasks", ()) if task["state"] == "FAILED"]
    if failed:
        click.echo(f"{name}: task {', '.join(failed)} stays failed, because only the connector was restarted. To "
                   f"restart tasks too: cdc restart {name} --tasks", err=True)


@click.command(short_help="End connectors and forget their configuration.")
@of_worker
@NAMES
@_ALL
@DRY_RUN
def delete(client: Client, names: Sequence[str], everything: bool, dry_run: bool) -> int:
    """End CONNECTOR… and forget their configuration.

    Offsets stay, so a connector that is created under the same name goes on from them; to forget them, too: cdc stop,
    then cdc offsets reset, then cdc delete. A replication slot stays in PostgreSQL until it is dropped there.

    \b
    cdc delete shop --dry-run
    """
    return _each(client, names, everything, "deleted", dry_run, lambda name: client.ask("DELETE", "connectors", name))


def _each(client: Client, names: Sequence[str], everything: bool, done: str, dry_run: bool,
          act: Callable[[str], Any], wait_s: float = 0.0, states: Sequence[str] = ()) -> int:
    """Act on each connector, also after one that is refused. Returns the exit code of the first refusal."""
    known = client.get("connectors")
    if everything == bool(names):
        raise click.UsageError("Name connectors, or give --all.")
    code = OK
    for name in dict.fromkeys(names or known):
        try:
            if name not in known:
                raise unknown(name, known)
            if not dry_run:
                act(name)
                if wait_s:
                    wait_for(client, name, states, wait_s)
        except CdcError as exc:
            click.echo(explain(exc, terminal_width()), err=True)
            code = code or exit_code(exc)
        else:
            click.echo(f"{name}: would be {done}" if dry_run else f"{name}: {done}")
    return code


def unknown(name: str, known: Sequence[str]) -> StateError:
    """The error for a connector that the worker does not have."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(known))}." if known else (
        "The worker has no connectors.")
    return StateError(f"There is no connector {name}.", status=404, hint=hint)


def wait_for(client: Client, name: str, states: Sequence[str], seconds: float) -> None:
    """Wait until the connector *name* and all its tasks are in one of *states*. Raises NotReadyError, and CdcError for
    a task that has failed."""
    until = time.monotonic() + seconds
    while True:
        status = client.get("connectors", name, "status")
        parts = [status["connector"], *status["tasks"]]
        found = [part["state"] for part in parts]
        if all(state in states for state in found) and (status["tasks"] or "STOPPED" in states):
            return
        failed = next((part for part in parts if part["state"] == "FAILED"), None)
        if failed is not None:
            raise CdcError(f"{name} has failed: {first_line(failed.get('trace'))}")
        if time.monotonic() >= until:
            raise NotReadyError(f"{name} is {', '.join(dict.fromkeys(found))} after {seconds:g} s.",
                                hint=f"cdc describe connector {name} has the reason.")
        time.sleep(_POLL_S)


def first_line(text: Any) -> str:
    """The first line of a trace; empty without one."""
    return next((line.strip() for line in str(text or "").splitlines() if line.strip()), "")
