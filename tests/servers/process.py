"""Starts server processes so that none outlives the tests: own session, log file, reaper; ports; waiting."""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LOG_TAIL_LINES = 40
PATIENCE = 3


class ServerUnavailableError(Exception):
    """The server's program is neither on this machine nor to be fetched; the text is a plain reason."""


class ServerFailedError(Exception):
    """The server was found but did not start, stop or answer; the text ends with the tail of its log."""


def _ports() -> range:
    """Below the ephemeral range of Linux (32768), so that no client socket takes a stopped server's port before it
    restarts. Of test processes that run side by side each has a part, for the same reason."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = max(number + 1, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    return range(15000, 32000)[number::count]


_PORTS = _ports()
_handed_out: set[int] = set()
_ports_lock = threading.Lock()


def free_port() -> int:
    """A loopback TCP port nobody listens on, never given twice by this process."""
    with _ports_lock:
        for port in random.sample(_PORTS, 200):
            if port not in _handed_out and _can_bind(port):
                _handed_out.add(port)
                return port
    raise ServerFailedError(f"no free port from {_PORTS.start} to {_PORTS.stop}")


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_until(condition: Callable[[], object], timeout_s: float, what: str, interval_s: float = 0.05) -> None:
    """Returns once *condition* holds; raises TimeoutError naming *what* after PATIENCE times *timeout_s*: what takes
    *timeout_s* at most on a quiet machine."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() > began + PATIENCE * timeout_s:
            raise TimeoutError(f"waited {PATIENCE * timeout_s:g} s for {what}")
        time.sleep(interval_s)


# The reaper: reads "+PID", "-PID", "+FOLDER" and "-FOLDER" lines; when its input ends, because its parent has ended in
# whatever way, it kills what is left. One small process, and unlike PR_SET_PDEATHSIG it cares neither which thread
# started a server nor whether the server changed its user.
_REAPER = """
import os, shutil, signal, sys, time
left = {}
for line in sys.stdin:
    line = line.rstrip("\\n")
    left.pop(line[1:], None) if line[0] == "-" else left.setdefault(line[1:])
for name in [name for name in left if name.isdigit()]:
    try:
        os.killpg(int(name), signal.SIGKILL)
    except OSError:
        pass
for name in [name for name in left if not name.isdigit()]:
    for _ in range(50):
        shutil.rmtree(name, ignore_errors=True)
        if not os.path.exists(name):
            break
        time.sleep(0.1)
"""


class _Reaper:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, None] = {}
        self._process: subprocess.Popen[str] | None = None

    def add(self, name: str | int) -> None:
        with self._lock:
            self._left[str(name)] = None
            self._tell(f"+{name}")

    def remove(self, name: str | int) -> None:
        with self._lock:
            if str(name) in self._left:
                del self._left[str(name)]
                self._tell(f"-{name}")

    def _tell(self, line: str) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _REAPER], stdin=subprocess.PIPE, text=True, start_new_session=True, cwd="/"
            )
            atexit.register(self._close)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def _close(self) -> None:
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.close()
                self._process.wait()


_reaper = _Reaper()


MEMORY = Path("/dev/shm")
_ROOMY_BYTES = 12 << 30


def temp_folder(prefix: str, uid: int | None = None, *, in_memory: bool = False) -> Path:
    """A new folder, owned by *uid* if given, that goes with the tests at the latest. *in_memory*: not on a disk, if
    there is much memory."""
    root = MEMORY if in_memory and _is_roomy(MEMORY) else None
    folder = Path(tempfile.mkdtemp(prefix=f"cdc-{prefix}-", dir=root))
    _reaper.add(str(folder))
    if uid is not None:
        os.chown(folder, uid, -1)
    return folder


def _is_roomy(folder: Path) -> bool:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
        return os.access(folder, os.W_OK) and min(free, shutil.disk_usage(folder).free) > _ROOMY_BYTES
    except (OSError, StopIteration):
        return False


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _reaper.remove(str(folder))


class ServerProcess:
    """One running server: its process group, its exit and its log."""

    def __init__(
        self, argv: Sequence[str | Path], log: Path, *, env: Mapping[str, str] | None = None, uid: int | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                env=None if env is None else dict(env),
                start_new_session=True,
                user=uid,
                extra_groups=None if uid is None else [],
            )
        self.pid = self._popen.pid
        _reaper.add(self.pid)

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def wait_ready(self, ready: Callable[[], object], timeout_s: float, what: str) -> None:
        """Returns once *ready* holds; kills the process and raises ServerFailedError if it exits or is too slow."""
        try:
            wait_until(lambda: not self.running or ready(), timeout_s, f"{what} to answer")
        except TimeoutError as exc:
            self.kill()
            raise ServerFailedError(f"{exc}\n{self.log_tail()}") from exc
        except BaseException:
            self.kill()
            raise
        if not self.running:
            self.kill()
            raise ServerFailedError(f"{what} exited with {self._popen.returncode}\n{self.log_tail()}")

    def signal(self, number: int) -> None:
        if self.running:
            self._popen.send_signal(number)

    def stop(self, number: int, timeout_s: float) -> None:
        """Signals the process and waits for its end; past *timeout_s* kills it and raises ServerFailedError."""
        self.signal(number)
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired as exc:
            self.kill()
            raise ServerFailedError(f"did not stop within {timeout_s:g} s\n{self.log_tail()}") from exc
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the process and its children, which may lead groups of their own, as those of PostgreSQL do."""
        self.signal(signal.SIGSTOP)
        children = _children(self.pid) if self.running else []
        for pid in (self.pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL) if pid != self.pid else self.signal(signal.SIGKILL)
        self._popen.wait()
        _reaper.remove(self.pid)
        wait_until(lambda: not any(map(is_alive, children)), 30, "killed processes to end", 0.01)

    def log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "\n".join([f"--- the end of {self.log} ---", *lines])


def _children(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, ppid in pairs if int(ppid) == parent]


def is_alive(pid: int) -> bool:
    """False for a zombie too, which holds nothing any more."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")
