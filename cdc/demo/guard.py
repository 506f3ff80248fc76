"""Runs the demo's server, and removes everything it leaves. A script that runs as a separate process.

When its parent ends, even by SIGKILL, this process reads the end of its standard input, stops the server and removes
the folder. The first line of its input is one JSON object (`Order`'s fields). It answers with one JSON object per line:
`{"folder": …}` once the folder exists, then `{"ready": true}` or `{"failed": text}`.

It uses the standard library only: it runs as `python -I -S guard.py`, which starts in a few milliseconds. It knows no
server, only its order.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10
_LOG_TAIL_LINES = 15
_SOCKET_PATH_LIMIT = 100
"""The longest path of a socket has 104 bytes on macOS and 108 on Linux."""


class Order(NamedTuple):
    """The order: the server to run. In commands and texts `{install}` stands for *install* and `{folder}` for the new
    folder."""

    title: str
    install: str
    """The folder with the server's programs."""
    copied: list[list[str]]
    """The parts of the installation that the server needs, as (path, path in a copy of `root`). If the server's user
    cannot read *install*, they are copied to a place that the user can read."""
    root: str
    """The folder that contains everything that is copied."""
    prepare: list[str]
    """The command that fills `{folder}/data`."""
    prepare_input: str
    files: list[list[str]]
    """(path, open mode, text): files to write after that command."""
    serve: list[str]
    ready: list[str]
    """(path, regular expression): the file matches once the server accepts connections."""
    socket: str
    """The socket's file name in the folder."""
    stops: list[int]
    """Signals that ask the server to end, one after the other; SIGKILL comes last."""
    environment: list[str]
    """Prefixes of environment variables that the server must not get."""
    run_as: str
    """The user who runs the server if we are root, because servers refuse to run as root."""


_signalled: list[int] = []


class StartError(Exception):
    """The server did not start. The text is shown to the user."""


class Stopped(BaseException):
    """The parent has ended, or told us to stop, or a signal came."""


class Guard:
    """One folder, and the one process that works in it."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.user = _account(order) if os.geteuid() == 0 else None
        self.folder = Path()
        self.install = order.install
        self.process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Serve until stopped."""
        place = _temp_folder(self.order.socket, self.user is not None)
        self.folder = Path(tempfile.mkdtemp(prefix="cdc-demo-", dir=place))
        try:
            _tell(folder=str(self.folder))
            try:
                self._start()
            except OSError as exc:
                raise StartError(self._refusal(exc)) from exc
            _tell(ready=True)
            while self.process is not None and self.process.poll() is None:
                _watch(0.5)
            raise StartError(f"{self.order.title} stopped by itself.\n{self._log_tail()}")
        finally:
            self._clean_up()

    def _start(self) -> None:
        order, data, given = self.order, self.folder / "data", self.folder / "input"
        data.mkdir(mode=0o700)
        given.write_text(order.prepare_input, encoding="utf-8")
        if self.user is not None:
            for path in (self.folder, data, given):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)
        self._reach_install()
        self._spawn(order.prepare, given)
        self._wait(lambda: False, Path(order.prepare[0]).name)
        for name, mode, text in order.files:
            with (self.folder / name).open(mode, encoding="utf-8") as file:
                file.write(self._filled(text))
        self._spawn(order.serve)
        self._wait(self._ready, Path(order.serve[0]).name)

    def _reach_install(self) -> None:
        """If the installation lies where the other user cannot enter, such as below /root, copy it to our folder."""
        if self.user is None or not self.order.copied or _open_to_all(Path(self.order.install)):
            return
        copy = self.folder / "install"
        for source, target in self.order.copied:
            place = copy / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if Path(source).is_dir():
                shutil.copytree(source, place, symlinks=True)
            else:
                shutil.copy2(source, place)
        self.install = str(copy / Path(self.order.install).relative_to(self.order.root))

    def _filled(self, text: str) -> str:
        return text.replace("{install}", self.install).replace("{folder}", str(self.folder))

    def _spawn(self, argv: list[str], given: Path | None = None) -> None:
        """Starts it in a new session, so that a terminal's Ctrl-C does not reach it."""
        left_out = tuple(self.order.environment)
        kept = {name: text for name, text in os.environ.items() if not name.startswith(left_out)}
        with (self.folder / "server.log").open("ab") as log, open(given or os.devnull, "rb") as stdin:
            self.process = subprocess.Popen(
                [self._filled(word) for word in argv], cwd=self.folder, env={**kept, "LC_ALL": "C", "TZ": "UTC"},
                stdin=stdin, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                user=self.user.pw_uid if self.user else None, group=self.user.pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
            )  # fmt: skip

    def _wait(self, ready: Callable[[], bool], name: str) -> None:
        """Wait until *ready* is true, or the process has ended without error. Raises StartError, Stopped."""
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready():
            if self.process.poll() is not None:
                if self.process.returncode == 0:
                    return
                raise StartError(f"{name} ended with status {self.process.returncode}.\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"{name} was not done after {START_TIMEOUT_S} s.\n{self._log_tail()}")
            _watch(0.005)

    def _ready(self) -> bool:
        name, pattern = self.order.ready
        try:
            return re.search(pattern, (self.folder / name).read_text(errors="replace")) is not None
        except OSError:
            return False

    def _refusal(self, exc: OSError) -> str:
        if self.user is not None and isinstance(exc, PermissionError):
            return (f"{self.order.title} does not run as root, and as {self.user.pw_name} it may not be started here "
                    f"({exc}). "
                    "Run the demo as an ordinary user.")
        return f"The server could not be started: {exc}."

    def _log_tail(self) -> str:
        try:
            lines = (self.folder / "server.log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    def _clean_up(self) -> None:
        if self.process is not None:
            _stop(self.process, self.order.stops)
        shutil.rmtree(self.folder, ignore_errors=True)


def _account(order: Order) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(order.run_as)
    except KeyError:
        raise StartError(f"{order.title} does not run as root, and there is no user {order.run_as} to run it as. "
                         "Run the demo as an ordinary user.") from None


def _stop(process: subprocess.Popen[bytes], stops: list[int]) -> None:
    """End it by its own signals, then the whole process group by SIGKILL."""
    for number in stops:
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _temp_folder(socket: str, for_another_user: bool) -> str:
    """The system's temporary folder, unless that user cannot enter it or the socket's path would be too long there."""
    chosen = Path(tempfile.gettempdir())
    path = chosen / "cdc-demo-12345678" / socket
    fits = len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT
    return str(chosen) if fits and (not for_another_user or _open_to_all(chosen)) else "/tmp"


def _open_to_all(folder: Path) -> bool:
    whole = folder.resolve()
    return all(part.stat().st_mode & 0o001 for part in (whole, *whole.parents))


def _watch(seconds: float) -> None:
    """Wait. Raises Stopped if standard input has ended, or after a signal."""
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    if _signalled or (readable and not os.read(sys.stdin.fileno(), 4096)):
        raise Stopped


def _tell(**answer: Any) -> None:
    try:
        print(json.dumps(answer), flush=True)
    except OSError:
        raise Stopped from None  # the reader has ended


def _on_signal(number: int, _frame: object) -> None:
    """Only notes the signal. An exception here could come between the start of a process and the line that notes it."""
    _signalled.append(number)


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _on_signal)
    try:
        with open(0, "rb", buffering=0, closefd=False) as unbuffered:  # so that a later `select` is right
            line = unbuffered.readline()
        if not line:
            return 0
        Guard(Order(**json.loads(line))).run()
    except Stopped:
        return 0
    except (StartError, OSError) as exc:
        _tell(failed=str(exc))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
