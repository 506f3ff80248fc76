"""All modules that can be compiled, as a release has them: an install from a checkout compiles only a part."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUFFIX: str = sysconfig.get_config_var("EXT_SUFFIX")
FOLDER = ROOT / "build" / "release"
SETUP = "import sys; from setuptools import setup; sys.argv[0] = 'setup.py'; setup()"


def modules() -> Path:
    """The folder that has `cdc/` with the compiled modules, and nothing else. Compiles those that changed since the
    last call, which takes a minute or two at first."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _take_over_installed()
        done = subprocess.run([sys.executable, "-c", SETUP, "-q", "build_ext", "--build-lib", str(FOLDER / "lib"),
                               "--build-temp", str(FOLDER / "temp")],
                              cwd=ROOT, env={**os.environ, "CDC_REQUIRE_COMPILED": "1", "CDC_SKIP_COMPILE": ""},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:]
    return FOLDER / "lib"


def _take_over_installed() -> None:
    """With their times, so that one which is older than its source is compiled again."""
    for module in (ROOT / "cdc").rglob(f"*{SUFFIX}"):
        target = FOLDER / "lib" / module.relative_to(ROOT)
        if not target.exists() or target.stat().st_mtime < module.stat().st_mtime:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(module, target)
