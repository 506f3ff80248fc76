"""The same tests, with the core as plain Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(os.environ.get("CDC_PURE") == "1", reason="this run is the uncompiled one")
@pytest.mark.parametrize("tests", [
    "tests/unit", "tests/integration/test_golden_postgres.py", "tests/integration/test_golden_mysql.py"])
def test_the_uncompiled_core_passes_the_same_tests(tests: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests, "--deselect",
               "tests/unit/test_static.py"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "CDC_PURE": "1"}, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "passed" in done.stdout


def test_version_says_which_core_runs() -> None:
    command = [sys.executable, "-m", "cdc", "version"]
    plain = subprocess.run(command, env={**os.environ, "CDC_PURE": "1"}, capture_output=True, text=True, check=True)
    assert "core: python" in plain.stdout
