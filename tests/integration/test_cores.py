"""The tests of the modules that can be compiled, with none and with all of them compiled. All other tests run with what
an install from a checkout compiles."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cdc import about
from tests import release

ROOT = Path(__file__).parents[2]
UNIT = ("codecs", "converters", "core", "debezium", "runtime/test_inflight.py",
        *(f"sources/{path.parent.name}/{path.name}" for path in (ROOT / "tests/unit/sources").glob("*/test_*.py")
          if path.stem in {"test_changes", "test_copytext", "test_damage", "test_native_changes", "test_native_log",
                           "test_native_rows", "test_protocol", "test_transaction"}))
"""Below `tests/unit`: the tests of compiled modules, whole streams and damaged bytes among them."""
GOLDEN = ("tests/integration/test_golden_postgres.py", "tests/integration/test_golden_mysql.py")


def test_all_rooms_with_compiled_modules_are_listed() -> None:
    rooms = {path.relative_to(ROOT / "cdc").parts[0] for path in (ROOT / "cdc").rglob("*.pxd")} - {"native"}
    assert rooms == {Path(each).parts[0] for each in UNIT}


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
@pytest.mark.parametrize("tests", [["tests/unit/converters"], GOLDEN], ids=["unit", "golden"])
def test_plain_python_passes_the_same_tests(tests: Sequence[str]) -> None:
    passes(tests, ROOT, "python", CDC_PURE="1")


@pytest.mark.skipif(about.core() == "python", reason="nothing was compiled")
@pytest.mark.parametrize("tests", [[*(f"tests/unit/{each}" for each in UNIT), "tests/unit/test_speed.py"], GOLDEN],
                         ids=["unit", "golden"])
def test_all_modules_compiled_pass_the_same_tests(tests: Sequence[str], compiled: Path) -> None:
    passes(tests, compiled, "compiled", CDC_PURE="")


def passes(tests: Sequence[str], tree: Path, core: str, **environment: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(tree), **environment}
    version = subprocess.run([sys.executable, "-m", "cdc", "version"], cwd=tree, env=env, capture_output=True,
                             text=True, check=True)
    assert f"core: {core}" in version.stdout
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "passed" in done.stdout
