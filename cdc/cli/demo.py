"""`cdc demo`."""

from __future__ import annotations

import click


@click.command(short_help="Show live changes of a sample shop.",
               context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> int:
    """Show live changes of a sample shop, with a database server of its own; leaves nothing behind.

    \b
    cdc demo --seconds 10
    """
    from cdc.demo import main as run_demo

    return int(run_demo(list(arguments)))
