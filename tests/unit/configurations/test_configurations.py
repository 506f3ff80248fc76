"""Configurations that people have published run as they are, or are refused for a reason that they accept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest

from cdc import plugins
from cdc.config.providers import Provider
from cdc.config.regex import split_list
from cdc.config.rewrite import rewritten
from cdc.runtime import configfile
from cdc.upgrade import changes_of
from cdc.validate import validate_files

FILES: Final = sorted((Path(__file__).parent / "files").iterdir())

REFUSED: Final = {
    "mysql-1x-empty-variable": r"table\.include\.list is empty",
    "mysql-1x-vault": r"database\.password .* names a config provider that is not declared",
    "server-mysql-nats": r"nats-jetstream is a sink of Debezium Server that is not here",
    "server-pg-kinesis": r"kinesis is a sink of Debezium Server that is not here",
    "strimzi-pg-exactly-once": r"exactly\.once\.support delivery is at least once",
}
"""What this service does not do, by the file's name."""

WRONG: Final = {
    "mysql-1x-identity": r'database\.ssl\.mode "required_identity" is not valid',
    "pg-2x-outbox-headers": r"file:/secrets/db-password\} cannot be resolved",
    "pg-2x-outbox-without-prefix": r"topic\.prefix this key is required",
    "strimzi-pg-fragment": r"database\.user this key is required",
}
"""What Debezium refuses too, or could not log in with."""

OTHER: Final = {
    "other-elasticsearch-sink": "ElasticsearchSinkConnector is a sink connector",
    "other-jdbc-sink": "JdbcSinkConnector is a sink connector",
    "other-mongodb": "MongoDbConnector captures MongoDB",
    "other-oracle": "OracleConnector captures Oracle",
    "other-strimzi-sqlserver": "SqlServerConnector captures Microsoft SQL Server",
}
"""Connectors that are not here."""


@pytest.fixture(autouse=True)
def every_secret_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(self: Provider, path: str, key: str, environment: object) -> str:
        if self.kind != "env" and not path:
            raise LookupError("a path is wanted")
        return "geheim"

    monkeypatch.setattr(Provider, "get", get)


def prepared(path: Path, folder: Path) -> list[Path]:
    """The files to give to the command: a worker's, and *path*, with an offset file in *folder*."""
    worker, copy = folder / "worker.properties", folder / path.name
    offsets = folder / "offsets.db"
    worker.write_text(f"bootstrap.servers=kafka:9092\noffset.storage.file.filename={offsets}\n")
    copy.write_text(path.read_text(encoding="utf-8").replace("OFFSETS", str(offsets)), encoding="utf-8")
    return [copy] if path.stem.startswith("server-") else [worker, copy]


def errors(path: Path, folder: Path) -> list[str]:
    found = validate_files(prepared(path, folder))
    assert "geheim" not in str(found)
    return [f"{each['option']} {each['text']}" for each in found if each["level"] == "error"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_published_configuration_runs_or_is_refused_for_a_reason(path: Path, tmp_path: Path) -> None:
    found = errors(path, tmp_path)
    reason = {**REFUSED, **WRONG, **OTHER}.get(path.stem)
    if reason is None:
        assert found == []
    else:
        assert re.search(reason, "\n".join(found))


def test_most_of_what_debezium_runs_runs_here() -> None:
    ours = [path for path in FILES if path.stem not in {**WRONG, **OTHER}]
    assert len(ours) >= 40
    assert 1 - len(REFUSED) / len(ours) >= 0.85


LISTS: Final = re.compile(
    r"(table|column|schema|database|message\.prefix)\.(include\.list|whitelist|exclude\.list|blacklist)")


@pytest.mark.parametrize("path", [path for path in FILES if path.stem not in {**REFUSED, **WRONG, **OTHER}],
                         ids=lambda path: path.stem)
def test_no_list_of_the_author_is_lost(path: Path, tmp_path: Path) -> None:
    """Each list that limits what is captured, under whatever name, is in the settings."""
    _, (config,) = configfile.load(prepared(path, tmp_path), plugins.worker_options())
    settings: Any = plugins.find("connector", config["connector.class"]).load_parse()(config)[0]
    for key, text in config.items():
        match = LISTS.fullmatch(key)
        if match is None:
            continue
        how = "include" if match[2] in ("include.list", "whitelist") else "exclude"
        attribute = f"{match[1].replace('.', '_')}_{how}_list"
        if attribute == "database_include_list" and not hasattr(settings, attribute):
            assert settings.database_dbname in split_list(text)
        else:
            assert getattr(settings, attribute) == split_list(text)


@pytest.mark.parametrize("path", [path for path in FILES if path.stem not in {**REFUSED, **WRONG, **OTHER}],
                         ids=lambda path: path.stem)
def test_an_upgraded_file_means_the_same_and_has_no_former_key(path: Path, tmp_path: Path) -> None:
    files = prepared(path, tmp_path)
    _, (before,) = configfile.load(files, plugins.worker_options())
    text = rewritten(files[-1].read_text(encoding="utf-8"), str(files[-1]), changes_of)
    files[-1].write_text(text, encoding="utf-8")
    assert rewritten(text, str(files[-1]), changes_of) == text
    _, (after,) = configfile.load(files, plugins.worker_options())
    parse = plugins.find("connector", before["connector.class"]).load_parse()
    assert parse(after)[0] == parse(before)[0]
    assert not [note.option for note in parse(after)[1] if "its name since" in note.text or "former" in note.text]
