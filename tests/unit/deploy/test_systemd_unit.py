"""`deploy/systemd/cdc.service`: systemd's own checks, and that it asks for what the service sends."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cdc.cli.output import BAD_CONFIGURATION
from cdc.runtime.standalone import EXTRA_STOP_S

UNIT = Path(__file__).parents[3] / "deploy" / "systemd" / "cdc.service"
TEXT = UNIT.read_text(encoding="utf-8")
MOST_EXPOSURE = 20
"""Of 100, as `systemd-analyze security` counts: its threshold of what is well protected."""

analyzed = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd")


def value(name: str) -> str:
    """The last value of a setting."""
    found: list[str] = re.findall(rf"^{name}=(.*)$", TEXT, re.MULTILINE)
    return found[-1]


def analyze(words: Sequence[str], unit: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words, str(unit)], capture_output=True, text=True, check=False)


@analyzed
def test_systemd_finds_no_mistake(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(TEXT.replace(value("ExecStart").split()[0], sys.executable))
    done = analyze(["verify", "--man=no"], copy)
    assert [line for line in done.stderr.splitlines() if UNIT.name in line] == []


@analyzed
def test_systemd_would_find_a_mistake(tmp_path: Path) -> None:
    """Otherwise the test above says nothing."""
    copy = tmp_path / UNIT.name
    copy.write_text(TEXT.replace("Restart=on-failure", "Restart=sometimes"))
    assert "restart specifier" in analyze(["verify", "--man=no"], copy).stderr


@analyzed
def test_it_is_well_protected() -> None:
    done = analyze(["security", "--offline=true", f"--threshold={MOST_EXPOSURE}", "--no-pager"], UNIT)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


def test_it_asks_for_what_the_service_sends() -> None:
    assert (value("Type"), value("NotifyAccess")) == ("notify", "main")
    assert value("RestartPreventExitStatus") == str(BAD_CONFIGURATION)
    assert value("WatchdogSec") == "10min"
    assert int(value("TimeoutStopSec")) > EXTRA_STOP_S


def test_the_program_is_where_the_documentation_installs_it() -> None:
    page = (Path(__file__).parents[3] / "cdc" / "docs" / "deployment.md").read_text(encoding="utf-8")
    program, command, file = value("ExecStart").split()
    assert command == "run"
    assert program.removesuffix("/bin/cdc") in page
    assert file in page
