"""All commands that need no running worker, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

from .completion import completion
from .config import config
from .demo import demo
from .docs import docs
from .import_ import import_connectors
from .init import init
from .offsets import offsets
from .plugins import plugins
from .tail.command import tail
from .validate import validate

COMMANDS: Final[Mapping[str, click.Command]] = {command.name or "": command for command in (
    completion, config, demo, docs, import_connectors, init, offsets, plugins, tail, validate)}
