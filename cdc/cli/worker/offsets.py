"""The offsets of a worker that runs: `cdc offsets get` and `set`, and what `export` and `reset` do without files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from cdc.cli.output import OK, print_json
from cdc.cli.table import show
from cdc.core.errors import ConfigError, StateError

from .options import DRY_RUN, NAME, OUTPUT, of_worker

if TYPE_CHECKING:
    from cdc.client.rest import Client

_LONGEST: Final = 40


@click.command("get")
@of_worker
@NAME
@OUTPUT
def get_offsets(client: Client, name: str, output: str) -> None:
    """Show the stored offsets of CONNECTOR, which may run.

    \b
    cdc offsets get shop
    cdc offsets get shop -o json
    """
    found = read(client, name)
    show(found, output, ("PARTITION", "KEY", "VALUE"), [
        (_json(each["partition"]), key, _short(value)) for each in found
        for key, value in (each["offset"] or {}).items()], f"No offset of {name} is stored.")


@click.command("set")
@of_worker
@NAME
@click.option("-f", "--file", "backup", type=click.File(encoding="utf-8"),
              help="Offsets as `cdc offsets export` or the REST interface prints them; - is standard input.")
@click.option("--offset", metavar="JSON", help="One offset as a JSON object, in place of --file.")
@click.option("--partition", metavar="JSON", help="Its partition; without it, the only one that is stored.")
@DRY_RUN
def set_offsets(client: Client, name: str, backup: Any, offset: str | None, partition: str | None,
                dry_run: bool) -> int:
    """Store offsets of CONNECTOR, which must be stopped. The former ones are printed, as by `cdc offsets export`.

    An older offset makes the connector deliver again what came after it, if the database still has it; a newer one
    leaves out what is between.

    \b
    cdc stop shop
    cdc offsets set shop -f offsets.jsonl --dry-run
    cdc offsets set shop --offset '{"file": "binlog.000007", "pos": 4}'
    """
    if (backup is None) == (offset is None):
        raise click.UsageError("Give either --file or --offset.")
    stored = read(client, name)
    if offset is None:
        wanted = [each for each in _of_text(backup.read()) if each.pop("connector", name) == name]
    else:
        wanted = [{"partition": _partition(partition, stored, name), "offset": _object(offset, "--offset")}]
    if not wanted:
        raise ConfigError(f"The file has no offset of {name}.")
    _require_stopped(client, name)
    for each in stored:
        print_json({"connector": name, **each})
    if not dry_run:
        client.ask("PATCH", "connectors", name, "offsets", body={"offsets": wanted})
    plural = "" if len(wanted) == 1 else "s"
    click.echo(f"{len(wanted)} offset{plural} {'would be ' if dry_run else ''}stored.", err=True)
    return OK


def export(client: Client, connector: str | None) -> int:
    """`cdc offsets export` of a worker."""
    known = client.get("connectors")
    for name in sorted(known) if connector is None else [connector]:
        for each in read(client, name):
            print_json({"connector": name, **each})
    return OK


def export_for_connect(client: Client, connector: str | None) -> int:
    """`cdc offsets export --format connect` of a worker. Warns if the connector runs."""
    known = client.get("connectors")
    if connector is None and len(known) != 1:
        raise click.UsageError(f"There are connectors {', '.join(known)}. Name one with --connector." if known
                               else "The worker has no connectors.")
    name = known[0] if connector is None else connector
    found = read(client, name)
    state = client.get("connectors", name, "status")["connector"]["state"]
    if state != "STOPPED":
        click.echo(f"warning: {name} is {state}. What it delivers from now on, Kafka Connect delivers again. The "
                   f"command is: cdc stop {name}.", err=True)
    print_for_connect(name, found)
    return OK


def print_for_connect(name: str, stored: Sequence[Mapping[str, Any]]) -> None:
    """The offsets *stored* of connector *name* as the body of a PATCH of Kafka Connect's offsets."""
    from cdc.operate.giving_back import given_back

    if not stored:
        raise StateError(f"No offset is stored for {name}." if name else "No offset is stored.", status=404)
    print_json({"offsets": [{"partition": each["partition"], "offset": given_back(each["offset"])} for each in stored]})


def reset(client: Client, name: str, dry_run: bool) -> int:
    """`cdc offsets reset` in a worker."""
    stored = read(client, name)
    if not stored:
        raise StateError(f"No offset is stored for {name}.", status=404)
    _require_stopped(client, name)
    for each in stored:
        print_json({"connector": name, **each})
    if not dry_run:
        client.ask("DELETE", "connectors", name, "offsets")
    return OK


def read(client: Client, name: str) -> list[dict[str, Any]]:
    """`[{"partition", "offset"}]` of a connector. Raises StateError for one that does not exist."""
    from .states import unknown

    known = client.get("connectors")
    if name not in known:
        raise unknown(name, known)
    return [each for each in client.get("connectors", name, "offsets")["offsets"] if each["offset"] is not None]


def _require_stopped(client: Client, name: str) -> None:
    state = client.get("connectors", name, "status")["connector"]["state"]
    if state != "STOPPED":
        raise StateError(f"{name} is {state}; its offsets can be changed while it is STOPPED.", status=409,
                         hint=f"The command is: cdc stop {name}. Afterwards: cdc resume {name}.")


def _of_text(text: str) -> Iterator[dict[str, Any]]:
    """The offsets of lines as `export` prints them, or of the REST interface's `{"offsets": […]}`. Raises
    ConfigError."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict) and isinstance(whole.get("offsets"), list):
        found: Iterable[Any] = whole["offsets"]
    elif isinstance(whole, list):
        found = whole
    else:
        found = [_object(line, f"Line {number}") for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    for number, each in enumerate(found, 1):
        if not (isinstance(each, dict) and isinstance(each.get("partition"), dict) and each["partition"]
                and isinstance(each.get("offset"), dict | None)):
            raise ConfigError(f"Offset {number} is none: it needs a partition and an offset.",
                              hint="Nothing was changed.")
        yield {key: each[key] for key in ("connector", "partition", "offset") if key in each}


def _partition(text: str | None, stored: Sequence[Mapping[str, Any]], name: str) -> Any:
    if text is not None:
        return _object(text, "--partition")
    if len(stored) != 1:
        raise click.UsageError(f"{len(stored)} partitions of {name} are stored, so give --partition.")
    return stored[0]["partition"]


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"{what} is no JSON object.", hint="Nothing was changed.")
    return found


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else _json(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters in all)"
