"""The same tests, with the core as plain Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


UNIT = [f"tests/unit/{room}" for room in ("codecs", "converters", "core", "debezium", "native", "runtime", "sources")]
"""The rooms of `cdc` with compiled modules, and those whose tests run them."""
SIMULATIONS = ("*histories.py", "*simulation.py", "*owners.py")
"""They ask what the code does, which is the same, and take as long as all the others together."""


def test_all_rooms_with_compiled_modules_are_listed() -> None:
    rooms = {path.relative_to(ROOT / "cdc").parts[0] for path in (ROOT / "cdc").rglob("*.pxd")}
    assert rooms <= {Path(each).name for each in UNIT}


@pytest.mark.skipif(os.environ.get("CDC_PURE") == "1", reason="this run is the uncompiled one")
@pytest.mark.parametrize("tests", [
    UNIT, ["tests/integration/test_golden_postgres.py", "tests/integration/test_golden_mysql.py"],
], ids=["unit", "golden"])
def test_the_uncompiled_core_passes_the_same_tests(tests: list[str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests,
               *(f"--ignore-glob={pattern}" for pattern in SIMULATIONS)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "CDC_PURE": "1"}, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "passed" in done.stdout


def test_version_says_which_core_runs() -> None:
    command = [sys.executable, "-m", "cdc", "version"]
    plain = subprocess.run(command, env={**os.environ, "CDC_PURE": "1"}, capture_output=True, text=True, check=True)
    assert "core: python" in plain.stdout
