"""Completion in real shells: the script of `cdc completion`, a key of the terminal, and what the shell makes of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import shells
from tests.servers.process import ServerUnavailableError
from tests.servers.shells import PROMPT, Terminal
from tests.unit.cli.worker.live import FILE, Shell, running, shell, shop, written  # noqa: F401

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, shop: Shell, tmp_path: Path) -> Iterator[Terminal]:  # noqa: F811
    """A shell with the script as its page says, and with the worker's address."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    program = scripts / "cdc"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cdc "$@"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{scripts}:{os.environ['PATH']}", "HOME": str(tmp_path), "CDC_CLI_URL": shop.url,
                   "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), "LC_ALL": "C.UTF-8"}
    assert shop("apply", "-f", written(tmp_path, "shelf-1", {**FILE, "topic": "u"})).code == 0
    (scripts / "_cdc").write_text(shop("completion", request.param).out)
    try:
        command, functions = shells.zsh() if request.param == "zsh" else (shells.bash(), Path())
    except ServerUnavailableError as exc:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(exc))
    made = Terminal(command, environment)
    try:
        if request.param == "zsh":
            made.type(f"fpath=({scripts} {functions}/**/*(/N) {functions}); autoload -U compinit && compinit -u -D;"
                      " LISTMAX=1000; unsetopt beep prompt_cr prompt_sp\n")
        else:
            made.type(f"source {scripts}/_cdc; bind 'set show-all-if-ambiguous on'; bind 'set bell-style none';"
                      " bind 'set enable-bracketed-paste off'\n")
        made.run(f"PS1='{PROMPT[:3]}'; PS1+='{PROMPT[3:]}'")
        yield made
    finally:
        made.close()


def test_commands_options_and_connectors_are_completed(terminal: Terminal) -> None:
    terminal.type("cdc valid\t")
    terminal.until("cdc validate ")
    terminal.type("\x15cdc res\t\t")  # zsh lists the candidates at the second time
    terminal.until("resume", "restart")
    terminal.type("\x15cdc pause --dr\t")
    terminal.until("--dry-run")
    terminal.type("\x15cdc pause sho\t")
    terminal.until("cdc pause shop")
    terminal.type("\x15cdc describe connector sh\t\t")
    terminal.until("shop", "shelf-1")
    terminal.type("\x15echo x cdc\n")
    terminal.until("x cdc", PROMPT)
