"""`cdc apply` and `cdc diff`: the connectors of files, and those of a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from cdc.cli.output import CONFLICT, OK, exit_code, explain, printable, terminal_width
from cdc.cli.table import text_of
from cdc.core.errors import CdcError, ConfigError

from .options import DRY_RUN, OUTPUT, of_worker

if TYPE_CHECKING:
    from cdc.client.rest import Client

    from .differences import Differences
    from .manifests import Manifest

_FILES: Final = click.option("-f", "--file", "files", multiple=True, metavar="FILE",
                             type=click.Path(exists=True, dir_okay=False, allow_dash=True),
                             help="A file with connectors; - is standard input. May be repeated.")
_MORE: Final = click.argument("more", metavar="[FILE…]", nargs=-1,
                              type=click.Path(exists=True, dir_okay=False, allow_dash=True))


@click.command(short_help="Create or change the connectors of files.")
@of_worker
@_FILES
@_MORE
@DRY_RUN
def apply(client: Client, files: Sequence[str], more: Sequence[str], dry_run: bool) -> int:
    """Create the connectors of the files, or change them so that they are as the files say.

    FILE is properties, JSON as Kafka Connect's REST interface takes and shows it, YAML, Strimzi's KafkaConnector, or
    what `cdc get connectors -o json` printed; it may hold several connectors. All of them are checked before any is
    changed. A connector that is as its file says goes on undisturbed.

    \b
    cdc apply -f shop.json --dry-run
    cdc apply -f connectors/*.yaml
    curl http://connect:8083/connectors?expand=info | cdc apply -f -
    """
    manifests = _read(files, more)
    plans = [(each, _differences(client, each)) for each in manifests]
    problems = [problem for each, found in plans for problem in _problems(client, each, found)]
    if problems:
        raise ConfigError("Nothing was changed. The worker does not take what the files say:" + "".join(
            f"\n  - {problem}" for problem in problems))
    code = OK
    for each, found in plans:
        for key in each.ignored:
            click.echo(f"{each.source}: {printable(key)} is the worker's, so it is left out.", err=True)
        try:
            click.echo(f"{printable(each.name)}: {_applied(client, each, found, dry_run)}")
        except CdcError as exc:
            click.echo(explain(exc, terminal_width()), err=True)
            code = code or exit_code(exc)
            continue
        if dry_run and not found.is_new:
            click.echo("".join(f"{line}\n" for line in found.lines()), nl=False)
    return code


@click.command(short_help="Show how a worker's connectors differ from files.")
@of_worker
@_FILES
@_MORE
@click.option("--exit-code", "as_code", is_flag=True, help="Exit code 5 if something differs.")
@OUTPUT
def diff(client: Client, files: Sequence[str], more: Sequence[str], as_code: bool, output: str) -> int:
    """Show what `cdc apply` would change: + adds a key, - removes one, ~ changes one. Secrets are never shown.

    \b
    cdc diff -f shop.json
    cdc diff -f shop.json --exit-code && echo "as in the file"
    """
    found = [(each.name, _differences(client, each)) for each in _read(files, more)]
    if output != "table":
        made: list[dict[str, Any]] = [{"connector": name, **each.as_json()} for name, each in found]
        click.echo(text_of(made, output), nl=False)
    else:
        for name, each in found:
            state = "is new" if each.is_new else f"{each.count} keys differ" if each.count else "is as in the file"
            click.echo(f"{printable(name)}: {state.replace('1 keys differ', '1 key differs')}")
            click.echo("".join(f"{line}\n" for line in each.lines()), nl=False)
    return CONFLICT if as_code and any(each.is_new or each.count for _, each in found) else OK


def _read(files: Sequence[str], more: Sequence[str]) -> list[Manifest]:
    from .manifests import read_manifests

    if not files and not more:
        raise click.UsageError("Missing option '-f FILE'.")
    return read_manifests([*files, *more])


def _differences(client: Client, manifest: Manifest) -> Differences:
    from .differences import differences

    return differences(client.find("connectors", manifest.name, "config"), manifest.config)


def _problems(client: Client, manifest: Manifest, found: Differences) -> list[str]:
    """What the worker's check finds wrong, with the file and the key. A configuration with hidden values is checked
    when it is stored."""
    from cdc.config.secrets import HIDDEN

    if not found.is_new and (not found.count or HIDDEN in manifest.config.values()):
        return []
    class_name = manifest.config.get("connector.class", "").strip()
    if not class_name:
        return [f"{manifest.source}: connector.class is missing."]
    try:
        report = client.ask("PUT", "connector-plugins", class_name, "config", "validate", body=dict(manifest.config))
    except CdcError as exc:
        return [f"{manifest.source}: connector.class: {exc}"]
    return [f"{manifest.source}: {row['value']['name']}: {error}" for row in report["configs"]
            for error in row["value"]["errors"]]


def _applied(client: Client, manifest: Manifest, found: Differences, dry_run: bool) -> str:
    """Apply one connector; what was done with it."""
    keys = f"{found.count} key{'' if found.count == 1 else 's'}"
    if found.is_new:
        if not dry_run:
            body = {"name": manifest.name, "config": dict(manifest.config)}
            state = {} if manifest.state == "RUNNING" else {"initial_state": manifest.state}
            client.ask("POST", "connectors", body=body | state)
        return "would be created" if dry_run else "created"
    if not found.count and not found.hidden:
        return "unchanged"
    if not dry_run:
        client.ask("PUT", "connectors", manifest.name, "config", body=dict(manifest.config))
    if not found.count:
        return "sent; if something changed, it is a secret"
    return f"would be changed, {keys}" if dry_run else f"changed, {keys}"
