"""Runs the demo's PostgreSQL and sees to it that nothing of it stays behind. A script of its own process.

Its parent may end in any way, SIGKILL included: then this process reads the end of its standard input, stops the server
and removes the folder. It takes one JSON object on the first line of its input (`Order`'s fields), and answers with one
JSON object a line: `{"folder": …}` once the folder is there, then `{"ready": true}` or `{"failed": text}`.

Standard library only: it is started as `python -I -S guard.py`, which takes a few milliseconds.
"""

from __future__ import annotations

import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10
_LOG_TAIL_LINES = 15
_SOCKET_PATH_LIMIT = 100
"""What a socket's path may have in bytes is 104 on macOS and 108 on Linux."""
_SOCKET_NAME = ".s.PGSQL.5432"


class Order(NamedTuple):
    """What to run: the folder that holds `bin/postgres`, the folder above all its libraries, and the settings."""

    install: str
    root: str
    settings: dict[str, str]
    run_as: str
    """The user who runs the server if we are root, as whom PostgreSQL refuses to run."""


_signalled: list[int] = []


class StartError(Exception):
    """The server did not start; the text is for the user."""


class Stopped(BaseException):
    """The parent is gone or does not want us any longer, or a signal says so."""


class Guard:
    """One folder and the one process at work in it."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.us = _own_name()
        self.user = _account(order.run_as) if os.geteuid() == 0 else None
        self.folder = Path()
        self.process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Serve until stopped."""
        self.folder = Path(tempfile.mkdtemp(prefix="cdc-demo-", dir=_temp_folder(self.user is not None)))
        try:
            _tell(folder=str(self.folder))
            try:
                self._start()
            except OSError as exc:
                raise StartError(self._refusal(exc)) from exc
            _tell(ready=True)
            while self.process is not None and self.process.poll() is None:
                _watch(0.5)
            raise StartError(f"PostgreSQL stopped by itself.\n{self._log_tail()}")
        finally:
            self._clean_up()

    def _start(self) -> None:
        if self.user is not None:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        bindir = self._reachable_install() / "bin"
        data = self.folder / "data"
        self._spawn([str(bindir / "initdb"), "-D", str(data), "-U", "postgres", "-A", "peer", "-E", "UTF8",
                     "--locale=C", "--no-sync", "--no-instructions"])
        self._wait(lambda: False, "initdb")
        self._configure(data)
        self._spawn([str(bindir / "postgres"), "-D", str(data)])
        self._wait(lambda: _accepts(data), "postgres")

    def _reachable_install(self) -> Path:
        """The installation; if it lies where the other user cannot enter, such as below /root, a copy in our folder."""
        install = Path(self.order.install)
        if self.user is None or _open_to_all(install / "bin"):
            return install
        root, copy = Path(self.order.root), self.folder / "install"
        place = copy / install.relative_to(root)
        for name in ("bin/initdb", "bin/postgres"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(install / name, place / name)
        for name in ("lib", "share"):
            shutil.copytree(install / name, place / name, symlinks=True)
        for libraries in root.glob(f"{install.parent.name}.libs"):
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        return place

    def _configure(self, data: Path) -> None:
        """One way in: the socket in our folder, for the user who runs the demo. No password, no port."""
        (data / "pg_hba.conf").write_text("local all postgres peer map=demo\n")
        (data / "pg_ident.conf").write_text(f"demo {_quoted(self.us)} postgres\n")
        settings = {**self.order.settings, "unix_socket_directories": str(self.folder), "listen_addresses": ""}
        with (data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{text}'\n" for name, text in settings.items())

    def _spawn(self, argv: list[str]) -> None:
        """In a session of its own, so that a terminal's Ctrl-C does not reach it."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                argv, cwd=self.folder, env={**kept, "LC_ALL": "C", "TZ": "UTC"}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
                user=self.user.pw_uid if self.user else None, group=self.user.pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
            )  # fmt: skip

    def _wait(self, ready: Any, name: str) -> None:
        """Until *ready* holds, or the process has ended well. Raises StartError, Stopped."""
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

    def _refusal(self, exc: OSError) -> str:
        if self.user is not None and isinstance(exc, PermissionError):
            return (f"PostgreSQL does not run as root, and as {self.user.pw_name} it may not be started here ({exc}). "
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
            _stop(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise StartError(f"PostgreSQL wants a user with a name, and user {os.geteuid()} has none on this machine. "
                         "Run the demo as a user that is in /etc/passwd.") from None


def _account(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise StartError(f"PostgreSQL does not run as root, and there is no user {name} to run it as. "
                         "Run the demo as an ordinary user.") from None


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Fast shutdown, then immediate, then SIGKILL to the whole session's group."""
    for number in (signal.SIGINT, signal.SIGQUIT):
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


def _accepts(data: Path) -> bool:
    """What pg_ctl looks at: the status line of postmaster.pid (PostgreSQL, pidfile.h: LOCK_FILE_LINE_PM_STATUS)."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def _temp_folder(for_another_user: bool) -> str:
    """The system's, unless that user cannot enter it or a socket's path would get too long there."""
    chosen = Path(tempfile.gettempdir())
    path = chosen / "cdc-demo-12345678" / _SOCKET_NAME
    fits = len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT
    return str(chosen) if fits and (not for_another_user or _open_to_all(chosen)) else "/tmp"


def _open_to_all(folder: Path) -> bool:
    whole = folder.resolve()
    return all(part.stat().st_mode & 0o001 for part in (whole, *whole.parents))


def _quoted(name: str) -> str:
    """A token of pg_ident.conf, taken as it is: in quotes, quotes doubled (hba.c: next_token)."""
    return '"' + name.replace('"', '""') + '"'


def _watch(seconds: float) -> None:
    """Wait; raises Stopped when standard input has ended, or after a signal."""
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    if _signalled or (readable and not os.read(sys.stdin.fileno(), 4096)):
        raise Stopped


def _tell(**answer: Any) -> None:
    try:
        print(json.dumps(answer), flush=True)
    except OSError:
        raise Stopped from None  # the reader is gone


def _on_signal(number: int, _frame: object) -> None:
    """Only noted: an exception out of nowhere could fall between a process's start and our knowing of it."""
    _signalled.append(number)


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _on_signal)
    try:
        with open(0, "rb", buffering=0, closefd=False) as unbuffered:  # so that `select` tells the truth afterwards
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
