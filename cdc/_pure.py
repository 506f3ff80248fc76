"""The uncompiled core: imports the package's modules from their .py files, and does without Cython."""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _SourceFinder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None,
                  target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        if path is None or not fullname.startswith("cdc."):
            return None
        loader = (importlib.machinery.SourceFileLoader, importlib.machinery.SOURCE_SUFFIXES)
        for entry in path:
            spec = importlib.machinery.FileFinder(entry, loader).find_spec(fullname)
            if spec is not None and spec.loader is not None:
                return spec
        return None


def prefer_sources() -> None:
    """From now on compiled modules are passed over."""
    sys.meta_path.insert(0, _SourceFinder())


def stand_in_for_cython() -> None:
    """The modules ask `cython.compiled`; where Cython is not installed this answers."""
    module = ModuleType("cython")
    module.compiled = False  # type: ignore[attr-defined]
    sys.modules["cython"] = module
