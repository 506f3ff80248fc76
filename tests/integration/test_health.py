"""What those are told who watch the process: `cdc health` and systemd."""

from __future__ import annotations

import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Database
from tests.fault.pipeline import PrintingPipeline, source_options
from tests.servers.process import wait_until
from tests.servers.proxy import Proxy
from tests.servers.server import Server

pytestmark = pytest.mark.parametrize("postgres", ["postgres18"], indirect=True)

PR_SET_MDWE = 65
WITHOUT_WRITABLE_CODE = f"""
import ctypes, runpy, sys
if ctypes.CDLL(None).prctl({PR_SET_MDWE}, 1, 0, 0, 0):
    sys.exit(77)
import cdc.about, cryptography.hazmat.primitives.asymmetric.padding, pymysql, regex
cdc.about.libraries()
sys.argv[:1] = ["cdc", "run"]
runpy.run_module("cdc", run_name="__main__", alter_sys=True)
"""
UNSUPPORTED = 77


def health(url: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", "cdc", "health", "--url", url], capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout + done.stderr


class Notified:
    """systemd's end of the socket. `lines` is all that came."""

    def __init__(self) -> None:
        self.name = f"@cdc-test-{uuid.uuid4()}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{self.name[1:]}")
        self.socket.setblocking(False)
        self._lines: list[str] = []

    @property
    def lines(self) -> list[str]:
        try:
            while True:
                self._lines += self.socket.recv(65536).decode().splitlines()
        except BlockingIOError:
            return self._lines

    def states(self) -> list[str]:
        return [line for line in self.lines if line.startswith(("READY", "STOPPING"))]


@pytest.fixture
def notified() -> Iterator[Notified]:
    made = Notified()
    yield made
    made.socket.close()


def test_health_and_systemd_follow_the_task(database: Database, topic_prefix: str, tmp_path: Path, notified: Notified,
                                            proxy: Callable[[Server], Proxy], monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a slot that waits for a transaction WHEN that ends, the database is lost, and the process is stopped THEN
    both know."""
    monkeypatch.setenv("NOTIFY_SOCKET", notified.name)
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    link = proxy(database.server)
    with PrintingPipeline(tmp_path, source_options(database.server, database.name, topic_prefix) | {
            "database.port": str(link.port)}) as pipeline:
        with database.connect() as conn, conn.transaction():
            conn.execute("SELECT pg_current_xact_id()")
            pipeline.start()
            wait_until(lambda: "STATUS=shop starting" in notified.lines, 30, "the first status")
            url = pipeline.url
            code, said = health(url)
            assert code == 3
            assert "shop: starting" in said
            assert notified.states() == []
            assert "EXTEND_TIMEOUT_USEC=30000000" in notified.lines

        wait_until(lambda: notified.states() == ["READY=1"], 60, "systemd to be told")
        wait_until(lambda: health(url) == (0, "ready\n"), 30, "health to say so")
        fed = notified.lines.count("WATCHDOG=1")
        wait_until(lambda: notified.lines.count("WATCHDOG=1") > fed + 1, 30, "signs of life")

        link.cut()
        wait_until(lambda: health(url)[0] == 3, 30, "health to notice")
        assert "shop: retrying: " in health(url)[1]
        wait_until(lambda: any(line.startswith("STATUS=shop retrying (") for line in notified.lines), 30, "a status")
        fed = notified.lines.count("WATCHDOG=1")
        wait_until(lambda: notified.lines.count("WATCHDOG=1") > fed, 30, "signs of life without a database")

        pipeline.stop()
        assert notified.states() == ["READY=1", "STOPPING=1"]
        assert health(url)[0] == 4


def test_the_units_protection_of_memory_stops_nothing(database: Database, topic_prefix: str, tmp_path: Path) -> None:
    """MemoryDenyWriteExecute in `deploy/systemd/cdc.service`: no library makes code while it runs. The kernel has the
    same for one process: PR_SET_MDWE."""
    with PrintingPipeline(tmp_path, source_options(database.server, database.name, topic_prefix)) as pipeline:
        pipeline.program = ["-c", WITHOUT_WRITABLE_CODE]
        pipeline.start()
        process = pipeline.process
        assert process is not None
        wait_until(lambda: process.poll() is not None or pipeline.url, 30, "a start")
        if process.poll() == UNSUPPORTED:
            pytest.skip("this kernel cannot forbid it to one process")
        pipeline.await_state("streaming")
        assert pipeline.stop() == 0
