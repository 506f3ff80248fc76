"""The tests of the modules that can be compiled, with none and with all of them compiled. All other tests run with what
an install from a checkout compiles."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cdc import about
from tests import release

ROOT = Path(__file__).parents[2]
ROOMS = {"codecs", "converters", "core", "debezium", "native", "runtime", "sources"}
"""Those of `cdc` with compiled modules, and those whose tests run them."""
NATIVE = ("converters", "runtime", "sources")
"""Those with code that runs only where `cdc.native` is not built."""
GOLDEN = ("tests/integration/test_golden_postgres.py", "tests/integration/test_golden_mysql.py")
SIMULATIONS = ("*histories.py", "*simulation.py", "*owners.py")
"""They ask what the code does, which is the same, and take as long as all the others together."""


def test_all_rooms_with_compiled_modules_are_listed() -> None:
    assert {path.relative_to(ROOT / "cdc").parts[0] for path in (ROOT / "cdc").rglob("*.pxd")} <= ROOMS


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout with the modules of a release."""
    tree = tmp_path_factory.mktemp("compiled")
    for name in ("cdc", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", f"*{release.SUFFIX}"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy2(ROOT / name, tree)
    shutil.copytree(release.modules(), tree, dirs_exist_ok=True)
    return tree


@pytest.mark.skipif(about.core() == "python", reason="this run is the plain one")
@pytest.mark.parametrize("tests", [[f"tests/unit/{room}" for room in NATIVE], GOLDEN], ids=["unit", "golden"])
def test_plain_python_passes_the_same_tests(tests: list[str]) -> None:
    passes(tests, ROOT, "python", CDC_PURE="1")


@pytest.mark.skipif(about.core() == "python", reason="nothing was compiled")
@pytest.mark.parametrize("tests", [[*(f"tests/unit/{room}" for room in sorted(ROOMS)), "tests/unit/test_speed.py"],
                                   GOLDEN], ids=["unit", "golden"])
def test_all_modules_compiled_pass_the_same_tests(tests: list[str], compiled: Path) -> None:
    passes(tests, compiled, "compiled", CDC_PURE="")


def passes(tests: list[str], tree: Path, core: str, **environment: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(tree), **environment}
    version = subprocess.run([sys.executable, "-m", "cdc", "version"], cwd=tree, env=env, capture_output=True,
                             text=True, check=True)
    assert f"core: {core}" in version.stdout
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests,
               *(f"--ignore-glob={pattern}" for pattern in SIMULATIONS)]
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "passed" in done.stdout
