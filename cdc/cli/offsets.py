"""`cdc offsets`: look at the stored offsets, back them up, put them back, and forget one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cdc.core.errors import ConfigError, OffsetStoreError

from .output import FILES, OK, SET, print_json, require_files

if TYPE_CHECKING:
    from cdc.core.interfaces import OffsetStore

_CONNECTOR = click.option("--connector", metavar="NAME", help="Only the offsets of this connector.")


class _Line(NamedTuple):
    connector: str
    partition: dict[str, Any]
    offset: dict[str, Any]


@click.group()
def offsets() -> None:
    """Look at the stored offsets of a worker, back them up, put them back, and forget one.

    FILE… are those of `cdc run`.
    """


@offsets.command("export")
@FILES
@SET
@_CONNECTOR
def export_offsets(files: tuple[str, ...], flags: tuple[str, ...], connector: str | None) -> int:
    """Print the stored offsets, one JSON object per line. It is safe while the worker runs.

    Each offset is printed as it was at one moment, so the output is a backup that `cdc offsets import` puts back:

    \b
    cdc offsets export worker.properties > offsets.jsonl
    """
    require_files(files, flags)
    with _opened(files, flags) as store:
        for name, partition in store.stored():
            offset = store.load(name, partition)
            if offset is not None and connector in (None, name):
                print_json({"connector": name, "partition": partition, "offset": offset})
    return OK


@offsets.command("import")
@click.argument("backup", type=click.File(encoding="utf-8"))
@FILES
@SET
@_CONNECTOR
@click.option("--replace", is_flag=True, help="Replace offsets that differ from those of BACKUP.")
def import_offsets(backup: Any, files: tuple[str, ...], flags: tuple[str, ...], connector: str | None,
                   replace: bool) -> int:
    """Store the offsets of BACKUP, which `cdc offsets export` printed; - is standard input.

    The connectors must not run. An older offset makes a connector deliver again what came after it, if the database
    still has it.
    """
    require_files(files, flags)
    lines = [line for line in _read(backup) if connector in (None, line.connector)]
    with _opened(files, flags) as store:
        differing = []
        for line in lines:
            store.hold(line.connector, line.partition)
            stored = store.load(line.connector, line.partition)
            if stored is not None and stored != line.offset:
                differing.append(line.connector)
        if differing and not replace:
            raise OffsetStoreError(
                f"Other offsets are stored for {', '.join(sorted(set(differing)))}. Nothing was changed.",
                hint="Repeat the command with --replace to replace them.")
        for line in lines:
            store.commit(line.connector, line.partition, line.offset)
    click.echo(f"{len(lines)} offset{'' if len(lines) == 1 else 's'} stored.", err=True)
    return OK


@offsets.command("reset")
@click.argument("connector")
@FILES
@SET
def reset_offsets(connector: str, files: tuple[str, ...], flags: tuple[str, ...]) -> int:
    """Forget the stored offsets of CONNECTOR, which must not run. Its next start is as the first one: with a snapshot,
    if its snapshot.mode takes one.

    The offsets are printed first, as by `cdc offsets export`, so that `cdc offsets import` can put them back.
    """
    require_files(files, flags)
    with _opened(files, flags) as store:
        places = [partition for name, partition in store.stored() if name == connector]
        if not places:
            known = sorted({name for name, _ in store.stored()})
            raise OffsetStoreError(f"No offset is stored for {connector}.",
                                   hint=f"There are offsets of {', '.join(known)}." if known else "The store is empty.")
        for partition in places:
            store.hold(connector, partition)
        for partition in places:
            print_json({"connector": connector, "partition": partition, "offset": store.load(connector, partition)})
            store.commit(connector, partition, None)
    return OK


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
