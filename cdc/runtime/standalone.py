"""One process, its own connectors, no group: the whole of Kafka Connect's standalone mode."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from cdc.core.errors import CdcError
from cdc.log import get_logger

from .options import WorkerConfig
from .systemd import ServiceManager
from .worker import Worker

log = get_logger(__name__)


EXTRA_STOP_S = 20.0
"""For what comes after the tasks: closing the store and the REST interface."""


class Server(Protocol):
    """`rest.server.RestServer`, as it is used here."""

    def listen(self) -> list[str]: ...

    def serve(self) -> None: ...

    def stop(self) -> None: ...


def run(worker: Worker, settings: WorkerConfig, stop: threading.Event, server: Server | None = None,
        manager: ServiceManager | None = None, *, again: bool = True,
        goes_on: Callable[[], bool] = lambda: False) -> int:
    """Run until *stop* is set, or no connector runs any more and *goes_on* says no. *again*: a later run may go on from
    the stored offsets, so a person is told when something was not committed.

    Returns 0 if all that was read from the sources is delivered and committed, 1 if not or when a connector failed.

    Raises ConfigError when the REST address cannot be opened, and at the end the first CdcError that ended a connector.
    """
    manager = manager or ServiceManager(worker.tasks)
    stop_s = settings.task_shutdown_graceful_timeout_ms / 1000 + 10
    try:
        if server is not None:
            urls = server.listen()
            worker.worker_id = urls[0].partition("://")[2] if urls else ""
        worker.start()
        if server is not None:
            server.serve()
        worker.wait(stop, manager.tick, goes_on)
    finally:
        manager.stopping(stop_s + EXTRA_STOP_S)
        in_time = worker.stop(stop_s)
        if not in_time:
            log.warning("tasks_abandoned")
        unfinished = worker.unfinished()
        worker.close()
        if server is not None:
            server.stop()
    errors = worker.errors()
    for error in errors:
        if isinstance(error, CdcError):
            raise error
    if unfinished and again:
        log.warning("stopped_unfinished", connectors=unfinished, hint="What was not committed comes again.")
    return 1 if errors or unfinished or not in_time else 0
