"""Debian packages with all they need, unpacked into the cache and run from there: nothing is installed, root or not.

The mirror is the one that the machine's own apt sources name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.servers import fetch
from tests.servers.process import ServerUnavailableError

# Documentation and Perl, which the servers do without: half of what is unpacked.
_LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/perl", "usr/lib/*/perl*", "etc")

# A root of apt's own, with no package installed: so the packages come with everything below them, libc included.
_APT_CONF = """\
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Debug::NoLocking "1";
APT::Sandbox::User "";
APT::Install-Recommends "0";
Acquire::Languages "none";
"""


def unpacked(name: str, packages: Sequence[str], size: str, release: str | None = None) -> Path:
    """The cache's folder *name* with *packages* of a Debian release (the machine's own), laid out as `/`."""

    def fill(root: Path) -> None:
        fetch.say(f"fetching the Debian packages {', '.join(packages)} ({size})")
        with tempfile.TemporaryDirectory() as folder:
            for package in _download(Path(folder), packages, release):
                fetch.run("dpkg-deb", "-x", package, root)
        for pattern in _LEFT_OUT:
            for path in root.glob(pattern):
                shutil.rmtree(path)

    return fetch.cached(name, fill)


def command(root: Path, program: Path) -> list[str]:
    """Runs *program* of the unpacked folder *root* with the loader and the libraries of that folder."""
    loaders = [path for place in ("usr/lib64", "lib64", "usr/lib", "lib") for path in root.glob(f"{place}/ld-linux*")]
    libraries = ":".join(str(path) for place in ("usr/lib", "lib") for path in root.glob(f"{place}/*-linux-gnu*"))
    return [str(loaders[0]), "--library-path", libraries, str(program)]


def _download(folder: Path, packages: Sequence[str], release: str | None) -> list[Path]:
    mirror, own_release = _mirror()
    keys = next(Path("/usr/share/keyrings").glob("debian-archive-keyring.*"), None)
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    signed = f"[signed-by={keys}] " if keys else ""
    (folder / "sources.list").write_text(f"deb {signed}{mirror} {release or own_release} main\n")
    configuration = folder / "apt.conf"
    configuration.write_text(_APT_CONF.format(folder=folder))
    apt = ("env", f"APT_CONFIG={configuration}", "apt-get", "-q", "-y")
    fetch.run(*apt, "update")
    fetch.run(*apt, "install", "--download-only", *packages)
    return sorted((folder / "cache/archives").glob("*.deb"))


def _mirror() -> tuple[str, str]:
    """The address of Debian's archive and the release, from apt's sources; raises ServerUnavailableError."""
    query = ("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages")
    # What an archive says of itself is known once its lists were read; before that, go by the usual path.
    for words in ((*query, "Origin: Debian", "Label: Debian"), query):
        for line in fetch.run(*words).splitlines():
            mirror, _, release = line.partition(" ")
            if "-" not in release and (words is not query or mirror.rstrip("/").endswith("/debian")):
                return mirror, release
    raise ServerUnavailableError("apt's sources name no archive of Debian")


def printed(words: Sequence[str]) -> str:
    """What a program prints with times in UTC; raises CalledProcessError."""
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
    return subprocess.run(words, env=environment, capture_output=True, check=True).stdout.decode(errors="replace")
