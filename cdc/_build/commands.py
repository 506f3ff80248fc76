"""setuptools' commands as this package needs them.

Without a C compiler (or with CDC_SKIP_COMPILE=1) the install goes on without compiled modules. CDC_REQUIRE_COMPILED=1,
for releases, compiles all of them and makes a failed build an error.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from setuptools import Extension
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist
from setuptools.modified import newer_group

from .modules import (
    C_FLAG,
    DIRECTIVES,
    GENERATED,
    REQUIRED,
    TRANSLATED,
    c_files,
    compiled_modules,
    digest_of,
    is_installed,
    shipped_c,
)
from .progress import Progress

PROCESSORS = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
"""Those that we may use. At most 8, because each compiler takes some hundred MB of memory."""

_SELDOM = (200_000, 50, 100)
"""For the cyclic garbage collector. At its defaults it takes a third of Cython's time, and finds nothing."""


class BuildExt(build_ext):
    """Translates and compiles on all processors. A failure leaves the plain Python modules in place.

    No binary of an earlier build stays beside a module that this one leaves plain: it would run in place of the source.
    """

    def finalize_options(self) -> None:
        known = compiled_modules(Path(), shipped_c(Path()))
        self.distribution.ext_modules = [each for each in known if is_installed(each.name)]
        self._left_plain = [each for each in known if not is_installed(each.name)]
        super().finalize_options()
        self.parallel = self.parallel or PROCESSORS
        self._trees = [Path(self.build_lib), *([Path()] if self.inplace else [])]

    def run(self) -> None:
        self._remove_binaries(self._left_plain)
        if not self.extensions:
            return
        self._begun_s = time.time()
        self._translated = False
        self._compiled = self._plain = 0
        with Progress(f"compiling {len(self.extensions)} modules; CDC_SKIP_COMPILE=1 skips this", self._state):
            try:
                translate(self.extensions)
                self._translated = True
            except Exception as exc:
                self._gave_up(exc)
                self._remove_binaries(self.extensions)
                self._plain, self.extensions = len(self.extensions), []
            super().run()

    def _remove_binaries(self, extensions: list[Extension]) -> None:
        for ext in extensions:
            for tree in self._trees:
                (tree / str(self.get_ext_filename(ext.name))).unlink(missing_ok=True)  # type: ignore[no-untyped-call]

    def build_extensions(self) -> None:
        self._objects: dict[str, str] = {}
        try:
            for ext in self.extensions:
                if not self._is_built(ext):
                    self._compile_c_files(ext)
        except Exception as exc:
            self._gave_up(exc)
        super().build_extensions()

    def _compile_c_files(self, ext: Extension) -> None:
        """Each once, although several modules are linked with it."""
        for file in c_files(ext.name):
            if file not in self._objects:
                self._objects[file], = self.compiler.compile(
                    [file], output_dir=self.build_temp, extra_postargs=[C_FLAG, "-g0"], depends=ext.depends)

    def _is_built(self, ext: Extension) -> bool:
        """Setuptools leaves the module of *ext*, because it is newer than what it is made of."""
        return not (self.force or newer_group([*ext.sources, *ext.depends], self.get_ext_fullpath(ext.name), "newer"))

    def build_extension(self, ext: Extension) -> None:
        try:
            if not self._is_built(ext):
                ext.extra_objects = [self._objects[file] for file in c_files(ext.name)]
            super().build_extension(ext)
            self._compiled += 1
        except Exception as exc:
            self._gave_up(exc)
            self._remove_binaries([ext])
            self._plain += 1

    def copy_extensions_to_source(self) -> None:
        self.extensions = [ext for ext in self.extensions if Path(self._built(ext)).exists()]
        super().copy_extensions_to_source()

    def get_outputs(self) -> list[str]:
        return [name for name in super().get_outputs() if Path(name).exists()]

    def _built(self, ext: Extension) -> Path:
        return Path(self.build_lib, str(self.get_ext_filename(ext.name)))  # type: ignore[no-untyped-call]

    def _state(self) -> str:
        count = len(self.extensions)
        if self._plain:
            return f"compiled {self._compiled} modules; {self._plain} stay plain Python, see pip -v"
        if self._translated:
            return f"compiled {self._compiled} of {count} modules"
        fresh = sum(path.stat().st_mtime >= self._begun_s for path in Path(TRANSLATED).rglob("*.c"))
        return f"translated {fresh} of {count} modules to C"

    def _gave_up(self, exc: Exception) -> None:
        if REQUIRED:
            raise exc
        print(f"cdc: compiled core not built ({exc}); the plain Python core will be used", file=sys.stderr)


class SDist(sdist):
    """A source distribution with the C in it, so that its install needs no Cython."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        extensions = compiled_modules(Path())
        translate(extensions)
        for ext in extensions:
            source = _source(ext)
            target = Path(base_dir, GENERATED, source.relative_to(TRANSLATED))
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target))
        Path(base_dir, GENERATED, "digest").write_text(digest_of(Path(base_dir)))


def translate(extensions: list[Extension]) -> None:
    """Replaces the Python or Cython source of each by the C that Cython makes of it."""
    if not any(_source(ext).suffix in (".py", ".pyx") for ext in extensions):
        return
    from Cython.Build import cythonize

    try:
        made = _translated(cythonize, extensions, PROCESSORS)
    except (OSError, BrokenProcessPool):  # the machine allows no processes
        made = _translated(cythonize, extensions, 0)
    sources = {ext.name: ext.sources for ext in made}
    for ext in extensions:
        ext.sources = sources[ext.name]


def _translated(cythonize: Callable[..., list[Extension]], extensions: list[Extension],
                processes: int) -> list[Extension]:
    gc.set_threshold(*_SELDOM)  # the processes inherit it
    return cythonize(extensions, build_dir=TRANSLATED, compiler_directives=DIRECTIVES, nthreads=processes, quiet=True)


def _source(ext: Extension) -> Path:
    return Path(next(iter(ext.sources)))
