"""`cdc docs`."""

from __future__ import annotations

import click


@click.command(short_help="Show a page of the documentation.")
@click.argument("page", required=False)
def docs(page: str | None) -> None:
    """Show a page of the documentation, which is installed with the package; without PAGE, list all pages.

    \b
    cdc docs
    cdc docs differences
    cdc docs reference/postgres
    """
    from cdc import docs as pages

    if page is None:
        width = max(map(len, pages.pages()))
        for name in pages.pages():
            click.echo(f"{name:<{width}}  {pages.title(name)}")
        return
    try:
        text = pages.read(page)
    except KeyError:
        raise click.UsageError(f"There is no page {page}. `cdc docs` lists all pages.") from None
    click.echo(text, nl=False)
