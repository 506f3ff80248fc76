"""What other packages offer by entry points. `plugins` has it by kind and name; sources find custom converters here,
because they know no other plugins."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from typing import Any, Final

from cdc.core.errors import ConfigError

GROUP: Final = "cdc.plugins"
"""The entry points by which other packages offer plugins."""


def offered() -> Iterator[Any]:
    """Each `plugins.Plugin` that an entry point is or lists. Raises ConfigError for one that cannot be loaded."""
    if not _may_offer():
        return
    from importlib import metadata  # it takes longer to import than the question above, and few have such packages

    for entry in metadata.entry_points(group=GROUP):
        try:
            made = entry.load()
        except Exception as exc:
            raise ConfigError(f"The plugin {entry.value} cannot be loaded: {type(exc).__name__}: {exc}.",
                              hint="Repair the Python package that has it, or remove it.") from exc
        yield from made if isinstance(made, list | tuple) else (made,)


def _may_offer() -> bool:
    """Whether an installed package may offer something. Where packages are installed in another way than as files in
    folders of `sys.path`, this is not known, and so true. Python Packaging User Guide, "Entry points specification".
    """
    if any(hasattr(each, "find_distributions") for each in sys.meta_path if each is not PathFinder):
        return True
    return any(_mentions_us(place or ".") for place in sys.path)


def _mentions_us(place: str) -> bool:
    """Whether the entry points of a package in *place* mention our group."""
    try:
        names = os.listdir(place)
    except FileNotFoundError:
        return False
    except OSError:  # an archive, for example
        return True
    for name in names:
        if name.lower().endswith((".dist-info", "egg-info")):
            try:
                with open(os.path.join(place, name, "entry_points.txt"), "rb") as file:
                    if GROUP.encode() in file.read():
                        return True
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                return True
    return False


def find(kind: str, name: str) -> Any:
    """The plugin of *kind* called *name*; None if no package offers it. Raises ConfigError."""
    return next((plugin for plugin in offered() if plugin.kind == kind and plugin.goes_by(name.strip())), None)
