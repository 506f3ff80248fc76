"""`cdc offsets`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cdc.cli.main import cli
from cdc.core.errors import CdcError, ConfigError, OffsetStoreError
from cdc.stores.file_offsets import FileOffsetStore

LARGE = {"lsn": 7, "structures": "x" * 3_000_000}


@pytest.fixture
def worker(tmp_path: Path) -> str:
    """A worker's file, with offsets of two connectors in its store."""
    path = tmp_path / "worker.properties"
    path.write_text(f"offset.storage.file.filename={tmp_path}/offsets\nsink.type=stdout\n")
    store = FileOffsetStore(tmp_path / "offsets")
    store.start()
    store.commit("orders", {"server": "shop"}, LARGE)
    store.commit("stock", {"server": "größe"}, {"file": "b.1", "pos": 4})
    store.close()
    return str(path)


def stored(worker: str) -> dict[str, Any]:
    store = FileOffsetStore(Path(worker).parent / "offsets")
    store.start()
    try:
        return {name: store.load(name, partition) for name, partition in store.stored()}
    finally:
        store.close()


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["offsets", *arguments], input=text, standalone_mode=False)


def refused(*arguments: str, text: str | None = None) -> CdcError:
    error = run(*arguments, text=text).exception
    assert isinstance(error, CdcError), error
    return error


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exception is None, result.exception
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_export_prints_each_offset_whole(worker: str) -> None:
    assert lines(run("export", worker)) == [
        {"connector": "orders", "partition": {"server": "shop"}, "offset": LARGE},
        {"connector": "stock", "partition": {"server": "größe"}, "offset": {"file": "b.1", "pos": 4}}]


def test_export_of_one_connector(worker: str) -> None:
    assert [line["connector"] for line in lines(run("export", worker, "--connector", "stock"))] == ["stock"]


def test_what_was_exported_can_be_put_back(worker: str, tmp_path: Path) -> None:
    before, backup = stored(worker), run("export", worker).stdout
    (tmp_path / "offsets").unlink()
    assert run("import", "-", worker, text=backup).exception is None
    assert stored(worker) == before
    assert run("import", "-", worker, text=backup).exception is None, "the same offsets again change nothing"


def test_other_offsets_are_replaced_only_if_asked_for(worker: str) -> None:
    backup = json.dumps({"connector": "stock", "partition": {"server": "größe"}, "offset": {"file": "b.9", "pos": 1}})
    error = refused("import", "-", worker, text=backup)
    assert isinstance(error, OffsetStoreError)
    assert "stock" in error.message
    assert stored(worker)["stock"] == {"file": "b.1", "pos": 4}
    assert run("import", "-", worker, "--replace", text=backup).exception is None
    assert stored(worker)["stock"] == {"file": "b.9", "pos": 1}


@pytest.mark.parametrize("bad", [
    "x", "[]", "{}", '{"connector": "a", "partition": {"s": 1}}',
    '{"connector": "", "partition": {"s": 1}, "offset": {"a": 1}}',
    '{"connector": "a", "partition": {}, "offset": {"a": 1}}',
    '{"connector": "a", "partition": {"s": 1}, "offset": {}}',
    '{"connector": 1, "partition": {"s": 1}, "offset": {"a": 1}}', "[" * 100_000,
], ids=lambda text: text[:20])
def test_a_line_that_is_no_offset_changes_nothing(worker: str, bad: str) -> None:
    before = stored(worker)
    good = json.dumps({"connector": "new", "partition": {"server": "x"}, "offset": {"lsn": 1}})
    error = refused("import", "-", worker, text=f"{good}\n\n{bad}\n")
    assert isinstance(error, ConfigError)
    assert "Line 3" in error.message
    assert stored(worker) == before


def test_reset_forgets_one_connector_and_prints_what_it_forgets(worker: str) -> None:
    printed = lines(run("reset", "orders", worker))
    assert [line["offset"] for line in printed] == [LARGE]
    assert set(stored(worker)) == {"stock"}


def test_reset_of_an_unknown_connector_names_those_that_there_are(worker: str) -> None:
    error = refused("reset", "order", worker)
    assert "orders, stock" in error.hint
    assert set(stored(worker)) == {"orders", "stock"}


def test_a_connector_that_runs_keeps_its_offsets(worker: str) -> None:
    running = FileOffsetStore(Path(worker).parent / "offsets")
    running.start()
    running.hold("orders", {"server": "shop"})
    try:
        assert "orders" in str(refused("reset", "orders", worker))
        backup = json.dumps({"connector": "orders", "partition": {"server": "shop"}, "offset": {"lsn": 1}})
        refused("import", "-", worker, "--replace", text=backup)
        assert len(lines(run("export", worker))) == 2, "an export is safe meanwhile"
    finally:
        running.close()
    assert stored(worker)["orders"] == LARGE


# -- for Kafka Connect -------------------------------------------------------------------------------------------------


def test_export_for_connect_has_debeziums_keys_of_one_connector(worker: str) -> None:
    assert lines(run("export", worker, "--connector", "stock", "--format", "connect")) == [
        {"offsets": [{"partition": {"server": "größe"}, "offset": {"file": "b.1", "pos": 4}}]}]
    found, = lines(run("export", worker, "--connector", "orders", "--format", "connect"))
    assert found["offsets"][0]["offset"] == {"lsn": 7, "lsn_proc": 7, "lsn_commit": 7, "messageType": "COMMIT"}


def test_export_for_connect_needs_one_connector(worker: str) -> None:
    result = run("export", worker, "--format", "connect")
    assert "orders, stock. Name one with --connector" in str(getattr(result.exception, "message", result.exception))
    error = refused("export", worker, "--connector", "none", "--format", "connect")
    assert error.message == "No offset is stored for none."
