"""`cdc get`, `describe`, `pause`, `resume`, `stop`, `restart`, `delete`, `loggers` and `top` against a worker."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from cdc import levels
from tests.unit.rest.test_access import Served, serve  # noqa: F401

from .live import FILE, Shell, running, shell, shop, written  # noqa: F401


def test_what_a_worker_has_is_listed(shop: Shell) -> None:  # noqa: F811
    found = shop("get", "connectors")
    assert found.code == 0
    head, row = (line.split() for line in found.out.splitlines())
    assert head == ["NAME", "CLASS", "STATE", "TASKS", "WARNINGS"]
    assert row == ["shop", "FileStreamSource", "RUNNING", "1/1", "RUNNING"]
    assert shop("get", "tasks", "shop").out.splitlines()[1].split()[:3] == ["shop", "0", "RUNNING"]
    assert shop("get", "topics", "-o", "json").json == [{"connector": "shop", "topic": "t"}]
    assert "FileStreamSourceConnector" in shop("get", "plugins").out
    assert "JsonConverter" in shop("get", "plugins", "--all").out
    assert "root" in shop("get", "loggers").out
    assert shop("get", "connector", "shop", "-o", "yaml").out.startswith("- name: shop\n")


def test_a_connector_is_described_whole(shop: Shell) -> None:  # noqa: F811
    found = shop("describe", "connector", "shop")
    assert found.code == 0
    for part in ("state", "RUNNING", "records sent", "Configuration", "Topics (1)", 'Offset of {"filename": "in"}'):
        assert part in found.out
    assert set(shop("describe", "connector", "shop", "-o", "json").json) == {
        "name", "type", "config", "status", "numbers", "topics", "offsets"}
    assert "Source filename." in shop("describe", "plugin", "FileStreamSource").out


def test_states_change_and_can_be_waited_for(shop: Shell) -> None:  # noqa: F811
    for command, state in (("pause", "PAUSED"), ("resume", "RUNNING"), ("stop", "STOPPED"), ("resume", "RUNNING")):
        assert shop(command, "shop", "--wait", "20").code == 0
        assert shop("get", "connectors", "-o", "json").json[0]["status"]["connector"]["state"] == state
    assert shop("restart", "shop", "--tasks", "--wait", "20").out == "shop: restarted\n"
    assert shop("restart", "--all", "--tasks", "--only-failed").code == 0
    shop("stop", "shop")
    late = shop("restart", "shop", "--wait", "0.1")
    assert (late.code, "shop is STOPPED after 0.1 s" in late.err) == (3, True)


def test_a_restart_without_tasks_says_what_stays_failed(shell: Shell, serve: Callable[..., Served]) -> None:  # noqa: F811
    url = f"http://127.0.0.1:{serve().port}"
    found = shell("restart", "a", "--url", url)
    assert (found.code, found.out) == (0, "a: restarted\n")
    assert "task 0 stays failed" in found.err
    assert "cdc restart a --tasks" in found.err
    assert shell("restart", "a", "--tasks", "--url", url).err == ""


def test_a_dry_run_changes_nothing(shop: Shell) -> None:  # noqa: F811
    before = shop("get", "connectors", "-o", "json").json
    for command in ("pause", "resume", "stop", "restart", "delete"):
        found = shop(command, "shop", "--dry-run")
        assert (found.code, found.out.startswith("shop: would be ")) == (0, True)
    assert "would log" in shop("loggers", "set", "cdc.runtime", "DEBUG", "--dry-run").out
    assert shop("get", "connectors", "-o", "json").json == before
    assert levels.get("cdc.runtime")[1] is None


def test_what_does_not_exist_is_4_and_names_what_does(shop: Shell) -> None:  # noqa: F811
    found = shop("pause", "shpo", "shop")
    assert found.code == 4
    assert "There is no connector shpo. Did you mean shop?" in found.err
    assert found.out == "shop: paused\n", "the others are done"
    assert shop("get", "connectors", "nothing").code == 4
    assert shop("describe", "plugin", "nothing").code == 4
    assert shop("loggers", "get", "nothing").code == 4


def test_wrong_usage_is_2(shop: Shell) -> None:  # noqa: F811
    assert shop("pause").code == 2
    assert shop("pause", "--all", "shop").code == 2
    assert shop("loggers", "set", "cdc", "LOUD").code == 2
    assert shop("get", "connectors", "--url", "ftp://h").code == 2


def test_a_worker_that_does_not_answer_is_3(shell: Shell) -> None:  # noqa: F811
    found = shell("get", "connectors", "--url", "127.0.0.1:1")
    assert found.code == 3
    assert "No worker answers at http://127.0.0.1:1: Connection refused." in found.err.replace("\n", " ")


def test_an_empty_worker_says_what_to_do(shell: Shell) -> None:  # noqa: F811
    found = shell("get", "connectors")
    assert (found.code, found.out) == (0, "")
    assert "`cdc apply -f FILE` creates one." in found.err
    assert shell("delete", "--all").code == 0


def test_a_connector_is_deleted(shop: Shell) -> None:  # noqa: F811
    assert shop("delete", "shop").out == "shop: deleted\n"
    assert shop("get", "connectors", "-o", "json").json == []


def test_loggers_are_set(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(levels, "_changed_ms", {})
    name = "cdc.of_this_test"
    before = logging.getLogger(name).level
    assert shell("loggers", "set", name, "debug").out == "1 loggers log from DEBUG on\n"
    assert shell("loggers", "get", name, "-o", "json").json[name]["level"] == "DEBUG"
    logging.getLogger(name).setLevel(before)


def test_top_prints_lines_off_a_terminal(shop: Shell) -> None:  # noqa: F811
    found = shop("top", "-n", "2", "--interval", "0.2")
    lines = found.out.splitlines()
    assert (found.code, len(lines)) == (0, 2)
    assert " shop streaming: 0.0 changes/s, " in lines[0]
    assert shop("top", "nothing", "-n", "1", "--interval", "0.2").out == ""
    row = json.loads(shop("top", "-n", "1", "--interval", "0.2", "--json").out)
    assert (row["connector"], row["state"], row["errors"]) == ("shop", "streaming", 0)


def test_a_terminal_is_left_alone_if_top_has_no_worker(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    found = shell("top", "--url", "http://127.0.0.1:9")
    assert (found.code, found.out) == (3, "")


def test_tables_fit_100_columns(shop: Shell, tmp_path: Path) -> None:  # noqa: F811
    long = "a-name-of-a-connector-that-somebody-made-as-long-as-the-whole-line-of-a-terminal-and-longer-than-that"
    assert shop("apply", "-f", written(tmp_path, long, {**FILE, "topic": "t" * 120})).code == 0
    for command in (("get", "connectors"), ("get", "tasks"), ("get", "topics"), ("get", "plugins", "--all"),
                    ("get", "loggers"), ("describe", "connector", "shop"), ("offsets", "get", "shop")):
        lines = shop(*command).out.splitlines()
        assert lines
        assert max(map(len, lines)) <= 100, command
