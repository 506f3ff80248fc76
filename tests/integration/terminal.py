"""Commands as a person runs them: on a terminal of so many columns, or with their output in a pipe."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

_ERASED = re.compile(r"\r\x1b\[K")


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> list[Any]:
        """One object for each line of standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


class Terminal:
    """`cdc` with *arguments* on a terminal of *columns*. `text` is what it has printed; it may be interrupted."""

    def __init__(self, *arguments: str, columns: int, env: Mapping[str, str], folder: Path) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {key: text for key, text in os.environ.items() if key not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen([sys.executable, "-m", "cdc", *arguments], stdin=theirs, stdout=theirs,
                                        stderr=theirs, env={**environment, **env, "TERM": "xterm"}, cwd=folder,
                                        start_new_session=True)
        os.close(theirs)
        self._ours = ours
        self._data = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        return self._data.decode(errors="replace")

    @property
    def frames(self) -> list[str]:
        """What stood in the line of the progress, one after the other."""
        return [each for each in _ERASED.split(self.text) if each and "\n" not in each]

    @property
    def lines(self) -> list[str]:
        """What stays on the screen."""
        return [_ERASED.split(line)[-1] for line in self.text.replace("\r\n", "\n").split("\n")]

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self, timeout_s: float = 90) -> int:
        code = self.process.wait(timeout_s)
        self._thread.join(10)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._thread.join(10)
        os.close(self._ours)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # the other side is closed
                return
            if not data:
                return
            self._data += data


def piped(*arguments: str, env: Mapping[str, str], folder: Path, timeout_s: float = 90) -> Ended:
    done = subprocess.run([sys.executable, "-m", "cdc", *arguments], capture_output=True, text=True,
                          env={**os.environ, **env}, cwd=folder, timeout=timeout_s, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)
