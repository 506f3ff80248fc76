"""What other packages offer by entry points. `plugins` has it by kind and name; sources find custom converters here,
because they know no other plugins."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from typing import Any, Final

from cdc.core.errors import ConfigError

GROUP: Final = "cdc.plugins"
"""The entry points by which other packages offer plugins."""


def offered() -> Iterator[Any]:
    """Each `plugins.Plugin` that an entry point is or lists. Raises ConfigError for one that cannot be loaded."""
    for entry in metadata.entry_points(group=GROUP):
        try:
            made = entry.load()
        except Exception as exc:
            raise ConfigError(f"The plugin {entry.value} cannot be loaded: {type(exc).__name__}: {exc}.",
                              hint="Repair the Python package that has it, or remove it.") from exc
        yield from made if isinstance(made, list | tuple) else (made,)


def find(kind: str, name: str) -> Any:
    """The plugin of *kind* called *name*; None if no package offers it. Raises ConfigError."""
    return next((plugin for plugin in offered() if plugin.kind == kind and plugin.goes_by(name.strip())), None)
