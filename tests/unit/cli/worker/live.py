"""A real worker in this process, with Kafka's file source as its connector class, and the commands that ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from cdc import assembly, plugins
from cdc.cli.main import main
from cdc.config.providers import Providers
from cdc.runtime.connectors import Connectors
from tests.servers.process import wait_until
from tests.unit.rest.file_source import PLUGIN

FILE = {"connector.class": "FileStreamSource", "topic": "t", "file": "in", "tasks.max": "1"}


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Runs commands against the worker at `url`."""

    def __init__(self, capsys: pytest.CaptureFixture[str], url: str) -> None:
        self._capsys = capsys
        self.url = url

    def __call__(self, *arguments: str) -> Ended:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = self._capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connectors]:
    """A worker, which the tests of a module share."""
    folder = tmp_path_factory.mktemp("worker")
    raw = {"sink.type": "file", "sink.file.path": str(folder / "events"), "listeners": "http://127.0.0.1:0",
           "offset.storage.file.filename": str(folder / "offsets"), "value.converter.schemas.enable": "false",
           "offset.flush.interval.ms": "0"}
    with capture_logs():  # they would stand between what commands print
        settings, _ = assembly.parse_worker(raw)
        providers = Providers.of(raw)
        connectors = assembly.assemble(settings, [], providers)
        server = assembly.rest_server(settings, connectors, providers)
        connectors.worker.worker_id = server.start()[0]
        connectors.worker.start()
        try:
            yield connectors
        finally:
            stopped = connectors.worker.stop(20)
            connectors.worker.close()
            server.stop()
    assert stopped


@pytest.fixture
def shell(running: Connectors, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    """Commands against the worker, which has no connectors and no offsets."""
    monkeypatch.setattr(plugins, "installed", lambda: (PLUGIN,))
    monkeypatch.setenv("CDC_CLI_URL", running.worker.worker_id)
    yield Shell(capsys, running.worker.worker_id)
    for name in list(running.connectors()):
        running.stop(name)
        wait_until(lambda name=name: not running.worker.is_leaving(name), 20, "the end of a task")  # type: ignore[misc]
        running.reset_offsets(name)
        running.delete(name)


@pytest.fixture
def shop(shell: Shell, tmp_path: Path) -> Shell:
    """A shell, and a connector `shop` that runs and has sent its only record."""
    assert shell("apply", "-f", written(tmp_path, "shop", FILE)).code == 0
    wait_until(lambda: bool(shell("offsets", "export").out), 20, "the first offset")
    return shell


def written(folder: Path, name: str, config: Mapping[str, str]) -> str:
    """A file as Kafka Connect's REST interface takes it."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"name": name, "config": dict(config)}))
    return str(path)
