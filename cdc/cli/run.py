"""`cdc run`."""

from __future__ import annotations

import click

from .output import FILES, SET, require_files


@click.command()
@FILES
@SET
@click.option("--strict", is_flag=True, help="Refuse unknown keys instead of warning about them.")
def run(files: tuple[str, ...], flags: tuple[str, ...], strict: bool) -> int:
    """Run the connectors of FILE… until SIGTERM or Ctrl-C.

    Give the worker's file and then one file per connector, as to connect-standalone, or one file that holds both; as
    properties, JSON or YAML. Variables such as CDC_DATABASE_HOSTNAME go over the files, and --set goes over both; `cdc
    docs environment` has the rules. CDC_LOG_LEVEL (debug, info, warning, error) and CDC_LOG_FORMAT (json, text) set
    the log.

    \b
    cdc run worker.properties shop.json
    """
    require_files(files, flags)
    from cdc import log

    log.configure()
    from cdc.assembly import run_files

    return run_files(files, strict, flags)
