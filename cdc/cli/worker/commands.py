"""All commands of this room, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

from .apply import apply, diff
from .describe import describe
from .get import get
from .loggers import loggers
from .snapshot import snapshot
from .states import delete, pause, restart, resume, stop
from .top import top

COMMANDS: Final[Mapping[str, click.Command]] = {command.name or "": command for command in (
    get, describe, apply, diff, delete, pause, resume, stop, restart, snapshot, loggers, top)}
