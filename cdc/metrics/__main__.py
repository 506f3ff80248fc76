"""`python -m cdc.metrics FOLDER` writes Grafana's dashboards and Prometheus' alerts, for deploy/."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from .alerts import resource, rules
from .dashboards import BOARDS
from .grafana import dashboard


def files() -> Iterator[tuple[str, str]]:
    """Each file's path below the folder, and its text."""
    for board in BOARDS:
        yield f"grafana/dashboards/{board.uid}.json", json.dumps(dashboard(board), indent=1) + "\n"
    for name, content in (("cdc.rules.yml", rules()), ("prometheusrule.yaml", resource())):
        yield f"prometheus/{name}", yaml.safe_dump(dict(content), sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name, text in files():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
