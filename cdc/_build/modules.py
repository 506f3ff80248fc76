"""Which modules are compiled, and how: each `.py` under cdc/ that has a `.pxd` beside it, from the one source that also
runs as it is; and each `.pyx`, with the plain C files of `C_FILES`, which exists only compiled.

A source distribution carries the C of all of them in `generated/`, with the digest of the sources it was made from. If
the sources were changed since, that C is not used.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from setuptools import Extension

SKIPPED = os.environ.get("CDC_SKIP_COMPILE") == "1"
REQUIRED = os.environ.get("CDC_REQUIRE_COMPILED") == "1"

GENERATED = "generated"
"""Where a source distribution has the C."""

TRANSLATED = "build/cython"
"""Where a checkout gets it."""

DIRECTIVES = {
    "language_level": "3",
    "annotation_typing": False,  # types come from the .pxd; annotations are for readers and mypy
    "boundscheck": False,  # the code checks every length against the buffer itself
    "wraparound": False,
    "initializedcheck": False,
    "auto_pickle": False,  # nobody pickles these classes; a third of the compiler's work
    "binding": False,
    "emit_code_comments": False,
    "warn.unreachable": False,
}

FAST = "cdc.native."
"""The room through which nearly all rows go. An install from a checkout or a source distribution compiles only this
room, which takes the compiler a third of the time. The other modules read and write the records that C refuses."""

FLAG = "-O1"
"""For what Cython makes: -O2 takes the compiler twice as long, and what is called for each row is in `C_FILES`."""

C_FLAG = "-O2"
"""For the files of `C_FILES`."""

C_FILES: dict[str, tuple[str, ...]] = {
    "cdc.native.producer": ("kafka.c",),
    "cdc.native.recordsets": ("recordset.c", "recordset_memory.c", "recordset_format.c", "crc32c.c"),
    "cdc.native.records": ("arrays.c", "encode.c", "codecs.c", "json.c", "json_text.c", "text.c", "pg_text.c",
                           "mysql_binary.c", "mysql_text.c", "mysql_time.c"),
    "cdc.native.frames": ("block.c",),
    "cdc.native.libpq": ("block.c", "pg_read.c"),
    "cdc.native.pgoutput": ("arrays.c", "pg_decode.c"),
    "cdc.native.copytext": ("arrays.c", "pg_copy.c"),
    "cdc.native.mysql": ("arrays.c", "mysql_rows.c"),
    "cdc.native.binlog": ("arrays.c", "crc32.c", "mysql_log.c", "mysql_rows.c"),
}
"""By module: the C files beside its `.pyx` that are linked with it."""


def compiled_modules(root: Path, c_folder: Path | None = None) -> list[Extension]:
    """All that can be compiled, as extensions made from their source, or from the C that *c_folder* has; the longest
    first, so that compilers that run side by side end together."""
    found = [path.relative_to(root) for path in _sources(root)]
    found.sort(key=lambda path: -(root / path).stat().st_size)
    return [_extension(path, c_folder) for path in found]


def is_installed(name: str) -> bool:
    """Whether this install compiles module *name*."""
    return not SKIPPED and (REQUIRED or name.startswith(FAST))


def shipped_c(root: Path) -> Path | None:
    """The folder of C that came with these sources, if it was made from them."""
    folder = root / GENERATED
    digest = folder / "digest"
    return folder if digest.exists() and digest.read_text() == digest_of(root) else None


def digest_of(root: Path) -> str:
    """Of everything that the C depends on."""
    files = sorted({*_sources(root), *(path for pattern in ("*.pxd", "*.h", "native/*.c")
                                       for path in (root / "cdc").rglob(pattern))})
    digest = hashlib.sha256(repr(sorted(DIRECTIVES.items())).encode())
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _sources(root: Path) -> list[Path]:
    plain = (pxd.with_suffix(".py") for pxd in (root / "cdc").rglob("*.pxd"))
    return [*(path for path in plain if path.exists()), *(root / "cdc").rglob("*.pyx")]


def _extension(path: Path, c_folder: Path | None) -> Extension:
    name = ".".join(path.with_suffix("").parts)
    source = c_folder / path.with_suffix(".c") if c_folder else path
    headers = sorted(each.as_posix() for each in path.parent.glob("*.h")) if path.suffix == ".pyx" else []
    return Extension(name, [source.as_posix()], extra_compile_args=[FLAG, "-g0"],
                     depends=[*headers, *c_files(name)],
                     include_dirs=[path.parent.as_posix()] if path.suffix == ".pyx" else [])


def c_files(name: str) -> list[str]:
    """The paths of the C files that are linked with module *name*."""
    folder = Path(*name.split(".")[:-1])
    return [(folder / each).as_posix() for each in C_FILES.get(name, ())]
