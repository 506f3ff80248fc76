"""`cdc loggers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from .options import DRY_RUN, OUTPUT, completing, of_worker

if TYPE_CHECKING:
    from cdc.client.rest import Client

_LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF")


def _known(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    from cdc.core.errors import CdcError

    try:
        return [name for name in completing(context).get("admin", "loggers") if name.startswith(incomplete)]
    except (CdcError, TypeError):
        return []


@click.group(short_help="Show and set how much a running worker logs.")
def loggers() -> None:
    """Show and set how much the parts of a running worker log, until its process ends.

    \b
    cdc loggers set cdc.sources.postgres DEBUG
    cdc loggers set cdc.sources.postgres INFO
    """


@loggers.command("list")
@of_worker
@OUTPUT
def list_loggers(client: Client, output: str) -> None:
    """List the loggers and their levels.

    \b
    cdc loggers list
    """
    from .get import show_loggers

    show_loggers(client.get("admin", "loggers"), output)


@loggers.command("get")
@of_worker
@click.argument("logger", shell_complete=_known)
@OUTPUT
def get_logger(client: Client, logger: str, output: str) -> None:
    """Show one logger.

    \b
    cdc loggers get cdc.runtime.task
    """
    from .get import show_loggers

    found: Mapping[str, Any] = client.get("admin", "loggers", logger)
    show_loggers({logger: found}, output)


@loggers.command("set")
@of_worker
@click.argument("logger", shell_complete=_known)
@click.argument("level", type=click.Choice(_LEVELS, case_sensitive=False))
@DRY_RUN
def set_level(client: Client, logger: str, level: str, dry_run: bool) -> None:
    """Set the level of LOGGER and of all below it; `root` is above all.

    \b
    cdc loggers set root WARN --dry-run
    """
    if dry_run:
        names: Sequence[str] = [name for name in client.get("admin", "loggers")
                                if logger == "root" or name == logger or name.startswith(f"{logger}.")]
        click.echo(f"{len(set(names) | {logger})} loggers would log from {level} on")
        return
    changed = client.ask("PUT", "admin", "loggers", logger, body={"level": level})
    click.echo(f"{len(changed)} loggers log from {level} on")
