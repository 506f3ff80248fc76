"""`cdc init`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cdc.core.errors import CdcError

from .output import OK, printable

if TYPE_CHECKING:
    from .first_config import DatabaseUrl, Found


@click.command(short_help="Write a first configuration from a database URL.")
@click.argument("url")
@click.option("-f", "--file", "path", type=click.Path(path_type=Path, dir_okay=False),
              help="Write into this file instead of printing.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("--name", help="The connector's name and the topics' prefix; the database's name by default.")
@click.option("--bootstrap-server", "bootstrap", metavar="HOST:PORT", default="localhost:9092", show_default=True,
              help="Kafka brokers.")
@click.option("--registry", metavar="URL", default="", help="A Schema Registry: events are Avro then.")
@click.option("--password-variable", "variable", metavar="NAME", default="DATABASE_PASSWORD", show_default=True,
              help="The variable of the environment that the configuration reads the password from.")
@click.option("--look/--no-look", default=True, help="Whether to look at the server; nothing is changed there.")
def init(url: str, path: Path | None, force: bool, name: str | None, bootstrap: str, registry: str, variable: str,
         look: bool) -> int:
    """Print a configuration with comments for the database at URL, or write it into a file.

    The password does not get into it: the configuration refers to a variable of the environment. It is taken from the
    URL, or from that variable, to look at the server: which tables there are, and what has to be changed there before a
    connector can run.

    \b
    export DATABASE_PASSWORD=secret
    cdc init postgresql://cdc@db:5432/shop -f shop.properties
    cdc init mysql://cdc@db/shop --registry http://registry:8081
    """
    import re

    from .first_config import Found, parse_url, written

    parsed = parse_url(url)
    if path is not None and path.exists() and not force:
        raise click.UsageError(f"{path} exists. --force replaces it.")
    if not re.fullmatch(r"[A-Za-z_]\w*", variable, re.ASCII):
        raise click.UsageError(f"{variable} is no name of a variable.")
    if parsed.password and parsed.password != os.environ.get(variable):
        click.echo("warning: Others on this machine can see a password in a command. Set it as a variable: "
                   f"export {variable}=…", err=True)
    name = re.sub(r"[^\w.-]", "_", name or parsed.database, flags=re.ASCII)
    found = Found(why="--no-look was given.")
    if look:
        found = _found(parsed, written(parsed, name, variable, bootstrap, registry, Found()),
                       parsed.password or os.environ.get(variable, ""))
    text = written(parsed, name, variable, bootstrap, registry, found)
    if path is None:
        click.echo(text, nl=False)
    else:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as exc:
            raise CdcError(f"{path} cannot be written: {exc.strerror}.") from exc
        click.echo(f"Written: {path}", err=True)
    for line in _told(found):
        click.echo(printable(line), err=True)
    return OK


def _found(url: DatabaseUrl, text: str, password: str) -> Found:
    """What the server says to the connector that *text* configures."""
    from cdc import log
    from cdc.config.files import read_properties
    from cdc.core.errors import SourceError
    from cdc.plugins import worker_options
    from cdc.preview import look
    from cdc.runtime.configfile import split

    from .first_config import Found

    log.configure("error")
    _, config = split(read_properties(text), worker_options())
    config["database.password"] = password
    try:
        preview = look(config)
    except SourceError as exc:
        return Found(why=f"{exc.message} {exc.hint}".strip())
    assert preview is not None, "each of these classes can look"
    return Found(preview.server, "", tuple(sorted(str(each.table.id) for each in preview.tables)), preview.problems,
                 preview.notes)


def _told(found: Found) -> list[str]:
    if found.why:
        return [f"warning: The server was not looked at: {found.why}"]
    problems = f"{len(found.problems)} setting{'' if len(found.problems) == 1 else 's'}"
    return [f"{found.server}: {len(found.tables)} table{'' if len(found.tables) == 1 else 's'} found"
            + (f"; {problems} to be changed on the server, see the comments at the top." if found.problems else ".")]
