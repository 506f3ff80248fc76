"""Every command that asks a worker, against one that runs: it ends well, and what people read fits 100 columns.

What each does is tested in the other modules; a command without a line here fails.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cdc import plugins
from cdc.cli.worker import progress
from tests.servers.process import wait_until
from tests.unit.cli.test_help import commands
from tests.unit.rest.file_source import PLUGIN

from . import copying_source
from .live import FILE, Shell, running, shell, shop, written  # noqa: F401

LONG = "a-name-of-a-connector-that-is-nearly-as-long-as-the-whole-line-of-a-terminal"
WITHOUT_WORKER = {
    "run", "init", "validate", "config explain", "config upgrade", "offsets import", "import", "plugins describe",
    "plugins list", "tail", "demo", "docs", "completion", "version"}
"""They need none, or another process: test_cli, test_init, test_import, test_explain, test_docs, test_tail."""
LINES = f"""\
get connectors
get tasks
get topics
get plugins --all
get loggers
describe connector {LONG}
describe plugin FileStreamSource
diff -f FOLDER/{LONG}.json
apply -f FOLDER/{LONG}.json
apply -f FOLDER/new.json --dry-run
loggers list
loggers get root
loggers set cdc.of_this_test INFO
top -n 1 --interval 0.2
health --url URL
snapshot --table sales.orders
snapshot --table sales.orders --no-wait
snapshot status
snapshot pause
snapshot resume
snapshot cancel
offsets get {LONG}
offsets export
stop {LONG} --wait 20
offsets set {LONG} --offset {{"position":2}}
offsets reset {LONG}
resume {LONG} --wait 20
pause {LONG} --wait 20
restart {LONG} --tasks
delete {LONG}
""".splitlines()
FOR_PROGRAMS = ("offsets export", "offsets set", "offsets reset", "top")
"""What these print is for other programs: earlier offsets as JSON lines; off a terminal, lines of a log."""


def name_of(line: str) -> str:
    known = {way.removeprefix("cdc ") for way, _ in commands()}
    words = line.split()
    return " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]


def test_every_command_has_a_line() -> None:
    assert {way.removeprefix("cdc ") for way, _ in commands()} == WITHOUT_WORKER | {name_of(line) for line in LINES}


def test_every_command_ends_well_within_100_columns(shell: Shell, tmp_path: Path,  # noqa: F811
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "installed", lambda: (PLUGIN, copying_source.PLUGIN))
    monkeypatch.setattr(progress, "_POLL_S", 0.01)
    copying_source.taken.clear()
    copying_source.held.clear()
    for name, config in ((LONG, {**FILE, "topic": "t" * 90}), ("copies", {**FILE, "connector.class": "CopyingSource"}),
                         ("new", FILE)):
        path = written(tmp_path, name, config)
        assert name == "new" or shell("apply", "-f", path).code == 0
    wait_until(lambda: len(shell("offsets", "export").out.splitlines()) == 2, 20, "the first offsets")
    for line in LINES:
        if "--no-wait" in line:
            copying_source.held.append(True)
        words = [word.replace("FOLDER", str(tmp_path)).replace("URL", shell.url) for word in line.split()]
        found: Any = shell(*words)
        assert found.code == 0, (line, found.out, found.err)
        assert found.out or found.err, line
        if name_of(line) not in FOR_PROGRAMS:
            assert max(map(len, found.out.splitlines()), default=0) <= 100, (line, found.out)
    copying_source.held.clear()
