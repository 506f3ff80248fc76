"""The build: which modules are compiled and how, and lines of progress that are seen although pip hides our output."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from setuptools import Distribution, Extension

from cdc import about
from cdc._build.commands import BuildExt
from cdc._build.modules import C_FILES, FLAGS, compiled_modules, digest_of, optimisation, shipped_c

ROOT = Path(__file__).parents[2]

BUILD = """
from cdc._build.progress import Progress
with Progress("compiling 2 modules", lambda: "compiled 2 of 2 modules"):
    pass
"""
PIP = """
import subprocess, sys
done = subprocess.run([sys.executable, "-c", sys.argv[1]], capture_output=True, text=True, check=True)
print("hidden:", done.stdout, end="")
"""


def test_each_module_with_a_pxd_is_compiled() -> None:
    assert {each.name for each in compiled_modules(ROOT)} == {*about.core_modules(), *about.native_modules()}


def test_compiled_modules_count_no_index_from_the_end() -> None:
    """`wraparound` is off: compiled, `items[-1]` reads the memory before the first item. Slices are not affected."""
    wrong = [f"{name}:{node.lineno}: {ast.unparse(node)}" for name in about.core_modules()
             for node in ast.walk(ast.parse((ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")))
             if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.UnaryOp)]
    assert not wrong


@pytest.mark.parametrize("pattern", FLAGS)
def test_each_pattern_of_flags_fits_a_module(pattern: str) -> None:
    assert [name for name in (*about.core_modules(), *about.native_modules()) if fnmatch(name, pattern)]


def test_the_first_pattern_that_fits_gives_the_flag() -> None:
    names = ("cdc.native.records", "cdc.core.row", "cdc.runtime.inflight")
    assert [optimisation(name, release=False) for name in names] == ["-O1", "-O1", "-O0"]


@pytest.mark.parametrize(("required", "flags"), [("1", {"-O2"}), ("", {"-O0", "-O1"})])
def test_a_release_optimises_each_module(required: str, flags: set[str]) -> None:
    program = ("from pathlib import Path; from cdc._build.modules import compiled_modules;"
               "print(*{each.extra_compile_args[0] for each in compiled_modules(Path())})")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True,
                          env={**os.environ, "CDC_REQUIRE_COMPILED": required})
    assert set(done.stdout.split()) == flags


def test_other_flags_than_those_of_the_last_build_make_all_again(tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    begun = [_begun("-O0") for _ in range(2)]
    assert [force for force, _ in begun] == [None, True], "the first build has not ended"
    (tmp_path / "build" / "flags").write_text(begun[1][1])
    assert _begun("-O0")[0] is None
    (tmp_path / "build" / "flags").write_text(begun[1][1])
    assert _begun("-O2")[0] is True


def _begun(flag: str) -> tuple[object, str]:
    """`force` and the flags of a build that has begun."""
    command = BuildExt(Distribution())
    command.extensions = [Extension("cdc.core.row", ["row.py"], extra_compile_args=[flag])]
    flags = command._begin_with_flags()
    return command.force, flags


def test_c_is_taken_from_a_source_distribution_that_was_not_changed(tmp_path: Path) -> None:
    (tmp_path / "cdc").mkdir()
    for name in ("a.py", "a.pxd"):
        (tmp_path / "cdc" / name).write_text("")
    assert shipped_c(tmp_path) is None
    (tmp_path / "generated").mkdir()
    (tmp_path / "generated" / "digest").write_text(digest_of(tmp_path))
    assert shipped_c(tmp_path) == tmp_path / "generated"
    assert compiled_modules(tmp_path, Path("generated"))[0].sources == ["generated/cdc/a.c"]
    (tmp_path / "cdc" / "a.pxd").write_text("# changed")
    assert shipped_c(tmp_path) is None


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="pip's output is found by Linux's /proc")
def test_progress_goes_to_the_output_of_pip_itself() -> None:
    done = subprocess.run([sys.executable, "-c", PIP, BUILD], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["  cdc: compiling 2 modules, 0 s", "  cdc: compiled 2 of 2 modules, 0 s",
                                        "hidden: "]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="pip's output is found by Linux's /proc")
def test_progress_stays_hidden_if_pip_writes_to_a_file(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        subprocess.run([sys.executable, "-c", PIP, BUILD], cwd=ROOT, stdout=log, check=True)
    assert (tmp_path / "log").read_text().startswith("hidden:   cdc: compiling 2 modules, 0 s")


def test_c_files_that_are_linked_are_all_there_are() -> None:
    linked = {file for files in C_FILES.values() for file in files}
    assert linked == {path.name for path in (ROOT / "cdc").rglob("*.c")}


def test_without_compiled_modules_there_are_no_native_ones() -> None:
    program = "from cdc import about, native; print(native.module('batch'), set(about.native_modules().values()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "CDC_PURE": "1"},
                          capture_output=True, text=True, check=True)
    assert done.stdout == "None {'missing'}\n"
