"""What `--help` says, and what shells complete."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.shell_completion import ShellComplete

from cdc.cli.main import HERE, OF_WORKER, cli
from tests.unit.cli.worker.live import Shell, running, shell, shop  # noqa: F401


def commands(way: str = "cdc", command: click.Command = cli) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield way, command
    if not isinstance(command, click.Group):
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        if not below.hidden:
            yield from commands(f"{way} {name}", below)


@pytest.mark.parametrize("way", [way for way, _ in commands()])
def test_the_help_of_each_command_has_an_example(way: str) -> None:
    command = dict(commands())[way]
    text = command.get_help(click.Context(command, info_name=way))
    assert f"\n  {way}" in text.partition("\n")[2]
    assert max(map(len, text.splitlines())) <= 100


def test_the_table_of_commands_says_what_they_say() -> None:
    context = click.Context(cli)
    for name, text in {**HERE, **OF_WORKER}.items():
        command = cli.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str(200) == text, name


def completed(*words: str) -> list[str]:
    """What a shell offers for the last of *words*."""
    return [each.value for each in ShellComplete(cli, {}, "cdc", "_CDC_COMPLETE").get_completions(
        list(words[:-1]), words[-1])]


def test_commands_options_and_names_are_completed(shop: Shell) -> None:  # noqa: F811
    assert completed("res") == ["resume", "restart"]
    assert completed("describe", "") == ["connector", "plugin"]
    assert completed("pause", "") == completed("describe", "connector", "sh") == ["shop"]
    assert completed("pause", "shop", "") == [], "it is named already"
    assert completed("pause", "--dr") == ["--dry-run"]
    assert completed("offsets", "get", "s") == ["shop"]
    assert completed("loggers", "set", "roo") == ["root"]
    assert completed("loggers", "set", "root", "deb") == ["debug"]
    assert completed("pause", "--url", "http://127.0.0.1:1", "") == [], "no worker, no names, and no error"


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_the_script_for_a_shell_is_one(shell: Shell, name: str) -> None:  # noqa: F811
    found = shell("completion", name)
    assert found.code == 0
    assert f"_CDC_COMPLETE={name}_complete" in found.out
    if shutil.which(name):
        assert subprocess.run([name, "-n"], input=found.out, text=True, check=False).returncode == 0


def test_a_shell_gets_its_answers_from_the_console_script() -> None:
    done = subprocess.run([sys.executable, "-m", "cdc"], capture_output=True, text=True, check=True,
                          env={"_CDC_COMPLETE": "bash_complete", "COMP_WORDS": "cdc va", "COMP_CWORD": "1",
                               "PYTHONPATH": ":".join(sys.path)})
    assert done.stdout == "plain,validate\n"
