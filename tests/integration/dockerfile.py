"""A Dockerfile, read and executed without Docker: its paths are below a folder, its `python` is one of this machine.

Only the instructions that ours has are known; another one is an error, so that no step is left out unnoticed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

PATHS = ("/opt/cdc", "/opt/build", "/src", "/var/lib/cdc", "/etc/cdc")
"""What the image has of its own."""
_PATH = re.compile(rf"(?<![\w.])({'|'.join(PATHS)})(?![\w-])")


class Instruction(NamedTuple):
    name: str
    text: str


def read(path: Path) -> list[Instruction]:
    """All instructions, continuation lines joined, comments left out."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    split = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [Instruction(name.upper(), text.strip()) for name, text in split]


def stages(instructions: list[Instruction]) -> list[list[Instruction]]:
    """Each begins with its FROM."""
    found: list[list[Instruction]] = []
    for each in instructions:
        if each.name == "FROM":
            found.append([])
        if found:
            found[-1].append(each)
    return found


@dataclass
class Build:
    """One build below *root*, from the files of *context*. After `run`, what the last stage says is in the fields."""

    context: Path
    root: Path
    arguments: Mapping[str, str]
    path: str
    """PATH of the base image; it must have `python`."""
    before_run: Callable[[str], None] = lambda text: None
    """Called before each RUN, with its text."""
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    user: str = ""
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    working_directory: str = "/"

    def below(self, text: str) -> str:
        """*text* with the image's own paths below our root."""
        return _PATH.sub(lambda match: f"{self.root}{match[1]}", text)

    def run(self, stage: list[Instruction]) -> None:
        """All steps of one stage, in order."""
        self.environment = {"PATH": self.path}
        values: dict[str, str] = {}
        for name, text in stage:
            match name:
                case "FROM":
                    pass
                case "ARG":
                    key, _, default = text.partition("=")
                    values[key] = self.arguments.get(key, default)
                case "ENV":
                    self.environment |= {key: _filled(value, values | self.environment) for key, value in _pairs(text)}
                    self.environment["PATH"] = self.below(self.environment["PATH"])
                case "LABEL":
                    self.labels |= {key: _filled(value, values) for key, value in _pairs(text)}
                case "WORKDIR":
                    self.working_directory = text
                    Path(self.below(text)).mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(text)
                case "RUN":
                    self.before_run(text)
                    self.execute(["/bin/sh", "-c", self.below(text)], values)
                case "USER":
                    self.user = text
                case "ENTRYPOINT":
                    self.entrypoint = json.loads(text)
                case "CMD":
                    self.command = json.loads(text)
                case "HEALTHCHECK":
                    self.healthcheck = json.loads(text.partition("CMD")[2])
                case "VOLUME" | "EXPOSE":
                    pass
                case _:
                    raise AssertionError(f"unknown instruction: {name}")

    def execute(self, words: list[str], values: Mapping[str, str]) -> str:
        done = subprocess.run(words, cwd=self.below(self.working_directory), env={**values, **self.environment},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, f"{words[-1]}\n{done.stdout[-4000:]}"
        return done.stdout

    def _copy(self, text: str) -> None:
        words = shlex.split(text)
        flags = dict(word.removeprefix("--").split("=", 1) for word in words if word.startswith("--"))
        *sources, target_text = [word for word in words if not word.startswith("--")]
        base = Path(self.below(self.working_directory))
        for source_text in sources:
            target = base / self.below(target_text)
            source = Path(self.below(source_text)) if "from" in flags else self.context / source_text
            if source != target:
                _copy_one(source, target, inside=target_text.endswith("/") and not source.is_dir())
            if "chown" in flags and os.geteuid() == 0:
                user, group = map(int, flags["chown"].split(":"))
                os.chown(target, user, group)


def _copy_one(source: Path, target: Path, *, inside: bool) -> None:
    """As COPY: of a folder its content, without what the build leaves out (see Dockerfile.dockerignore)."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        return
    file = target / source.name if inside else target
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, file)


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (word.partition("=") for word in shlex.split(text))]


def _filled(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda match: values[match[1]], text)
