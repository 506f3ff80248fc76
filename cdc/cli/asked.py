"""The workers that commands ask, and who asks: what a person is told and asked about that."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from cdc.client.credentials import OF_WORKER, Credentials, Given, credentials
from cdc.client.rest import Client, Hints


def known(file: str | None = None, *, given: Given | None = None, prefix: str = OF_WORKER) -> Credentials:
    """As `client.credentials.credentials`. At a terminal, the password of a user that has none is asked for."""
    who = credentials(file, given=given, prefix=prefix)
    if who.user and who.password is None and sys.stdin.isatty():
        return replace(who, password=click.prompt(f"Password of {who.user}", hide_input=True, err=True, default="",
                                                  show_default=False))
    return who


def client(url: str, who: Credentials, timeout_s: float = 30.0, hints: Hints | None = None) -> Client:
    """Warns if others on the way can read the credentials."""
    made = Client(url, who, timeout_s, hints)
    if made.in_clear:
        click.echo(f"warning: {url} is not encrypted, so others on the way can read the credentials.", err=True)
    return made
