"""`deploy/Dockerfile`: a linter has nothing to say, and everything in it is pinned and comes from where it should."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.integration import dockerfile

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
REQUIREMENTS = ROOT / "deploy" / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
INSTRUCTIONS = dockerfile.read(DOCKERFILE)


def arguments() -> dict[str, str]:
    pairs = [each.text.partition("=") for each in INSTRUCTIONS if each.name == "ARG"]
    return {name: default for name, _, default in pairs}


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=sysconfig.get_path("scripts")) or shutil.which("hadolint")
    assert hadolint is not None, "it is in the extra `test`"
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_base_images_are_pinned_to_one_release() -> None:
    bases = [each.text.split()[0] for each in INSTRUCTIONS if each.name == "FROM"]
    filled = [re.sub(r"\$\{(\w+)\}", lambda match: arguments()[match[1]], base) for base in bases]
    assert [base for base in filled if not re.fullmatch(r"python:3\.\d+\.\d+-[a-z-]+", base)] == []
    label = re.search(r'base\.name="docker\.io/library/([^"]+)"', DOCKERFILE.read_text(encoding="utf-8"))
    assert label is not None
    assert label[1] == filled[-1]


def locked(name: str) -> dict[str, str]:
    """The packages of a file in `deploy/requirements` with their versions; each has hashes."""
    text = (REQUIREMENTS / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    found = [re.match(r"([\w.-]+)==([\w.]+)\s.*--hash=sha256:[0-9a-f]{64}", line) for line in lines]
    assert None not in found, [line[:40] for line in lines if "--hash" not in line]
    return {canonicalize_name(match[1]): match[2] for match in found if match}


@pytest.mark.parametrize(("name", "wanted"), [
    ("run.txt", PROJECT["project"]["dependencies"]),
    ("build.txt", [*PROJECT["build-system"]["requires"], "Cython>=3.1"]),
])
def test_the_pinned_packages_are_what_the_project_requires(name: str, wanted: list[str]) -> None:
    """When this fails, the head of the file says which command makes it."""
    versions = locked(name)
    for requirement in map(Requirement, wanted):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{name} lacks {requirement.name}"
        assert version in requirement.specifier, f"{name} has {requirement.name} {version}"


def test_the_context_has_what_is_copied_and_nothing_else() -> None:
    ignored = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = {word.strip("/") for each in INSTRUCTIONS if each.name == "COPY" and "--from" not in each.text
              for word in each.text.split()[:-1]}
    assert "*" in ignored
    assert {"**/__pycache__", "**/*.so"} <= set(ignored), "the executor in tests leaves out the same"
    assert {source for source in copied if not any(f"{source}/".startswith(f"{each}/") for each in allowed)} == set()
    assert {each for each in allowed if not any(f"{source}/".startswith(f"{each}/") for source in copied)} == set()


def test_the_last_stage_has_what_a_container_needs() -> None:
    last = dockerfile.stages(INSTRUCTIONS)[-1]
    names = {each.name for each in last}
    assert {"USER", "HEALTHCHECK", "ENTRYPOINT", "CMD", "VOLUME", "EXPOSE", "LABEL"} <= names
    assert "RUN" not in names, "nothing is installed there"
    user = next(each.text for each in last if each.name == "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "a number, so that Kubernetes can tell that it is no root"
