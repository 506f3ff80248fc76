"""`cdc apply` and `cdc diff` against a worker."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from .live import FILE, Shell, running, shell, shop, written  # noqa: F401

PROPERTIES = "name=a\nconnector.class=FileStreamSource\nfile=x\ntopic=t\n"
FORMS = {
    "properties": PROPERTIES,
    "with a worker's keys": f"{PROPERTIES}bootstrap.servers=k:1\noffset.storage.file.filename=o\n",
    "rest": json.dumps({"name": "a", "config": {**FILE, "file": "x"}}),
    "as shown by rest": json.dumps({"name": "a", "config": {**FILE, "file": "x"}, "tasks": [], "type": "source"}),
    "list": json.dumps([{"name": "a", "config": {**FILE, "file": "x"}}]),
    "expanded": json.dumps({"a": {"info": {"name": "a", "config": {**FILE, "file": "x"}, "tasks": [], "type": "x"}}}),
    "yaml": "name: a\nconnector.class: FileStreamSource\nfile: x\ntopic: t\n",
    "strimzi": "apiVersion: kafka.strimzi.io/v1\nkind: KafkaConnector\nmetadata: {name: a}\n"
               "spec: {class: FileStreamSource, state: running, config: {file: x, topic: t}}\n",
}


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


@pytest.mark.parametrize("form", FORMS)
def test_each_form_creates_a_connector(shell: Shell, monkeypatch: pytest.MonkeyPatch, form: str) -> None:  # noqa: F811
    typed(monkeypatch, FORMS[form])
    found = shell("apply", "-f", "-")
    assert (found.code, found.out) == (0, "a: created\n"), found.err
    config = shell("get", "connectors", "a", "-o", "json").json[0]["config"]
    assert (config["name"], config["topic"]) == ("a", "t")
    assert "offset.storage.file.filename" not in config
    assert ("bootstrap.servers is the worker's, so it is left out." in found.err) == (form == "with a worker's keys")


def test_several_files_are_applied_and_again_nothing_changes(shell: Shell, tmp_path: Path) -> None:  # noqa: F811
    files = [written(tmp_path, "a", FILE), written(tmp_path, "b", FILE)]
    assert shell("apply", "-f", *files).out == "a: created\nb: created\n"
    assert shell("apply", "-f", files[0], "-f", files[1]).out == "a: unchanged\nb: unchanged\n"
    written(tmp_path, "b", {**FILE, "topic": "u"})
    dry = shell("apply", "-f", *files, "--dry-run")
    assert dry.out == "a: unchanged\nb: would be changed, 1 key\n  ~ topic=t -> u\n"
    assert shell("apply", "-f", *files).out == "a: unchanged\nb: changed, 1 key\n"
    assert shell("get", "connectors", "b", "-o", "json").json[0]["config"]["topic"] == "u"


def test_a_new_connector_may_begin_stopped(shell: Shell, tmp_path: Path) -> None:  # noqa: F811
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"name": "a", "config": FILE, "initial_state": "STOPPED"}))
    assert shell("apply", "-f", str(path), "--dry-run").out == "a: would be created\n"
    assert shell("get", "connectors", "-o", "json").json == []
    assert shell("apply", "-f", str(path)).code == 0
    assert shell("get", "connectors", "-o", "json").json[0]["status"]["connector"]["state"] == "STOPPED"


def test_what_was_listed_can_be_applied(shop: Shell, tmp_path: Path) -> None:  # noqa: F811
    for output in ("json", "yaml"):
        path = tmp_path / f"all.{output}"
        path.write_text(shop("get", "connectors", "-o", output).out)
        shop("delete", "shop")
        assert shop("apply", "-f", str(path)).out == "shop: created\n"


def test_a_mistake_in_one_file_changes_nothing(shell: Shell, tmp_path: Path) -> None:  # noqa: F811
    good = written(tmp_path, "a", FILE)
    bad = written(tmp_path, "b", {"connector.class": "FileStreamSource", "file": "x"})
    found = shell("apply", "-f", good, bad)
    assert found.code == 2
    said = " ".join(found.err.split())  # it is folded where the path is long
    assert "Nothing was changed." in said
    assert "b.json: topic: " in said
    assert shell("get", "connectors", "-o", "json").json == []
    other = written(tmp_path, "c", {"connector.class": "NoSuch"})
    assert "connector.class: " in " ".join(shell("apply", "-f", other).err.split())
    assert shell("apply", "-f", good, good).code == 2, "one name twice"
    assert shell("apply").code == 2
    worker = tmp_path / "worker.properties"
    worker.write_text("bootstrap.servers=k:1\n")
    assert "has no connector" in shell("apply", "-f", str(worker)).err.replace("\n", " ")


def test_a_difference_is_shown_without_secrets(shop: Shell, tmp_path: Path) -> None:  # noqa: F811
    same, other = written(tmp_path, "shop", FILE), tmp_path / "other.json"
    assert shop("diff", "-f", same, "--exit-code").code == 0
    config: dict[str, Any] = {**FILE, "topic": "u", "batch.size": "5", "some.password": "hunter2-geheim"}
    del config["tasks.max"]
    other.write_text(json.dumps({"name": "shop", "config": config}))
    found = shop("diff", "-f", str(other), "--exit-code")
    assert found.code == 5
    assert found.out.splitlines() == [
        "shop: 4 keys differ", "  + batch.size=5", "  + some.password=[hidden]", "  - tasks.max=1", "  ~ topic=t -> u"]
    assert "hunter2" not in found.out + shop("diff", "-f", str(other), "-o", "json").out
    assert shop("diff", "-f", str(other), "-o", "json").json[0]["changed"] == {"topic": {"from": "t", "to": "u"}}
    assert shop("apply", "-f", str(other)).code == 0
    found = shop("diff", "-f", str(other), "--exit-code")
    assert (found.code, found.out.splitlines()[0]) == (0, "shop: is as in the file")
    assert found.out.splitlines()[1] == "  ? some.password: the worker does not show it, so it may differ"
    assert shop("diff", "-f", written(tmp_path, "new", FILE)).out.startswith("new: is new\n")
