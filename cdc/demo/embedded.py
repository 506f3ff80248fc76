"""The base of the demo's servers. A guard process (guard.py) runs each, and removes every trace of it."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from cdc.core.errors import SourceRefusedError

from . import guard
from .shop import Shop, Workload


class EmbeddedServer(ABC):
    """A server in its own temporary folder. Only our operating system user can connect, by the socket in that folder.

    A separate process (guard.py) starts and ends it, even if we are killed. Also a context manager.
    """

    title: ClassVar[str]

    def __init__(self, stop: threading.Event) -> None:
        self.folder = Path()
        self._stop = stop
        self._guard: subprocess.Popen[str] | None = None

    @abstractmethod
    def order(self) -> guard.Order:
        """The order for the guard. Raises ConfigError if the server is not installed, SourceRefusedError."""

    @abstractmethod
    def connector(self) -> dict[str, str]:
        """The configuration of a Debezium connector for the shop, without name, topics and values."""

    @abstractmethod
    def open_shop(self, seed: int) -> Shop:
        """Create the database with its first rows. Raises SourceConnectionError."""

    @abstractmethod
    def workload(self, shop: Shop, rate: float) -> Workload:
        """The thread that changes the shop's rows, not yet started."""

    @abstractmethod
    def head(self) -> list[tuple[str, str]]:
        """The facts about the server that are shown, by name."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: object, trace: TracebackType | None) -> None:
        self.close()

    def start(self) -> bool:
        """Returns True once the server accepts clients, False if the stop event came first.

        Raises ConfigError when the server is not installed, SourceRefusedError when it does not start.
        """
        order = self.order()
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

    def check(self) -> None:
        """Raises SourceRefusedError if the server has stopped on its own."""
        assert self._guard is not None
        if self._guard.poll() is not None:
            self._answer()
            raise SourceRefusedError(f"The demo's {self.title} was stopped.")

    def close(self) -> None:
        """Stop the server and remove its folder. Idempotent."""
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
        """The guard's next line; None if the stop event comes first."""
        assert self._guard is not None
        assert self._guard.stdout is not None
        deadline = time.monotonic() + guard.START_TIMEOUT_S * 3
        while not select.select([self._guard.stdout], [], [], 0.05)[0]:
            if self._stop.is_set():
                return None
            if time.monotonic() > deadline:
                raise SourceRefusedError(f"The demo's {self.title} did not start in time.")
        line = self._guard.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"failed": "Its guard process was killed."}
        if "failed" in answer:
            raise SourceRefusedError(f"The demo's {self.title} does not run. {answer['failed']}")
        return answer
