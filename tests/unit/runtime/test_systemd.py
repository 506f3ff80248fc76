"""What systemd is told, and when: over a real socket, with the time as a number."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.metrics.task import TaskMetrics
from cdc.runtime.systemd import ServiceManager


class Systemd:
    """The receiving end, a task or two, and a manager of them."""

    def __init__(self) -> None:
        self.name = f"@cdc-test-{uuid.uuid4()}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{self.name[1:]}")
        self.socket.setblocking(False)
        self.now = 0.0
        self.shop, self.crm = TaskMetrics("shop"), TaskMetrics("crm")
        self.tasks = [self.shop]

    def manager(self, **environment: str) -> ServiceManager:
        return ServiceManager(lambda: self.tasks, {"NOTIFY_SOCKET": self.name, **environment}, lambda: self.now)

    def after_tick(self, manager: ServiceManager, seconds: float = 1) -> list[str]:
        """The lines of the one datagram that a tick sends so much later."""
        self.now += seconds
        manager.tick()
        return self.received()

    def received(self) -> list[str]:
        try:
            return self.socket.recv(65536).decode().splitlines()
        except BlockingIOError:
            return []


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    made = Systemd()
    yield made
    made.socket.close()


def test_ready_is_sent_once_when_the_task_works(systemd: Systemd) -> None:
    manager = systemd.manager()
    assert systemd.after_tick(manager) == ["EXTEND_TIMEOUT_USEC=30000000", "STATUS=shop starting"]
    systemd.shop.state, systemd.shop.reason = "retrying", "the server is away"
    assert systemd.after_tick(manager) == ["EXTEND_TIMEOUT_USEC=30000000", "STATUS=shop retrying (the server is away)"]
    systemd.shop.state, systemd.shop.reason = "streaming", ""
    assert systemd.after_tick(manager) == ["READY=1", "STATUS=shop streaming"]
    assert systemd.after_tick(manager) == []
    systemd.shop.state = "retrying"
    assert systemd.after_tick(manager) == ["STATUS=shop retrying"]


def test_a_tick_costs_nothing_within_a_second(systemd: Systemd) -> None:
    manager = systemd.manager()
    assert systemd.after_tick(manager)
    assert systemd.after_tick(manager, 0.9) == []


@pytest.mark.parametrize(("shop", "crm", "ready"), [
    ("streaming", "starting", False), ("streaming", "retrying", False), ("streaming", "failed", True),
    ("snapshotting", "streaming", True), ("failed", "failed", False), ("failed", "starting", False),
])
def test_all_tasks_count(systemd: Systemd, shop: str, crm: str, ready: bool) -> None:
    systemd.tasks.append(systemd.crm)
    systemd.shop.state, systemd.crm.state = shop, crm
    assert ("READY=1" in systemd.after_tick(systemd.manager())) == ready


def test_offsets_that_cannot_be_stored_are_not_ready(systemd: Systemd) -> None:
    systemd.shop.state, systemd.shop.commit_failure = "streaming", "the disk is full"
    assert systemd.after_tick(systemd.manager())[-1] == "STATUS=shop streaming (the disk is full)"


def feeds(systemd: Systemd, manager: ServiceManager, seconds: float = 1) -> bool:
    return "WATCHDOG=1" in systemd.after_tick(manager, seconds)


def test_the_watchdog_is_fed_while_tasks_turn(systemd: Systemd) -> None:
    manager = systemd.manager(WATCHDOG_USEC="8000000", WATCHDOG_PID=str(os.getpid()))
    systemd.shop.state = "streaming"
    assert feeds(systemd, manager)
    systemd.shop.turns += 1
    assert not feeds(systemd, manager), "every two seconds is enough"
    assert feeds(systemd, manager)
    assert not any(feeds(systemd, manager, 100) for _ in range(3)), "it hangs"
    systemd.shop.turns += 1
    assert feeds(systemd, manager)


def test_one_task_that_hangs_is_enough(systemd: Systemd) -> None:
    systemd.tasks.append(systemd.crm)
    systemd.shop.state = systemd.crm.state = "streaming"
    manager = systemd.manager(WATCHDOG_USEC="4000000")
    assert feeds(systemd, manager)
    systemd.shop.turns += 1
    assert not feeds(systemd, manager)


@pytest.mark.parametrize("state", [
    "starting", "snapshotting", "retrying", "failed", "finished", "stopped", "paused"])
def test_a_task_that_need_not_turn_may_stand_still(systemd: Systemd, state: str) -> None:
    """A start waits for a database that is away, and a snapshot for locks, for as long as that takes."""
    systemd.shop.state = state
    manager = systemd.manager(WATCHDOG_USEC="4000000")
    assert all(feeds(systemd, manager) for _ in range(3))


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}])
def test_without_a_watchdog_none_is_fed(systemd: Systemd, environment: dict[str, str]) -> None:
    assert not feeds(systemd, systemd.manager(**environment))


def test_stopping_asks_for_the_time_that_it_may_take(systemd: Systemd) -> None:
    systemd.manager().stopping(25)
    assert systemd.received() == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=25000000", "STATUS=stopping"]


def test_a_status_is_one_short_line_without_secrets(systemd: Systemd) -> None:
    systemd.shop.state = "retrying"
    systemd.shop.reason = "postgresql://u:geheim@h/db\nREADY=1\nis away" + " x" * 500
    lines = systemd.after_tick(systemd.manager())
    assert [line.split("=")[0] for line in lines] == ["EXTEND_TIMEOUT_USEC", "STATUS"]
    assert "geheim" not in lines[1]
    assert len(lines[1]) <= 310


def test_without_systemd_nothing_is_sent(systemd: Systemd) -> None:
    manager = ServiceManager(lambda: systemd.tasks, {}, lambda: systemd.now)
    assert systemd.after_tick(manager) == []
    manager.stopping(1)
    assert systemd.received() == []


def test_a_socket_may_be_a_file_and_may_be_gone(systemd: Systemd, tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a path has 108 bytes at most
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("notify")
        manager = systemd.manager(NOTIFY_SOCKET="notify")
        manager.tick()
        assert receiver.recv(4096).decode().splitlines()[-1] == "STATUS=shop starting"
    (tmp_path / "notify").unlink()
    warned: list[str] = []
    monkeypatch.setattr("cdc.runtime.systemd.log.warning", lambda event, **_: warned.append(event))
    manager.stopping(1)
    manager.stopping(1)
    assert warned == ["notify_failed"], "once, not each second"
