"""`cdc config`."""

from __future__ import annotations

from pathlib import Path

import click

from .explain import explain
from .output import BAD_CONFIGURATION, OK, printable


@click.group(short_help="Explain keys, and work on configuration files.")
def config() -> None:
    """Explain configuration keys, and work on configuration files."""


config.add_command(explain)


@config.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def upgrade(file: Path) -> int:
    """Print FILE with the present names of keys that earlier releases of Debezium had under others.

    FILE is a connector's: properties, JSON, YAML, Strimzi's KafkaConnector or Debezium Server's application.properties.
    Comments stay, references to secrets are not resolved, and what has no present name becomes a comment. What was
    changed is told on standard error. Exit code 2 if two names of one key contradict each other.

    \b
    cdc config upgrade shop.properties > new.properties
    """
    from cdc.config.files import text_of
    from cdc.config.former import Change
    from cdc.config.rewrite import rewritten
    from cdc.upgrade import changes_of

    told: list[Change] = []

    def ask(config: dict[str, str]) -> list[Change]:
        found = changes_of(config)
        told.extend(found)
        return found

    text = rewritten(text_of(file.read_bytes()), str(file), ask)
    click.echo(text, nl=False)
    for change in told:
        click.echo(f"{'error' if change.wrong else 'changed'}: {printable(change.key)}: {printable(change.text)}",
                   err=True)
    if not told:
        click.echo("Nothing to change.", err=True)
    return BAD_CONFIGURATION if any(change.wrong for change in told) else OK
