from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.core.errors import ConfigError, OffsetStoreError
from cdc.runtime.offsets import FileOffsetStore, json_text

PARTITION = {"server": "shop"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "offsets.db"


@pytest.fixture
def store(path: Path) -> Iterator[FileOffsetStore]:
    store = FileOffsetStore(path)
    store.start()
    yield store
    store.close()


def test_json_is_compact_and_keeps_order_and_letters() -> None:
    assert json_text(["a", {"server": "späti", "b": None, "a": [1, True]}]) == (
        '["a",{"server":"späti","b":null,"a":[1,true]}]'
    )


def test_a_killed_process_leaves_its_last_commit(path: Path) -> None:
    code = (
        "import os, sys\n"
        "from cdc.runtime.offsets import FileOffsetStore\n"
        "store = FileOffsetStore(sys.argv[1])\n"
        "store.start()\n"
        "store.commit('c', {'server': 'shop'}, {'lsn': 7})\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    store = FileOffsetStore(path)
    store.start()
    assert store.load("c", PARTITION) == {"lsn": 7}
    store.close()


def test_two_stores_share_one_file(store: FileOffsetStore, path: Path) -> None:
    other = FileOffsetStore(path)
    other.start()
    threads = [
        threading.Thread(target=lambda s=s, n=n: [s.commit(n, PARTITION, {"lsn": i}) for i in range(50)])
        for s, n in ((store, "one"), (other, "two"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.load("two", PARTITION) == other.load("one", PARTITION) == {"lsn": 49}
    other.close()


def test_every_commit_is_synced(store: FileOffsetStore) -> None:
    assert store._open.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._open.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap", "Kafka Connect"), (b"name=x\n", "not an offset file")],
)
def test_a_foreign_file_is_refused_and_left_as_it_is(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        FileOffsetStore(path).start()
    assert caught.value.option == "offset.storage.file.filename"
    assert path.read_bytes() == content


def test_an_empty_file_is_taken(path: Path) -> None:
    path.touch()
    store = FileOffsetStore(path)
    store.start()
    assert store.load("c", PARTITION) is None
    store.close()


def test_a_missing_folder_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        FileOffsetStore(tmp_path / "none" / "offsets.db").start()


def test_a_damaged_file_is_an_offset_store_error(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 4096)
    with pytest.raises(OffsetStoreError) as caught:
        FileOffsetStore(path).start()
    assert not caught.value.retriable


def test_a_locked_file_is_retriable(store: FileOffsetStore, path: Path) -> None:
    other = FileOffsetStore(path, timeout_s=0.05)
    other.start()
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(OffsetStoreError) as caught:
            other.commit("c", PARTITION, {"lsn": 1})
        assert caught.value.retriable
    finally:
        blocker.close()
        other.close()
