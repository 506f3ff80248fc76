"""`docker-compose.yml`, read as data: what it tells each service, for tests that start the same without Docker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"


def load() -> dict[str, Any]:
    """The whole file, its anchors and merges followed."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = load()["services"][name]
    return found


def environment(name: str) -> dict[str, str]:
    found: dict[str, str] = service(name).get("environment", {})
    return found


def settings(name: str) -> dict[str, str]:
    """A database server's settings on its command line, by its own names: `-c a=b` or `--a-b=c`."""
    words = [word for word in service(name)["command"] if "=" in word]
    pairs = [word.removeprefix("--").split("=", 1) for word in words]
    return {key.replace("-", "_"): value for key, value in pairs}


def kafka_settings(name: str) -> dict[str, str]:
    """A broker's properties, as its image makes them of variables: `_` is a dot, `__` a `_`, `___` a `-`."""
    def key(variable: str) -> str:
        spelled = {"_": ".", "__": "_", "___": "-"}
        return re.sub("_+", lambda match: spelled[match[0]], variable.removeprefix("KAFKA_").lower())

    return {key(variable): value for variable, value in environment(name).items() if variable.startswith("KAFKA_")}


def scripts(name: str) -> list[Path]:
    """The SQL files that a database's image runs when its data folder is new, in order."""
    mounts = [str(mount).split(":") for mount in service(name)["volumes"]]
    found = {target: ROOT / source for source, target, *_ in mounts if "/docker-entrypoint-initdb.d/" in target}
    return [found[target] for target in sorted(found)]
