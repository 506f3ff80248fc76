"""What every server here can do: start, stop, crash and restart on the same port and data, and go without a trace."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from tests.servers.process import ServerProcess, free_port, remove_folder, temp_folder


class Server(ABC):
    """A server of a temp folder of its own; also a context manager, started on entry and closed on exit."""

    title: ClassVar[str]
    host: ClassVar[str] = "127.0.0.1"
    start_timeout_s: ClassVar[float] = 120
    in_memory: ClassVar[bool] = False
    """Whether its folder may be in memory, where many files are made and removed faster."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder: Path | None = None
        self._argv: Sequence[str] = ()
        self._process: ServerProcess | None = None

    @abstractmethod
    def _prepare(self, folder: Path) -> Sequence[str]:
        """Finds or fetches the program, fills the new *folder*, and returns the command that serves from it."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it serves clients now."""

    def _uid(self) -> int | None:
        """The user who is to run it, if not ours."""
        return None

    def _environment(self) -> Mapping[str, str] | None:
        return None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, exc: object, trace: object) -> None:
        self.close()

    def start(self) -> Self:
        """Returns once it serves clients. Raises ServerUnavailableError or ServerFailedError."""
        assert not self.running, f"{self.title} is running already"
        if self.folder is None:
            folder = temp_folder(self.title.split()[0].lower(), self._uid(), in_memory=self.in_memory)
            try:
                self._argv = self._prepare(folder)
            except BaseException:
                remove_folder(folder)
                raise
            self.folder = folder
        self._process = ServerProcess(self._argv, self.log, uid=self._uid(), env=self._environment())
        self._process.wait_ready(self._answers, self.start_timeout_s, self.title)
        return self

    def stop(self, timeout_s: float = 60) -> None:
        """In good order; returns once the process has ended."""
        self._stop(signal.SIGTERM, timeout_s)

    def kill(self) -> None:
        """As a power cut: SIGKILL to the process and its children; the next start recovers."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        """Ends at once and removes the folder; the next start begins with nothing."""
        self.kill()
        if self.folder is not None:
            remove_folder(self.folder)
            self.folder = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        assert self._process, "not started"
        return self._process.pid

    @property
    def log(self) -> Path:
        assert self.folder, "not started"
        return self.folder / "server.log"

    def _stop(self, signal_number: int, timeout_s: float) -> None:
        if self._process is not None:
            self._process.stop(signal_number, timeout_s)
            self._process = None
