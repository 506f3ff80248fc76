"""What a service manager is told: ready, what state the tasks are in, still making progress, stopping.

systemd's protocol is a datagram of `NAME=value` lines to the socket that NOTIFY_SOCKET names: sd_notify(3) and
sd_watchdog_enabled(3). Without that variable nothing is sent.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cdc.config.secrets import scrub
from cdc.log import get_logger
from cdc.metrics.task import TaskMetrics

log = get_logger(__name__)

TICK_S: Final = 1.0
EXTEND_S: Final = 30.0
"""Until the tasks are ready, each message asks for this much more time: a start waits as long as the database is away.
"""
_STATUS_LENGTH: Final = 300
_TURNING: Final = "streaming"
"""The state in which a task turns all the time, also while Kafka or the registry is away. A snapshot does not: the
server may let its query wait for somebody's lock for as long as that is held."""


class ServiceManager:
    """Reports *tasks* to systemd. One thread calls `tick` often, then `stopping` once.

    READY is sent when each task works, or has failed for good and another works. The watchdog is fed only if each task
    that streams has turned since it was last fed, so a task that hangs makes systemd restart the service.
    """

    def __init__(self, tasks: Callable[[], Sequence[TaskMetrics]], environment: Mapping[str, str] = os.environ,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._tasks = tasks
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._feed_every_s = _watchdog_s(environment) / 4
        self._clock = clock
        self._ready = False
        self._failed = False
        self._status = ""
        self._turns: dict[tuple[str, int], int] = {}
        self._ticked_at = self._fed_at = float("-inf")

    def tick(self) -> None:
        """Send what has changed, at most once a second."""
        now = self._clock()
        if not self._address or now - self._ticked_at < TICK_S:
            return
        self._ticked_at = now
        tasks = self._tasks()
        lines = []
        if not self._ready:
            self._ready = _started(tasks)
            lines.append("READY=1" if self._ready else f"EXTEND_TIMEOUT_USEC={EXTEND_S * 1e6:.0f}")
        if self._feed_every_s and now - self._fed_at >= self._feed_every_s and self._all_turn(tasks):
            self._fed_at = now
            lines.append("WATCHDOG=1")
        status = _status(tasks)
        if status != self._status:
            self._status = status
            lines.append(f"STATUS={status}")
        self._send(lines)

    def stopping(self, within_s: float) -> None:
        """The service stops; it takes *within_s* seconds at most."""
        self._send(["STOPPING=1", f"EXTEND_TIMEOUT_USEC={within_s * 1e6:.0f}", "STATUS=stopping"])

    def _all_turn(self, tasks: Sequence[TaskMetrics]) -> bool:
        before, turns = self._turns, {(task.connector, task.task): task.turns for task in tasks}
        if any(task.state == _TURNING and before.get((task.connector, task.task)) == task.turns for task in tasks):
            return False
        self._turns = turns
        return True

    def _send(self, lines: Sequence[str]) -> None:
        if not self._address or not lines:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(1)
                sock.connect(address)
                sock.send("\n".join(lines).encode())
        except OSError as exc:
            if not self._failed:
                log.warning("notify_failed", error=type(exc).__name__, reason=exc.strerror)
            self._failed = True
        else:
            self._failed = False


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """systemd kills the service after so many seconds without a sign of life; 0 if it does not."""
    wanted, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not wanted.isdecimal() or process not in ("", str(os.getpid())):
        return 0.0
    return int(wanted) / 1e6


def _started(tasks: Sequence[TaskMetrics]) -> bool:
    return any(task.ready for task in tasks) and all(task.ready or task.state == "failed" for task in tasks)


def _status(tasks: Sequence[TaskMetrics]) -> str:
    """One line for people: `shop streaming, crm retrying (the server is away)`."""
    words = []
    for task in tasks:
        reason = task.reason or task.commit_failure
        words.append(f"{task.connector} {task.state}" + (f" ({scrub(reason)})" if reason else ""))
    text = " ".join(", ".join(words).split())
    return text if len(text) <= _STATUS_LENGTH else f"{text[:_STATUS_LENGTH - 1]}…"
