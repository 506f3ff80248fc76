"""A thread that does one job after the other, for the reading of chunks beside the stream."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """Of the jobs given to `ask`, only what the last one gives is wanted. The thread begins with the first job."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[tuple[int, Callable[[], T]] | None] = queue.SimpleQueue()
        self._found: queue.SimpleQueue[tuple[int, T | None, BaseException | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._number = 0

    def ask(self, job: Callable[[], T]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._number += 1
        self._jobs.put((self._number, job))

    def forget(self) -> None:
        """What was asked for is no longer wanted."""
        self._number += 1

    def take(self, wait_s: float) -> T | None:
        """What the last job gave, if it did within *wait_s* seconds. Raises what the job raised."""
        while True:
            try:
                number, found, error = self._found.get(timeout=wait_s) if wait_s else self._found.get_nowait()
            except queue.Empty:
                return None
            if number != self._number:
                continue
            if error is not None:
                raise error
            return found

    def close(self, timeout_s: float) -> None:
        """Ends after the present job; waits for that for up to *timeout_s* seconds."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            number, job = item
            try:
                self._found.put((number, job(), None))
            except BaseException as exc:
                self._found.put((number, None, exc))
