"""The console script: all commands, and what becomes of their errors.

Exit codes: 0 for a clean end, 1 for a failure while running, 2 for wrong usage or configuration, 130 for Ctrl-C;
`cdc health` has two more. An expected error (CdcError) is printed as one paragraph on standard error, without a stack
trace.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from cdc.core.errors import CdcError, ConfigError

from .config import config
from .demo import demo
from .docs import docs
from .health import health
from .offsets import offsets
from .output import BAD_CONFIGURATION, FAILED, INTERRUPTED, OK, explain, terminal_width
from .plugins import plugins
from .run import run
from .tail.command import tail
from .validate import validate
from .version import VERSION, version


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@VERSION
def cli() -> None:
    """Change data capture for relational databases: Debezium's events and Kafka Connect's interfaces, without the JVM.

    \b
    cdc demo                          see it work, on this machine alone
    cdc run worker.properties pg.json run connectors, as connect-standalone does
    cdc tail                          look at what a running pipeline sends
    """


for command in (run, validate, config, health, offsets, version, demo, tail, plugins, docs):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that *arguments* (the process's, by default) name, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        _never_fail_to_encode(stream)
    try:
        code = cli.main(args=arguments, prog_name="cdc", standalone_mode=False)
    except click.exceptions.Exit as exc:
        code = exc.exit_code
    except click.ClickException as exc:
        exc.show()
        code = exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except CdcError as exc:
        click.echo(explain(exc, terminal_width()), err=True)
        code = BAD_CONFIGURATION if isinstance(exc, ConfigError) else FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    sys.exit(code if isinstance(code, int) else OK)


def _never_fail_to_encode(stream: Any) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
