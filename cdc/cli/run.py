"""`cdc run`."""

from __future__ import annotations

import gc

import click

from .output import FILES, SET, require_files


@click.command()
@FILES
@SET
@click.option("--strict", is_flag=True, help="Refuse unknown keys instead of warning about them.")
@click.option("--dry-run", is_flag=True, help="Show tables, topics, keys and schemas that would come, and change "
                                              "nothing on servers, in Kafka or in the registry.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: print one JSON object for each connector.")
def run(files: tuple[str, ...], flags: tuple[str, ...], strict: bool, dry_run: bool, as_json: bool) -> int:
    """Run the connectors of FILE… until SIGTERM or Ctrl-C.

    Give the worker's file and then one file per connector, as to connect-standalone, or one file that holds both; as
    properties, JSON or YAML. Variables such as CDC_DATABASE_HOSTNAME go over the files, and --set goes over both; `cdc
    docs environment` has the rules. CDC_LOG_LEVEL (debug, info, warning, error) and CDC_LOG_FORMAT (json, text) set
    the log.

    \b
    cdc run worker.properties shop.json
    cdc run --dry-run worker.properties shop.json
    """
    require_files(files, flags)
    if as_json and not dry_run:
        raise click.UsageError("--json goes with --dry-run.")
    from cdc import log

    if dry_run:
        log.configure("warning")
        from cdc.preview import preview_files

        from .preview import print_previews

        return print_previews(preview_files(files, strict, flags), as_json)
    gc.disable()  # until all is loaded: it goes through all modules again and again, a sixth of the time of a start
    try:
        log.configure()
        from cdc.assembly import run_files

        return run_files(files, strict, flags)
    finally:
        gc.enable()  # it may have ended before that
