"""The build: which modules are compiled and how, and lines of progress that are seen although pip hides our output."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from setuptools import Distribution, Extension

from cdc import about
from cdc._build.commands import BuildExt
from cdc._build.modules import C_FILES, compiled_modules, digest_of, shipped_c
from tests import release

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


@pytest.mark.parametrize(("environment", "installed"), [
    ({}, {"cdc.native.records": True, "cdc.core.row": False}),
    ({"CDC_REQUIRE_COMPILED": "1"}, {"cdc.native.records": True, "cdc.core.row": True}),
    ({"CDC_SKIP_COMPILE": "1"}, {"cdc.native.records": False, "cdc.core.row": False}),
])
def test_a_release_compiles_all_modules_and_another_install_those_of_native(environment: dict[str, str],
                                                                            installed: dict[str, bool]) -> None:
    program = ("import sys; from cdc._build.modules import is_installed;"
               "print({name: is_installed(name) for name in sys.argv[1:]})")
    done = subprocess.run([sys.executable, "-c", program, *installed], cwd=ROOT, capture_output=True, text=True,
                          check=True, env={**os.environ, "CDC_REQUIRE_COMPILED": "", "CDC_SKIP_COMPILE": "",
                                           **environment})
    assert done.stdout.strip() == str(installed)


@pytest.mark.parametrize("inplace", [False, True])
def test_no_binary_stays_beside_a_module_that_is_left_plain(inplace: bool, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """It would run in place of the source."""
    for name in ("a.py", "a.pxd"):
        (tmp_path / "cdc" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "cdc" / name).write_text("")
    monkeypatch.chdir(tmp_path)
    command = BuildExt(Distribution({"ext_modules": [Extension("cdc.a", ["cdc/a.py"])]}))
    command.inplace = inplace
    command.build_lib = "lib"
    command.ensure_finalized()
    binaries = [Path(folder, f"cdc/a{release.SUFFIX}") for folder in ("lib", "")]
    for binary in binaries:
        binary.parent.mkdir(parents=True, exist_ok=True)
        binary.write_text("")
    command.run()
    assert [binary.exists() for binary in binaries] == [False, not inplace]
    assert (tmp_path / "cdc" / "a.py").exists()


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


@pytest.mark.parametrize(("core_modules", "native_modules", "core"), [
    ({"python"}, {"missing"}, "python"), ({"python"}, {"compiled"}, "native"), ({"compiled"}, {"compiled"}, "compiled"),
    ({"compiled", "python"}, {"compiled"}, "mixed"), ({"python"}, {"compiled", "missing"}, "mixed"),
    ({"compiled"}, {"missing"}, "mixed"),
])
def test_the_core_is_named_by_what_was_compiled(core_modules: set[str], native_modules: set[str], core: str,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about, "core_modules", lambda: dict(enumerate(core_modules)))
    monkeypatch.setattr(about, "native_modules", lambda: dict(enumerate(native_modules)))
    assert about.core() == core
