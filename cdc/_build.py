"""Build-time only: compiles the modules that have a .pxd beside them, each from the one source that also runs as it is.

Without a C compiler (or with CDC_SKIP_COMPILE=1) the install goes on without it; CDC_REQUIRE_COMPILED=1 makes a
failed build an error, for releases and CI.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension
from setuptools.command.build_ext import build_ext

REQUIRED = os.environ.get("CDC_REQUIRE_COMPILED") == "1"
SKIPPED = os.environ.get("CDC_SKIP_COMPILE") == "1"

DIRECTIVES = {
    "language_level": "3",
    "annotation_typing": False,  # types come from the .pxd; annotations are for readers and mypy
    "boundscheck": False,  # the code checks every length against the buffer itself
    "wraparound": False,
    "initializedcheck": False,
    "warn.unreachable": False,
}


def compiled_modules(root: Path) -> list[Extension]:
    """One extension for each .pxd under cdc/ that has a .py of its name, from that; others are only included."""
    found = (path.with_suffix(".py") for path in (root / "cdc").rglob("*.pxd"))
    names = sorted(path.relative_to(root) for path in found if path.exists())
    return [Extension(".".join(path.with_suffix("").parts), [str(path)], extra_compile_args=["-O2"]) for path in names]


class OptionalBuildExt(build_ext):
    """A build_ext whose failures leave the plain Python modules in place."""

    def finalize_options(self) -> None:
        self.distribution.ext_modules = self._cythonized()
        super().finalize_options()

    def _cythonized(self) -> list[Extension]:
        if SKIPPED:
            return []
        try:
            from Cython.Build import cythonize

            return list(cythonize(compiled_modules(Path.cwd()), build_dir="build/cython",
                                  compiler_directives=DIRECTIVES, quiet=True))
        except Exception as exc:
            self._gave_up(exc)
            return []

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except Exception as exc:
            self._gave_up(exc)

    def copy_extensions_to_source(self) -> None:
        self.extensions = [ext for ext in self.extensions if Path(self._built(ext)).exists()]
        super().copy_extensions_to_source()

    def get_outputs(self) -> list[str]:
        return [name for name in super().get_outputs() if Path(name).exists()]

    def _built(self, ext: Extension) -> Path:
        return Path(self.build_lib, self.get_ext_filename(self.get_ext_fullname(ext.name)))

    def _gave_up(self, exc: Exception) -> None:
        if REQUIRED:
            raise exc
        print(f"cdc: compiled core not built ({exc}); the plain Python core will be used", file=sys.stderr)
