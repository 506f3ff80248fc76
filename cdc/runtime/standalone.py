"""One process, its own connectors, no group: the whole of Kafka Connect's standalone mode."""

from __future__ import annotations

import threading
from typing import Protocol

from cdc.core.errors import CdcError
from cdc.log import get_logger

from .options import WorkerConfig
from .worker import Worker

log = get_logger(__name__)


class Server(Protocol):
    """`rest.server.RestServer`, as it is used here."""

    def start(self) -> list[str]: ...

    def stop(self) -> None: ...


def run(worker: Worker, settings: WorkerConfig, stop: threading.Event, server: Server | None = None) -> int:
    """Until *stop* is set or no connector runs any more; 0, or 1 when one of them failed.

    Raises ConfigError when the REST address cannot be had, and the first connector's error when all failed.
    """
    try:
        if server is not None:
            urls = server.start()
            worker.worker_id = urls[0].removeprefix("http://") if urls else ""
        worker.start()
        worker.wait(stop)
    finally:
        in_time = worker.stop(settings.task_shutdown_graceful_timeout_ms / 1000 + 10)
        if not in_time:
            log.warning("tasks_abandoned")
        worker.close()
        if server is not None:
            server.stop()
    errors = worker.errors()
    for error in errors:
        if isinstance(error, CdcError):
            raise error
    return 1 if errors else 0
