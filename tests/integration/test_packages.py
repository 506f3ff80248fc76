"""A source distribution that needs no Cython, and a wheel of it that needs no compiler.

The compiler's work is not done again: the modules of `tests.release` stand in for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from cdc import about
from tests import release

ROOT = Path(__file__).parents[2]
NEITHER = {"CC": "/bin/false", "CXX": "/bin/false", "CDC_PURE": "", "CDC_REQUIRE_COMPILED": "1"}

pytestmark = pytest.mark.skipif(about.core() == "python", reason="the core of this checkout is not compiled")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run([str(each) for each in command], cwd=cwd, env={**os.environ, **environment},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    tree = folder / "tree"
    shutil.copytree(ROOT / "cdc", tree / "cdc", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, tree)
    release.modules()
    shutil.copytree(ROOT / "build" / "cython", tree / "build" / "cython")  # spares the translation
    hook = "import sys; from cdc._build import build_sdist; build_sdist(sys.argv[1])"
    run(sys.executable, "-c", hook, folder, cwd=tree, PYTHONPATH=str(tree))
    archive, = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built where neither Cython nor a compiler works."""
    folder = tmp_path_factory.mktemp("wheel")
    built = sdist / "build" / f"lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    shutil.copytree(release.modules(), built, copy_function=shutil.copyfile)
    no_cython = folder / "no_cython" / "Cython"
    no_cython.mkdir(parents=True)
    (no_cython / "__init__.py").write_text("raise ImportError('there is no Cython here')\n")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, sdist, cwd=folder,
        PYTHONPATH=str(no_cython.parent), **NEITHER)
    made, = folder.glob("*.whl")
    return made


def test_a_source_distribution_has_the_c_of_each_compiled_module(sdist: Path) -> None:
    wanted = {name.replace(".", "/") + ".c" for name in (*about.core_modules(), *about.native_modules())}
    found = {path.relative_to(sdist / "generated").as_posix() for path in (sdist / "generated").rglob("*.c")}
    assert found == wanted
    code = "from cdc._build import get_requires_for_build_wheel as asked; print(asked())"
    assert "Cython" not in run(sys.executable, "-c", code, cwd=sdist, PYTHONPATH=str(sdist))


def test_the_c_is_not_used_for_other_sources(sdist: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(sdist, changed)
    with (changed / "cdc" / "core" / "row.py").open("a") as source:
        source.write("\n# patched\n")
    code = "from cdc._build import get_requires_for_build_wheel as asked; print(asked())"
    assert "Cython" in run(sys.executable, "-c", code, cwd=changed, PYTHONPATH=str(changed))


WRITTEN = {path.relative_to(ROOT).as_posix() for path in (ROOT / "cdc" / "native").glob("*.c")}
"""The C of the native modules that is a source."""


def test_a_wheel_has_the_packages_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    assert release.SUFFIX not in ("", None)
    for name in ("cdc/py.typed", "cdc/core/row.pxd", f"cdc/core/row{release.SUFFIX}", "cdc/demo/shop-postgres.sql",
                 "cdc/docs/differences.md", "cdc/docs/reference/postgres.md"):
        assert name in names
    assert {name for name in names if name.endswith(".c")} <= WRITTEN, "none that Cython has made"


def test_a_wheel_runs_compiled_without_a_compiler(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path,
        **NEITHER)
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")  # those of this environment
    clean = {"PYTHONPATH": "", "PATH": str(tmp_path)}
    assert "core: compiled" in run(python.parent / "cdc", "version", cwd=tmp_path, **clean, **NEITHER)
    assert str(packages) in run(python, "-c", "import cdc; print(cdc.__file__)", cwd=tmp_path, **clean)
