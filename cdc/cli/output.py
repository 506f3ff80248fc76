"""What all commands print with: exit codes, errors as one paragraph, JSON lines."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from cdc.client.errors import NotReadyError
from cdc.core.errors import CdcError, ConfigError, StateError

OK: Final = 0
FAILED: Final = 1
BAD_CONFIGURATION: Final = 2
NOT_READY: Final = 3
NO_ANSWER: Final = 4
"""Of `cdc health` alone: nothing answers."""
NOT_FOUND: Final = 4
CONFLICT: Final = 5
INTERRUPTED: Final = 130

FILES = click.argument("files", nargs=-1, metavar="FILE…", type=click.Path(path_type=str))
SET = click.option("--set", "flags", multiple=True, metavar="KEY=VALUE",
                   help="Set a key over the files and the environment; CONNECTOR:KEY=VALUE if there are several.")


def exit_code(error: CdcError) -> int:
    """The process's exit code for *error*."""
    if isinstance(error, StateError):
        return NOT_FOUND if error.status == 404 else CONFLICT
    if isinstance(error, NotReadyError):
        return NOT_READY
    return BAD_CONFIGURATION if isinstance(error, ConfigError) else FAILED


def require_files(files: Sequence[str], flags: Sequence[str]) -> None:
    """Raise UsageError if there is nothing to read a configuration from: no file, no flag, no variable."""
    from cdc.config.environment import candidates

    if not files and not flags and not candidates(os.environ, ())[0]:
        raise click.UsageError("Missing argument 'FILE…'.")


def terminal_width() -> int:
    """Columns of the terminal, between 40 and 100."""
    import shutil  # for text alone: `cdc run` need not wait for it

    return min(100, max(40, shutil.get_terminal_size((100, 24)).columns))


def explain(error: CdcError, width: int = 100) -> str:
    """*error* as one paragraph with its context and hint, wrapped to *width* columns; lines of a list stay lines."""
    from cdc.config.secrets import scrub

    where = ", ".join(f"{name}={value}" for name, value in error.context.items() if value is not None)
    text = scrub(f"cdc: {error.message}{f' [{where}]' if where else ''}{f' {error.hint}' if error.hint else ''}")
    return "\n".join(_wrapped(printable(line), width) for line in text.splitlines())


def _wrapped(line: str, width: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(line, width, subsequent_indent=indent if line.startswith(" ") else "",
                         break_long_words=False, break_on_hyphens=False)


def paragraph(text: str) -> str:
    """*text*, in which nothing is obeyed, as wide as the terminal."""
    return _wrapped(printable(text), terminal_width())


def printable(text: str) -> str:
    """*text* with everything that a terminal could obey escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def print_json(found: Mapping[str, Any], *, err: bool = False) -> None:
    """*found* as JSON on one line of standard output, or of standard error."""
    import json

    click.echo(json.dumps(found, ensure_ascii=False, default=str), err=err)
