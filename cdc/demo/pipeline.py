"""The demo's pipeline: a worker and a connector as `cdc run` builds and runs them, with the screen as sink."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cdc import assembly
from cdc.config.providers import Providers
from cdc.core.interfaces import Sink
from cdc.runtime import standalone
from cdc.runtime.runner import Connector

_JSON = "org.apache.kafka.connect.json.JsonConverter"


def worker_config(folder: Path) -> dict[str, str]:
    return {
        "sink.type": "stdout",  # the screen replaces it
        "key.converter": _JSON,
        "key.converter.schemas.enable": "false",
        "value.converter": _JSON,
        "value.converter.schemas.enable": "false",
        "offset.storage.file.filename": str(folder / "offsets.db"),
        "offset.flush.interval.ms": "1000",
        "listeners": "http://127.0.0.1:0",
    }


def connector_config(server: Mapping[str, str]) -> dict[str, str]:
    """The configuration of a Debezium connector for the shop; *server* holds the keys that depend on the server."""
    return {
        "name": "demo",
        **server,
        "topic.prefix": "demo",
        "decimal.handling.mode": "string",
        "time.precision.mode": "isostring",
        "tombstones.on.delete": "false",
    }


class Pipeline:
    """Runs in threads from `start` until the block ends."""

    def __init__(self, folder: Path, connector: Mapping[str, str], sink: Sink) -> None:
        self.settings, _ = assembly.parse_worker(worker_config(folder))
        providers = Providers.of({})

        def with_sink(made: Connector) -> Connector:
            return replace(made, parts=lambda stop: replace(made.parts(stop), sink=sink))

        connectors = assembly.assemble(self.settings, [connector], providers, changed=with_sink)
        self._worker = connectors.worker
        self._server = assembly.rest_server(self.settings, connectors, providers)
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: object, trace: TracebackType | None) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def start(self) -> None:
        self._thread.start()

    def url(self) -> str | None:
        """The address of the REST interface, once it listens."""
        return next(iter(self._server.urls), None)

    def check(self) -> None:
        """Raises the error that ended the pipeline, if it has ended."""
        if self._ended.is_set():
            raise self._error or RuntimeError("the pipeline ended by itself")

    def _run(self) -> None:
        try:
            standalone.run(self._worker, self.settings, self._stop, self._server, again=False)
            errors: list[Any] = self._worker.errors()
            self._error = errors[0] if errors else None
        except BaseException as exc:
            self._error = exc
        finally:
            self._ended.set()
