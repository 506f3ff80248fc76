"""Options that the commands of this room share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from cdc.client.rest import Client

_SECONDS: Final = click.FloatRange(min=0, min_open=True)


def of_worker(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command a `Client` as its first argument, and the options that choose the worker."""

    @functools.wraps(function)
    def called(*args: Any, url: str | None, worker: str | None, credentials: str | None, timeout_s: float,
               **values: Any) -> Any:
        from cdc.cli.asked import client, known
        from cdc.client.address import address

        return function(client(address(url, worker), known(credentials), timeout_s), *args, **values)

    for option in reversed((
        click.option("--url", metavar="URL", help="Where the worker listens. Without it: --worker, CDC_CLI_URL, "
                                                  "CDC_LISTENERS, or http://127.0.0.1:8083."),
        click.option("--worker", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
                     help="The worker's configuration, for its `listeners`."),
        click.option("--credentials", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
                     help="Who you are: lines token=…, or user=… and password=…; ca=… and certificate=… name PEM "
                          "files. Without it: CDC_CLI_TOKEN, or CDC_CLI_USER and CDC_CLI_PASSWORD; then the file that "
                          "CDC_CLI_CREDENTIALS names."),
        click.option("--timeout", "timeout_s", metavar="SECONDS", type=_SECONDS, default=30.0,
                     help="How long to wait for an answer (30)."),
    )):
        called = option(called)
    return called


OUTPUT: Final = click.option("-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table",
                             show_default=True, help="How to print what was found.")
DRY_RUN: Final = click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")


def completing(context: click.Context, timeout_s: float = 0.7) -> Client:
    """A client for a shell that completes: it waits for nobody, and asks and says nothing."""
    from cdc.client.address import address
    from cdc.client.credentials import credentials
    from cdc.client.rest import Client

    return Client(address(context.params.get("url"), context.params.get("worker")),
                  credentials(context.params.get("credentials")), timeout_s)


def connector_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names for a shell that completes: none if the worker does not answer at once."""
    from cdc.core.errors import CdcError

    try:
        given = context.params.get("names") or ()
        return [name for name in completing(context).get("connectors")
                if name.startswith(incomplete) and name not in given]
    except (CdcError, TypeError):
        return []


NAME: Final = click.argument("name", metavar="CONNECTOR", shell_complete=connector_names)
NAMES: Final = click.argument("names", metavar="[CONNECTOR…]", nargs=-1, shell_complete=connector_names)
CONNECTOR: Final = click.option("--connector", metavar="NAME", shell_complete=connector_names,
                                help="The connector, if the worker has several.")
