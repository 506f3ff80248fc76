"""`cdc validate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .output import BAD_CONFIGURATION, FILES, OK, SET, print_json, printable, require_files


@click.command(short_help="Check configuration files without connecting to anything.")
@FILES
@SET
@click.option("--strict", is_flag=True, help="Count unknown keys as problems.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per finding.")
def validate(files: tuple[str, ...], flags: tuple[str, ...], strict: bool, as_json: bool) -> int:
    """Check the configuration in FILE… and the environment without connecting to anything; exit code 2 when it has
    problems.

    \b
    cdc validate worker.properties shop.json --strict
    """
    require_files(files, flags)
    from cdc.validate import validate_files

    findings = validate_files(files, strict, flags)
    for finding in findings:
        _print_finding(finding, as_json)
    problems = sum(1 for finding in findings if finding["level"] == "error")
    if not as_json:
        click.echo(f"{problems} problem{'' if problems == 1 else 's'}" if problems else "The configuration is good.",
                   err=bool(problems))
    return BAD_CONFIGURATION if problems else OK


def _print_finding(finding: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(finding)
        return
    color = {"error": "red", "warning": "yellow"}.get(finding["level"])
    where = printable(": ".join(part for part in (finding["file"], finding["option"]) if part))
    click.echo(f"{click.style(finding['level'], fg=color)}: {where}: {printable(finding['text'])}")
