"""Prometheus and promtool, from Debian's package."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.servers import debian
from tests.servers.process import free_port, wait_until


def installed() -> Path:
    """The unpacked package. Raises ServerUnavailableError."""
    return debian.unpacked("prometheus", ["prometheus"], "25 MB")


def promtool(*words: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool; its exit code is 0 if it found nothing wrong."""
    root = installed()
    return subprocess.run([*debian.command(root, root / "usr/bin/promtool"), *map(str, words)], input=text, text=True,
                          capture_output=True, check=False)


def scraping(targets: Sequence[str], rules: Sequence[Path] = (), every_s: int = 1) -> dict[str, Any]:
    """The configuration that scrapes *targets* (host:port) each *every_s* seconds as the job `cdc`."""
    return {
        "global": {"scrape_interval": f"{every_s}s", "evaluation_interval": f"{every_s}s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [{"job_name": "cdc", "static_configs": [{"targets": list(targets)}]}]}


class PrometheusServer:
    """Runs with the configuration *config*, and keeps its files in *folder*."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._folder = folder
        self._port = free_port()
        self._config = dict(config)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PrometheusServer:
        root = installed()
        config = self._folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._config), encoding="utf-8")
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*debian.command(root, root / "usr/bin/prometheus"), f"--config.file={config}",
                 f"--storage.tsdb.path={self._folder / 'data'}", f"--web.listen-address=127.0.0.1:{self._port}",
                 f"--web.console.templates={self._folder}", f"--web.console.libraries={self._folder}"],
                stdout=log, stderr=log)
        wait_until(self._ready, 60, "Prometheus to be ready")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples that *expression* finds now, each with its `metric` (labels) and `value` (time and text)."""
        return list(self._get("query", query=expression)["result"])

    def range(self, expression: str, begin: float, end: float, every_s: float = 1) -> list[dict[str, Any]]:
        """The series that *expression* finds from *begin* to *end*: `metric`, and `values` (times and texts)."""
        return list(self._get("query_range", query=expression, start=str(begin), end=str(end),
                              step=f"{every_s:g}")["result"])

    def value(self, expression: str) -> float | None:
        """The value of the only sample; None without one."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def alerts(self) -> Mapping[str, str]:
        """The state of each alert that is pending or firing, by name."""
        return {each["labels"]["alertname"]: each["state"] for each in self._get("alerts")["alerts"]}

    def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._port}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            found = json.load(answer)
        assert found["status"] == "success", found
        data: dict[str, Any] = found["data"]
        return data

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "prometheus.log").read_text(errors="replace")[-2000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
