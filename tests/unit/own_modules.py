"""All modules of `cdc`, imported."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import cdc


def own_modules() -> Iterator[ModuleType]:
    """All that an uncompiled checkout has too, without those that run something when they are imported."""
    for each in pkgutil.walk_packages(cdc.__path__, "cdc."):
        if not each.name.endswith("__main__") and not each.name.startswith("cdc.native."):
            yield importlib.import_module(each.name)
