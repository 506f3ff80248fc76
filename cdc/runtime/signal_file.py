"""The signal channel `file`: one JSON object a line, in a file that is emptied when it is read.

The file is renamed first, so that what others append meanwhile goes into a new one, and what was read is still there
after a crash. The renamed file is deleted when the connector's offset covers its last signal (the key `signal_file`:
the file's token and the bytes that were handled). Debezium source: FileSignalChannel.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cdc.core.control import Signal, parse_signal
from cdc.log import carry, get_logger

log = get_logger(__name__)

MARK: Final = "signal_file"
_ENDING: Final = ".taken"
_MOST_BYTES: Final = 1 << 20
_MOST: Final = 1000


class FileSignals:
    """Signals of the file *path* for the connector *name*. Implements `Channel`."""

    def __init__(self, path: str, name: str, interval_s: float) -> None:
        """*interval_s*: the time between two looks."""
        self._path = Path(path)
        self._start = f"{self._path.name}.{''.join(each if each.isalnum() else '-' for each in name)}."
        self._interval_s = interval_s
        self._found: deque[Signal] = deque()
        self._taken: Path | None = None
        self._token = ""
        self._done = 0
        """Bytes of the taken file that were read as whole lines."""
        self._handled = 0
        """Those that the offset has to cover before it can go."""
        self._durable: tuple[str, int] = ("", 0)
        self._unended = -1
        self._said = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # -- the task's thread ----------------------------------------------------------------------------------------

    def start(self, offset: Mapping[str, Any]) -> None:
        self.committed(offset)
        self._thread = threading.Thread(target=carry(self._run), name="signals-file", daemon=True)
        self._thread.start()

    def take(self) -> Signal | None:
        return self._found.popleft() if self._found else None

    def committed(self, offset: Mapping[str, Any]) -> None:
        token, _, done = str(offset.get(MARK) or "").rpartition(":")
        if done.isdigit():
            self._durable = token, int(done)

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(2.0)

    # -- the channel's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look()
            self._stop.wait(self._interval_s)

    def look(self) -> None:
        """Read what is new, and delete what is done with. Logs what goes wrong, once."""
        try:
            if self._taken is None:
                self._take_over()
            if self._taken is not None:
                self._read(self._taken)
                self._finish(self._taken)
            self._said = ""
        except OSError as exc:
            said = f"{exc.strerror} ({exc.filename})"
            if said != self._said:
                self._said = said
                log.warning("signals_not_read", file=str(self._path), error=said, hint=(
                    "The file is renamed before it is read: let this service write to it and to its directory."))

    def _take_over(self) -> None:
        """Find what an earlier run has left, or rename the file; nothing if there is neither."""
        left = sorted(each for each in self._path.parent.iterdir()
                      if each.name.startswith(self._start) and each.name.endswith(_ENDING))
        if left:
            taken = left[0]
        elif self._path.is_file() and self._path.stat().st_size:
            mode = stat.S_IMODE(self._path.stat().st_mode)
            taken = self._path.with_name(f"{self._start}{time.time_ns():x}{_ENDING}")
            self._path.rename(taken)
            os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, mode))
            with suppress(OSError):
                self._path.chmod(mode)
        else:
            return
        self._token = taken.name.removeprefix(self._start).removesuffix(_ENDING)
        token, done = self._durable
        self._done = self._handled = done if token == self._token else 0
        self._unended = -1
        self._taken = taken

    def _read(self, taken: Path) -> None:
        """The lines that are new. One without an end counts once it has not grown from one look to the next."""
        if len(self._found) >= _MOST:
            return
        with taken.open("rb") as file:
            file.seek(self._done)
            text = file.read(_MOST_BYTES)
        whole = text.rfind(b"\n") + 1
        rest = len(text) - whole
        if len(text) == _MOST_BYTES and not whole:
            log.warning("signal_ignored", channel="file", file=str(self._path), why="its line is longer than 1 MiB")
            whole = len(text)
        elif rest and self._unended == self._done + len(text):
            whole = len(text)
        self._unended = self._done + len(text) if rest else -1
        for line in text[:whole].splitlines(keepends=True):
            self._done += len(line)
            self._line(line.strip())

    def _line(self, line: bytes) -> None:
        if not line:
            return
        try:
            signal = parse_signal(json.loads(line), "file", {MARK: f"{self._token}:{self._done}"})
        except (ValueError, RecursionError) as exc:
            why = f"no JSON: {exc}" if isinstance(exc, json.JSONDecodeError | UnicodeDecodeError) else str(exc)
            log.warning("signal_ignored", channel="file", file=str(self._path), ends_at=self._done, why=why)
            return
        self._handled = self._done
        self._found.append(signal)

    def _finish(self, taken: Path) -> None:
        """Delete *taken*, if all of it was read and the offset covers its signals."""
        token, done = self._durable
        covered = not self._handled or (token == self._token and done >= self._handled)
        if covered and not self._found and taken.stat().st_size == self._done:
            taken.unlink()
            self._taken = None
