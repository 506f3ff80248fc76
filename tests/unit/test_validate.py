"""`cdc validate`: what is wrong with configuration files, found without a server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cdc.validate import validate_files

WORKER = {"sink.type": "stdout", "offset.storage.file.filename": "offsets.db"}
CONNECTORS = {
    "postgres": {"name": "shop", "connector.class": "postgres", "topic.prefix": "shop", "plugin.name": "pgoutput",
                 "database.hostname": "h", "database.user": "u", "database.password": "geheim", "database.dbname": "d"},
    "mysql": {"name": "shop", "connector.class": "mysql", "topic.prefix": "shop", "database.hostname": "h",
              "database.user": "u", "database.password": "geheim", "database.server.id": "1",
              "schema.history.internal.kafka.topic": "t", "schema.history.internal.kafka.bootstrap.servers": "b:1"},
}


class Files:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, values: dict[str, str]) -> str:
        path = self.folder / name
        path.write_text("".join(f"{key}={text}\n" for key, text in values.items()), encoding="utf-8")
        return str(path)

    def findings(self, worker: dict[str, str], *connectors: dict[str, str],
                 strict: bool = False) -> list[tuple[str, str, str]]:
        """Level, file and option of each finding but those about keys without effect."""
        names = [self.write("worker.properties", worker)]
        names += [self.write(f"{number}.properties", each) for number, each in enumerate(connectors)]
        found = validate_files(names, strict)
        assert "geheim" not in str(found)
        return [(each["level"], Path(each["file"]).name, each["option"]) for each in found if each["level"] != "info"]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.parametrize("kind", CONNECTORS)
def test_a_good_configuration_has_no_finding(files: Files, kind: str) -> None:
    assert files.findings(WORKER, CONNECTORS[kind]) == []


@pytest.mark.parametrize("kind", CONNECTORS)
def test_an_unknown_key_is_a_warning_and_with_strict_an_error(files: Files, kind: str) -> None:
    connector = CONNECTORS[kind] | {"database.hostnam": "x"}
    assert files.findings(WORKER, connector) == [("warning", "0.properties", "database.hostnam")]
    assert files.findings(WORKER, connector, strict=True) == [("error", "0.properties", "database.hostnam")]


@pytest.mark.parametrize(("worker", "option"), [
    ({"sink.type": "stdout"}, "offset.storage.file.filename"),
    (WORKER | {"sink.type": "kafka"}, "bootstrap.servers"),
    (WORKER | {"sink.type": "kafak"}, "sink.type"),
    (WORKER | {"sink.type": "file"}, "sink.file.path"),
    (WORKER | {"offset.flush.interval.ms": "soon"}, "offset.flush.interval.ms"),
])
def test_a_worker_with_a_problem_is_told_before_its_connectors(files: Files, worker: dict[str, str],
                                                               option: str) -> None:
    assert files.findings(worker, {"name": "shop"}) == [("error", "worker.properties", option)]


def test_a_list_in_the_workers_file_is_an_error(files: Files) -> None:
    assert files.findings(WORKER | {"table.include.list": "a.b"}, CONNECTORS["postgres"]) == [
        ("error", "worker.properties", "table.include.list")]


@pytest.mark.parametrize("kind", CONNECTORS)
def test_a_former_key_is_a_warning_and_one_that_would_be_ignored_an_error(files: Files, kind: str) -> None:
    connector = CONNECTORS[kind] | {"table.whitelist": "a.b"}
    assert files.findings(WORKER, connector) == [("warning", "0.properties", "table.whitelist")]
    connector = CONNECTORS[kind] | {"collection.include.list": "a.b"}
    assert files.findings(WORKER, connector) == [("error", "0.properties", "collection.include.list")]


@pytest.mark.parametrize(("key", "path"), [
    ("offset.storage.file.filename", "none/offsets.db"), ("offset.storage.file.filename", "a-file/offsets.db"),
    ("offset.storage.file.filename", "a-folder"), ("sink.file.path", "none/out.json"),
])
def test_a_folder_that_does_not_exist_is_an_error(files: Files, key: str, path: str) -> None:
    (files.folder / "a-folder").mkdir()
    (files.folder / "a-file").touch()
    worker = WORKER | {"sink.type": "file", "sink.file.path": str(files.folder / "out")} | {
        key: str(files.folder / path)}
    assert files.findings(worker, CONNECTORS["mysql"]) == [("error", "worker.properties", key)]


@pytest.mark.parametrize("locked", ["state", "state/offsets.db"])
def test_an_offset_file_that_cannot_be_written_is_an_error(files: Files, locked: str,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.folder / "state" / "offsets.db"
    path.parent.mkdir()
    path.touch()
    may = os.access  # the superuser may write anywhere, so the answer is given here
    monkeypatch.setattr(os, "access", lambda at, mode: at != files.folder / locked and may(at, mode))
    worker = WORKER | {"offset.storage.file.filename": str(path)}
    assert files.findings(worker, CONNECTORS["mysql"]) == [
        ("error", "worker.properties", "offset.storage.file.filename")]


def test_every_connector_is_looked_at(files: Files) -> None:
    bad = CONNECTORS["postgres"] | {"name": "a", "snapshot.mode": "often"}
    unknown = CONNECTORS["postgres"] | {"name": "b", "connector.class": "oracle"}
    assert files.findings(WORKER, bad, CONNECTORS["mysql"], unknown) == [
        ("error", "0.properties", "snapshot.mode"), ("error", "2.properties", "connector.class")]


def test_what_only_building_shows_is_found_too(files: Files) -> None:
    worker = WORKER | {"sink.type": "file", "sink.file.path": str(files.folder / "out"), "sink.file.format": "avro"}
    assert files.findings(worker, CONNECTORS["postgres"]) == [("error", "0.properties", "sink.file.format")]
    connector = CONNECTORS["postgres"] | {"value.converter": "org.example.OwnConverter"}
    assert files.findings(WORKER, connector) == [("error", "0.properties", "value.converter")]


def test_all_that_is_wrong_with_a_connector_is_said_at_once(files: Files) -> None:
    wrong = {"slot.name": "Not Good", "errors.tolerance": "some", "transforms": "a", "transforms.a.type": "Mine",
             "header.converter": "Other"}
    assert files.findings(WORKER, CONNECTORS["postgres"] | wrong) == [
        ("error", "0.properties", option)
        for option in ("errors.tolerance", "slot.name", "transforms.a.type", "header.converter")]


def test_one_file_may_hold_both(files: Files) -> None:
    assert files.findings(WORKER | CONNECTORS["postgres"] | {"slot.name": "Not Good"}) == [
        ("error", "worker.properties", "slot.name")]


def test_a_missing_file_is_a_finding(tmp_path: Path) -> None:
    (found,) = validate_files([tmp_path / "none.properties"])
    assert (found["level"], found["file"]) == ("error", str(tmp_path / "none.properties"))
    assert validate_files([])[0]["level"] == "error"


def test_the_environment_and_flags_are_looked_at_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, text in (WORKER | CONNECTORS["postgres"]).items():
        monkeypatch.setenv("CDC_" + key.upper().replace(".", "_"), text)
    found = validate_files([], flags=["slot.name=Not Good"])
    assert [(each["file"], each["option"]) for each in found if each["level"] == "error"] == [
        ("the environment", "slot.name")]
    assert {"level": "info", "file": "CDC_DATABASE_PASSWORD", "option": "database.password",
            "text": "set for shop."} in found
    assert "geheim" not in str(found)
    monkeypatch.setenv("CDC_SLOT_NAM", "x")
    assert [each["option"] for each in validate_files([])] == ["CDC_SLOT_NAM"]
