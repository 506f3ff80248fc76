"""Connectors in the offset file: they are there, or an error says that they are not; offsets stay as they are."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from cdc.core.errors import ConfigError, OffsetStoreError
from cdc.core.stores import Kept
from cdc.stores.file_offsets import FileOffsetStore
from cdc.stores.local_configs import FileConfigStore

A, B = Kept("a", {"k": "é", "password": "geheim"}, "STARTED"), Kept("b", None, "STOPPED")


@pytest.fixture(name="path")
def path_fixture(tmp_path: Path) -> Path:
    return tmp_path / "offsets"


def test_what_was_saved_is_there_for_every_later_process(path: Path) -> None:
    assert FileConfigStore(path).load() == []
    assert not path.exists(), "looking makes no file"
    store = FileConfigStore(path)
    store.save(A)
    store.save(B)
    assert FileConfigStore(path).load() == [A, B]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store.save(Kept("a", {"k": "2"}, "PAUSED"))
    store.delete("b")
    store.delete("nobody")
    assert FileConfigStore(path).load() == [Kept("a", {"k": "2"}, "PAUSED")]
    assert not path.with_name("offsets-wal").exists() or not path.with_name("offsets-wal").stat().st_size


def test_offsets_and_connectors_do_not_disturb_each_other(path: Path) -> None:
    offsets = FileOffsetStore(path)
    offsets.start()
    offsets.commit("a", {"server": "s"}, {"lsn": 1})
    FileConfigStore(path).save(A)
    offsets.commit("a", {"server": "s"}, {"lsn": 2})
    FileConfigStore(path).delete("a")
    assert offsets.load("a", {"server": "s"}) == {"lsn": 2}
    offsets.close()


@pytest.mark.parametrize("change", [
    "UPDATE connectors SET config_json = '{}'", "UPDATE connectors SET name = 'x'",
    "UPDATE connectors SET state = 'STOPPED'", "UPDATE connectors SET checksum = ''",
])
def test_a_connector_that_is_not_as_it_was_written_is_damage(path: Path, change: str) -> None:
    FileConfigStore(path).save(A)
    with sqlite3.connect(path) as file:
        file.execute(change)
    with pytest.raises(OffsetStoreError, match="damaged"):
        FileConfigStore(path).load()


def test_another_file_is_left_alone(path: Path) -> None:
    path.write_text("not ours")
    with pytest.raises(ConfigError):
        FileConfigStore(path).load()
    assert path.read_text() == "not ours"
