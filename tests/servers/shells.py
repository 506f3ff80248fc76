"""Interactive shells on a pseudo-terminal: the machine's own bash, and zsh from Debian's archive."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers import debian
from tests.servers.process import ServerUnavailableError

PROMPT = "ready> "
_CODES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|[()=>].?|\][^\x07]*\x07)|[\x07\r]")


def bash() -> list[str]:
    found = shutil.which("bash")
    if found is None:
        raise ServerUnavailableError("bash is not on this machine")
    return [found, "--norc", "--noprofile", "-i"]


def zsh() -> tuple[list[str], Path]:
    """The command, and the folder with zsh's own functions."""
    root = debian.unpacked("zsh", ("zsh-static", "zsh-common"), "6 MB")
    program = next(root.glob("**/bin/zsh*-static"))
    functions = next(root.glob("usr/share/zsh/functions"))
    return [str(program), "-f", "-i"], functions


class Terminal:
    """A shell that runs on a terminal of 100 columns."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                         env={**environment, "TERM": "xterm", "COLUMNS": "100", "LINES": "50"})
        os.close(slave)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def run(self, line: str) -> str:
        """What is on the screen until the prompt is back."""
        self.type(f"{line}\n")
        return self.until(PROMPT)

    def until(self, *wanted: str, timeout_s: float = 60.0) -> str:
        """What is shown until all of *wanted* were, without colours and moves of the cursor."""
        shown, text, deadline = b"", "", time.monotonic() + timeout_s
        while not all(each in text for each in wanted):
            left = deadline - time.monotonic()
            assert left > 0, f"{wanted} was not shown, but {text!r}"
            if select.select([self._master], [], [], left)[0]:
                shown += os.read(self._master, 65_536)
                text = _CODES.sub("", shown.decode(errors="replace"))
        return text

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)
