"""`cdc offsets`: look at the stored offsets, back them up, put them back, and forget one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cdc.client.address import URL_VARIABLE
from cdc.core.errors import ConfigError, OffsetStoreError

from .output import FILES, OK, SET, print_json, require_files
from .worker.offsets import get_offsets, set_offsets
from .worker.options import DRY_RUN, connector_names, of_worker

if TYPE_CHECKING:
    from cdc.client.rest import Client
    from cdc.core.stores import OffsetStore

_CONNECTOR = click.option("--connector", metavar="NAME", help="Only the offsets of this connector.")


class _Line(NamedTuple):
    connector: str
    partition: dict[str, Any]
    offset: dict[str, Any]


@click.group(short_help="Look at stored offsets, back them up, change and forget them.")
def offsets() -> None:
    """Look at the stored offsets of a worker, back them up, put them back, and forget one.

    FILE… are those of `cdc run`: with them, `export`, `import` and `reset` open the store itself, and no worker needs
    to run. Without them, `export` and `reset` ask the worker that runs, as `get` and `set` do.
    """


@offsets.command("export")
@of_worker
@FILES
@SET
@_CONNECTOR
@click.option("--format", "form", type=click.Choice(["lines", "connect"]), default="lines", show_default=True,
              help="connect: one connector's, as Kafka Connect and Debezium take them.")
def export_offsets(client: Client, files: tuple[str, ...], flags: tuple[str, ...], connector: str | None,
                   form: str) -> int:
    """Print the stored offsets, one JSON object per line. It is safe while the worker runs.

    Each offset is printed as it was at one moment, so the output is a backup that `cdc offsets import` and `cdc offsets
    set` put back. Without FILE…, the worker that runs is asked:

    \b
    cdc offsets export > offsets.jsonl
    cdc offsets export worker.properties > offsets.jsonl

    With --format connect it is what PATCH /connectors/NAME/offsets of Kafka Connect takes, so that Debezium goes on
    from there. Stop the connector here first. `cdc docs moving` has the steps.

    \b
    cdc offsets export --connector shop --format connect > shop-offsets.json
    """
    if _of_a_worker(files, flags):
        from .worker.offsets import export, export_for_connect

        return export(client, connector) if form == "lines" else export_for_connect(client, connector)
    with _opened(files, flags) as store:
        if form == "connect":
            _print_for_connect(store, connector)
            return OK
        for name, partition in store.stored():
            offset = store.load(name, partition)
            if offset is not None and connector in (None, name):
                print_json({"connector": name, "partition": partition, "offset": offset})
    return OK


def _print_for_connect(store: OffsetStore, connector: str | None) -> None:
    from .worker.offsets import print_for_connect

    places = store.stored()
    names = sorted({name for name, _ in places})
    name = connector if connector is not None else names[0] if len(names) == 1 else None
    if name is None and names:
        raise click.UsageError(f"There are offsets of {', '.join(names)}. Name one with --connector.")
    found = [(partition, store.load(each, partition)) for each, partition in places if each == name]
    print_for_connect(name or "", [{"partition": partition, "offset": offset} for partition, offset in found if offset])


@offsets.command("import")
@click.argument("backup", type=click.File(encoding="utf-8"))
@FILES
@SET
@_CONNECTOR
@DRY_RUN
@click.option("--replace", is_flag=True, help="Replace offsets that differ from those of BACKUP.")
def import_offsets(backup: Any, files: tuple[str, ...], flags: tuple[str, ...], connector: str | None,
                   dry_run: bool, replace: bool) -> int:
    """Store the offsets of BACKUP, which `cdc offsets export` printed; - is standard input.

    \b
    cdc offsets import offsets.jsonl worker.properties --dry-run

    The connectors must not run. An older offset makes a connector deliver again what came after it, if the database
    still has it.
    """
    require_files(files, flags)
    lines = [line for line in _read(backup) if connector in (None, line.connector)]
    with _opened(files, flags) as store:
        differing = []
        for line in lines:
            if not dry_run:
                store.hold(line.connector, line.partition)
            stored = store.load(line.connector, line.partition)
            if stored is not None and stored != line.offset:
                differing.append(line.connector)
        if differing and not replace:
            raise OffsetStoreError(
                f"Other offsets are stored for {', '.join(sorted(set(differing)))}. Nothing was changed.",
                hint="Repeat the command with --replace to replace them.")
        for line in lines:
            if not dry_run:
                store.commit(line.connector, line.partition, line.offset)
    click.echo(f"{len(lines)} offset{'' if len(lines) == 1 else 's'} {'would be ' if dry_run else ''}stored.", err=True)
    return OK


@offsets.command("reset")
@of_worker
@click.argument("connector", shell_complete=connector_names)
@FILES
@SET
@DRY_RUN
def reset_offsets(client: Client, connector: str, files: tuple[str, ...], flags: tuple[str, ...],
                  dry_run: bool) -> int:
    """Forget the stored offsets of CONNECTOR, which must not run. Its next start is as the first one: with a snapshot,
    if its snapshot.mode takes one.

    The offsets are printed first, as by `cdc offsets export`, so that `cdc offsets import` can put them back. Without
    FILE…, the worker that runs is asked, in which the connector must be stopped.

    \b
    cdc stop shop
    cdc offsets reset shop
    """
    if _of_a_worker(files, flags):
        from .worker.offsets import reset

        return reset(client, connector, dry_run)
    with _opened(files, flags) as store:
        places = [partition for name, partition in store.stored() if name == connector]
        if not places:
            known = sorted({name for name, _ in store.stored()})
            raise OffsetStoreError(f"No offset is stored for {connector}.",
                                   hint=f"There are offsets of {', '.join(known)}." if known else "The store is empty.")
        for partition in places if not dry_run else ():
            store.hold(connector, partition)
        for partition in places:
            print_json({"connector": connector, "partition": partition, "offset": store.load(connector, partition)})
            if not dry_run:
                store.commit(connector, partition, None)
    return OK


offsets.add_command(get_offsets)
offsets.add_command(set_offsets)


def _of_a_worker(files: Sequence[str], flags: Sequence[str]) -> bool:
    """Whether a worker that runs is meant: no file, flag or variable configures a store, or an address is given."""
    from cdc.config.environment import candidates

    given = click.get_current_context().params
    asked = bool(given.get("url") or given.get("worker") or os.environ.get(URL_VARIABLE))
    if asked and (files or flags):
        raise click.UsageError("Give either FILE…, or the address of a worker.")
    return asked or not (files or flags or candidates(os.environ, ())[0])


@contextmanager
def _opened(files: Sequence[str], flags: Sequence[str]) -> Iterator[OffsetStore]:
    from cdc.assembly import offsets_of

    store = offsets_of(files, flags)
    store.start()
    try:
        yield store
    finally:
        store.close()


def _read(backup: Any) -> Iterator[_Line]:
    """Raises ConfigError for a line that is no offset."""
    import json

    name = "standard input" if backup is sys.stdin else backup.name
    for number, text in enumerate(backup, 1):
        if not text.strip():
            continue
        try:
            found = json.loads(text)
            line = _Line(found["connector"], found["partition"], found["offset"])
        except (ValueError, KeyError, TypeError, RecursionError):
            line = _Line("", {}, {})
        if not (isinstance(line.connector, str) and line.connector and isinstance(line.partition, dict)
                and isinstance(line.offset, dict) and line.partition and line.offset):
            raise ConfigError(f"Line {number} of {name} is no offset as `cdc offsets export` prints it.",
                              hint="Nothing was changed.")
        yield line
