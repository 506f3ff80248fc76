"""Running `cdc` as the user nobody, wherever the clone and its packages lie. For tests that run as root."""

from __future__ import annotations

import importlib.metadata
import pwd
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
EXTRA = "demo"


def as_nobody() -> list[str]:
    """The start of a command that nobody is to run."""
    user = pwd.getpwnam("nobody")
    return ["setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]


def other_python() -> str:
    """An interpreter of our version that other users may run: ours is theirs too unless it lies below ~root."""
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        # setpriv starts what root may start; what that starts is the other user's affair.
        code = "import subprocess, sys; subprocess.check_call([sys.executable, '-c', '']); print(sys.version_info[:2])"
        run = [*as_nobody(), candidate, "-c", code]
        done = subprocess.run(run, capture_output=True, text=True, check=False, cwd="/")
        if done.returncode == 0 and done.stdout.strip() == str(sys.version_info[:2]):
            return candidate
    pytest.skip("no Python of this version that another user may run")


def readable_path(copies: Path) -> list[Path]:
    """Folders for PYTHONPATH that every user may read: the clone and its packages, or their copies in *copies*.

    Other users cannot enter a clone below a closed folder, such as root's home. Copied are this package and what it
    and its extra `demo` require, 150 MB.
    """
    packages = Path(sysconfig.get_path("platlib"))
    if _open_to_all(ROOT) and _open_to_all(packages):
        return [ROOT, packages]
    shutil.copytree(ROOT / "cdc", copies / "cdc", ignore=shutil.ignore_patterns("__pycache__"))
    for name in _required("cdc", EXTRA) - {"cdc"}:
        _copy(name, packages, copies)
    return [copies]


def _open_to_all(folder: Path) -> bool:
    whole = folder.resolve()
    return all(part.stat().st_mode & 0o005 == 0o005 for part in (whole, *whole.parents))


def _required(name: str, extra: str = "") -> set[str]:
    """Distribution *name*, and all that are installed because it requires them."""
    found, waiting = set[str](), [(name, extra)]
    while waiting:
        name, extra = waiting.pop()
        found.add(name)
        for line in importlib.metadata.requires(name) or ():
            wanted = Requirement(line)
            applies = wanted.marker is None or wanted.marker.evaluate({"extra": extra})
            if applies and wanted.name not in found:
                waiting += [(wanted.name, each) for each in (wanted.extras or {""})]
    return found


def _copy(name: str, packages: Path, copies: Path) -> None:
    """The files of distribution *name* that lie below *packages*: its scripts do not."""
    for file in importlib.metadata.files(name) or ():
        path = Path(str(file.locate()))
        if path.is_relative_to(packages) and ".." not in path.parts and path.is_file():
            target = copies / path.relative_to(packages)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
