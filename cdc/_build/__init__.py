"""Build-time only: the build backend that pyproject.toml names, which is setuptools' own with two differences.

It asks for Cython only if modules will be translated: not with CDC_SKIP_COMPILE=1, and not in a source distribution,
which carries the C. And it compiles what `modules` lists, with what `commands` does and `progress` shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

from .modules import SKIPPED, shipped_c

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

CYTHON = "Cython>=3.1"


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    translates = not SKIPPED and shipped_c(Path.cwd()) is None
    return [*build_meta.get_requires_for_build_wheel(config_settings), *([CYTHON] if translates else [])]


get_requires_for_build_editable = get_requires_for_build_wheel


def get_requires_for_build_sdist(config_settings: Any = None) -> list[str]:
    return [*build_meta.get_requires_for_build_sdist(config_settings), CYTHON]
