"""Runs the core uncompiled: imports the package's modules from their .py files, and stands in for `cython`."""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any


class _SourceFinder:
    def find_spec(self, fullname: str, path: Sequence[str] | None,
                  target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        if path is None or not fullname.startswith("cdc."):
            return None
        loader = (importlib.machinery.SourceFileLoader, importlib.machinery.SOURCE_SUFFIXES)
        for entry in path:
            spec = importlib.machinery.FileFinder(entry, loader).find_spec(fullname)
            if spec is not None and spec.loader is not None:
                return spec
        if fullname.startswith("cdc.native."):
            raise ModuleNotFoundError(f"{fullname} exists only compiled", name=fullname)
        return None


def prefer_sources() -> None:
    """From now on, imports ignore compiled modules."""
    sys.meta_path.insert(0, _SourceFinder())


def stand_in_for_cython() -> None:
    """Puts a module in the place of `cython`, of which our sources read only `compiled`. The real one takes five
    milliseconds to load; it is loaded when somebody asks for something else of it."""
    module = ModuleType("cython")
    module.compiled = False  # type: ignore[attr-defined]
    module.__getattr__ = _of_cython  # type: ignore[method-assign]
    sys.modules["cython"] = module


def _of_cython(name: str) -> Any:
    if not name.startswith("__"):
        try:
            return getattr(importlib.import_module("Cython.Shadow"), name)
        except ModuleNotFoundError:
            pass
    raise AttributeError(f"module 'cython' has no attribute {name!r}", name=name)
