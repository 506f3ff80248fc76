"""Shows a person how far the build is, although pip hides what a build prints.

pip reads our output through a pipe and shows it only with -v. So the lines go to pip's own output if that is a
terminal or a pipe. If pip's output cannot be opened (that takes Linux's /proc), they go to the terminal of this
process; without a terminal, to standard output.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Callable

EVERY_S = 3


class Progress:
    """Writes a line when it begins, about every three seconds, and when it ends.

    *state* says how far the work is. On a terminal each line replaces the one before.
    """

    def __init__(self, task: str, state: Callable[[], str]) -> None:
        self._task = task
        self._state = state
        self._output = _open_output()
        self._terminal = os.isatty(self._output)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._began = time.monotonic()

    def __enter__(self) -> Progress:
        if self._terminal:
            self._write("\n")  # below the line that pip has begun
        self._say(self._task)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._thread.join()
        self._say(self._state())
        if self._output != sys.stdout.fileno():
            os.close(self._output)

    def _run(self) -> None:
        while not self._ended.wait(EVERY_S):
            self._say(self._state())

    def _say(self, text: str) -> None:
        line = f"  cdc: {text}, {time.monotonic() - self._began:.0f} s"
        # pip's spinner takes back one character before it writes the next: that is the space at the end.
        self._write(f"\r\x1b[K{line}  " if self._terminal else line + "\n")

    def _write(self, text: str) -> None:
        try:
            os.write(self._output, text.encode())
        except OSError:
            pass  # nobody watches


def _open_output() -> int:
    for path in (f"/proc/{os.getppid()}/fd/1", "/dev/tty"):
        try:
            output = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            continue
        if os.isatty(output) or stat.S_ISFIFO(os.fstat(output).st_mode):
            return output
        os.close(output)
        if path.startswith("/proc"):
            break  # pip writes to a file: nothing belongs on the terminal
    sys.stdout.flush()
    return sys.stdout.fileno()
