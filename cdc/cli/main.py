"""The console script: all commands, and what becomes of their errors.

Exit codes: 0 for a clean end, 1 for a failure while running, 2 for wrong usage or configuration, 3 if a worker is not
ready or what was waited for did not come in time, 4 if what was named does not exist, 5 for a conflict with another
state, 130 for Ctrl-C. `cdc health` has a 4 of its own: nothing answers. An expected error (CdcError) is printed as one
paragraph on standard error, without a stack trace.

Commands are imported when they are asked for, so the table below has what `cdc --help` says of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from cdc.core.errors import CdcError

from .output import INTERRUPTED, OK, exit_code, explain, terminal_width
from .version import VERSION, version

HERE: Final = {
    "run": "Run the connectors of FILE… until SIGTERM or Ctrl-C.",
    "init": "Write a first configuration from a database URL.",
    "validate": "Check configuration files without connecting to anything.",
    "config": "Explain keys, and work on configuration files.",
    "offsets": "Look at stored offsets, back them up, change and forget them.",
    "import": "Take over the connectors of a running Kafka Connect.",
    "plugins": "List plugins that are installed, and describe their options.",
    "health": "Ask a running worker whether it is ready.",
    "tail": "Print the events of a running pipeline or a topic.",
    "demo": "Show live changes of a sample shop.",
    "docs": "Show a page of the documentation.",
    "completion": "Print the completion script for bash or zsh.",
    "version": "Show the version, and whether the compiled core runs.",
}
OF_WORKER: Final = {
    "get": "List connectors, tasks, topics, plugins or loggers of a worker.",
    "describe": "Show one connector or plugin of a worker, with all about it.",
    "apply": "Create or change the connectors of files.",
    "diff": "Show how a worker's connectors differ from files.",
    "delete": "End connectors and forget their configuration.",
    "pause": "Let connectors rest; their connections stay.",
    "resume": "Let connectors that are paused or stopped run again.",
    "stop": "End the tasks of connectors; keep configuration and offsets.",
    "restart": "Start connectors and their tasks again.",
    "snapshot": "Copy tables again while the stream goes on.",
    "loggers": "Show and set how much a running worker logs.",
    "top": "Watch rates, lag and snapshots of a worker's connectors.",
}


class _Commands(click.Group):
    def list_commands(self, _context: click.Context) -> list[str]:
        return [*HERE, *OF_WORKER]

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name == "run":
            from .run import run

            return run
        if name == "health":
            from .health import health

            return health
        if name == "version":
            return version
        if name in OF_WORKER:
            from .worker.commands import COMMANDS as of_worker

            return of_worker[name]
        from .commands import COMMANDS

        return COMMANDS.get(name)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError:  # who reads has enough; Click would make a failure of it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        for title, table in (("Commands", HERE), ("Commands for a worker that runs", OF_WORKER)):
            with formatter.section(title):
                formatter.write_dl(list(table.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@VERSION
def cli() -> None:
    """Change data capture for relational databases: Debezium's events and Kafka Connect's interfaces, without the JVM.

    \b
    cdc demo                          see it work, on this machine alone
    cdc run worker.properties pg.json run connectors, as connect-standalone does
    cdc tail                          look at what a running pipeline sends
    cdc get connectors                ask a running worker, here or at CDC_CLI_URL
    """


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
        code = exit_code(exc)
    sys.exit(code if isinstance(code, int) else OK)


def _never_fail_to_encode(stream: Any) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
