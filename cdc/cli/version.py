"""`cdc version`."""

from __future__ import annotations

import sys

import click


def short() -> str:
    """One line, as in `cdc 1.2.3 (core: compiled)`."""
    from cdc import about

    return f"cdc {about.VERSION} (core: {about.core()})"


def _print_and_exit(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(short())
        context.exit()


VERSION = click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_and_exit,
                       help="Show the version and exit.")


@click.command()
@click.option("-v", "--verbose", is_flag=True, help="Also show the libraries in use, and each module of the core.")
def version(verbose: bool) -> None:
    """Show the version, and whether the compiled core runs.

    \b
    cdc version -v
    """
    from cdc import about

    click.echo(short())
    if verbose:
        from cdc.kafka.client import usual

        python = ".".join(str(part) for part in sys.version_info[:3])
        for name, found in {"python": python, **about.libraries(),
                            "kafka client": usual(), **about.core_modules(), **about.native_modules()}.items():
            click.echo(f"  {name:<34} {found}")
